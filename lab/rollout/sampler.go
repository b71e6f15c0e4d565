package rollout

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"slimlab/kd"
	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/host"
	"slimlab/serve/sample"
)

// Options say whose answers a batch has and how they are sampled.
type Options struct {
	Fraction float64 // of the examples whose answers are sampled, above 0, up to 1
	// share of the sampled answers that the teacher writes; the student writes the others
	Teacher     float64
	Temperature float64 // 0 is greedy
	TopK        int     // 0 is all
	TopP        float64 // 0 or 1 is all
	MaxTokens   int     // of an answer, the end token included
	End         []int32 // tokens that end an answer and belong to it
	Seed        uint64
}

func (o Options) check() error {
	switch {
	case !(o.Fraction > 0 && o.Fraction <= 1):
		return fmt.Errorf("a fraction of %v, expected a share above 0, up to 1", o.Fraction)
	case !(o.Teacher >= 0 && o.Teacher <= 1):
		return fmt.Errorf("a teacher's share of %v, expected 0 to 1", o.Teacher)
	case !(o.Temperature >= 0) || math.IsInf(o.Temperature, 0):
		return fmt.Errorf("temperature %v, expected a finite number, 0 or more", o.Temperature)
	case o.TopK < 0 || !(o.TopP >= 0 && o.TopP <= 1):
		return fmt.Errorf("top-k %d and top-p %v, expected 0 or more, and 0 to 1", o.TopK, o.TopP)
	case o.MaxTokens < 1:
		return fmt.Errorf("at most %d tokens of an answer, expected at least 1", o.MaxTokens)
	}
	return nil
}

// Sampler gives batches whose answers are sampled. It is used by one goroutine, that of the
// trainer.
type Sampler struct {
	options Options
	given   kd.Batches
	writers [2]writer // the student, the teacher
	step    int       // that batch is of; 0: none
	batch   []kd.Example
	watch   watch
}

// writer is a model that writes answers.
type writer struct {
	model  *model.Model
	origin kd.Origin
	engine *serve.Engine
}

// New returns a sampler over given examples. teacher may be nil where it writes nothing. Close it.
func New(given kd.Batches, student, teacher *model.Model, o Options) (*Sampler, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	if o.Teacher > 0 && teacher == nil {
		return nil, fmt.Errorf("rollout: a teacher's share of %v, and there is no teacher that writes", o.Teacher)
	}
	return &Sampler{options: o, given: given, writers: [2]writer{{model: student, origin: kd.OfStudent}, {model: teacher, origin: kd.OfTeacher}}}, nil
}

// Close stops the engines.
func (s *Sampler) Close() {
	for i := range s.writers {
		if e := s.writers[i].engine; e != nil {
			e.Close()
			s.writers[i].engine = nil
		}
	}
}

// Next returns the batch of a step; it is a kd.Batches.
func (s *Sampler) Next(ctx context.Context, step int) ([]kd.Example, error) {
	if step == s.step {
		return s.batch, nil
	}
	given, err := s.given(ctx, step)
	if err != nil {
		return nil, err
	}
	s.step, s.batch = 0, append(s.batch[:0], given...)
	var asked [2][]request
	for i := range s.batch {
		if !(s.coin(step, i, 0) < s.options.Fraction) {
			continue
		}
		by := 0
		if s.coin(step, i, 1) < s.options.Teacher {
			by = 1
		}
		if r, ok := s.request(&s.writers[by], step, i); ok {
			asked[by] = append(asked[by], r)
		} else {
			s.watch.noRoom++
		}
	}
	start := time.Now()
	for by := range s.writers {
		if err := s.write(ctx, &s.writers[by], asked[by]); err != nil {
			return nil, fmt.Errorf("rollout: %w", err)
		}
	}
	s.watch.took(time.Since(start))
	s.step = step
	return s.batch, nil
}

// coin is uniform in [0, 1): a function of the seed, a step, an example of it, and what it decides.
func (s *Sampler) coin(step, i, what int) float64 {
	return rand.New(rand.NewPCG(s.options.Seed, uint64(step)<<24|uint64(i)<<2|uint64(what))).Float64()
}

// request is one answer that is to be written.
type request struct {
	example int // of the batch
	serve.Request
}

// request asks for the answer to an example's prompt; ok is false where there is no room for one.
func (s *Sampler) request(w *writer, step, i int) (r request, ok bool) {
	e := &s.batch[i]
	prompt := 0
	for prompt < len(e.Answer) && !e.Answer[prompt] {
		prompt++
	}
	room := min(s.options.MaxTokens, w.model.MaxPositions-prompt, s.writers[0].model.MaxPositions-prompt)
	if prompt == 0 || room < 1 {
		return r, false
	}
	o := s.options
	return request{i, serve.Request{
		Prompt: e.Tokens[:prompt], MaxTokens: room, Stop: o.End, LogP: true,
		Sampling: sample.Settings{Temperature: o.Temperature, TopK: o.TopK, TopP: o.TopP, Seed: rand.New(rand.NewPCG(o.Seed^0x9e3779b97f4a7c15, uint64(step)<<24|uint64(i))).Uint64()},
	}}, true
}

// write has a model write answers and puts them in the place of the batch's.
func (s *Sampler) write(ctx context.Context, w *writer, asked []request) error {
	if len(asked) == 0 {
		return nil
	}
	if err := w.ready(asked); err != nil {
		return err
	}
	requests := make([]serve.Request, len(asked))
	for i := range asked {
		requests[i] = asked[i].Request
	}
	results, err := w.engine.DoAll(ctx, requests)
	if err != nil {
		return err
	}
	for i := range results {
		e := answered(&requests[i], &results[i], w.origin)
		s.batch[asked[i].example] = e
		s.watch.see(len(requests[i].Prompt), &e, results[i].Finish == serve.FinishStop)
	}
	return nil
}

// answered is an example with a sampled answer.
func answered(q *serve.Request, r *serve.Result, origin kd.Origin) kd.Example {
	prompt := len(q.Prompt)
	tokens := append(append(make([]int32, 0, prompt+len(r.LogP)), q.Prompt...), r.Tokens...)
	if r.Finish == serve.FinishStop {
		tokens = append(tokens, r.Stopped)
	}
	e := kd.Example{Tokens: tokens, Answer: make([]bool, len(tokens)), Origin: origin, SampledLogP: make([]float32, len(tokens))}
	for i := prompt; i < len(tokens); i++ {
		e.Answer[i], e.SampledLogP[i] = true, r.LogP[i-prompt]
	}
	return e
}

// ready starts the writer's engine, with room for the requests of a step at once, or empties the
// cache of the one that it has: its keys and values are those of other weights. A later step that
// needs more room waits for it within the engine.
func (w *writer) ready(asked []request) error {
	if w.engine != nil {
		return w.engine.Flush()
	}
	const page = 16
	pages := (w.model.MaxPositions + page - 1) / page
	need := 0
	for i := range asked {
		need += (len(asked[i].Prompt)+asked[i].MaxTokens)/page + 1
	}
	engine, err := host.NewEngine(w.model, host.Options{PageSize: page, Pages: max(pages, need)}, serve.Defaults())
	w.engine = engine
	return err
}
