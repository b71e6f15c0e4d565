package server

import (
	"encoding/json"
	"io"
	"strings"
)

// toolCall is a call that a model wrote.
type toolCall struct {
	Name      string
	Arguments string // JSON
}

// callReader finds the calls of tools in an answer as it is written. It knows two forms: an object
// between <tool_call> and </tool_call>, as Hermes and Qwen write it, with the text around it; and
// an answer that is nothing but objects, divided by semicolons, as Llama writes it, which counts
// where every object calls a tool of the request. What turns out to be no call is text.
type callReader struct {
	tools []string // names that the request offers
	held  string   // not yet given
	gap   string   // white space before the tag of the call that is being read
	form  form
	found int // calls
}

type form int

const (
	undecided form = iota // only white space has come
	between               // text; tags may come
	inside                // behind a <tool_call>
	objects               // the answer began with a brace
)

const (
	openTag  = "<tool_call>"
	closeTag = "</tool_call>"
	// callMark is what Llama may write before its objects.
	callMark = "<|python_tag|>"
)

// push takes the next text and returns what is certain now: text for the reader, and calls.
func (c *callReader) push(text string) (content string, calls []toolCall) {
	c.held += text
	for {
		switch c.form {
		case undecided:
			rest := strings.TrimLeft(c.held, " \t\r\n")
			switch {
			case rest == "" || strings.HasPrefix(callMark, rest):
				return content, calls
			case rest[0] == '{' || strings.HasPrefix(rest, callMark):
				c.form = objects
			default:
				c.form = between
			}
		case between:
			before, behind, tag := strings.Cut(c.held, openTag)
			if !tag {
				n := heldBack(c.held, []string{openTag})
				n = len(c.held) - len(strings.TrimRight(c.held[:len(c.held)-n], " \t\r\n"))
				content += c.held[:len(c.held)-n]
				c.held = c.held[len(c.held)-n:]
				return content, calls
			}
			text := strings.TrimRight(before, " \t\r\n")
			content += text
			c.gap, c.held, c.form = before[len(text):], behind, inside
		case inside:
			text, behind, closed := strings.Cut(c.held, closeTag)
			if !closed {
				return content, calls
			}
			call, ok := parseCall(json.RawMessage(text))
			if ok {
				calls = append(calls, call)
				c.found++
			} else {
				content += c.gap + openTag + text + closeTag
			}
			c.held, c.form = behind, between
		case objects:
			return content, calls
		}
	}
}

// flush ends the answer.
func (c *callReader) flush() (content string, calls []toolCall) {
	held := c.held
	c.held = ""
	switch c.form {
	case inside:
		// An answer that was cut off in a call, or ended without the tag.
		if call, ok := parseCall(json.RawMessage(held)); ok {
			c.found++
			return "", []toolCall{call}
		}
		return c.gap + openTag + held, nil
	case objects:
		if calls := c.parseObjects(held); calls != nil {
			c.found += len(calls)
			return "", calls
		}
	case between:
		if c.found > 0 && strings.TrimSpace(held) == "" {
			return "", nil
		}
	}
	return held, nil
}

// parseObjects reads an answer of nothing but calls, or returns nil.
func (c *callReader) parseObjects(text string) (calls []toolCall) {
	text = strings.TrimPrefix(strings.TrimSpace(text), callMark)
	for {
		var one json.RawMessage
		decoder := json.NewDecoder(strings.NewReader(text))
		switch err := decoder.Decode(&one); {
		case err == io.EOF:
			return calls
		case err != nil:
			return nil
		}
		call, ok := parseCall(one)
		if !ok || !c.offers(call.Name) {
			return nil
		}
		calls = append(calls, call)
		text = strings.TrimPrefix(strings.TrimSpace(text[decoder.InputOffset():]), ";")
	}
}

func (c *callReader) offers(name string) bool {
	for _, t := range c.tools {
		if t == name {
			return true
		}
	}
	return false
}

// parseCall reads {"name": …, "arguments": …}, or "parameters" in the place of arguments.
func parseCall(data json.RawMessage) (toolCall, bool) {
	var call struct {
		Name                  string
		Arguments, Parameters json.RawMessage
	}
	if json.Unmarshal(data, &call) != nil || call.Name == "" {
		return toolCall{}, false
	}
	arguments := call.Arguments
	if arguments == nil {
		arguments = call.Parameters
	}
	if arguments == nil {
		arguments = json.RawMessage("{}")
	}
	var text string // some write the arguments as a string of JSON
	if json.Unmarshal(arguments, &text) == nil && json.Valid([]byte(text)) {
		return toolCall{call.Name, text}, true
	}
	return toolCall{call.Name, string(arguments)}, true
}
