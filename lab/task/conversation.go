package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"slimlab/internal/jsonread"
)

// Chat writes a conversation as the text that a model reads.
type Chat interface {
	// Write writes messages, a JSON array, with tools or nil. Where ask is true, the text ends
	// where the assistant's answer begins.
	Write(messages, tools json.RawMessage, ask bool) (string, error)
}

// ErrNoChat is the error of a conversation that there is no template to write with.
var ErrNoChat = errors.New("the file holds conversations, and the model's tokenizer has no chat template to write them with: " +
	"take a model with a chat template, or write each conversation as a prompt and a response")

// shareGPT gives the roles of messages of the form {"from", "value"} the names of chat templates.
var shareGPT = map[string]string{
	"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant", "model": "assistant", "bot": "assistant", "system": "system",
}

// readConversation reads the messages of a record: objects with role and content, or with from and
// value. There must be an answer of the assistant.
func (r *recordReader) readConversation(object map[string]json.RawMessage, name string) (Record, error) {
	raw, ok := object[name]
	if !ok {
		return Record{}, missingField(object, name)
	}
	for _, medium := range []string{"image", "images", "video", "videos", "audio", "audios"} {
		if of := string(object[medium]); of != "" && of != "null" && of != "[]" && of != `""` {
			return Record{}, fmt.Errorf("found %q beside a conversation, expected text alone: take such records out (jq -c 'select(.%s | not)' FILE > OUT)", medium, medium)
		}
	}
	var list []json.RawMessage
	if raw[0] != '[' {
		return Record{}, fmt.Errorf("field %q is %s, expected an array of messages", name, kindOf(raw[0]))
	}
	if err := jsonread.Decode(raw, &list); err != nil {
		return Record{}, fmt.Errorf("field %q: %w", name, err)
	}
	answers := 0
	weights, plain := make([]float32, len(list)), true
	for i := range list {
		message, err := r.readMessage(list[i])
		if err != nil {
			return Record{}, fmt.Errorf("field %q, message %d: %w", name, i, err)
		}
		if list[i] = message.json; message.role == assistant {
			answers++
			weights[i] = message.weight
			plain = plain && message.weight == 1
		}
	}
	if answers == 0 {
		return Record{}, fmt.Errorf("field %q has %d messages and none of the role %q, expected an answer to learn from", name, len(list), assistant)
	}
	record := Record{Messages: joinMessages(list)}
	if !plain {
		record.weighting().messages = weights
	}
	if tools := object["tools"]; len(tools) > 0 && tools[0] == '[' {
		record.Tools = tools
	}
	return record, nil
}

const assistant = "assistant"

// message is one of a conversation, with role and content.
type message struct {
	role   string
	weight float32 // of its loss; 1 where none is given
	json   json.RawMessage
}

// readMessage reads a message. Its weight is no part of what a template, or a split, sees.
func (r *recordReader) readMessage(raw json.RawMessage) (m message, err error) {
	object, err := readObject(raw)
	if err != nil {
		return m, err
	}
	m.json = raw
	_, named := object["from"]
	if named {
		object, err = r.namedMessage(object)
	}
	if err == nil {
		m.role, err = textField(object, "role")
	}
	if err != nil {
		return m, err
	}
	content, parts, err := content(object)
	if err != nil {
		return m, err
	}
	if parts {
		r.parts++
		if object["content"], err = json.Marshal(content); err != nil {
			return m, err
		}
	}
	given := false
	if m.weight, given, err = weightField(object, "weight"); err != nil {
		return m, err
	}
	if given {
		if err := r.sawWeight(m); err != nil {
			return m, err
		}
		delete(object, "weight")
	}
	if named || parts || given {
		m.json, err = json.Marshal(object)
	}
	return m, err
}

// namedMessage gives a message of the form {"from", "value"} role and content.
func (r *recordReader) namedMessage(object map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	from, err := textField(object, "from")
	if err != nil {
		return nil, err
	}
	role := shareGPT[from]
	if role == "" {
		return nil, fmt.Errorf("found \"from\" %q, expected human, gpt or system", from)
	}
	text, err := textField(object, "value")
	if err != nil {
		return nil, err
	}
	written := map[string]json.RawMessage{}
	if weight, ok := object["weight"]; ok {
		written["weight"] = weight
	}
	if written["role"], err = json.Marshal(role); err != nil {
		return nil, err
	}
	written["content"], err = json.Marshal(text)
	return written, err
}

