package server

import (
	"encoding/json"
	"net/http"
	"strings"

	"slimlab/internal/jsonread"
)

// usualCompletion is the tokens of a completion whose request says nothing, as OpenAI's.
const usualCompletion = 16

type completionRequest struct {
	settings
	promptRequest
	Prompt    json.RawMessage `json:"prompt"`
	MaxTokens *int            `json:"max_tokens"`
	Echo      bool            `json:"echo"`
	Logprobs  *int            `json:"logprobs"`
}

var completionShape = settingsShape.with(
	jsonread.Keys(jsonread.Read, "prompt", "max_tokens", "echo", "logprobs", "prompt_logprobs", "prompt_logprob_token_ids", "prompt_logits").With(jsonread.Table{
		"suffix":             not("a text to follow the answer", `""`),
		"add_special_tokens": not("a prompt without what the tokenizer puts before every text", "true"),
		"prompt_embeds":      not("a prompt that is not text"),
	}),
	map[string]*shape{"prompt": oneOrMore, "prompt_logprob_token_ids": listOf(&shape{words: "a list of tokens", each: aWhole}), "prompt_logits": tokens},
)

type completion struct {
	ID      string             `json:"id"`
	Object  string             `json:"object"`
	Created int64              `json:"created"`
	Model   string             `json:"model"`
	Choices []completionChoice `json:"choices"`
	Usage   *usage             `json:"usage,omitempty"`
}

type completionChoice struct {
	Index        int                 `json:"index"`
	Text         string              `json:"text"`
	Logprobs     *completionLogprobs `json:"logprobs"`
	FinishReason *string             `json:"finish_reason"`
	Prompt       []placeLogprobs     `json:"prompt_logprobs,omitempty"`
	Rows         []wholeRow          `json:"prompt_logits,omitempty"`
}

func (s *Server) completions(x *exchange) error {
	var q completionRequest
	if err := x.read(&q, completionShape); err != nil {
		return err
	}
	if err := s.checkModel(q.Model); err != nil {
		return err
	}
	if err := q.settings.check(s.options.Limits); err != nil {
		return err
	}
	if err := q.readLogprobs(); err != nil {
		return err
	}
	q.prompt = "prompt"
	prompts, err := s.prompts(q.prompt, q.Prompt, s.options.Limits.Choices)
	if err != nil {
		return err
	}
	if err := q.checkPrompts(s, prompts, q.choices()); err != nil {
		return err
	}
	asks, err := s.asks(x.r.Context(), &q.settings, prompts, "max_tokens", q.MaxTokens, usualCompletion)
	if err != nil {
		return err
	}
	for _, a := range asks {
		if q.promptRequest.any() {
			a.places = make([]place, len(a.request.Prompt))
			a.request.PromptLogP = q.promptRequest.of(a)
		}
		if q.Echo {
			a.characters = characters(s.echo(&q, a))
		}
	}
	s.metrics.asked(q.choices(), asks)
	body := completion{ID: newID("cmpl-"), Object: "text_completion", Created: x.begun.Unix(), Model: s.model.Name}
	if q.Stream {
		return x.streamCompletion(&q, asks, body)
	}
	texts := make([]strings.Builder, len(asks))
	body.Choices = make([]completionChoice, len(asks))
	for i, a := range asks {
		texts[i].WriteString(s.echo(&q, a))
	}
	total, err := x.answer(asks, func(p piece) error {
		texts[p.choice].WriteString(p.text)
		if c := &body.Choices[p.choice]; q.logprobs >= 0 {
			if c.Logprobs == nil {
				c.Logprobs = s.echoLogprobs(&q.promptRequest, asks[p.choice])
			}
			c.Logprobs = s.completionLogprobs(c.Logprobs, p.tokens)
		}
		if p.finish != "" {
			body.Choices[p.choice].FinishReason = &p.finish
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range body.Choices {
		c := &body.Choices[i]
		c.Index, c.Text, c.Prompt = i, texts[i].String(), s.promptLogprobs(&q.promptRequest, asks[i])
		c.Rows = asks[i].rows
	}
	body.Usage = &total
	return x.write(http.StatusOK, body)
}

// readLogprobs reads which log-probabilities are asked for.
func (q *completionRequest) readLogprobs() error {
	q.logprobs, q.echoed = -1, -1
	if q.Logprobs != nil {
		if err := checkLogprobs("logprobs", *q.Logprobs); err != nil {
			return err
		}
		if q.logprobs = *q.Logprobs; q.Echo {
			q.echoed = q.logprobs
		}
	}
	if q.leastTokens = 1; q.promptRequest.any() {
		q.leastTokens = 0
	}
	return q.promptRequest.check(q.Stream)
}

// echo is the prompt's text, where it is asked for before the answer.
func (s *Server) echo(q *completionRequest, a *ask) string {
	if !q.Echo {
		return ""
	}
	return s.model.Tokenizer.DecodeText(a.request.Prompt)
}

func (x *exchange) streamCompletion(q *completionRequest, asks []*ask, body completion) error {
	out, echoed := x.stream(), make([]bool, len(asks))
	total, err := x.answer(asks, func(p piece) error {
		choice := completionChoice{Index: p.choice, Text: p.text}
		if a := asks[p.choice]; !echoed[p.choice] {
			echoed[p.choice] = true
			choice.Text = x.server.echo(q, a) + p.text
			choice.Logprobs = x.server.echoLogprobs(&q.promptRequest, a)
		}
		if q.logprobs >= 0 {
			choice.Logprobs = x.server.completionLogprobs(choice.Logprobs, p.tokens)
		}
		if p.finish != "" {
			choice.FinishReason = &p.finish
		}
		body.Choices = []completionChoice{choice}
		return out.send(body)
	})
	if err != nil {
		return out.fail(err)
	}
	if q.wantsUsage() {
		body.Choices, body.Usage = []completionChoice{}, &total
		if err := out.send(body); err != nil {
			return err
		}
	}
	return out.done()
}
