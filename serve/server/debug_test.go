package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"slimlab/serve"
	"slimlab/serve/pages"
)

// TestDebug: what the tree and the requests are at one moment, of an engine that is stepped.
func TestDebug(t *testing.T) {
	x := start(t, script, Options{})
	drive := func(what string) Debug {
		t.Helper()
		got := x.post(t, "/debug/"+what, "")
		if got.status != http.StatusOK {
			t.Fatalf("%s: %s", what, got.body)
		}
		return decode[Debug](t, got)
	}
	if d := drive("pause"); !d.Paused || d.Model != "tiny" || d.Pages.All != 128 || d.Pages.Free != 128 || d.Pages.Tokens != 4 || d.Now == 0 {
		t.Errorf("%+v", d)
	}
	answered := make(chan reply, 1)
	go func() {
		answered <- x.post(t, "/v1/completions", `{"prompt":"<bos>the quick brown fox jumps over the hill<u>hello<a>","max_tokens":40}`)
	}()
	d := decode[Debug](t, x.send(t, "GET", "/debug/engine", ""))
	for len(d.Requests) == 0 { // it comes on another connection
		d = decode[Debug](t, x.send(t, "GET", "/debug/engine", ""))
	}
	if r := d.Requests[0]; r.State != "waiting" || r.Following != nil || r.MaxTokens != 40 || r.Prompt == 0 || r.Age < 0 || d.Waiting != 1 {
		t.Errorf("%+v", d)
	}
	d = drive("step")
	if r := d.Requests[0]; r.State != "decode" || r.Computed != r.Prompt || r.Prefill != r.Prompt || r.Generated != 1 || r.SharedPages != len(d.Tree)*r.Prompt/4 || d.Counts.Steps != 1 || d.Running != 1 {
		t.Errorf("%+v", d)
	}
	if n := d.Tree[0]; !strings.HasPrefix(n.Text, "<bos>the quick") || n.Pages != n.Tokens/4 || n.Locks != 1 || d.Pages.Tree != n.Pages || d.Pages.Locked != n.Pages {
		t.Errorf("%+v", d.Tree)
	}
	if less := decode[Debug](t, x.send(t, "GET", "/debug/engine?most=0", "")); less.RequestsLeftOut != 1 || less.NodesLeftOut != 1 || less.Requests == nil || less.Tree == nil || less.Ended == nil {
		t.Errorf("%+v", less)
	}
	drive("resume")
	if got := decode[completion](t, <-answered); got.Choices[0].Text != script["hello"] {
		t.Errorf("answered %q", got.Choices[0].Text)
	}
	d = decode[Debug](t, x.send(t, "GET", "/debug/engine", ""))
	if e := d.Ended[0]; d.Paused || len(d.Requests) != 0 || e.Finish != "stop" || e.TTFT <= 0 || e.TPOT <= 0 || e.Ago < 0 || e.Generated != d.Counts.Generated {
		t.Errorf("%+v", d)
	}
}

// recorder is a connection whose deadlines are never reached.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetReadDeadline(time.Time) error  { return nil }
func (recorder) SetWriteDeadline(time.Time) error { return nil }

// A pause lasts as long as somebody looks at the engine, and no longer than its limit after that.
func TestAPauseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, script)
		engine, err := serve.New(f, f.options)
		if err != nil {
			t.Fatal(err)
		}
		defer engine.Close()
		s, err := New(Model{Name: "tiny", Engine: engine, Shape: f.shape, Tokenizer: f.tokenizer, NoTemplate: "none"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(method, path string) bool {
			t.Helper()
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(recorder{w}, httptest.NewRequest(method, path, nil))
			if w.Code != http.StatusOK {
				t.Fatalf("%s: %s", path, w.Body)
			}
			return strings.Contains(w.Body.String(), `"paused":true`)
		}
		paused := func() bool {
			stats, err := engine.Stats()
			return err == nil && stats.Paused
		}
		ask("POST", "/debug/pause")
		for range 5 {
			time.Sleep(50 * time.Second)
			if !ask("GET", "/debug/engine") {
				t.Fatal("the engine goes on while somebody looks at it")
			}
		}
		time.Sleep(59 * time.Second)
		if !paused() {
			t.Error("the pause ends before its limit")
		}
		time.Sleep(2 * time.Second)
		if paused() {
			t.Error("nobody looks at it, and the engine rests after its limit")
		}
		ask("POST", "/debug/pause")
		ask("POST", "/debug/resume")
		if err := engine.Pause(); err != nil { // by its owner, over no server
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if !paused() {
			t.Error("a pause that ended before ends another one")
		}
	})
}

