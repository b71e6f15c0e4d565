package main

import (
	"encoding/json"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/scenarios"
)

// output runs a command line that must end with an exit code.
func output(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, got := slimlab(t, args...)
	if got != code {
		t.Fatalf("slimlab %v: exit %d, expected %d: %s", args, got, code, stderr)
	}
	return stdout, stderr
}

func TestReferenceListsEveryTopic(t *testing.T) {
	all, _ := output(t, exitHeld, "reference")
	for _, want := range []string{"learning_rate", "times_t2", "sequence_loss", "keep_best", "jsd:β", "w4a16-gptq", "osscar", "ranking", "recsys-fm", "rope_theta"} {
		if !strings.Contains(all, want) {
			t.Errorf("the reference lacks %s", want)
		}
	}
	for _, m := range lab.Metrics() {
		if !strings.Contains(all, m.Key) {
			t.Errorf("the reference lacks metric %s", m.Key)
		}
	}
	for _, topic := range topics() {
		text, _ := output(t, exitHeld, "reference", topic.name)
		if !strings.Contains(all, text) || strings.Count(text, "\n") < 2 {
			t.Errorf("topic %s alone: found\n%s", topic.name, text)
		}
	}
	if _, stderr := output(t, exitUsage, "reference", "metriks"); !strings.Contains(stderr, `did you mean "metrics"?`) {
		t.Errorf("unknown topic: found %s", stderr)
	}
	if _, stderr := output(t, exitUsage, "reference", "--format", "xml"); !strings.Contains(stderr, "expected one of table, json") {
		t.Errorf("unknown format: found %s", stderr)
	}
}

func TestReferenceAsJSON(t *testing.T) {
	text, _ := output(t, exitHeld, "reference", "--format", "json")
	var document map[string]any
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	if document["schema"] != "slimlab.reference/1" || len(document) != 1+len(topics()) {
		t.Errorf("found schema %v and %d fields", document["schema"], len(document))
	}
	if keys := regexp.MustCompile(`(?m)^ *"([^"]*)":`).FindAllStringSubmatch(text, -1); len(keys) < 100 {
		t.Errorf("found %d keys", len(keys))
	} else {
		for _, key := range keys {
			if !regexp.MustCompile(`^[a-z_]+$`).MatchString(key[1]) {
				t.Errorf("key %q is not snake_case", key[1])
			}
		}
	}
}

func TestScenariosPrintsFilesAsTheyShip(t *testing.T) {
	for _, name := range []string{"figure1", "paper/figure2"} {
		want, err := fs.ReadFile(scenarios.Files, name+".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := output(t, exitHeld, "scenarios", name); got != string(want) {
			t.Errorf("%s: found\n%s", name, got)
		}
	}
	if _, stderr := output(t, exitUsage, "scenarios", "figur1"); !strings.Contains(stderr, `did you mean "figure1"?`) {
		t.Errorf("unknown scenario: found %s", stderr)
	}
	if schema, _ := output(t, exitHeld, "schema"); !json.Valid([]byte(schema)) {
		t.Error("the schema is no JSON")
	}
}
