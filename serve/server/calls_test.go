package server

import (
	"slices"
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
	add(c.flush())
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
		{"one", f, "", []toolCall{{"f", `{"x":"</tool"}`}}},
		{"two", "I see.\n\n" + f + "\n" + g + "\n", "I see.", []toolCall{{"f", `{"x":"</tool"}`}, {"g", "{}"}}},
		{"text behind", f + " then", " then", []toolCall{{"f", `{"x":"</tool"}`}}},
		{"damaged", "a <tool_call>{oops</tool_call>", "a <tool_call>{oops</tool_call>", nil},
		{"cut off", `a <tool_call>{"name":`, `a <tool_call>{"name":`, nil},
		{"without its end", `<tool_call>{"name":"f"}`, "", []toolCall{{"f", "{}"}}},
		{"arguments as a text", `<tool_call>{"name":"f","arguments":"{\"a\":1}"}</tool_call>`, "", []toolCall{{"f", `{"a":1}`}}},
		{"objects", ` {"name":"f","parameters":{"a":1}}; {"name":"g"}`, "", []toolCall{{"f", `{"a":1}`}, {"g", "{}"}}},
		{"a mark", `<|python_tag|>{"name":"f","parameters":{}}`, "", []toolCall{{"f", "{}"}}},
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
