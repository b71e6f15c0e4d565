package rollout

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"slimlab/kd"
	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/sample"
)

// Options say whose answers a batch has and how they are sampled.
type Options struct {
	// of the examples whose answers are sampled, above 0, up to 1; 0 with Replay
	Fraction float64
	// share of the sampled answers that the teacher writes; the student writes the others
	Teacher     float64
	Temperature float64 // 0 is greedy
	TopK        int     // 0 is all
	TopP        float64 // 0 or 1 is all
	MaxTokens   int     // of an answer, the end token included
	End         []int32 // tokens that end an answer and belong to it
	Seed        uint64
	Replay      *Replay      // nil samples a share of Fraction
	Speculative *Speculative // nil leaves the student's answers as it writes them
	Writer      Writer       // writes the teacher's answers in place of a model in memory; may be nil
}

// Writer writes answers, such as a model at a URL.
type Writer interface {
	// Write answers requests, in their order. Of a result Tokens, Finish and Stopped are read.
	Write(ctx context.Context, requests []serve.Request) ([]serve.Result, error)
}

func (o Options) check() error {
	switch {
	case o.Replay == nil && !(o.Fraction > 0 && o.Fraction <= 1):
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
	if err := o.checkReplay(); err != nil {
		return err
	}
	return o.checkSpeculative()
}

// CheckFor reports samples that an objective cannot be trained on, or would be misled by.
func (o Options) CheckFor(objective kd.Objective) error {
	cut := o.TopK > 0 || o.TopP > 0 && o.TopP < 1
	switch {
	case !objective.Sampled():
		return nil
	case o.Replay != nil || o.Fraction != 1 || o.Teacher != 0 || o.Speculative != nil:
		return fmt.Errorf("rollout: loss %s has no value on other answers than the student's own: expected a fraction of 1, without a teacher's share, replay and speculation", objective)
	case o.Temperature == 0:
		return fmt.Errorf("rollout: loss %s at temperature 0, expected one above: the likeliest token is no sample of a distribution", objective)
	case objective.Divergence == kd.WeightedReverseKL && cut:
		return fmt.Errorf("rollout: loss %s with top-k %d and top-p %v, expected neither: a token that is cut off is never drawn, so that no weight q/q₀ makes up for it, and those that are left are drawn more often than q₀ says", objective, o.TopK, o.TopP)
	case objective.Divergence == kd.SampledReverseKL && (cut || o.Temperature != 1):
		return fmt.Errorf("rollout: loss %s at temperature %v, top-k %d and top-p %v, expected temperature 1 alone: it is reverse KL for samples of the student's own distribution", objective, o.Temperature, o.TopK, o.TopP)
	}
	return nil
}

// Sampler gives batches whose answers are sampled. It is used by one goroutine, that of the
// trainer.
type Sampler struct {
	options Options
	given   kd.Batches
	writers [2]writer // the student, the teacher
	// of a whole example, at most: what both models read
	positions int
	skd       *speculation // nil without Options.Speculative
	replay    replay
	step      int // that batch is of; 0: none
	batch     []kd.Example
	watch     watch
}

// New returns a sampler over given examples. teacher may be nil where it writes nothing; where it
// is given, answers have tokens that both models know, and as many as both can read. Close it.
func New(given kd.Batches, student, teacher *model.Model, o Options) (*Sampler, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	if o.Teacher > 0 && teacher == nil && o.Writer == nil {
		return nil, fmt.Errorf("rollout: a teacher's share of %v, and there is no teacher that writes", o.Teacher)
	}
	if o.Speculative != nil && teacher == nil {
		return nil, fmt.Errorf("rollout: tokens that a teacher replaces, and there is no teacher that writes")
	}
	vocab, positions := student.Vocab, student.MaxPositions
	if teacher != nil {
		vocab, positions = min(vocab, teacher.Vocab), min(positions, teacher.MaxPositions)
	}
	s := &Sampler{options: o, given: given, positions: positions, writers: [2]writer{{student, kd.OfStudent, vocab, nil}, {teacher, kd.OfTeacher, vocab, nil}}}
	if o.Replay != nil {
		s.replay.begin(o.Replay)
	}
	if o.Speculative != nil {
		s.skd = newSpeculation(student, teacher, vocab, *o.Speculative)
	}
	return s, nil
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
	s.replay.settle(step)
	s.watch.begin(step)
	asked := s.toss(step)
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

// toss decides what becomes of the examples of a step: earlier samples take their places at once,
// and requests ask for new ones, of the student and of the teacher.
func (s *Sampler) toss(step int) (asked [2][]request) {
	for i := range s.batch {
		what := asGiven
		if u := s.coin(step, i, 0); s.options.Replay != nil {
			what = s.replay.of(u, step)
		} else if u < s.options.Fraction {
			what = fresh
		}
		switch what {
		case asGiven:
			continue
		case earlier:
			s.batch[i] = s.replay.pick(s.coin(step, i, 2))
			s.watch.replayed()
			continue
		}
		by := 0
		if s.coin(step, i, 1) < s.options.Teacher {
			by = 1
		}
		if r, ok := s.request(step, i); ok {
			asked[by] = append(asked[by], r)
		} else {
			s.watch.noRoom()
		}
	}
	return asked
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
func (s *Sampler) request(step, i int) (r request, ok bool) {
	e := &s.batch[i]
	prompt := Prompt(e)
	room := min(s.options.MaxTokens, s.positions-prompt)
	if prompt == 0 || room < 1 {
		return r, false
	}
	o := s.options
	return request{i, serve.Request{
		Prompt: e.Tokens[:prompt], MaxTokens: room, Stop: o.End, ScaledLogP: true,
		Sampling: sample.Settings{Temperature: o.Temperature, TopK: o.TopK, TopP: o.TopP, Seed: rand.New(rand.NewPCG(o.Seed^0x9e3779b97f4a7c15, uint64(step)<<24|uint64(i))).Uint64()},
	}}, true
}

// Prompt counts the tokens before the first answer that has a token with a loss: an answer all of
// weight 0, such as an earlier turn of a conversation, is read.
func Prompt(e *kd.Example) int {
	begin := 0
	for t, answer := range e.Answer {
		if answer && (t == 0 || !e.Answer[t-1]) {
			begin = t
		}
		if e.Learned(t) {
			return begin
		}
	}
	return len(e.Answer)
}

// write has a model write answers and puts them in the place of the batch's.
func (s *Sampler) write(ctx context.Context, w *writer, asked []request) error {
	if len(asked) == 0 {
		return nil
	}
	requests := make([]serve.Request, len(asked))
	for i := range asked {
		requests[i] = asked[i].Request
	}
	results, err := s.answers(ctx, w, requests)
	if err != nil {
		return err
	}
	for i := range results {
		at, r := asked[i].example, &results[i]
		e := answered(&s.batch[at], &requests[i], r, w.origin)
		s.batch[at] = e
		ended := r.Finish == serve.FinishStop
		s.watch.see(len(requests[i].Prompt), &e, ended, !ended && requests[i].MaxTokens < s.options.MaxTokens)
		if s.options.Replay != nil {
			s.replay.keep(e)
		}
	}
	return nil
}

// answers has a model, or both together, answer requests.
func (s *Sampler) answers(ctx context.Context, w *writer, requests []serve.Request) ([]serve.Result, error) {
	if s.skd != nil {
		results, err := s.skd.doAll(ctx, requests)
		s.watch.judged(s.skd.judged, s.skd.accepted)
		return results, err
	}
	if w.origin == kd.OfTeacher && s.options.Writer != nil {
		return s.written(ctx, requests)
	}
	if err := w.ready(requests); err != nil {
		return nil, err
	}
	return w.engine.DoAll(ctx, requests)
}

// written are answers of Options.Writer, which must be such as the student can read.
func (s *Sampler) written(ctx context.Context, requests []serve.Request) ([]serve.Result, error) {
	results, err := s.options.Writer.Write(ctx, requests)
	if err != nil {
		return nil, err
	}
	if len(results) != len(requests) {
		return nil, fmt.Errorf("the writer gave %d answers to %d requests", len(results), len(requests))
	}
	for i := range results {
		tokens := results[i].Tokens
		if results[i].Finish == serve.FinishStop {
			tokens = append(slices.Clone(tokens), results[i].Stopped)
		}
		if len(tokens) == 0 || len(tokens) > requests[i].MaxTokens {
			return nil, fmt.Errorf("the writer's answer has %d tokens, expected 1 to %d", len(tokens), requests[i].MaxTokens)
		}
		for _, id := range tokens {
			if id < 0 || int(id) >= s.writers[0].vocab {
				return nil, fmt.Errorf("the writer's answer has token %d, and the student knows %d", id, s.writers[0].vocab)
			}
		}
	}
	return results, nil
}

// answered is a given example with a sampled answer, of the same task. The prompt's tokens keep
// their weights; the answer's have the largest of the given answer's, which is that of its task
// where parts of it are masked.
func answered(given *kd.Example, q *serve.Request, r *serve.Result, origin kd.Origin) kd.Example {
	prompt := len(q.Prompt)
	tokens := append(append(make([]int32, 0, prompt+len(r.Tokens)+1), q.Prompt...), r.Tokens...)
	if r.Finish == serve.FinishStop {
		tokens = append(tokens, r.Stopped)
	}
	e := kd.Example{Tokens: tokens, Answer: make([]bool, len(tokens)), Origin: origin, Task: given.Task}
	if r.LogP != nil {
		e.SampledLogP = append(make([]float32, prompt, len(tokens)), r.LogP...)
	}
	if given.Weights != nil {
		e.Weights = append(make([]float32, 0, len(tokens)), given.Weights[:prompt]...)
	}
	for i := prompt; i < len(tokens); i++ {
		e.Answer[i] = true
		if e.Weights != nil {
			e.Weights = append(e.Weights, answerWeight(given))
		}
	}
	return e
}

// answerWeight is the largest weight of an example's answer tokens; 1 where it has none.
func answerWeight(e *kd.Example) float32 {
	largest := float32(-1)
	for t, w := range e.Weights {
		if e.Answer[t] {
			largest = max(largest, w)
		}
	}
	if largest < 0 {
		return 1
	}
	return largest
}
