package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"slimlab/internal/filelock"
	"slimlab/internal/shareddata"
	"slimlab/lab/home"
	"slimlab/lab/optimize"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
)

// optimizeTask writes a scenario whose task a search takes.
func optimizeTask(t *testing.T) string {
	t.Helper()
	t.Setenv("SLIMLAB_HOME", filepath.Join(t.TempDir(), "home"))
	file := filepath.Join(t.TempDir(), "task.yaml")
	if err := os.WriteFile(file, []byte("name: t\ntask: { kind: recsys, members: 6 }\nevaluate: { validation: 6 }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// A search prints a front, saves the smallest model that reaches its goals, which is a model like
// any other, and finds all that it has done when it is asked again.
func TestOptimize(t *testing.T) {
	task := optimizeTask(t)
	out := filepath.Join(t.TempDir(), "out")
	args := []string{"optimize", "pretrained:recsys-student", out, "--task", task, "--schemes", "w8a8,w4a16-g32", "--mlp", "50%", "--candidates", "0", "--samples", "6", "--examples", "4", "--bytes", "65%", "--kl", "5", "--kv-bytes", "60%"}
	stdout, stderr, code := slimlab(t, args...)
	if code != exitHeld || !strings.Contains(stdout, "Pareto front") || !strings.Contains(stdout, "saved ") {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{"the space: each layer with all of its neurons or without 50%; each layer in bfloat16, w8a8, w4a16-g32: 215 models, each with a KV cache in bfloat16, int8, k8v4, int4; ", "the uniform ones alone (--candidates 0)", "KV cache in k8v4", "predicted KL", "by the KV cache in k8v4), true KL", "--kv k8v4", "\ntransformers: ", "\nvLLM: ", "\nllama.cpp: does not load"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	for _, want := range []string{"needs up to about ", "no statistics are kept on disk", "a first estimate by the pace of the first pass"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
	if strings.Contains(stderr, "KV heads") {
		t.Errorf("heads are reported, and none were cut:\n%s", stderr)
	}
	if card, err := os.ReadFile(filepath.Join(out, "README.md")); err != nil || !strings.Contains(string(card), "KV cache of k8v4") || !strings.Contains(string(card), "The goals were --bytes 65%, --kv-bytes 60%, --kl 5: it reaches all.") {
		t.Errorf("the card: %v\n%s", err, card)
	}
	if inspected, _, code := slimlab(t, "inspect", out); code != exitHeld || !strings.Contains(inspected, "w4a16") {
		t.Errorf("the saved model: exit %d\n%s", code, inspected)
	}
	args[2] = filepath.Join(t.TempDir(), "again")
	stdout, stderr, code = slimlab(t, append(args, "--format", "json")...)
	var result struct {
		Points []struct {
			Row   string
			Front bool
		}
		Saved string
	}
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || code != exitHeld || len(result.Points) < 3 || result.Saved == "" {
		t.Errorf("exit %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if !strings.Contains(stderr, "from cache") && !strings.Contains(stderr, "cached") {
		t.Logf("progress of the second search:\n%s", stderr)
	}
}

// A budget that cannot be met ends with the nearest row and the code of an expectation that does
// not hold.
func TestOptimizeThatCannotBe(t *testing.T) {
	task := optimizeTask(t)
	args := []string{"optimize", "pretrained:recsys-student", "--task", task, "--schemes", "w8a8", "--mlp", "50%", "--candidates", "0", "--samples", "6", "--examples", "4"}
	stdout, stderr, code := slimlab(t, append(args, "--bytes", "70%", "--kl", "0")...)
	if code != exitExpectation || !strings.Contains(stdout+stderr, "no model that was built reaches all goals: the nearest, ") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--bytes", "1%"}, "--bytes 1%: cannot be reached: embedding, head and norms"},
		{[]string{"--bytes", "1kB"}, "--bytes 1kB: cannot be reached"},
		{[]string{"--task", "movielens"}, "--task FILE.yaml"},
		{[]string{"--kv-bytes", "1%"}, "--kv-bytes 1%: cannot be reached: the smallest format of --kv takes"},
		{[]string{"--schemes", "w4a16-g48"}, "--schemes: w4a16-g48: groups of 48 do not divide"},
		{[]string{"--train-tokenizer"}, "--train-tokenizer: model pretrained:recsys-student has a tokenizer of its own"},
		{[]string{"--bytes", "140%"}, "--bytes 140%: expected a share"},
		{[]string{"--auc", "0.1"}, "--auc 0.1: expected a relative change"},
		{[]string{"--schemes", "w5a16"}, `w5a16`},
		{[]string{"--mlp", "120%"}, "expected shares below 1"},
		{[]string{"--mlp", "25%,99.99%"}, "--mlp 99.99%: leaves none of the "},
		{[]string{"--mlp", "0.001%"}, "--mlp 0.001%: rounds to none of the "},
		{[]string{"--candidates", "1000000000"}, "--candidates 1000000000: expected a number of sizes of at most 1000"},
		{[]string{"--samples", "1000000000"}, "--samples 1000000000: expected 1 to 1000000"},
		{[]string{"--examples", "1000000000"}, "--examples 1000000000: expected 1 to 1000000"},
		{[]string{"--recover", "1000000000"}, "--recover 1000000000: expected a number of steps of at most 100000000"},
		{[]string{"--task", "nothing"}, "unknown scenario"},
		{[]string{"--format", "yaml"}, "yaml"},
		{[]string{"--kv", "int9"}, `--kv has an unknown KV format "int9": expected one of bfloat16, `},
		{[]string{"--mlp", "20%,20%"}, `--mlp has "20%" twice`},
		{[]string{"--schemes", "w8a8,w8a8"}, `--schemes has "w8a8" twice`},
		{[]string{"--kv-bytes", "140%"}, "--kv-bytes 140%: expected a share"},
	} {
		_, stderr, code := slimlab(t, append(args, c.args...)...)
		if code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit %d, %s, expected %q", c.args, code, stderr, c.want)
		}
	}
}

// The share of --bytes is of bfloat16, which is said where a model is stored in more.
func TestOptimizeSaysWhatSharesAreOf(t *testing.T) {
	for stored, said := range map[float64]bool{4e6: true, 2e6: false} {
		r := searchResult{Choice: optimize.Choice{Chosen: -1, Nearest: -1, Points: []optimize.Point{{Candidate: optimize.Base, Row: optimize.Base, Values: map[string]float64{"bytes": stored, "params": 1e6}}}}}
		if text := r.text(); strings.Contains(text, "stored in 4.00MB; shares of --bytes are of its 2.00MB in bfloat16") != said {
			t.Errorf("stored in %g bytes:\n%s", stored, text)
		}
	}
}

// A search whose time ends before anything is measured says so, and prints no empty table.
func TestOptimizeWithoutTime(t *testing.T) {
	task := optimizeTask(t)
	stdout, stderr, code := slimlab(t, "optimize", "pretrained:recsys-student", "--task", task, "--schemes", "w8a8", "--mlp", "50%", "--kv", "bfloat16", "--candidates", "0", "--samples", "6", "--examples", "4", "--time", "1ms")
	if code != exitBroke || stdout != "" || !strings.Contains(stderr, "--time 1ms was over before the first candidate was") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

// A folder that is locked, here by the test's own process, or that holds something, is refused
// before anything is measured.
func TestOptimizeIntoFolder(t *testing.T) {
	task := optimizeTask(t)
	out := filepath.Join(t.TempDir(), "out")
	args := []string{"optimize", "pretrained:recsys-student", out, "--task", task}
	held, err := filelock.AcquireFolder(out)
	if err != nil {
		t.Fatal(err)
	}
	_, stderr, code := slimlab(t, append(args, "--rehearse")...)
	if held.Release(); code != exitUsage || !strings.Contains(stderr, "this command writes it already") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	must(t, os.MkdirAll(out, 0o755))
	must(t, os.WriteFile(filepath.Join(out, "notes"), nil, 0o644))
	if _, stderr, code := slimlab(t, args...); code != exitUsage || !strings.Contains(stderr, "holds notes already, expected a new folder") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	must(t, os.RemoveAll(out))
	must(t, os.MkdirAll(out+".partial", 0o755))
	writeFile(t, filepath.Join(out+".partial", "slimlab-recipe.json"), "{}")
	if _, stderr, code := slimlab(t, args...); code != exitUsage || !strings.Contains(stderr, "out.partial holds the unfinished work of another command: repeat that command to finish it") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	if _, err := os.Stat(os.Getenv("SLIMLAB_HOME")); err == nil {
		t.Error("a search that was refused has begun a run")
	}
}

// A folder keeps the settings for sampling of its model, byte for byte; a model without them leaves
// none.
func TestOptimizeKeepsSampling(t *testing.T) {
	dir := t.TempDir()
	p := &program{home: home.Open(filepath.Join(dir, "home"), "test")}
	for _, folder := range []string{"with", "without"} {
		if _, stderr, code := slimlab(t, "export", "pretrained:recsys-student", filepath.Join(dir, folder)); code != exitHeld {
			t.Fatal(stderr)
		}
	}
	const settings = "{\"do_sample\": true, \"temperature\": 0.7}\n"
	writeFile(t, filepath.Join(dir, "with", samplingFile), settings)
	for model, want := range map[string]string{"with": settings, "without": ""} {
		to := t.TempDir()
		if err := p.copySampling(filepath.Join(dir, model), to); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(filepath.Join(to, samplingFile)); string(text) != want || (err == nil) != (want != "") {
			t.Errorf("%s: found %q, %v", model, text, err)
		}
	}
}

// A rehearsal runs the whole search on a small twin first and leaves nothing of it.
func TestRehearse(t *testing.T) {
	task := optimizeTask(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	killed, long := filepath.Join(temporary, "slimlab-rehearsal-1"), time.Now().Add(-time.Hour)
	if err := errors.Join(os.Mkdir(killed, 0o700), os.Chtimes(killed, long, long)); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := slimlab(t, "optimize", "pretrained:recsys-student", "--task", task, "--schemes", "w8a8", "--mlp", "50%", "--candidates", "0", "--samples", "6", "--examples", "4", "--rehearse")
	if code != exitHeld || !strings.Contains(stderr, "the rehearsal on a random model of two layers came to its end") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	for line := range strings.Lines(stderr) {
		if strings.Contains(line, "came to its end") {
			break
		}
		if !strings.Contains(line, "rehearsal") {
			t.Errorf("a line of the rehearsal does not say so: %s", line)
		}
	}
	if runs, _, _ := slimlab(t, "runs"); strings.Count(runs, "\n") != 2 {
		t.Errorf("runs beside the search's own:\n%s", runs)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "slimlab-rehearsal-*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// TestRehearsedSections: a rehearsal measures on little of each section that a task has.
func TestRehearsedSections(t *testing.T) {
	of := map[string]any{
		"task":     map[string]any{"kind": "recsys", "members": 400, "candidates": 4},
		"serve":    map[string]any{"workload": "ranking", "members": 120},
		"evaluate": map[string]any{"validation": 300, "choice": "items.jsonl"},
	}
	want := map[string]any{
		"task":     map[string]any{"kind": "recsys", "members": 16, "candidates": 4},
		"serve":    map[string]any{"workload": "ranking", "members": 2},
		"evaluate": map[string]any{"validation": 4, "tokens": 0, "choice": "items.jsonl", "choice_limit": 4},
	}
	if got := rehearsed(of); !reflect.DeepEqual(got, want) {
		t.Errorf("found %v, expected %v", got, want)
	}
	text := map[string]any{"task": map[string]any{"kind": "text", "path": "a.txt"}, "tokenizer": map[string]any{"vocab": 30000}}
	want = map[string]any{"task": map[string]any{"kind": "text", "path": "a.txt", "length": 32}, "evaluate": map[string]any{"validation": 4, "tokens": 0}}
	if got := rehearsed(text); !reflect.DeepEqual(got, want) {
		t.Errorf("found %v, expected %v", got, want)
	}
}

// A place in the file of a search is left out, another one is not, and keys of its steps are named
// by their flags.
func TestErrorOfSearch(t *testing.T) {
	for text, want := range map[string]string{
		"optimize.yaml:5:9: task: too short":  "task: too short",
		"own.yaml:5:9: task: too short":       "own.yaml:5:9: task: too short",
		"cell seed=1: optimize.yaml is short": "cell seed=1: optimize.yaml is short",
		"optimize.yaml":                       "optimize.yaml",
		"optimize.yaml:5:9: step layers' calibration's samples is 9, expected more": "--samples is 9, expected more",
		"optimize.yaml:5:9: step layers' calibration.samples is 9: too few":         "--samples is 9: too few",
		"optimize.yaml:5:9: step layers' examples is 9, expected more":              "--examples is 9, expected more",
		"optimize.yaml:5:9: step layers' mlp has 1%, which":                         "--mlp has 1%, which",
		"optimize.yaml:5:9: step c1-recovered's steps is 9, expected more":          "--recover is 9, expected more",
	} {
		if got := ofSearch(errors.New(text)).Error(); got != want {
			t.Errorf("%s: found %q, expected %q", text, got, want)
		}
	}
}

// The bounds of the flags are those of the steps.
func TestOptimizeBounds(t *testing.T) {
	task := map[string]any{"task": map[string]any{"kind": "recsys", "members": 6}}
	mixed := []optimize.Candidate{{Name: "c1", MLP: []string{"50%"}, Schemes: []string{"none"}}}
	for _, more := range []int{0, 1} {
		for _, s := range []optimize.Setting{{Samples: mostSamples + more, Examples: 1}, {Samples: 1, Examples: mostSamples + more}, {Samples: 1, Recover: mostSteps + more}} {
			s.Model, s.Sections, s.Schemes = "pretrained:recsys-fm", task, []string{"w8a8"}
			text := s.Sensitivity()
			if s.Recover > 0 {
				text = s.Build(mixed, nil)
			}
			if _, err := scenario.Parse(searchFile, text, scenario.Options{Vocabulary: run.Vocabulary()}); (err == nil) != (more == 0) || err != nil && !strings.HasPrefix(ofSearch(err).Error(), "--") {
				t.Errorf("%d samples, %d examples, %d steps: %v", s.Samples, s.Examples, s.Recover, err)
			}
		}
	}
}

// tale writes a short text.
func tale(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "text.txt")
	if err := os.WriteFile(file, []byte(strings.Repeat("Once upon a time there was a little girl. She had a dog, and they went to the park.\nThe dog ran far away and the girl was sad, but it came back to her.\n", 60)), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// A model without a tokenizer reads no text, unless one is to be trained, which is said.
func TestOptimizeWithoutTokenizer(t *testing.T) {
	t.Setenv("SLIMLAB_HOME", filepath.Join(t.TempDir(), "home"))
	own, text := shareddata.Path(t, "models/TinyStories-656K"), tale(t)
	folder := filepath.Join(t.TempDir(), "none")
	if err := os.CopyFS(folder, os.DirFS(own)); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"token*", "special*"} {
		files, _ := filepath.Glob(filepath.Join(folder, pattern))
		for _, file := range files {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	args := []string{"optimize", folder, filepath.Join(t.TempDir(), "out"), "--task", text, "--kl", "5", "--schemes", "w8a8", "--mlp", "50%", "--kv", "bfloat16", "--candidates", "0", "--samples", "4", "--examples", "2"}
	for _, more := range [][]string{nil, {"--rehearse"}} {
		_, stderr, code := slimlab(t, append(args, more...)...)
		if code != exitUsage || !strings.Contains(stderr, folder+": the model has no tokenizer, so no text can be read") || !strings.Contains(stderr, "--train-tokenizer") {
			t.Errorf("%v: exit %d\n%s", more, code, stderr)
		}
	}
	if _, err := os.Stat(os.Getenv("SLIMLAB_HOME")); err == nil {
		t.Error("a search that was refused has begun a run")
	}
	stdout, stderr, code := slimlab(t, append(args, "--train-tokenizer")...)
	if code != exitHeld || !strings.Contains(stdout, "figures are by tokens of one that was trained on the task's text") || !strings.Contains(stdout, "saved ") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

// Without a goal nothing is saved, which is said before and after with a command that saves a row,
// and nothing is called what was asked for.
func TestOptimizeWithoutGoals(t *testing.T) {
	task := optimizeTask(t)
	out := filepath.Join(t.TempDir(), "out")
	stdout, stderr, code := slimlab(t, "optimize", "pretrained:recsys-student", out, "--task", task, "--schemes", "w3a16-rtn", "--mlp", "50%", "--kv", "bfloat16", "--candidates", "0", "--samples", "6", "--examples", "4")
	if code != exitHeld || !strings.Contains(stderr, "note: there is no goal, so no model is chosen and nothing is saved") || strings.Contains(stdout, "keeps what was asked for") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a model was saved")
	}
	_, command, found := strings.Cut(stdout, "save a row with slimlab ")
	if !found {
		t.Fatalf("no command in\n%s", stdout)
	}
	command, _, _ = strings.Cut(command, "\n")
	words := strings.Fields(strings.NewReplacer("ROW", "c2", "FOLDER", out).Replace(command))
	if _, stderr, code := slimlab(t, words...); code != exitHeld {
		t.Errorf("%v: exit %d\n%s", words, code, stderr)
	}
}

// Number formats that nobody asked for fit the model's widths, which is said; others are refused
// with those that would do.
func TestOptimizeOddWidths(t *testing.T) {
	task := optimizeTask(t)
	odd := filepath.Join(t.TempDir(), "odd")
	if _, stderr, code := slimlab(t, "prune", "pretrained:recsys-student", odd, "--mlp", "45%", "--align", "1", "--random-calibration", "--samples", "4", "--length", "32"); code != exitHeld {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	args := []string{"optimize", odd, "--task", task, "--mlp", "50%", "--kv", "bfloat16", "--candidates", "0", "--samples", "6", "--examples", "4"}
	stdout, stderr, code := slimlab(t, args...)
	if code != exitHeld || !strings.Contains(stdout, "w4a16-gchannel") || strings.Count(stderr, "w4a16-gchannel is in the place of w4a16") != 1 {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	_, stderr, code = slimlab(t, append(args, "--schemes", "w8a8,w4a16")...)
	if code != exitUsage || !strings.Contains(stderr, "--schemes: w4a16: groups of 8 do not divide the") || !strings.Contains(stderr, "down_proj; expected w4a16-gchannel") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
}

// The folder of a model that misses goals says so, and by what.
func TestOptimizeCardOfMisses(t *testing.T) {
	goals, err := optimize.Goals{Bytes: "50%"}.Parse()
	if err != nil {
		t.Fatal(err)
	}
	r := searchResult{Goals: []string{"--bytes 50%"}, Choice: optimize.Choice{Points: []optimize.Point{{Candidate: "c1", Row: "c1", Misses: []optimize.Misses{{Goal: goals[0], Value: 0.50027}}}}}}
	if card, want := r.card("m", 0), "The goals were --bytes 50%. No model that was built reaches all; this is the nearest, and misses --bytes 50%: 50.03%."; !strings.Contains(card, want) {
		t.Errorf("no %q in\n%s", want, card)
	}
}

// A model with a number that is too large to compute with is refused with its tensor, in a search
// as in a scenario.
func TestOptimizeNamesTensor(t *testing.T) {
	task := optimizeTask(t)
	folder := filepath.Join(t.TempDir(), "large")
	if _, stderr, code := slimlab(t, "import", "pretrained:recsys-student", folder, "--dtype", "f32"); code != exitHeld {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	const name = "model.layers.1.mlp.up_proj.weight"
	files, _ := filepath.Glob(filepath.Join(folder, "*.safetensors"))
	found := false
	for _, file := range files {
		found = overwriteFirst(t, file, name, 1e30) || found
	}
	if !found {
		t.Fatalf("no %s in %v", name, files)
	}
	scenario := filepath.Join(t.TempDir(), "large.yaml")
	text := "name: large\ntask: { kind: recsys, members: 6 }\nmodels: { m: { load: \"" + folder + "\" } }\npipeline:\n  - baseline: { name: m, model: m }\n  - %s\nbaseline: m\ncolumns: [params]\nseeds: 1\n"
	for _, step := range []string{"", "prune: { name: p, from: m, mlp: 50%, calibration: { samples: 6 } }", "quantize: { name: q, from: m, scheme: w4a16, calibration: { samples: 6 } }"} {
		args := []string{"optimize", folder, "--task", task, "--schemes", "w8a8", "--mlp", "50%", "--samples", "6", "--examples", "4"}
		if step != "" {
			if err := os.WriteFile(scenario, []byte(strings.Replace(text, "%s", step, 1)), 0o644); err != nil {
				t.Fatal(err)
			}
			args = []string{"run", scenario}
		}
		_, stderr, code := slimlab(t, args...)
		if code == exitHeld || step == "" && code != exitUsage || !strings.Contains(stderr, name+" has the largest number, 1e+30") {
			t.Errorf("%q: exit %d\n%s", step, code, stderr)
		}
	}
}

// overwriteFirst writes the first number of a float32 tensor of a safetensors file, where the file
// has it.
func overwriteFirst(t *testing.T, file, tensor string, x float32) bool {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(data)
	var header map[string]struct {
		Offsets []uint64 `json:"data_offsets"`
	}
	if err := json.Unmarshal(data[8:8+n], &header); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if len(header[tensor].Offsets) != 2 {
		return false
	}
	binary.LittleEndian.PutUint32(data[8+n+header[tensor].Offsets[0]:], math.Float32bits(x))
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return true
}

// A shape is told from a folder that is missing: how a model of it is made.
func TestShapeIsNoModel(t *testing.T) {
	task := optimizeTask(t)
	for _, args := range [][]string{{"optimize", "random:stories15m", "--task", task}, {"inspect", "random:stories15m"}} {
		if _, stderr, code := slimlab(t, args...); code != exitUsage || !strings.Contains(stderr, "`slimlab import random:stories15m FOLDER` writes one with random weights") {
			t.Errorf("%v: exit %d\n%s", args, code, stderr)
		}
	}
}