func TestDebugRefuses(t *testing.T) {
	x := start(t, script, Options{})
	if got := x.post(t, "/debug/step", ""); got.status != http.StatusConflict || *refusal(t, got).Code != "not_paused" {
		t.Errorf("a step: %d %s", got.status, got.body)
	}
	if got := x.send(t, "GET", "/debug/pause", ""); got.status != http.StatusMethodNotAllowed {
		t.Errorf("a link that pauses: %d", got.status)
	}
	for _, most := range []string{"-1", "4097", "many"} {
		if got := x.send(t, "GET", "/debug/engine?most="+most, ""); got.status != http.StatusBadRequest || *refusal(t, got).Param != "most" {
			t.Errorf("most=%s: %d %s", most, got.status, got.body)
		}
	}
	x.engine.Close()
	if got := x.post(t, "/debug/pause", ""); got.status != http.StatusServiceUnavailable {
		t.Errorf("an engine that has ended: %d %s", got.status, got.body)
	}
}

// TestDrainOfAPausedEngine: what is in flight is finished all the same.
func TestDrainOfAPausedEngine(t *testing.T) {
	x := start(t, script, Options{})
	if err := x.engine.Pause(); err != nil {
		t.Fatal(err)
	}
	answered := make(chan reply, 1)
	go func() { answered <- x.post(t, "/v1/completions", `{"prompt":"<u>hello<a>","max_tokens":40}`) }()
	for stats, err := x.engine.Stats(); stats.Waiting == 0; stats, err = x.engine.Stats() {
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if aborted := x.server.Drain(ctx); aborted != 0 {
		t.Errorf("%d were aborted", aborted)
	}
	if got := decode[completion](t, <-answered); got.Choices[0].Text != script["hello"] {
		t.Errorf("answered %q", got.Choices[0].Text)
	}
}

// TestDebugOfASnapshot: whom a request follows, the first too, and how long a node is unused.
func TestDebugOfASnapshot(t *testing.T) {
	x := start(t, script, Options{})
	d, err := x.server.debug(t.Context(), serve.Snapshot{
		Requests: []serve.RequestState{{Number: 1, State: serve.StateFollowing}, {Number: 2, State: serve.StateWaiting}},
		Tree:     pages.Tree{Clock: 9, Nodes: []pages.Node{{Used: 7}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := d.Requests; r[0].Following == nil || *r[0].Following != 0 || r[1].Following != nil {
		t.Errorf("%+v", r)
	}
	if d.Tree[0].Unused != 2 {
		t.Errorf("%+v", d.Tree)
	}
}

// TestNobodyWaitsForASnapshot: a client that leaves while a step goes on ends its request, and what
// is described for nobody is not: neither the tree nor its texts.
func TestNobodyWaitsForASnapshot(t *testing.T) {
	begun, step := make(chan struct{}, 1), make(chan struct{})
	x := start(t, nil, Options{}, func(f *fake, _ *Model) {
		f.before = func() {
			select {
			case begun <- struct{}{}:
			default:
			}
			<-step
		}
	})
	answered := make(chan reply, 1)
	go func() { answered <- x.post(t, "/v1/completions", `{"prompt":"endless<a>","max_tokens":3}`) }()
	<-begun
	for _, path := range []string{"/debug/engine", "/debug/tree"} {
		ctx, leave := context.WithCancel(t.Context())
		ended := make(chan *httptest.ResponseRecorder)
		go func() {
			w := httptest.NewRecorder()
			defer func() {
				_ = recover() // of http.ErrAbortHandler
				ended <- w
			}()
			x.server.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", path, nil))
		}()
		leave()
		if w := <-ended; w.Body.Len() > 0 {
			t.Errorf("%s: found %s, expected nothing", path, w.Body)
		}
		if log := x.log.String(); !strings.Contains(log, "path="+path+" status=499") {
			t.Errorf("%s: the log is %s", path, log)
		}
	}
	close(step)
	<-answered
	gone, leave := context.WithCancel(t.Context())
	leave()
	snapshot, err := x.engine.Snapshot(t.Context(), 10)
	if err != nil || len(snapshot.Tree.Nodes) == 0 {
		t.Fatalf("%+v, %v", snapshot.Tree, err)
	}
	if _, err := x.server.debug(gone, snapshot); err == nil {
		t.Error("a state is described for nobody")
	}
	if _, err := x.server.treeText(gone, &snapshot); err == nil {
		t.Error("a tree is described for nobody")
	}
}
