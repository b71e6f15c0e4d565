package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"slimlab/model"
	"slimlab/model/chat"
	"slimlab/serve"
	"slimlab/serve/host"
	"slimlab/serve/load"
)

// stressTime is how long the load lasts: SLIMLAB_STRESS, such as 10m, or 2 seconds.
func stressTime(t *testing.T) time.Duration {
	text := os.Getenv("SLIMLAB_STRESS")
	if text == "" {
		return 2 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("SLIMLAB_STRESS=%s, expected a time such as 10m", text)
	}
	return d
}

// TestStress asks about twice as much of a server as it can answer, of all kinds: with clients that
// leave and requests that are too large or make no sense. Every request is answered or refused as
// it should be, nothing is left over, and at the end the server drains as on SIGTERM.
func TestStress(t *testing.T) {
	length := stressTime(t)
	x := startStress(t)
	capacity := 0.0
	for range 5 { // the best, since others use this machine too
		capacity = max(capacity, x.capacity(t, 100*time.Millisecond))
	}
	x.warm(t, 2*capacity, length)
	heap, goroutines := x.rest(t), goleak.IgnoreCurrent()

	answered, failed, dropped := x.storm(t, 2*capacity, length)
	grown := x.rest(t)
	// net/http keeps a connection whose body was too large for half a second, which is longer
	// than one look of goleak
	var leak error
	for range 3 {
		if leak = goleak.Find(goroutines, kernelThreads); leak == nil {
			break
		}
	}
	if leak != nil {
		t.Error(leak)
	}
	t.Logf("%.0f requests a second for %v, capacity %.0f: %d answered, %d refused or left, %d dropped", 2*capacity, length, capacity, answered, failed, dropped)
	t.Logf("at rest before and after: %d and %d KiB of heap", heap>>10, grown>>10)
	for _, line := range x.kinds() {
		t.Log(line)
	}
	if grown > heap+2<<20 {
		t.Errorf("a heap of %d bytes at rest after the load, %d before", grown, heap)
	}
	if x.tally[http.StatusOK] == 0 || x.tally[http.StatusTooManyRequests] == 0 {
		t.Errorf("by status, there were so many answers: %v, expected some of 200 and some of 429", x.tally)
	}
	x.drain(t)
}

// stressed is a server of a small model on a listener, and its clients.
type stressed struct {
	*fixture
	url      string
	client   *http.Client
	sent     atomic.Int64
	stops    chan chan<- time.Time // asks watch when the process was last stopped
	signal   context.CancelFunc    // what SIGTERM does
	ended    chan error
	mutex    sync.Mutex
	tally    map[int]int            // answers by status; 0 are clients who left
	outcomes map[string]map[int]int // by kind
}

func startStress(t *testing.T) *stressed {
	m, err := model.New(model.Config{
		Architecture: "LlamaForCausalLM", Vocab: vocabulary, Hidden: 128, HeadDim: 32, MaxPositions: 512,
		Layers: model.Uniform(6, 4, 2, 512), RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(1, 1)))
	m.Changed()
	executor, err := host.New(m, host.Options{PageSize: 4, Pages: 256})
	if err != nil {
		t.Fatal(err)
	}
	o := serve.Defaults()
	o.Running, o.Chunk, o.Reserve, o.WaitingRequests, o.WaitingTime = 16, 32, 0.25, 32, 5*time.Second
	engine, err := serve.New(executor, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	template, err := chat.Parse(template, "<bos>", "<eos>")
	if err != nil {
		t.Fatal(err)
	}
	tok := newTokenizer(t)
	s, err := New(Model{Name: "tiny", Engine: engine, Shape: executor.Shape(), Tokenizer: tok, Ends: []int32{tok.EOS()}, Template: template}, Options{Limits: Limits{Body: 64 << 10}})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, signal := context.WithCancel(context.Background())
	x := &stressed{
		fixture: &fixture{fake: &fake{shape: executor.Shape(), tokenizer: tok}, engine: engine, server: s},
		url:     "http://" + listener.Addr().String(), client: newClient(),
		signal: signal, stops: make(chan chan<- time.Time), ended: make(chan error, 1), tally: map[int]int{}, outcomes: map[string]map[int]int{},
	}
	go func() { x.ended <- s.Serve(ctx, listener, time.Minute) }()
	watching := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() { x.watch(watching) })
	t.Cleanup(func() {
		close(watching)
		wait.Wait()
		signal()
		x.client.CloseIdleConnections()
	})
	return x
}

