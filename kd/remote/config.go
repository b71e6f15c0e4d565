package remote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"slimlab/kd"
)

// Config says where a teacher is. Zero fields mean what their comments say.
type Config struct {
	URL   string // such as http://host:8000/v1; the path of the call may follow
	Model string // its name there
	// KeyVariable is the environment variable with the key; "" is none
	KeyVariable string
	// tokens that the teacher shares with the student, from id 0
	Vocab int
	// the longest sequence that it can read; 0 is without a bound
	Positions int
	// Tokens, if it is not nil, chooses the tokens that an endpoint of GivenTokens is asked about
	// beside the example's own; nil is the whole vocabulary. See MostLikely
	Tokens Choice
	// TopK is how many of its most likely tokens the endpoint is asked for: 0 is 20 with
	// OwnTokens, and none beside given ones
	TopK int
	// Whole asks about every token that is predicted, not about answers alone, for losses over the
	// whole sequence
	Whole bool

	// Check, if it is not nil, is told each token that an answer lists, also one beyond Vocab, and
	// its text where the answer has it (decoded_token, as vLLM writes it). Its error ends the
	// training: the endpoint has other tokens. It is called by several goroutines at a time
	Check func(id int64, text string) error

	// Outage, if it is not nil, is told each time that a request is to be sent again, before the
	// wait, and when none has to be any more. Its calls are one at a time, by several goroutines
	Outage func(Outage)

	Concurrent int           // requests at a time; 0 is 8
	Timeout    time.Duration // of one request; 0 is 2 minutes
	Attempts   int           // of a request; 0 is 6
	MaxAnswer  int64         // bytes of an answer; 0 is 64 MiB

	// Tests set these. Sleep waits, or returns ctx's error; Random is at least 0 and below 1.
	Sleep     func(ctx context.Context, d time.Duration) error
	Now       func() time.Time
	Random    func() float64
	Transport http.RoundTripper
}

// Choice chooses tokens: for each example and each of its tokens ids, of which one may be listed
// more than once; none where nothing is asked.
type Choice func(ctx context.Context, examples []kd.Example) ([][][]int32, error)

// filled has the defaults.
func (c Config) filled() Config {
	fill := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	fill(&c.Concurrent, 8)
	fill(&c.Attempts, 6)
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Minute
	}
	if c.MaxAnswer == 0 {
		c.MaxAnswer = 64 << 20
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	return c
}

func (c *Config) check() error {
	switch {
	case c.Vocab < 2:
		return fmt.Errorf("a vocabulary of %d tokens, expected at least 2", c.Vocab)
	case c.Positions < 0 || c.TopK < 0 || c.Concurrent < 1 || c.Attempts < 1 || c.Timeout < 0 || c.MaxAnswer < 1:
		return fmt.Errorf("positions %d, top-k %d, %d requests at a time, %d attempts, timeout %v, answers of %d bytes: expected none below 0, and at least one request and attempt", c.Positions, c.TopK, c.Concurrent, c.Attempts, c.Timeout, c.MaxAnswer)
	case c.TopK > c.Vocab:
		return fmt.Errorf("top-k %d of a vocabulary of %d tokens", c.TopK, c.Vocab)
	}
	return nil
}

// Validate reports what no endpoint can be asked by, without asking one. The key is not looked at.
func (c Config) Validate() error {
	c = c.filled()
	if err := c.check(); err != nil {
		return err
	}
	_, err := c.call()
	return err
}

// call is the URL of the completions call.
func (c *Config) call() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		var of *url.Error
		if errors.As(err, &of) { // whose text has the URL, which may hold a password
			err = of.Err
		}
		return nil, fmt.Errorf("teacher's URL cannot be read: %w; expected one such as http://host:8000/v1", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("teacher's URL %q, expected one such as http://host:8000/v1", u.Redacted())
	}
	if u.User != nil {
		return nil, fmt.Errorf("teacher's URL %q has a name or a password, which stay in recipes and logs: expected a key in an environment variable", u.Redacted())
	}
	for name := range u.Query() {
		for _, secret := range []string{"key", "token", "secret", "password", "sig"} {
			if strings.Contains(strings.ToLower(name), secret) {
				return nil, fmt.Errorf("teacher's URL has a query with %q, which stays in recipes and logs: expected a key in an environment variable", name)
			}
		}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if !strings.HasSuffix(u.Path, "/completions") {
		u.Path += "/completions"
	}
	return u, nil
}

// key reads the key.
func (c *Config) key() (string, error) {
	if c.KeyVariable == "" {
		return "", nil
	}
	key := strings.TrimSpace(os.Getenv(c.KeyVariable))
	if key == "" {
		return "", fmt.Errorf("the environment variable %s, which is to have the teacher's key, is empty: set it, or leave the setting out", c.KeyVariable)
	}
	return key, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
