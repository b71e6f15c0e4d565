// Package openai is a target of load behind HTTP: any server that answers as OpenAI's does, such as
// slimlab's own, vLLM's, SGLang's and llama.cpp's.
//
// A request of tokens goes to /v1/completions as token ids, one of messages to
// /v1/chat/completions, and labels, where that is asked for, to /v1/score in SGLang's form. Answers
// are streamed, and each token is stamped when its chunk is there. What is counted comes from the
// server's usage; where it sends none, the answer says so. A stream is read strictly: one that ends
// without [DONE], has an error in it, or is not what the protocol says is a failed request. The
// package sends each request once, follows no redirection and uses no proxy of the environment.
package openai

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"slimlab/internal/jsonread"
	"slimlab/internal/visible"
	"slimlab/serve/load"
)

// Options say where a server is and what it knows.
type Options struct {
	URL   string // with or without /v1 at its end
	Key   string // sent as a bearer token; "" is none
	Model string // "" asks the server, which must have one only
	// InFlight is how many requests are sent at once: so many connections are kept open. 0 is 1.
	InFlight int
	Score    bool // labels go to /v1/score; without it one token is generated in their place
	// Plain says that the server knows OpenAI's own fields only: ignore_eos and
	// skip_special_tokens are left out, and answers may end before their length.
	Plain bool
	// TokenIDs asks for the ids of generated tokens by return_token_ids, as vLLM knows it: a
	// session's next turn then has them.
	TokenIDs bool
	// Timeout is how long a request may take in all; 0 is no bound. One that takes longer has
	// failed.
	Timeout time.Duration
}

// Target is a server.
type Target struct {
	options Options
	base    string
	client  *http.Client
}

// maxLine and maxBody bound what is read of an answer, in bytes.
const (
	maxLine = 16 << 20
	maxBody = 64 << 20
	maxSaid = 16 << 10 // of an error
)

// New checks o, and asks the server for its model where o has none.
func New(ctx context.Context, o Options) (*Target, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("openai: found the address %q, expected one such as http://localhost:8000", visible.Line(o.URL))
	}
	if o.InFlight < 0 || o.Timeout < 0 {
		return nil, fmt.Errorf("openai: found %d requests at once and a timeout of %v, expected at least 0", o.InFlight, o.Timeout)
	}
	if strings.ContainsAny(o.Key, "\r\n\x00") {
		return nil, fmt.Errorf("openai: found a key with control characters, expected a token")
	}
	t := &Target{options: o, base: strings.TrimSuffix(strings.TrimSuffix(o.URL, "/"), "/v1") + "/v1"}
	t.client = &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
			MaxIdleConnsPerHost: max(1, o.InFlight),
			IdleConnTimeout:     time.Minute,
			TLSHandshakeTimeout: 30 * time.Second,
			DisableCompression:  true,                                                   // chunks would be gathered
			TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1: a connection for each request in flight
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if o.Model == "" {
		models, err := t.Models(ctx)
		if err != nil {
			return nil, err
		}
		if len(models) != 1 {
			return nil, fmt.Errorf("openai: %s has %d models (%s), expected the name of one", t.base, len(models), visible.Line(strings.Join(models, ", ")))
		}
		t.options.Model = models[0]
	}
	return t, nil
}

// Model is the name of the model that is asked.
func (t *Target) Model() string { return t.options.Model }

// Close closes connections that no request uses.
func (t *Target) Close() { t.client.CloseIdleConnections() }

