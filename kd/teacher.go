package kd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"slimlab/kernels"
	"slimlab/model"
)

// Teacher gives distributions over the next token. It is used by one goroutine at a time.
type Teacher interface {
	// Vocab is how many tokens it has, from id 0.
	Vocab() int
	// Positions is the longest sequence that it can read; 0 is without a bound.
	Positions() int
	// Prepare is told all examples of a step before their first pass.
	Prepare(ctx context.Context, examples []Example) error
	// Read reads the sequences of a pass, which Rows is then asked about.
	Read(ctx context.Context, r Reading) error
	// Rows returns the distributions over the first vocab tokens at targets of the last Read, valid
	// until the next call. Their content may be changed.
	Rows(targets []Target, vocab int) (Rows, error)
}

// ObjectiveChecker is a Teacher that cannot serve every objective. Training asks it before its
// first step.
type ObjectiveChecker interface {
	// CheckObjective reports why the teacher cannot serve an objective, and what to do.
	CheckObjective(o Objective) error
}

// Comparer is a Teacher that has distributions at some tokens only. Training takes the mean of the
// divergence over those.
type Comparer interface {
	// Compared says of each token of an example of the last Prepare whether the teacher has a
	// distribution there. It is valid until the next Prepare.
	Compared(e *Example) []bool
}

// Reading are the sequences of a pass.
type Reading struct {
	Examples []Example
	Batch    model.Batch // their tokens, each up to the last one that is asked for
	// states below the last that a HiddenLoss asks for, beside distributions: of a ModelTeacher
	// alone
	States []int
}

// Rows are a teacher's distributions at some targets: whole rows, lists of tokens, or groups of
// tokens.
type Rows struct {
	// Logits [targets, vocab] at temperature 1, or log-probabilities: a number that is added to a
	// whole row changes nothing. nil where there are lists or groups
	Logits []float32
	Lists
	Groups Groups
}

// Groups are a teacher's distributions over groups of the student's tokens, at temperature 1; see
// kernels.GroupedRows.
type Groups struct {
	Of    []int32 // [vocab]: the group of each token; −1 is none; nil where there are rows or lists
	Count int
	LogP  []float32 // [targets, Count]; a row of −Inf alone is unknown
}

// Lists are a teacher's distributions at some tokens of each row; see kernels.SparseRows. The
// log-probabilities are at Temperature.
type Lists struct {
	Starts      []int32
	IDs         []int32
	TokenLogP   []float32
	Weight      []float32
	LogRest     []float32
	Rest        kernels.Rest
	Temperature float64
}

// CheckLists reports why lists of tokens at a temperature cannot serve the objective.
func (o Objective) CheckLists(rest kernels.Rest, temperature float64) error {
	switch {
	case temperature != o.temperature():
		return fmt.Errorf("%w: they are at %v, and loss %s is at %v", errTemperature, temperature, o, o.temperature())
	case rest == kernels.RestSampled && o.Divergence != ForwardKL:
		return fmt.Errorf("loss %s: the teacher's distributions are samples, which are unbiased in fkl alone", o)
	}
	return nil
}

// ModelTeacher is a model in memory, in any weight format. It is never changed.
type ModelTeacher struct {
	model  *model.Model
	pass   teacherPass
	hidden []float32
	rows   headRows
}

// NewModelTeacher returns a teacher. With a precision of bfloat16 its float32 weights are read in
// bfloat16, as those of a student that is trained in it.
func NewModelTeacher(m *model.Model, precision kernels.Precision) *ModelTeacher {
	if precision == kernels.BFloat16 {
		m = m.InBFloat16()
	}
	return &ModelTeacher{model: m}
}

// Model returns the model.
func (t *ModelTeacher) Model() *model.Model { return t.model }

// Vocab returns the rows of the model's head.
func (t *ModelTeacher) Vocab() int { return t.model.Vocab }

// Positions returns the model's positions.
func (t *ModelTeacher) Positions() int { return t.model.MaxPositions }

// Prepare does nothing.
func (t *ModelTeacher) Prepare(context.Context, []Example) error { return nil }

// Read runs the model. When ctx ends it returns soon.
func (t *ModelTeacher) Read(ctx context.Context, r Reading) error {
	t.hidden = t.pass.forward(ctx, t.model, r.Batch, r.States)
	return ctx.Err()
}

// state is a state [tokens, hidden] of the last Read, as HiddenLoss counts them: the last, or one
// that was asked for.
func (t *ModelTeacher) state(i int) []float32 {
	if i == len(t.model.Layers) {
		return t.hidden
	}
	return t.pass.states[i]
}

// Rows multiplies the targets' hidden states by the head.
func (t *ModelTeacher) Rows(targets []Target, vocab int) (Rows, error) {
	t.rows.gather(states{t.model, t.hidden}, targets)
	return Rows{Logits: t.rows.multiply(t.model, len(targets), vocab)}, nil
}

// errTemperature is the error of lists at another temperature than the loss's.
var errTemperature = errors.New("the teacher's distributions are lists of tokens, which cannot be taken to another temperature")

// teacherTokens is how many tokens the teacher reads at once: enough for the arithmetic to outweigh
// the reading of its weights, few enough for its activations to stay in the last cache. Its hidden
// states do not depend on it.
const teacherTokens = 1024

// teacherPass holds the buffers of a teacher's passes.
type teacherPass struct {
	hidden []float32   // [tokens, hidden]
	states [][]float32 // those below the last that were asked for, by layer
	starts []int
}

// until ends a pass between two halves of a layer when ctx ends. The states are wrong then, and the
// caller looks at ctx.
func until(ctx context.Context) model.Tap {
	return func(int, model.Site, []float32, int, int) (more bool) { return ctx.Err() == nil }
}

// forward returns the hidden states of a batch, valid until the next call, and keeps those before
// the layers that were asked for. It runs as many sequences at once as have teacherTokens tokens,
// at least one.
func (p *teacherPass) forward(ctx context.Context, m *model.Model, b model.Batch, asked []int) []float32 {
	p.hidden = sized(&p.hidden, len(b.Tokens)*m.Hidden)
	for _, layer := range asked {
		for len(p.states) <= layer {
			p.states = append(p.states, nil)
		}
		p.states[layer] = sized(&p.states[layer], len(p.hidden))
	}
	for first := 0; first+1 < len(b.Starts); {
		from, next := b.Starts[first], first+1
		p.starts = append(p.starts[:0], 0, b.Starts[next]-from)
		for next+1 < len(b.Starts) && b.Starts[next+1]-from <= teacherTokens {
			next++
			p.starts = append(p.starts, b.Starts[next]-from)
		}
		to := b.Starts[next]
		p.part(ctx, m, model.Batch{Tokens: b.Tokens[from:to], Starts: p.starts}, from, asked)
		first = next
	}
	return p.hidden
}

// part runs some sequences, whose first token is number from of the batch: it is ForwardInto that
// looks at the stream before each layer.
func (p *teacherPass) part(ctx context.Context, m *model.Model, b model.Batch, from int, asked []int) {
	rows := len(b.Tokens)
	x := p.hidden[from*m.Hidden : (from+rows)*m.Hidden]
	m.Embed(x, b.Tokens)
	for layer := range m.Blocks {
		if slices.Contains(asked, layer) {
			copy(p.states[layer][from*m.Hidden:], x)
		}
		m.Attention(layer, x, b, until(ctx))
		m.MLP(layer, x, rows, until(ctx))
	}
	m.Norm(x, rows)
}
