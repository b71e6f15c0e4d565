package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"slimlab/internal/shareddata"
	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/scenario"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/checkpoint"
	"slimlab/quant"
)

func states(t *testing.T, h *home.Home, text string, set ...string) string {
	t.Helper()
	cells, _, err := Check(t.Context(), h, parse(t, text, scenario.Options{Set: set}))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range cells {
		for _, s := range c.Steps {
			out = append(out, s.Name+" "+s.State)
		}
	}
	return strings.Join(out, ", ")
}

// TestCheck also shows what an artifact depends on: a setting that changes a step rebuilds it and
// all steps after it, and no other.
func TestCheck(t *testing.T) {
	h := copyHome(t, everything)
	const all = "teacher cached, student cached, pruned cached, healed cached, w8a8 cached, w4a16 cached"
	fromStudent := "teacher cached, student to build, pruned to build, healed to build, w8a8 to build, w4a16 to build"
	for _, c := range []struct{ set, want string }{
		{"", all},
		{"task.members=60", all},
		{"task.candidates=3", all},
		{"evaluate.validation=9", all},
		{"serve.members=4", all},
		{"columns=[auc]", all},
		{"task.world=2", strings.ReplaceAll(all, "cached", "to build")},
		{"tokenizer.vocab=500", strings.ReplaceAll(all, "cached", "to build")},
		{"teacher.steps=7", strings.ReplaceAll(all, "cached", "to build")},
		{"student.ce=0.2", fromStudent},
		{"student.loss=rkl", fromStudent},
		{"models.student-shape.mlp=64", fromStudent},
		{"pruned.calibration.samples=13", strings.Replace(fromStudent, "student to build", "student cached", 1)},
		{"w8a8.scheme=w8a8-gptq", strings.Replace(all, "w8a8 cached", "w8a8 to build", 1)},
		{"w4a16.calibration.source=generic", strings.Replace(all, "w4a16 cached", "w4a16 to build", 1)},
	} {
		var set []string
		if c.set != "" {
			set = append(set, c.set)
		}
		if got := states(t, h, chain, set...); got != c.want {
			t.Errorf("%s:\n%s\nexpected\n%s", c.set, got, c.want)
		}
	}
	if got, want := states(t, h, two), "base to build, small to build, base shared, small to build"; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
	if got, want := states(t, h, fmt.Sprintf(baseline, savedTeacher(t))), "FM loaded"; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
	if dirs := artifactDirs(t, h, func(title string) bool { return title == "train base" }); len(dirs) > 0 {
		t.Error("Check has trained a model")
	}
}

// TestSave: a row's model is a folder like any other, under the name of its run too.
func TestSave(t *testing.T) {
	ref := theReference(t)
	for _, row := range []string{"teacher", "pruned", "w8a8", "w4a16"} {
		h := copyHome(t, everything)
		copyRuns(t, h)
		folder := filepath.Join(t.TempDir(), "a", "b")
		if err := h.SaveRow(ref.run[:len(ref.run)-2], row, folder); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if got := strings.Join(names, " "); got != "config.json model.safetensors special_tokens_map.json tokenizer.json tokenizer_config.json" {
			t.Errorf("%s was saved as %s", row, got)
		}
		fromFolder := mustWork(t, h, parse(t, fmt.Sprintf(baseline, folder), scenario.Options{}), Options{}).Board
		fromRun := mustWork(t, h, parse(t, fmt.Sprintf(baseline, "run:"+ref.run+"/"+row), scenario.Options{}), Options{Sink: func(e lab.Event) {
			if e.Text == "evaluate" {
				t.Errorf("%s: the same content was evaluated again", row)
			}
		}}).Board
		sameFigures(t, fromRun, fromFolder, 1)
		view, original := fromFolder.Snapshot(), ref.board.Snapshot()
		at := slices.Index(original.Begin.Rows, row)
		for _, key := range []string{"params", "bytes", "auc"} {
			got, _ := view.Rows[0].Metric(key)
			want, _ := original.Rows[at].Metric(key)
			if got.Value != want.Seeds[0].Value {
				t.Errorf("%s: %s is %v as a loaded model, %v in its run", row, key, got.Value, want.Seeds[0].Value)
			}
		}
	}
	h := openHome(t, ref.home)
	if err := h.SaveRow(ref.run, "nothing", t.TempDir()); err == nil || !strings.Contains(err.Error(), "save row nothing: run "+ref.run+`: row "nothing": expected one of teacher; student`) {
		t.Errorf("error %v", err)
	}
	full := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(full, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.SaveRow(ref.run, "teacher", full); err == nil || !strings.HasPrefix(err.Error(), "save row teacher: ") {
		t.Errorf("error %v", err)
	}
}

// TestLoadScenario: a name is that of a shipped scenario, a name with an ending that of a file.
func TestLoadScenario(t *testing.T) {
	shipped := fstest.MapFS{"chain.yaml": {Data: []byte(chain)}, "deep/two.yaml": {Data: []byte(two)}}
	if s, err := LoadScenario("deep/two", shipped, scenario.Options{}); err != nil || s.Name != "two" {
		t.Errorf("error %v", err)
	}
	if _, err := LoadScenario("chian", shipped, scenario.Options{}); err == nil || !strings.Contains(err.Error(), "chain") {
		t.Errorf("error %v, expected the nearest name in it", err)
	}
	file := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(file, []byte(two), 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err := LoadScenario(file, shipped, scenario.Options{}); err != nil || s.Name != "two" {
		t.Errorf("error %v", err)
	}
}

// TestCheckWritesNothing: a plan is checked without a home, though its tokenizer has to be trained.
func TestCheckWritesNothing(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "home")
	if got, want := states(t, home.Open(folder, "test"), two), "base to build, small to build, base shared, small to build"; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the home was made: %v", err)
	}
}

