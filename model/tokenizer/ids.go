package tokenizer

import "fmt"

// CheckIDs reports the first of a text's tokens that a model with so many tokens does not have: a
// tokenizer may have more than the model that it comes with. It reports a text without ids too.
func (t *Tokenizer) CheckIDs(ids []int32, vocab int) error {
	if err := t.Err(); err != nil {
		return err
	}
	for i, id := range ids {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("token %d of the text is %d (%q), which the model does not have: its vocabulary is %d tokens", i+1, id, t.Token(id), vocab)
		}
	}
	return nil
}
