package task

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// FuzzReadJSONL: no content panics; an error names the file, and a line that it has; records stand
// in the order of their lines, and read back the same when they are written. Most of its time goes
// into making inputs small unless -fuzzminimizetime is short, such as 10x.
func FuzzReadJSONL(f *testing.F) {
	for _, seed := range []string{
		manyLines(3), `{"prompt": "a", "response": }`, "[\n", `{"question": "q", "answer": "\ud800"}`, "\ufeff{}", `{"instruction":"i","input":null,"output":"o"}`, "null\n", `{"prompt":{},"response":"b"}`, "{\"\":\"\xff\"}",
		"#", "\x1e{\"prompt\":\"a\",\"response\":\"b\"}\x1e{\"prompt\":\"a\",\"response\":\"b\"}", `{"text":"a"}{"text":"b"}`, `{"test":[{"text":"a"}],"train":[{"text":"b"}]}`, `{"text":["a","b"]}`,
		"[{\"messages\": [{\"role\": \"user\",\"content\":\"a\"},\n{\"role\":\"assistant\",\"content\":\"b\"}]}]", `{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]}`, "{'text': 'a'}\n{text: 1}", "// a\n{\"text\":\"b\"}",
		`{"messages":[{"role":"user","content":"a","weight":1},{"role":"assistant","content":"b","weight":0.5}]}`, `{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b","weight":0}]}`,
	} {
		f.Add([]byte(seed), "", "")
	}
	f.Add([]byte(`{"": "a", "b": "c"}`), "b", "")
	f.Fuzz(func(t *testing.T, content []byte, prompt, response string) {
		cfg := DefaultJSONL("f.jsonl")
		cfg.PromptField, cfg.ResponseField = prompt, response
		records, err := recordsOf(t, string(content), cfg)
		lines := 1 + bytes.Count(content, []byte("\n"))
		if err != nil {
			checkPlace(t, err, "f.jsonl", lines, content)
			return
		}
		line, again := 1, bytes.Buffer{}
		for _, r := range records {
			if r.Line < line || r.Line > lines && !encoded(content) || len(r.Messages) == 0 && strings.TrimSpace(r.Response) == "" {
				t.Fatalf("record %+v after line %d", r, line)
			}
			line = r.Line
			again.Write(append(written(t, r), '\n'))
		}
		cfg.PromptField, cfg.ResponseField = "", ""
		reread, err := recordsOf(t, again.String(), cfg)
		if err != nil || len(reread) != len(records) {
			t.Fatalf("written anew: %d records, %v\n%s", len(reread), err, &again)
		}
		for i, r := range records {
			r.Line, r.Messages, r.Tools = i+1, compact(t, r.Messages), compact(t, r.Tools)
			reread[i].Messages, reread[i].Tools = compact(t, reread[i].Messages), compact(t, reread[i].Tools)
			if !reflect.DeepEqual(reread[i], r) {
				t.Fatalf("record %+v, written anew %+v", r, reread[i])
			}
		}
	})
}

// compact is a value without white space between its parts.
func compact(t *testing.T, value json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if value == nil {
		return nil
	}
	if err := json.Compact(&b, value); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// encoded reports data whose lines are not those of their bytes.
func encoded(content []byte) bool {
	return bytes.HasPrefix(content, []byte("\x1f\x8b")) || bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")) || bytes.HasPrefix(content, []byte("\x00\x00\xfe\xff"))
}

// checkPlace fails where an error does not begin with the name of a file, or names a line that the
// file does not have.
func checkPlace(t *testing.T, err error, name string, lines int, content []byte) {
	t.Helper()
	rest, named := strings.CutPrefix(err.Error(), name+":")
	if !named {
		t.Fatalf("error %q does not name the file", err)
	}
	number, _, _ := strings.Cut(rest, ":")
	if at, bad := strconv.Atoi(number); bad == nil && (at < 1 || at > lines) && !encoded(content) {
		t.Fatalf("error %q names a line of a file of %d", err, lines)
	}
}

// weighed are the messages of a record with their weights; those without one are as they were.
func weighed(t *testing.T, r Record) json.RawMessage {
	t.Helper()
	if r.Weights == nil {
		return r.Messages
	}
	var list []json.RawMessage
	if err := json.Unmarshal(r.Messages, &list); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		object, err := readObject(list[i])
		if err != nil {
			t.Fatal(err)
		}
		if w := r.message(i); w != 1 && string(object["role"]) == `"assistant"` {
			object["weight"] = json.RawMessage(strconv.FormatFloat(float64(w), 'g', -1, 32))
			if list[i], err = json.Marshal(object); err != nil {
				t.Fatal(err)
			}
		}
	}
	return joinMessages(list)
}

// written is a record in the form of its kind.
func written(t *testing.T, r Record) []byte {
	t.Helper()
	var object any
	switch {
	case r.Messages != nil && r.Tools != nil:
		object = map[string]json.RawMessage{"messages": weighed(t, r), "tools": r.Tools}
	case r.Messages != nil:
		object = map[string]json.RawMessage{"messages": weighed(t, r)}
	case r.Whole:
		object = map[string]string{"text": r.Response}
	default:
		object = map[string]string{"prompt": r.Prompt, "response": r.Response}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(object); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}