// TestQuantizedReload: a quantized model that was written and read computes the very same.
func TestQuantizedReload(t *testing.T) {
	ref := theReference(t)
	dirs := artifactDirs(t, openHome(t, ref.home), func(title string) bool { return title == "train teacher" })
	source := readModel(t, dirs[0])
	batch := model.Batch{Starts: []int{0, 20}}
	for i := range 20 {
		batch.Tokens = append(batch.Tokens, int32(i*29%source.Vocab))
	}
	logits := func(m *model.Model) []float32 {
		hidden := m.Forward(batch, nil)
		out := make([]float32, len(batch.Tokens)*m.Vocab)
		m.Head.MulT(out, hidden, len(batch.Tokens))
		return out
	}
	for _, name := range []string{"none", "w8a8", "w8a8-gptq", "w4a16-rtn-g16", "w4a16-gptq-act-g8", "w4a8-rtn-g16", "w4a8-gptq-g8", "w4a16-rtn-gchannel", "w4a16-quantease-g16", "w8a16-gptq-g8", "w8a16-gchannel", "fp8"} {
		scheme, err := quant.ParseScheme(name)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := calibrate.NewInMemory(source)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := quant.Quantize(t.Context(), layers, quant.Uniform(scheme), [][]int32{batch.Tokens}, quant.Options{Scales: kernels.BFloat16}, nil); err != nil {
			t.Fatal(err)
		}
		small := layers.Compressed()
		dir := t.TempDir()
		if err := checkpoint.Save(context.Background(), dir, small, nil, checkpoint.SaveOptions{DType: checkpoint.BF16}); err != nil {
			t.Fatal(err)
		}
		read := readModel(t, dir)
		formats := map[string]bool{}
		for i, l := range read.Linears() {
			formats[l.Weight.Format()] = true
			if got, want := l.Weight.Format(), small.Linears()[i].Weight.Format(); got != want {
				t.Errorf("%s: %s was read as %s, written as %s", name, l.Name, got, want)
			}
		}
		if len(formats) != 1 {
			t.Errorf("%s: formats %v", name, slices.Collect(maps.Keys(formats)))
		}
		got, want := logits(read), logits(small)
		for i := range want {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
				t.Fatalf("%s: logit %d is %v after reading, %v before", name, i, got[i], want[i])
			}
		}
	}
}

// A GGUF file loads like the folder that it was made of, and measures the same.
func TestLoadGGUF(t *testing.T) {
	folder := shareddata.Path(t, "models", "TinyStories-656K")
	h := copyHome(t, everything)
	const text = `
name: loaded
task: { kind: jsonl, path: %q, max_tokens: 48 }
models: { tiny: { load: %q } }
pipeline: [ baseline: { name: tiny, model: tiny } ]
evaluate: { validation: 16 }
`
	data := writeJSONL(t, "")
	var values []map[string]lab.Measure
	for _, name := range []string{folder, filepath.Join(folder, "gguf", "tinystories-656K-F32.gguf")} {
		mustWork(t, h, parse(t, fmt.Sprintf(text, data, name), scenario.Options{}), Options{Sink: func(e lab.Event) {
			if e.Kind == lab.KindRow {
				values = append(values, e.Values)
			}
		}})
	}
	if len(values) != 2 || values[0]["params"].Value < 1e5 || values[0]["loss"].Value <= 0 {
		t.Fatalf("values %v", values)
	}
	for _, key := range []string{"params", "loss"} {
		if a, b := values[0][key].Value, values[1][key].Value; a != b {
			t.Errorf("%s of the folder %v, of the file %v", key, a, b)
		}
	}
}

// readModel reads the model of a folder.
func readModel(t *testing.T, name string) *model.Model {
	t.Helper()
	c, err := checkpoint.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := c.Model(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestQuickJudgesNothing: a quick version that removes the expectations says once that the whole
// scenario judges them; one that keeps them, or has none to remove, says nothing.
func TestQuickJudgesNothing(t *testing.T) {
	h := copyHome(t, onlyTokenizer)
	for _, c := range []struct {
		expect, quick string
		options       scenario.Options
		want          int
	}{
		{"expect: [\"params(row=q) > 1\"]\n", "expect: []", scenario.Options{Quick: true}, 1},
		{"expect: [\"params(row=q) > 1\"]\n", "expect: []", scenario.Options{}, 0},
		{"expect: [\"params(row=q) > 1\"]\n", "seeds: 1", scenario.Options{Quick: true}, 0},
		{"", "expect: []", scenario.Options{Quick: true}, 0},
	} {
		text := fmt.Sprintf(shapes, 32, 4, 64, "  - quantize: { name: q, scheme: w8a8 }") + "\n" + c.expect + "quick: { " + c.quick + " }\n"
		_, notes, err := Check(t.Context(), h, parse(t, text, c.options))
		if err != nil {
			t.Fatal(err)
		}
		said := 0
		for _, n := range notes {
			if n.Text == noneJudged {
				said++
			}
		}
		if said != c.want {
			t.Errorf("%q quick %q: said %d times, expected %d", c.expect, c.quick, said, c.want)
		}
	}
}
