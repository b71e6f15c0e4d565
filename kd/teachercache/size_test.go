package teachercache

import (
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/kd/kdtest"
	"slimlab/kernels"
)

// TestFileBytesBoundTheFile: of every codec, of few and of many examples, equal ones among them,
// also where ids need two bytes and one token is drawn many times. Those of exact and top-k over a
// small vocabulary leave no more than the digits of numbers open.
func TestFileBytesBoundTheFile(t *testing.T) {
	all := specs()
	all["sampled often"] = Spec{Codec: Sampled, Draws: 900, Seed: 1}
	all["sampled once of p²"] = Spec{Codec: Sampled, Draws: 1, Power: 2, Seed: 1}
	all["one token"] = Spec{Codec: TopK, K: 1}
	all["all tokens"] = Spec{Codec: TopK, K: 700}
	for name, spec := range all {
		for _, vocab := range []int{2, kdtest.Vocab, 700} {
			for _, n := range []int{1, 2, 30, 300} {
				j := tinyJob(t, spec)
				j.Source.Vocab = vocab
				if vocab > kdtest.Vocab {
					j.Teacher = kd.NewModelTeacher(kdtest.Model(t, vocab, 24, 2), kernels.Float32)
				}
				j.Examples = kdtest.Examples(n, vocab, 3)
				j.Examples = append(j.Examples, j.Examples[:(n+1)/2]...)
				if n == 2 { // rows in plenty, so that a byte of each counts
					j.Examples = allAnswers(60, min(vocab, kdtest.Vocab))
				}
				count := spec.Count(j.Examples)
				least, most, err := spec.FileBytes(j.Source, count)
				if err != nil {
					t.Fatal(err)
				}
				c := built(t, j)
				if c.Bytes < least || c.Bytes > most || least > most || c.Tokens != count.Rows || c.Examples != count.Examples {
					t.Errorf("%s, %d tokens, %d examples: %d bytes, expected %d to %d; %d rows of %d examples, counted %+v", name, vocab, n, c.Bytes, least, most, c.Tokens, c.Examples, count)
				}
				if one := spec.Codec != Sampled && vocab < 128; one && most-least > int64(8*count.Examples+12) {
					t.Errorf("%s, %d examples: %d to %d bytes, expected nearly one size", name, n, least, most)
				}
			}
		}
	}
}

// allAnswers are two different examples of answers alone.
func allAnswers(length, vocab int) []kd.Example {
	both := make([]kd.Example, 2)
	for i := range both {
		e := kd.Example{Tokens: make([]int32, length), Answer: make([]bool, length)}
		for t := range e.Tokens {
			e.Tokens[t], e.Answer[t] = int32((t*(i+1))%vocab), t > 0
		}
		both[i] = e
	}
	return both
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
