package server

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slimlab/serve"
)

// idle fails unless the engine holds nothing of any request within a step: all pages are free or
// the prefix cache's.
func (x *fixture) idle(t testing.TB) {
	t.Helper()
	stats, err := x.engine.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if stats.Running+stats.Waiting > 0 || stats.FreePages+stats.TreePages != x.shape.Pages {
		t.Errorf("%d requests run, %d wait, %d pages are free and %d the cache's, of %d", stats.Running, stats.Waiting, stats.FreePages, stats.TreePages, x.shape.Pages)
	}
}

// A client that goes away, in a stream or not, frees all within a step of the engine.
func TestAClientThatGoesFreesAll(t *testing.T) {
	for _, stream := range []bool{true, false} {
		t.Run(fmt.Sprintf("stream=%v", stream), func(t *testing.T) {
			var steps atomic.Int64
			turn := make(chan struct{})
			x := start(t, nil, Options{}, func(f *fake, _ *Model) {
				f.before = func() {
					steps.Add(1)
					<-turn
				}
			})
			seen := make(chan context.Context, 1)
			x.http.Close()
			x.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen <- r.Context()
				x.server.Handler().ServeHTTP(w, r)
			}))
			ctx, leave := context.WithCancel(t.Context())
			body := fmt.Sprintf(`{"prompt":"endless<a>","max_tokens":400,"n":3,"stream":%v}`, stream)
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, x.http.URL+"/v1/completions", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			var wait sync.WaitGroup
			wait.Go(func() {
				got, err := http.DefaultClient.Do(r)
				if err != nil {
					return
				}
				defer got.Body.Close()
				for lines := bufio.NewScanner(got.Body); lines.Scan(); {
				}
			})
			for range 5 { // of the answer's steps
				turn <- struct{}{}
			}
			leave()
			wait.Wait()
			<-(<-seen).Done() // the server has learned of it
			before, over := steps.Load(), make(chan struct{})
			go func() {
				x.http.Close() // waits for the request
				close(over)
			}()
			for running := true; running; {
				select {
				case <-over:
					running = false
				case <-time.After(50 * time.Millisecond): // all goroutines hear of it
					select {
					case turn <- struct{}{}: // the step that is under way
					case <-over:
						running = false
					}
				}
			}
			if n := steps.Load() - before; n > 2 {
				t.Errorf("the engine began %d steps for a client that had left", n)
			}
			close(turn)
			x.idle(t)
		})
	}
}

// waitFor waits for what another goroutine is about to do. It gives up after a minute, long before
// the time limit of the whole package.
func waitFor(t testing.TB, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
	}
}

