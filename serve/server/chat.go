package server

import (
	"encoding/json"
	"net/http"
	"strings"

	"slimlab/internal/jsonread"
)

type chatRequest struct {
	settings
	Messages            []json.RawMessage          `json:"messages"`
	MaxTokens           *int                       `json:"max_tokens"`
	MaxCompletionTokens *int                       `json:"max_completion_tokens"`
	Tools               json.RawMessage            `json:"tools"`
	ToolChoice          json.RawMessage            `json:"tool_choice"`
	Logprobs            *bool                      `json:"logprobs"`
	TopLogprobs         *int                       `json:"top_logprobs"`
	ParallelToolCalls   *bool                      `json:"parallel_tool_calls"`
	TemplateVariables   map[string]json.RawMessage `json:"chat_template_kwargs"`
}

var chatShape = settingsShape.with(
	jsonread.Keys(jsonread.Read, "messages", "max_tokens", "max_completion_tokens", "tools", "tool_choice", "parallel_tool_calls", "chat_template_kwargs", "logprobs", "top_logprobs").With(jsonread.Table{
		"prompt_logprobs":          not("a list of the prompt's log-probabilities, which /v1/completions gives,"),
		"prompt_logprob_token_ids": not("a list of the prompt's log-probabilities, which /v1/completions gives,"),
		"prompt_logits":            not("a list of the prompt's logits, which /v1/completions gives,"),
		"functions":                not("a list of functions, which tools replaces,"),
		"function_call":            not("a choice of functions, which tool_choice replaces,", `"none"`),
		"audio":                    not("an answer in sound"),
		"modalities":               not("an answer that is not text", `["text"]`),
		"prediction":               not("a predicted answer"),
		"web_search_options":       not("a search of the web"),
		"reasoning_effort":         not("an amount of reasoning"),
		"verbosity":                not("an amount of words", `"medium"`),
		"store":                    not("an answer that is kept", "false"),
		"moderation":               not("a moderation"),
		"echo":                     not("an answer that begins with the prompt's text", "false"),
		"add_generation_prompt":    not("an answer that is not the assistant's", "true"),
		"continue_final_message":   not("an answer that goes on with the last message", "false"),
		"add_special_tokens":       not("a prompt with more than the chat template writes", "false"),
		"chat_template":            not("another chat template"),
		"documents":                not("a list of documents", "[]"),
	}),
	map[string]*shape{"messages": listOf(messageShape), "tools": listOf(toolShape), "tool_choice": {choose: choiceShape}, "chat_template_kwargs": variablesShape},
)

type chatCompletion struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"`
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Choices []chatChoice `json:"choices"`
	Usage   *usage       `json:"usage,omitempty"`
}

type chatChoice struct {
	Index        int           `json:"index"`
	Message      *chatMessage  `json:"message,omitempty"` // of a whole answer
	Delta        *chatDelta    `json:"delta,omitempty"`   // of a stream
	Logprobs     *chatLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
}

type chatMessage struct {
	Role      string     `json:"role"`
	Content   *string    `json:"content"` // null beside calls
	Refusal   *string    `json:"refusal"`
	ToolCalls []chatCall `json:"tool_calls,omitempty"`
}

type chatDelta struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	ToolCalls []chatCall `json:"tool_calls,omitempty"`
}

type chatCall struct {
	Index    *int         `json:"index,omitempty"` // in a stream
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function chatFunction `json:"function"`
}

type chatFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

