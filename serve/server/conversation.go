package server

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/model/chat"
)

// Shapes of messages, of their parts and of calls in them.
var (
	messageShape = objectOf(
		jsonread.Keys(jsonread.Read, "role", "content", "refusal", "name", "tool_calls", "tool_call_id").With(jsonread.Keys(jsonread.Harmless, "annotations"), jsonread.Table{
			"audio":         not("a message in sound"),
			"function_call": not("a call by this key, which tool_calls has,"),
		}),
		map[string]*shape{"content": partsShape, "tool_calls": listOf(objectOf(jsonread.Keys(jsonread.Read, "id", "type", "function"), map[string]*shape{
			"id": aText, "type": {words: "a string", among: []string{`"function"`}}, "function": objectOf(jsonread.Keys(jsonread.Read, "name", "arguments"), nil),
		}))},
	)
	partsShape       = listOf(&shape{words: "an object", choose: partShape})
	textPartShape    = partOf("text")
	refusalPartShape = partOf("refusal")

	// variablesShape is that of variables of the chat template, which what the server says of the
	// conversation must not hide.
	variablesShape = &shape{choose: func(members map[string]json.RawMessage) *shape {
		keys := jsonread.Table{}
		for key := range members {
			keys[key] = jsonread.Rule{Use: jsonread.Read}
		}
		for _, key := range []string{"messages", "tools", "documents", "bos_token", "eos_token"} {
			keys[key] = not("a variable that the request or the model has")
		}
		keys["add_generation_prompt"] = not("an answer that is not the assistant's", "true")
		return objectOf(keys, nil)
	}}
)

// partOf is the shape of a part whose words are in a key.
func partOf(words string) *shape {
	return objectOf(jsonread.Keys(jsonread.Read, "type", words).With(jsonread.Keys(jsonread.Harmless, "annotations", "logprobs")), nil)
}

// partShape is the shape of a part by its type; its reader refuses a type that it does not read.
func partShape(members map[string]json.RawMessage) *shape {
	if string(members["type"]) == `"refusal"` {
		return refusalPartShape
	}
	return textPartShape
}

// message is one of a conversation as a client sends it.
type message struct {
	Role       *string           `json:"role"`
	Content    json.RawMessage   `json:"content"` // a string, a list of parts, or null
	Refusal    string            `json:"refusal"` // beside a content of null
	Name       string            `json:"name"`
	ToolCalls  []json.RawMessage `json:"tool_calls"`
	ToolCallID string            `json:"tool_call_id"`
}

// written is a message as templates read it: its content is a text, and the arguments of its calls
// are objects, which clients send as texts.
type written struct {
	Role       string        `json:"role"`
	Content    string        `json:"content"`
	Name       string        `json:"name,omitempty"`
	ToolCalls  []writtenCall `json:"tool_calls,omitempty"`
	ToolCallID string        `json:"tool_call_id,omitempty"`
}

type writtenCall struct {
	ID       string          `json:"id,omitempty"`
	Type     string          `json:"type"`
	Function writtenFunction `json:"function"`
}

type writtenFunction struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

var roles = []string{"system", "developer", "user", "assistant", "tool"}

// render writes a conversation with the model's template and returns its tokens. The model's answer
// is to follow.
func (s *Server) render(raw []json.RawMessage, tools json.RawMessage, variables map[string]json.RawMessage) ([]int32, error) {
	if raw != nil && len(raw) == 0 {
		return nil, refuse("messages", "found an empty list, expected at least one")
	}
	messages := make([]written, len(raw))
	calls := madeCalls{}
	for i, m := range raw {
		var err error
		if messages[i], err = writeMessage(at("messages", i), m); err != nil {
			return nil, err
		}
		if err := calls.next(at("messages", i), &messages[i]); err != nil {
			return nil, err
		}
	}
	return s.renderMessages("messages", messages, tools, variables)
}

// madeCalls are the calls of a chat by their ids: the path of each, and of its result.
type madeCalls map[string]*struct{ call, result string }

// next checks the ids of the calls that a message makes, or of the one whose result it is. A call
// of a later message may have the id of an earlier one, as some models number those of each answer
// anew: a result is that of the last.
func (c madeCalls) next(path string, m *written) error {
	for i, call := range m.ToolCalls {
		within := at(path+".tool_calls", i)
		if before := c[call.ID]; call.ID != "" && before != nil && strings.HasPrefix(before.call, path+".") {
			return duplicated(within+".id", call.ID, before.call)
		}
		c[call.ID] = &struct{ call, result string }{call: within}
	}
	if m.Role != "tool" {
		return nil
	}
	param, id := path+".tool_call_id", m.ToolCallID
	switch of := c[id]; {
	case id == "":
		return refuse(param, "found none, expected the id of the call whose result this is")
	case of == nil:
		return refuse(param, "found %q, expected the id of a call before it", id)
	case of.result != "":
		return duplicated(param, id, of.result)
	default:
		of.result = path
	}
	return nil
}

// duplicated is the problem of an id that another call or result has.
func duplicated(param, id, by string) *problem {
	return refuse(param, "found %q, which %s has, expected another", id, by).coded("invalid_value")
}

