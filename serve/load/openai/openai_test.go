package openai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slimlab/serve/load"
)

// asked is what a server was asked.
type asked struct {
	path, key string
	body      map[string]any
}

// server answers every request in one way, and keeps what it was asked.
func server(t *testing.T, answer func(w http.ResponseWriter)) (*httptest.Server, func() asked) {
	var mutex sync.Mutex
	var last asked
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		mutex.Lock()
		last = asked{path: r.URL.Path, key: r.Header.Get("Authorization")}
		_ = json.Unmarshal(data, &last.body)
		mutex.Unlock()
		answer(w)
	}))
	t.Cleanup(s.Close)
	return s, func() asked {
		mutex.Lock()
		defer mutex.Unlock()
		return last
	}
}

func streaming(events ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for _, e := range events {
			fmt.Fprintf(w, "data: %s\n\n", e)
			_ = http.NewResponseController(w).Flush()
		}
	}
}

func target(t *testing.T, url string, o Options) *Target {
	t.Helper()
	o.URL = url
	if o.Model == "" {
		o.Model = "m"
	}
	x, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return x
}

const usageEvent = `{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8,"prompt_tokens_details":{"cached_tokens":4}}}`

func TestWhatIsSentAndRead(t *testing.T) {
	text := func(s string) string {
		return fmt.Sprintf(`{"choices":[{"index":0,"text":%q,"finish_reason":null}]}`, s)
	}
	s, last := server(t, streaming(text("a"), text(""), `{"choices":[{"index":0,"text":"c","finish_reason":"length"}]}`, usageEvent, "[DONE]"))
	x := target(t, s.URL+"/v1/", Options{Key: "secret"})
	before := time.Now()
	answer, err := x.Send(t.Context(), load.Request{Prompt: []int32{1, 20, 300}, MaxTokens: 3, IgnoreEnd: true})
	if err != nil {
		t.Fatal(err)
	}
	got := last()
	want := map[string]any{"model": "m", "prompt": []any{1.0, 20.0, 300.0}, "max_tokens": 3.0, "ignore_eos": true, "skip_special_tokens": false, "temperature": 0.0, "stream": true, "stream_options": map[string]any{"include_usage": true}}
	if got.path != "/v1/completions" || got.key != "Bearer secret" || !reflect.DeepEqual(got.body, want) {
		t.Errorf("%+v, expected %v", got, want)
	}
	if answer.Prompt != 5 || answer.Cached != 4 || answer.Count != 3 || answer.Estimated || answer.Text != "" || len(answer.Chunks) != 3 {
		t.Errorf("%+v", answer)
	}
	if order := []time.Time{before, answer.FirstByte, answer.First, answer.Chunks[1], answer.End}; !slices.IsSortedFunc(order, time.Time.Compare) || answer.First != answer.Chunks[0] || answer.End != answer.Chunks[2] {
		t.Errorf("times %v", order)
	}

	s, last = server(t, streaming(`{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`, `{"choices":[{"index":0,"delta":{"content":"Hi"}}]}`, `{"choices":[{"index":0,"delta":{"content":" you"}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, "[DONE]"))
	answer, err = target(t, s.URL, Options{Plain: true}).Send(t.Context(), load.Request{Messages: []load.Message{{Role: "user", Content: "a \"b\""}}, IgnoreEnd: true})
	want = map[string]any{"model": "m", "messages": []any{map[string]any{"role": "user", "content": "a \"b\""}}, "temperature": 0.0, "stream": true, "stream_options": map[string]any{"include_usage": true}}
	if got := last(); err != nil || got.path != "/v1/chat/completions" || got.key != "" || !reflect.DeepEqual(got.body, want) {
		t.Errorf("%+v, %v, expected %v", got, err, want)
	}
	if answer.Text != "Hi you" || len(answer.Chunks) != 2 || answer.Count != 2 || !answer.Estimated || !answer.End.After(answer.Chunks[1]) {
		t.Errorf("an answer without usage: %+v", answer)
	}

	// a token without a text of its own that ends the answer: its chunk is all that there is
	s, last = server(t, streaming(`{"choices":[{"index":0,"text":"","finish_reason":"length","token_ids":[]}]}`, usageEvent, "[DONE]"))
	answer, err = target(t, s.URL, Options{}).Send(t.Context(), load.Request{Text: "abc", MaxTokens: 1})
	if got := last(); err != nil || got.body["prompt"] != "abc" || got.body["ignore_eos"] != nil || answer.First.IsZero() || len(answer.Chunks) != 0 || answer.First != answer.End {
		t.Errorf("%+v, %+v, %v", got, answer, err)
	}

	s, last = server(t, streaming(`{"choices":[{"index":0,"text":"x","token_ids":[5,6]}]}`, `{"choices":[{"index":0,"text":"y","token_ids":[7]}]}`, usageEvent, "[DONE]"))
	answer, err = target(t, s.URL, Options{TokenIDs: true}).Send(t.Context(), load.Request{Prompt: []int32{1}, Labels: []int32{1, 2}})
	if got := last(); err != nil || got.body["max_tokens"] != 1.0 || got.body["return_token_ids"] != true || !slices.Equal(answer.Tokens, []int32{5, 6, 7}) {
		t.Errorf("%+v, %+v, %v", got, answer, err)
	}
}

// Each token is stamped when its chunk comes, not when the answer ends.
func TestChunksAreStampedAsTheyCome(t *testing.T) {
	next := make(chan bool)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range next {
			fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"text\":\"a\"}]}\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	}))
	t.Cleanup(s.Close)
	got := make(chan load.Answer, 1)
	x := target(t, s.URL, Options{})
	go func() {
		answer, err := x.Send(t.Context(), load.Request{Prompt: []int32{1}, MaxTokens: 3})
		if err != nil {
			t.Error(err)
		}
		got <- answer
	}()
	var after []time.Time // each comes after the stamp, and the next is not sent before
	for range 3 {
		after = append(after, time.Now())
		next <- true
	}
	close(next)
	answer := <-got
	for i, at := range answer.Chunks {
		if at.Before(after[i]) {
			t.Errorf("chunk %d is stamped %v before it was sent", i, after[i].Sub(at))
		}
	}
	if len(answer.Chunks) != 3 {
		t.Errorf("%d chunks", len(answer.Chunks))
	}
}

func TestFailuresAreNamed(t *testing.T) {
	status := func(code int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	for _, test := range []struct {
		answer func(http.ResponseWriter)
		says   string
	}{
		{status(429, `{"error":{"message":"too many","type":"x"}}`), "status 429 Too Many Requests: too many"},
		{status(400, `{"error":"no model"}`), "status 400 Bad Request: no model"},
		{status(422, `{"detail":"bad field"}`), "status 422 Unprocessable Entity: bad field"},
		{status(400, `{"object":"error","message":"older"}`), "status 400 Bad Request: older"},
		{status(502, "<html>\x1b[31m"), `status 502 Bad Gateway: <html>\x1b[31m`},
		{status(503, ""), "status 503 Service Unavailable"},
		{status(302, ""), "status 302 Found"},
		{func(w http.ResponseWriter) { fmt.Fprint(w, "{}") }, "expected a stream"},
		{streaming(`{"choices":[{"index":0,"text":"a"}]}`), "ended without [DONE]"},
		{streaming(`{"choices":[{"index":0,"text":"a"}]}`, `{"error":{"message":"out of memory"}}`, "[DONE]"), "the server broke off: out of memory"},
		{streaming(`{"choices":[{"index":0,"text":"a","finish_reason":"abort"}]}`, "[DONE]"), `finish_reason "abort"`},
		{streaming("[DONE]"), "no choices"},
		{streaming(usageEvent, "[DONE]"), "no choices"},
		{streaming(`{"choices":`), "event"},
		{streaming(`{"choices":[{"index":1,"text":"a"}]}`), "choice 1"},
		{streaming(`{"choices":[{"index":0,"text":5}]}`), "text"},
		{streaming(`{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":4}}}`), "4 of them cached"},
	} {
		s, _ := server(t, test.answer)
		_, err := target(t, s.URL, Options{}).Send(t.Context(), load.Request{Prompt: []int32{1}, MaxTokens: 1})
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v, expected an error with %q", err, test.says)
		}
		var failed *StatusError
		if strings.HasPrefix(test.says, "status") && (!errors.As(err, &failed) || failed.RetryAfter != "3") {
			t.Errorf("%v is no status", err)
		}
	}
	x := target(t, "http://127.0.0.1:1", Options{})
	if _, err := x.Send(t.Context(), load.Request{Prompt: []int32{1}, Items: [][]int32{{1}}, Labels: []int32{1}}); err == nil || !strings.Contains(err.Error(), "/v1/score alone") {
		t.Errorf("items without /v1/score: %v", err)
	}
	if _, err := x.Send(t.Context(), load.Request{Prompt: []int32{1}}); err == nil || !strings.HasPrefix(err.Error(), "openai: ") {
		t.Errorf("no server: %v", err)
	}
	held := make(chan bool)
	slow, _ := server(t, func(http.ResponseWriter) { <-held })
	if _, err := target(t, slow.URL, Options{Timeout: time.Millisecond}).Send(t.Context(), load.Request{Prompt: []int32{1}}); err == nil || !strings.Contains(err.Error(), "no whole answer within 1ms") {
		t.Errorf("a request that takes too long: %v", err)
	}
	close(held)
	ctx, cancel := context.WithCancel(t.Context())
	s, _ := server(t, func(w http.ResponseWriter) {
		streaming(`{"choices":[{"index":0,"text":"a"}]}`)(w)
		cancel()
		<-ctx.Done()
	})
	if _, err := target(t, s.URL, Options{}).Send(ctx, load.Request{Prompt: []int32{1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that is given up: %v", err)
	}
}

func TestScore(t *testing.T) {
	answer := `{"scores":[[0.1,0.2],[0.3,0.4]],"usage":{"prompt_tokens":10,"prompt_tokens_details":{"cached_tokens":3}}}`
	s, last := server(t, func(w http.ResponseWriter) { fmt.Fprint(w, answer) })
	x := target(t, s.URL, Options{Score: true})
	packed := load.Request{Prompt: []int32{1, 2}, Items: [][]int32{{3}, {4, 5}}, Labels: []int32{8, 9}}
	got, err := x.Send(t.Context(), packed)
	want := map[string]any{"model": "m", "query": []any{1.0, 2.0}, "items": []any{[]any{3.0}, []any{4.0, 5.0}}, "label_token_ids": []any{8.0, 9.0}}
	if err != nil || last().path != "/v1/score" || !reflect.DeepEqual(last().body, want) || got.Prompt != 10 || got.Cached != 3 || got.First != got.End || got.Count != 0 {
		t.Errorf("%+v, %+v, %v", last(), got, err)
	}
	answer = `{"scores":[[0.1,0.2]]}`
	got, err = x.Send(t.Context(), load.Request{Prompt: []int32{1, 2, 3}, Labels: []int32{8, 9}})
	want["items"] = []any{[]any{3.0}}
	if err != nil || !reflect.DeepEqual(last().body, want) || got.Prompt != 3 || !got.Estimated {
		t.Errorf("%+v, %+v, %v", last(), got, err)
	}
	for body, says := range map[string]string{
		`{"scores":[[1,2]]}`: "scores of 1 items, expected 2", `{"scores":[[1,2],[1]]}`: "1 scores of item 1", `{"scores":`: "reading the answer",
		`{"scores":[[1,2],[1,2]],"usage":{"prompt_tokens":-1}}`: "-1 prompt tokens",
	} {
		answer = body
		if _, err := x.Send(t.Context(), packed); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, expected an error with %q", body, err, says)
		}
	}
	if _, err := x.Send(t.Context(), load.Request{Text: "a", Labels: []int32{1}}); err == nil || !strings.Contains(err.Error(), "no token ids") {
		t.Errorf("a text: %v", err)
	}
}

func TestTheModelIsAskedFor(t *testing.T) {
	answer := `{"data":[{"id":"one"}]}`
	s, last := server(t, func(w http.ResponseWriter) { fmt.Fprint(w, answer) })
	x, err := New(t.Context(), Options{URL: s.URL})
	if err != nil || x.Model() != "one" || last().path != "/v1/models" {
		t.Fatalf("%+v, %v", last(), err)
	}
	for body, says := range map[string]string{`{"data":[]}`: "has 0 models", `{"data":[{"id":"a"},{"id":"b"}]}`: "2 models (a, b)", `[`: "reading the answer"} {
		answer = body
		if _, err := New(t.Context(), Options{URL: s.URL}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, expected an error with %q", body, err, says)
		}
	}
	for says, o := range map[string]Options{
		`address "localhost:8000"`: {URL: "localhost:8000"}, `address "http://"`: {URL: "http://"}, `address "http://a?b"`: {URL: "http://a?b"},
		"-1 requests": {URL: "http://a", InFlight: -1}, "timeout of -1s": {URL: "http://a", Timeout: -time.Second}, "key": {URL: "http://a", Key: "a\nb"},
	} {
		if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, expected an error with %q", o, err, says)
		}
	}
}

// As many connections are kept as requests are in flight: a second round opens none. No proxy of
// the environment is asked.
func TestConnectionsAreKept(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	var mutex sync.Mutex
	opened := 0
	const n = 40
	arrived, answer := make(chan bool, n), make(chan bool)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- true
		<-answer
		streaming(`{"choices":[{"index":0,"text":"a"}]}`, "[DONE]")(w)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		mutex.Lock()
		defer mutex.Unlock()
		if state == http.StateNew {
			opened++
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	x := target(t, s.URL, Options{InFlight: n})
	for range 3 {
		var wait sync.WaitGroup
		for range n {
			wait.Go(func() {
				if _, err := x.Send(t.Context(), load.Request{Prompt: []int32{1}}); err != nil {
					t.Error(err)
				}
			})
		}
		for range n {
			<-arrived
		}
		for range n {
			answer <- true
		}
		wait.Wait()
	}
	mutex.Lock()
	defer mutex.Unlock()
	if opened != n {
		t.Errorf("%d connections for %d requests at once, three times over", opened, n)
	}
}

// TestClosedConnections: a server may close a connection that it has answered on. The next request
// goes on another one, and its answer says so; a new connection that ends without an answer is an
// error.
func TestClosedConnections(t *testing.T) {
	answered := map[string]int{} // by connection; one request is answered on each
	var mutex sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, sent := r.Header["Idempotency-Key"]; sent {
			t.Error("a header was sent that only package http is to see")
		}
		body, _ := io.ReadAll(r.Body)
		mutex.Lock()
		n := answered[r.RemoteAddr]
		answered[r.RemoteAddr]++
		mutex.Unlock()
		if n > 0 || strings.Contains(string(body), "666") {
			panic(http.ErrAbortHandler)
		}
		if strings.HasSuffix(r.URL.Path, "/score") {
			fmt.Fprint(w, `{"scores":[[1]]}`)
			return
		}
		streaming(`{"choices":[{"index":0,"text":"a"}]}`, "[DONE]")(w)
	}))
	t.Cleanup(s.Close)
	for name, c := range map[string]struct {
		options Options
		request load.Request
	}{
		"a completion": {Options{}, load.Request{Prompt: []int32{1}}},
		"a score":      {Options{Score: true}, load.Request{Prompt: []int32{1, 2}, Labels: []int32{3}}},
	} {
		x := target(t, s.URL, c.options)
		for i := range 3 {
			a, err := x.Send(t.Context(), c.request)
			if err != nil || a.Resent != (i > 0) {
				t.Errorf("%s, request %d: sent again %t, %v", name, i, a.Resent, err)
			}
		}
	}
	if _, err := target(t, s.URL, Options{}).Send(t.Context(), load.Request{Prompt: []int32{666}}); err == nil || !strings.Contains(err.Error(), "closed the connection without an answer") {
		t.Errorf("a new connection: %v", err)
	}
}
