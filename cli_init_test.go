package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
)

// story is a text whose sentences differ.
func story() string {
	var b strings.Builder
	for i := range 400 {
		fmt.Fprintf(&b, "On day %d there was a small model. It was quick on %d questions, and it was good. ", i, i*i)
	}
	return b.String()
}

// TestInitWritesWhatRuns: what init writes passes check, names the schema that it keeps in the
// home, and is not written over a file that is there; what cannot be leaves no file behind.
func TestInitWritesWhatRuns(t *testing.T) {
	newHome(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("text.txt", []byte(story()), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"ranking.yaml", "init"}, {"mine.yaml", "init", "recsys", "--file", "mine.yaml"}, {"my-data.yaml", "init", "jsonl"}, {"text.yaml", "init", "jsonl", "--data", "text.txt", "--file", "text.yaml"},
	} {
		stdout, stderr, code := slimlab(t, args[1:]...)
		if code != exitHeld || stdout != args[0]+"\n" {
			t.Fatalf("%v: exit %d, %q: %s", args[1:], code, stdout, stderr)
		}
		text, err := os.ReadFile(args[0])
		if err != nil {
			t.Fatal(err)
		}
		schema, _, _ := strings.Cut(strings.TrimPrefix(string(text), "# yaml-language-server: $schema="), "\n")
		if _, err := os.Stat(schema); err != nil {
			t.Errorf("%s: its schema: %v", args[0], err)
		}
		if _, stderr, code := slimlab(t, "check", args[0]); code != exitHeld {
			t.Errorf("check %s: exit %d: %s", args[0], code, stderr)
		}
		if _, stderr, code := slimlab(t, args[1:]...); code != exitUsage || !strings.Contains(stderr, "is there and is not replaced") {
			t.Errorf("%v a second time: exit %d: %s", args[1:], code, stderr)
		}
		if after, _ := os.ReadFile(args[0]); string(after) != string(text) {
			t.Errorf("%s was replaced", args[0])
		}
	}
	before, _ := filepath.Glob("*")
	for _, c := range []struct{ args, says string }{
		{"rexsys", `did you mean "recsys"?`}, {"checkpoint", "--model is missing"}, {"recsys --data text.txt", "--data belongs"}, {"jsonl --ratios 0.1", "belong to the task checkpoint"},
		{"jsonl --model x", "--model belongs"}, {"--model nowhere", "no such folder"}, {"--file x.json", "ends in .yaml"}, {"jsonl --data nowhere.jsonl --file y.yaml", "nowhere.jsonl"},
		{"--model pretrained:recsys-fm --data text.txt --ratios 1 --file z.yaml", "below 1"}, {"--model pretrained:recsys-fm --data text.txt --schemes w8a9 --file z.yaml", `did you mean "w8a8"?`},
	} {
		if _, stderr, code := slimlab(t, append([]string{"init"}, strings.Fields(c.args)...)...); code != exitUsage || !strings.Contains(stderr, c.says) {
			t.Errorf("init %s: exit %d, %q, expected %q", c.args, code, stderr, c.says)
		}
	}
	if after, _ := filepath.Glob("*"); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("files are %v, expected %v", after, before)
	}
}

