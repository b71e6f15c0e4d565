package server

import (
	"encoding/json"
	"time"
)

// response is what /v1/responses answers.
type response struct {
	ID           string             `json:"id"`
	Object       string             `json:"object"`
	Created      int64              `json:"created_at"`
	Completed    *int64             `json:"completed_at"`
	Status       string             `json:"status"`
	Background   bool               `json:"background"`
	Error        *responseError     `json:"error"`
	Incomplete   *incompleteDetails `json:"incomplete_details"`
	Instructions *string            `json:"instructions"`
	MaxTokens    *int               `json:"max_output_tokens"`
	Model        string             `json:"model"`
	Output       []*outputItem      `json:"output"`
	Parallel     bool               `json:"parallel_tool_calls"`
	Previous     *string            `json:"previous_response_id"`
	Store        bool               `json:"store"`
	Temperature  float64            `json:"temperature"`
	TopP         float64            `json:"top_p"`
	TopLogprobs  int                `json:"top_logprobs"`
	Text         map[string]any     `json:"text"`
	ToolChoice   json.RawMessage    `json:"tool_choice"`
	Tools        []responseTool     `json:"tools"`
	Truncation   string             `json:"truncation"`
	Metadata     json.RawMessage    `json:"metadata"`
	Usage        *responseUsage     `json:"usage,omitempty"`
}

type responseError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type incompleteDetails struct {
	Reason string `json:"reason"`
}

// responseUsage counts the tokens of a response.
type responseUsage struct {
	Input        int `json:"input_tokens"`
	InputDetails struct {
		Cached  int `json:"cached_tokens"`
		Written int `json:"cache_write_tokens"`
	} `json:"input_tokens_details"`
	Output        int `json:"output_tokens"`
	OutputDetails struct {
		Reasoning int `json:"reasoning_tokens"` // none is told from the answer
	} `json:"output_tokens_details"`
	Total int `json:"total_tokens"`
}

// responseUsage counts as written what a prompt leaves in the cache and did not find there: whole
// pages.
func (s *Server) responseUsage(u usage, reuse bool) *responseUsage {
	out := &responseUsage{Input: u.PromptTokens, Output: u.CompletionTokens, Total: u.TotalTokens}
	out.InputDetails.Cached = u.PromptTokensDetails.CachedTokens
	if reuse && s.model.Engine.Shares() {
		out.InputDetails.Written = max(0, u.PromptTokens-u.PromptTokens%s.model.Shape.PageSize-out.InputDetails.Cached)
	}
	return out
}

// outputItem is a message of the assistant, or a call.
type outputItem struct {
	Type   string `json:"type"`
	ID     string `json:"id"`
	Status string `json:"status"`

	Role    string       `json:"role,omitempty"`
	Content []outputText `json:"content,omitempty"`

	CallID    string  `json:"call_id,omitempty"`
	Name      string  `json:"name,omitempty"`
	Arguments *string `json:"arguments,omitempty"`
}

// MarshalJSON writes the content of a message where there is none too.
func (o outputItem) MarshalJSON() ([]byte, error) {
	type plain outputItem
	if o.Type != "message" || len(o.Content) > 0 {
		return json.Marshal(plain(o))
	}
	return json.Marshal(struct {
		plain
		Content []outputText `json:"content"`
	}{plain(o), []outputText{}})
}

// outputText is a part of a message.
type outputText struct {
	Type        string        `json:"type"`
	Text        string        `json:"text"`
	Annotations []string      `json:"annotations"` // none
	Logprobs    []chatLogprob `json:"logprobs"`
}

func newOutputText() outputText {
	return outputText{Type: "output_text", Annotations: []string{}, Logprobs: []chatLogprob{}}
}

// States of a response and of its items.
const (
	stateInProgress = "in_progress"
	stateCompleted  = "completed"
	stateIncomplete = "incomplete"
	stateFailed     = "failed"
)

// response is the answer to a request before it begins.
func (q *responseRequest) response(x *exchange) *response {
	r := &response{
		ID: newID("resp_"), Object: "response", Created: x.begun.Unix(), Status: stateInProgress, Instructions: q.Instructions, MaxTokens: q.MaxTokens,
		Model: x.server.model.Name, Output: []*outputItem{}, Parallel: q.Parallel == nil || *q.Parallel, Temperature: 1, TopP: 1, TopLogprobs: max(0, q.settings.logprobs),
		Text: map[string]any{"format": q.format}, ToolChoice: q.ToolChoice, Tools: q.tools, Truncation: "disabled", Metadata: q.Metadata,
	}
	if q.Temperature != nil {
		r.Temperature = *q.Temperature
	}
	if q.TopP != nil {
		r.TopP = *q.TopP
	}
	if isNull(r.ToolChoice) {
		r.ToolChoice = json.RawMessage(`"auto"`)
	}
	return r
}

// responseEvent is one event of a stream. Which fields it has depends on its type.
type responseEvent struct {
	Type     string `json:"type"`
	Sequence int    `json:"sequence_number"`

	Response     *response     `json:"response,omitempty"`
	OutputIndex  *int          `json:"output_index,omitempty"`
	Item         *outputItem   `json:"item,omitempty"`
	ItemID       string        `json:"item_id,omitempty"`
	ContentIndex *int          `json:"content_index,omitempty"`
	Part         *outputText   `json:"part,omitempty"`
	Delta        *string       `json:"delta,omitempty"`
	Text         *string       `json:"text,omitempty"`
	Name         string        `json:"name,omitempty"`
	Arguments    *string       `json:"arguments,omitempty"`
	Logprobs     []chatLogprob `json:"logprobs,omitzero"`
}

