package convert

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/calibrate/calibratetest"
	"slimlab/model/checkpoint"
	"slimlab/quant"
)

// transformed is a quantization after transforms, by their words.
func transformed(t *testing.T, scheme, smooth, rotate, text string) Quantization {
	t.Helper()
	q := Quantization{Calibration: Calibration{File: text, Samples: 8, Length: 32, Seed: 3}}
	var err error
	if q.Scheme, err = quant.ParseScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := q.Set(smooth, rotate); err != nil {
		t.Fatal(err)
	}
	return q
}

// outliers makes two channels of every norm of a model in a folder large, and small what reads
// them.
func outliers(t *testing.T, folder string, dtype checkpoint.DType) {
	t.Helper()
	m := modelIn(t, folder)
	for layer := range m.Blocks {
		b := &m.Blocks[layer]
		for _, j := range []int{3, 17 + layer} {
			b.AttentionNorm[j] *= 32
			b.MLPNorm[j] *= 32
			for i, l := range m.BlockLinears(layer) {
				for o := range l.Out {
					if i != 3 && i != 6 { // not o_proj and down_proj
						l.Weight.Float32()[o*l.In+j] /= 8
					}
				}
			}
		}
	}
	m.Changed()
	c, err := open(folder)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := c.Tokenizer()
	c.Close()
	if err == nil {
		err = os.RemoveAll(folder)
	}
	if err == nil {
		err = checkpoint.Save(context.Background(), folder, m, tok, checkpoint.SaveOptions{DType: dtype})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func modelIn(t *testing.T, folder string) *model.Model {
	t.Helper()
	c, err := open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := c.Model(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func logitError(want, got []float32) float64 {
	different, total := 0.0, 0.0
	for i, v := range want {
		d := float64(v - got[i])
		different += d * d
		total += float64(v) * float64(v)
	}
	return different / total
}

// TestTransformsBeforeRounding: after every transform the verb writes a model whose logits are
// nearer to the float model's than without, in all types of floats, and says what was done. The
// margins are those of planted outliers.
func TestTransformsBeforeRounding(t *testing.T) {
	for _, dtype := range []checkpoint.DType{checkpoint.F32, checkpoint.BF16, checkpoint.F16} {
		from, text := source(t, dtype)
		outliers(t, from, dtype)
		want := calibratetest.Logits(modelIn(t, from))
		run := func(scheme, smooth, rotate string) (float64, *Result) {
			to := filepath.Join(t.TempDir(), "out")
			r, err := Quantize(context.Background(), from, to, transformed(t, scheme, smooth, rotate, text), Options{Open: open})
			if err != nil {
				t.Fatalf("%s, smooth %s, rotate %s: %v", scheme, smooth, rotate, err)
			}
			m := modelIn(t, to)
			if m.TiedHead != (rotate != "residual") {
				t.Errorf("rotate %s: the head is tied: %t", rotate, m.TiedHead)
			}
			return logitError(want, calibratetest.Logits(m)), r
		}
		cases := []struct{ scheme, smooth, rotate, note string }{
			{"w8a8-gptq", "auto", "residual", "SmoothQuant's scales, α searched at "},
			{"w4a16-gptq-g32", "awq", "none", "AWQ's scales at "},
			{"w8a8", "0.5", "none", "SmoothQuant's scales, α = 0.5 at 12 of 12 inputs: mean relative error"},
			{"w8a8", "auto", "none", "SmoothQuant's scales, α searched at "},
			{"w8a8", "none", "residual", "--rotate residual: the head was the embedding and is now a tensor of its own"},
		}
		if dtype != checkpoint.F32 {
			cases = cases[:2]
		}
		q := transformed(t, "w4a16-rtn-g32", "none", "none", text)
		q.Clip = true
		if _, err := Quantize(context.Background(), from, filepath.Join(t.TempDir(), "out"), q, Options{Open: open}); err != nil {
			t.Errorf("clip: %v", err)
		}
		for _, c := range cases {
			before, r := run(c.scheme, "none", "none")
			if r.Smoothing != nil {
				t.Error("a smoothing that was not asked for")
			}
			after, r := run(c.scheme, c.smooth, c.rotate)
			t.Logf("%s %s, smooth %s, rotate %s: error of logits %.2e, before %.2e", dtype, c.scheme, c.smooth, c.rotate, after, before)
			if after > 0.5*before {
				t.Errorf("%s %s, smooth %s, rotate %s: error of logits %.2e, before %.2e", dtype, c.scheme, c.smooth, c.rotate, after, before)
			}
			if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, c.note) }) {
				t.Errorf("notes %q, expected %q", r.Notes, c.note)
			}
		}
		if _, r := run("w8a8", "none", "heads"); len(ofAText(r.Notes)) > 0 {
			t.Errorf("heads alone: notes %q", r.Notes)
		}
	}
}

// What rounds floats in the files rounds the norms too: the scales are those that the files hold.
func TestRoundingOfTypes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for dtype, step := range map[checkpoint.DType]float64{checkpoint.BF16: 1.0 / 128, checkpoint.F16: 1.0 / 1024} {
		for range 100 {
			x := float32(1 + rng.Float64())
			rounded := []float32{x}
			roundingOf(dtype)(rounded)
			if whole := float64(rounded[0]) / step; whole != math.Trunc(whole) || math.Abs(float64(rounded[0]-x)) > step/2 {
				t.Errorf("%s: %g became %g", dtype, x, rounded[0])
			}
		}
	}
	if roundingOf(checkpoint.F32) != nil {
		t.Error("F32 is rounded")
	}
}

