package home

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slimlab/kernels"
	"slimlab/kernels/machine"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/store"
	"slimlab/model/checkpoint"
)

// nowhere is a home that cannot be made: its path leads through a file.
func nowhere(t *testing.T) *Home {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return Open(filepath.Join(file, "home"), "test")
}

// TestLookingNeedsNoHome: models from elsewhere are opened where no home can be, and looking for
// what a home would hold finds nothing.
func TestLookingNeedsNoHome(t *testing.T) {
	h := nowhere(t)
	c, err := h.OpenModel("pretrained:recsys-fm")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := h.Tokenizer("pretrained:recsys-fm"); err != nil {
		t.Error(err)
	}
	if _, err := h.Content(t.Context(), "pretrained:recsys-fm"); err != nil {
		t.Error(err)
	}
	if runs, err := h.Logs.List(); err != nil || len(runs) != 0 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
	if _, err := h.OpenModel("run:last/FM"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a row of no run: %v", err)
	}
	if _, ok := h.Evaluations().Get(recipe.Recipe{Stage: "x"}); ok {
		t.Error("found an evaluation")
	}
	if err := h.Evaluations().Put(recipe.Recipe{Stage: "x"}, "x", nil); err == nil || !strings.Contains(err.Error(), h.Folder) {
		t.Errorf("an evaluation was kept where no home can be: %v", err)
	}
}

