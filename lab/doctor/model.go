package doctor

import (
	"context"
	"fmt"
	"time"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model"
)

// ModelOptions are what to measure of a model. With none of Prefill, Decode and Parallel it is a
// prefill of 512 tokens, 128 tokens decoded, and 8 sequences together.
type ModelOptions struct {
	Shape    string // one of Shapes
	Format   string // one of WeightFormats
	Cache    string // one of CacheFormats
	Prefill  []int  // prompts of so many tokens
	Decode   []int  // so many tokens one at a time, from nothing
	Parallel []int  // so many sequences together
	Repeat   int    // repetitions of each test, after one that does not count
}

const (
	chunk          = 512 // tokens of a pass over a prompt
	parallelPrompt = 64  // tokens before those that are decoded together
	parallelTokens = 32  // of each sequence

	logitBlock = 1 << 14 // logits that one thread searches at once
)

// CacheFormats lists the names of the formats that ExamineModel keeps keys and values in.
func CacheFormats() []string {
	names := make([]string, len(cacheFormats))
	for i, f := range cacheFormats {
		names[i] = f.String()
	}
	return names
}

// ExamineModel measures the peaks and how fast a model with random weights reads and writes tokens.
// Every token that is written is the most likely by the logits, which are computed for it. The
// error is that of a ctx that ended, or tells what of m cannot be.
func ExamineModel(ctx context.Context, o Options, m ModelOptions) (*Report, error) {
	c, f, err := find(m.Shape, m.Format)
	if err != nil {
		return nil, err
	}
	cache, err := kernels.ParseKVFormat(m.Cache)
	if err != nil {
		return nil, err
	}
	if len(m.Prefill)+len(m.Decode)+len(m.Parallel) == 0 {
		m.Prefill, m.Decode, m.Parallel = []int{512}, []int{128}, []int{8}
	}
	if err := m.check(&c); err != nil {
		return nil, err
	}
	o.complete()
	defer parallel.SetThreads(o.Threads)()
	e := newExamination(o)
	return e.model(ctx, c, f, cache, m)
}

func (o *ModelOptions) check(c *model.Config) error {
	if o.Repeat < 1 {
		return fmt.Errorf("%d repetitions, expected at least 1", o.Repeat)
	}
	for _, x := range []struct {
		name   string
		values []int
		most   int
	}{
		{"a prefill of %d tokens", o.Prefill, c.MaxPositions}, {"a decode of %d tokens", o.Decode, c.MaxPositions}, {"%d sequences together", o.Parallel, 1024},
	} {
		for _, v := range x.values {
			if v < 1 || v > x.most {
				return fmt.Errorf(x.name+": expected 1 to %d", v, x.most)
			}
		}
	}
	return nil
}

// model builds the model and runs the tests.
func (e *examination) model(ctx context.Context, c model.Config, f format, cache kernels.KVFormat, o ModelOptions) (*Report, error) {
	e.Progress(fmt.Sprintf("building %s in %s", o.Shape, f.name))
	m, err := newModel(&e.generator, c, f)
	if err != nil {
		return nil, err
	}
	e.generator = generator{} // its memory is as large as the largest weight
	e.report.Model = &Model{Shape: o.Shape, Format: f.name, Head: f.ofHead().name, Cache: o.Cache, Parameters: c.Parameters(), Bytes: m.Bytes()}
	var tests []runner
	for _, n := range o.Prefill {
		tests = append(tests, runner{name: fmt.Sprintf("prefill %d", n), sequences: 1, prompt: n})
	}
	for _, n := range o.Decode {
		tests = append(tests, runner{name: fmt.Sprintf("decode %d", n), sequences: 1, decode: n})
	}
	for _, n := range o.Parallel {
		tests = append(tests, runner{name: fmt.Sprintf("%d × decode %d", n, parallelTokens), sequences: n, prompt: parallelPrompt, decode: parallelTokens})
	}
	s := &stopwatch{e.stopwatch.now, o.Repeat, time.Millisecond}
	for i := range tests {
		t := &tests[i]
		e.Progress(t.name)
		if err := t.prepare(ctx, m, cache); err != nil {
			return nil, err
		}
		test := t.measure(e.limits, s, f.arithmetic, e.Threads)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e.report.Model.Tests = append(e.report.Model.Tests, test)
	}
	return e.finish(), nil
}

// runner runs sequences through a model: prompts, or, after prompts, tokens one at a time.
type runner struct {
	name                      string
	sequences, prompt, decode int

	ctx      context.Context
	model    *model.Model
	pool     *model.KVPool
	step     *model.Step
	prompts  []int32 // one for all sequences
	segments []model.Segment
	next     []int32   // the token that each sequence goes on with
	logits   []float32 // [sequences, vocab]
	best     []int     // of each block of them, the index of the largest
}

