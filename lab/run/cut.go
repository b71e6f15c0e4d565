package run

import (
	"fmt"

	"slimlab/kd/teachercache"
	"slimlab/lab"
	"slimlab/lab/rollout"
)

// noteCuts says which numbers of a distillation are larger than what there is, and what is used.
func (t *training) noteCuts(d *Distil) {
	if c := t.teaching.cache; c != nil && c.spec.Codec == teachercache.TopK {
		t.noteCut("cache's top-k", c.spec.K, c.source.Vocab, "all are kept, which codec exact does without rounding")
	}
	if r := t.teaching.remote; r != nil {
		vocab := t.teaching.vocab(t)
		t.noteCut("remote.ask", r.Ask, vocab, "all are asked for, as without ask")
		t.noteCut("remote.top_k", r.TopK, vocab, "all are asked for")
	}
	s := d.Samples
	if s.IsZero() {
		return
	}
	models, vocab, positions := "the student reads", t.from.shape.Vocab, t.from.shape.MaxPositions
	if teacher := t.teaching.single(); teacher != nil {
		models, vocab, positions = "student and teacher read", min(vocab, teacher.shape.Vocab), min(positions, teacher.shape.MaxPositions)
	}
	t.noteCut("samples.top_k", s.TopK, vocab, "all are chosen from")
	t.noteCut("samples.speculative", s.Speculative, vocab, "all of the student's stand")
	if s.Tokens == 0 {
		return
	}
	const looked = 256
	shortest, longest := positions, 0
	for i := range looked {
		e := trainable(t.data.Train(t.seed, i))
		n := rollout.Prompt(&e)
		shortest, longest = min(shortest, n), max(longest, n)
	}
	if s.Tokens > positions-longest {
		t.run.noteOnce(lab.Info, fmt.Sprintf("%s: samples.tokens is %d, and %s %d tokens, of which the prompts of the first %d examples take %d to %d: an answer has at most %d to %d",
			t.step.Name, s.Tokens, models, positions, looked, shortest, longest, max(0, positions-longest), min(s.Tokens, max(0, positions-shortest))))
	}
}

// noteCut says that a number of tokens is above what there is.
func (t *training) noteCut(key string, n, vocab int, used string) {
	if n > vocab {
		t.run.noteOnce(lab.Info, fmt.Sprintf("%s: %s is %d, and there are %d tokens: %s", t.step.Name, key, n, vocab, used))
	}
}
