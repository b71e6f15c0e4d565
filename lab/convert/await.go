package convert

import (
	"context"
	"os"

	"slimlab/model/tokenizer"
)

// await runs f, which cannot be interrupted. When ctx ends it leaves f running: the program is
// about to end.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		value, err := f()
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// encodeFile tokenizes a text file.
func encodeFile(ctx context.Context, t *tokenizer.Tokenizer, name string) ([]int32, error) {
	return await(ctx, func() ([]int32, error) {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		return t.Encode(string(text)), nil
	})
}
