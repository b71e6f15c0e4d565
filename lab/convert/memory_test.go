package convert

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/model/checkpoint"
	"slimlab/pruning"
)

// TestMemoryIsForeseen: work for which too little memory is free is refused before it begins, with
// the most samples that would fit: these begin, and one more does not. What is not known refuses
// nothing.
func TestMemoryIsForeseen(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	prune := func(samples int, free int64) (needs MemoryEstimate, begun bool, err error) {
		p := Pruning{Calibration: Calibration{File: text, Samples: samples, Length: 32, Seed: 3}}
		if err := p.Set("osscar", Cuts{MLP: "25%"}); err != nil {
			t.Fatal(err)
		}
		begin := func(e MemoryEstimate, _ []Compatibility) { needs, begun = e, true }
		_, err = Prune(t.Context(), from, filepath.Join(t.TempDir(), "out"), p, Options{Open: open, Begin: begin, Memory: func() int64 { return free }})
		return needs, begun, err
	}
	needs, _, err := prune(8, 0)
	if err != nil {
		t.Fatal(err)
	}
	free := needs.Total()
	if _, _, err := prune(8, free); err != nil {
		t.Errorf("what just fits: %v", err)
	}
	_, begun, err := prune(12, free)
	want := fmt.Sprintf("too little memory is free: found %.3g GB, expected at least ", float64(free)/1e9)
	if begun || !errors.Is(err, ErrNoMemory) || !Broke(err) || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), ": give at most --samples 8, or a shorter --length") {
		t.Errorf("begun %v: %v", begun, err)
	}
	if _, begun, err := prune(1, 1000); begun || err == nil || !strings.HasSuffix(err.Error(), ": free some, or take a machine with more") {
		t.Errorf("begun %v: %v", begun, err)
	}
}

// TestFewWindows: more sequences than the text has windows are said, and a short text again and
// again.
func TestFewWindows(t *testing.T) {
	from, _ := source(t, checkpoint.BF16)
	again := filepath.Join(t.TempDir(), "again.txt")
	once := filepath.Join(t.TempDir(), "once.txt")
	for file, content := range map[string]string{again: strings.Repeat("One sentence is all there is. ", 500), once: poem} {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		file    string
		samples int
		want    string // "" is no note
	}{{once, 1, ""}, {once, 500, "calibration: --samples is 500, and " + once + " has "}, {again, 1, "calibration: " + again + " repeats itself: of its "}} {
		p := Pruning{Calibration: Calibration{File: c.file, Samples: c.samples, Length: 8, Seed: 3}}
		if err := p.Set("osscar", Cuts{MLP: "25%"}); err != nil {
			t.Fatal(err)
		}
		r, err := Prune(t.Context(), from, filepath.Join(t.TempDir(), "out"), p, Options{Open: open})
		if err != nil {
			t.Fatal(err)
		}
		notes := strings.Join(r.Notes, "\n")
		if c.want == "" && strings.Contains(notes, "calibration: ") || !strings.Contains(notes, c.want) {
			t.Errorf("%s, %d samples: %q, expected %q", c.file, c.samples, notes, c.want)
		}
	}
}

// TestDistilOnATextThatRepeats: the verb says that a text is a short one again and again.
func TestDistilOnATextThatRepeats(t *testing.T) {
	from, _ := source(t, checkpoint.BF16)
	for content, want := range map[string]bool{strings.Repeat("One sentence is all there is. ", 500): true, poem: false} {
		file := filepath.Join(t.TempDir(), "text.txt")
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		d := Distillation{Data: file, Steps: 1, Batch: 1, Length: 8, LearningRate: 1e-3, Validation: 1, Seed: 1}
		if err := d.Set("", "float32", false); err != nil {
			t.Fatal(err)
		}
		r, err := Distil(t.Context(), from, "", filepath.Join(t.TempDir(), "out"), d, Options{Open: open})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(r.Notes, "\n"), file+": repeats itself: "); got != want {
			t.Errorf("said: %v, expected %v: %q", got, want, r.Notes)
		}
	}
}

// TestGradientsAreForeseen: the pass that gives gradients is counted, beside the model and before
// the rest.
func TestGradientsAreForeseen(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	for _, samples := range []int{2, 2000} {
		p := Pruning{Calibration: Calibration{File: text, Samples: samples, Length: 32, Seed: 3}}
		if err := p.Set("taylor", Cuts{MLP: "25%"}); err != nil {
			t.Fatal(err)
		}
		c, err := open(from)
		if err != nil {
			t.Fatal(err)
		}
		shape := c.Config()
		c.Close()
		var needs MemoryEstimate
		begin := func(e MemoryEstimate, _ []Compatibility) { needs = e }
		ctx, cancel := context.WithCancel(t.Context())
		if samples > 2 { // the estimate alone
			begin = func(e MemoryEstimate, _ []Compatibility) { needs = e; cancel() }
		}
		if _, err := Prune(ctx, from, filepath.Join(t.TempDir(), "out"), p, Options{Open: open, Begin: begin}); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		cancel()
		rest := needs.Layer + needs.Statistics + needs.Stream + needs.Inputs
		if needs.Pass != pruning.GradientBytes(shape, samples, 32) || needs.Pass < 4*int64(samples*32*shape.Hidden*len(shape.Layers)) && samples == 2 || needs.Total() != needs.Whole+max(needs.Pass, rest) {
			t.Errorf("%d samples: %+v", samples, needs)
		}
	}
}
