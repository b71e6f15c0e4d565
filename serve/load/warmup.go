package load

import (
	"context"
	"fmt"
	"strings"
)

// WarmUp sends n requests one after another, of the lengths that the first of the workload have,
// and keeps no record of them. Their prompts are drawn apart from those of the workload: tokens
// below the vocabulary, or words of a text, so that they leave nothing in a cache that the workload
// finds. It fails where one is not answered.
func WarmUp(ctx context.Context, t Target, w Workload, n, vocabulary int, seed uint64) error {
	if err := checkVocabulary(vocabulary); err != nil {
		return err
	}
	for i := range n {
		r := w.Arrival(i%w.Arrivals()).Make(0, Reply{})
		apart(&r, i, vocabulary, seed)
		if _, err := t.Send(ctx, r); err != nil {
			return fmt.Errorf("load: warm-up: %w", err)
		}
	}
	return nil
}

// apart puts another prompt of the same length in place of a request's own.
func apart(r *Request, i, vocabulary int, seed uint64) {
	const parts = 1 << 20 // of a request, at most
	rng, part := stream(seed, warmStream, i), i*parts
	tokens := func(n int) []int32 {
		part++
		return drawTokens(make([]int32, 0, n), seed, warmStream, part, n, vocabulary)
	}
	words := func(like string) string {
		var b strings.Builder
		for b.Len() < len(like) {
			fmt.Fprintf(&b, "%x ", rng.Uint32())
		}
		return b.String()[:len(like)]
	}
	if r.Prompt != nil {
		r.Prompt = tokens(len(r.Prompt))
	}
	items := make([][]int32, len(r.Items))
	for k, item := range r.Items {
		items[k] = tokens(len(item))
	}
	r.Text = words(r.Text)
	if r.Items != nil {
		r.Items = items
	}
	messages := make([]Message, len(r.Messages))
	for k, m := range r.Messages {
		messages[k] = Message{m.Role, words(m.Content)}
	}
	if r.Messages != nil {
		r.Messages = messages
	}
}
