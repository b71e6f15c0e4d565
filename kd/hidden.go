package kd

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"slimlab/kernels"
	"slimlab/model"
)

// HiddenLoss pulls the student's hidden states towards the teacher's at the answer tokens, those of
// every Origin, as the divergence does:
//
//	Weight · mean over pairs of mean_A[‖P·h_S − h_T‖²/‖h_T‖²]
//
// h_S and h_T are the states that predict an answer token, A the answer tokens with their weights.
// Each token's squared error is divided by the square of its own teacher state: 1 is what P = 0
// has, whatever the units of the states are, and a token's loss depends on no other token of the
// batch. TinyBERT (Jiao et al., 2020) has the mean squared error, which has the units of h_T².
//
// P, [hidden of the teacher, hidden of the student], is learned with the student's optimizer,
// without weight decay, one for each pair. It begins as the identity where the widths are equal, so
// that a student which was cut from its teacher begins at its teacher's states; else it is drawn
// from Seed with deviation hidden_S^-½. It is no part of the student.
//
// State 0 of a model of L layers is the tokens' embeddings, state i the residual stream after layer
// i, and state L the input of the head, after the final norm. The teacher must be a ModelTeacher:
// only it has states.
type HiddenLoss struct {
	Weight float64     // 0 is no such loss
	Pairs  []LayerPair // of states; none is the last of both, the inputs of the heads
	// Even takes the place of Pairs: state i of the student, from 1 to its last, S, with the
	// teacher's i·T/S, rounded up, T being its last
	Even bool
	Seed uint64 // of the projections
}

// LayerPair is a state of the student and the one of the teacher that it is pulled towards.
type LayerPair struct{ Student, Teacher int }

// used reports whether the loss is part of an objective.
func (h HiddenLoss) used() bool { return h.Weight > 0 }

func (h HiddenLoss) validate() error {
	switch {
	case !(h.Weight >= 0) || math.IsInf(h.Weight, 0):
		return fmt.Errorf("objective: weight %v of the hidden-state loss, expected a finite number, 0 or more", h.Weight)
	case h.Even && len(h.Pairs) > 0:
		return fmt.Errorf("objective: the hidden-state loss has %d pairs of layers and is to spread them evenly, expected one of both", len(h.Pairs))
	case !h.used() && (h.Even || len(h.Pairs) > 0):
		return fmt.Errorf("objective: the hidden-state loss has pairs of layers, but a weight of 0")
	}
	seen := map[LayerPair]bool{}
	for _, p := range h.Pairs {
		if seen[p] {
			return fmt.Errorf("objective: the hidden-state loss has the pair of layers %s twice", p)
		}
		seen[p] = true
	}
	return nil
}

// String writes a pair as "2→4".
func (p LayerPair) String() string { return fmt.Sprintf("%d→%d", p.Student, p.Teacher) }