func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 100 * time.Millisecond}}
}

// watch notes when the process was last stopped for longer than the server waits for a header: then
// it closes connections whose clients were as still as it.
func (x *stressed) watch(over <-chan struct{}) {
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	var stopped time.Time
	for last := time.Now(); ; {
		var asked chan<- time.Time
		select {
		case <-over:
			return
		case <-ticks.C:
		case asked = <-x.stops:
		}
		now := time.Now()
		if now.Sub(last) > 5*time.Second {
			stopped = now
		}
		last = now
		if asked != nil {
			asked <- stopped
		}
	}
}

// stopped reports whether the process was stopped after a time, or little before it: connections
// that were idle are closed then, also under a new request.
func (x *stressed) stopped(since time.Time) bool {
	last := make(chan time.Time, 1)
	x.stops <- last
	return (<-last).After(since.Add(-10 * time.Second))
}

// capacity is how many plain requests the server answers in a second, as many at once as it takes.
func (x *stressed) capacity(t *testing.T, length time.Duration) float64 {
	var answered atomic.Int64
	var wait sync.WaitGroup
	begun := time.Now()
	for worker := range 16 {
		wait.Go(func() {
			for i := 0; time.Since(begun) < length; i++ {
				prompt := people.Prompt(load.Pick{Member: (worker + 7*i) % people.Members, Candidate: i % people.Candidates})
				if status, err := x.ask(t.Context(), plain, prompt, nil); err != nil || status != http.StatusOK {
					t.Errorf("status %d, %v", status, err)
				}
				answered.Add(1)
			}
		})
	}
	wait.Wait()
	return float64(answered.Load()) / time.Since(begun).Seconds()
}

// mostInFlight bounds the clients at a time.
const mostInFlight = 2000

// warm fills what a storm fills once and which does not grow on: the descriptors that Go keeps of
// goroutines which have ended, about 450 bytes of each that lives at a time, of which a client in
// flight has ten at most on both sides; and connections, buffers, masks and metrics, by a short
// storm.
func (x *stressed) warm(t *testing.T, rate float64, length time.Duration) {
	var wait sync.WaitGroup
	over, most := make(chan struct{}), 10*mostInFlight
	if length <= 2*time.Second {
		most = 6000 // enough for a short storm; with -race there may be 8128
	}
	for range most {
		wait.Go(func() { <-over })
	}
	close(over)
	wait.Wait()
	x.storm(t, rate, 2*time.Second)
	x.mutex.Lock()
	defer x.mutex.Unlock()
	clear(x.tally)
	clear(x.outcomes)
}

// people are those whom the requests are about; fewer prefixes fit the pages than they have.
var people = load.Members{Members: 60, Candidates: 4, Prefix: 40, Suffix: 6, Skew: 1, Vocabulary: 300, Seed: 5}

