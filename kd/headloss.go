package kd

import (
	"context"
	"fmt"
	"math"
	"time"

	"slimlab/kernels"
	"slimlab/model"
)

// headLoss computes the output head and the loss together: from final hidden states to the
// objective, the gradient of the hidden states and that of the head. Invariants: logits exist for
// one chunk of rows at a time, in a buffer of chunk·vocabulary; only rows with a weight are
// multiplied; the weights are divided by the global token counts, so the sums over chunks and
// passes are the loss.
type headLoss struct {
	objective Objective
	precision kernels.Precision // of the student's products
	chunk     int               // rows
	// the common vocabulary: rows of the heads beyond it are padding, and are cut off before the
	// softmax
	vocab int

	head           *kernels.TrainedWeight // the student's, as pack found it
	input, dLogits kernels.Operand        // of its products

	student           headRows
	teacher           Teacher       // nil where the objective needs none
	spent             time.Duration // waiting for its rows
	dHidden           []float32     // [chunk, hidden]
	divergence, ce    []float32     // [chunk]
	weightD, weightCE []float32     // [chunk]
	labels            []int32       // [chunk]
}

// headRows are buffers for logits of a chunk of rows.
type headRows struct {
	hidden, logits []float32 // [chunk, hidden], [chunk, vocab]
}

// sums are the losses of a step so far, in nats.
type sums struct {
	loss           float64 // the objective
	divergence, ce float64 // over answer tokens and over labels, weighted and not normalised
	hidden         float64 // the hidden-state loss over answer tokens, likewise
}

// chunkRows chooses the rows of a chunk: about 16 MB of logits, which the last cache may hold, but
// at least 128 rows, so that adding to the head's gradient once per chunk costs little beside the
// arithmetic.
func chunkRows(vocab int) int { return max(128, (1<<22)/vocab) }

// newHeadLoss plans a loss; teacher is nil where the objective needs none.
func newHeadLoss(o Objective, student *model.Model, teacher Teacher, chunk int, precision kernels.Precision) *headLoss {
	l := &headLoss{objective: o, precision: precision, chunk: chunk, vocab: commonVocab(student, teacher), teacher: teacher}
	if chunk == 0 {
		l.chunk = chunkRows(l.vocab)
	}
	l.head = kernels.NewTrainedWeight(l.vocab, student.Hidden, precision)
	return l
}

// pack copies the student's head, as it is now, for the calls of add that follow.
func (l *headLoss) pack(student *model.Model) {
	l.head.Pack(student.Head.Float32()[:l.vocab*student.Hidden])
}

// commonVocab is the vocabulary that both have: sizes differ where one pads its head.
func commonVocab(student *model.Model, teacher Teacher) int {
	if teacher == nil {
		return student.Vocab
	}
	return min(student.Vocab, teacher.Vocab())
}

// states is a model and its final hidden states [tokens, hidden] of a pass.
type states struct {
	model  *model.Model
	hidden []float32
}

// headPass is a pass at the output head: what the loss reads, and the gradients that it adds to.
type headPass struct {
	pass    *pass
	counts  counts // of the step's whole batch, over all ranks
	student states

	dHidden []float32 // [tokens, hidden], set at the targets' rows
	head    []float32 // [vocab, hidden]
}

// add adds the objective's share of a pass to total, and its gradients. When ctx ends it returns
// soon, with wrong numbers: the caller looks at ctx.
func (l *headLoss) add(ctx context.Context, total *sums, p headPass) error {
	for k := range kinds {
		w := l.objective.weights(k, p.counts)
		if w == (weights{}) {
			continue
		}
		d, c, err := l.addTargets(ctx, &p, k, w)
		if err != nil {
			return err
		}
		total.loss += w.divergence*d + w.ce*c
		if k != others {
			total.divergence += d
		}
		if k == labels {
			total.ce += c
		}
	}
	return nil
}

// weights are the factors of a target's divergence and cross-entropy in the objective.
type weights struct{ divergence, ce float64 }