// TestOnlyWritingMakesTheHome: the folder comes with the first evaluation that is kept.
func TestOnlyWritingMakesTheHome(t *testing.T) {
	h := Open(filepath.Join(t.TempDir(), "a", "home"), "test")
	if _, err := h.Content(t.Context(), "pretrained:recsys-fm"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(h.Folder); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("looking made the home: %v", err)
	}
	r := recipe.Recipe{Stage: "x"}
	for _, text := range []string{"one", "two"} {
		if err := h.Evaluations().Put(r, "x", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if data, ok := h.Evaluations().Get(r); !ok || string(data) != text {
			t.Errorf("kept %q, found %q", text, data)
		}
	}
}

// TestRowOfALoadedModel: a row that measures a pretrained model names that model, to open and to
// save; of one that was loaded from elsewhere and of one that is gone, the error says what to name.
func TestRowOfALoadedModel(t *testing.T) {
	h := Open(t.TempDir(), "test")
	content, err := h.Content(t.Context(), "pretrained:recsys-fm")
	if err != nil {
		t.Fatal(err)
	}
	log, err := h.Logs.Create(lab.Begin{Run: "a", Rows: []string{"FM", "other"}, Cells: []lab.Cell{{ID: "seed=1", Seed: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for row, key := range map[string]string{"FM": content, "other": strings.Repeat("a", 64)} {
		if err := log.Append(lab.Event{Kind: lab.KindRow, Cell: "seed=1", Row: row, Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := h.Content(t.Context(), "run:a/FM"); err != nil || got != content {
		t.Errorf("found content %s, %v, expected %s", got, err, content)
	}
	c, err := h.OpenModel("run:a/FM")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	saved := filepath.Join(t.TempDir(), "saved")
	if err := h.SaveRow("a", "FM", saved); err != nil {
		t.Fatal(err)
	}
	if got, err := h.Content(t.Context(), saved); err != nil || got != content {
		t.Errorf("saved content %s, %v, expected %s", got, err, content)
	}
	const want = "row other: artifact aaaaaaaaaaaa: not found: a model that the run built is gone, run the scenario again; one that it loaded is not kept in the home, name its own folder or file instead"
	if _, err := h.OpenModel("run:a/other"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("found %v, expected %s", err, want)
	}
}

// TestRowOfTheFirstCell: a run's row is that of the first cell of the plan that has reported it, in
// whatever order the cells end.
func TestRowOfTheFirstCell(t *testing.T) {
	h := Open(t.TempDir(), "test")
	log, err := h.Logs.Create(lab.Begin{Run: "a", Rows: []string{"FM"}, Cells: []lab.Cell{{ID: "seed=1", Seed: 1}, {ID: "seed=2", Seed: 2}, {ID: "seed=3", Seed: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	found := func(row, want string) {
		t.Helper()
		folder, err := h.rowFolder("a/" + row)
		if err != nil {
			if want == "" || !strings.Contains(err.Error(), want) {
				t.Errorf("row %s: %v, want %q", row, err, want)
			}
			return
		}
		if text, err := fs.ReadFile(folder, "cell"); err != nil || string(text) != want {
			t.Errorf("row %s is of cell %q, %v, want %q", row, text, err, want)
		}
	}
	found("FM", "run a has not measured the row FM")
	for _, c := range []struct{ cell, want string }{{"seed=3", "seed=3"}, {"seed=2", "seed=2"}} {
		r := recipe.Recipe{Stage: c.cell}
		if _, err := h.Artifacts.Put(r, store.Label{}, func(dir string) error { return os.WriteFile(filepath.Join(dir, "cell"), []byte(c.cell), 0o644) }); err != nil {
			t.Fatal(err)
		}
		if err := log.Append(lab.Event{Kind: lab.KindRow, Cell: c.cell, Row: "FM", Key: r.Key()}); err != nil {
			t.Fatal(err)
		}
		found("FM", c.want)
	}
	found("pruned", `row "pruned": expected one of FM`)
}

// TestRowOfASweep: a row of a sweep is named with the values of its axes; a name that several rows
// have is an error that lists them, and a scenario's name with slashes stands for its newest run.
func TestRowOfASweep(t *testing.T) {
	h := Open(t.TempDir(), "test")
	begin := lab.Begin{Run: "a", Scenario: "paper/cuts", Rows: []string{"base", "cut"}, Depends: [][]string{{}, {"ratio"}}}
	for _, ratio := range []string{"0.2", "0.4"} {
		begin.Cells = append(begin.Cells, lab.Cell{ID: "ratio=" + ratio, Seed: 1, Params: []lab.Param{{Key: "ratio", Value: ratio}}})
	}
	log, err := h.Logs.Create(begin)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for _, c := range begin.Cells {
		r := recipe.Recipe{Stage: c.ID}
		if _, err := h.Artifacts.Put(r, store.Label{}, func(dir string) error { return os.WriteFile(filepath.Join(dir, "cell"), []byte(c.ID), 0o644) }); err != nil {
			t.Fatal(err)
		}
		for _, row := range begin.Rows {
			if err := log.Append(lab.Event{Kind: lab.KindRow, Cell: c.ID, Row: row, Key: r.Key()}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, want := range map[string]string{
		"a/cut 0.4": "ratio=0.4", "a/cut ratio=0.2": "ratio=0.2", "a/base": "ratio=0.2", "paper/cuts/cut 40%": "ratio=0.4",
		"a/cut": `row "cut": 2 rows meet its words, expected one: cut ratio=0.2; cut ratio=0.4`, "a/cut 0.3": "expected one of", "paper/cuts": "not found", "b/cut": "expected",
	} {
		folder, err := h.rowFolder(name)
		if err != nil {
			if !strings.Contains(err.Error(), want) || strings.HasPrefix(want, "ratio=") {
				t.Errorf("%s: %v, expected %q", name, err, want)
			}
			continue
		}
		if text, err := fs.ReadFile(folder, "cell"); err != nil || string(text) != want {
			t.Errorf("%s is of cell %q, %v, expected %q", name, text, err, want)
		}
	}
}

// TestContent: content has one name wherever it is and whatever is beside the model.
func TestContent(t *testing.T) {
	h := Open(t.TempDir(), "test")
	folder := t.TempDir()
	from, err := h.modelFolder("pretrained:recsys-fm")
	if err != nil {
		t.Fatal(err)
	}
	if err := copyModel(folder, from); err != nil {
		t.Fatal(err)
	}
	content := func(name string) string {
		t.Helper()
		c, err := h.Content(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one := content("pretrained:recsys-fm")
	for _, file := range []string{recipe.FactsFile, "README.md"} {
		if err := os.WriteFile(filepath.Join(folder, file), []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if content(folder) != one {
		t.Error("the same model has two names")
	}
	config := filepath.Join(folder, "config.json")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append(text, ' '), 0o644); err != nil {
		t.Fatal(err)
	}
	if content(folder) == one {
		t.Error("another config has the same name")
	}
}

// TestMachine: the line names the CPU as the kernels know it, and the implementation in use.
func TestMachine(t *testing.T) {
	for _, want := range []string{machine.ThisCPU().Name, " core", kernels.Implementation()} {
		if !strings.Contains(Machine(), want) {
			t.Errorf("%q lacks %q", Machine(), want)
		}
	}
}

// TestModelsThatCannotBeOpened: the error names the model as it was given and what is wrong with
// it.
func TestModelsThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"broken/config.json": "{", "bare/notes.txt": "", "wordless/config.json": "{}", "wordless/tokenizer.json": "{"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	h := Open(filepath.Join(dir, "home"), "test")
	for _, c := range []struct{ name, model, tokenizer string }{
		{filepath.Join(dir, "broken"), "broken: config.json: line 1, column 1: not JSON", "found no tokenizer, expected tokenizer.json"},
		{filepath.Join(dir, "bare"), "bare: expected a Hugging Face folder with config.json and model.safetensors", "found no tokenizer"},
		{filepath.Join(dir, "wordless"), "wordless: config.json", "wordless: tokenizer.json"},
		{filepath.Join(dir, "absent"), "absent", "absent"}, {"run:last/FM", "run", "run"}, {"pretrained:none", "none", "none"}, {filepath.Join(dir, "absent.gguf"), "absent.gguf", "absent.gguf"},
	} {
		opened, err := h.OpenModel(c.name)
		if err == nil || opened != nil || !strings.Contains(err.Error(), c.model) {
			t.Errorf("%s: %v, expected %q", c.name, err, c.model)
		}
		if tok, err := h.Tokenizer(c.name); err == nil || tok != nil || !strings.Contains(err.Error(), c.tokenizer) {
			t.Errorf("the tokenizer of %s: %v, expected %q", c.name, err, c.tokenizer)
		}
	}
}

// TestKeeps: which runs keep their artifacts, by their place among the newest and by when they
// began.
func TestKeeps(t *testing.T) {
	noon := time.Date(2025, 2, 3, 12, 0, 0, 0, time.UTC)
	before, after := noon.Add(-time.Nanosecond), noon.Add(time.Nanosecond)
	for _, c := range []struct {
		keep    Keep
		at      int
		started time.Time
		ended   bool
		want    bool
	}{
		{Keep{}, 9, before, true, true},
		{Keep{Newest: 1}, 0, before, true, true}, {Keep{Newest: 1}, 1, before, true, false}, {Keep{Newest: 1}, 1, before, false, true},
		{Keep{Newest: 2}, 1, before, true, true}, {Keep{Newest: 2}, 2, before, true, false},
		{Keep{Since: noon}, 0, before, true, false}, {Keep{Since: noon}, 9, after, true, true}, {Keep{Since: noon}, 9, noon, true, false}, {Keep{Since: noon}, 9, before, false, true},
		{Keep{Newest: 1, Since: noon}, 0, before, true, true}, {Keep{Newest: 1, Since: noon}, 1, after, true, true}, {Keep{Newest: 1, Since: noon}, 1, before, true, false},
	} {
		run := store.Info{Started: c.started, State: lab.Running}
		if c.ended {
			run.State = lab.Done
		}
		if run.Ended() != c.ended {
			t.Fatalf("%+v has ended: %v", run, run.Ended())
		}
		if got := c.keep.keeps(c.at, run); got != c.want {
			t.Errorf("%+v keeps run %d, started %s, ended %v: %v", c.keep, c.at, c.started, c.ended, got)
		}
	}
}

// TestTokenizerErrorsNameTheModel: what is wrong with the tokenizer of a model is said with its
// name.
func TestTokenizerErrorsNameTheModel(t *testing.T) {
	h := nowhere(t)
	small, err := h.OpenModel("pretrained:recsys-student")
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	dir := t.TempDir()
	m, err := small.Model(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.Save(t.Context(), dir, m, nil, checkpoint.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := h.OpenModel(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Tokenizer(); err == nil || !strings.HasPrefix(err.Error(), "model "+dir+": tokenizer.json: ") {
		t.Errorf("the error is %v", err)
	}
}
