package kernels

import (
	"fmt"
	"math"

	"slimlab/kernels/memory"
)

// GroupedRows are the operands of Distillation.GroupedLoss. Their number is that of the labels.
type GroupedRows struct {
	Divergence, CE []float32 // results, [rows]: unweighted, in nats
	Logits         []float32 // [rows, Vocab], of the student; becomes the gradient
	// the group of each token, [Vocab], from 0 to Count−1; −1 is none. Each group has a token
	Groups []int32
	Count  int
	// log-probabilities of the groups under the teacher, [rows, Count]. A row of −Inf alone is
	// unknown
	LogP                       []float32
	Labels                     []int32   // [rows]
	DivergenceWeight, CEWeight []float32 // [rows]
	Vocab                      int
}

// GroupedLoss is Loss where the teacher is known at groups of the student's tokens: the divergence
// is that of P, given by LogP, and Q, the student's probabilities added up over each group and
// divided by their sum over all groups. Tokens without a group are in the cross-entropy alone.
// Where a teacher of the same tokens is grouped likewise, and each token has a group, it is at most
// the divergence over tokens (data-processing inequality), and the same where each group is one
// token. A row that is unknown has divergence 0. The temperature is 1.
//
// With q the student's probabilities over the tokens that have a group and g_b = ∂D/∂Q_b, the
// gradient of each token i of group b is
//
//	q_i·(g_b − Σ Q_c g_c)      ForwardKL: q_i·(1 − P_b/Q_b)
func (d Distillation) GroupedLoss(r GroupedRows) {
	rows := len(r.Labels)
	checkLen("Distillation.GroupedLoss Divergence", r.Divergence, rows)
	checkLen("Distillation.GroupedLoss CE", r.CE, rows)
	checkLen("Distillation.GroupedLoss Logits", r.Logits, rows*r.Vocab)
	checkLen("Distillation.GroupedLoss LogP", r.LogP, rows*r.Count)
	checkLen("Distillation.GroupedLoss DivergenceWeight", r.DivergenceWeight, rows)
	checkLen("Distillation.GroupedLoss CEWeight", r.CEWeight, rows)
	checkLabels("Distillation.GroupedLoss", r.Labels, rows, r.Vocab)
	checkGroups("Distillation.GroupedLoss", r.Groups, r.Vocab, r.Count)
	if d.Temperature == 0 {
		d.Temperature = 1
	}
	if d.Temperature != 1 {
		panic(fmt.Sprintf("kernels: Distillation.GroupedLoss at temperature %v, needs 1", d.Temperature))
	}
	d.check()
	groupedCalls.run(rows, lossRows, groupedCall{d, r})
}

// checkGroups panics where a group is none of count, or has no token.
func checkGroups(what string, groups []int32, vocab, count int) {
	if len(groups) < vocab {
		panic(fmt.Sprintf("kernels: %s groups has %d elements, needs %d", what, len(groups), vocab))
	}
	w := freeGroupMasses.Get()
	defer freeGroupMasses.Put(w)
	w.size(count)
	clear(w.log)
	for i, g := range groups[:vocab] {
		if g < -1 || int(g) >= count {
			panic(fmt.Sprintf("kernels: %s token %d is of group %d, expected -1 to %d", what, i, g, count-1))
		}
		if g >= 0 {
			w.log[g] = 1
		}
	}
	for g, any := range w.log {
		if any == 0 {
			panic(fmt.Sprintf("kernels: %s group %d of %d has no token", what, g, count))
		}
	}
}

// groupMasses are what the groups of a row come to.
type groupMasses struct {
	log       []float64 // of Σe^(z − max z) over each group
	logSum    float64   // over all tokens that have a group
	sumAll    float64   // Σe^(z − max z) over all tokens
	qg        []float64 // Q·∂D/∂Q of each
	factor    []float64 // of e^(z − max z) in the gradient
	underflow bool      // some group has less than leastMass
}

var freeGroupMasses = memory.NewFreeList(64, func() *groupMasses { return new(groupMasses) })

func (w *groupMasses) size(count int) {
	w.log, w.qg, w.factor = memory.Grown(w.log, count), memory.Grown(w.qg, count), memory.Grown(w.factor, count)
}

// leastMass is the least share of the likeliest token's probability that exponentials in float32
// add up with all their digits. A group below is added up again by itself.
const leastMass = 1e-25

var logLeastMass = math.Log(leastMass)

// add adds up the groups of a row z, whose maximum is most, and sets e to e^(z − most).
func (w *groupMasses) add(rk *rowKernels, e, z []float32, most float32, groups []int32) {
	w.sumAll = expSumBlocks(rk, e, z, most)
	clear(w.log)
	for i, g := range groups[:len(e)] {
		if g >= 0 {
			w.log[g] += float64(e[i])
		}
	}
	w.underflow = false
	for _, sum := range w.log {
		w.underflow = w.underflow || sum < leastMass
	}
	if w.underflow {
		w.addSmall(z, most, groups)
	}
	high := math.Inf(-1)
	for g, sum := range w.log {
		if !(sum < leastMass) { // a logarithm below already
			w.log[g] = math.Log(sum)
		}
		high = max(high, w.log[g])
	}
	var sum float64
	for _, l := range w.log {
		sum += math.Exp(l - high)
	}
	w.logSum = high + math.Log(sum)
}