// prepare plans memory, and reads the prompts of what is to be decoded.
func (r *runner) prepare(ctx context.Context, m *model.Model, cache kernels.KVFormat) (err error) {
	pages := (r.prompt + r.decode + kernels.KVBlock - 1) / kernels.KVBlock
	if r.pool, err = model.NewKVPool(m.Config, cache, r.sequences*pages, kernels.KVBlock); err != nil {
		return err
	}
	r.ctx, r.model, r.step = ctx, m, model.NewStep(m.Config, min(chunk, max(r.prompt, r.sequences)))
	r.next, r.logits, r.best = make([]int32, r.sequences), make([]float32, r.sequences*m.Vocab), make([]int, r.sequences*(m.Vocab/logitBlock+1))
	r.prompts = make([]int32, r.prompt)
	for i := range r.prompts {
		r.prompts[i] = int32(i * 7919 % m.Vocab)
	}
	r.segments = make([]model.Segment, r.sequences)
	for i := range r.segments {
		table := make([]int32, pages)
		for j := range table {
			table[j] = int32(i*pages + j)
		}
		r.segments[i].Pages = table
	}
	if r.decode > 0 && r.prompt > 0 {
		r.read()
	}
	return nil
}

// read runs the prompts, one sequence after another, and takes each one's next token.
func (r *runner) read() {
	for i := range r.segments {
		var hidden []float32
		for start := 0; start < r.prompt && r.ctx.Err() == nil; start += chunk {
			r.segments[i].Tokens, r.segments[i].Start = r.prompts[start:min(start+chunk, r.prompt)], start
			hidden = r.step.Extend(r.model, r.pool, r.segments[i:i+1])
		}
		if hidden != nil {
			r.choose(hidden, i, 1)
		}
	}
}

// write decodes all sequences together.
func (r *runner) write() {
	for t := range r.decode {
		if r.ctx.Err() != nil {
			return
		}
		for i := range r.segments {
			r.segments[i].Tokens, r.segments[i].Start = r.next[i:i+1], r.prompt+t
		}
		r.choose(r.step.Extend(r.model, r.pool, r.segments), 0, r.sequences)
	}
}

// choose computes the logits of n sequences from the first on and takes the most likely token of
// each.
func (r *runner) choose(hidden []float32, first, n int) {
	vocab := r.model.Vocab
	r.model.Logits(r.logits[:n*vocab], hidden, n)
	blocks := (vocab + logitBlock - 1) / logitBlock
	parallel.For(n*blocks, func(i int) {
		row, lo := r.logits[i/blocks*vocab:][:vocab], i%blocks*logitBlock
		r.best[i] = lo + argmax(row[lo:min(lo+logitBlock, vocab)])
	})
	for i := range n {
		row, of := r.logits[i*vocab:], r.best[i*blocks:(i+1)*blocks]
		best := of[0]
		for _, b := range of[1:] {
			if row[b] > row[best] {
				best = b
			}
		}
		r.next[first+i] = int32(best)
	}
}

// argmax returns the index of the largest of x, the first of equals.
func argmax(x []float32) int {
	best, value := 0, x[0]
	for i, v := range x {
		if v > value {
			best, value = i, v
		}
	}
	return best
}

// measure holds a repetition against what its arithmetic and its reading of the weights and the
// cache allow.
func (r *runner) measure(l *limits, s *stopwatch, arithmetic string, threads int) Test {
	c := &r.model.Config
	t := Test{Name: r.name, Sequences: r.sequences, Tokens: r.sequences * r.prompt}
	perPosition := float64(r.pool.Bytes()) / float64(r.pool.Pages*r.pool.PageSize)
	d, run := demand{arithmetic: arithmetic}, r.read
	if r.decode > 0 {
		run, t.Tokens, d.passes = r.write, r.sequences*r.decode, float64(r.decode)
		for n := range r.decode {
			d.operations += float64(r.sequences) * passOperations(c, 1, r.prompt+n)
		}
		positions := float64(r.prompt) + float64(r.decode+1)/2
		d.bytes = float64(r.model.Bytes()) + float64(r.sequences)*positions*perPosition
	} else {
		for start := 0; start < r.prompt; start += chunk {
			d.passes++
			d.operations += passOperations(c, min(chunk, r.prompt-start), start)
		}
		d.bytes = float64(r.model.Bytes()) + float64(r.prompt)*perPosition/2
	}
	timing, seconds := l.hold(s, func(times int) {
		for range times {
			run()
		}
	}, d, threads)
	tokens := float64(t.Tokens)
	speed := rates(seconds, tokens)
	t.Timing, t.Rate = timing, newSample(speed)
	for _, x := range speed {
		t.Mean += x / float64(len(speed))
	}
	t.Operations, t.Bytes = d.operations/tokens, d.bytes*d.passes/tokens
	return t
}