// weights are those of targets of a kind, beside their own, in a batch of so many tokens.
func (o Objective) weights(k kind, n counts) weights {
	share := func(of, tokens float64) float64 {
		if tokens > 0 {
			return of / tokens
		}
		return 0
	}
	answer, label, sequence := share(1-o.Sequence, n.compared()), share(1-o.Sequence, n.labels), share(o.Sequence, n.sequence)
	compared := share(o.Sequence, n.sequence-n.apartSequence)
	ce := o.ceShare()
	switch {
	case k == samples:
		return weights{(1 - ce) * answer, 0}
	case k == labels && o.SequenceLoss == SequenceMixture:
		return weights{(1 - ce) * (answer + compared), ce * (label + sequence)}
	case k == labels:
		return weights{(1 - ce) * answer, ce*label + sequence}
	case o.SequenceLoss == SequenceMixture:
		return weights{(1 - ce) * compared, ce * sequence}
	}
	return weights{0, sequence}
}

// addTargets adds the losses of a pass's targets of a kind, chunk by chunk, and returns the sums of
// their divergences and cross-entropies, each times its target's weight.
func (l *headLoss) addTargets(ctx context.Context, p *headPass, k kind, w weights) (divergence, crossEntropy float64, err error) {
	for targets := p.pass.targets[k]; len(targets) > 0 && ctx.Err() == nil; {
		rows := min(l.chunk, len(targets))
		if err := l.addChunk(p, k, targets[:rows], w); err != nil {
			return 0, 0, err
		}
		for i, t := range targets[:rows] {
			crossEntropy += float64(t.weight) * float64(l.ce[i])
			if w.divergence != 0 {
				divergence += float64(t.weight) * float64(l.divergence[i])
			}
		}
		targets = targets[rows:]
	}
	return divergence, crossEntropy, nil
}

// addChunk sets the targets' divergences, where w asks for them, and cross-entropies, and adds
// their gradients.
func (l *headLoss) addChunk(p *headPass, k kind, targets []Target, w weights) error {
	rows, width := len(targets), p.student.model.Hidden
	x := l.student.gather(p.student, targets)
	logits := sized(&l.student.logits, rows*l.vocab)
	l.input.Pack(x, rows, width, l.precision, kernels.Rows|kernels.RightSide)
	kernels.Run(l.head.Begin(logits, &l.input))

	sized(&l.labels, rows)
	sized(&l.weightCE, rows)
	sized(&l.weightD, rows)
	sized(&l.ce, rows)
	sized(&l.divergence, rows)
	for i, t := range targets {
		l.labels[i], l.weightCE[i], l.weightD[i] = t.Label, t.weight*float32(w.ce), t.weight*float32(w.divergence)
	}
	if err := l.loss(p, k, targets, w, logits); err != nil {
		return err
	}

	dx := sized(&l.dHidden, rows*width)
	l.dLogits.Pack(logits, rows, l.vocab, l.precision, kernels.Rows|kernels.LeftSide)
	kernels.Run(l.head.BeginInput(dx, &l.dLogits), kernels.BeginGradient(p.head[:l.vocab*width], &l.dLogits, &l.input))
	for i, t := range targets {
		copy(p.dHidden[t.Row*width:(t.Row+1)*width], dx[i*width:(i+1)*width])
	}
	return nil
}

// loss turns the student's logits of a chunk into their gradient.
func (l *headLoss) loss(p *headPass, k kind, targets []Target, w weights, logits []float32) error {
	rows := len(targets)
	if w.divergence == 0 {
		kernels.CrossEntropy(l.ce[:rows], logits, l.labels, l.weightCE, rows, l.vocab)
		return nil
	}
	start := time.Now()
	of, err := l.teacher.Rows(targets, l.vocab)
	l.spent += time.Since(start)
	if err != nil {
		return err
	}
	if l.objective.Sampled() && of.Groups.Of == nil {
		return l.sampled(p, targets, &of, logits)
	}
	by := OfData
	if k == samples {
		by = OfStudent
	}
	d := l.objective.kernel(by)
	if of.Logits != nil {
		d.Loss(kernels.DistillationRows{
			Divergence: l.divergence, CE: l.ce, Logits: logits, Teacher: of.Logits, Labels: l.labels[:rows],
			DivergenceWeight: l.weightD, CEWeight: l.weightCE, Vocab: l.vocab,
		})
		return nil
	}
	if g := &of.Groups; g.Of != nil {
		if l.objective.Sampled() || d.Temperature != 1 {
			return fmt.Errorf("loss %s at temperature %v: the teacher's distributions are of groups of tokens, which have no probabilities of single tokens and no other temperature than 1", l.objective, d.Temperature)
		}
		d.GroupedLoss(kernels.GroupedRows{
			Divergence: l.divergence, CE: l.ce, Logits: logits, Groups: g.Of, Count: g.Count, LogP: g.LogP,
			Labels: l.labels[:rows], DivergenceWeight: l.weightD, CEWeight: l.weightCE, Vocab: l.vocab,
		})
		return nil
	}
	if of.Temperature != d.Temperature {
		return fmt.Errorf("%w: they are at %v, and the loss is at %v", errTemperature, of.Temperature, d.Temperature)
	}
	if of.Rest == kernels.RestSampled && d.Divergence != kernels.ForwardKL {
		return fmt.Errorf("loss %s: the teacher's distributions are samples, which are unbiased in fkl alone", l.objective)
	}
	d.SparseLoss(kernels.SparseRows{
		Divergence: l.divergence, CE: l.ce, Logits: logits, Starts: of.Starts, IDs: of.IDs, LogP: of.TokenLogP, Weight: of.Weight, LogRest: of.LogRest, Rest: of.Rest,
		Labels: l.labels[:rows], DivergenceWeight: l.weightD, CEWeight: l.weightCE, Vocab: l.vocab,
	})
	return nil
}

