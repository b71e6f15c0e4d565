package kernels

import (
	"fmt"
	"math"

	"slimlab/kernels/memory"
)

// Divergence names a distance between a teacher's distribution p and a student's q over one
// vocabulary.
type Divergence int

const (
	ForwardKL Divergence = iota // KL(p‖q) = Σ p log(p/q)
	ReverseKL                   // KL(q‖p) = Σ q log(q/p)
	// β KL(p‖m) + (1−β) KL(q‖m), m = βp + (1−β)q (GKD, Agarwal et al., 2024)
	JensenShannon
	SkewForwardKL  // KL(p‖αp + (1−α)q) (DistiLLM, Ko et al., 2024)
	SkewReverseKL  // KL(q‖(1−α)p + αq) (the same)
	TotalVariation // ½ Σ|p − q|
)

// Distillation is the row-wise loss weightD·D(p, q) + weightCE·(−log q_label) on one set of
// student logits z: p = softmax(teacher/T) and q = softmax(z/T) in the divergence; the
// cross-entropy is always at T = 1.
type Distillation struct {
	Divergence Divergence
	Beta       float64 // of JensenShannon: the teacher's share of m, in (0, 1)
	// Normalized divides JensenShannon and its gradient by β(1−β): the limits β → 0 and β
	// → 1 are then forward and reverse KL, and not 0.
	Normalized bool
	// of the skewed divergences, in (0, 1): the share, in the mixture, of the distribution on the
	// left
	Alpha       float64
	Temperature float64 // 0 means 1
	TimesT2     bool    // multiplies the divergence and its gradient by T² (Hinton et al., 2015)
}

// check panics where a parameter has no meaning.
func (d Distillation) check() {
	switch d.Divergence {
	case JensenShannon:
		if !(d.Beta > 0 && d.Beta < 1) {
			panic(fmt.Sprintf("kernels: JensenShannon with β %v, needs 0 < β < 1", d.Beta))
		}
	case SkewForwardKL, SkewReverseKL:
		if !(d.Alpha > 0 && d.Alpha < 1) {
			panic(fmt.Sprintf("kernels: a skewed divergence with α %v, needs 0 < α < 1", d.Alpha))
		}
	}
}

// factor is what the divergence, as it is defined at T = 1, is multiplied by.
func (d Distillation) factor() float64 {
	factor := 1.0
	if d.TimesT2 {
		factor = d.Temperature * d.Temperature
	}
	if d.Divergence == JensenShannon && d.Normalized {
		factor /= d.Beta * (1 - d.Beta)
	}
	return factor
}

// lossRows is how many rows one task of the parallel losses takes: small enough to share a chunk of
// logits among threads, large enough to pay for the hand-over.
const lossRows = 8

type crossEntropyCall struct {
	loss, logits, weight []float32
	labels               []int32
	vocab                int
}

var crossEntropyCalls = newCalls(func(a *crossEntropyCall, lo, hi int) {
	for r := lo; r < hi; r++ {
		a.loss[r] = crossEntropyRow(a.logits[r*a.vocab:(r+1)*a.vocab], int(a.labels[r]), a.weight[r])
	}
})

// CrossEntropy writes log Σexp(z) − z[label] in nats to loss [rows] and replaces logits [rows,
// vocab] by weight[r]·∂loss[r]/∂z = weight[r]·(softmax(z) − onehot(label)). labels and
// weight are [rows]. It runs on all threads.
func CrossEntropy(loss, logits []float32, labels []int32, weight []float32, rows, vocab int) {
	checkLen("CrossEntropy loss", loss, rows)
	checkLen("CrossEntropy logits", logits, rows*vocab)
	checkLen("CrossEntropy weight", weight, rows)
	checkLabels("CrossEntropy", labels, rows, vocab)
	crossEntropyCalls.run(rows, lossRows, crossEntropyCall{loss, logits, weight, labels, vocab})
}

type logSoftmaxCall struct {
	x     []float32
	vocab int
}

var logSoftmaxCalls = newCalls(func(a *logSoftmaxCall, lo, hi int) {
	work := memory.NewScratch(a.vocab)
	defer work.Free()
	e, rk := work.Take(a.vocab), &active.Load().rows
	for r := lo; r < hi; r++ {
		x := a.x[r*a.vocab : (r+1)*a.vocab]
		m := rk.maximum(x)
		sum := expSumBlocks(rk, e, x, m)
		rk.shiftScale(x, x, float32(float64(m)+math.Log(sum)), 1)
	}
})

// LogSoftmax replaces logits x [rows, vocab] by log-probabilities: x − log Σeˣ of each row. It
// runs on all threads.
func LogSoftmax(x []float32, rows, vocab int) {
	checkLen("LogSoftmax", x, rows*vocab)
	logSoftmaxCalls.run(rows, lossRows, logSoftmaxCall{x, vocab})
}

