package convert

import (
	"context"

	"slimlab/internal/await"
	"slimlab/lab/task"
	"slimlab/model/chat"
	"slimlab/model/tokenizer"
)

// encodeText tokenizes a text, until ctx ends.
func encodeText(ctx context.Context, t *tokenizer.Tokenizer, text string) ([]int32, error) {
	return await.Do(ctx, func() ([]int32, error) {
		ids := t.Encode(text)
		return ids, t.Err()
	})
}

// chatOf writes conversations for a tokenizer; nil where it has no template.
func chatOf(t *tokenizer.Tokenizer) task.Chat {
	if t.ChatTemplate() == "" && t.ChatTemplateProblem() == "" {
		return nil
	}
	return chat.NewWriter(t)
}
