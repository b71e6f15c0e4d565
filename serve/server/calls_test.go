package server

import (
	"slices"
	"strings"
	"testing"
)

// read reads an answer in pieces of some bytes.
func readCalls(text string, size int) (content string, calls []toolCall) {
	c := callReader{tools: []string{"f", "g"}}
	add := func(more string, found []toolCall) {
		content += more
		calls = append(calls, found...)
	}
	for piece := range slices.Chunk([]byte(text), size) {
		add(c.push(string(piece)))
	}
	add(c.flush(false))
	return content, calls
}

func TestCallsInAnyPieces(t *testing.T) {
	const f, g = `<tool_call>{"name":"f","arguments":{"x":"</tool"}}</tool_call>`, "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>"
	tests := []struct {
		name, text, content string
		calls               []toolCall
	}{
		{"text", "no call < here <tool", "no call < here <tool", nil},
		{"text with white space", " a \n", " a \n", nil},
		{"nothing", "", "", nil},
		{"white space", " \n", " \n", nil},
		{"one", f, "", []toolCall{{Name: "f", Arguments: `{"x":"</tool"}`}}},
		{"two", "I see.\n\n" + f + "\n" + g + "\n", "I see.", []toolCall{{Name: "f", Arguments: `{"x":"</tool"}`}, {Name: "g", Arguments: "{}"}}},
		{"text behind", f + " then", " then", []toolCall{{Name: "f", Arguments: `{"x":"</tool"}`}}},
		{"damaged", "a <tool_call>{oops</tool_call>", "a <tool_call>{oops</tool_call>", nil},
		{"cut off", `a <tool_call>{"name":`, `a <tool_call>{"name":`, nil},
		{"without its end", `<tool_call>{"name":"f"}`, "", []toolCall{{Name: "f", Arguments: "{}"}}},
		{"arguments as a text", `<tool_call>{"name":"f","arguments":"{\"a\":1}"}</tool_call>`, "", []toolCall{{Name: "f", Arguments: `{"a":1}`}}},
		{"objects", ` {"name":"f","parameters":{"a":1}}; {"name":"g"}`, "", []toolCall{{Name: "f", Arguments: `{"a":1}`}, {Name: "g", Arguments: "{}"}}},
		{"a mark", `<|python_tag|>{"name":"f","parameters":{}}`, "", []toolCall{{Name: "f", Arguments: "{}"}}},
		{"an object that is no call", `{"a":1}`, `{"a":1}`, nil},
		{"a call of an unknown tool", `{"name":"h","parameters":{}}`, `{"name":"h","parameters":{}}`, nil},
		{"a call and text", `{"name":"f","parameters":{}} so`, `{"name":"f","parameters":{}} so`, nil},
		{"a mark that is none", "<|python", "<|python", nil},
	}
	for _, test := range tests {
		for size := 1; size <= len(test.text)+1; size++ {
			content, calls := readCalls(test.text, size)
			if content != test.content || !slices.Equal(calls, test.calls) {
				t.Errorf("%s in pieces of %d: %q and %v, want %q and %v", test.name, size, content, calls, test.content, test.calls)
			}
		}
	}
}

// An answer that was cut off has the call that it was cut off in, as far as it came, or none where
// the name is not whole; never what is of the template alone.
func TestCallsThatAreCutOff(t *testing.T) {
	const whole = "a\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {\"y\": \"é\"}}\n</tool_call>"
	const objects = `{"name": "f", "parameters": {"x": 1}}; {"name": "g", "parameters": {"y": "é"}}`
	read := func(text string, size int, must bool) (content string, calls []toolCall) {
		c := callReader{tools: []string{"f", "g"}, must: must}
		for piece := range slices.Chunk([]byte(text), size) {
			more, found := c.push(string(piece))
			content, calls = content+more, append(calls, found...)
		}
		more, found := c.flush(true)
		return content + more, append(calls, found...)
	}
	names := func(text string) int { return strings.Count(text, `"f"`) + strings.Count(text, `"g"`) }
	arguments := []string{`{"x": 1}`, `{"y": "é"}`}
	for _, text := range []string{whole, objects} {
		for end := range text {
			for _, size := range []int{1, 7, len(text)} {
				content, calls := read(text[:end], size, text == objects)
				if !strings.HasPrefix("a\n<t", content) || names(text[:end]) > 0 && len(content) > 1 {
					t.Fatalf("%q: the content is %q", text[:end], content)
				}
				if len(calls) != names(text[:end]) {
					t.Fatalf("%q: found %v, expected %d calls", text[:end], calls, names(text[:end]))
				}
				for i, c := range calls {
					if !strings.HasPrefix(arguments[i], c.Arguments) || i < len(calls)-1 && c.cut || c.Arguments != arguments[i] && !c.cut {
						t.Fatalf("%q: call %d is %+v", text[:end], i, c)
					}
				}
			}
		}
	}
	for _, test := range []struct {
		text, content string
		calls         []toolCall
	}{
		{"no call <", "no call <", nil},
		{"no call <tool_c", "no call", nil},
		{`{"a": 1, "b`, `{"a": 1, "b`, nil},
		{`{"name": "other", "b`, `{"name": "other", "b`, nil},
		{`{"na`, `{"na`, nil},
		{`<tool_call>{"name":"f","arguments":"{\"a\":\"b\u00`, "", []toolCall{{"f", `{"a":"b`, true}}},
		{`<tool_call>{"arguments":{"a":1}`, "", nil},
		{`<tool_call>{"name":"f","arguments":{"a":1}}</tool`, "", []toolCall{{"f", `{"a":1}`, true}}},
	} {
		if content, calls := read(test.text, 5, false); content != test.content || !slices.Equal(calls, test.calls) {
			t.Errorf("%q: %q and %v, expected %q and %v", test.text, content, calls, test.content, test.calls)
		}
	}
}

// FuzzCalls: what is read does not depend on the pieces, and without a call it is the text.
func FuzzCalls(f *testing.F) {
	f.Add("a <tool_call>{\"name\":\"f\"}</tool_call>", 3)
	f.Add(`{"name":"f"};{}`, 1)
	f.Fuzz(func(t *testing.T, text string, size int) {
		if size < 1 {
			return
		}
		whole, calls := readCalls(text, len(text)+1)
		content, again := readCalls(text, size)
		if content != whole || !slices.Equal(calls, again) {
			t.Errorf("%q in pieces of %d: %q and %v, whole: %q and %v", text, size, content, again, whole, calls)
		}
		if len(calls) == 0 && content != text {
			t.Errorf("%q without a call became %q", text, content)
		}
	})
}