// renderMessages is render for messages that were read from a field of the request.
func (s *Server) renderMessages(param string, messages []written, tools json.RawMessage, variables map[string]json.RawMessage) ([]int32, error) {
	if s.model.Template == nil {
		return nil, refuse(param, "%s: use /v1/completions", s.model.NoTemplate).coded("no_chat_template")
	}
	if len(messages) == 0 {
		return nil, refuse(param, "found none, expected at least one")
	}
	list, err := json.Marshal(messages)
	if err != nil {
		return nil, err
	}
	text, err := s.model.Template.Render(chat.Conversation{Messages: list, Tools: tools, Variables: variables, AddGenerationPrompt: true, Now: s.options.Now()})
	if err != nil {
		return nil, refuse(param, "%v", err)
	}
	ids, err := s.tokens(param, text, false)
	if err == nil && len(ids) == 0 {
		err = refuse(param, "the chat template writes nothing for them, expected a text")
	}
	return ids, err
}

func writeMessage(path string, raw json.RawMessage) (written, error) {
	var m message
	if err := jsonread.Decode(raw, &m); err != nil {
		return written{}, unreadable(path, err)
	}
	return m.write(path, chatParts)
}

// write reads a message whose parts are of the types of an interface.
func (m *message) write(path string, parts func(role string) partKinds) (written, error) {
	if m.Role == nil || !slices.Contains(roles, *m.Role) {
		return written{}, refuse(path+".role", "found %s, expected one of %s", quoted(m.Role), strings.Join(roles, ", "))
	}
	out := written{Role: *m.Role, Name: m.Name, ToolCallID: m.ToolCallID}
	if *m.Role == "developer" {
		out.Role = "system" // its newer name, which templates do not know
	}
	var err error
	if out.Content, err = contentText(path+".content", m.Content, parts(*m.Role)); err != nil {
		return written{}, err
	}
	switch {
	case m.Refusal != "" && *m.Role != "assistant":
		return written{}, refuse(path+".refusal", "found one of the %s, expected it of the assistant alone", *m.Role)
	case m.Refusal != "" && out.Content != "":
		return written{}, refuse(path+".refusal", "found it beside a content, expected one of the two")
	case m.Refusal != "":
		out.Content = m.Refusal
	case len(m.ToolCalls) == 0 && isNull(m.Content):
		return written{}, refuse(path+".content", "found none, expected a text")
	}
	for i, raw := range m.ToolCalls {
		call, err := writeCall(at(path+".tool_calls", i), raw)
		if err != nil {
			return written{}, err
		}
		out.ToolCalls = append(out.ToolCalls, call)
	}
	return out, nil
}

// writeCall reads a call of an earlier answer.
func writeCall(path string, raw json.RawMessage) (writtenCall, error) {
	var call struct {
		ID       string `json:"id"`
		Function struct {
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		} `json:"function"`
	}
	if err := jsonread.Decode(raw, &call); err != nil {
		return writtenCall{}, unreadable(path, err)
	}
	if call.Function.Name == "" {
		return writtenCall{}, refuse(path+".function.name", "found none, expected the name of a function")
	}
	return newWrittenCall(path+".function.arguments", call.ID, call.Function.Name, call.Function.Arguments)
}

// newWrittenCall is a call whose arguments were sent as a text.
func newWrittenCall(param, id, name, text string) (writtenCall, error) {
	arguments := json.RawMessage(text)
	if text == "" {
		arguments = json.RawMessage("{}")
	}
	if !json.Valid(arguments) {
		return writtenCall{}, refuse(param, "found %s, expected JSON: a call that was cut off has no result, leave it out", jsonread.Clip(arguments))
	}
	return writtenCall{id, "function", writtenFunction{name, arguments}}, nil
}

// partKinds are the types that parts of a content may have, and of whom they are, for errors.
type partKinds struct {
	types []string
	whose string
}

// chatParts are the parts of a message of a chat, itemParts those of one of /v1/responses, which
// tells what the model has said from what it was told.
func chatParts(role string) partKinds {
	if role == "assistant" {
		return partKinds{[]string{"text", "refusal"}, "the assistant"}
	}
	return partKinds{[]string{"text"}, "the " + role}
}

func itemParts(role string) partKinds {
	if role == "assistant" {
		return partKinds{[]string{"output_text", "refusal"}, "the assistant"}
	}
	return partKinds{[]string{"input_text"}, "the " + role}
}

// contentText is the text of a content: a string, or a list of parts that are all text, or a
// refusal, whose words are its text.
func contentText(path string, raw json.RawMessage, kinds partKinds) (text string, err error) {
	if isNull(raw) {
		return "", nil
	}
	if raw[0] != '[' {
		if err := jsonread.Decode(raw, &text); err != nil {
			return "", unreadable(path, err)
		}
		return text, nil
	}
	var parts []struct {
		Type    *string         `json:"type"`
		Text    json.RawMessage `json:"text"`
		Refusal json.RawMessage `json:"refusal"`
	}
	if err := jsonread.Decode(raw, &parts); err != nil {
		return "", unreadable(path, err)
	}
	var b strings.Builder
	for i, p := range parts {
		key, words := "text", p.Text
		if p.Type == nil || !slices.Contains(kinds.types, *p.Type) {
			return "", refuse(at(path, i)+".type", "found %s, expected %s in a content of %s: this model reads nothing but text", quoted(p.Type), strings.Join(kinds.types, " or "), kinds.whose).coded("invalid_value")
		}
		if *p.Type == "refusal" {
			key, words = "refusal", p.Refusal
		}
		if isNull(words) {
			return "", refuse(at(path, i)+"."+key, "found none, expected a text")
		}
		if err := jsonread.Decode(words, &text); err != nil {
			return "", unreadable(at(path, i)+"."+key, err)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// quoted is a text for an error, none where there is none.
func quoted(text *string) string {
	if text == nil {
		return "none"
	}
	return strconv.Quote(*text)
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
