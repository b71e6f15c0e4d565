package convert

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/checkpoint"
)

// TestImportance: the mean squares of each input are those of a forward pass over all sequences.
func TestImportance(t *testing.T) {
	from, _ := source(t, checkpoint.F32)
	c, err := open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sequences := [][]int32{{1, 5, 9, 70, 2, 40}, {8, 8, 3}, {200}}
	steps := 0
	got, err := importance(t.Context(), c, sequences, func(done, total int, _ string) { steps += done * total })
	if err != nil {
		t.Fatal(err)
	}
	m := loaded(t, from)
	if len(got) != 7*len(m.Blocks)+2 || steps != 6*len(m.Blocks) {
		t.Errorf("%d weights and progress %d, expected %d and 6·%d", len(got), steps, 7*len(m.Blocks)+2, len(m.Blocks))
	}
	type place struct {
		layer int
		site  model.Site
	}
	sums, tokens := map[place][]float64{}, 0
	for _, s := range sequences {
		tokens += len(s)
		m.Forward(model.Batch{Tokens: s, Starts: []int{0, len(s)}}, func(layer int, site model.Site, x []float32, rows, width int) bool {
			at := place{layer, site}
			if sums[at] == nil {
				sums[at] = make([]float64, width)
			}
			for i, v := range x[:rows*width] {
				sums[at][i%width] += float64(v) * float64(v)
			}
			return true
		})
	}
	head := make([]float64, m.Hidden)
	for _, s := range sequences {
		for i, v := range m.Forward(model.Batch{Tokens: s, Starts: []int{0, len(s)}}, nil) {
			head[i%m.Hidden] += float64(v) * float64(v) / float64(tokens)
		}
	}
	for j, mean := range head { // tied
		if a, b := got[headName][j], got[embeddingName][j]; a != b || math.Abs(float64(a)-mean) > 1e-5*mean {
			t.Errorf("channel %d of the head: %g and %g, expected %g", j, a, b, mean)
		}
	}
	for _, l := range m.Linears() {
		want := sums[place{l.Layer, l.Site}]
		for j, v := range got[l.Name+".weight"] {
			if mean := want[j] / float64(tokens); math.Abs(float64(v)-mean) > 1e-5*mean {
				t.Errorf("%s, channel %d: %g, expected %g", l.Name, j, v, mean)
			}
		}
		if len(got[l.Name+".weight"]) != l.In {
			t.Errorf("%s: %d channels, expected %d", l.Name, len(got[l.Name+".weight"]), l.In)
		}
	}
}