// formula writes the loss out.
func (h HiddenLoss) formula() string {
	of := "last states"
	if h.Even {
		of = "layers evenly"
	} else if len(h.Pairs) > 0 {
		names := make([]string, len(h.Pairs))
		for i, p := range h.Pairs {
			names[i] = p.String()
		}
		of = "layers " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s·mean_A[‖P·h_S − h_T‖²/‖h_T‖²; %s]", number(h.Weight), of)
}

// pairs are those of models with so many layers.
func (h HiddenLoss) pairs(student, teacher int) ([]LayerPair, error) {
	switch {
	case h.Even:
		var pairs []LayerPair
		for i := 1; i <= student; i++ {
			pairs = append(pairs, LayerPair{i, (i*teacher + student - 1) / student})
		}
		return pairs, nil
	case len(h.Pairs) == 0:
		return []LayerPair{{student, teacher}}, nil
	}
	for _, p := range h.Pairs {
		if p.Student < 0 || p.Student > student || p.Teacher < 0 || p.Teacher > teacher {
			return nil, fmt.Errorf("objective: the hidden-state loss has the pair of layers %s, expected 0 to the student's %d and 0 to the teacher's %d", p, student, teacher)
		}
	}
	return h.Pairs, nil
}

// hiddenRows is how many targets are projected at once.
const hiddenRows = 512

// hiddenLoss is the hidden-state loss of a training, with its projections.
type hiddenLoss struct {
	weight    float64
	pairs     []LayerPair
	teacher   *ModelTeacher
	asked     []int // the teacher's states below its last
	precision kernels.Precision
	chunk     int // targets

	width, teacherWidth int
	flat, gradient      []float32 // of the projections, pair after pair
	bounds              []int     // of the ranks' shards of both
	optimizer           *optimizer
	packed              []*kernels.TrainedWeight // a pair

	streams     [][]float32 // gradients of the student's states below its last, nil where there are none
	memory      [][]float32 // of streams
	x, y, dx    []float32   // [chunk, width], [chunk, teacherWidth], [chunk, width]
	input, grad kernels.Operand
}

// newHiddenLoss prepares the loss of an objective that has one.
func newHiddenLoss(c *TrainConfig) (*hiddenLoss, error) {
	teacher, ok := c.Teacher.(*ModelTeacher)
	if !ok {
		return nil, errors.New("objective: the hidden-state loss needs a teacher that is a model in memory with the student's tokens: a cache, a URL, a mixture or a teacher of another vocabulary gives distributions alone. Choose that teacher or a weight of 0")
	}
	h := c.Objective.Hidden
	student := c.Student
	pairs, err := h.pairs(len(student.Layers), len(teacher.model.Layers))
	if err != nil {
		return nil, err
	}
	l := &hiddenLoss{
		weight: h.Weight, pairs: pairs, teacher: teacher, precision: c.Precision, chunk: hiddenRows,
		width: student.Hidden, teacherWidth: teacher.model.Hidden,
		streams: make([][]float32, len(student.Layers)), memory: make([][]float32, len(student.Layers)),
	}
	if c.chunkRows > 0 {
		l.chunk = c.chunkRows
	}
	size := l.width * l.teacherWidth
	l.flat, l.gradient = make([]float32, size*len(pairs)), make([]float32, size*len(pairs))
	for i, p := range pairs {
		if p.Teacher < len(teacher.model.Layers) {
			l.asked = append(l.asked, p.Teacher)
		}
		l.packed = append(l.packed, kernels.NewTrainedWeight(l.teacherWidth, l.width, c.Precision))
		l.begin(i, h.Seed)
	}
	l.bounds = shardBounds(len(l.flat), c.Group.Size())
	rank := c.Group.Rank()
	l.optimizer = newOptimizer(l.flat, []decayRange{{to: len(l.flat)}}, l.bounds[rank], l.bounds[rank+1])
	return l, nil
}

// projection is a pair's part of the projections or of their gradient.
func (l *hiddenLoss) projection(of []float32, pair int) []float32 {
	size := l.width * l.teacherWidth
	return of[pair*size : (pair+1)*size]
}

// begin sets a pair's projection as it is before the first step.
func (l *hiddenLoss) begin(pair int, seed uint64) {
	p := l.projection(l.flat, pair)
	if l.width == l.teacherWidth {
		for i := range l.width {
			p[i*l.width+i] = 1
		}
		return
	}
	rng := rand.New(rand.NewPCG(seed, uint64(pair)))
	deviation := 1 / math.Sqrt(float64(l.width))
	for i := range p {
		p[i] = float32(rng.NormFloat64() * deviation)
	}
}

// pack copies the projections, as they are now, for the calls of add that follow.
func (l *hiddenLoss) pack() {
	for i, w := range l.packed {
		w.Pack(l.projection(l.flat, i))
	}
}

// hiddenPass is a pass whose states the loss compares.
type hiddenPass struct {
	pass    *pass
	answers float64 // of the step's whole batch, over all ranks
	trace   *model.Trace
	hidden  []float32 // the student's last states [tokens, hidden]
	dHidden []float32 // their gradient, added to
}

// add adds the loss of a pass to total, and its gradients: of the student's last states to
// dHidden, of the others to streams, which it sets, and of the projections to their own.
func (l *hiddenLoss) add(total *sums, p hiddenPass) error {
	clear(l.streams)
	for i := range l.pairs {
		for _, k := range []kind{labels, samples} {
			for targets := p.pass.targets[k]; len(targets) > 0; {
				n := min(l.chunk, len(targets))
				sum, err := l.addChunk(i, &p, targets[:n])
				if err != nil {
					return err
				}
				sum /= float64(len(l.pairs))
				total.hidden += sum
				total.loss += l.weight * sum / p.answers
				targets = targets[n:]
			}
		}
	}
	return nil
}

// addChunk adds the gradients of a pair of states at some targets and returns the sum of their
// losses, each times its target's weight.
func (l *hiddenLoss) addChunk(pair int, p *hiddenPass, targets []Target) (sum float64, err error) {
	rows, width, teacherWidth := len(targets), l.width, l.teacherWidth
	from, into := l.student(l.pairs[pair].Student, p)
	towards := l.teacher.state(l.pairs[pair].Teacher)
	x, y, dx := sized(&l.x, rows*width), sized(&l.y, rows*teacherWidth), sized(&l.dx, rows*width)
	for i, t := range targets {
		copy(x[i*width:(i+1)*width], from[t.Row*width:])
	}
	l.input.Pack(x, rows, width, l.precision, kernels.Rows|kernels.RightSide)
	kernels.Run(l.packed[pair].Begin(y, &l.input))
	factor := l.weight / float64(len(l.pairs)) / p.answers
	for i, t := range targets {
		of, at := y[i*teacherWidth:(i+1)*teacherWidth], towards[t.Row*teacherWidth:(t.Row+1)*teacherWidth]
		var square, norm float64
		for j, h := range at {
			of[j] -= h
			square += float64(of[j]) * float64(of[j])
			norm += float64(h) * float64(h)
		}
		if norm == 0 {
			return 0, fmt.Errorf("hidden state %d of the model is 0 at token %d of an example, and the hidden-state loss is relative to it: choose other layers", l.pairs[pair].Teacher, t.Token)
		}
		sum += float64(t.weight) * square / norm
		scale := float32(2 * factor * float64(t.weight) / norm)
		for j := range of {
			of[j] *= scale
		}
	}
	l.grad.Pack(y, rows, teacherWidth, l.precision, kernels.Rows|kernels.LeftSide)
	kernels.Run(l.packed[pair].BeginInput(dx, &l.grad), kernels.BeginGradient(l.projection(l.gradient, pair), &l.grad, &l.input))
	for i, t := range targets {
		row := into[t.Row*width : (t.Row+1)*width]
		for j, d := range dx[i*width : (i+1)*width] {
			row[j] += d
		}
	}
	return sum, nil
}

// student returns a state of the student and its gradient, which is zero at first.
func (l *hiddenLoss) student(state int, p *hiddenPass) (of, gradient []float32) {
	if state == len(l.streams) {
		return p.hidden, p.dHidden
	}
	if l.streams[state] == nil {
		l.streams[state] = sized(&l.memory[state], len(p.hidden))
		clear(l.streams[state])
	}
	return p.trace.Stream(state), l.streams[state]
}

// state is what a training's state holds of the loss: the projections, and this rank's moments.
func (l *hiddenLoss) state() [][]float32 {
	return [][]float32{l.flat, l.optimizer.m, l.optimizer.v}
}
