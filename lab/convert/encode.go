package convert

import (
	"context"
	"os"

	"slimlab/internal/await"
	"slimlab/model/tokenizer"
)

// encodeFile tokenizes a text file.
func encodeFile(ctx context.Context, t *tokenizer.Tokenizer, name string) ([]int32, error) {
	return await.Do(ctx, func() ([]int32, error) {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		return t.Encode(string(text)), nil
	})
}
