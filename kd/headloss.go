package kd

import (
	"context"

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

	student, teacher headRows
	dHidden          []float32 // [chunk, hidden]
	divergence, ce   []float32 // [chunk]
	weightD          []float32 // [chunk]
	weightCE         []float32 // [chunk]
	labels           []int32   // [chunk]
}

// headRows are buffers for logits of a chunk of rows.
type headRows struct {
	hidden, logits []float32 // [chunk, hidden], [chunk, vocab]
}

// sums are the losses of a step so far, in nats.
type sums struct {
	loss           float64 // the objective
	divergence, ce float64 // over answer tokens, not normalised
}

// chunkRows chooses the rows of a chunk: about 16 MB of logits, which the last cache may hold, but
// at least 128 rows, so that adding to the head's gradient once per chunk costs little beside the
// arithmetic.
func chunkRows(vocab int) int { return max(128, (1<<22)/vocab) }

// newHeadLoss plans a loss; teacher is nil where the objective needs none.
func newHeadLoss(o Objective, student, teacher *model.Model, chunk int, precision kernels.Precision) *headLoss {
	l := &headLoss{objective: o, precision: precision, chunk: chunk, vocab: commonVocab(student, teacher)}
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

// commonVocab is the vocabulary that both models have: sizes differ where one pads its head.
func commonVocab(student, teacher *model.Model) int {
	if teacher == nil {
		return student.Vocab
	}
	return min(student.Vocab, teacher.Vocab)
}

// states is a model and its final hidden states [tokens, hidden] of a pass.
type states struct {
	model  *model.Model
	hidden []float32
}

// headPass is a pass at the output head: what the loss reads, and the gradients that it adds to.
type headPass struct {
	pass             *pass
	counts           counts // of the step's whole batch, over all ranks
	student, teacher states

	dHidden []float32 // [tokens, hidden], set at the targets' rows
	head    []float32 // [vocab, hidden]
}

// add adds the objective's share of a pass to total, and its gradients. When ctx ends it returns
// soon, with wrong numbers: the caller looks at ctx.
func (l *headLoss) add(ctx context.Context, total *sums, p headPass) {
	ofAnswer, ofOther := l.objective.weights(p.counts)
	d, c := l.addTargets(ctx, total, &p, p.pass.answers, ofAnswer)
	total.divergence, total.ce = total.divergence+d, total.ce+c
	if ofOther != (weights{}) {
		l.addTargets(ctx, total, &p, p.pass.others, ofOther)
	}
}

// weights are the factors of an answer token's losses and of another token's, in a batch of so many
// tokens.
func (o Objective) weights(n counts) (ofAnswer, ofOther weights) {
	answer, sequence := 0.0, 0.0
	if n.answers > 0 {
		answer = (1 - o.Sequence) / n.answers
	}
	if n.sequence > 0 {
		sequence = o.Sequence / n.sequence
	}
	ce := o.ceShare()
	if o.SequenceLoss == SequenceMixture {
		both := answer + sequence
		return weights{(1 - ce) * both, ce * both}, weights{(1 - ce) * sequence, ce * sequence}
	}
	return weights{(1 - ce) * answer, ce*answer + sequence}, weights{0, sequence}
}

// addTargets adds the losses of targets that have the same weights, chunk by chunk, and returns the
// sums of divergence and cross-entropy, unweighted.
func (l *headLoss) addTargets(ctx context.Context, total *sums, p *headPass, targets []target, w weights) (divergence, crossEntropy float64) {
	for len(targets) > 0 && ctx.Err() == nil {
		rows := min(l.chunk, len(targets))
		d, c := l.addChunk(p, targets[:rows], w)
		divergence, crossEntropy = divergence+d, crossEntropy+c
		targets = targets[rows:]
	}
	total.loss += w.divergence*divergence + w.ce*crossEntropy
	return divergence, crossEntropy
}

// weights are the factors of one token's divergence and cross-entropy in the objective.
type weights struct{ divergence, ce float64 }

// addChunk returns the sums of divergence and cross-entropy over the targets, unweighted.
func (l *headLoss) addChunk(p *headPass, targets []target, w weights) (divergence, crossEntropy float64) {
	rows, width := len(targets), p.student.model.Hidden
	x := l.student.gather(p.student, targets)
	logits := sized(&l.student.logits, rows*l.vocab)
	l.input.Pack(x, rows, width, l.precision, kernels.Rows|kernels.RightSide)
	kernels.Run(l.head.Begin(logits, &l.input))

	labels := sized(&l.labels, rows)
	wCE := sized(&l.weightCE, rows)
	ce := sized(&l.ce, rows)
	for i, t := range targets {
		labels[i], wCE[i] = t.label, float32(w.ce)
	}
	if w.divergence == 0 {
		kernels.CrossEntropy(ce, logits, labels, wCE, rows, l.vocab)
	} else {
		wD, d := sized(&l.weightD, rows), sized(&l.divergence, rows)
		for i := range wD {
			wD[i] = float32(w.divergence)
		}
		l.teacher.gather(p.teacher, targets)
		teacherLogits := l.teacher.multiply(p.teacher.model, rows, l.vocab)
		l.objective.kernel().Loss(kernels.DistillationRows{
			Divergence: d, CE: ce, Logits: logits, Teacher: teacherLogits, Labels: labels,
			DivergenceWeight: wD, CEWeight: wCE, Vocab: l.vocab,
		})
		divergence = sum(d)
	}

	dx := sized(&l.dHidden, rows*width)
	l.dLogits.Pack(logits, rows, l.vocab, l.precision, kernels.Rows|kernels.LeftSide)
	kernels.Run(l.head.BeginInput(dx, &l.dLogits), kernels.BeginGradient(p.head[:l.vocab*width], &l.dLogits, &l.input))
	for i, t := range targets {
		copy(p.dHidden[t.row*width:(t.row+1)*width], dx[i*width:(i+1)*width])
	}
	return divergence, sum(ce)
}

// gather copies the hidden states of the targets into one matrix.
func (h *headRows) gather(of states, targets []target) []float32 {
	width := of.model.Hidden
	x := sized(&h.hidden, len(targets)*width)
	for i, t := range targets {
		copy(x[i*width:(i+1)*width], of.hidden[t.row*width:(t.row+1)*width])
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