// Kept statistics are those of the model as it was for the search, and have keys of their own after
// a transform: with and without them the same bytes are written.
func TestTransformsWithKeptStatistics(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	dir := t.TempDir()
	run := func(smooth, rotate string, g Gathering) (map[string][]byte, *Result) {
		t.Helper()
		q, to := transformed(t, "w4a16-gptq-g32", smooth, rotate, text), filepath.Join(dir, "out")
		q.Gathering = g
		r, err := Quantize(context.Background(), from, to, q, Options{Open: open})
		if err != nil {
			t.Fatal(err)
		}
		all := files(t, to)
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		return all, r
	}
	kept := Gathering{Folder: filepath.Join(dir, "statistics"), All: true}
	for _, c := range [][2]string{{"none", "none"}, {"awq", "none"}, {"none", "residual"}, {"awq", "residual"}} {
		want, _ := run(c[0], c[1], Gathering{})
		first, _ := run(c[0], c[1], kept)
		again, r := run(c[0], c[1], kept)
		sameFiles(t, first, want)
		sameFiles(t, again, want)
		if note := strings.Join(r.Notes, "; "); !strings.Contains(note, "none were gathered") {
			t.Errorf("smooth %s, rotate %s: %q", c[0], c[1], note)
		}
	}
}

func TestTransformErrors(t *testing.T) {
	var q Quantization
	for _, c := range [][3]string{{"2", "none", "--smooth is 2, expected none"}, {"awk", "none", "--smooth"}, {"none", "both", "--rotate"}} {
		if err := q.Set(c[0], c[1]); err == nil || !strings.HasPrefix(err.Error(), c[2]) {
			t.Errorf("%v: %v", c, err)
		}
	}
	from, _ := source(t, checkpoint.BF16)
	for _, c := range []struct {
		scheme, smooth string
		clip           bool
		want           string
	}{
		{"w8a8", "0.5", false, "--smooth 0.5 needs a calibration text"},
		{"w8a8", "none", true, "--clip needs a calibration text"},
		{"fp8", "none", true, "--clip with --scheme fp8-dynamic: it is for integers"},
	} {
		q = transformed(t, c.scheme, c.smooth, "none", "")
		q.Clip = c.clip
		if _, err := Quantize(context.Background(), from, filepath.Join(t.TempDir(), "out"), q, Options{Open: open}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
