package tokenizer

import "fmt"

// SameTokens reports the first id that stands for another token in another tokenizer, or that one
// of them alone takes for special; nil is that ids mean the same in both. Texts may be split into
// tokens otherwise, and may get others around them.
func (t *Tokenizer) SameTokens(other *Tokenizer) error {
	for id := range int32(max(t.Vocab(), other.Vocab())) {
		switch {
		case int(id) >= t.Vocab() && other.Text(id) != "":
			return fmt.Errorf("id %d is %q in the second and none in the first", id, other.Token(id))
		case int(id) >= other.Vocab() && t.Text(id) != "":
			return fmt.Errorf("id %d is %q in the first and none in the second", id, t.Token(id))
		case t.Text(id) != other.Text(id):
			return fmt.Errorf("id %d is %q in the first and %q in the second", id, t.Token(id), other.Token(id))
		case int(id) < min(t.Vocab(), other.Vocab()) && t.Special(id) != other.Special(id):
			return fmt.Errorf("id %d, %q, is special in one alone", id, t.Token(id))
		}
	}
	if t.eos != other.eos {
		return fmt.Errorf("the first ends a text with %q, the second with %q", t.Token(t.eos), other.Token(other.eos))
	}
	return nil
}