// wideRows writes a model without a tokenizer whose rows are whole blocks of 256, and whose
// channels differ much in size.
func wideRows(t *testing.T) (folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "model")
	m, err := model.New(model.Config{
		Architecture: model.Llama, Vocab: 300, Hidden: 256, HeadDim: 64, Layers: model.Uniform(1, 4, 2, 256),
		MaxPositions: 64, RopeTheta: 10000, NormEps: 1e-6, BOS: -1, EOS: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(4, 2))
	m.Init(rng)
	for _, b := range m.Blocks {
		for i := range b.AttentionNorm {
			b.AttentionNorm[i] = float32(math.Exp(1.5 * rng.NormFloat64()))
			b.MLPNorm[i] = float32(math.Exp(1.5 * rng.NormFloat64()))
		}
	}
	if err := checkpoint.Save(context.Background(), folder, m, nil, checkpoint.SaveOptions{DType: checkpoint.F32}); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestExportKQuants: the block formats of 256 elements come nearer to the model the more bits they
// have, and nearer by a calibration text than without.
func TestExportKQuants(t *testing.T) {
	from := wideRows(t)
	want := logits(t, from)
	calibration := Calibration{Random: true, Samples: 16, Length: 32, Seed: 1}
	least := math.Inf(1)
	for _, target := range []string{"gguf-q3_k_m", "gguf-q4_k_m", "gguf-q6_k", "gguf-q8_0"} {
		var errors [2]float64
		for i, c := range []Calibration{{}, calibration} {
			to := filepath.Join(t.TempDir(), "model.gguf")
			r, err := Export(t.Context(), from, to, target, Options{Open: open, Calibration: c})
			if err != nil {
				t.Fatalf("%s: %v", target, err)
			}
			errors[i] = difference(logits(t, to), want)
			if len(r.Notes) > 0 {
				t.Errorf("%s: notes %q", target, r.Notes)
			}
		}
		t.Logf("%s: logits differ by %.4f of their size, by a calibration text %.4f", target, errors[0], errors[1])
		if !(errors[0] < least) || target != "gguf-q8_0" && !(errors[1] < errors[0]) {
			t.Errorf("%s: errors %.4f without and %.4f with a calibration text, expected the second below the first, and both below %.4f", target, errors[0], errors[1], least)
		}
		least = errors[0]
	}
}

// TestExportWithoutTokenizer: a tokenizer that GGUF cannot hold is refused with the way out, which
// works.
func TestExportWithoutTokenizer(t *testing.T) {
	from, text := source(t, checkpoint.F32)
	to := filepath.Join(t.TempDir(), "model.gguf")
	if _, err := Export(t.Context(), from, to, "gguf-f32", Options{Open: open}); err == nil || !strings.Contains(err.Error(), "--without-tokenizer") {
		t.Errorf("the error is %v, want one that offers --without-tokenizer", err)
	}
	const lost = " without its tokenizer, which GGUF has no words for: it takes token ids alone, and slimlab export --without-tokenizer writes it"
	in, err := Inspect(from, open)
	if err != nil {
		t.Fatal(err)
	}
	if v := in.Verdicts[3]; v.Engine != "llama.cpp" || !strings.HasSuffix(v.String(), "Instead: a GGUF file (F16 or BF16)"+lost) {
		t.Errorf("inspect advises what export refuses: %s: %s", v.Engine, v)
	}
	var planned []Compatibility
	p := Pruning{Calibration: Calibration{File: text, Samples: 4, Length: 32}}
	if err := p.Set("osscar", Cuts{Budget: "75%"}); err != nil {
		t.Fatal(err)
	}
	pruned, err := Prune(t.Context(), from, filepath.Join(t.TempDir(), "pruned"), p, Options{Open: open, Begin: func(_ MemoryEstimate, v []Compatibility) { planned = v }})
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]Compatibility{planned, pruned.Verdicts} {
		for _, v := range list {
			for _, instead := range v.Instead {
				if strings.HasPrefix(instead, "a GGUF file") && !strings.HasSuffix(instead, lost) {
					t.Errorf("prune advises what export refuses: %s: %s", v.Engine, instead)
				}
			}
		}
	}
	o := Options{Open: open, WithoutTokenizer: true, Calibration: Calibration{File: text, Samples: 4, Length: 32}}
	r, err := Export(t.Context(), from, to, "gguf-q8_0", o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "as was asked for") {
		t.Errorf("warnings %q", r.Warnings)
	}
	for _, v := range r.Verdicts {
		if v.Engine == "llama.cpp" && v.String() != "loads: for token ids alone, since the file has no tokenizer" {
			t.Errorf("llama.cpp %s", v)
		}
	}
	c, err := open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if tok, err := c.Tokenizer(); tok != nil || err != nil {
		t.Errorf("tokenizer %v, %v, expected none", tok, err)
	}
	for target, want := range map[string]string{
		"hf":       "--calibration: hf rounds no blocks, expected a target such as gguf-q4_k_m, or no calibration",
		"gguf-f16": "--calibration: gguf-f16 rounds no blocks, expected a target such as gguf-q4_k_m, or no calibration",
	} {
		if _, err := Export(t.Context(), from, filepath.Join(t.TempDir(), "x.gguf"), target, o); err == nil || err.Error() != want {
			t.Errorf("%s: the error is %v, want %s", target, err, want)
		}
	}
	o.Calibration = Calibration{}
	want := "--without-tokenizer: a Hugging Face folder holds every tokenizer, expected a GGUF target, or hf without the flag"
	if _, err := Export(t.Context(), from, filepath.Join(t.TempDir(), "x"), "hf", o); err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
	o.Calibration = Calibration{File: text, Samples: 4, Length: 65}
	if _, err := Export(t.Context(), from, to+"2.gguf", "gguf-q8_0", o); err == nil || !strings.Contains(err.Error(), "1 to 64") {
		t.Errorf("the error is %v, want one with the model's positions", err)
	}
	if _, err := os.Stat(to + "2.gguf"); err == nil {
		t.Error("a file was written")
	}
}
