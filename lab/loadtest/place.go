package loadtest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"slimlab/internal/plural"
	"slimlab/lab/endpoint"
	"slimlab/lab/loadreport"
	"slimlab/serve"
	"slimlab/serve/hardware"
	"slimlab/serve/load"
	"slimlab/serve/load/openai"
)

// Place is what a load test is put on. Close it.
type Place struct {
	Name       string   // for the report
	Notes      []string // what is assumed of it
	Vocabulary int      // tokens of prompts are drawn below it
	Positions  int      // tokens that a request may have; 0 is unknown
	// Shape is that of its model, and Tokens what its cache holds, where they are known.
	Shape  *hardware.Model
	Tokens int

	target    load.Target
	flush     func(context.Context) error
	close     func()
	simulated *Simulated
	steps     *Steps // of an engine here; nil where they are not kept
}

// Steps keeps the steps of an engine in this process, for Calibrate.
type Steps struct {
	mu    sync.Mutex
	list  []hardware.Sample
	ended time.Time // when the last step did
}

// KeepSteps says where the steps of an engine here are kept, whose endpoint was opened so; nil is
// nowhere.
func (p *Place) KeepSteps(s *Steps) { p.steps = s }

// Add is an endpoint's OnStep.
func (s *Steps) Add(batch []serve.Segment, took time.Duration) {
	one, now := hardware.Sample{Seconds: took.Seconds()}, time.Now()
	one.Batch.AddSegments(batch)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended.IsZero() {
		one.Idle = max(0, now.Sub(s.ended)-took).Seconds()
	}
	s.ended = now
	s.list = append(s.list, one)
}

// take returns the steps since it was last called.
func (s *Steps) take() []hardware.Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.list
	s.list = nil
	return list
}

// Close ends what the place has begun.
func (p *Place) Close() {
	if p.close != nil {
		p.close()
	}
}

// Simulated reports whether the place has a clock of its own.
func (p *Place) Simulated() bool { return p.simulated != nil }

// Here is an engine in this process. The endpoint stays the caller's.
func Here(e *endpoint.Endpoint) *Place {
	shape := hardware.Model{Name: e.Name(), Vocab: e.Vocabulary()}
	return &Place{
		Shape: &shape, Tokens: e.CacheTokens(),
		Name: e.Name() + ", an engine in this process", Notes: e.Notes, Vocabulary: e.Vocabulary(), Positions: e.Positions(),
		target: e.Target(), flush: func(context.Context) error { return e.Flush() },
	}
}

// Server says which server is asked.
type Server struct {
	URL, Key, Model string
	Vocabulary      int  // tokens of prompts are drawn below it
	Score           bool // ranking asks /v1/score
	Plain           bool // the server knows OpenAI's own fields alone
	TokenIDs        bool // the server tells the ids of tokens, as vLLM does
	InFlight        int
}

// usualVocabulary is below the vocabulary of every model that is usual to serve.
const usualVocabulary = 30_000

// At is a server behind HTTP that answers as OpenAI's does.
func At(ctx context.Context, s Server) (*Place, error) {
	t, err := openai.New(ctx, openai.Options{URL: s.URL, Key: s.Key, Model: s.Model, InFlight: s.InFlight, Score: s.Score, Plain: s.Plain, TokenIDs: s.TokenIDs})
	if err != nil {
		return nil, err
	}
	p := &Place{Name: fmt.Sprintf("%s at %s", t.Model(), s.URL), Vocabulary: s.Vocabulary, target: t, close: t.Close}
	if p.Vocabulary == 0 {
		p.Vocabulary = usualVocabulary
		p.Notes = append(p.Notes, fmt.Sprintf("prompts are token ids below %d: --vocabulary says how many the server's model has", usualVocabulary))
	}
	return p, nil
}

// On is an engine on simulated devices.
func On(models Models, d Devices, e Engine) (*Place, error) {
	deployment, err := d.Deployment(models)
	if err != nil {
		return nil, err
	}
	replicas := ""
	if d.Replicas > 1 {
		replicas = fmt.Sprintf(", %d replicas behind a router (%s)", d.Replicas, d.Router)
	}
	tokens := deployment.KVTokens()
	if d.CacheTokens > 0 {
		tokens = d.CacheTokens
	}
	return &Place{
		Name:       fmt.Sprintf("%s in %s on simulated %s by %s%s", d.Model, d.Weights, d.Device, d.Calibration, replicas),
		Notes:      append([]string{fmt.Sprintf("the KV cache holds %s a replica", plural.Of(tokens, "token"))}, deployment.Notes...),
		Vocabulary: deployment.Model.Vocab, Positions: tokens,
		simulated: &Simulated{Devices: d, Engine: e, Deployment: deployment, Chunks: true},
	}, nil
}

// Devices, calibrations and shapes that On knows by name.
func DeviceNames() []string      { return hardware.DeviceNames() }
func CalibrationNames() []string { return hardware.CalibrationNames() }
func ShapeNames() []string       { return hardware.ModelNames() }

// mostTimes is the number of generated tokens of which a simulation keeps when each came.
const mostTimes = 20_000_000

// Run puts a test on the place, which must be otherwise idle, and tells live what becomes of the
// requests. With an error there is a report of the requests until then.
func (p *Place) Run(ctx context.Context, t Test, live *Live) (loadreport.Run, *Result, error) {
	r, err := t.Ready(p.Vocabulary, p.Positions)
	if err != nil {
		return loadreport.Run{}, nil, err
	}
	live.begin(r.Plan.Requests())
	var run loadreport.Run
	var result *Result
	if s := p.simulated; s != nil {
		one := *s
		one.Seed, one.Ended = t.Seed, live.ended
		if tokens := r.Plan.Requests() * t.OutputTokens; tokens > mostTimes {
			one.Chunks = false // the times of so many would take gigabytes; the report says so
		}
		run, result, err = r.Simulate(ctx, one)
	} else {
		run, err = r.Run(ctx, p.target, p.flush, live.sent, live.ended)
	}
	run.Target = p.Name
	run.Notes = append(run.Notes, p.Notes...)
	return run, result, err
}

// OnClose has Close call f.
func (p *Place) OnClose(f func()) { p.close = f }

// Target is what the place sends requests to; nil of simulated devices.
func (p *Place) Target() load.Target { return p.target }

// ReadTexts has an engine of this process take prompts that are text or messages, and tell its
// answers to them as text. Other places do, or cannot.
func (p *Place) ReadTexts(encode func(text string) ([]int32, error), chat func(messages []byte) ([]int32, error), decode func([]int32) string) {
	t, ok := p.target.(load.Embedded)
	if !ok {
		return
	}
	t.Decode = decode
	t.Encode = func(r load.Request) ([]int32, error) {
		if r.Messages == nil {
			return encode(r.Text)
		}
		messages, err := json.Marshal(r.Messages)
		if err != nil {
			return nil, err
		}
		return chat(messages)
	}
	p.target = t
}

// Alone puts the requests of a workload on simulated devices, one after another, and returns what
// became of each, in order.
func (p *Place) Alone(ctx context.Context, w load.Workload) ([]load.Record, error) {
	if p.simulated == nil {
		return nil, fmt.Errorf("%s has no simulated clock", p.Name)
	}
	plan, err := load.NewPlan(w, load.Closed{Users: 1})
	if err != nil {
		return nil, err
	}
	result, err := p.simulated.Plan(ctx, plan, time.Now())
	if err != nil {
		return nil, err
	}
	return result.Records, nil
}
