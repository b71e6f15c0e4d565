package doctor

import (
	"context"
	"fmt"
	"time"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/host"
)

// ModelOptions are what to measure of a model. With none of Prefill, Decode and Parallel it is a
// prefill of 512 tokens, 128 tokens decoded, and 8 sequences at once.
type ModelOptions struct {
	Shape    string // one of Shapes
	Format   string // one of WeightFormats
	Cache    string // one of CacheFormats
	Prefill  []int  // prompts of so many tokens
	Decode   []int  // so many tokens one at a time, from nothing
	Parallel []int  // so many sequences at once
	Repeat   int    // repetitions of each test, after one that does not count
}

const (
	batchTokens    = 2048 // tokens of a step, at most: an engine's default
	pageSize       = 16   // tokens of a page, likewise
	parallelPrompt = 64   // tokens before those that are decoded at once: whole pages
	parallelTokens = 32   // of each sequence
)

// CacheFormats lists the names of the formats that ExamineModel keeps keys and values in.
func CacheFormats() []string {
	var names []string
	for _, f := range kernels.KVFormats() {
		names = append(names, f.String())
	}
	return names
}

// ExamineModel measures the peaks and how fast an engine on this machine reads and writes tokens
// with a model of random weights. Every token that is written is the most likely one. The error is
// that of a ctx that ended, or says what of m cannot be.
func ExamineModel(ctx context.Context, o Options, m ModelOptions) (*Diagnosis, error) {
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
	o.complete(ctx)
	defer parallel.SetThreads(o.Threads)()
	e, err := newExamination(ctx, o)
	if err != nil {
		return nil, err
	}
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
		{"a prefill of %d tokens", o.Prefill, c.MaxPositions - 1}, {"a decode of %d tokens", o.Decode, c.MaxPositions - 1}, {"%d sequences at once", o.Parallel, 1024},
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
func (e *examination) model(ctx context.Context, c model.Config, f format, cache kernels.KVFormat, o ModelOptions) (*Diagnosis, error) {
	e.Progress(fmt.Sprintf("building %s in %s", o.Shape, f.name))
	m, err := newModel(ctx, &e.generator, c, f)
	if err != nil {
		return nil, err
	}
	e.generator = generator{} // its memory is as large as the largest weight
	e.report.Model = &ModelSpeed{Shape: o.Shape, Format: f.name, Head: f.ofHead().name, Cache: o.Cache, CacheBytes: model.PositionBytes(c, cache), Parameters: c.Parameters(), Bytes: m.Bytes()}
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
	s := &stopwatch{ctx, e.stopwatch.now, o.Repeat, time.Millisecond}
	for i := range tests {
		t := &tests[i]
		e.Progress(t.name)
		t.model, t.limits, t.arithmetic, t.threads = m, e.limits, f.arithmetic, e.Threads
		test, err := t.measure(ctx, s, cache)
		if err != nil {
			return nil, err
		}
		e.report.Model.Tests = append(e.report.Model.Tests, test)
	}
	return e.finish(ctx)
}

// runner is one test: an engine reads prompts, or writes tokens after prompts that it has in its
// cache.
type runner struct {
	name                      string
	sequences, prompt, decode int

	model      *model.Model
	limits     *limits
	arithmetic string // that limits the model's products
	threads    int
	position   float64 // bytes of the keys and values of a position
}

// requests are what is timed. A prompt that is read is not in the cache; of one before tokens that
// are written, all but the last token, with which writing begins, is.
func (r *runner) requests() []serve.Request {
	list := make([]serve.Request, r.sequences)
	for i := range list {
		prompt, tokens := make([]int32, r.prompt), 1
		if r.decode > 0 {
			prompt, tokens = make([]int32, r.prompt+1), r.decode
		}
		for j := range prompt {
			prompt[j] = int32((i*104729 + j*7919) % r.model.Vocab)
		}
		list[i] = serve.Request{Prompt: prompt, MaxTokens: tokens}
	}
	return list
}

// measure runs the test on an engine of its own.
func (r *runner) measure(ctx context.Context, s *stopwatch, cache kernels.KVFormat) (Test, error) {
	requests := r.requests()
	// Twice what is needed, so that no prompt is evicted for the tokens of another repetition.
	pages := 2 * r.sequences * ((r.prompt + max(r.decode, 1) + pageSize) / pageSize)
	executor, err := host.New(r.model, host.Options{KV: cache, PageSize: pageSize, Pages: pages})
	if err != nil {
		return Test{}, err
	}
	r.position = float64(executor.Bytes()) / float64(pages*pageSize)
	engine, err := serve.New(executor, serve.Options{BatchTokens: batchTokens, Running: r.sequences, PrefixCache: r.decode > 0})
	if err != nil {
		return Test{}, err
	}
	defer engine.Close()
	run := func() {
		if err == nil {
			_, err = engine.DoAll(ctx, requests)
		}
	}
	if run(); err != nil { // what decodes finds its prompts in the cache from now on
		return Test{}, err
	}
	t := Test{Name: r.name, Sequences: r.sequences, Tokens: r.sequences * max(r.decode, 1)}
	if r.decode == 0 {
		t.Tokens = r.sequences * r.prompt
	}
	d := r.demand()
	timing, seconds := r.limits.compare(s, func(times int) {
		for range times {
			run()
		}
	}, d, r.threads)
	tokens := float64(t.Tokens)
	speed := rates(seconds, tokens)
	t.Timing, t.Rate = timing, newSample(speed)
	for _, x := range speed {
		t.Mean += x / float64(len(speed))
	}
	t.Operations, t.Bytes = d.operations/tokens, d.bytes*d.passes/tokens
	return t, err
}

// demand is what arithmetic and reading the weights and the cache a repetition takes.
func (r *runner) demand() demand {
	c, sequences := &r.model.Config, float64(r.sequences)
	d := demand{arithmetic: r.arithmetic, bytes: float64(r.model.Bytes())}
	if r.decode == 0 {
		for start := 0; start < r.prompt; start += batchTokens {
			d.passes++
			d.operations += passOperations(c, min(batchTokens, r.prompt-start), start)
		}
		d.operations += headOperations(c)
		d.bytes += float64(r.prompt) * r.position / 2
		return d
	}
	for n := range r.decode {
		d.passes++
		d.operations += sequences * (passOperations(c, 1, r.prompt+n) + headOperations(c))
	}
	d.bytes += sequences * (float64(r.prompt) + float64(r.decode+1)/2) * r.position
	return d
}
