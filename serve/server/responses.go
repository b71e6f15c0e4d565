package server

import (
	"encoding/json"
	"net/http"

	"slimlab/internal/jsonread"
)

// responseRequest is the body of /v1/responses. Nothing is kept between two of them.
type responseRequest struct {
	Model        *string                    `json:"model"`
	Input        json.RawMessage            `json:"input"` // a text, or a list of items
	Instructions *string                    `json:"instructions"`
	Tools        json.RawMessage            `json:"tools"`
	ToolChoice   json.RawMessage            `json:"tool_choice"`
	Parallel     *bool                      `json:"parallel_tool_calls"`
	Text         json.RawMessage            `json:"text"`
	MaxTokens    *int                       `json:"max_output_tokens"`
	Temperature  *float64                   `json:"temperature"`
	TopP         *float64                   `json:"top_p"`
	TopLogprobs  *int                       `json:"top_logprobs"`
	Include      []string                   `json:"include"`
	Metadata     json.RawMessage            `json:"metadata"`
	Stream       bool                       `json:"stream"`
	TopK         *int                       `json:"top_k"`
	MinP         *float64                   `json:"min_p"`
	Seed         *int64                     `json:"seed"`
	CacheSalt    string                     `json:"cache_salt"`
	Reuse        *bool                      `json:"reuse"`
	Variables    map[string]json.RawMessage `json:"chat_template_kwargs"`
	settings     settings
	format       json.RawMessage // of Text, as it came
	tools        []responseTool
}

var responseShape = objectOf(jsonread.Keys(jsonread.Read,
	"model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "text", "max_output_tokens", "temperature", "top_p", "top_logprobs",
	"include", "stream", "top_k", "min_p", "seed", "cache_salt", "reuse", "chat_template_kwargs",
).With(identityKeys, jsonread.Table{
	"service_tier":         not("a tier of service", `"auto"`, `"default"`),
	"store":                not("an answer that is kept", "false"),
	"previous_response_id": not("an earlier answer, of which nothing is kept,"),
	"conversation":         not("a conversation that is kept"),
	"background":           not("an answer that is fetched later", "false"),
	"prompt":               not("a prompt that is kept"),
	"reasoning":            {Use: jsonread.Read},
	"max_tool_calls":       not("a bound of the calls of built-in tools"),
	"truncation":           not("an input that is cut off", `"disabled"`),
	"stream_options":       {Use: jsonread.Read},
	"moderation":           not("a moderation"),
	"context_management":   not("an input that is made shorter", "[]"),
}), identityMembers).with(nil, map[string]*shape{
	"input": {each: &shape{words: "an item", kinds: "{", choose: itemShape}}, "tools": listOf(&shape{words: "an object", kinds: "{", choose: responseToolShape}),
	"tool_choice": {choose: flatChoiceShape}, "include": listOf(aText), "reasoning": {words: "an object", kinds: "{", keys: reasoningKeys},
	"stream_options":       {words: "an object", kinds: "{", keys: jsonread.Table{"include_obfuscation": not("an obfuscated stream", "false")}},
	"chat_template_kwargs": variablesShape, "text": textShape,
})

