package hardware

import (
	"math/rand/v2"
	"time"

	"slimlab/kernels"
	"slimlab/serve"
)

// usualPage is the tokens of a page of a simulated cache. Prefixes are shared in whole pages, and
// behind them token by token, so that it decides little but the time that a simulation takes.
const usualPage = 64

// Executor is a deployment behind an engine, on a clock that its steps move: the engine schedules
// and caches as it does with a model, and the batches take the time that the deployment says. It
// implements serve.Simulated.
type Executor struct {
	deployment *Deployment
	shape      serve.Shape
	now        time.Time
	batch      Batch
	spent      Times // of all steps
	slowness   float64
	vary       *rand.Rand // of the deployment's variation
	ended      time.Time  // when the last step did
	logits     [][]float32
	zeros      []float32
}

// NewExecutor starts a clock at a time. The cache holds tokens; 0 is as many as the devices have
// room for.
func NewExecutor(d *Deployment, tokens int, start time.Time) *Executor {
	if tokens == 0 {
		tokens = d.KVTokens()
	}
	pages := max(1, tokens/usualPage)
	return &Executor{deployment: d, now: start, ended: start, slowness: 1, shape: serve.Shape{
		Vocabulary: d.Model.Vocab, Positions: pages * usualPage, Pages: pages, PageSize: usualPage,
	}}
}

// Shape is what the devices hold.
func (e *Executor) Shape() serve.Shape { return e.shape }

// Now is the simulated time.
func (e *Executor) Now() time.Time { return e.now }

// Wait moves the clock on to a time, where it is not there yet.
func (e *Executor) Wait(until time.Time) {
	if until.After(e.now) {
		e.now = until
	}
}

// Extend moves the clock by the time of the batch.
func (e *Executor) Extend(batch []serve.Segment) ([][]float32, error) {
	e.batch.Reset()
	e.batch.AddSegments(batch)
	e.logits = e.logits[:0]
	for i := range batch {
		labels := len(batch[i].Labels)
		var logits []float32
		if labels > 0 {
			if labels > len(e.zeros) {
				e.zeros = make([]float32, labels)
			}
			logits = e.zeros[:labels]
		}
		e.logits = append(e.logits, logits)
	}
	t := e.deployment.Step(&e.batch)
	if v := e.deployment.variation; v != nil {
		t.scale(v.draw(t.Total(), e.now.Sub(e.ended).Seconds(), e.vary))
	}
	e.spent.add(t)
	e.now = e.now.Add(time.Duration(e.slowness * t.Total() * float64(time.Second)))
	e.ended = e.now
	return e.logits, nil
}

// CopyPages does nothing: a simulated page has no content.
func (e *Executor) CopyPages([]kernels.PageCopy) {}

// Token draws the tokens of answers, which differ from request to request.
func (e *Executor) Token(request, place int) int32 {
	return int32(mix(uint64(request)<<32|uint64(uint32(place))) % uint64(e.shape.Vocabulary))
}

// mix is the finalizer of MurmurHash3 (Appleby): every bit of x decides every bit of the result.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Spent is the seconds of all steps by what they were spent on.
func (e *Executor) Spent() Times { return e.spent }

func (t *Times) scale(by float64) {
	t.GEMM *= by
	t.Attention *= by
	t.AllReduce *= by
	t.Elementwise *= by
	t.Head *= by
	t.Overhead *= by
}

func (t *Times) add(o Times) {
	t.GEMM += o.GEMM
	t.Attention += o.Attention
	t.AllReduce += o.AllReduce
	t.Elementwise += o.Elementwise
	t.Head += o.Head
	t.Overhead += o.Overhead
	t.Relative = o.Relative
}
