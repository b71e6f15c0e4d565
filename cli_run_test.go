package main

import (
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// suites is a JUnit file as a CI server reads it.
type suites struct {
	Suites []struct {
		Name    string `xml:"name,attr"`
		Errors  int    `xml:"errors,attr"`
		Skipped int    `xml:"skipped,attr"`
		Cases   []struct {
			Name  string `xml:"name,attr"`
			Error *struct {
				Message string `xml:"message,attr"`
			} `xml:"error"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func readSuites(t *testing.T, file string) (s suites) {
	t.Helper()
	if err := xml.Unmarshal([]byte(read(t, file)), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOutputsOfSeveralScenarios: every file holds all of them, in order.
func TestOutputsOfSeveralScenarios(t *testing.T) {
	file := newHome(t)
	t.Chdir(filepath.Dir(file))
	other := strings.Replace(strings.Replace(tiny, "name: tiny", "name: other", 1), "columns: [params, bytes", "sweep: { steps: [1, 2] }\ncolumns: [bytes", 1)
	writeTo(t, "other.yaml", other)
	table, _ := output(t, exitHeld, "run", file, "other.yaml", "--events", "events",
		"--export", "junit=junit", "--export", "csv=csv", "--export", "json=json", "--export", "md=md", "--export", "table=table")
	for name, text := range map[string]string{"stdout": table, "md": read(t, "md"), "table": read(t, "table")} {
		if first, second := strings.Index(text, "tiny"), strings.Index(text, "other"); first < 0 || second < first {
			t.Errorf("%s does not hold both scenarios in order:\n%s", name, text)
		}
	}
	if s := readSuites(t, "junit").Suites; len(s) != 2 || s[0].Name != "tiny" || s[1].Name != "other" || len(s[0].Cases) != 1 || len(s[1].Cases) != 2 {
		t.Errorf("JUnit holds %+v", s)
	}
	lines, err := csv.NewReader(strings.NewReader(read(t, "csv"))).ReadAll()
	if err != nil || len(lines) != 1+3+6 || lines[0][0] != "scenario" || lines[0][2] != "steps" || lines[1][0] != "tiny" || lines[9][0] != "other" {
		t.Errorf("CSV: %v, %q", err, lines)
	}
	var all struct {
		Schema  string
		Reports []struct{ Run struct{ Scenario string } }
	}
	if err := json.Unmarshal([]byte(read(t, "json")), &all); err != nil || all.Schema != "slimlab.reports/2" || len(all.Reports) != 2 || all.Reports[1].Run.Scenario != "other" {
		t.Errorf("JSON: %v, %+v", err, all)
	}
	if text := read(t, "events"); strings.Count(text, `"kind":"begin"`) != 2 || strings.Count(text, `"kind":"end"`) != 2 {
		t.Error("the events are not those of two runs")
	}
}

// TestRefusedRun: a run that does not begin writes its error into JUnit files, so that no older one
// passes for its own, and leaves all other files as they were.
func TestRefusedRun(t *testing.T) {
	file := newHome(t)
	t.Chdir(filepath.Dir(file))
	writeTo(t, "bad.yaml", strings.Replace(tiny, "auc_soft,", "acu,", 1))
	if err := os.Mkdir("full", 0o755); err != nil {
		t.Fatal(err)
	}
	writeTo(t, "full/notes.txt", "mine")
	outputs := []string{"--events", "events", "--export", "junit=junit", "--export", "csv=csv", "--export", "md=new"}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"a scenario that is wrong", []string{"run", "bad.yaml"}, `unknown metric "acu"`},
		{"one that is absent", []string{"run", "absent.yaml"}, "absent.yaml"},
		{"the second of two", []string{"run", file, "bad.yaml"}, `unknown metric "acu"`},
		{"a model that is absent", []string{"run", file, "--set", "models.shape={load: /no/model}"}, "/no/model"},
		{"a row that is absent", []string{"run", file, "--save", "w9=x"}, "w9"},
		{"a save over a folder", []string{"run", file, "--save", "w8a8=full"}, "full holds notes.txt already, expected a new folder"},
		{"a save over a file", []string{"run", file, "--save", "w8a8=full/notes.txt"}, "is a file, expected a new folder"},
		{"a save into the home", []string{"run", file, "--save", "w8a8=" + os.Getenv("SLIMLAB_HOME") + "/artifacts/x"}, "lies within the home"},
		{"two saves into a folder", []string{"run", file, "--save", "w8a8=new-model", "--save", "teacher=./new-model/"}, "row w8a8 is to be saved there too"},
		{"another output that cannot be written", []string{"run", file, "--export", "json=/no/such/folder/x"}, "/no/such/folder"},
		{"two exports to standard output", []string{"run", file, "--export", "csv=-", "--export", "json=/dev/stdout"}, "standard output is taken by another --export"},
		{"an unknown format", []string{"run", file, "--export", "yaml=x"}, "yaml"},
	} {
		for _, name := range []string{"junit", "csv", "events"} {
			writeTo(t, name, "of an earlier run")
		}
		_, stderr := output(t, exitUsage, append(c.args, outputs...)...)
		if !strings.Contains(stderr, "the run did not begin: nothing was written to ") || !strings.Contains(stderr, "events\n") && !strings.Contains(stderr, "/csv, ") {
			t.Errorf("%s: does not say which files are as before: %q", c.name, stderr)
		}
		s := readSuites(t, "junit").Suites
		if len(s) == 0 || s[0].Errors != 1 || len(s[0].Cases) != 1 || s[0].Cases[0].Error == nil || !strings.Contains(s[0].Cases[0].Error.Message, c.want) {
			t.Errorf("%s: JUnit holds %+v", c.name, s)
		}
		for _, name := range []string{"csv", "events"} {
			if text := read(t, name); text != "of an earlier run" {
				t.Errorf("%s: %s is now %q", c.name, name, text)
			}
		}
		if _, err := os.Stat("new"); err == nil {
			t.Errorf("%s: leaves an empty file", c.name)
		}
	}
}

// TestSecondScenarioIsRefused: the first one's results stay, and the second's refusal stands beside
// them.
func TestSecondScenarioIsRefused(t *testing.T) {
	file := newHome(t)
	t.Chdir(filepath.Dir(file))
	writeTo(t, "second.yaml", strings.Replace(strings.Replace(tiny, "name: tiny", "name: second", 1), "{ layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 32 }", "{ load: /no/model }", 1))
	stdout, stderr := output(t, exitUsage, "run", file, "second.yaml", "--export", "junit=junit", "--export", "csv=csv")
	if !strings.Contains(stdout, "w8a8") || !strings.Contains(stderr, "/no/model") {
		t.Errorf("printed %q, said %q", stdout, stderr)
	}
	if s := readSuites(t, "junit").Suites; len(s) != 2 || s[0].Errors != 0 || s[1].Name != "second" || s[1].Errors != 1 {
		t.Errorf("JUnit holds %+v", s)
	}
	if text := read(t, "csv"); strings.Count(text, "\n") != 4 {
		t.Errorf("CSV holds %q", text)
	}
}

// TestFailedCells: what the others measured is judged, each cause is said once with its count, and
// the exit code is that of a run that broke.
func TestFailedCells(t *testing.T) {
	file := newHome(t)
	t.Chdir(filepath.Dir(file))
	for _, folder := range []string{"whole", "damaged"} {
		output(t, exitHeld, "export", "pretrained:recsys-fm", folder)
	}
	spoil(t, "damaged", "model.layers.1.mlp.down_proj.weight")
	const broken = `
name: broken
task: { kind: recsys, members: 12, candidates: 2 }
models: { given: { load: "${folder}" } }
pipeline:
  - baseline: { name: given-row, model: given }
  - quantize: { name: w8a8, from: given, scheme: w8a8 }
sweep: { folder: [whole, damaged] }
seeds: 2
columns: [bytes, smaller]
expect: [ smaller(row=w8a8) > 1 ]
`
	writeTo(t, "broken.yaml", broken)
	table, stderr := output(t, exitBroke, "run", "broken.yaml", "--export", "junit=junit", "--export", "json=json")
	for _, want := range []string{"held        smaller(row=w8a8) > 1 at folder=whole", "NOT JUDGED  smaller(row=w8a8) > 1 at folder=damaged", "2 of 4 cells failed: "} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	if !strings.Contains(stderr, "2 cells: ") || !strings.Contains(stderr, "1 of 2 expectations is not judged") {
		t.Errorf("said %q", stderr)
	}
	if s := readSuites(t, "junit").Suites; len(s) != 1 || s[0].Skipped != 1 || s[0].Errors != 3 {
		t.Errorf("JUnit holds %+v", s)
	}
	if !strings.Contains(read(t, "json"), `"judged": false`) {
		t.Error("JSON does not say that one is not judged")
	}
}

func writeTo(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", name, err))
	}
}

// spoil makes the first element of a tensor of bfloat16 no number.
func spoil(t *testing.T, folder, tensor string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(folder, "*.safetensors"))
	for _, file := range files {
		b := []byte(read(t, file))
		size := binary.LittleEndian.Uint64(b)
		var head map[string]struct {
			Offsets [2]int `json:"data_offsets"`
		}
		if err := json.Unmarshal(b[8:8+size], &head); err != nil {
			t.Fatal(err)
		}
		if at := head[tensor].Offsets; at[1] > 0 {
			binary.LittleEndian.PutUint16(b[8+int(size)+at[0]:], 0x7fc0)
			writeTo(t, file, string(b))
			return
		}
	}
	t.Fatalf("no tensor %s in %v", tensor, files)
}
