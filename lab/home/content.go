package home

import (
	"context"
	"fmt"

	"slimlab/lab/recipe"
	"slimlab/model/checkpoint"
)

// Content names the content of a MODEL's files: equal content has an equal name, wherever it is.
func (h *Home) Content(ctx context.Context, name string) (string, error) {
	content, err := h.content(ctx, name)
	if err != nil {
		return "", fmt.Errorf("model %s: %w", name, err)
	}
	return content, nil
}

func (h *Home) content(ctx context.Context, name string) (string, error) {
	if checkpoint.IsGGUF(name) {
		return recipe.Checkpoint(ctx, name)
	}
	folder, err := h.modelFolder(name)
	if err != nil {
		return "", err
	}
	return recipe.Content(ctx, folder)
}
