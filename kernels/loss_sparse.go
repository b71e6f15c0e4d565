package kernels

import (
	"fmt"
	"math"

	"slimlab/kernels/memory"
)

// Rest says what becomes of the tokens that a sparse row does not list.
type Rest int

const (
	// RestBucket makes them one outcome, on both sides. The divergence is then that of two
	// distributions over the listed tokens and the rest: at most the divergence over the whole
	// vocabulary, the same where p/q is one number over the rest, and never less with more tokens
	// listed (data-processing inequality).
	RestBucket Rest = iota
	// RestDropped compares the distributions over the listed tokens alone, each divided by its sum
	// there. The student's mass elsewhere is not held back: this is biased.
	RestDropped
	// RestSampled takes the listed tokens as samples, with Weight as their estimate of p: with
	// importance weights of expectation p the gradient's expectation is that of the whole
	// vocabulary ("Sparse Logit Sampling", Anshumann et al., 2025). ForwardKL alone, as no other
	// divergence is linear in p.
	RestSampled
)

// SparseRows are the operands of Distillation.SparseLoss. Their number is that of the labels. Row r
// lists tokens IDs[Starts[r]:Starts[r+1]], each once.
type SparseRows struct {
	Divergence, CE []float32 // results, [rows]: unweighted, in nats
	Logits         []float32 // [rows, Vocab], of the student; becomes the gradient
	Starts         []int32   // [rows+1]
	IDs            []int32
	// log p of each listed token under the teacher's whole distribution at the Temperature
	LogP []float32
	// the estimate of p of each listed token, with RestSampled alone
	Weight []float32
	// log of the teacher's mass on the tokens that are not listed, [rows]; −Inf is none. With
	// RestBucket alone
	LogRest                    []float32
	Rest                       Rest
	Labels                     []int32   // [rows]
	DivergenceWeight, CEWeight []float32 // [rows]
	Vocab                      int
}

// SparseLoss is Loss where the teacher is known at some tokens of each row. With RestBucket and all
// tokens listed it is Loss, to rounding. A row that lists none has divergence 0.
func (d Distillation) SparseLoss(r SparseRows) {
	rows := len(r.Labels)
	checkLen("Distillation.SparseLoss Divergence", r.Divergence, rows)
	checkLen("Distillation.SparseLoss CE", r.CE, rows)
	checkLen("Distillation.SparseLoss Logits", r.Logits, rows*r.Vocab)
	checkLen("Distillation.SparseLoss DivergenceWeight", r.DivergenceWeight, rows)
	checkLen("Distillation.SparseLoss CEWeight", r.CEWeight, rows)
	checkLabels("Distillation.SparseLoss", r.Labels, rows, r.Vocab)
	r.check(rows)
	if d.Temperature == 0 {
		d.Temperature = 1
	}
	d.check()
	if r.Rest == RestSampled && d.Divergence != ForwardKL {
		panic("kernels: samples of a teacher estimate ForwardKL alone")
	}
	sparseCalls.run(rows, lossRows, sparseCall{d, r})
}

// check panics where the lists of a row do not fit.
func (r *SparseRows) check(rows int) {
	if len(r.Starts) < rows+1 {
		panic(fmt.Sprintf("kernels: Distillation.SparseLoss Starts has %d elements, needs %d", len(r.Starts), rows+1))
	}
	n := int(r.Starts[rows])
	if len(r.IDs) < n {
		panic(fmt.Sprintf("kernels: Distillation.SparseLoss IDs has %d elements, needs %d", len(r.IDs), n))
	}
	checkLen("Distillation.SparseLoss LogP", r.LogP, n)
	switch r.Rest {
	case RestBucket:
		checkLen("Distillation.SparseLoss LogRest", r.LogRest, rows)
	case RestSampled:
		checkLen("Distillation.SparseLoss Weight", r.Weight, n)
	}
	for row := range rows {
		if from, to := r.Starts[row], r.Starts[row+1]; from < 0 || from > to {
			panic(fmt.Sprintf("kernels: Distillation.SparseLoss row %d has elements %d to %d", row, from, to))
		}
	}
	for i, id := range r.IDs[:n] {
		if id < 0 || int(id) >= r.Vocab {
			panic(fmt.Sprintf("kernels: Distillation.SparseLoss token %d of element %d is outside the vocabulary of %d", id, i, r.Vocab))
		}
	}
}

type sparseCall struct {
	Distillation
	rows SparseRows
}

var sparseCalls = newCalls(func(a *sparseCall, lo, hi int) {
	x, vocab := &a.rows, a.rows.Vocab
	widest := 0
	for r := lo; r < hi; r++ {
		widest = max(widest, int(x.Starts[r+1]-x.Starts[r]))
	}
	work := memory.NewScratch(vocab + widest)
	defer work.Free()
	copied, listed := work.Take(vocab), work.Take(widest)
	for r := lo; r < hi; r++ {
		z, label := x.Logits[r*vocab:(r+1)*vocab], int(x.Labels[r])
		s := newSparseRow(a, r, listed)
		if a.Temperature == 1 {
			s.center()
			at := float64(z[label])
			x.Divergence[r] = s.loss(x.DivergenceWeight[r], x.CEWeight[r])
			x.CE[r] = float32(math.Log(s.sumQ) - at)
			z[label] -= x.CEWeight[r]
			continue
		}
		copy(copied, z)
		x.CE[r] = crossEntropyRow(copied, label, x.CEWeight[r])
		s.center()
		x.Divergence[r] = s.loss(x.DivergenceWeight[r], 0)
		Add(z, copied)
	}
})