type mixLogsCall struct {
	p, q, share []float32
	at          []int
	vocab       int
}

var mixLogsCalls = newCalls(func(a *mixLogsCall, lo, hi int) {
	work := memory.NewScratch(2 * a.vocab)
	defer work.Free()
	toP, toQ := work.Take(a.vocab), work.Take(a.vocab)
	for j := lo; j < hi; j++ {
		p, q := a.p[a.at[j]*a.vocab:(a.at[j]+1)*a.vocab], a.q[j*a.vocab:(j+1)*a.vocab]
		if a.share[j] == 0 {
			copy(p, q)
			continue
		}
		for i := range toQ {
			toQ[i] = p[i] - q[i]
		}
		active.Load().rows.mixtureLogs(toP, toQ, 0, a.share[j], 1-a.share[j])
		for i := range p { // from the larger of both, so that one may be of probability 0
			switch {
			case p[i] > q[i]:
				p[i] -= toP[i]
			case p[i] < q[i]:
				p[i] = q[i] - toQ[i]
			}
		}
	}
})

// MixLogs replaces rows at[j] of logP [_, vocab] by log(share[j]·p + (1−share[j])·q), of
// log-probabilities logP and logQ [len(at), vocab]. Shares are below 1; where one is 0 the row is
// that of logQ, whatever it held. at has no row twice. It runs on all threads.
func MixLogs(logP, logQ []float32, at []int, share []float32, vocab int) {
	for _, r := range at {
		if r < 0 || (r+1)*vocab > len(logP) {
			panic(fmt.Sprintf("kernels: MixLogs of row %d, logP has %d rows of %d", r, len(logP)/max(vocab, 1), vocab))
		}
	}
	checkLen("MixLogs logQ", logQ, len(at)*vocab)
	checkLen("MixLogs share", share, len(at))
	mixLogsCalls.run(len(at), lossRows, mixLogsCall{logP, logQ, share, at, vocab})
}

type scaleRowsCall struct {
	x, factor []float32
	dim       int
}

var scaleRowsCalls = newCalls(func(a *scaleRowsCall, lo, hi int) {
	rk := &active.Load().rows
	for r := lo; r < hi; r++ {
		x := a.x[r*a.dim : (r+1)*a.dim]
		rk.scale(x, x, a.factor[r])
	}
})

// ScaleRows multiplies row r of x [rows, dim] by factor[r]. It runs on all threads.
func ScaleRows(x, factor []float32, rows, dim int) {
	checkLen("ScaleRows", x, rows*dim)
	checkLen("ScaleRows factor", factor, rows)
	scaleRowsCalls.run(rows, lossRows, scaleRowsCall{x, factor, dim})
}

// DistillationRows are the operands of Distillation.Loss. Their number is that of the labels.
type DistillationRows struct {
	Divergence, CE             []float32 // results, [rows]: unweighted, in nats
	Logits                     []float32 // [rows, Vocab], of the student; becomes the gradient
	Teacher                    []float32 // [rows, Vocab], logits of the teacher; lost
	Labels                     []int32   // [rows]
	DivergenceWeight, CEWeight []float32 // [rows]
	Vocab                      int
}

// Loss writes each row's divergence and cross-entropy to r.Divergence and r.CE, and replaces
// r.Logits by DivergenceWeight·∂D/∂z + CEWeight·∂CE/∂z. r.Teacher is scratch: its content is lost.
// Logits must be finite: a NaN or an infinity makes its row's loss NaN. The KL values are complete
// (with Σ p log p), so they are 0 where p = q. With g_i = ∂D/∂q_i the gradient of each is
// q_i·(g_i − Σ_j q_j g_j)/T; as computed:
//
//	ForwardKL      (q − p)/T
//	ReverseKL      q·(log(q/p) − KL(q‖p))/T
//	JensenShannon  (1−β)·q·(log(q/m) − KL(q‖m))/T
//	SkewForwardKL  −(1−α)·q·(p/m − Σ q·p/m)/T
//	SkewReverseKL  q·(h − Σ q·h)/T, h = log(q/m) − α·q/m
//	TotalVariation q·(h − Σ q·h)/T, h = ½ sign(q − p)
func (d Distillation) Loss(r DistillationRows) {
	rows := len(r.Labels)
	checkLen("Distillation.Loss Divergence", r.Divergence, rows)
	checkLen("Distillation.Loss CE", r.CE, rows)
	checkLen("Distillation.Loss Logits", r.Logits, rows*r.Vocab)
	checkLen("Distillation.Loss Teacher", r.Teacher, rows*r.Vocab)
	checkLen("Distillation.Loss DivergenceWeight", r.DivergenceWeight, rows)
	checkLen("Distillation.Loss CEWeight", r.CEWeight, rows)
	checkLabels("Distillation.Loss", r.Labels, rows, r.Vocab)
	if d.Temperature == 0 {
		d.Temperature = 1
	}
	d.check()
	distillationCalls.run(rows, lossRows, distillationCall{d, r})
}

