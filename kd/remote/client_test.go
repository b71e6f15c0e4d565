package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"slimlab/kd"
	"slimlab/kd/kdtest"
)

// TestBusyServersAreAskedAgain: each failure that passes, with growing waits, or those that the
// answer names; the answer is then the same.
func TestBusyServersAreAskedAgain(t *testing.T) {
	status := func(code int, after string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			http.Error(w, "busy", code)
		}
	}
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"choices": [{"prompt_lo`)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	second := time.Second
	for name, c := range map[string]struct {
		fail func(http.ResponseWriter, *http.Request)
		want []time.Duration
	}{
		"429":                     {status(429, ""), []time.Duration{second / 4, second / 2, second}},
		"429, in 7 seconds":       {status(429, "7"), []time.Duration{7 * second, 7 * second, 7 * second}},
		"503, at a date":          {status(503, time.Unix(1e9+9, 0).UTC().Format(http.TimeFormat)), []time.Duration{9 * second, 9 * second, 9 * second}},
		"500":                     {status(500, ""), []time.Duration{second / 4, second / 2, second}},
		"503, sooner than others": {status(503, "0.1"), []time.Duration{second / 4, second / 2, second}},
		"an answer that is cut":   {cut, []time.Duration{second / 4, second / 2, second}},
		"a cut connection":        {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, []time.Duration{second / 4, second / 2, second}},
	} {
		server := &kdtest.Endpoint{Model: kdtest.Model(t, kdtest.Vocab, 24, 2), Given: true}
		server.Before = func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n > 1 && n < 5 { // after the first question of Dial
				c.fail(w, r)
				return true
			}
			return false
		}
		config, w := configOf(t, server)
		config.Transport = &http.Transport{DisableKeepAlives: true}
		teacher := dial(t, config)
		if err := teacher.Prepare(context.Background(), kdtest.Examples(1, kdtest.Vocab, 3)); err != nil || !slices.Equal(w.list, c.want) {
			t.Errorf("%s: waits %v, expected %v; %v", name, w.list, c.want, err)
		}
	}
}

// TestErrorsEndAtOnce: with the URL, the status and the beginning of the body.
func TestErrorsEndAtOnce(t *testing.T) {
	const good = `{"choices": [{"prompt_logprobs": [null, `
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"401":                      {401, "no key", "status 401 Unauthorized: no key"},
		"404":                      {404, "", "status 404 Not Found, without a body"},
		"a long body":              {403, strings.Repeat("ä\x1b[31m ", 500), "…"},
		"an error with success":    {200, `{"error": "overloaded"}`, `no log-probabilities of the prompt (choices[0].prompt_logprobs); the answer begins with {"error": "overloaded"}`},
		"null":                     {200, `{"choices": [{"prompt_logprobs": null}]}`, "no log-probabilities"},
		"a page":                   {200, "<html>hello", "the answer begins with <html>hello"},
		"another shape":            {200, `{"choices": {"a": 1}}`, `found "{", expected [`},
		"tokens by their text":     {200, good + `{"hello": {"logprob": -1}}]}]}`, `log-probability of "hello", expected the id of a token`},
		"no number":                {200, good + `{"0": {"logprob": "x"}}]}]}`, "logprob is x, expected a number"},
		"nothing in it":            {200, good + `{"0": {}}]}]}`, "no logprob"},
		"above 0":                  {200, good + `{"0": {"logprob": 0.5}}]}]}`, "log-probability 0.5, expected at most 0"},
		"twice":                    {200, good + `{"0": -1, "0": -1}]}]}`, "two log-probabilities of token id 0"},
		"too few positions":        {200, `{"choices": [{"prompt_logprobs": [null]}]}`, "of 1 tokens, expected those of the prompt's 2"},
		"too many positions":       {200, good + `{"0": -1}, {"0": -1}]}]}`, "more than the prompt's 2 tokens"},
		"too deep":                 {200, `{"x": ` + strings.Repeat("[", 2000), "more than 64 deep"},
		"too long":                 {200, `{"x": "` + strings.Repeat("y", 5000), "at most 4096 bytes"},
		"lists of too many tokens": {200, good + "{" + strings.Repeat(`"9999": -1,`, 300) + `"1": -1}]}]}`, "more than 123 log-probabilities"},
	} {
		asked := 0
		config, w := configOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}))
		config.MaxAnswer = 4096
		_, err := Dial(context.Background(), config)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "/v1/completions") || len(err.Error()) > 1500 || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
		if asked > 2 || len(w.list) > 0 {
			t.Errorf("%s: asked %d times, waits %v", name, asked, w.list)
		}
	}
}

// TestAnswerThatIsCutOff is asked for again; one that always is names it after all attempts.
func TestAnswerThatIsCutOff(t *testing.T) {
	for cut, want := range map[int]string{1: "", 99: "no answer in 3 attempts; the last: status 200: the answer ends early"} {
		server := &kdtest.Endpoint{Model: kdtest.Model(t, kdtest.Vocab, 24, 2), Given: true}
		server.Before = func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n > 1 && n <= 1+cut {
				fmt.Fprint(w, `{"choices": [{"prompt_logprobs": [null, {`)
				return true
			}
			return false
		}
		config, _ := configOf(t, server)
		config.Attempts, config.Concurrent = 3, 1
		err := dial(t, config).Prepare(context.Background(), kdtest.Examples(1, kdtest.Vocab, 3))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d cut off: %v, expected %q", cut, err, want)
		}
	}
}