// responseWriter makes a response of the pieces of an answer, and the events of a stream.
type responseWriter struct {
	server   *Server
	body     *response
	turn     *turn
	logprobs bool
	send     func(responseEvent) error // nil where nothing is streamed
	sequence int
	heard    []heard // tokens of text that is not said yet
	open     bool    // the last item is a message that goes on
}

func (w *responseWriter) event(kind string, e responseEvent) error {
	if w.send == nil {
		return nil
	}
	e.Type, e.Sequence = kind, w.sequence
	w.sequence++
	return w.send(e)
}

// begin is sent with the first piece: until then an error has a status of its own.
func (w *responseWriter) begin() error {
	if w.sequence > 0 {
		return nil
	}
	if err := w.event("response.created", responseEvent{Response: w.body}); err != nil {
		return err
	}
	return w.event("response.in_progress", responseEvent{Response: w.body})
}

func (w *responseWriter) take(p piece) error {
	if err := w.begin(); err != nil {
		return err
	}
	content, calls := w.turn.take(p)
	w.heard = append(w.heard, p.tokens...)
	if content != "" || p.finish != "" && len(calls) == 0 && len(w.body.Output) == 0 {
		if err := w.say(content); err != nil {
			return err
		}
	}
	for _, c := range calls {
		if err := w.call(c); err != nil {
			return err
		}
	}
	if p.finish == "" {
		return nil
	}
	if w.turn.finish == finishLength {
		w.body.Status, w.body.Incomplete = stateIncomplete, &incompleteDetails{"max_output_tokens"}
	} else {
		w.body.Status = stateCompleted
	}
	return w.close(w.body.Status)
}

// last is the last item, and its index for events.
func (w *responseWriter) last() (*outputItem, *int) {
	at := len(w.body.Output) - 1
	return w.body.Output[at], &at
}

// add begins an item.
func (w *responseWriter) add(item outputItem) error {
	item.Status = stateInProgress
	w.body.Output = append(w.body.Output, &item)
	_, at := w.last()
	return w.event("response.output_item.added", responseEvent{OutputIndex: at, Item: &item})
}

// say adds text to the message that is open, or opens one.
func (w *responseWriter) say(text string) error {
	first := new(int)
	if !w.open {
		w.open = true
		if err := w.add(outputItem{Type: "message", ID: newID("msg_"), Role: "assistant"}); err != nil {
			return err
		}
		item, at := w.last()
		item.Content = []outputText{newOutputText()}
		if err := w.event("response.content_part.added", responseEvent{OutputIndex: at, ItemID: item.ID, ContentIndex: first, Part: &item.Content[0]}); err != nil {
			return err
		}
	}
	item, at := w.last()
	part, logprobs := &item.Content[0], []chatLogprob{}
	if w.logprobs {
		logprobs = append(logprobs, w.server.chatLogprobs(nil, w.heard).Content...)
		part.Logprobs = append(part.Logprobs, logprobs...)
	}
	w.heard = nil
	if part.Text += text; text == "" {
		return nil
	}
	return w.event("response.output_text.delta", responseEvent{OutputIndex: at, ItemID: item.ID, ContentIndex: first, Delta: &text, Logprobs: logprobs})
}

// close ends the message that is open, if there is one.
func (w *responseWriter) close(status string) error {
	if !w.open {
		return nil
	}
	w.open = false
	item, at := w.last()
	item.Status = status
	part, first := &item.Content[0], new(int)
	if err := w.event("response.output_text.done", responseEvent{OutputIndex: at, ItemID: item.ID, ContentIndex: first, Text: &part.Text, Logprobs: part.Logprobs}); err != nil {
		return err
	}
	if err := w.event("response.content_part.done", responseEvent{OutputIndex: at, ItemID: item.ID, ContentIndex: first, Part: part}); err != nil {
		return err
	}
	return w.event("response.output_item.done", responseEvent{OutputIndex: at, Item: item})
}

// call adds a call.
func (w *responseWriter) call(c toolCall) error {
	w.heard = nil // the tokens of the call, which has no text
	if err := w.close(stateCompleted); err != nil {
		return err
	}
	none := ""
	if err := w.add(outputItem{Type: "function_call", ID: newID("fc_"), CallID: newID("call_"), Name: c.Name, Arguments: &none}); err != nil {
		return err
	}
	item, at := w.last()
	if err := w.event("response.function_call_arguments.delta", responseEvent{OutputIndex: at, ItemID: item.ID, Delta: &c.Arguments}); err != nil {
		return err
	}
	item.Arguments, item.Status = &c.Arguments, stateCompleted
	if c.cut {
		item.Status = stateIncomplete
	}
	if err := w.event("response.function_call_arguments.done", responseEvent{OutputIndex: at, ItemID: item.ID, Name: c.Name, Arguments: &c.Arguments}); err != nil {
		return err
	}
	return w.event("response.output_item.done", responseEvent{OutputIndex: at, Item: item})
}

// end is the last event of an answer.
func (w *responseWriter) end() error {
	if w.body.Status == stateCompleted {
		now := time.Now().Unix()
		w.body.Completed = &now
	}
	return w.event("response."+w.body.Status, responseEvent{Response: w.body})
}

// fail ends a stream whose answer does not come to its end.
func (w *responseWriter) fail(p *problem) error {
	w.body.Status, w.body.Error = stateFailed, &responseError{"server_error", p.Message}
	if w.open {
		item, _ := w.last()
		item.Status = stateIncomplete
	}
	return w.event("response.failed", responseEvent{Response: w.body})
}