type distillationCall struct {
	Distillation
	rows DistillationRows
}

var distillationCalls = newCalls(func(a *distillationCall, lo, hi int) {
	x, vocab := &a.rows, a.rows.Vocab
	work := memory.NewScratch(3 * vocab)
	defer work.Free()
	own, copied := work.Take(2*vocab), work.Take(vocab)
	for r := lo; r < hi; r++ {
		z, t, label := x.Logits[r*vocab:(r+1)*vocab], x.Teacher[r*vocab:(r+1)*vocab], int(x.Labels[r])
		if a.Temperature == 1 {
			x.Divergence[r], x.CE[r] = a.row(z, t, own, label, x.DivergenceWeight[r], x.CEWeight[r])
			continue
		}
		copy(copied, z)
		x.CE[r] = crossEntropyRow(copied, label, x.CEWeight[r])
		x.Divergence[r], _ = a.row(z, t, own, label, x.DivergenceWeight[r], 0)
		Add(z, copied)
	}
})

func crossEntropyRow(z []float32, label int, weight float32) float32 {
	rk := &active.Load().rows
	at, m := float64(z[label]), rk.maximum(z)
	sum := expSumBlocks(rk, z, z, m)
	rk.scale(z, z, float32(float64(weight)/sum))
	z[label] -= weight
	return float32(math.Log(sum) - (at - float64(m)))
}

// lossRow is one row's work: z becomes the gradient, t, s and e are scratch. Logits are centred on
// their maximum first, so that their differences keep their digits; nothing is divided by a
// probability, so that underflow of p or q is harmless.
type lossRow struct {
	rk          *rowKernels
	z, t, s, e  []float32
	beta, alpha float64

	weightD, weightCE float64 // weightD with its factors of T
	divergence, sumQ  float64
}

// row computes one row at one temperature; own is scratch, two rows long.
func (d Distillation) row(z, t, own []float32, label int, weightD, weightCE float32) (divergence, ce float32) {
	scale := d.factor()
	r := lossRow{
		rk: &active.Load().rows, z: z, t: t, s: own[:len(z)], e: own[len(z) : 2*len(z)], beta: d.Beta, alpha: d.Alpha,
		weightD: float64(weightD) * scale / d.Temperature, weightCE: float64(weightCE),
	}
	r.center(z, d.Temperature)
	r.center(t, d.Temperature)
	at := float64(z[label])
	switch d.Divergence {
	case ForwardKL:
		r.forwardKL()
	case ReverseKL:
		r.reverseKL()
	case JensenShannon:
		r.jensenShannon()
	case SkewForwardKL:
		r.skewForwardKL()
	case SkewReverseKL:
		r.skewReverseKL()
	case TotalVariation:
		r.totalVariation()
	default:
		panic(fmt.Sprintf("kernels: unknown divergence %d", d.Divergence))
	}
	z[label] -= weightCE
	return float32(r.divergence * scale), float32(math.Log(r.sumQ) - at)
}

// center computes x = (x − max x)/temperature.
func (r *lossRow) center(x []float32, temperature float64) {
	r.rk.shiftScale(x, x, r.rk.maximum(x), float32(1/temperature))
}

func (r *lossRow) forwardKL() {
	p := r.s
	sumP := expSumBlocks(r.rk, p, r.t, 0)
	r.rk.axpy(r.t, r.z, -1) // log(p/q) up to a constant
	r.sumQ = expSumBlocks(r.rk, r.z, r.z, 0)
	r.divergence = dotBlocks(r.rk, p, r.t)/sumP + math.Log(r.sumQ) - math.Log(sumP)
	c := (r.weightD + r.weightCE) / r.sumQ
	if c == 0 {
		clear(r.z)
		return
	}
	r.rk.axpy(r.z, p, float32(-r.weightD/sumP/c))
	r.rk.scale(r.z, r.z, float32(c))
}

func (r *lossRow) reverseKL() {
	copy(r.s, r.z)
	r.rk.axpy(r.s, r.t, -1) // log(q/p) up to a constant
	sumP := expSumBlocks(r.rk, r.t, r.t, 0)
	r.sumQ = expSumBlocks(r.rk, r.z, r.z, 0)
	mean := dotBlocks(r.rk, r.z, r.s) / r.sumQ
	r.divergence = mean - math.Log(r.sumQ) + math.Log(sumP)
	r.gradient(r.weightD, mean)
}

