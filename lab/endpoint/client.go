package endpoint

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"slimlab/serve/server"
)

// What an engine is doing, as a server of `slimlab serve` tells it.
type (
	State        = server.Debug
	RequestState = server.DebugRequest
	EndedState   = server.DebugEnded
	NodeState    = server.DebugNode
)

// Client asks a server of `slimlab serve`, in another process or in this one. It is safe for
// concurrent use.
type Client struct {
	base   string // without a slash at its end
	key    string
	http   *http.Client
	close  func()
	paused atomic.Bool // by this client
}

// Dial attaches to a server by its URL, with or without the /v1 that clients are given. The key is
// one of the server's API keys, or "".
func Dial(ctx context.Context, address, key string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("found %.200q, expected the URL of a server of slimlab serve, such as http://127.0.0.1:8000", address)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/v1")
	c := &Client{base: u.String(), key: key, http: &http.Client{Transport: transport}, close: transport.CloseIdleConnections}
	if _, err := c.State(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close leaves the server, whose engine goes on where this client has paused it.
func (c *Client) Close() {
	if c.paused.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, _ = c.Resume(ctx) // nothing is left to tell of a server that cannot be reached
	}
	c.close()
}

// Place is the server's URL; "" where it is of this process alone.
func (c *Client) Place() string {
	if c.base == inside {
		return ""
	}
	return c.base
}

// State says what the engine is doing.
func (c *Client) State(ctx context.Context) (State, error) {
	return c.state(ctx, http.MethodGet, "/debug/engine")
}

// Pause has the engine rest after its present step, Step take one step then, Resume go on.
func (c *Client) Pause(ctx context.Context) (State, error) {
	c.paused.Store(true)
	return c.state(ctx, http.MethodPost, "/debug/pause")
}

func (c *Client) Step(ctx context.Context) (State, error) {
	return c.state(ctx, http.MethodPost, "/debug/step")
}

func (c *Client) Resume(ctx context.Context) (State, error) {
	s, err := c.state(ctx, http.MethodPost, "/debug/resume")
	if err == nil {
		c.paused.Store(false)
	}
	return s, err
}

func (c *Client) state(ctx context.Context, method, path string) (s State, err error) {
	body, err := c.ask(ctx, method, path, nil)
	if err != nil {
		return s, err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, mostBody)).Decode(&s); err != nil {
		return s, fmt.Errorf("%s%s: the answer is not that of slimlab serve: %w", c.base, path, err)
	}
	if s.Model == "" {
		return s, fmt.Errorf("%s%s: the answer is not that of slimlab serve: it names no model", c.base, path)
	}
	return s, nil
}

// mostBody bounds what is read of an answer.
const mostBody = 64 << 20

// Flush empties the prefix cache of all that no request holds.
func (c *Client) Flush(ctx context.Context) error {
	body, err := c.ask(ctx, http.MethodPost, "/flush_cache", nil)
	if err != nil {
		return err
	}
	return body.Close()
}

// Complete has the model go on with a prompt, for so many tokens at most and greedily, and gives
// write the answer as it comes.
func (c *Client) Complete(ctx context.Context, prompt string, most int, write func(text string)) error {
	question, err := json.Marshal(map[string]any{"prompt": prompt, "max_tokens": most, "temperature": 0, "stream": true})
	if err != nil {
		return err
	}
	body, err := c.ask(ctx, http.MethodPost, "/v1/completions", question)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, mostBody)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		if string(data) == "[DONE]" {
			return nil
		}
		var piece struct {
			Choices []struct{ Text string }
			problem
		}
		if err := json.Unmarshal(data, &piece); err != nil {
			return fmt.Errorf("%s/v1/completions: a piece of the answer: %w", c.base, err)
		}
		if piece.Error.Message != "" {
			return errors.New(piece.Error.Message)
		}
		for _, choice := range piece.Choices {
			write(choice.Text)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%s/v1/completions: the answer broke off", c.base)
}

// problem is how a server says what was wrong.
type problem struct {
	Error struct{ Message string }
}

// reason is why nothing was answered, without what was asked and of whom.
func reason(err error) error {
	if at := (*url.Error)(nil); errors.As(err, &at) {
		err = at.Err
	}
	if at := (*net.OpError)(nil); errors.As(err, &at) {
		err = at.Err
	}
	return err
}

// ask returns the body of an answer. One that is no success is an error that says what the server
// says.
func (c *Client) ask(ctx context.Context, method, path string, question []byte) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	if question != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	got, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w, by %s", reason(err), c.base)
	}
	if got.StatusCode == http.StatusOK {
		return got.Body, nil
	}
	defer got.Body.Close()
	data, err := io.ReadAll(io.LimitReader(got.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	var p problem
	if json.Unmarshal(data, &p) != nil || p.Error.Message == "" {
		return nil, fmt.Errorf("%s%s: found status %s, expected the answer of slimlab serve", c.base, path, got.Status)
	}
	return nil, fmt.Errorf("%s%s: %s", c.base, path, p.Error.Message)
}