// writer writes by a function.
type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// An engine that dies by a fault takes the server with it: clients get an error without a stack,
// the log has it once, and Serve says why, so that whoever looks after the process starts another.
func TestEngineDies(t *testing.T) {
	var lines atomic.Int32
	var logged atomic.Value
	log := writer(func(p []byte) (int, error) {
		if strings.Contains(string(p), "the engine has ended, and the server ends with it") {
			lines.Add(1)
			logged.Store(string(p))
		}
		return len(p), nil
	})
	x := start(t, script, Options{Log: slog.New(slog.NewTextHandler(log, nil))}, func(f *fake, _ *Model) {
		f.before = func() { panic("a fault of the executor") }
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x.http.Close()
	x.http.URL = "http://" + listener.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- x.server.Serve(t.Context(), listener, time.Minute) }()
	got := x.post(t, "/v1/completions", `{"prompt":"hello<a>","max_tokens":4}`)
	if text := string(got.body); got.status != http.StatusInternalServerError || !strings.Contains(text, "the engine died: a fault of the executor") || strings.Contains(text, "goroutine") {
		t.Errorf("status %d: %s", got.status, text)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "server: serve: the engine died: a fault of the executor") {
		t.Errorf("the server ended with %v", err)
	}
	if n := lines.Load(); n != 1 || !strings.Contains(logged.Load().(string), "goroutine") {
		t.Errorf("%d lines of the log say it, the last %v", n, logged.Load())
	}
	if err := x.server.health(nil); err == nil {
		t.Error("the health of a server without an engine is good")
	}
}

// On a signal the server says at once that it is not ready and takes nothing new; what is in flight
// is answered whole, and then it ends without an error.
func TestDrain(t *testing.T) {
	turn, begun := make(chan struct{}), make(chan struct{}, 1000)
	var x *fixture
	refused := make(chan bool, 1)
	log := writer(func(p []byte) (int, error) {
		if strings.Contains(string(p), "draining") {
			refused <- x.server.open() != nil
		}
		return len(p), nil
	})
	x = start(t, script, Options{Log: slog.New(slog.NewTextHandler(log, nil))}, func(f *fake, _ *Model) {
		f.before = func() {
			begun <- struct{}{}
			<-turn
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x.http.Close()
	x.http.URL = "http://" + listener.Addr().String()
	ctx, signal := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- x.server.Serve(ctx, listener, time.Minute) }()
	if got := x.send(t, "GET", "/ready", ""); got.status != http.StatusOK {
		t.Fatalf("status %d before the signal", got.status)
	}
	answered := make(chan reply, 1)
	go func() { answered <- x.post(t, "/v1/completions", `{"prompt":"hello<a>","max_tokens":40}`) }()
	<-begun
	signal()
	if !<-refused {
		t.Error("the log says that it drains before new requests are refused")
	}
	if got := x.send(t, "GET", "/ready", ""); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("/ready has status %d after the signal", got.status)
	}
	if got := x.send(t, "GET", "/health", ""); got.status != http.StatusOK {
		t.Errorf("/health has status %d after the signal", got.status)
	}
	late := x.post(t, "/v1/completions", `{"prompt":"hello<a>"}`)
	if p := refusal(t, late); late.status != http.StatusServiceUnavailable || *p.Code != "shutting_down" {
		t.Errorf("a new request has status %d: %s", late.status, p.Message)
	}
	close(turn)
	if got := decode[completion](t, <-answered); got.Choices[0].Text != script["hello"] {
		t.Errorf("the request in flight was answered %q", got.Choices[0].Text)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	x.idle(t)
}

// What is not finished in time is aborted, and its client is told.
func TestDrainAborts(t *testing.T) {
	turn := make(chan struct{})
	x := start(t, nil, Options{}, func(f *fake, _ *Model) { f.before = func() { <-turn } })
	answered := make(chan reply, 2)
	for _, stream := range []bool{true, false} {
		go func() {
			answered <- x.post(t, "/v1/completions", fmt.Sprintf(`{"prompt":"endless<a>","max_tokens":400,"stream":%v}`, stream))
		}()
	}
	waitFor(t, func() bool {
		_, inFlight := x.server.gate.state()
		return inFlight == 2
	})
	for range 6 {
		turn <- struct{}{}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	drained := make(chan int)
	go func() { drained <- x.server.Drain(over) }()
	waitFor(t, func() bool { // else the answers may end before it has begun
		draining, _ := x.server.gate.state()
		return draining
	})
	aborted := -1
	for aborted < 0 {
		select {
		case turn <- struct{}{}:
		case aborted = <-drained:
		}
	}
	close(turn)
	if aborted != 2 {
		t.Errorf("%d requests were aborted, want 2", aborted)
	}
	for range 2 {
		got := <-answered
		if !strings.Contains(got.body, `"code":"shutting_down"`) || strings.Contains(got.body, "[DONE]") {
			t.Errorf("status %d, %q: want the error that the server has ended", got.status, got.body)
		}
	}
	x.idle(t)
}

func TestMetrics(t *testing.T) {
	x := start(t, script, Options{})
	decode[completion](t, x.post(t, "/v1/completions", `{"prompt":"hello<a>","max_tokens":3}`))
	decode[completion](t, x.post(t, "/v1/completions", `{"prompt":"unicode<a>","max_tokens":90}`))
	got := x.send(t, "GET", "/metrics", "").body
	tokens := len(x.answers["unicode"])
	for _, want := range []string{
		`vllm:num_requests_running{model_name="tiny"} 0`, `vllm:num_requests_waiting{model_name="tiny"} 0`, `vllm:kv_cache_usage_perc{model_name="tiny"} 0`,
		fmt.Sprintf(`vllm:generation_tokens_total{model_name="tiny"} %d`, 3+tokens),
		`vllm:request_success_total{finished_reason="length",model_name="tiny"} 1`, `vllm:request_success_total{finished_reason="stop",model_name="tiny"} 1`,
		`vllm:time_to_first_token_seconds_bucket{model_name="tiny",le="0.001"}`, `vllm:time_to_first_token_seconds_count{model_name="tiny"} 2`,
		fmt.Sprintf(`vllm:inter_token_latency_seconds_count{model_name="tiny"} %d`, 2+tokens-1),
		`vllm:e2e_request_latency_seconds_bucket{model_name="tiny",le="7680"} 2`, `vllm:request_params_max_tokens_sum{model_name="tiny"} 93`,
		`vllm:request_generation_tokens_bucket{model_name="tiny",le="500"} 2`, "process_resident_memory_bytes", `vllm:num_preemptions_total{model_name="tiny"} 0`, "go_goroutines",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

// A draft that is the model itself is right each time; three answers in a cache of few pages are
// not all there at once.
func TestMetricsOfDraftsAndPreemptions(t *testing.T) {
	x := start(t, script, Options{}, func(f *fake, m *Model) {
		draft := newFake(t, script)
		draft.ask, draft.tell = f.ask, f.tell
		f.options.Draft = serve.Draft{Executor: draft, Tokens: 2}
		f.options.Reserve = 0.01
		f.shape.Pages = 16
		m.Shape = f.shape
	})
	decode[completion](t, x.post(t, "/v1/completions", `{"prompt":"hello<a>","max_tokens":7,"temperature":0}`))
	stats, err := x.engine.Stats()
	if err != nil || stats.Drafts < 1 || stats.Drafted <= stats.Drafts {
		t.Fatalf("%+v, %v: too little was drafted", stats, err)
	}
	got := x.send(t, "GET", "/metrics", "").body
	for _, want := range []string{
		fmt.Sprintf(`vllm:spec_decode_num_drafts_total{model_name="tiny"} %d`, stats.Drafts),
		fmt.Sprintf(`vllm:spec_decode_num_draft_tokens_total{model_name="tiny"} %d`, stats.Drafted),
		fmt.Sprintf(`vllm:spec_decode_num_accepted_tokens_total{model_name="tiny"} %d`, stats.Drafted), `vllm:num_preemptions_total{model_name="tiny"} 0`,
		fmt.Sprintf(`vllm:spec_decode_num_accepted_tokens_per_pos_total{model_name="tiny",position="0"} %d`, stats.Accepted[0]),
		fmt.Sprintf(`vllm:spec_decode_num_accepted_tokens_per_pos_total{model_name="tiny",position="1"} %d`, stats.Accepted[1]),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	if places := strings.Count(got, "\nvllm:spec_decode_num_accepted_tokens_per_pos_total{"); places != 2 || stats.Accepted[1] == 0 {
		t.Errorf("%d places of %v, want those of a draft of 2 tokens", places, stats.Accepted)
	}
	decode[completion](t, x.post(t, "/v1/completions", `{"prompt":["the fox<a>","the dog<a>","the hill<a>"],"max_tokens":40,"temperature":0}`))
	stats, err = x.engine.Stats()
	if err != nil || stats.Retractions == 0 {
		t.Fatalf("%+v, %v: nothing was retracted", stats, err)
	}
	if want := fmt.Sprintf(`vllm:num_preemptions_total{model_name="tiny"} %d`, stats.Retractions); !strings.Contains(x.send(t, "GET", "/metrics", "").body, want) {
		t.Errorf("no %s in the metrics", want)
	}
}

func TestModelsAndInformation(t *testing.T) {
	x := start(t, script, Options{Version: "v9", Facts: map[string]any{"weights": "int8"}})
	if got := x.send(t, "GET", "/v1/models", "").body; !strings.Contains(got, `"id":"tiny","object":"model"`) || !strings.Contains(got, `"max_model_len":512`) {
		t.Error(got)
	}
	if got := x.send(t, "GET", "/v1/models/tiny", ""); got.status != http.StatusOK {
		t.Error(got.body)
	}
	for _, name := range []string{"other", "..%2f..%2fetc%2fpasswd", "a/b"} {
		if got := x.send(t, "GET", "/v1/models/"+name, ""); got.status != http.StatusNotFound || *refusal(t, got).Code != "model_not_found" {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if got := decode[state](t, x.send(t, "GET", "/server_info", "")); got.Version != "v9" || got.Facts["weights"] != "int8" || got.Pool.Pages != 128 || got.Draining {
		t.Errorf("%+v", got)
	}
	got := decode[tokenization](t, x.post(t, "/tokenize", `{"prompt":"the fox 🙂","return_token_strs":true}`))
	if got.Count != len(got.Tokens) || len(got.Strings) != got.Count || got.MaxModel != 512 {
		t.Errorf("%+v", got)
	}
	list := strings.ReplaceAll(fmt.Sprint(got.Tokens), " ", ",")
	if back := x.post(t, "/detokenize", `{"tokens":`+list+`}`).body; !strings.Contains(back, `"the fox 🙂"`) {
		t.Error(back)
	}
	chatted := decode[tokenization](t, x.post(t, "/tokenize", `{"messages":[{"role":"user","content":"the fox"}]}`))
	if text := x.tokenizer.Decode(chatted.Tokens); text != "<bos><u>the fox<a>" {
		t.Errorf("a conversation is read as %q", text)
	}
}

// A request for which the queue has no room is told to come again, and the engine forgets it.
func TestAFullQueue(t *testing.T) {
	turn := make(chan struct{})
	x := start(t, nil, Options{}, func(f *fake, m *Model) {
		f.before = func() { <-turn }
		f.options.Running, f.options.WaitingRequests = 1, 1
	})
	answered := make(chan reply, 2)
	ask := func() { answered <- x.post(t, "/v1/completions", `{"prompt":"endless<a>","max_tokens":450}`) }
	go ask()
	turn <- struct{}{} // it runs, and leaves the queue to the second
	go ask()
	waitFor(t, func() bool {
		_, inFlight := x.server.gate.state()
		return inFlight == 2
	})
	waits := make(chan bool)
	go func() {
		for {
			stats, err := x.engine.Stats()
			if waits <- err != nil || stats.Waiting == 1; err != nil || stats.Waiting == 1 {
				return
			}
		}
	}()
	for there := false; !there; {
		select {
		case there = <-waits:
		case <-time.After(5 * time.Millisecond): // slow: the first must not end
			select {
			case turn <- struct{}{}: // the engine answers between its steps
			case there = <-waits:
			}
		}
	}
	got := make(chan reply, 1)
	go func() { got <- x.post(t, "/v1/completions", `{"prompt":"late<a>","max_tokens":2,"n":3}`) }()
	waitFor(t, func() bool { // the others have long answers: they are there when it comes
		_, inFlight := x.server.gate.state()
		return inFlight == 3
	})
	for answers := 0; answers < 3; {
		select {
		case turn <- struct{}{}:
		case r := <-answered:
			answers++
			if r.status != http.StatusOK {
				t.Errorf("a request that was let in: %d %s", r.status, r.body)
			}
		case r := <-got:
			answers++
			if p := refusal(t, r); r.status != http.StatusTooManyRequests || *p.Code != "queue_full" || r.header.Get("Retry-After") == "" {
				t.Errorf("%d %s, want 429 with Retry-After", r.status, p.Message)
			}
		}
	}
	close(turn)
	x.idle(t)
}

// Where a queue has room for some of a request's answers, none is taken.
func TestAllAnswersOrNone(t *testing.T) {
	x := start(t, script, Options{}, func(f *fake, m *Model) { f.options.WaitingRequests = 2 })
	if err := x.engine.Pause(); err != nil {
		t.Fatal(err)
	}
	first, err := x.engine.Submit([]context.Context{t.Context()}, []serve.Request{{Prompt: []int32{1}, MaxTokens: 1}})
	if err != nil {
		t.Fatal(err)
	}
	const three = `{"prompt":"hello<a>","max_tokens":2,"n":3}`
	got := x.post(t, "/v1/completions", three)
	stats, err := x.engine.Stats()
	if p := refusal(t, got); err != nil || got.status != http.StatusTooManyRequests || !strings.HasPrefix(p.Message, "the queue is full: 4 requests would wait, at most 2 may; ") || stats.Refused != 3 || stats.Aborted != 0 {
		t.Errorf("%d %s; %d answers refused, %d begun and aborted, want all 3 refused", got.status, p.Message, stats.Refused, stats.Aborted)
	}
	if err := x.engine.Resume(); err != nil {
		t.Fatal(err)
	}
	if _, err := first[0].Wait(); err != nil {
		t.Fatal(err)
	}
	if all := decode[completion](t, x.post(t, "/v1/completions", three)); len(all.Choices) != 3 {
		t.Errorf("where nobody else waits: %+v", all)
	}
	x.idle(t)
}

func TestPrefixesAreSharedAsAsked(t *testing.T) {
	x := start(t, script, Options{})
	cached := func(more string) int {
		return decode[completion](t, x.post(t, "/v1/completions", `{"prompt":"the quick brown fox jumps over the lazy dog<a>","max_tokens":1`+more+`}`)).Usage.PromptTokensDetails.CachedTokens
	}
	for _, step := range []struct {
		more   string
		cached bool
	}{{`,"reuse":false`, false}, {"", false}, {"", true}, {`,"reuse":false`, false}, {`,"cache_salt":"a"`, false}, {`,"cache_salt":"a"`, true}, {`,"cache_salt":"b"`, false}} {
		if n := cached(step.more); (n > 0) != step.cached {
			t.Errorf("%q found %d tokens in the cache", step.more, n)
		}
	}
	long := strings.Repeat("x", 1<<20)
	if cached(`,"cache_salt":"` + long + `"`); len(x.send(t, "GET", "/debug/engine", "").body) > 1<<16 {
		t.Error("the engine shows a long salt")
	}
	text := x.send(t, "GET", "/debug/tree", "").body
	for _, want := range []string{"128 pages: ", `namespace "ypeBEsobvcr6wjGzmiPcTQ"`, "0 locks, 1 hit", "The quick"[4:]} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the tree: %s", want, text)
		}
	}
}
