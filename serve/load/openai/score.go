package openai

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"slimlab/serve/load"
)

// score asks for the probabilities of labels after a prompt, or after it and each of several items.
// A prompt without items is sent as a query and its last token as an item, which is the same
// sequence and which every server takes.
func (t *Target) score(ctx context.Context, r load.Request) (load.Answer, error) {
	query, items := r.Prompt, r.Items
	if len(items) == 0 && len(query) > 0 {
		query, items = query[:len(query)-1], [][]int32{query[len(query)-1:]}
	}
	if len(items) == 0 {
		return load.Answer{}, fmt.Errorf("openai: found no token ids to score, expected a prompt of them")
	}
	body := appendTokens(append(appendText([]byte(`{"model":`), t.options.Model), `,"query":`...), query)
	body = append(body, `,"items":[`...)
	for i, item := range items {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendTokens(body, item)
	}
	body = appendTokens(append(body, `],"label_token_ids":`...), r.Labels)
	response, resent, err := t.do(ctx, http.MethodPost, "/score", append(body, '}'))
	if err != nil {
		return load.Answer{}, err
	}
	head := time.Now()
	var said struct {
		Scores [][]float64 `json:"scores"`
		Usage  *usage      `json:"usage"`
	}
	if err := readJSON(response, &said); err != nil {
		return load.Answer{}, err
	}
	end := time.Now()
	if len(said.Scores) != len(items) {
		return load.Answer{}, fmt.Errorf("openai: found scores of %d items, expected %d", len(said.Scores), len(items))
	}
	for i, row := range said.Scores {
		if len(row) != len(r.Labels) {
			return load.Answer{}, fmt.Errorf("openai: found %d scores of item %d, expected those of %d labels", len(row), i, len(r.Labels))
		}
	}
	answer := load.Answer{FirstByte: head, First: end, End: end, Prompt: r.Tokens(), Estimated: said.Usage == nil, Resent: resent}
	if said.Usage != nil {
		if err := said.Usage.check(); err != nil {
			return load.Answer{}, fmt.Errorf("openai: %w", err)
		}
		answer.Prompt, answer.Cached = said.Usage.Prompt, said.Usage.cached()
	}
	return answer, nil
}
