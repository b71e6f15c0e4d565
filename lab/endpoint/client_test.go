package endpoint

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// said asks a client and returns the whole answer.
func said(t *testing.T, c *Client, prompt string) string {
	t.Helper()
	var text strings.Builder
	if err := c.Complete(t.Context(), prompt, 6, func(piece string) { text.WriteString(piece) }); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// TestAnotherServer: what answers as something else is not watched, whatever it answers.
func TestAnotherServer(t *testing.T) {
	for body, says := range map[string]string{"{}": "it names no model", `{"status":"ok"}`: "it names no model", "<html>": "not that of slimlab serve", `[1]`: "not that of slimlab serve"} {
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		if c, err := Dial(t.Context(), h.URL, ""); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v, expected an error with %q", body, c, err, says)
		}
		h.Close()
	}
}

// TestClients: the server of this process and that of an address are the same to a client.
func TestClients(t *testing.T) {
	e := open(t, "pretrained:recsys-student", Options{DType: "float32"})
	here := e.Inside()
	t.Cleanup(here.Close)
	o := ServerOptions{Keys: []string{"k"}, Drain: time.Minute}
	l, err := o.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Serve(ctx, l, o) }()
	address := "http://" + l.Addr().String()
	if _, err := Dial(t.Context(), address, ""); err == nil || !strings.Contains(err.Error(), "no API key") {
		t.Errorf("without a key: %v", err)
	}
	there, err := Dial(t.Context(), address+"/v1/", "k")
	if err != nil {
		t.Fatal(err)
	}
	if here.Place() != "" || there.Place() != address {
		t.Errorf("at %q and %q", here.Place(), there.Place())
	}
	if a, b := said(t, here, "likes item"), said(t, there, "likes item"); a != b || a == "" {
		t.Errorf("answered %q and %q", a, b)
	}
	for _, c := range []*Client{here, there} {
		s, err := c.State(t.Context())
		if err != nil || s.Model != "recsys-student" || s.Counts.Requests != 2 || len(s.Ended) != 2 {
			t.Errorf("%+v, %v", s, err)
		}
		if s, err = c.Pause(t.Context()); err != nil || !s.Paused {
			t.Errorf("%+v, %v", s, err)
		}
		if s, err = c.Step(t.Context()); err != nil || !s.Paused {
			t.Errorf("%+v, %v", s, err)
		}
		if s, err = c.Resume(t.Context()); err != nil || s.Paused {
			t.Errorf("%+v, %v", s, err)
		}
		if _, err = c.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "not paused") {
			t.Errorf("a step of an engine that goes on: %v", err)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	err = there.Complete(t.Context(), strings.Repeat("item ", 100_000), 6, func(string) { t.Error("a piece of no answer") })
	if err == nil || !strings.Contains(err.Error(), "prompt") {
		t.Errorf("a prompt that is too long: %v", err)
	}
	if _, err := there.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	there.Close()
	if s, err := here.State(t.Context()); err != nil || s.Paused {
		t.Errorf("after the client that paused it has left: %+v, %v", s, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	here.Close()
	if _, err := here.State(t.Context()); err == nil {
		t.Error("a client that was closed answers")
	}
}

// TestInsideEndsWhatItAsked: also of a paused engine, and what is read breaks off with an error.
func TestInsideEndsWhatItAsked(t *testing.T) {
	e := open(t, "pretrained:recsys-student", Options{})
	c := e.Inside()
	if _, err := c.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- c.Complete(ctx, "likes item", 6, func(string) {}) }()
	for s, err := c.State(t.Context()); s.Waiting == 0; s, err = c.State(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	c.Close()
	if s, err := e.engine.Stats(); err != nil || s.Waiting+s.Running != 0 || s.Paused {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestDialRefuses(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/broken/debug/engine":
			io.WriteString(w, "{")
		case "/refuses/debug/engine":
			http.Error(w, `{"error":{"message":"come back later"}}`, http.StatusTooManyRequests)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(other.Close)
	for address, want := range map[string]string{
		"localhost:8000": "expected the URL", "ftp://host/": "expected the URL", "http://": "expected the URL", "http://user:word@host": "expected the URL", "http://host?x=1": "expected the URL", "http://a b": "expected the URL",
		other.URL: "404", other.URL + "/broken": "not that of slimlab serve", other.URL + "/refuses": "come back later", "http://127.0.0.1:1": "refused",
	} {
		if c, err := Dial(t.Context(), address, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, expected an error with %q", address, c, err, want)
		}
	}
}

// TestAnswersThatBreakOff: of a server that goes away, or fails after the first piece.
func TestAnswersThatBreakOff(t *testing.T) {
	for body, want := range map[string]string{
		"data: {\"choices\":[{\"text\":\"a\"}]}\n\n":                                                            "broke off",
		"data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"error\":{\"message\":\"no pages\"}}\n\n":            "no pages",
		": a comment\n\ndata: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choices\":7}\n\n":                    "a piece of the answer",
		"data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\njunk": "",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				io.WriteString(w, `{"model":"m"}`)
				return
			}
			io.WriteString(w, body)
		}))
		c, err := Dial(t.Context(), s.URL, "")
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		err = c.Complete(t.Context(), "x", 1, func(piece string) { text += piece })
		if text != "a" || (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v, expected an error with %q", body, text, err, want)
		}
		c.Close()
		s.Close()
	}
}

// TestCloseResumesWhatTheClientPaused: and nothing else, since another may have paused it.
func TestCloseResumesWhatTheClientPaused(t *testing.T) {
	resumed := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/debug/resume" {
			resumed++
		}
		io.WriteString(w, `{"model":"m"}`)
	}))
	t.Cleanup(s.Close)
	for _, test := range []struct {
		do   []func(*Client, context.Context) (State, error)
		want int
	}{
		{nil, 0},
		{[]func(*Client, context.Context) (State, error){(*Client).Pause}, 1},
		{[]func(*Client, context.Context) (State, error){(*Client).Pause, (*Client).Resume}, 1},
	} {
		c, err := Dial(t.Context(), s.URL, "")
		if err != nil {
			t.Fatal(err)
		}
		resumed = 0
		for _, do := range test.do {
			if _, err := do(c, t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if c.Close(); resumed != test.want {
			t.Errorf("after %d calls and Close: resumed %d times, expected %d", len(test.do), resumed, test.want)
		}
	}
}

// An address where no server is says so first, and the address once.
func TestNobodyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + l.Addr().String()
	l.Close()
	_, err = Dial(t.Context(), address, "")
	if err == nil || !strings.Contains(err.Error(), "connection refused, by "+address) || strings.Count(err.Error(), address) != 1 || strings.Contains(err.Error(), "debug/engine") {
		t.Errorf("%v, expected the reason and then the address", err)
	}
}