// Models lists the names of the server's models.
func (t *Target) Models(ctx context.Context) ([]string, error) {
	response, _, err := t.do(ctx, http.MethodGet, "/models", nil)
	if err != nil {
		return nil, err
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := readJSON(response, &list); err != nil {
		return nil, err
	}
	var names []string
	for _, m := range list.Data {
		names = append(names, m.ID)
	}
	return names, nil
}

// StatusError is an answer whose status is not 200.
type StatusError struct {
	Status     int
	Message    string // of the server
	RetryAfter string // its header; "" is none
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("openai: status %d %s", e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// do sends a request; an answer that is not 200 is a *StatusError. Where the server has closed a
// connection that was used before without a word of an answer, as it may with any that idles, the
// request goes on another one, as clients of other makes do.
func (t *Target) do(ctx context.Context, method, path string, body []byte) (response *http.Response, resent bool, err error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	connections := 0
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connections++ }})
	r, err := http.NewRequestWithContext(ctx, method, t.base+path, reader)
	if err != nil {
		return nil, false, fmt.Errorf("openai: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header["Idempotency-Key"] = nil // is not sent, and lets package http send the request again
	if t.options.Key != "" {
		r.Header.Set("Authorization", "Bearer "+t.options.Key)
	}
	response, err = t.client.Do(r)
	switch {
	case errors.Is(err, io.EOF):
		return nil, false, fmt.Errorf("openai: the server closed the connection without an answer: %w", err)
	case err != nil:
		return nil, false, fmt.Errorf("openai: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		said, _ := io.ReadAll(io.LimitReader(response.Body, maxSaid))
		return nil, false, &StatusError{response.StatusCode, message(said), visible.Line(response.Header.Get("Retry-After"))}
	}
	return response, connections > 1, nil
}

// message is what the body of an error says: OpenAI's shape, those of FastAPI and of older servers,
// or the text itself.
func message(body []byte) string {
	var said struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	text := string(body)
	if json.Unmarshal(body, &said) == nil {
		var inner struct {
			Message string `json:"message"`
		}
		var plain string
		switch {
		case json.Unmarshal(said.Error, &inner) == nil && inner.Message != "":
			text = inner.Message
		case json.Unmarshal(said.Error, &plain) == nil && plain != "":
			text = plain
		case said.Message != "":
			text = said.Message
		case json.Unmarshal(said.Detail, &plain) == nil && plain != "":
			text = plain
		}
	}
	text = visible.Line(strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD"))
	if r := []rune(text); len(r) > 500 {
		text = string(r[:500]) + "…"
	}
	return text
}

// readJSON reads a whole answer.
func readJSON(response *http.Response, v any) error {
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	switch {
	case err != nil:
		return fmt.Errorf("openai: reading the answer: %w", err)
	case len(data) > maxBody:
		return fmt.Errorf("openai: the answer has more than %d bytes", maxBody)
	}
	if err := jsonread.Decode(data, v); err != nil {
		return fmt.Errorf("openai: reading the answer: %w", err)
	}
	return nil
}

// Send sends a request and reads its answer.
func (t *Target) Send(ctx context.Context, r load.Request) (load.Answer, error) {
	if t.options.Timeout > 0 {
		within, cancel := context.WithTimeoutCause(ctx, t.options.Timeout, fmt.Errorf("no whole answer within %v", t.options.Timeout))
		defer cancel()
		answer, err := t.send(within, r)
		if err != nil && within.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("openai: %w", context.Cause(within))
		}
		return answer, err
	}
	return t.send(ctx, r)
}

func (t *Target) send(ctx context.Context, r load.Request) (load.Answer, error) {
	if t.options.Score && len(r.Labels) > 0 {
		return t.score(ctx, r)
	}
	if len(r.Items) > 0 {
		return load.Answer{}, fmt.Errorf("openai: found a request of %d items, which /v1/score alone takes", len(r.Items))
	}
	path, body, err := t.body(r)
	if err != nil {
		return load.Answer{}, err
	}
	response, resent, err := t.do(ctx, http.MethodPost, path, body)
	if err != nil {
		return load.Answer{}, err
	}
	defer response.Body.Close()
	head := time.Now()
	if kind := response.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		return load.Answer{}, fmt.Errorf("openai: found an answer of the type %q, expected a stream (text/event-stream)", visible.Line(kind))
	}
	read := reading{text: r.Prompt == nil}
	if err := read.stream(response.Body, time.Now); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return load.Answer{}, fmt.Errorf("openai: %w", err)
	}
	// what is behind [DONE] is read so that the connection can be used again
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 4<<10))
	answer := read.answer(r)
	answer.FirstByte, answer.Resent = head, resent
	return answer, nil
}

// body is what is posted, and where to.
func (t *Target) body(r load.Request) (path string, body []byte, err error) {
	body = append(body, `{"model":`...)
	body = appendText(body, t.options.Model)
	switch {
	case r.Prompt != nil:
		path = "/completions"
		body = appendTokens(append(body, `,"prompt":`...), r.Prompt)
	case r.Messages != nil:
		path = "/chat/completions"
		list, err := json.Marshal(r.Messages)
		if err != nil {
			return "", nil, fmt.Errorf("openai: %w", err)
		}
		body = append(append(body, `,"messages":`...), list...)
	default:
		path = "/completions"
		body = appendText(append(body, `,"prompt":`...), r.Text)
	}
	most, fixed := r.MaxTokens, r.IgnoreEnd
	if len(r.Labels) > 0 {
		most, fixed = 1, true
	}
	if most > 0 {
		body = strconv.AppendInt(append(body, `,"max_tokens":`...), int64(most), 10)
	}
	if fixed && !t.options.Plain {
		body = append(body, `,"ignore_eos":true`...)
		if r.Prompt != nil {
			// else tokens of no language, which models say of prompts of no language, have no text
			// and many servers no chunk for them; in a conversation they would mean something
			body = append(body, `,"skip_special_tokens":false`...)
		}
	}
	if t.options.TokenIDs {
		body = append(body, `,"return_token_ids":true`...)
	}
	body = append(body, `,"temperature":0,"stream":true,"stream_options":{"include_usage":true}}`...)
	return path, body, nil
}

func appendText(to []byte, text string) []byte {
	quoted, _ := json.Marshal(text) // a string has no error
	return append(to, quoted...)
}

func appendTokens(to []byte, tokens []int32) []byte {
	to = slices.Grow(to, 7*len(tokens)+2)
	to = append(to, '[')
	for i, t := range tokens {
		if i > 0 {
			to = append(to, ',')
		}
		to = strconv.AppendInt(to, int64(t), 10)
	}
	return append(to, ']')
}
