package eval

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/task"
	"slimlab/model/weight"
)

// mostStates bounds the bytes of the baseline's states that are kept until the second model's turn.
const mostStates = 1 << 30

// textPair is how the second model's distributions of a text's tokens differ from the baseline's,
// over the windows of the token perplexity: of each predicted token in order.
type textPair struct {
	KL            []float32 // KL(baseline‖second) in nats, over the tokens that both have
	Same, Was, Is []bool    // both have the same likeliest token; it is the text's, of each
	Predicted     int       // tokens in all; KL may be of the first ones alone
}

// pairing compares two models on a text while one at a time is in memory: of the baseline the final
// states of its predictions are kept, and its head.
type pairing struct {
	found  *textPair // nil until it is measured
	spans  [][]task.Span
	width  int
	vocab  int // of the baseline
	states []float32
	head   weight.Weight // nil before the baseline's turn
	most   int           // bytes of states
}

// watch is called with chunks of predictions, in order: final states, logits and the tokens that
// come.
type watch func(hidden, logits []float32, labels []int32)

// collect keeps the baseline's side.
func (p *pairing) collect(m *Model, spans [][]task.Span) watch {
	all := make([]int32, m.Vocab)
	for i := range all {
		all[i] = int32(i)
	}
	p.spans, p.width, p.vocab, p.states = spans, m.Hidden, m.Vocab, p.states[:0]
	p.head = m.Head.Select(all) // a copy: the model's own may hold the memory of all its weights
	return func(hidden, _ []float32, _ []int32) {
		if free := p.most/4 - len(p.states); free < len(hidden) {
			hidden = hidden[:max(0, free)/p.width*p.width]
		}
		p.states = append(p.states, hidden...)
	}
}

// compares reports whether the second model reads the same tokens, which is what can be compared.
func (p *pairing) compares(spans [][]task.Span) bool {
	return p.found == nil && p.head != nil && slices.EqualFunc(spans, p.spans, func(a, b []task.Span) bool {
		return slices.EqualFunc(a, b, func(a, b task.Span) bool { return a.Begin == b.Begin && slices.Equal(a.Tokens, b.Tokens) })
	})
}

// compare measures the second model's side; done releases the baseline's.
func (p *pairing) compare(m *Model) (of watch, done func()) {
	found, base := &textPair{}, p.vocab
	vocab := min(base, m.Vocab)
	var teacher, student, kl, ce, weights []float32
	narrow := func(to []float32, from []float32, rows, wide int) []float32 {
		to = slices.Grow(to[:0], rows*vocab)[:rows*vocab]
		for i := range rows {
			copy(to[i*vocab:(i+1)*vocab], from[i*wide:i*wide+vocab])
		}
		return to
	}
	var whole []float32
	of = func(_, logits []float32, labels []int32) {
		found.Predicted += len(labels)
		n := min(len(labels), len(p.states)/p.width-len(found.KL))
		if n == 0 {
			return
		}
		at := len(found.KL) * p.width
		whole = slices.Grow(whole[:0], n*base)[:n*base]
		p.head.MulT(whole, p.states[at:at+n*p.width], n)
		teacher, student = narrow(teacher, whole, n, base), narrow(student, logits, n, m.Vocab)
		for i, label := range labels[:n] {
			its, mine := int32(kernels.Argmax(teacher[i*vocab:(i+1)*vocab])), int32(kernels.Argmax(student[i*vocab:(i+1)*vocab]))
			found.Same, found.Was, found.Is = append(found.Same, its == mine), append(found.Was, its == label), append(found.Is, mine == label)
		}
		kl, ce, weights = slices.Grow(kl[:0], n)[:n], slices.Grow(ce[:0], n)[:n], slices.Grow(weights[:0], n)[:n]
		clear(weights)
		kernels.Distillation{Divergence: kernels.ForwardKL}.Loss(kernels.DistillationRows{
			Divergence: kl, CE: ce, Logits: student, Teacher: teacher, Labels: make([]int32, n),
			DivergenceWeight: weights, CEWeight: weights, Vocab: vocab,
		})
		found.KL = append(found.KL, kl...)
	}
	return of, func() { *p = pairing{found: found} }
}

// parameters name the pair among what is kept of the second model.
func (p *pairing) parameters(baseline string, text *textScores) recipe.Values {
	of := text.parameters()
	of["part"], of["baseline"] = "pair of text", baseline
	return of
}

// Behaviour is how the second model decides beside the first, on a file.
type Behaviour struct {
	File     string `json:"file"`
	Unit     string `json:"unit"`     // what is decided: "tokens" or "questions"
	Compared int    `json:"compared"` // of them
	Of       int    `json:"of"`       // in all
	// KL(first‖second) in nats: of each token's distribution; of each question's over its choices
	KL  Estimate `json:"kl"`
	P99 Estimate `json:"kl_p99"`
	// share of decisions that are the same: the likeliest token, the choice by acc_norm
	Agreement Estimate `json:"agreement"`
	Flips     Estimate `json:"flips"` // share of those that are not
	Lost      Estimate `json:"flips_lost"`
	Won       Estimate `json:"flips_won"`
	LostCount int      `json:"right_to_wrong"`
	WonCount  int      `json:"wrong_to_right"`
	P         float64  `json:"p"` // McNemar's exact test of lost against won
}