// storm sends requests of all kinds at a rate that does not wait for answers. It begins with more
// at once than the queue takes.
func (x *stressed) storm(t *testing.T, rate float64, length time.Duration) (answered, failed, dropped int) {
	schedule, err := load.Process{Rate: rate, Burstiness: 0.5, Seed: 2}.Schedule(max(1, int(rate*length.Seconds())))
	if err != nil {
		t.Fatal(err)
	}
	schedule = append(make(load.Schedule, 250), schedule...)
	picks, err := people.Picks(len(schedule))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := load.NewPlan(load.Singles{Number: len(schedule), Make: func(i int) load.Request {
		return load.Request{Prompt: people.Prompt(picks[i])}
	}}, schedule)
	if err != nil {
		t.Fatal(err)
	}
	records, err := load.Driver{Plan: plan, InFlight: mostInFlight}.Run(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for i, r := range records {
		switch {
		case r.Dropped:
			dropped++
		case r.Err != nil:
			failed++
		default:
			answered++
		}
		if r.Err != nil && !errors.Is(r.Err, errNotServed) {
			if wrong++; wrong <= 10 {
				t.Errorf("request %d: %v", i, r.Err)
			}
		}
	}
	if wrong > 10 {
		t.Errorf("%d more requests had no proper answer", wrong-10)
	}
	return answered, failed, dropped
}

// errNotServed is of requests that are refused as they should be, and of clients who left.
var errNotServed = errors.New("not served")

// Send sends the next kind of request and checks what comes back. It implements load.Target.
func (x *stressed) Send(ctx context.Context, r load.Request) (load.Answer, error) {
	kind := kinds[int(x.sent.Add(1))%len(kinds)]
	begun := time.Now()
	first := begun
	status, err := x.ask(ctx, kind, r.Prompt, func() { first = time.Now() })
	if err != nil {
		if x.stopped(begun) {
			return load.Answer{}, errNotServed
		}
		return load.Answer{}, fmt.Errorf("%s: %w", kind.name, err)
	}
	x.mutex.Lock()
	defer x.mutex.Unlock()
	x.tally[status]++
	if x.outcomes[kind.name] == nil {
		x.outcomes[kind.name] = map[int]int{}
	}
	x.outcomes[kind.name][status]++
	if status != http.StatusOK {
		return load.Answer{}, errNotServed
	}
	return load.Answer{First: first, Prompt: len(r.Prompt)}, nil
}

// kinds lists what became of each kind of request.
func (x *stressed) kinds() (lines []string) {
	for name, by := range x.outcomes {
		lines = append(lines, fmt.Sprintf("%s: by status %v", name, by))
	}
	slices.Sort(lines)
	return lines
}

// kind is a kind of request. Its status is that of an answer, beside those of a server that has too
// much to do; one that leaves may also have none.
type kind struct {
	name, path, body string // %s in the body is the prompt
	status           int
	stream           bool
	leaves           func(context.CancelFunc) // goes away; nil stays
	breaks           bool                     // the body ends before it should
}

var plain = kind{name: "completion", path: "/v1/completions", body: `{"prompt":%s,"max_tokens":12}`, status: 200}

var kinds = []kind{
	plain,
	{name: "stream", path: "/v1/completions", body: `{"prompt":%s,"max_tokens":20,"stream":true,"stream_options":{"include_usage":true}}`, status: 200, stream: true},
	{name: "chat", path: "/v1/chat/completions", body: `{"messages":[{"role":"user","content":"the fox"}],"max_tokens":8,"n":2,"logprobs":true,"top_logprobs":2,"stop":["xyz"]}`, status: 200},
	{name: "score", path: "/v1/score", body: `{"query":%s,"items":[[1,2],[3],[]],"label_token_ids":[4,5]}`, status: 200},
	{name: "form", path: "/v1/completions", body: `{"prompt":%s,"max_tokens":10,"regex":"[a-f]{3,8}"}`, status: 200},
	{name: "no reuse", path: "/v1/completions", body: `{"prompt":%s,"max_tokens":1,"reuse":false}`, status: 200},
	{name: "long answer", path: "/v1/completions", body: `{"prompt":%s,"max_tokens":120}`, status: 200},
	{name: "leaves at once", path: "/v1/completions", body: `{"prompt":%s,"max_tokens":100}`, status: 200, leaves: func(leave context.CancelFunc) { leave() }},
	{name: "leaves soon", path: "/v1/completions", body: `{"prompt":%s,"max_tokens":100,"n":2}`, status: 200, leaves: func(leave context.CancelFunc) { time.AfterFunc(3*time.Millisecond, leave) }},
	{name: "leaves its stream", path: "/v1/completions", body: `{"prompt":%s,"max_tokens":200,"stream":true}`, status: 200, stream: true, leaves: func(context.CancelFunc) {}},
	{name: "breaks off", path: "/v1/completions", body: `{"prompt":%s,`, breaks: true},
	{name: "too large", path: "/v1/completions", body: `{"prompt":"` + strings.Repeat("a", 80<<10) + `"}`, status: 413},
	{name: "too long", path: "/v1/completions", body: `{"prompt":%s,"max_tokens":600}`, status: 400},
	{name: "no JSON", path: "/v1/completions", body: `{"prompt":%s,,}`, status: 400},
	{name: "wrong type", path: "/v1/chat/completions", body: `{"messages":%s}`, status: 400},
	{name: "deep", path: "/v1/completions", body: `{"prompt":` + strings.Repeat("[", 10_000), status: 400},
	{name: "no such path", path: "/v1/complete", body: `{}`, status: 404},
	{name: "flush", path: "/flush_cache", body: `{}`, status: 200},
}

var errBrokenOff = errors.New("the client broke off")

// ask sends a request and returns the status of its answer, or 0 where the client left before one
// came. What is not a whole answer, or a refusal in OpenAI's shape that the kind may get, is an
// error. It calls first, unless nil, when the answer begins.
func (x *stressed) ask(ctx context.Context, k kind, prompt []int32, first func()) (int, error) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	text, err := json.Marshal(prompt)
	if err != nil {
		return 0, err
	}
	var body io.Reader = strings.NewReader(strings.Replace(k.body, "%s", string(text), 1))
	if k.breaks {
		body = io.MultiReader(body, broken{})
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, x.url+k.path, body)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	if k.leaves != nil {
		k.leaves(leave)
	}
	got, err := x.client.Do(r)
	if err != nil {
		if left(k, err) {
			return 0, nil
		}
		return 0, err
	}
	defer got.Body.Close()
	if first != nil {
		first()
	}
	if k.leaves != nil && k.stream && got.StatusCode == http.StatusOK {
		if _, err := io.ReadFull(got.Body, make([]byte, 30)); err != nil {
			return 0, err
		}
		return 0, nil // leave is called
	}
	data, err := io.ReadAll(got.Body)
	switch {
	case err != nil && left(k, err):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return got.StatusCode, k.check(got, data)
}

// left reports whether an error is a client's own doing.
func left(k kind, err error) bool {
	return k.leaves != nil && errors.Is(err, context.Canceled) || k.breaks && errors.Is(err, errBrokenOff)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBrokenOff }

// check reports what is wrong with an answer.
func (k kind) check(got *http.Response, body []byte) error {
	status := got.StatusCode
	busy := k.status == http.StatusOK && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable)
	switch {
	case status != k.status && !busy:
		return fmt.Errorf("status %d, expected %d: %.200s", status, k.status, body)
	case busy && got.Header.Get("Retry-After") == "":
		return fmt.Errorf("status %d without Retry-After", status)
	case status != http.StatusOK:
		var refusal struct{ Error *problem }
		if err := json.Unmarshal(body, &refusal); err != nil || refusal.Error == nil || refusal.Error.Message == "" {
			return fmt.Errorf("status %d, %.200s: no error in OpenAI's shape", status, body)
		}
	case k.stream && !strings.HasSuffix(string(body), "\n\ndata: [DONE]\n\n"):
		return fmt.Errorf("a stream ends with %.200q", body[max(0, len(body)-200):])
	case !k.stream && !json.Valid(body):
		return fmt.Errorf("no JSON: %.200q", body)
	}
	return nil
}

