package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slimlab/lab"
	"slimlab/lab/store"
	"strings"
	"testing"
)

// tiny is a scenario of seconds: a teacher, a pruned and a quantized model of it.
const tiny = `
name: tiny
about: for tests of the command line
task: { kind: recsys, members: 12, candidates: 2 }
tokenizer: { vocab: 400 }
models:
  shape: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 32 }
params: { steps: 3 }
pipeline:
  - train:    { name: teacher, into: shape, steps: "${steps}", batch: 2, learning_rate: 1e-3 }
  - prune:    { name: pruned, mlp: 0.5, calibration: { samples: 8 } }
  - quantize: { name: w8a8, scheme: w8a8 }
columns: [params, bytes, smaller, auc_soft, auc_soft_delta]
expect:
  - smaller(row=w8a8) > 1
`

// slimlab runs a command line in a home of its own and returns what it printed and its exit code.
func slimlab(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(context.Background(), args, &out, &errs)
	return out.String(), errs.String(), code
}

// newHome gives the test a home of its own and returns the tiny scenario's file.
func newHome(t *testing.T) (scenario string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("SLIMLAB_HOME", filepath.Join(dir, "home"))
	scenario = filepath.Join(dir, "tiny.yaml")
	if err := os.WriteFile(scenario, []byte(tiny), 0o644); err != nil {
		t.Fatal(err)
	}
	return scenario
}

func TestRunShowCompareExport(t *testing.T) {
	file := newHome(t)
	dir := filepath.Dir(file)
	events := filepath.Join(dir, "events.jsonl")
	junit := filepath.Join(dir, "out.xml")
	table, progress, code := slimlab(t, "run", file, "--export", "junit="+junit, "--events", events, "--save", "w8a8="+filepath.Join(dir, "saved"))
	if code != exitHeld {
		t.Fatalf("exit %d: %s", code, progress)
	}
	for _, want := range []string{"teacher", "pruned", "w8a8", "smaller", "held"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	if !strings.Contains(progress, "measured pruned") {
		t.Errorf("progress names no row:\n%s", progress)
	}
	lines := strings.Split(strings.TrimSpace(read(t, events)), "\n")
	for i, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Fatalf("line %d of the events is no JSON: %s", i+1, line)
		}
	}
	if !strings.Contains(lines[0], `"begin"`) || !strings.Contains(read(t, junit), "<testsuite") {
		t.Error("the events do not begin with begin, or JUnit is no test suite")
	}
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json"} {
		if _, err := os.Stat(filepath.Join(dir, "saved", name)); err != nil {
			t.Errorf("saved model: %v", err)
		}
	}

	shown, _, code := slimlab(t, "show", "last")
	if code != exitHeld || !strings.Contains(shown, "w8a8") {
		t.Errorf("show: exit %d\n%s", code, shown)
	}
	csv, _, code := slimlab(t, "show", "last", "--format", "csv")
	if code != exitHeld || !strings.HasPrefix(csv, "row,") {
		t.Errorf("show as csv: exit %d\n%s", code, csv)
	}
	// The second run finds every artifact and ends with the same figures.
	again, _, code := slimlab(t, "run", file)
	if code != exitHeld || rows(again) != rows(table) {
		t.Errorf("the second run: exit %d\n%s\nthe first:\n%s", code, again, table)
	}
	checked, _, _ := slimlab(t, "check", file)
	if strings.Count(checked, "cached") != 3 {
		t.Errorf("check does not find three cached models:\n%s", checked)
	}
	checked, _, _ = slimlab(t, "check", file, "--format", "json")
	if !json.Valid([]byte(checked)) || !strings.Contains(checked, `"schema": "slimlab.plan/1"`) || strings.Count(checked, `"state": "cached"`) != 3 {
		t.Errorf("check as JSON:\n%s", checked)
	}
	runs, _, _ := slimlab(t, "runs")
	ids := regexp.MustCompile(`(?m)^\S+`).FindAllString(runs, -1)
	if len(ids) != 2 {
		t.Fatalf("runs lists %q", runs)
	}
	document, _, _ := slimlab(t, "runs", "--format", "json")
	var list struct {
		Schema string
		Runs   []struct{ Run, Scenario, Started, State string }
	}
	if err := json.Unmarshal([]byte(document), &list); err != nil || list.Schema != "slimlab.runs/1" || len(list.Runs) != 2 ||
		list.Runs[0].Run != ids[0] || list.Runs[1].Run != ids[1] || list.Runs[0].State != "done" || list.Runs[0].Started == "" {
		t.Errorf("runs as JSON: %v\n%s", err, document)
	}
	if out, errs, code := slimlab(t, "compare", ids[1], ids[0]); code != exitHeld {
		t.Errorf("comparing equal runs: exit %d %s\n%s", code, errs, out)
	}
}