// newBehaviour sums up decisions and divergences, whose units are group.
func newBehaviour(file, unit string, all int, kl []float64, d task.Decisions) Behaviour {
	mean, p99 := task.Divergence(kl, d.Group, d.Units, d.Unit)
	flips := d.Flips()
	same := make([]bool, len(d.Changed))
	b := Behaviour{File: file, Unit: unit, Compared: len(kl), Of: all, P: flips.P}
	for i, changed := range d.Changed {
		same[i] = !changed
		switch {
		case d.Was[i] && !d.Is[i]:
			b.LostCount++
		case d.Is[i] && !d.Was[i]:
			b.WonCount++
		}
	}
	of := func(m lab.Measure) Estimate {
		e := Estimate{Value: m.Value, N: m.N, Warning: m.Warning}
		if m.Low != m.High {
			e.Low, e.High = &m.Low, &m.High
		}
		return e
	}
	b.KL, b.P99, b.Agreement = of(mean.Measure), of(p99.Measure), of(d.Share(same).Measure)
	b.Flips, b.Lost, b.Won = of(flips.All.Measure), of(flips.Lost.Measure), of(flips.Won.Measure)
	return b
}

// addTextBehaviour adds that of a text, where it was compared.
func (r *run) addTextBehaviour(out *Evaluation, index int) {
	if len(r.pairs) == 0 || len(r.pairs[index].found.KL) == 0 {
		return
	}
	p, path := r.pairs[index].found, r.texts[index].Path
	d := task.Decisions{Was: p.Was, Is: p.Is, Units: (len(p.KL) + blockTokens - 1) / blockTokens, Unit: fmt.Sprintf("runs of %d tokens", blockTokens)}
	kl := make([]float64, len(p.KL))
	for i, x := range p.KL {
		kl[i] = float64(x)
		d.Group, d.Changed = append(d.Group, i/blockTokens), append(d.Changed, !p.Same[i])
	}
	out.Behaviour = append(out.Behaviour, newBehaviour(path, "tokens", p.Predicted, kl, d))
}

// addChoiceBehaviour adds that of a file of questions.
func (r *run) addChoiceBehaviour(out *Evaluation, index int) {
	if len(r.measured) < 2 {
		return
	}
	c := r.choices[index]
	before, after := r.measured[0].choices[index], r.measured[1].choices[index]
	d := task.Decisions{Units: len(c.Questions), Unit: "questions"}
	var kl []float64
	for q := range c.Questions {
		was, is := before.Answers[q].Characters, after.Answers[q].Characters
		d.Changed, d.Group = append(d.Changed, was != is), append(d.Group, q)
		d.Was, d.Is = append(d.Was, was == c.Questions[q].Gold), append(d.Is, is == c.Questions[q].Gold)
		kl = append(kl, choiceKL(before.Sums[q], after.Sums[q]))
	}
	out.Behaviour = append(out.Behaviour, newBehaviour(c.Path, "questions", len(c.Questions), kl, d))
}

// choiceKL is the divergence of the distributions over choices that log-likelihoods give.
func choiceKL(before, after []float64) (kl float64) {
	normal := func(sums []float64) []float64 {
		most, sum := slices.Max(sums), 0.0
		for _, x := range sums {
			sum += math.Exp(x - most)
		}
		out := make([]float64, len(sums))
		for i, x := range sums {
			out[i] = x - most - math.Log(sum)
		}
		return out
	}
	p, q := normal(before), normal(after)
	for i := range p {
		kl += math.Exp(p[i]) * (p[i] - q[i])
	}
	return max(0, kl) // of equal ones rounding may leave less
}

// uncompared keeps of the texts whose tokens differ that there is nothing to compare, so that the
// baseline is not measured again for it.
func (r *run) uncompared(ctx context.Context) error {
	for i, p := range r.pairs {
		if p.found != nil {
			continue
		}
		p.found = &textPair{}
		kept, err := r.retention(ctx, r.sources[1])
		if err != nil {
			return err
		}
		t := r.measured[1].texts[i]
		if err := kept.put(p.parameters(r.baseline, t), t.name()+" of "+r.sources[1].Name+" beside "+r.sources[0].Name, p.found); err != nil {
			return err
		}
	}
	return nil
}

// comparing makes what compares the models on each text.
func (r *run) comparing(ctx context.Context) error {
	if len(r.sources) < 2 {
		return nil
	}
	if r.options.Store != nil {
		of, err := r.sources[0].Recipe(ctx)
		if err != nil {
			return err
		}
		r.baseline = of.Key()
	}
	kept, err := r.retention(ctx, r.sources[1])
	if err != nil {
		return err
	}
	for _, t := range r.texts {
		p, found := &pairing{most: cmp.Or(r.options.states, mostStates)}, &textPair{}
		if kept.get(p.parameters(r.baseline, &textScores{text: t, options: &r.options}), found) {
			p.found = found
		}
		r.pairs = append(r.pairs, p)
	}
	return nil
}