// sampled is loss for the divergences that are estimated from the answer's tokens y: the gradient
// of the cross-entropy, q − onehot(y), times log p(y) − log q(y), and the importance weight.
func (l *headLoss) sampled(p *headPass, targets []Target, of *Rows, logits []float32) error {
	rows := len(targets)
	for i := range targets {
		l.weightCE[i] = 1
	}
	kernels.CrossEntropy(l.ce[:rows], logits, l.labels, l.weightCE, rows, l.vocab)
	if of.Logits != nil {
		kernels.LogSoftmax(of.Logits, rows, l.vocab)
	}
	for i, t := range targets {
		logP, err := of.at(i, t.Label, l.vocab)
		if err != nil {
			return err
		}
		logQ, ratio := -float64(l.ce[i]), 1.0
		if l.objective.Divergence == WeightedReverseKL {
			ratio = min(math.Exp(logQ-float64(p.pass.examples[t.Example].SampledLogP[t.Token])), l.objective.Parameter)
		}
		l.divergence[i] = float32(ratio * (logQ - logP))
		l.weightD[i] *= float32(ratio * (logP - logQ))
	}
	kernels.ScaleRows(logits, l.weightD, rows, l.vocab)
	return nil
}

// at is the log-probability of a token in row i, whose logits are log-probabilities.
func (r *Rows) at(i int, token int32, vocab int) (float64, error) {
	if r.Logits != nil {
		return float64(r.Logits[i*vocab+int(token)]), nil
	}
	for j := r.Starts[i]; j < r.Starts[i+1]; j++ {
		if r.IDs[j] == token {
			return float64(r.TokenLogP[j]), nil
		}
	}
	return 0, fmt.Errorf("the teacher's list of tokens lacks the sampled token %d", token)
}

// gather copies the hidden states of the targets into one matrix.
func (h *headRows) gather(of states, targets []Target) []float32 {
	width := of.model.Hidden
	x := sized(&h.hidden, len(targets)*width)
	for i, t := range targets {
		copy(x[i*width:(i+1)*width], of.hidden[t.Row*width:(t.Row+1)*width])
	}
	return x
}

// multiply computes the first vocab logits of the gathered rows with a head in any format.
func (h *headRows) multiply(m *model.Model, rows, vocab int) []float32 {
	logits := sized(&h.logits, rows*m.Vocab)
	m.Logits(logits, h.hidden, rows)
	if vocab < m.Vocab {
		for r := 1; r < rows; r++ {
			copy(logits[r*vocab:(r+1)*vocab], logits[r*m.Vocab:])
		}
	}
	return logits[:rows*vocab]
}

// sized returns the first n elements of a buffer, with any content. A buffer that is too short is
// replaced by a new one.
func sized[T any](buffer *[]T, n int) []T {
	if cap(*buffer) < n {
		*buffer = make([]T, n)
	}
	return (*buffer)[:n]
}

// sum adds in float64.
func sum(x []float32) float64 {
	var s float64
	for _, v := range x {
		s += float64(v)
	}
	return s
}
