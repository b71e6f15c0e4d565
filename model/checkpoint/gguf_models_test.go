package checkpoint

import (
	"encoding/binary"
	"math"
	"os"
	"slices"
	"testing"

	"slimlab/internal/shareddata"
)

// goldenFloat32s reads a file of little-endian float32.
func goldenFloat32s(t *testing.T, name string) []float32 {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	v := make([]float32, len(data)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return v
}

// halfStep is the largest rounding error of a format, relative to the number, or to the largest of
// its block.
var halfStep = map[string]float64{"F32": 0x1p-24, "F16": 0x1p-11, "BF16": 0x1p-9, "Q8_0": 1.0 / 254, "Q5_0": 1.0 / 32, "Q4_0": 1.0 / 16}

// TestGGUFLogits runs every given GGUF file on the golden prompt: the logits of its last position
// against a float64 forward pass over the F32 weights, and against llama.cpp's on the same file,
// where they are given.
//
// Both models show errors of 13 to 35 half steps of the coarsest format in the file, on logits that
// reach 20: 64 are allowed, and 10⁻⁴ for what float32 sums leave where the format is exact, as F16
// and BF16 are for TinyStories-656K, whose weights are bfloat16. llama.cpp rounds what it
// multiplies to the format of the weights too (Q8_0 for all block formats) and keeps keys and
// values in F16, so there a half step is never less than F16's.
func TestGGUFLogits(t *testing.T) {
	var manifest struct {
		IDs map[string][]int32 `json:"prompt_ids"`
	}
	readJSON(t, shareddata.Path(t, "vectors", "llamacpp-golden", "manifest.json"), &manifest)
	for _, c := range []struct {
		model, file, golden string
		coarsest            string // format of weights
		exact               bool   // the format holds these weights exactly
		peer                bool
	}{
		{"TinyStories-656K", "tinystories-656K-F32", "tinystories-656K", "F32", true, true},
		{"TinyStories-656K", "tinystories-656K-F16", "tinystories-656K", "F16", true, true},
		{"TinyStories-656K", "tinystories-656K-BF16", "tinystories-656K", "BF16", true, true},
		{"TinyStories-656K", "tinystories-656K-Q8_0", "tinystories-656K", "Q8_0", false, true},
		{"TinyStories-656K", "tinystories-656K-Q4_0", "tinystories-656K", "Q4_0", false, false},
		{"TinyStories-656K", "tinystories-656K-Q4_K_M", "tinystories-656K", "Q5_0", false, false},
		{"stories260K", "stories260K", "stories260K", "F32", true, true},
		{"stories260K", "stories260K-F16", "stories260K", "F16", false, true},
	} {
		m, _, err := load(shareddata.Path(t, "models", c.model, "gguf", c.file+".gguf"))
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		logits := allLogits(m, manifest.IDs[c.golden])
		last := logits[len(logits)-m.Vocab:]
		var want []float64
		readJSON(t, shareddata.Path(t, "vectors", "llamacpp-golden", c.golden+".float64.logits.json"), &want)
		limit := 1e-4
		if !c.exact {
			limit = 64 * halfStep[c.coarsest]
		}
		if worst := largestDifference(last, want); !(worst <= limit) {
			t.Errorf("%s: largest error against float64 %.3g, expected at most %.3g", c.file, worst, limit)
		} else {
			t.Logf("%-24s against float64 %.3g (at most %.3g)", c.file, worst, limit)
		}
		if !c.peer {
			continue
		}
		peer := goldenFloat32s(t, shareddata.Path(t, "vectors", "llamacpp-golden", "llamacpp-"+c.file+".bin"))
		limit = 64 * max(halfStep["F16"], halfStep[c.coarsest])
		if worst := largestDifference(last, peer); !(worst <= limit) {
			t.Errorf("%s: largest difference from llama.cpp %.3g, expected at most %.3g", c.file, worst, limit)
		} else {
			t.Logf("%-24s against llama.cpp %.3g (at most %.3g)", c.file, worst, limit)
		}
	}
}

func largestDifference[T float32 | float64](got []float32, want []T) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	worst := 0.0
	for i, v := range got {
		worst = max(worst, math.Abs(float64(v)-float64(want[i])))
	}
	return worst
}

// TestGGUFGreedy writes the golden text of stories260K to the last character, from either file.
func TestGGUFGreedy(t *testing.T) {
	var ids []int32
	readJSON(t, shareddata.Path(t, "vectors", "llama2c-golden", "stories260K_greedy_ids.json"), &ids)
	var golden struct {
		Text string `json:"llama2c_run_n200_t0"`
	}
	readJSON(t, shareddata.Path(t, "vectors", "llama2c-golden", "stories260K_goldens.json"), &golden)
	for _, file := range []string{"stories260K.gguf", "stories260K-F16.gguf"} {
		m, tok, err := load(shareddata.Path(t, "models", "stories260K", "gguf", file))
		if err != nil {
			t.Fatal(err)
		}
		m.MaxPositions = 512 // of the trained model; the files say 128
		got := ids[:1:1]
		for len(got) < len(ids) {
			logits := allLogits(m, got)
			got = append(got, argmax(logits[len(logits)-m.Vocab:]))
		}
		if !slices.Equal(got, ids) {
			t.Errorf("%s: greedy ids are\n %d, expected\n %d", file, got, ids)
		}
		const steps = 200 // of the golden text; the ids go on
		if text := tok.DecodeText(got[:1+steps]); text != golden.Text {
			t.Errorf("%s: greedy text is\n%q, expected\n%q", file, text, golden.Text)
		}
		const prompt = "Once upon a time, there was a little girl"
		if got := tok.EncodeSpecial(prompt); !slices.Equal(got, ids[:len(got)]) {
			t.Errorf("%s: ids of %q are %d, expected %d", file, prompt, got, ids[:len(got)])
		}
	}
}