// TestServerThatStaysBusy: the error says how often it was asked; a wait that is too long is not
// waited for.
func TestServerThatStaysBusy(t *testing.T) {
	for after, want := range map[string]string{"": "no answer in 4 attempts; the last: status 503", "4000": "asks to wait for 1h6m40s"} {
		config, w := configOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", after)
			http.Error(w, "loading the model", http.StatusServiceUnavailable)
		}))
		config.Attempts = 4
		if _, err := Dial(context.Background(), config); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "loading the model") {
			t.Errorf("%v, expected %q; waits %v", err, want, w.list)
		}
	}
}

// gone is closed when the client goes; a server notices that once the request's body is read.
func gone(r *http.Request) <-chan struct{} {
	io.Copy(io.Discard, r.Body)
	return r.Context().Done()
}

// TestSlowServer: a request that takes longer than its time is asked again, then an error.
func TestSlowServer(t *testing.T) {
	end := make(chan struct{})
	config, w := configOf(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-gone(r):
		}
	}))
	defer close(end)
	config.Timeout, config.Attempts = time.Millisecond, 3
	if _, err := Dial(context.Background(), config); err == nil || !strings.Contains(err.Error(), "no whole answer within 1ms") || len(w.list) != 2 {
		t.Errorf("%v; waits %v", err, w.list)
	}
}

// TestContextEndsAll: also while requests are under way, and between attempts.
func TestContextEndsAll(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	server := &kdtest.Endpoint{Model: kdtest.Model(t, kdtest.Vocab, 24, 2), Given: true}
	server.Before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n == 1 {
			return false
		}
		if n == 4 {
			cancel()
		}
		<-gone(r)
		return true
	}
	config, _ := configOf(t, server)
	teacher := dial(t, config)
	if err := teacher.Prepare(ctx, kdtest.Examples(20, kdtest.Vocab, 3)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	config, _ = configOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusServiceUnavailable) }))
	config.Sleep = sleep
	ctx, cancel = context.WithCancel(context.Background())
	config.Random = func() float64 { cancel(); return 0 }
	if _, err := Dial(ctx, config); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestOneFailureEndsTheOthers: and is the error, not that they were ended.
func TestOneFailureEndsTheOthers(t *testing.T) {
	server := &kdtest.Endpoint{Model: kdtest.Model(t, kdtest.Vocab, 24, 2), Given: true}
	server.Before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		switch {
		case n == 4:
			http.Error(w, "no more credit", http.StatusPaymentRequired)
		case n > 1:
			<-gone(r)
		}
		return n > 1
	}
	config, _ := configOf(t, server)
	if err := dial(t, config).Prepare(context.Background(), kdtest.Examples(20, kdtest.Vocab, 3)); err == nil || !strings.Contains(err.Error(), "no more credit") || !strings.Contains(err.Error(), "example ") {
		t.Error(err)
	}
}

// TestKeyIsSentAndNeverShown: also where the server repeats it.
func TestKeyIsSentAndNeverShown(t *testing.T) {
	const key = "sk-very-secret"
	t.Setenv("TEACHER_KEY", key)
	config, _ := configOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "not for "+r.Header.Get("Authorization"), http.StatusForbidden)
	}))
	config.KeyVariable = "TEACHER_KEY"
	_, err := Dial(context.Background(), config)
	if err == nil || !strings.Contains(err.Error(), "not for Bearer …") || strings.Contains(err.Error(), key) {
		t.Error(err)
	}
	config.KeyVariable = "NO_SUCH_TEACHER_KEY"
	if _, err := Dial(context.Background(), config); err == nil || !strings.Contains(err.Error(), "NO_SUCH_TEACHER_KEY") {
		t.Error(err)
	}
	config.KeyVariable, config.URL = "", strings.Replace(config.URL, "http://", "http://me:"+key+"@", 1)
	if _, err := Dial(context.Background(), config); err == nil || strings.Contains(err.Error(), key) {
		t.Error(err)
	}
}

// TestBadSettings: each error says what was found.
func TestBadSettings(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"ftp://x":                func(c *Config) { c.URL = "ftp://x" },
		"expected one such as":   func(c *Config) { c.URL = "localhost:8000" },
		"vocabulary of 1 tokens": func(c *Config) { c.Vocab = 1 },
		"top-k 99":               func(c *Config) { c.TopK = 99 },
		"-1 attempts":            func(c *Config) { c.Attempts = -1 },
	} {
		config := Config{URL: "http://localhost:1/v1", Vocab: kdtest.Vocab}
		change(&config)
		if _, err := Dial(context.Background(), config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}

// FuzzAnswer: no answer panics; what is read is within its bounds.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"choices": [{"prompt_logprobs": [null, {"0": {"logprob": -1, "rank": 1, "decoded_token": "a"}, "1": -2}, {}]}, {}], "usage": {"a": [1]}}`))
	f.Add([]byte(`{"choices": [{"prompt_logits": [{"place": 1, "log_sum": 1e9, "logits": "` + strings.Repeat("AAAA", kdtest.Vocab) + `"}]}]}`))
	f.Add([]byte(`{"choices": null, "error": {"message": "no"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		lists, err := parseAnswer(strings.NewReader(string(data)), 3, kdtest.Vocab, nil)
		if err != nil {
			return
		}
		if len(lists) != 3 {
			t.Fatalf("%d lists", len(lists))
		}
		for _, l := range lists {
			for i, id := range l.ids {
				if id < 0 || id >= kdtest.Vocab || !(l.logP[i] <= 0) || i > 0 && id <= l.ids[i-1] {
					t.Fatalf("ids %v, log-probabilities %v", l.ids, l.logP)
				}
			}
			for id := range l.logits {
				if logP := l.at(id); !(logP <= 0) {
					t.Fatalf("token %d: log-probability %v", id, logP)
				}
			}
			var lists kd.Lists
			l.appendTo(&lists, kdtest.Vocab)
		}
	})
}
