package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/lab/recipe"
	"slimlab/model/calibrate"
)

// TestCalibrationThatSaysNothing: a text of characters that have no token, and one of two words
// again and again, are refused with the cause, however short the sequences are.
func TestCalibrationThatSaysNothing(t *testing.T) {
	model := shareddata.Path(t, "models", "TinyStories-656K")
	dir := t.TempDir()
	for name, c := range map[string]struct{ text, want string }{
		"unknown": {strings.Repeat("天地玄黄", 2000), "8000 of 8001 characters (100%) become the unknown token"},
		"mostly":  {strings.Repeat("天地玄黄宇宙 cat", 200), "expected a text that is mostly of characters which the tokenizer knows"},
		"again":   {strings.Repeat("the cat ", 2000), "tokens are only two different ones: expected a text"},
	} {
		text := filepath.Join(dir, name+".txt")
		if err := os.WriteFile(text, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, length := range []int{0, 2} {
			p := Pruning{Calibration: Calibration{File: text, Samples: 2, Length: length}}
			if err := p.Set("magnitude", Cuts{MLP: "0.5"}); err != nil {
				t.Fatal(err)
			}
			if _, err := Prune(t.Context(), model, filepath.Join(dir, "out"), p, Options{Open: open}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, --length %d: %v, expected %q", name, length, err, c.want)
			}
		}
	}
}

// TestHomeThatCannotBeWritten: the default folder of statistics is no reason to end.
func TestHomeThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	g := Gathering{Folder: filepath.Join(file, "statistics")}
	if _, err := g.settings(t.Context(), recipe.Recipe{Inputs: map[string]string{"model": "m"}, Parameters: recipe.Values{"dtype": "F32"}}, []calibrate.Sequence{{1, 2, 3}}); err != nil {
		t.Fatal(err)
	}
	if err := g.kept.Save(t.Context(), "key", &calibrate.Stats{}); err != nil {
		t.Errorf("the default folder: %v", err)
	}
	if notes := g.notes(); len(notes) != 1 || !strings.HasPrefix(notes[0], "statistics are not kept, and the work went on without: ") || !strings.Contains(notes[0], "--statistics names another folder, or none") {
		t.Errorf("notes %q", notes)
	}
}
