package teachercache

import (
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/kd/kdtest"
	"slimlab/kernels"
)

// TestRowBytesBoundTheFile: of every codec, also where ids need two bytes and one token is drawn
// many times; those of exact and top-k over a small vocabulary are its size.
func TestRowBytesBoundTheFile(t *testing.T) {
	all := specs()
	all["sampled often"] = Spec{Codec: Sampled, Draws: 900, Seed: 1}
	all["one token"] = Spec{Codec: TopK, K: 1}
	for name, spec := range all {
		for _, vocab := range []int{kdtest.Vocab, 700} {
			j := tinyJob(t, spec)
			j.Source.Vocab = vocab
			if vocab > kdtest.Vocab {
				j.Teacher = kd.NewModelTeacher(kdtest.Model(t, vocab, 24, 2), kernels.Float32)
			}
			j.Examples = kdtest.Examples(30, vocab, 3)
			c := built(t, j)
			least, most := spec.RowBytes(vocab)
			low, high := int64(c.Tokens*least), int64(c.Tokens*most+c.Examples*ExampleBytes+1024)
			if c.Bytes < low || c.Bytes > high || least > most {
				t.Errorf("%s, %d tokens: %d bytes, expected %d to %d", name, vocab, c.Bytes, low, high)
			}
			if exact := spec.Codec != Sampled && vocab < 128; exact && least != most {
				t.Errorf("%s: %d to %d bytes a row, expected one size", name, least, most)
			}
		}
	}
}

// TestParseCodec reads what scenarios write.
func TestParseCodec(t *testing.T) {
	for text, want := range map[string]Spec{"exact": {}, "top-k:12": {Codec: TopK, K: 12}, "sampled:50": {Codec: Sampled, Draws: 50}} {
		if got, err := ParseCodec(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "expected one of exact", "exakt": `did you mean "exact"`, "top-k": "top-k:K with the tokens", "exact:3": "expected exact, top-k:K", "top-k:": "expected a whole number",
		"top-k:0": "expected at least 1", "top-k:2.5": "expected a whole number", "sampled:-1": "expected 1 to 65536", "sampled:99999999999999999999": "expected a whole number",
		"sampled:65537": "expected 1 to 65536",
	} {
		if _, err := ParseCodec(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", text, err, want)
		}
	}
}
