package serve

import (
	"fmt"
	"slices"
)

// Passer is an Executor that can also compute a prompt without pages: layer by layer, so that the
// keys and values of one layer are in memory at a time.
type Passer interface {
	Executor
	// Begin begins a pass over a prompt and items that each continue it.
	Begin(prompt []int32, items [][]int32) (Pass, error)
}

// Pass is a prompt on its way through the model.
type Pass interface {
	// Step computes a small part of what is left, so that batches can run in between, and reports
	// whether it was the last.
	Step() (done bool)
	// Logits returns, after the last step, the logits of labels after each item, or without items
	// after the prompt; without labels those of the whole vocabulary. The caller may write to them.
	Logits(labels []int32) [][]float32
}

// aside is the requests that are scored without pages, one after another: each takes the memory of
// its own length, and a step takes each engine step a little longer.
type aside struct {
	waiting []*sequence
	pass    Pass // of the first, once it has begun
}

// goesAside reports whether a request is scored without pages: it says so, or does not fit into
// them.
func (r *Request) goesAside(s Shape) bool {
	return len(r.Labels) > 0 && r.PromptLogP == nil && (r.NoCache || r.pages(s) > s.Pages)
}

// queued is the requests that have not begun, and their tokens.
func (a *aside) queued() (list []*sequence, tokens int) {
	if list = a.waiting; a.pass != nil {
		list = list[1:]
	}
	for _, q := range list {
		tokens += q.result.Prompt
	}
	return list, tokens
}

// remove drops requests for which ended is true.
func (a *aside) remove(ended func(*sequence) bool) {
	if len(a.waiting) == 0 {
		return
	}
	first := a.waiting[0]
	if a.waiting = without(a.waiting, ended); !slices.Contains(a.waiting, first) {
		a.pass = nil
	}
}

// stepAside takes the first request that is scored without pages a step further.
func (c *core) stepAside() error {
	a := &c.aside
	if len(a.waiting) == 0 {
		return nil
	}
	q := a.waiting[0]
	if a.pass == nil {
		var err error
		if a.pass, err = c.executor.(Passer).Begin(q.Prompt, q.Items); err != nil {
			return fmt.Errorf("serve: %w", err)
		}
		q.runs = true
		c.begun(q, c.executor.Now())
	}
	if !a.pass.Step() {
		return nil
	}
	c.stats.ComputedTokens += q.result.Prompt
	labels := q.Labels
	if q.LabelLogP {
		labels = nil
	}
	rows := a.pass.Logits(labels)
	q.result.FirstToken = c.executor.Now()
	a.waiting, a.pass = slices.Delete(a.waiting, 0, 1), nil
	for i, row := range rows {
		s := Segment{Tokens: q.Prompt, Logits: q.LabelLogP}
		if i < len(q.Items) && len(q.Items[i]) > 0 {
			s.Tokens, s.Start = q.Items[i], len(q.Prompt)
		}
		if err := q.checkLabels(&s, row); err != nil {
			c.finish(q, FinishError, err)
			return nil
		}
		q.scored(&fork{item: i}, row)
	}
	c.finish(q, FinishScore, nil)
	return nil
}
