package task

import (
	"fmt"
	"iter"
)

// missingNoter is an Encoder that says which characters of texts have no token, and what share of
// all they are; the texts come after their places.
type missingNoter interface {
	Missing(texts iter.Seq2[string, string]) (share float64, note string)
}

// MostMissing is the share of a text's characters that may have no token: of a text that is mostly
// of others nothing is left that says anything of a model.
const MostMissing = 0.5

// unknownText is the error of such a text.
func unknownText(name, note string) error {
	return fmt.Errorf("%s: %s: expected a text that is mostly of characters which the tokenizer knows", name, note)
}

// Fewer tokens than leastTokens may be alike by chance.
const leastTokens = 8

// runLength is how many tokens in a row Repeats compares, and leastRuns a number of them that may
// well be alike, as in a short list.
const (
	runLength = 8
	leastRuns = 1000
)

// Repeats says that a text is a short one again and again: of its runs of eight tokens fewer than
// one in fifty differ. What is measured on it is what it is of the short one. "" is for a text that
// does not.
func Repeats(tokens []int32) string {
	runs := len(tokens) - runLength + 1
	if runs < leastRuns {
		return ""
	}
	most := runs / 50
	different := map[[runLength]int32]bool{}
	for i := range runs {
		if different[[runLength]int32(tokens[i:])] = true; len(different) > most {
			return ""
		}
	}
	return fmt.Sprintf("repeats itself: of its %d runs of %d tokens only %d differ, so that figures are those of a much shorter text", runs, runLength, len(different))
}

// CheckDifferent reports the tokens of a text that is one or two of them again and again: every
// method loses nothing on it. A token that occurs once or twice, as at the beginning and the end of
// such a text, does not count in a longer one.
func CheckDifferent(tokens []int32) error {
	if len(tokens) < leastTokens {
		return nil
	}
	const rare = 2
	times, often := map[int32]int{}, 0
	for _, id := range tokens {
		if times[id]++; times[id] == rare+1 {
			often++
		}
	}
	switch {
	case often > 2 || often+rare < len(times):
		return nil
	case len(times) == 1:
		return fmt.Errorf("its %d tokens are all the same one: expected a text", len(tokens))
	case often == 1:
		return fmt.Errorf("nearly all of its %d tokens are the same one: expected a text", len(tokens))
	case often == 0:
		return nil
	}
	return fmt.Errorf("nearly all of its %d tokens are only two different ones: expected a text", len(tokens))
}