// rest waits until the server has nothing to do and reports what it holds then; no request may hold
// a page.
func (x *stressed) rest(t *testing.T) (heap uint64) {
	t.Helper()
	waitFor(t, func() bool {
		_, inFlight := x.server.gate.state()
		stats, err := x.engine.Stats()
		if err != nil {
			t.Fatal(err)
		}
		return inFlight == 0 && stats.Running+stats.Waiting == 0
	})
	x.idle(t)
	if err := x.engine.Flush(); err != nil {
		t.Fatal(err)
	}
	stats, err := x.engine.Stats()
	if err != nil || stats.FreePages != x.shape.Pages {
		t.Errorf("%d of %d pages are free of an empty cache, %v", stats.FreePages, x.shape.Pages, err)
	}
	x.client.CloseIdleConnections()
	x.client = newClient() // which the other kept of requests is not the server's
	runtime.GC()
	runtime.GC() // of pools too
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return memory.HeapAlloc
}

// drain ends the server as a signal does, while it answers: those in flight are answered whole,
// what comes later is refused.
func (x *stressed) drain(t *testing.T) {
	if err := x.engine.Pause(); err != nil {
		t.Fatal(err)
	}
	const clients = 24
	stream := kinds[1]
	var wait sync.WaitGroup
	for i := range clients {
		wait.Go(func() {
			if status, err := x.ask(t.Context(), stream, people.Prompt(load.Pick{Member: i}), nil); err != nil || status != http.StatusOK {
				t.Errorf("a request in flight at the signal: status %d, %v", status, err)
			}
		})
	}
	waitFor(t, func() bool {
		_, inFlight := x.server.gate.state()
		return inFlight == clients
	})
	x.signal()
	waitFor(t, func() bool { return x.server.open() != nil })
	if status, err := x.ask(t.Context(), plain, people.Prompt(load.Pick{}), nil); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("a request after the signal: status %d, %v", status, err)
	}
	if err := x.engine.Resume(); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
	if err := <-x.ended; err != nil {
		t.Error(err)
	}
	x.idle(t)
}
