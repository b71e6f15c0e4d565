package abtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"slimlab/internal/jsonread"
	"slimlab/internal/visible"
	"slimlab/lab/loadtest"
	"slimlab/serve"
	"slimlab/serve/load"
	"slimlab/serve/load/openai"
)

// Arm is one side of an experiment.
type Arm struct {
	Name  string
	place *loadtest.Place
	// target answers; logP says what log-probability it gives a prompt's reference, in nats a token
	// of one in token ids and nats a byte of a text. It is nil where the arm cannot tell.
	target load.Target
	logP   func(ctx context.Context, p *Prompt) (float64, error)
}

// NewArm is a place as one side. Of a server, url and key are how it is asked for
// log-probabilities.
func NewArm(place *loadtest.Place, url, key string) *Arm {
	a := &Arm{Name: place.Name, place: place, target: place.Target()}
	switch t := a.target.(type) {
	case load.Embedded:
		a.logP = func(ctx context.Context, p *Prompt) (float64, error) { return embeddedLogP(ctx, t, p) }
	case *openai.Target:
		s := &scorer{
			url: strings.TrimSuffix(strings.TrimSuffix(url, "/"), "/v1") + "/v1/completions", key: key, model: t.Model(),
			client: http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		}
		a.logP = s.logP
	}
	return a
}

// simulated reports whether the arm has a clock of its own.
func (a *Arm) simulated() bool { return a.place != nil && a.place.Simulated() }

// embeddedLogP asks an engine of this process, beside its cache of prefixes.
func embeddedLogP(ctx context.Context, t load.Embedded, p *Prompt) (float64, error) {
	prompt, whole, per := p.Request.Prompt, []int32(nil), len(p.Tokens)
	if prompt != nil {
		whole = append(append(whole, prompt...), p.Tokens...)
	} else {
		if p.Request.Messages != nil || t.Encode == nil {
			return 0, errors.New("found no prompt of text or token ids, which a reference could follow")
		}
		var err error
		if prompt, err = t.Encode(load.Request{Text: p.Request.Text}); err != nil {
			return 0, err
		}
		if whole, err = t.Encode(load.Request{Text: p.Request.Text + p.Text}); err != nil {
			return 0, err
		}
		per = len(p.Text)
	}
	from := 0 // the first token that the prompt alone does not have
	for from < min(len(prompt), len(whole)) && prompt[from] == whole[from] {
		from++
	}
	if prompt != nil && p.Request.Prompt != nil {
		from = len(prompt)
	}
	if from = max(from, 1); from >= len(whole) {
		return 0, errors.New("the reference adds no token to the prompt")
	}
	asked := make([]bool, len(whole))
	for i := from; i < len(whole); i++ {
		asked[i] = true
	}
	sum := 0.0
	_, err := t.Engine.Do(ctx, serve.Request{Prompt: whole, NoReuse: true, PromptLogP: &serve.PromptLogP{
		Asked: asked, Each: func(row serve.PromptRow) { sum += row.LogP(row.Token) },
	}})
	return sum / float64(per), err
}

// scorer asks a server for the log-probabilities of a prompt that it repeats (echo).
type scorer struct {
	url, key, model string
	client          http.Client
}

// mostBody bounds what is read of an answer.
const mostBody = 64 << 20

// logP sums the log-probabilities of the tokens that the reference has, of a text also of the one
// in which it begins.
func (s *scorer) logP(ctx context.Context, p *Prompt) (float64, error) {
	var prompt any = p.Request.Text + p.Text
	switch {
	case p.Request.Prompt != nil:
		prompt = append(append([]int32(nil), p.Request.Prompt...), p.Tokens...)
	case p.Request.Text == "":
		return 0, errors.New("found no prompt of text or token ids, which a reference could follow")
	}
	body, err := json.Marshal(map[string]any{"model": s.model, "prompt": prompt, "max_tokens": 1, "temperature": 0, "echo": true, "logprobs": 1})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	if s.key != "" {
		r.Header.Set("Authorization", "Bearer "+s.key)
	}
	response, err := s.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, mostBody+1))
	switch {
	case err != nil:
		return 0, err
	case response.StatusCode != http.StatusOK:
		return 0, fmt.Errorf("status %d: %s", response.StatusCode, visible.Line(strings.ToValidUTF8(string(data[:min(len(data), 200)]), "\uFFFD")))
	case len(data) > mostBody:
		return 0, fmt.Errorf("the answer has more than %d bytes", mostBody)
	}
	return echoed(data, p)
}

// echoed reads the answer to a prompt that is repeated.
func echoed(data []byte, p *Prompt) (float64, error) {
	var said struct {
		Choices []struct {
			Logprobs *struct {
				LogP    []*float64 `json:"token_logprobs"`
				Offsets []int      `json:"text_offset"`
			} `json:"logprobs"`
		} `json:"choices"`
		Usage *struct {
			Prompt int `json:"prompt_tokens"`
		} `json:"usage"`
	}
	if err := jsonread.Decode(data, &said); err != nil {
		return 0, err
	}
	if len(said.Choices) != 1 || said.Choices[0].Logprobs == nil || said.Usage == nil {
		return 0, errors.New("found no log-probabilities of the prompt and its number of tokens, expected those of echo with logprobs")
	}
	l, end := said.Choices[0].Logprobs, said.Usage.Prompt
	from, per := len(p.Request.Prompt), len(p.Tokens)
	if p.Request.Prompt == nil {
		if len(l.Offsets) != len(l.LogP) {
			return 0, fmt.Errorf("found the offsets of %d tokens and log-probabilities of %d, expected as many", len(l.Offsets), len(l.LogP))
		}
		begins := utf8.RuneCountInString(p.Request.Text)
		per = len(p.Text)
		for from < min(end, len(l.Offsets)) && l.Offsets[from] < begins {
			from++
		}
		if from > 0 && (from == len(l.Offsets) || l.Offsets[from] > begins) {
			from-- // a token that has the end of the prompt too
		}
	} else if end != from+per {
		return 0, fmt.Errorf("the server counts %d tokens of a prompt and reference of %d", end, from+per)
	}
	if from = max(from, 1); from >= end || end > len(l.LogP) {
		return 0, fmt.Errorf("found log-probabilities of %d tokens, expected those of the reference at %d to %d", len(l.LogP), from, end)
	}
	sum := 0.0
	for i, logP := range l.LogP[from:end] {
		if logP == nil {
			return 0, fmt.Errorf("found no log-probability of token %d, expected a number", from+i)
		}
		sum += *logP
	}
	return sum / float64(per), nil
}
