package task

import (
	"math"
	"slices"
	"strings"
	"testing"

	"slimlab/model/tokenizer"
)

func TestWordsAreUnambiguous(t *testing.T) {
	count := map[string]int{}
	for _, groups := range [][][]string{topicWords[:], formatWords[:], actionWords[:], surfaceWords[:], profileWords[:], hintWords[:], {personWords, leadWords, outcomeWords[:]}} {
		for _, w := range slices.Concat(groups...) {
			if count[w]++; count[w] > 1 {
				t.Errorf("word %q has two meanings", w)
			}
		}
	}
	for _, line := range instructions {
		for _, w := range strings.Fields(line) {
			if count[w] > 0 {
				t.Errorf("instruction word %q has another meaning", w)
			}
		}
	}
}

// With the project's own tokenizer each word is one token.
func TestTrainedTokenizer(t *testing.T) {
	w, err := NewWorld(DefaultRecsys())
	if err != nil {
		t.Fatal(err)
	}
	enc, err := tokenizer.Train(slices.Values(w.Corpus(1000)), 1024, []string{"<eos>"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRecsys(DefaultRecsys(), enc)
	if err != nil {
		t.Fatal(err)
	}
	for i, word := range r.lexicon.words {
		if len(r.spaced[i]) != 1 {
			t.Errorf("word %q is %d tokens", word, len(r.spaced[i]))
		}
	}
	tokens := 0
	for i := range 1000 {
		tokens += len(r.Train(1, i).Tokens)
	}
	t.Logf("vocabulary %d, %.1f tokens a prompt", enc.Vocab(), float64(tokens)/1000)
}

// A small vocabulary splits rare words; answers and prefixes stay where they are.
func TestWordsOfSeveralTokens(t *testing.T) {
	w, err := NewWorld(DefaultRecsys())
	if err != nil {
		t.Fatal(err)
	}
	enc, err := tokenizer.Train(slices.Values(w.Corpus(1000)), 400, []string{"<eos>"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultRecsys()
	small(&cfg)
	r, err := NewRecsys(cfg, enc)
	if err != nil {
		t.Fatal(err)
	}
	split := 0
	for i := range r.lexicon.words {
		if len(r.spaced[i]) > 1 {
			split++
		}
	}
	if split < 10 {
		t.Fatalf("only %d words are split: the test shows nothing", split)
	}
	for i := range 100 {
		e := r.Train(1, i)
		for at, token := range e.Tokens {
			// A label's token that another goes on from begins a longer word, as " no" does " now".
			whole := at+1 == len(e.Tokens) || strings.HasPrefix(enc.Decode(e.Tokens[at+1:at+2]), " ")
			if e.Answer[at] != (whole && slices.Contains(r.Labels(), token)) {
				t.Fatalf("example %d, token %d: answer %v", i, at, e.Answer[at])
			}
		}
		if text := enc.Decode(e.Tokens); !slices.Equal(enc.Encode(text), e.Tokens) {
			t.Fatalf("%q is encoded in another way", text)
		}
	}
	for i, c := range r.cases {
		if first := r.cases[i-i%20]; first.Group != c.Group || !slices.Equal(first.Prompt[:first.PrefixLen], c.Prompt[:c.PrefixLen]) {
			t.Fatalf("case %d does not share its member's prefix", i)
		}
		if before := enc.Decode(c.Prompt[:c.PrefixLen]); !slices.Contains(leadWords, before[strings.LastIndexByte(before, ' ')+1:]) {
			t.Fatalf("case %d: prefix %q does not end with its lead", i, before)
		}
	}
}

// joined is an encoder that makes one token of two words.
type joined struct{ wordEncoder }

func (e *joined) Encode(text string) []int32 {
	tokens := e.wordEncoder.Encode(text)
	return slices.CompactFunc(tokens, func(a, b int32) bool { return a == e.ids[" the"] && b == e.ids[" user"] || e.words[b] == " :" })
}

// letters encodes by letter.
type letters struct{}

func (letters) Err() error { return nil }

func (letters) Encode(text string) (tokens []int32) {
	for _, c := range []byte(text) {
		tokens = append(tokens, int32(c))
	}
	return tokens
}

// constant encodes every text as one token.
type constant struct{}

func (constant) Err() error { return nil }

func (constant) Encode(string) []int32 { return []int32{1} }

func TestRecsysRefuses(t *testing.T) {
	cfg := DefaultRecsys()
	for _, c := range []struct {
		enc  Encoder
		want string
	}{
		{&joined{*newWordEncoder()}, "words are joined"},
		{letters{}, `label " yes" is 4 tokens, expected 1`},
		{constant{}, "same token"},
	} {
		if _, err := NewRecsys(cfg, c.enc); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: error %v, expected %q", c.enc, err, c.want)
		}
	}
	for _, c := range []struct {
		change func(*RecsysConfig)
		want   string
	}{
		{func(c *RecsysConfig) { c.Archetypes = 17 }, "archetypes is 17, expected 2 to 16"},
		{func(c *RecsysConfig) { c.Members = 1 }, "members is 1"},
		{func(c *RecsysConfig) { c.Events = -1 }, "events is -1"},
		{func(c *RecsysConfig) { c.Signal = math.NaN() }, "signal is NaN"},
		{func(c *RecsysConfig) { c.ProfileReliability = 1 }, "profile_reliability is 1"},
		{func(c *RecsysConfig) { c.Members, c.Candidates, c.HeldOut = 2, 1, 1 }, "so it has no AUC; raise members or candidates"},
	} {
		cfg := DefaultRecsys()
		c.change(&cfg)
		if _, err := NewRecsys(cfg, newWordEncoder()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, expected %q", err, c.want)
		}
	}
}
