package serve

import (
	"fmt"
	"slices"

	"slimlab/serve/pages"
	"slimlab/serve/sample"
)

// Items are scored on one prompt, each as if it alone followed it. The prompt is computed like any
// other: in chunks, from the tree and into it. Then as many items as the budget has room for go
// into one step, where they read the prompt's keys and values together. Each item forks from the
// prompt: it has the prompt's whole pages, and others of its own, which begin with a copy of the
// prompt's last one where that is not full, and are free after the step. An item that is longer
// than a step, or for which no pages are free, follows the prompt in the request's own pages, for
// which the request has room for its longest item: so it never waits for others.

// Score is what a request with items is answered with for one of them.
type Score struct {
	LabelLogits []float32 // [labels]
	LabelLogP   []float32 // [labels], where the request asks for them
}

// itemWork is the state of a request's items.
type itemWork struct {
	next   int // the first item that is not begun
	placed int // one more than the item that follows the prompt in the request's own pages; 0 for none
	left   int // without an answer
}

// longestItem is the number of tokens of the longest item.
func (r *Request) longestItem() (n int) {
	for _, item := range r.Items {
		n = max(n, len(item))
	}
	return n
}

// checkItems reports items that can never be scored.
func (r *Request) checkItems(s Shape) error {
	switch {
	case len(r.Items) == 0:
		return nil
	case len(r.Labels) == 0:
		return fmt.Errorf("serve: %d items without labels, whose logits would be their scores", len(r.Items))
	case r.MaxTokens != 0:
		return fmt.Errorf("serve: %d tokens after %d items, expected labels alone", r.MaxTokens, len(r.Items))
	}
	for i, item := range r.Items {
		for j, t := range item {
			if t < 0 || int(t) >= s.Vocabulary {
				return fmt.Errorf("serve: token %d at position %d of item %d, the vocabulary has %d", t, j, i, s.Vocabulary)
			}
		}
	}
	return nil
}

// startsItems prepares the answers of a request's items.
func (q *sequence) startItems() {
	if len(q.Items) == 0 {
		return
	}
	q.left = len(q.Items)
	q.result.Items = make([]Score, len(q.Items))
	for _, item := range q.Items {
		q.result.Prompt += len(item)
	}
}

// endAnswers reports whether the logits after the last of q's tokens answer something: an item that
// follows the prompt, or the prompt itself where items are empty.
func (q *sequence) endAnswers() bool {
	return len(q.Items) == 0 || q.placed > 0 || slices.ContainsFunc(q.Items, func(item []int32) bool { return len(item) == 0 })
}

// shareable are the first n tokens without those of an item, which no other request is to find.
func (q *sequence) shareable(n int) []int32 {
	if len(q.Items) > 0 {
		n = min(n, len(q.Prompt))
	}
	return q.tokens[:n]
}

// planItems adds q's next items to the batch, at most room tokens, and returns how many they are.
// Planned is the number of q's own tokens that are computed after the batch.
func (s *scheduler) planItems(q *sequence, planned, room int) (used int) {
	if planned < len(q.Prompt) {
		return 0
	}
	for ; q.next < len(q.Items) && used < room; q.next++ {
		item := q.Items[q.next]
		if len(item) == 0 {
			continue
		}
		if len(item) <= room-used {
			if lease, ok := s.pages.AdmitAlone(s.pages.For(len(q.Prompt)+len(item)) - len(q.Prompt)/s.pages.Size()); ok {
				s.batch = append(s.batch, part{sequence: q, tokens: len(item), fork: &fork{q.next, lease}})
				used += len(item)
				continue
			}
		}
		// Only one at a time, and not in the step that computes the end of the prompt.
		if q.placed > 0 || q.computed < len(q.Prompt) {
			return used
		}
		q.tokens, q.placed = append(q.tokens, item...), q.next+1
		n := min(len(item), room-used)
		s.batch = append(s.batch, part{sequence: q, tokens: n})
		used += n
	}
	return used
}

// fork is an item beside the prompt of its request, for one step.
type fork struct {
	item  int
	lease pages.Lease // its pages after the prompt's whole ones
}

// segment is what the executor computes of an item that forks.
func (f *fork) segment(q *sequence, pageSize int) Segment {
	item := q.Items[f.item]
	whole := q.lease.Table[:len(q.Prompt)/pageSize]
	return Segment{Tokens: item, Start: len(q.Prompt), Pages: slices.Concat(whole, f.lease.Table), Fork: q.lease.Table}
}

// scored takes the logits of a part of a request with labels, and reports whether they were the
// last.
func (q *sequence) scored(f *fork, logits []float32) (done bool) {
	s := q.ofLabels(logits)
	switch {
	case len(q.Items) == 0:
		q.result.LabelLogits, q.result.LabelLogP = s.LabelLogits, s.LabelLogP
	case f != nil:
		q.score(f.item, s)
	case q.placed > 0:
		q.score(q.placed-1, s)
		q.placed, q.tokens, q.computed = 0, q.tokens[:len(q.Prompt)], len(q.Prompt)
	default:
		for i, item := range q.Items {
			if len(item) == 0 {
				q.score(i, s)
			}
		}
	}
	return q.left == 0
}

func (q *sequence) score(item int, s Score) {
	if q.result.Items[item].LabelLogits == nil {
		q.left--
	}
	q.result.Items[item] = s
}

// ofLabels is the score by what the executor gave for the labels, or for the whole vocabulary where
// log-probabilities are asked for.
func (r *Request) ofLabels(row []float32) Score {
	if !r.LabelLogP {
		return Score{LabelLogits: slices.Clone(row)}
	}
	var sum [1]float64
	sample.LogSums(sum[:], row)
	var s Score
	for _, l := range r.Labels {
		s.LabelLogits = append(s.LabelLogits, row[l])
		s.LabelLogP = append(s.LabelLogP, float32(float64(row[l])-sum[0]))
	}
	return s
}
