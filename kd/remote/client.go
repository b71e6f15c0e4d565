package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"slimlab/internal/visible"
)

// client sends requests to one URL.
type client struct {
	config Config
	url    *url.URL
	secret string
	http   *http.Client
	*outages
}

// newClient checks a Config and fills it.
func newClient(c Config) (client, error) {
	c = c.filled()
	if err := c.check(); err != nil {
		return client{}, fmt.Errorf("teacher by URL: %w", err)
	}
	u, err := c.call()
	if err != nil {
		return client{}, err
	}
	secret, err := c.key()
	if err != nil {
		return client{}, err
	}
	return client{c, u, secret, &http.Client{Transport: c.Transport}, &outages{config: &c, endpoint: u.Redacted()}}, nil
}

// request is the body of a call.
type request struct {
	Model     string  `json:"model,omitempty"`
	Prompt    []int32 `json:"prompt"`
	MaxTokens int     `json:"max_tokens"`
	// of GivenTokens, as long as Prompt
	TokenIDs [][]int32 `json:"prompt_logprob_token_ids,omitempty"`
	// of WholeRows: tokens of the prompt
	Rows []int `json:"prompt_logits,omitempty"`
	// of the endpoint's own choice
	TopK int `json:"prompt_logprobs,omitempty"`
}

// StatusError is an answer with a status of no success.
type StatusError struct {
	Status int
	Body   string // its beginning
}

func (e *StatusError) Error() string {
	if e.Body == "" {
		return fmt.Sprintf("status %d %s, without a body", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("status %d %s: %s", e.Status, http.StatusText(e.Status), e.Body)
}

// answerError is an answer that another attempt would not change.
type answerError struct{ error }

func (e answerError) Unwrap() error { return e.error }

// named begins an error with the URL.
func (c *client) named(err error) error {
	return fmt.Errorf("teacher %s: %w", c.url.Redacted(), err)
}

const (
	firstWait = 500 * time.Millisecond
	mostWait  = 30 * time.Second
	// longer waits that an endpoint names are an error
	mostNamedWait = 5 * time.Minute
)

// ask sends a request about a prompt and reads the answer's lists.
func (c *client) ask(ctx context.Context, r request) (lists []list, err error) {
	err = c.call(ctx, r, func(answer io.Reader) (err error) {
		lists, err = parseAnswer(answer, len(r.Prompt), c.config.Vocab, c.config.Check)
		return err
	})
	return lists, err
}

// call sends a request, again where that may help, and has its answer read.
func (c *client) call(ctx context.Context, request any, read func(answer io.Reader) error) (err error) {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	wait, again := firstWait, false // again: it was said that the request is sent again
	defer func() {
		if again {
			c.ended(err)
		}
	}()
	for attempt := 1; ; attempt++ {
		named, err := c.once(ctx, body, read)
		if err == nil {
			return nil
		}
		if ended := ctx.Err(); ended != nil {
			return ended
		}
		if !passes(err) {
			return c.named(err)
		}
		if attempt == c.config.Attempts {
			return c.named(fmt.Errorf("no answer in %d attempts; the last: %w", attempt, err))
		}
		if named > mostNamedWait {
			return c.named(fmt.Errorf("%w; it asks to wait for %v", err, named))
		}
		pause := max(named, time.Duration(float64(wait)*(0.5+c.config.Random()/2)))
		c.failed(!again, attempt+1, pause, err)
		again = true
		if err := c.config.Sleep(ctx, pause); err != nil {
			return err
		}
		wait = min(2*wait, mostWait)
	}
}

// errEarly is an answer that was cut off, by a server or by what stands before it.
var errEarly = errors.New("the answer ends early")

// passes reports whether another attempt may do better: after statuses of a busy or broken server,
// timeouts, and connections or answers that fail or end early.
func passes(err error) bool {
	var status *StatusError
	var answer answerError
	switch {
	case errors.Is(err, errEarly):
		return true
	case errors.As(err, &status):
		return status.Status == http.StatusTooManyRequests || status.Status == http.StatusRequestTimeout || status.Status >= 500
	case errors.As(err, &answer):
		return false
	}
	return true
}

// once is one attempt. wait is the one that the answer names.
func (c *client) once(ctx context.Context, body []byte, read func(io.Reader) error) (wait time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.config.Timeout, fmt.Errorf("no whole answer within %v", c.config.Timeout))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), bytes.NewReader(body))
	if err != nil {
		return 0, answerError{err}
	}
	r.Header.Set("Content-Type", "application/json")
	if c.secret != "" {
		r.Header.Set("Authorization", "Bearer "+c.secret)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, cause(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
		return c.retryAfter(answer), &StatusError{answer.StatusCode, c.beginning(text)}
	}
	limited := &bounded{r: answer.Body, left: c.config.MaxAnswer, most: c.config.MaxAnswer}
	err = read(limited)
	switch {
	case err == nil:
		return 0, nil
	case limited.failed != nil: // the connection, not the content
		return 0, cause(ctx, limited.failed)
	}
	return 0, answerError{fmt.Errorf("status %d: %w; the answer begins with %s", answer.StatusCode, err, c.beginning(limited.head))}
}

// cause is why a request ended: its own timeout by its name, and no address twice.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// retryAfter is the wait that an answer names, in seconds or by a date.
func (c *client) retryAfter(answer *http.Response) time.Duration {
	text := answer.Header.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 1e6) * float64(time.Second))
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(0, date.Sub(c.config.Now()))
	}
	return 0
}

// shownBytes is how much of a body an error has.
const shownBytes = 300

// beginning is the beginning of a body as one line of text, without the key.
func (c *client) beginning(body []byte) string {
	text := string(body)
	if c.secret != "" {
		text = strings.ReplaceAll(text, c.secret, "…")
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > shownBytes {
		cut := shownBytes
		for !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…"
	}
	return visible.Line(text)
}

// bounded reads at most a number of bytes, and keeps the first and the error of the connection.
type bounded struct {
	r          io.Reader
	left, most int64
	head       []byte
	failed     error
}

var errLong = errors.New("the answer is too long")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: expected at most %d bytes: ask for fewer tokens or shorter examples", errLong, b.most)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if len(b.head) < 2*shownBytes {
		b.head = append(b.head, p[:min(n, 2*shownBytes-len(b.head))]...)
	}
	if err != nil && err != io.EOF {
		b.failed = err
	}
	return n, err
}

// each does n pieces of work that ask the endpoint, some at a time. When one fails the others are
// ended.
func (c *client) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, n)
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(c.config.Concurrent, n) {
		workers.Go(func() {
			for i := range next {
				if errs[i] = do(ctx, i); errs[i] != nil {
					cancel()
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
	return firstCause(errs)
}

// firstCause is the first error that is not the end of the others, if there is one.
func firstCause(errs []error) error {
	var ended error
	for i, err := range errs {
		switch {
		case errors.Is(err, context.Canceled):
			ended = err
		case err != nil:
			return fmt.Errorf("example %d: %w", i, err)
		}
	}
	return ended
}