// sawWeight counts messages with weights. Only the assistant's are learned, so that a weight of 0
// says of the others what is so, and 1 is noted.
func (r *recordReader) sawWeight(m message) error {
	r.weighedMessages++
	switch {
	case m.role == assistant || m.weight == 0:
		return nil
	case m.weight == 1:
		r.otherRoles++
		return nil
	}
	return fmt.Errorf("field \"weight\" is %v on a message of role %q, expected a weight on the assistant's messages alone: the others are read, and not learned", m.weight, m.role)
}

// content checks a message's content. Of a list of texts, as servers take it, parts is true and
// text is theirs.
func content(object map[string]json.RawMessage) (text string, parts bool, err error) {
	raw := object["content"]
	switch {
	case raw == nil || string(raw) == "null":
		for _, calls := range []string{"tool_calls", "function_call"} {
			if of := string(object[calls]); of != "" && of != "null" && of != "[]" {
				return "", false, nil
			}
		}
		return "", false, errors.New("found no content and no tool_calls, expected a text in \"content\"")
	case raw[0] == '"':
		return "", false, nil
	case raw[0] != '[':
		return "", false, fmt.Errorf("field \"content\" is %s, expected a string", kindOf(raw[0]))
	}
	var list []json.RawMessage
	if err := jsonread.Decode(raw, &list); err != nil {
		return "", false, fmt.Errorf("field \"content\": %w", err)
	}
	texts := make([]string, len(list))
	for i, part := range list {
		of, err := readObject(part)
		if err != nil {
			return "", false, fmt.Errorf("field \"content\", part %d: %w", i, err)
		}
		if kind := string(of["type"]); kind != "" && kind != `"text"` && kind != `"input_text"` && kind != `"output_text"` {
			return "", false, fmt.Errorf("field \"content\", part %d is of the type %s, expected \"text\": take out the records with other parts", i, jsonread.Clip(of["type"]))
		}
		if texts[i], err = textField(of, "text"); err != nil {
			return "", false, fmt.Errorf("field \"content\", part %d: %w", i, err)
		}
	}
	return strings.Join(texts, "\n"), true, nil
}

func joinMessages(list []json.RawMessage) json.RawMessage {
	return append(append(json.RawMessage("["), bytes.Join(bytesOf(list), []byte(","))...), ']')
}

func bytesOf(list []json.RawMessage) [][]byte {
	all := make([][]byte, len(list))
	for i := range list {
		all[i] = list[i]
	}
	return all
}

// segment is a run of text that is only read, or answered.
type segment struct {
	text   string
	answer bool
	weight float32  // of its tokens' losses
	masked [][2]int // spans of its bytes whose tokens have none
}

// conversation is a record as its chat template writes it.
type conversation struct {
	segments []segment
	lastOnly bool // earlier answers are not learned: the template writes them otherwise later on
	open     bool // messages after the last answer were left out
}

// writeConversation writes a conversation up to its last answer. What the assistant says is what
// the template adds with its message to the text that asks for it.
func writeConversation(r Record, chat Chat) (c conversation, err error) {
	if chat == nil {
		return c, ErrNoChat
	}
	var list []json.RawMessage
	if err := jsonread.Decode(r.Messages, &list); err != nil {
		return c, err
	}
	said := "" // up to the last answer
	for i, message := range list {
		var of struct {
			Role string `json:"role"`
		}
		if err := jsonread.Decode(message, &of); err != nil {
			return c, err
		}
		if c.open = of.Role != assistant; c.open {
			continue
		}
		asked, answered, err := answerAt(list, i, r.Tools, chat)
		if err != nil {
			return c, err
		}
		before, follows := strings.CutPrefix(asked, said)
		if !follows {
			c.segments, c.lastOnly, before = nil, true, asked
		}
		c.segments = append(c.segments, segment{text: before, weight: r.weight()},
			segment{text: answered[len(asked):], answer: true, weight: r.weight() * r.message(i)})
		said = answered
	}
	return c, nil
}

// answerAt writes the conversation up to the i-th message, an answer, without it and with it.
func answerAt(list []json.RawMessage, i int, tools json.RawMessage, chat Chat) (asked, answered string, err error) {
	if answered, err = chat.Write(joinMessages(list[:i+1]), tools, false); err != nil {
		return "", "", err
	}
	if i == 0 {
		return "", answered, nil
	}
	// some templates ask with more than stands before an answer
	for _, ask := range []bool{true, false} {
		if asked, err = chat.Write(joinMessages(list[:i]), tools, ask); err != nil {
			return "", "", err
		}
		if strings.HasPrefix(answered, asked) && len(answered) > len(asked) {
			return asked, answered, nil
		}
	}
	return "", "", fmt.Errorf("the chat template writes the text before message %d otherwise when the message follows, so its answer cannot be told from the rest", i)
}