// responseTool is a function as /v1/responses has it.
type responseTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description *string         `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      *bool           `json:"strict"`
}

var responseToolKeys = jsonread.Keys(jsonread.Read, "type", "name", "description", "parameters", "strict").With(jsonread.Table{
	"defer_loading":   {Use: jsonread.Refused, Reason: "a tool that is loaded later"},
	"allowed_callers": {Use: jsonread.Refused, Reason: "a tool that others call"},
	"output_schema":   {Use: jsonread.Refused, Reason: "a form of a tool's results"},
})

var responseFunctionShape = objectOf(responseToolKeys, nil)

// responseToolShape is the shape of a tool; one that is no function is refused by its type.
func responseToolShape(members map[string]json.RawMessage) *shape {
	if string(members["type"]) != `"function"` {
		return &shape{}
	}
	return responseFunctionShape
}

// reasoningKeys ask for what a model without a part of its own for reasoning does not have.
var reasoningKeys = jsonread.Table{
	"effort": not("an amount of reasoning"), "summary": not("a summary of reasoning"), "generate_summary": not("a summary of reasoning"),
}

// textShape is the shape of what form the answer has.
var textShape = &shape{words: "an object", kinds: "{", keys: jsonread.Keys(jsonread.Read, "format").With(jsonread.Table{
	"verbosity": not("an amount of words", `"medium"`),
}), members: map[string]*shape{"format": {words: "an object", kinds: "{", keys: jsonread.Keys(jsonread.Read, "type", "name", "description", "schema", "strict")}}}

// elements reads a list, null for none.
func elements(param string, raw json.RawMessage) (list []json.RawMessage, err error) {
	if isNull(raw) {
		return nil, nil
	}
	if err := jsonread.Decode(raw, &list); err != nil {
		return nil, unreadable(param, err)
	}
	return list, nil
}

// readTools reads the tools and which of them the model may call, or must. It returns them as
// templates read them, nil for none that may be called.
func (q *responseRequest) readTools() (json.RawMessage, error) {
	list, err := elements("tools", q.Tools)
	if err != nil {
		return nil, err
	}
	var tools []tool
	var forTemplate []map[string]any
	q.tools = []responseTool{}
	for i, raw := range list {
		path := at("tools", i)
		var t responseTool
		var kind struct {
			Type *string `json:"type"`
		}
		if err := jsonread.Decode(raw, &kind); err != nil {
			return nil, unreadable(path, err)
		}
		if kind.Type == nil || *kind.Type != "function" {
			return nil, refuse(path+".type", "found %s, expected function", quoted(kind.Type)).coded("unsupported_parameter")
		}
		if err := jsonread.Decode(raw, &t); err != nil {
			return nil, unreadable(path, err)
		}
		if isNull(jsonread.Members(raw)["name"]) {
			return nil, refuse(path+".name", "found none, expected a name")
		}
		one := tool{path, t.Name, t.Parameters, t.Strict != nil && *t.Strict}
		if err := one.check(tools); err != nil {
			return nil, err
		}
		function := map[string]any{"name": t.Name}
		if t.Description != nil {
			function["description"] = *t.Description
		}
		if !isNull(t.Parameters) {
			function["parameters"] = t.Parameters
		}
		tools, q.tools = append(tools, one), append(q.tools, t)
		forTemplate = append(forTemplate, map[string]any{"type": "function", "function": function})
	}
	if q.settings.calls, err = planCalls(tools, q.ToolChoice, q.Parallel, true); err != nil || q.settings.calls == nil {
		return nil, err
	}
	return json.Marshal(forTemplate)
}

// readText reads what form the answer has.
func (q *responseRequest) readText() error {
	q.format = json.RawMessage(`{"type":"text"}`)
	if isNull(q.Text) {
		return nil
	}
	format := jsonread.Members(q.Text)["format"]
	if isNull(format) {
		return nil
	}
	var f struct {
		Type   string          `json:"type"`
		Name   string          `json:"name"`
		Schema json.RawMessage `json:"schema"`
	}
	if err := jsonread.Decode(format, &f); err != nil {
		return unreadable("text.format", err)
	}
	switch {
	case f.Type == "":
		return refuse("text.format.type", "found none, expected text, json_object or json_schema")
	case f.Type == "json_schema" && f.Name == "":
		return refuse("text.format.name", "found none, expected a name")
	}
	q.format = format
	if f.Type != "text" {
		q.settings.wanted = &wantedForm{"text.format", f.Type, "text.format.schema", f.Schema}
	}
	return nil
}

// readLogprobs reads whether log-probabilities are asked for.
func (q *responseRequest) readLogprobs() error {
	p := &q.settings
	p.logprobs = -1
	for i, name := range q.Include {
		if name != includeLogprobs {
			return refuse(at("include", i), "found %q, expected %s", name, includeLogprobs).coded("unsupported_parameter")
		}
		p.logprobs = 0
	}
	if q.TopLogprobs == nil || *q.TopLogprobs == 0 {
		return nil
	}
	if p.logprobs < 0 {
		return refuse("top_logprobs", "found %d without them, expected %q in include beside it", *q.TopLogprobs, includeLogprobs)
	}
	p.logprobs = *q.TopLogprobs
	return checkLogprobs("top_logprobs", p.logprobs)
}

const includeLogprobs = "message.output_text.logprobs"

// readMetadata checks what is sent back as it came.
func (q *responseRequest) readMetadata() error {
	if isNull(q.Metadata) {
		q.Metadata = json.RawMessage("{}")
		return nil
	}
	if err := jsonread.Decode(q.Metadata, new(map[string]string)); err != nil {
		return unreadable("metadata", err)
	}
	return nil
}

// Items of an input. What is beside their types says nothing to a model.
var (
	itemKeys         = jsonread.Keys(jsonread.Harmless, "id", "status")
	messageItemShape = itemOf(jsonread.Keys(jsonread.Read, "type", "role", "content").With(jsonread.Keys(jsonread.Harmless, "phase")), map[string]*shape{"content": partsShape})
	callItemShape    = itemOf(jsonread.Keys(jsonread.Read, "type", "call_id", "name", "arguments"), map[string]*shape{})
	resultItemShape  = itemOf(jsonread.Keys(jsonread.Read, "type", "call_id", "name", "output"), map[string]*shape{"output": partsShape})
)

// itemOf is the shape of an item, which may be one of an earlier response.
func itemOf(keys jsonread.Table, members map[string]*shape) *shape {
	return objectOf(keys.With(itemKeys), members).with(nil, map[string]*shape{
		"id": aText, "status": {words: "a string", among: []string{`"in_progress"`, `"completed"`, `"incomplete"`}},
	})
}

// itemShape is the shape of an item by its type; another type than these is refused by its reader.
func itemShape(members map[string]json.RawMessage) *shape {
	switch kind := members["type"]; {
	case isNull(kind) || string(kind) == `"message"`:
		return messageItemShape
	case string(kind) == `"function_call"`:
		return callItemShape
	case string(kind) == `"function_call_output"`:
		return resultItemShape
	}
	return &shape{}
}

// messages reads the instructions and the input as a conversation.
func (q *responseRequest) messages() ([]written, error) {
	c := conversation{called: map[string]string{}, result: map[string]string{}}
	if q.Instructions != nil {
		c.messages = append(c.messages, written{Role: "system", Content: *q.Instructions})
	}
	const param = "input"
	switch {
	case isNull(q.Input):
		return nil, refuse(param, "found none, expected a text or a list of items")
	case q.Input[0] == '"':
		var text string
		if err := jsonread.Decode(q.Input, &text); err != nil {
			return nil, unreadable(param, err)
		}
		c.messages = append(c.messages, written{Role: "user", Content: text})
		return c.messages, nil
	case q.Input[0] != '[':
		return nil, refuse(param, "found %s, expected a text or a list of items", jsonread.Clip(q.Input))
	}
	items, err := elements(param, q.Input)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, refuse(param, "found an empty list, expected at least one item")
	}
	for i, item := range items {
		if err := c.add(at(param, i), item); err != nil {
			return nil, err
		}
	}
	return c.messages, nil
}

// conversation is what items say.
type conversation struct {
	messages       []written
	called, result map[string]string // by the call_id, the paths of calls and of their results
}

func (c *conversation) add(path string, item json.RawMessage) error {
	var kind struct{ Type string }
	if err := jsonread.Decode(item, &kind); err != nil {
		return unreadable(path, err)
	}
	switch kind.Type {
	case "", "message":
		return c.addMessage(path, item)
	case "function_call":
		return c.addCall(path, item)
	case "function_call_output":
		return c.addResult(path, item)
	}
	return refuse(path+".type", "found %q, expected message, function_call or function_call_output", kind.Type).coded("unsupported_parameter")
}

func (c *conversation) addMessage(path string, item json.RawMessage) error {
	var read struct { // an item has no other key of a message in a chat
		Role    *string         `json:"role"`
		Content json.RawMessage `json:"content"`
	}
	if err := jsonread.Decode(item, &read); err != nil {
		return unreadable(path, err)
	}
	m, err := (&message{Role: read.Role, Content: read.Content}).write(path, itemParts)
	if err != nil {
		return err
	}
	if m.Role == "tool" {
		return refuse(path+".role", `found "tool", expected an item of type function_call_output`)
	}
	c.messages = append(c.messages, m)
	return nil
}

// addCall adds a call to the assistant's message that it follows: both were one answer.
func (c *conversation) addCall(path string, item json.RawMessage) error {
	var call struct {
		ID        string `json:"call_id"`
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
	if err := jsonread.Decode(item, &call); err != nil {
		return unreadable(path, err)
	}
	switch {
	case call.ID == "":
		return refuse(path+".call_id", "found none, expected the id of the call")
	case call.Name == "":
		return refuse(path+".name", "found none, expected the name of a function")
	case c.called[call.ID] != "":
		return duplicated(path+".call_id", call.ID, c.called[call.ID])
	}
	one, err := newWrittenCall(path+".arguments", call.ID, call.Name, call.Arguments)
	if err != nil {
		return err
	}
	if len(c.messages) == 0 || c.messages[len(c.messages)-1].Role != "assistant" {
		c.messages = append(c.messages, written{Role: "assistant"})
	}
	last := &c.messages[len(c.messages)-1]
	last.ToolCalls = append(last.ToolCalls, one)
	c.called[call.ID] = path
	return nil
}

func (c *conversation) addResult(path string, item json.RawMessage) error {
	var result struct {
		ID     string          `json:"call_id"`
		Name   string          `json:"name"`
		Output json.RawMessage `json:"output"`
	}
	if err := jsonread.Decode(item, &result); err != nil {
		return unreadable(path, err)
	}
	switch {
	case result.ID == "":
		return refuse(path+".call_id", "found none, expected the call_id of a function_call before it")
	case c.called[result.ID] == "":
		return refuse(path+".call_id", "found %q, expected the call_id of a function_call before it", result.ID)
	case c.result[result.ID] != "":
		return duplicated(path+".call_id", result.ID, c.result[result.ID])
	}
	c.result[result.ID] = path
	if isNull(result.Output) {
		return refuse(path+".output", "found none, expected a text")
	}
	text, err := contentText(path+".output", result.Output, itemParts("tool"))
	if err != nil {
		return err
	}
	c.messages = append(c.messages, written{Role: "tool", Content: text, Name: result.Name, ToolCallID: result.ID})
	return nil
}

// responses answers a request of OpenAI's Responses API.
func (s *Server) responses(x *exchange) error {
	var q responseRequest
	if err := x.read(&q, responseShape); err != nil {
		return err
	}
	if err := s.checkModel(q.Model); err != nil {
		return err
	}
	q.settings = settings{Temperature: q.Temperature, TopP: q.TopP, TopK: q.TopK, MinP: q.MinP, Seed: q.Seed, CacheSalt: q.CacheSalt, Reuse: q.Reuse, leastTokens: 1, prompt: "input"}
	for _, read := range []func() error{func() error { return q.settings.check(s.options.Limits) }, q.readText, q.readLogprobs, q.readMetadata} {
		if err := read(); err != nil {
			return err
		}
	}
	tools, err := q.readTools()
	if err != nil {
		return err
	}
	messages, err := q.messages()
	if err != nil {
		return err
	}
	prompt, err := s.renderMessages("input", messages, tools, q.Variables)
	if err != nil {
		return err
	}
	asks, err := s.asks(x.r.Context(), &q.settings, [][]int32{prompt}, "max_output_tokens", q.MaxTokens, 0)
	if err != nil {
		return err
	}
	s.metrics.asked(1, asks)
	return x.respond(&q, asks)
}

func (x *exchange) respond(q *responseRequest, asks []*ask) error {
	w := &responseWriter{server: x.server, body: q.response(x), turn: newTurn(&q.settings, asks[0]), logprobs: q.settings.logprobs >= 0}
	var out *stream
	if q.Stream {
		out = x.stream()
		w.send = func(e responseEvent) error { return out.named(e.Type, e) }
	}
	total, err := x.answer(asks, w.take)
	if err == nil {
		w.body.Usage = x.server.responseUsage(total, q.Reuse == nil || *q.Reuse)
		err = w.end()
	}
	switch {
	case !q.Stream && err != nil:
		return err
	case !q.Stream:
		return x.write(http.StatusOK, w.body)
	case err == nil || x.status == 0 || x.r.Context().Err() != nil:
		return err
	}
	p := problemOf(err)
	x.note("error", p.Message)
	return w.fail(p)
}
