package convert

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model/checkpoint"
)

// TestLengthsFitTheModel: where no length is given, a model with fewer positions than the default
// decides, and a note says so. A length that is given is never changed.
func TestLengthsFitTheModel(t *testing.T) {
	folder, text := source(t, checkpoint.F32) // of 64 positions
	dir := t.TempDir()
	prune := func(name string, length int) (*Result, error) {
		p := Pruning{Calibration: Calibration{File: text, Samples: 2, Length: length}}
		if err := p.Set("magnitude", Cuts{MLP: "0.5"}); err != nil {
			t.Fatal(err)
		}
		return Prune(t.Context(), folder, filepath.Join(dir, name), p, Options{Open: open})
	}
	distil := func(name string, length int) (*Result, error) {
		d := Distillation{Data: text, Steps: 1, Batch: 1, Length: length, LearningRate: 1e-3, Seed: 1}
		if err := d.Set("", "float32", false); err != nil {
			t.Fatal(err)
		}
		return Distil(t.Context(), folder, "", filepath.Join(dir, name), d, Options{Open: open})
	}
	for name, verb := range map[string]func(string, int) (*Result, error){"prune": prune, "distil": distil} {
		r, err := verb(name, 0)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "--length 64") }) {
			t.Errorf("%s: notes %q, expected one on --length 64", name, r.Notes)
		}
		if r, err = verb(name+"-given", 64); err != nil {
			t.Fatalf("%s: %v", name, err)
		} else if slices.ContainsFunc(r.Notes, func(n string) bool {
			return strings.Contains(n, "the positions of the model") || strings.Contains(n, "model's positions")
		}) {
			t.Errorf("%s --length 64: notes %q", name, r.Notes)
		}
		if _, err := verb(name+"-long", 65); err == nil || !strings.Contains(err.Error(), "--length 65") {
			t.Errorf("%s --length 65: %v", name, err)
		}
	}
}

// TestShortCalibrationTexts: a text that is shorter than a sequence is refused, with a length that
// would do only where it has enough tokens to say something.
func TestShortCalibrationTexts(t *testing.T) {
	folder, _ := source(t, checkpoint.F32)
	for content, wants := range map[string]bool{"ab": false, strings.Repeat("abcdefg hij ", 4): true} {
		text := filepath.Join(t.TempDir(), "short.txt")
		if err := os.WriteFile(text, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		p := Pruning{Calibration: Calibration{File: text, Samples: 2}}
		if err := p.Set("osscar", Cuts{MLP: "0.5"}); err != nil {
			t.Fatal(err)
		}
		_, err := Prune(t.Context(), folder, filepath.Join(t.TempDir(), "out"), p, Options{Open: open})
		if err == nil || !strings.Contains(err.Error(), ", expected at least the 64 of a sequence: give a longer text") || strings.Contains(err.Error(), "--length") != wants {
			t.Errorf("%q: error %v, with a length: %t", content, err, wants)
		}
	}
}