// rows cuts the lines of a table that carry figures.
func rows(table string) string {
	var out []string
	for _, line := range strings.Split(table, "\n") {
		if strings.HasPrefix(line, "teacher") || strings.HasPrefix(line, "pruned") || strings.HasPrefix(line, "w8a8") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestExitCodesAndErrors(t *testing.T) {
	file := newHome(t)
	cases := []struct {
		args []string
		code int
		want string // in stderr
	}{
		{[]string{"run", "figure2"}, exitUsage, `did you mean "figure1"`},
		{[]string{"run", file, "--seeds", "0"}, exitUsage, "--seeds 0: expected at least 1"},
		{[]string{"check", file, "--seeds", "-2"}, exitUsage, "--seeds -2: expected at least 1"},
		{[]string{"run", file, "--jobs", "-3"}, exitUsage, "--jobs -3: expected at least 1, or 0 for one per core"},
		{[]string{"run", file, "--retime", "--fresh"}, exitUsage, "give one of the two"},
		{[]string{"run", file, "--set", "pruned.method=oscar"}, exitUsage, `did you mean "osscar"`},
		{[]string{"run", file, "--set", "columns=[acu]"}, exitUsage, `did you mean "auc"`},
		{[]string{"run", file, "--set", "w8a8.scheme=w8a9"}, exitUsage, `did you mean "w8a8"`},
		{[]string{"run", file, "--export", "yaml=x"}, exitUsage, "expected one of"},
		{[]string{"run", file, "--export", "csv=-", "--events", "-"}, exitUsage, "standard output is taken by an --export"},
		{[]string{"run", file, "--export", "md=/no/such/folder/x.md"}, exitUsage, "no such file or directory"},
		{[]string{"run", file, "--save", "w9=x"}, exitUsage, `row "w9": expected one of teacher; pruned; w8a8`},
		{[]string{"run", file, "--set", "models.shape={load: /no/model}"}, exitUsage, "/no/model: no such folder"},
		{[]string{"run", file, "--set", "teacher.learning_rate=0"}, exitUsage, "learning_rate"},
		{[]string{"run", "own-data"}, exitUsage, "task.path"},
		{[]string{"run", "own-data", "--set", "task.path=/no/file"}, exitUsage, "/no/file"},
		{[]string{"show", "nothing"}, exitUsage, "not found"},
		{[]string{"compare", "nothing", "nothing"}, exitBaseline, "not found"},
		{[]string{"replay", "nothing"}, exitUsage, "not found"},
		{[]string{"frobnicate"}, exitUsage, `verb "frobnicate": expected one of`},
		{[]string{}, exitUsage, "needs a terminal"},
	}
	for _, c := range cases {
		_, stderr, code := slimlab(t, c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("slimlab %s: exit %d, want %d; said %q, want %q in it", strings.Join(c.args, " "), code, c.code, stderr, c.want)
		}
		if strings.Count(strings.TrimSpace(stderr), "\n") > 0 {
			t.Errorf("slimlab %s: says more than a line: %q", strings.Join(c.args, " "), stderr)
		}
	}
	if _, stderr, code := slimlab(t, "run", file, "--set", "expect=[\"smaller(row=w8a8) > 100\"]"); code != exitExpectation {
		t.Errorf("an expectation that does not hold: exit %d, %s", code, stderr)
	}
	t.Setenv("SLIMLAB_KERNELS", "avx1024")
	if _, stderr, code := slimlab(t, "scenarios"); code != exitUsage || !strings.Contains(stderr, "avx1024") {
		t.Errorf("an unknown kernel: exit %d, %s", code, stderr)
	}
}

// TestInterruptedRunGoesOn cancels a run in its first step; the same command then ends as if
// nothing had been.
func TestInterruptedRunGoesOn(t *testing.T) {
	file := newHome(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, errs bytes.Buffer
	if code := execute(ctx, []string{"run", file}, &out, &errs); code != exitInterrupted {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	if _, stderr, code := slimlab(t, "run", file); code != exitHeld {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// TestReadme holds the README to the program: every verb and flag that it names exists, and the
// shipped scenarios are those it lists.
func TestReadme(t *testing.T) {
	newHome(t)
	readme := read(t, "README.md")
	help, _, _ := slimlab(t, "--help")
	verbs := regexp.MustCompile(`(?m)^  ([a-z-]+) +[a-z]`).FindAllStringSubmatch(help, -1)
	if len(verbs) < 10 {
		t.Fatalf("--help lists %d verbs:\n%s", len(verbs), help)
	}
	for _, found := range verbs {
		verb := found[1]
		if verb == "help" {
			continue
		}
		if !strings.Contains(readme, verb) {
			t.Errorf("README.md does not name the verb %s", verb)
		}
		text, stderr, code := slimlab(t, verb, "--help")
		if code != exitHeld {
			t.Errorf("slimlab %s --help: exit %d %s", verb, code, stderr)
		}
		help += text
	}
	for _, flag := range regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(readme, -1) {
		if !strings.Contains(help, flag) {
			t.Errorf("README.md names %s, which no verb knows", flag)
		}
	}
	listed, _, _ := slimlab(t, "scenarios")
	for _, line := range strings.Split(strings.TrimSpace(listed), "\n") {
		if name := strings.Fields(line)[0]; !strings.Contains(readme, "`"+name+"`") {
			t.Errorf("README.md does not list the scenario %s", name)
		}
	}
}

// TestVerbsWithoutAHome: verbs that can do without a home work where none can be written, and
// one that must write says why it cannot.
func TestVerbsWithoutAHome(t *testing.T) {
	file := newHome(t)
	nowhere := filepath.Join(file, "home") // below a file
	t.Setenv("SLIMLAB_HOME", nowhere)
	text, _ := evalFiles(t)
	for _, c := range []struct {
		args []string
		want string // in stdout
	}{
		{[]string{"inspect", "pretrained:recsys-fm"}, "LlamaForCausalLM"},
		{[]string{"scenarios"}, "figure1"},
		{[]string{"check", file}, "to build"},
		{[]string{"tokenize", "pretrained:recsys-fm"}, "["},
		{[]string{"show", "demo"}, "FM"},
		// TestEvalWithoutAHome
		{[]string{"eval", "pretrained:recsys-fm", "--text", text, "--limit", "1"}, "perplexity"},
		{[]string{"import", "pretrained:recsys-fm", filepath.Join(t.TempDir(), "x")}, "parameters"},
	} {
		stdout, stderr, code := slimlab(t, c.args...)
		if code != exitHeld || !strings.Contains(stdout, c.want) {
			t.Errorf("slimlab %s: exit %d, %s", strings.Join(c.args, " "), code, stderr)
		}
	}
	if _, stderr, code := slimlab(t, "run", file); code != exitUsage || !strings.Contains(stderr, "the home "+nowhere+", which SLIMLAB_HOME chooses") || !strings.Contains(stderr, "set SLIMLAB_HOME to a folder") {
		t.Errorf("slimlab run: exit %d, said %q, expected the home and what chooses it", code, stderr)
	}
}

// TestDamagedLog: what stands before the damage of a run's log is shown by every verb, marked; a
// comparison of it is not one.
func TestDamagedLog(t *testing.T) {
	file := newHome(t)
	for range 2 {
		if _, errs, code := slimlab(t, "run", file); code != exitHeld {
			t.Fatalf("exit %d: %s", code, errs)
		}
	}
	logs, err := filepath.Glob(filepath.Join(os.Getenv("SLIMLAB_HOME"), "runs", "*"))
	if err != nil || len(logs) != 2 {
		t.Fatal(logs, err)
	}
	list, _, _ := slimlab(t, "runs")
	ids := regexp.MustCompile(`(?m)^\S+`).FindAllString(list, -1) // the newest first
	last, whole := ids[0], ids[1]
	name := filepath.Join(filepath.Dir(logs[0]), last+".runlog")
	if logs[0] == name { // the names of runs of one second have no order
		logs[0], logs[1] = logs[1], logs[0]
	}
	text := []byte(read(t, name))
	at := bytes.Index(text, []byte("w8a8\xa1w")) // the row's record
	if at < 0 {
		t.Fatal("the log has no row of w8a8")
	}
	text[at] ^= 1
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if runs, _, code := slimlab(t, "runs"); code != exitHeld || !strings.Contains(runs, "damaged: run log "+name) {
		t.Errorf("runs: exit %d\n%s", code, runs)
	}
	for _, format := range []string{"table", "json", "junit"} {
		out, errs, code := slimlab(t, "show", "last", "--format", format)
		if code != exitHeld || !strings.Contains(out, "its log is damaged") || format != "junit" && !strings.Contains(out, "pruned") || !strings.Contains(errs, "warning: run last is shown up to the damage") {
			t.Errorf("show --format %s: exit %d\n%s\n%s", format, code, out, errs)
		}
	}
	if out, errs, code := slimlab(t, "compare", whole, last); code != exitBaseline || !strings.Contains(out, "pruned") || !strings.Contains(errs, "before the damage") {
		t.Errorf("compare: exit %d\n%s\n%s", code, out, errs)
	}
	// one damage is warned of once, by whatever names its run is named
	for _, args := range []string{last + " --baseline " + whole, whole + " --baseline last", whole + " " + last + " last --baseline last", last + " " + last + " last"} {
		if _, errs, code := slimlab(t, append([]string{"compare"}, strings.Fields(args)...)...); code != exitBaseline || strings.Count(errs, "warning: run ") != 1 {
			t.Errorf("compare %s: exit %d\n%s", args, code, errs)
		}
	}
	if _, errs, code := slimlab(t, "replay", "last"); code != exitUsage || !strings.Contains(errs, "needs a terminal") {
		t.Errorf("replay does not open it: exit %d: %s", code, errs)
	}
	if _, errs, code := slimlab(t, "inspect", "run:"+last+"/pruned"); code != exitHeld {
		t.Errorf("a row before the damage: exit %d: %s", code, errs)
	}
	if _, errs, code := slimlab(t, "inspect", "run:"+last+"/w8a8"); code != exitUsage || !strings.Contains(errs, `has not measured the row w8a8, and its log is damaged behind what was read`) {
		t.Errorf("the row in the damage: exit %d: %s", code, errs)
	}
}

// TestCompareOfUnfinishedRuns: nothing is green that was not judged.
func TestCompareOfUnfinishedRuns(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("SLIMLAB_HOME", folder)
	logs := store.Open(filepath.Join(folder, "runs"))
	auc := 0.8
	write := func(id string, rows ...string) {
		begin := lab.Begin{Run: id, Scenario: "x", Rows: []string{"FM", "small"}, Cells: []lab.Cell{{ID: "seed=1", Seed: 1}}, Columns: []string{"auc"}}
		l, err := logs.Create(begin)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			l.Append(lab.Event{Kind: lab.KindRow, Cell: "seed=1", Row: row, Values: map[string]lab.Measure{"auc": {Value: auc, Low: auc - 0.01, High: auc + 0.01, N: 100}}})
		}
		if len(rows) == 2 {
			l.Append(lab.Event{Kind: lab.KindCell, Cell: "seed=1", State: lab.Done})
			l.Append(lab.Event{Kind: lab.KindEnd, State: lab.Done})
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write("whole", "FM", "small")
	write("part", "FM")
	write("none")
	auc = 0.7
	write("worse", "FM", "small")
	for _, c := range []struct {
		base, next string
		code       int
		says       string
	}{
		{"whole", "whole", exitHeld, ""},
		{"whole", "part", exitBaseline, "the new run crashed with 0 of 1 cell done"},
		{"part", "whole", exitHeld, "warning: the base crashed"},
		{"whole", "none", exitBaseline, "no row was measured in both runs"},
		{"none", "whole", exitBaseline, "no row was measured in both runs"},
		{"none", "none", exitBaseline, "no row was measured in both runs"},
	} {
		if _, errs, code := slimlab(t, "compare", c.base, c.next); code != c.code || !strings.Contains(errs, c.says) || c.says == "" && errs != "" {
			t.Errorf("%s against %s: exit %d, expected %d: %s", c.next, c.base, code, c.code, errs)
		}
	}
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"whole whole whole", exitHeld, ""},
		{"whole part --baseline whole", exitBaseline, "the new run crashed"},
		{"part whole --baseline whole", exitBaseline, "the new run crashed"},
		{"whole --baseline part", exitHeld, "warning: the base crashed"},
		{"whole whole part", exitBaseline, "#3 part: compared is only what was measured"},
		{"whole whole none", exitBaseline, "#3 none: the runs are not comparable"},
		{"whole worse none", exitRegression, "#2 worse: 2 figures are significantly worse, first auc of FM"},
		{"whole whole --format csv", exitHeld, ""},
		{"whole", exitUsage, "two runs or more"},
		{"whole whole nothing", exitBaseline, `run "nothing"`},
		{"whole whole --baseline nothing", exitBaseline, `run "nothing"`},
	} {
		if _, errs, code := slimlab(t, append([]string{"compare"}, strings.Fields(c.args)...)...); code != c.code || !strings.Contains(errs, c.says) || c.says == "" && errs != "" {
			t.Errorf("compare %s: exit %d, expected %d: %s", c.args, code, c.code, errs)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
