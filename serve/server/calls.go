package server

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
)

// toolCall is a call that a model wrote.
type toolCall struct {
	Name      string
	Arguments string // JSON; of a call that was cut off, as far as it came
	cut       bool
}

// callReader finds the calls of tools in an answer as it is written. It knows two forms: an object
// between <tool_call> and </tool_call>, as Hermes and Qwen write it, with the text around it; and
// an answer that is nothing but objects, divided by semicolons, as Llama writes it, which counts
// where every object calls a tool of the request. What turns out to be no call is text.
type callReader struct {
	tools []string // names that the request offers
	must  bool     // the answer is nothing but calls
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

// flush ends the answer. One that was cut off ends with a part of a call, where its name is there,
// and without the beginning of one that has none yet.
func (c *callReader) flush(cut bool) (content string, calls []toolCall) {
	held := c.held
	c.held = ""
	switch c.form {
	case inside:
		// An answer that ended without the tag.
		if call, ok := parseCall(json.RawMessage(held)); ok {
			c.found++
			return "", []toolCall{call}
		}
		if cut {
			calls = parseCut(held)
			c.found += len(calls)
			return "", calls
		}
		return c.gap + openTag + held, nil
	case objects:
		calls, rest := c.parseObjects(held)
		if rest != "" && cut {
			if last := parseCut(rest); c.must || len(last) > 0 && c.offers(last[0].Name) || len(last) == 0 && (len(calls) > 0 || c.mayCall(rest)) {
				calls, rest = append(calls, last...), ""
			}
		}
		if rest == "" {
			c.found += len(calls)
			return "", calls
		}
	case between, undecided:
		tag := strings.TrimSpace(held)
		if c.found > 0 && tag == "" || cut && (c.found > 0 || c.must || len(tag) > len("<t")) {
			return "", nil
		}
	}
	return held, nil
}

// mayCall reports whether an object that was cut off in its name may be going to be a call.
func (c *callReader) mayCall(rest string) bool {
	_, name, ok := strings.Cut(strings.Join(strings.Fields(rest), ""), `{"name":"`)
	return ok && slices.ContainsFunc(c.tools, func(t string) bool { return strings.HasPrefix(t, name) })
}

// parseCut reads the call that an answer was cut off in, or returns none where its name is not
// there.
func parseCut(text string) []toolCall {
	text = strings.TrimPrefix(strings.TrimSpace(text), callMark)
	call, decoder := toolCall{cut: true}, json.NewDecoder(strings.NewReader(text))
	if t, err := decoder.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for {
		key, err := decoder.Token()
		if err != nil {
			break
		}
		behind := text[decoder.InputOffset():]
		var value json.RawMessage
		err = decoder.Decode(&value)
		switch key {
		case "name":
			if err == nil && json.Unmarshal(value, &call.Name) != nil {
				return nil
			}
		case "arguments", "parameters":
			call.Arguments = string(value)
			if err != nil {
				call.Arguments = strings.TrimLeft(behind, ": \t\r\n")
			}
			call.Arguments = unquoted(call.Arguments)
		}
		if err != nil {
			break
		}
	}
	if call.Name == "" {
		return nil
	}
	return []toolCall{call}
}

// unquoted is arguments that were written as a string of JSON, of which the end may be missing.
func unquoted(arguments string) string {
	for end := len(arguments); strings.HasPrefix(arguments, `"`) && end > max(0, len(arguments)-len(`\u0000`)); end-- {
		var text string
		if json.Unmarshal([]byte(arguments[:end]), &text) == nil || json.Unmarshal([]byte(arguments[:end]+`"`), &text) == nil {
			return text
		}
	}
	return arguments
}

// parseObjects reads an answer of nothing but calls, and returns what is behind them and is none.
func (c *callReader) parseObjects(text string) (calls []toolCall, rest string) {
	text = strings.TrimPrefix(strings.TrimSpace(text), callMark)
	for {
		var one json.RawMessage
		decoder := json.NewDecoder(strings.NewReader(text))
		switch err := decoder.Decode(&one); {
		case err == io.EOF:
			return calls, ""
		case err != nil:
			return calls, text
		}
		call, ok := parseCall(one)
		if !ok || !c.offers(call.Name) {
			return calls, text
		}
		calls = append(calls, call)
		text = strings.TrimPrefix(strings.TrimSpace(text[decoder.InputOffset():]), ";")
	}
}

func (c *callReader) offers(name string) bool {
	return slices.Contains(c.tools, name)
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
		return toolCall{Name: call.Name, Arguments: text}, true
	}
	return toolCall{Name: call.Name, Arguments: string(arguments)}, true
}