// sparseRow is one row's work: z becomes the gradient.
type sparseRow struct {
	*sparseCall
	rk      *rowKernels
	z       []float32
	ids     []int32
	logP    []float32
	weight  []float32
	logRest float64
	listed  []float32 // logits of the listed tokens, centred

	sumListed, sumQ float64 // Σe^z over the listed tokens, over all
	logSumP, logSum float64 // logs of what the compared p and e^z are divided by
}

func newSparseRow(a *sparseCall, r int, listed []float32) sparseRow {
	x := &a.rows
	from, to := x.Starts[r], x.Starts[r+1]
	s := sparseRow{
		sparseCall: a, rk: &active.Load().rows, z: x.Logits[r*x.Vocab : (r+1)*x.Vocab],
		ids: x.IDs[from:to], logP: x.LogP[from:to], listed: listed[:to-from],
	}
	switch x.Rest {
	case RestSampled:
		s.weight = x.Weight[from:to]
	case RestBucket:
		s.logRest = float64(x.LogRest[r])
	}
	return s
}

// center subtracts the largest logit and divides by the temperature.
func (s *sparseRow) center() {
	s.rk.shiftScale(s.z, s.z, s.rk.maximum(s.z), float32(1/s.Temperature))
}

// exponentials turns z into e^z and adds it up. The listed tokens are kept out of the sum over the
// others, so that a small rest is no difference of large numbers.
func (s *sparseRow) exponentials() (rest float64) {
	for i, id := range s.ids {
		s.listed[i] = s.z[id]
		s.sumListed += math.Exp(float64(s.z[id]))
		s.z[id] = float32(math.Inf(-1))
	}
	rest = expSumBlocks(s.rk, s.z, s.z, 0)
	s.sumQ = s.sumListed + rest
	s.logSum = math.Log(s.sumQ)
	if s.rows.Rest == RestDropped {
		var sumP float64
		for _, l := range s.logP {
			sumP += math.Exp(float64(l))
		}
		s.logSumP, s.logSum = math.Log(sumP), math.Log(s.sumListed)
	}
	return rest
}

// loss returns the divergence and turns centred z into weightD·∂D/∂z + weightCE·q. With g_b =
// ∂D/∂Q_b of an outcome b and mean = Σ Q_b g_b, ∂D/∂z_i = q_i·(g_b − mean)/T for each
// token i of b.
func (s *sparseRow) loss(weightD, weightCE float32) float32 {
	rest := s.exponentials()
	var divergence, mean float64
	for i := range s.ids {
		d, qg := s.listedTerm(i)
		divergence, mean = divergence+d, mean+qg
	}
	ofRest := 0.0 // g of the tokens that are not listed
	if s.rows.Rest == RestBucket && (rest > 0 || !math.IsInf(s.logRest, -1)) {
		logQ := max(math.Log(rest)-s.logSum, logLeast)
		d, qg := s.term(max(s.logRest, logLeast), logQ)
		divergence, mean, ofRest = divergence+d, mean+qg, qg/math.Exp(logQ)
	}
	wD, wCE := float64(weightD)*s.factor()/s.Temperature, float64(weightCE)
	unlisted := wCE
	if s.rows.Rest != RestDropped && wD != 0 {
		unlisted += wD * (ofRest - mean)
	}
	s.rk.scale(s.z, s.z, float32(unlisted/s.sumQ))
	for i, id := range s.ids {
		logit := float64(s.listed[i])
		g := wCE * math.Exp(logit) / s.sumQ
		if wD != 0 {
			_, qg := s.listedTerm(i)
			g += wD * (qg - math.Exp(logit-s.logSum)*mean)
		}
		s.z[id] = float32(g)
	}
	return float32(divergence * s.factor())
}

// logLeast stands for the logarithm of 0 where the rest has no probability.
var logLeast = math.Log(1e-12)

// leastLogP stands for lower log-probabilities, so that a teacher's −Inf times 0 is 0.
const leastLogP = -1e4

// listedTerm is the term of a listed token.
func (s *sparseRow) listedTerm(i int) (d, qg float64) {
	lp, lq := max(float64(s.logP[i]), leastLogP), float64(s.listed[i])-s.logSum
	if s.weight != nil {
		w := float64(s.weight[i])
		return w * (lp - lq), -w
	}
	return s.term(lp-s.logSumP, lq)
}

// term is what an outcome with log-probabilities lp and lq adds to the divergence, and q·∂D/∂q
// of it, up to a multiple of q.
func (d Distillation) term(lp, lq float64) (value, qg float64) {
	p, q := math.Exp(lp), math.Exp(lq)
	switch d.Divergence {
	case ForwardKL:
		return p * (lp - lq), -p
	case ReverseKL:
		return q * (lq - lp), q * (lq - lp)
	case JensenShannon:
		lm := logMix(d.Beta, lp, lq)
		return d.Beta*p*(lp-lm) + (1-d.Beta)*q*(lq-lm), (1 - d.Beta) * q * (lq - lm)
	case SkewForwardKL:
		lm := logMix(d.Alpha, lp, lq)
		return p * (lp - lm), -(1 - d.Alpha) * q * math.Exp(lp-lm)
	case SkewReverseKL:
		lm := logMix(d.Alpha, lq, lp)
		return q * (lq - lm), q * (lq - lm - d.Alpha*math.Exp(lq-lm))
	case TotalVariation:
		return math.Abs(p-q) / 2, q * sign(q-p) / 2
	}
	panic(fmt.Sprintf("kernels: unknown divergence %d", d.Divergence))
}

// logMix is log(share·e^a + (1−share)·e^b).
func logMix(share, a, b float64) float64 {
	a, b = a+math.Log(share), b+math.Log1p(-share)
	return max(a, b) + math.Log1p(math.Exp(-math.Abs(a-b)))
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x
}
