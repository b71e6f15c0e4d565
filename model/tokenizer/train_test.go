package tokenizer

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTrainByHand(t *testing.T) {
	// "ab" comes 5 times, "bc" 4, "abc" 4: first a+b, then ab+c; then nothing comes twice but the
	// digits, which stay alone.
	tok, err := Train(slices.Values([]string{"abc\nabc\nabc\nabc\nab", "11 11"}), 1000, []string{"<s>"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tok.file.Model.Merges, (mergeList{{"a", "b"}, {"ab", "c"}}); !slices.Equal(got, want) {
		t.Errorf("merges %v, expected %v", got, want)
	}
	if tok.Vocab() != 1+256+2 {
		t.Errorf("vocabulary %d, expected %d", tok.Vocab(), 1+256+2)
	}
}

func TestTrainTies(t *testing.T) {
	// All four pairs come twice: the first by the bytes of the left part.
	tok, err := Train(slices.Values([]string{"zy\nzy\nba\nba\nbb\nbb\nqr\nqr"}), 260, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tok.file.Model.Merges, (mergeList{{"b", "a"}, {"b", "b"}, {"q", "r"}, {"z", "y"}}); !slices.Equal(got, want) {
		t.Errorf("merges %v, expected %v", got, want)
	}
}

// The trainer's bookkeeping against counting everything anew for each merge.
func TestTrainBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(rapid.StringOf(rapid.RuneFrom([]rune("abc c"))), 1, 12).Draw(t, "texts")
		tok, err := Train(slices.Values(texts), 256+8, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := trainByDefinition(texts, 8); !slices.Equal(tok.file.Model.Merges, want) {
			t.Fatalf("merges %v, expected %v", tok.file.Model.Merges, want)
		}
	})
}

func trainByDefinition(texts []string, n int) mergeList {
	var words [][]string
	for _, text := range texts {
		scanner{singleDigits: true}.split(text, func(word string) { words = append(words, strings.Split(word, "")) })
	}
	var merges mergeList
	made := map[string]bool{}
	for len(made) < n {
		counts := map[[2]string]int{}
		for _, w := range words {
			for i := 1; i < len(w); i++ {
				counts[[2]string{w[i-1], w[i]}]++
			}
		}
		var best [2]string
		for pair, count := range counts {
			if count < 2 {
				continue
			}
			if c := counts[best]; count > c || count == c && (pair[0] < best[0] || pair[0] == best[0] && pair[1] < best[1]) {
				best = pair
			}
		}
		if counts[best] == 0 {
			break
		}
		made[best[0]+best[1]] = true
		if spelled := [2]string{spellBytes(best[0]), spellBytes(best[1])}; !slices.Contains(merges, spelled) {
			merges = append(merges, spelled)
		}
		for k, w := range words {
			for i := 0; i+1 < len(w); i++ {
				if w[i] == best[0] && w[i+1] == best[1] {
					w = slices.Replace(w, i, i+2, w[i]+w[i+1])
				}
			}
			words[k] = w
		}
	}
	return merges
}

func TestTrainIsDeterministic(t *testing.T) {
	texts := strings.SplitAfter(story, ". ")
	backward := slices.Clone(texts)
	slices.Reverse(backward)
	var first string
	for range 5 {
		for _, order := range [][]string{texts, backward} {
			tok, err := Train(slices.Values(order), 380, []string{"<s>"})
			if err != nil {
				t.Fatal(err)
			}
			if first == "" {
				first = tok.Hash()
			}
			if tok.Hash() != first {
				t.Fatalf("hash %s, expected %s", tok.Hash(), first)
			}
		}
	}
}

func TestMoreMergesFewerTokens(t *testing.T) {
	last := len(story) + 1
	for _, vocab := range []int{256, 260, 280, 320, 360} {
		tok, err := Train(slices.Values([]string{story, story}), vocab, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := len(tok.Encode(story))
		if n >= last {
			t.Errorf("vocabulary %d: %d tokens, expected fewer than %d", vocab, n, last)
		}
		last = n
		if vocab == 256 && n != len(story) {
			t.Errorf("without merges: %d tokens, expected a token a byte: %d", n, len(story))
		}
	}
}

func TestTrainRefuses(t *testing.T) {
	none := slices.Values([]string(nil))
	for _, c := range []struct {
		vocab   int
		special []string
		want    string
	}{
		{257, []string{"<a>", "<b>"}, "train tokenizer: found a vocabulary of 257, expected at least 258: 2 special tokens and 256 bytes"},
		{300, []string{"<a>", "<a>"}, `train tokenizer: special token 1 "<a>" is empty or given twice`},
		{300, []string{"a"}, `train tokenizer: special token "a" is also a word's token; choose a spelling that texts do not have`},
	} {
		if _, err := Train(none, c.vocab, c.special); err == nil || err.Error() != c.want {
			t.Errorf("found %v, expected %s", err, c.want)
		}
	}
}