// TestInitTakesFewData: a text of a few words and few records of any form make a scenario that
// passes check; fewer are refused with the user's file and what is needed, and leave no file.
func TestInitTakesFewData(t *testing.T) {
	newHome(t)
	t.Chdir(t.TempDir())
	for _, c := range []struct{ name, content, says string }{
		{"text.txt", strings.Repeat("the quick brown fox jumps over the lazy dog. 0123456789 hello world\n", 3), ""},
		{"six.txt", "one two three four five six", ""},
		{"few.jsonl", "{\"prompt\": \"a\", \"response\": \"b\"}\n{\"prompt\": \"c\", \"response\": \"d\"}\n{\"prompt\": \"e\", \"response\": \"f\"}\n", ""},
		{"texts.jsonl", "{\"text\": \"a b\"}\n{\"text\": \"c d\"}\n{\"text\": \"e f\"}\n", ""},
		{"two.txt", "hello world\n", "--data two.txt: the text has 12 characters and 2 words, of which 1 record with different prompts can be made: expected a longer text, of at least 3 records"},
		{"blank.txt", " \n\n", "blank.txt"},
		{"two.jsonl", "{\"prompt\": \"a\", \"response\": \"b\"}\n{\"prompt\": \"c\", \"response\": \"d\"}\n", "two.jsonl: found 2 records with 2 different prompts, expected at least 3"},
		{"same.jsonl", strings.Repeat("{\"text\": \"a b\"}\n", 9), "same.jsonl: found 9 records with 1 different prompt, expected at least 3"},
	} {
		if err := os.WriteFile(c.name, []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, stderr, code := slimlab(t, "init", "--model", "pretrained:recsys-fm", "--schemes", "none", "--data", c.name, "--file", c.name+".yaml")
		if c.says == "" {
			if _, more, checked := slimlab(t, "check", c.name+".yaml"); code != exitHeld || checked != exitHeld {
				t.Errorf("%s: exit %d and %d: %s%s", c.name, code, checked, stderr, more)
			}
			continue
		}
		if code != exitUsage || !strings.Contains(stderr, c.says) || strings.Contains(stderr, ".yaml") || strings.Contains(stderr, "-data.jsonl") {
			t.Errorf("%s: exit %d, %s, expected %q without files that are not there", c.name, code, stderr, c.says)
		}
		if left, _ := filepath.Glob(c.name + "*"); len(left) != 1 {
			t.Errorf("%s: left %v", c.name, left)
		}
	}
}

// TestInitWithoutHome: the schema for editors is no reason to write no scenario where the home
// cannot be written; that it is not kept is said once, and the scenario runs.
func TestInitWithoutHome(t *testing.T) {
	newHome(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("file", []byte("no folder"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, args := range [][]string{{}, {"--model", "pretrained:recsys-student"}} {
		t.Setenv("SLIMLAB_HOME", filepath.Join("file", "home"))
		file := fmt.Sprintf("%d.yaml", i)
		_, stderr, code := slimlab(t, append([]string{"init", "--file", file}, args...)...)
		if code != exitHeld || strings.Count(stderr, "the scenario names no schema for editors, since the home ") != 1 {
			t.Fatalf("init %v: exit %d: %s", args, code, stderr)
		}
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(text), "schema") || !strings.HasPrefix(string(text), "# ") {
			t.Errorf("the scenario begins with %.100q: %v", text, err)
		}
		t.Setenv("SLIMLAB_HOME", t.TempDir())
		if _, stderr, code := slimlab(t, "check", file); code != exitHeld {
			t.Errorf("check %s: exit %d: %s", file, code, stderr)
		}
	}
}

// TestInitCompressesARealCheckpoint: a folder in, a table of 3 ratios times 4 schemes out.
func TestInitCompressesARealCheckpoint(t *testing.T) {
	model := shareddata.Path(t, "models/TinyStories-656K")
	newHome(t)
	t.Chdir(t.TempDir())
	if _, stderr, code := slimlab(t, "init", "--model", model, "--file", "small.yaml"); code != exitHeld {
		t.Fatalf("init: exit %d: %s", code, stderr)
	}
	table, stderr, code := slimlab(t, "run", "small.yaml", "--quick", "--export", "csv=-")
	if code != exitHeld {
		t.Fatalf("run: exit %d: %s", code, stderr)
	}
	for _, ratio := range []string{"0", "0.2", "0.4"} {
		for _, scheme := range []string{"none", "w8a8", "w4a16", "fp8"} {
			if !strings.Contains(table, ratio+","+scheme) {
				t.Errorf("no row of ratio %s and scheme %s in\n%s", ratio, scheme, table)
			}
		}
	}
}

// TestScenarioFileInThePlaceOfAVerb: a file opens the workbench, which names the headless command
// where there is no terminal; what is no file is named as such, and a typing error keeps its
// suggestion.
func TestScenarioFileInThePlaceOfAVerb(t *testing.T) {
	file := newHome(t)
	dir := filepath.Join(t.TempDir(), "folder.yaml")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{file}, "slimlab run " + file + " --quick"},
		{[]string{"nowhere.yaml"}, "nowhere.yaml: no such scenario"},
		{[]string{dir}, "found a folder"},
		{[]string{file, file}, "found 2 files, expected one"},
		{[]string{"rnu"}, `did you mean`},
	} {
		if _, stderr, code := slimlab(t, c.args...); code != exitUsage || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: exit %d, %q, expected %q", c.args, code, stderr, c.says)
		}
	}
}