// mixture turns z and t into q·sumQ and p·sumP, and sets e to log(p/m) and s to log(q/m) for m =
// share·p + (1−share)·q, from d = log(p/q).
func (r *lossRow) mixture(share float64) (sumP float64) {
	copy(r.s, r.t)
	r.rk.axpy(r.s, r.z, -1)
	sumP = expSumBlocks(r.rk, r.t, r.t, 0)
	r.sumQ = expSumBlocks(r.rk, r.z, r.z, 0)
	r.rk.mixtureLogs(r.e, r.s, float32(math.Log(r.sumQ)-math.Log(sumP)), float32(share), float32(1-share))
	return sumP
}

func (r *lossRow) jensenShannon() {
	sumP := r.mixture(r.beta)
	atP, atQ := dotBlocks(r.rk, r.t, r.e), dotBlocks(r.rk, r.z, r.s) // KL(p‖m)·sumP, KL(q‖m)·sumQ
	mean := atQ / r.sumQ
	r.divergence = r.beta*atP/sumP + (1-r.beta)*mean
	r.gradient(r.weightD*(1-r.beta), mean)
}

// skewForwardKL subtracts 1 from p/m, which changes nothing in the gradient but makes it 0,
// exactly, where p = q.
func (r *lossRow) skewForwardKL() {
	sumP := r.mixture(r.alpha)
	r.divergence = dotBlocks(r.rk, r.t, r.e) / sumP
	r.rk.exp(r.s, r.e)
	r.rk.shiftScale(r.s, r.s, 1, 1)
	r.gradient(-r.weightD*(1-r.alpha), dotBlocks(r.rk, r.z, r.s)/r.sumQ)
}

// skewReverseKL takes α·(q/m − 1), as skewForwardKL does.
func (r *lossRow) skewReverseKL() {
	r.mixture(1 - r.alpha)
	r.divergence = dotBlocks(r.rk, r.z, r.s) / r.sumQ
	r.rk.exp(r.e, r.s)
	r.rk.shiftScale(r.e, r.e, 1, 1)
	r.rk.axpy(r.s, r.e, float32(-r.alpha))
	r.gradient(r.weightD, dotBlocks(r.rk, r.z, r.s)/r.sumQ)
}

func (r *lossRow) totalVariation() {
	sumP := expSumBlocks(r.rk, r.t, r.t, 0)
	r.sumQ = expSumBlocks(r.rk, r.z, r.z, 0)
	var distance, mean float64
	for i, e := range r.z {
		q, p := float64(e)/r.sumQ, float64(r.t[i])/sumP
		switch {
		case q > p:
			r.s[i] = 0.5
			mean += q / 2
		case q < p:
			r.s[i] = -0.5
			mean -= q / 2
		case q == p:
			r.s[i] = 0
		default: // a NaN
			r.s[i] = float32(math.NaN())
		}
		distance += math.Abs(q - p)
	}
	r.divergence = distance / 2
	r.gradient(r.weightD, mean)
}

// gradient turns z = q·sumQ into weight·q·(s − mean) + weightCE·q.
func (r *lossRow) gradient(weight, mean float64) {
	if weight == 0 {
		r.rk.scale(r.z, r.z, float32(r.weightCE/r.sumQ))
		return
	}
	r.rk.softmaxGradient(r.z, r.z, r.s, float32(mean-r.weightCE/weight), float32(weight/r.sumQ))
}

// lossBlock is how many elements are added in float32 before the sum goes on in float64.
const lossBlock = 128

// expSumBlocks computes y = e^(x − shift) and returns Σy. y may be x.
func expSumBlocks(rk *rowKernels, y, x []float32, shift float32) (sum float64) {
	for at := 0; at < len(x); at += lossBlock {
		end := min(at+lossBlock, len(x))
		sum += float64(rk.expSum(y[at:end], x[at:end], 1, shift))
	}
	return sum
}

func dotBlocks(rk *rowKernels, x, y []float32) (sum float64) {
	for at := 0; at < len(x); at += lossBlock {
		end := min(at+lossBlock, len(x))
		sum += float64(rk.dot(x[at:end], y[at:end]))
	}
	return sum
}

func checkLabels(what string, labels []int32, rows, vocab int) {
	if len(labels) < rows {
		panic(fmt.Sprintf("kernels: %s labels has %d elements, needs %d", what, len(labels), rows))
	}
	for r, label := range labels[:rows] {
		if label < 0 || int(label) >= vocab {
			panic(fmt.Sprintf("kernels: %s label %d of row %d is outside the vocabulary of %d", what, label, r, vocab))
		}
	}
}