// addSmall replaces sums below leastMass by their logarithms, which are all below 0.
func (w *groupMasses) addSmall(z []float32, most float32, groups []int32) {
	for g, sum := range w.log {
		if sum < leastMass {
			w.qg[g], w.factor[g] = math.Inf(-1), 0
		} else {
			w.qg[g] = math.Inf(1)
		}
	}
	for i, g := range groups[:len(z)] {
		if g >= 0 {
			w.qg[g] = max(w.qg[g], float64(z[i]))
		}
	}
	for i, g := range groups[:len(z)] {
		if g >= 0 && w.log[g] < leastMass {
			w.factor[g] += math.Exp(float64(z[i]) - w.qg[g])
		}
	}
	for g, sum := range w.log {
		if sum < leastMass {
			w.log[g] = w.qg[g] - float64(most) + math.Log(w.factor[g])
		}
	}
}

type groupedCall struct {
	Distillation
	rows GroupedRows
}

var groupedCalls = newCalls(func(a *groupedCall, lo, hi int) {
	work := memory.NewScratch(a.rows.Vocab)
	defer work.Free()
	w := freeGroupMasses.Get()
	defer freeGroupMasses.Put(w)
	w.size(a.rows.Count)
	e := work.Take(a.rows.Vocab)
	for r := lo; r < hi; r++ {
		a.row(r, e, w)
	}
})

// row computes a row; e is scratch.
func (a *groupedCall) row(r int, e []float32, w *groupMasses) {
	x, rk := &a.rows, &active.Load().rows
	z, groups, logP := x.Logits[r*x.Vocab:(r+1)*x.Vocab], x.Groups[:x.Vocab], x.LogP[r*x.Count:(r+1)*x.Count]
	label, weightCE := int(x.Labels[r]), float64(x.CEWeight[r])
	at, most := float64(z[label]), rk.maximum(z)
	w.add(rk, e, z, most, groups)
	x.CE[r] = float32(math.Log(w.sumAll) - (at - float64(most)))
	ofCE := weightCE / w.sumAll
	if known := rk.maximum(logP); math.IsInf(float64(known), -1) {
		x.Divergence[r] = 0
		rk.scale(z, e, float32(ofCE))
		z[label] -= x.CEWeight[r]
		return
	}
	var divergence, mean float64
	for g, l := range logP {
		d, qg := a.term(max(float64(l), leastLogP), w.log[g]-w.logSum)
		divergence, mean, w.qg[g] = divergence+d, mean+qg, qg
	}
	x.Divergence[r] = float32(divergence * a.factor())
	weight := float64(x.DivergenceWeight[r]) * a.factor()
	for g, l := range w.log {
		w.qg[g] = weight * (w.qg[g] - math.Exp(l-w.logSum)*mean) // of the whole group
		w.factor[g] = ofCE
		if l >= logLeastMass {
			w.factor[g] += w.qg[g] / math.Exp(l)
		}
	}
	for i, g := range groups {
		switch share := float64(e[i]); {
		case g < 0:
			z[i] = float32(share * ofCE)
		case w.underflow && w.log[g] < logLeastMass: // e[i] has lost its digits
			z[i] = float32(share*ofCE + w.qg[g]*math.Exp(float64(z[i])-float64(most)-w.log[g]))
		default:
			z[i] = float32(share * w.factor[g])
		}
	}
	z[label] -= x.CEWeight[r]
}

type groupLogsCall struct {
	logP, logits []float32
	groups       []int32
	vocab, count int
}

var groupLogsCalls = newCalls(func(a *groupLogsCall, lo, hi int) {
	work := memory.NewScratch(a.vocab)
	defer work.Free()
	w := freeGroupMasses.Get()
	defer freeGroupMasses.Put(w)
	w.size(a.count)
	e, rk := work.Take(a.vocab), &active.Load().rows
	for r := lo; r < hi; r++ {
		z := a.logits[r*a.vocab : (r+1)*a.vocab]
		w.add(rk, e, z, rk.maximum(z), a.groups)
		for g, l := range w.log {
			a.logP[r*a.count+g] = float32(l - w.logSum)
		}
	}
})

// GroupLogSoftmax writes the log-probabilities of groups of tokens to logP [rows, count]: of
// softmax(logits), logits [rows, vocab], added up over each group and divided by the sum over all
// groups. groups is GroupedRows.Groups. It runs on all threads.
func GroupLogSoftmax(logP, logits []float32, groups []int32, rows, vocab, count int) {
	checkLen("GroupLogSoftmax logP", logP, rows*count)
	checkLen("GroupLogSoftmax logits", logits, rows*vocab)
	checkGroups("GroupLogSoftmax", groups, vocab, count)
	groupLogsCalls.run(rows, lossRows, groupLogsCall{logP, logits, groups, vocab, count})
}