func (s *Server) chat(x *exchange) error {
	var q chatRequest
	if err := x.read(&q, chatShape); err != nil {
		return err
	}
	if err := s.checkModel(q.Model); err != nil {
		return err
	}
	if err := q.check(s.options.Limits); err != nil {
		return err
	}
	if err := q.readTools(); err != nil {
		return err
	}
	if err := q.readLogprobs(); err != nil {
		return err
	}
	prompt, err := s.render(q.Messages, q.Tools, q.TemplateVariables)
	if err != nil {
		return err
	}
	most, param := q.MaxCompletionTokens, "max_completion_tokens"
	switch {
	case most == nil:
		most, param = q.MaxTokens, "max_tokens"
	case q.MaxTokens != nil && *q.MaxTokens != *most:
		return refuse("max_tokens", "found %d beside %s %d, of which it is the older name, expected one of both", *q.MaxTokens, param, *most)
	}
	q.leastTokens, q.prompt = 1, "messages"
	asks, err := s.asks(x.r.Context(), &q.settings, [][]int32{prompt}, param, most, 0)
	if err != nil {
		return err
	}
	s.metrics.asked(q.choices(), asks)
	body := chatCompletion{ID: newID("chatcmpl-"), Object: "chat.completion", Created: x.begun.Unix(), Model: s.model.Name}
	if q.Stream {
		return x.streamChat(&q, asks, body)
	}
	turns := newTurns(&q.settings, asks)
	logprobs := make([]*chatLogprobs, len(asks))
	total, err := x.answer(asks, func(p piece) error {
		turns[p.choice].take(p)
		if q.logprobs >= 0 {
			logprobs[p.choice] = s.chatLogprobs(logprobs[p.choice], p.tokens)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, t := range turns {
		body.Choices = append(body.Choices, chatChoice{Index: i, Message: t.message(), Logprobs: logprobs[i], FinishReason: &t.finish})
	}
	body.Usage = &total
	return x.write(http.StatusOK, body)
}

// readLogprobs reads whether log-probabilities are asked for.
func (q *chatRequest) readLogprobs() error {
	q.logprobs = -1
	if asked := q.Logprobs != nil && *q.Logprobs; asked {
		q.logprobs = 0
	}
	if q.TopLogprobs == nil {
		return nil
	}
	if q.logprobs < 0 && *q.TopLogprobs != 0 {
		return refuse("top_logprobs", "found %d without logprobs, expected logprobs: true beside it", *q.TopLogprobs)
	}
	if q.logprobs == 0 {
		q.logprobs = *q.TopLogprobs
	}
	return checkLogprobs("top_logprobs", *q.TopLogprobs)
}

// readTools reads the tools and which of them the model may call, or must.
func (q *chatRequest) readTools() error {
	tools, err := readTools(q.Tools)
	if err != nil {
		return err
	}
	if q.calls, err = planCalls(tools, q.ToolChoice, q.ParallelToolCalls, false); q.calls == nil {
		q.Tools = nil
	}
	return err
}

// turn is one answer of a chat as it comes: text, and calls where tools are offered.
type turn struct {
	ask    *ask
	reader *callReader // nil without tools
	single bool        // one call ends the answer

	content strings.Builder
	calls   []toolCall
	finish  string
}

func newTurns(p *settings, asks []*ask) []*turn {
	turns := make([]*turn, len(asks))
	for i, a := range asks {
		turns[i] = newTurn(p, a)
	}
	return turns
}

func newTurn(p *settings, a *ask) *turn {
	t := &turn{ask: a}
	if p.calls != nil {
		t.reader, t.single = &callReader{tools: p.calls.names(), must: p.calls.must}, p.calls.single
	}
	return t
}

// take returns what a piece adds to the answer, and keeps it.
func (t *turn) take(p piece) (content string, calls []toolCall) {
	content = p.text
	if t.reader != nil {
		content, calls = t.reader.push(p.text)
		if p.finish != "" {
			rest, more := t.reader.flush(p.finish == finishLength)
			content, calls = content+rest, append(calls, more...)
		}
	}
	if t.single && len(t.calls)+len(calls) > 0 {
		t.ask.enough = true
		calls = calls[:min(len(calls), 1-len(t.calls))]
	}
	t.content.WriteString(content)
	t.calls = append(t.calls, calls...)
	if p.finish != "" {
		t.finish = p.finish
		if p.finish == finishStop && len(t.calls) > 0 {
			t.finish = finishCalls
		}
	}
	return content, calls
}

// finishCalls is why an answer ended that waits for the results of calls.
const finishCalls = "tool_calls"

func (t *turn) message() *chatMessage {
	m := &chatMessage{Role: "assistant"}
	if text := t.content.String(); text != "" || len(t.calls) == 0 {
		m.Content = &text
	}
	for _, c := range t.calls {
		m.ToolCalls = append(m.ToolCalls, newChatCall(c))
	}
	return m
}

func newChatCall(c toolCall) chatCall {
	return chatCall{ID: newID("call_"), Type: "function", Function: chatFunction{c.Name, c.Arguments}}
}

func (x *exchange) streamChat(q *chatRequest, asks []*ask, body chatCompletion) error {
	body.Object = "chat.completion.chunk"
	out, turns, begun := x.stream(), newTurns(&q.settings, asks), make([]bool, len(asks))
	var logprobs *chatLogprobs // of the piece; they go out with its first part
	send := func(index int, delta chatDelta, finish *string) error {
		body.Choices = []chatChoice{{Index: index, Delta: &delta, FinishReason: finish, Logprobs: logprobs}}
		logprobs = nil
		return out.send(body)
	}
	total, err := x.answer(asks, func(p piece) error {
		t := turns[p.choice]
		sent := len(t.calls)
		content, calls := t.take(p)
		if !begun[p.choice] {
			begun[p.choice] = true
			if err := send(p.choice, chatDelta{Role: "assistant", Content: new(string)}, nil); err != nil {
				return err
			}
		}
		if q.logprobs >= 0 && len(p.tokens) > 0 {
			logprobs = x.server.chatLogprobs(nil, p.tokens)
		}
		if content != "" {
			if err := send(p.choice, chatDelta{Content: &content}, nil); err != nil {
				return err
			}
		}
		for i, c := range calls {
			call, index := newChatCall(c), sent+i
			call.Index = &index
			if err := send(p.choice, chatDelta{ToolCalls: []chatCall{call}}, nil); err != nil {
				return err
			}
		}
		if p.finish == "" {
			if logprobs != nil { // of a text that waits for more of it
				return send(p.choice, chatDelta{}, nil)
			}
			return nil
		}
		return send(p.choice, chatDelta{}, &t.finish)
	})
	if err != nil {
		return out.fail(err)
	}
	if q.wantsUsage() {
		body.Choices, body.Usage = []chatChoice{}, &total
		if err := out.send(body); err != nil {
			return err
		}
	}
	return out.done()
}
