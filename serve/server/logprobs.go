package server

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"slimlab/serve"
)

// mostLogprobs bounds the alternatives beside a token, as OpenAI does.
const mostLogprobs = 20

// heard is a token of an answer and where it stands.
type heard struct {
	serve.Token
	offset int // characters of the text before it
}

// leastLogprob stands for the log-probability of what cannot come, since JSON has no infinity.
const leastLogprob = -9999

func finite(logP float32) float32 { return max(logP, leastLogprob) }

// tokenText is the text of a token for JSON. One that holds a part of a character has U+FFFD there;
// its bytes are beside it.
func (s *Server) tokenText(id int32) string {
	return strings.ToValidUTF8(s.model.Tokenizer.Text(id), "\uFFFD")
}

// completionLogprobs is the form of /v1/completions.
type completionLogprobs struct {
	Tokens        []string      `json:"tokens"`
	TokenLogprobs []*float32    `json:"token_logprobs"`
	TopLogprobs   []topLogprobs `json:"top_logprobs"`
	TextOffset    []int         `json:"text_offset"`
}

// topLogprobs is null, or an object of log-probabilities by the texts of tokens, the likeliest
// first.
type topLogprobs []topLogprob

type topLogprob struct {
	text string
	logP float32
}

// add appends a token that is not likelier than those before it. Of those with one text the
// likeliest stays.
func (l *topLogprobs) add(text string, logP float32) {
	if !slices.ContainsFunc(*l, func(p topLogprob) bool { return p.text == text }) {
		*l = append(*l, topLogprob{text, logP})
	}
}

// MarshalJSON keeps the order, which a map would not.
func (l topLogprobs) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("null"), nil
	}
	out := []byte{'{'}
	for i, one := range l {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := json.Marshal(one.text)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(one.logP)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}'), nil
}

func newCompletionLogprobs() *completionLogprobs {
	return &completionLogprobs{Tokens: []string{}, TokenLogprobs: []*float32{}, TopLogprobs: []topLogprobs{}, TextOffset: []int{}}
}

func (l *completionLogprobs) add(token string, logP *float32, top topLogprobs, offset int) {
	l.Tokens, l.TokenLogprobs = append(l.Tokens, token), append(l.TokenLogprobs, logP)
	l.TopLogprobs, l.TextOffset = append(l.TopLogprobs, top), append(l.TextOffset, offset)
}

// completionLogprobs adds tokens to a list, which may be nil.
func (s *Server) completionLogprobs(list *completionLogprobs, tokens []heard) *completionLogprobs {
	if list == nil {
		list = newCompletionLogprobs()
	}
	for _, t := range tokens {
		top := topLogprobs{}
		for _, a := range t.Top {
			top.add(s.tokenText(a.ID), finite(a.LogP))
		}
		logP := finite(t.LogP)
		list.add(s.tokenText(t.ID), &logP, top, t.offset)
	}
	return list
}

// chatLogprobs is the form of /v1/chat/completions.
type chatLogprobs struct {
	Content []chatLogprob `json:"content"`
	Refusal []chatLogprob `json:"refusal"`
}

type chatLogprob struct {
	tokenLogprob
	Top []tokenLogprob `json:"top_logprobs"`
}

type tokenLogprob struct {
	Token   string  `json:"token"`
	Logprob float32 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

func (s *Server) tokenLogprob(id int32, logP float32) tokenLogprob {
	out := tokenLogprob{Token: s.tokenText(id), Logprob: finite(logP), Bytes: []int{}}
	for _, b := range []byte(s.model.Tokenizer.Text(id)) {
		out.Bytes = append(out.Bytes, int(b))
	}
	return out
}

// chatLogprobs adds tokens to a list, which may be nil.
func (s *Server) chatLogprobs(list *chatLogprobs, tokens []heard) *chatLogprobs {
	if list == nil {
		list = &chatLogprobs{Content: []chatLogprob{}}
	}
	for _, t := range tokens {
		one := chatLogprob{s.tokenLogprob(t.ID, t.LogP), []tokenLogprob{}}
		for _, a := range t.Top {
			one.Top = append(one.Top, s.tokenLogprob(a.ID, a.LogP))
		}
		list.Content = append(list.Content, one)
	}
	return list
}

// checkLogprobs refuses a number of alternatives that is out of range.
func checkLogprobs(param string, n int) error {
	if n < 0 {
		return refuse(param, "found %d, expected 0 to %d", n, mostLogprobs)
	}
	if n > mostLogprobs {
		return overLimit(param, "alternatives", n, mostLogprobs)
	}
	return nil
}

func characters(text string) int { return utf8.RuneCountInString(text) }
