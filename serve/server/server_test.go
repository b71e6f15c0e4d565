package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"
)

// The threads of kernels stay.
var kernelThreads = goleak.IgnoreAnyFunction("slimlab/kernels/parallel.(*worker).loop")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, kernelThreads) }

// event is one frame of a stream of completions or chats.
type frame struct {
	Choices []struct {
		Index        int
		Text         string
		FinishReason *string `json:"finish_reason"`
		Delta        struct {
			Role      string
			Content   string
			ToolCalls []chatCall `json:"tool_calls"`
		}
	}
	Usage *usage
	Error *problem
}

// frames reads a stream, which has to be whole.
func frames(t testing.TB, body string) (list []frame) {
	t.Helper()
	parts := strings.Split(body, "\n\n")
	if len(parts) < 2 || parts[len(parts)-1] != "" || parts[len(parts)-2] != "data: [DONE]" {
		t.Fatalf("the stream does not end with [DONE]: %q", body)
	}
	for _, part := range parts[:len(parts)-2] {
		data, ok := strings.CutPrefix(part, "data: ")
		var f frame
		if err := json.Unmarshal([]byte(data), &f); !ok || err != nil || !utf8.ValidString(data) {
			t.Fatalf("frame %q: %v", part, err)
		}
		list = append(list, f)
	}
	return list
}

// joined is what a stream says of one choice.
func joined(list []frame, choice int) (text, finish string, calls []chatCall) {
	for _, f := range list {
		for _, c := range f.Choices {
			if c.Index != choice {
				continue
			}
			text += c.Text + c.Delta.Content
			calls = append(calls, c.Delta.ToolCalls...)
			if c.FinishReason != nil {
				finish += *c.FinishReason
			}
		}
	}
	return text, finish, calls
}

func decode[T any](t testing.TB, r reply) (v T) {
	t.Helper()
	if r.status != http.StatusOK {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

var script = map[string]string{
	"hello":   "Hi, the fox jumps over the dog.",
	"unicode": "Łódź 你好 🙂 end",
	"weather": "Let me look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"place\": \"Łódź\"}}\n</tool_call>",
	"llama":   `{"name": "weather", "parameters": {"place": "here"}}`,
	"json":    `{"name": "the fox", "age": 3}`,
}

// A stream and a whole answer say the same, for stop strings anywhere, and usage is the same.
func TestStreamIsTheWhole(t *testing.T) {
	x := start(t, script, Options{})
	for _, question := range []string{"hello", "unicode", "weather", "llama", "json"} {
		for _, stop := range []string{`[]`, `["the dog"]`, `["zzz","jumps ov","你"]`, `"o"`, `["🙂 e", " "]`, `["_call>"]`} {
			for _, tools := range []string{"", `,"tools":[{"type":"function","function":{"name":"weather"}}]`} {
				t.Run(question+" "+stop+tools, func(t *testing.T) {
					ask := fmt.Sprintf(`{"model":"tiny","messages":[{"role":"user","content":"%s"}],"temperature":0,"max_tokens":90,"n":2,"stop":%s%s`, question, stop, tools)
					whole := decode[chatCompletion](t, x.post(t, "/v1/chat/completions", ask+"}"))
					list := frames(t, x.post(t, "/v1/chat/completions", ask+`,"stream":true,"stream_options":{"include_usage":true}}`).body)
					for i, c := range whole.Choices {
						text, finish, calls := joined(list, i)
						want := ""
						if c.Message.Content != nil {
							want = *c.Message.Content
						}
						if text != want || finish != *c.FinishReason || len(calls) != len(c.Message.ToolCalls) {
							t.Errorf("choice %d: the stream says %q (%s, %d calls), the whole %q (%s, %d calls)", i, text, finish, len(calls), want, *c.FinishReason, len(c.Message.ToolCalls))
						}
						for j := range calls {
							if calls[j].Function != c.Message.ToolCalls[j].Function || *calls[j].Index != j {
								t.Errorf("call %d: %v, want %v", j, calls[j], c.Message.ToolCalls[j])
							}
						}
					}
					last := list[len(list)-1]
					if last.Usage == nil || len(last.Choices) != 0 || last.Usage.CompletionTokens != whole.Usage.CompletionTokens || last.Usage.PromptTokens != whole.Usage.PromptTokens {
						t.Errorf("usage of the stream %+v, of the whole %+v", last.Usage, whole.Usage)
					}
				})
			}
		}
	}
}

func TestCompletions(t *testing.T) {
	x := start(t, script, Options{})
	tests := []struct {
		name, body string
		texts      []string
		finish     string
		prompt     int // tokens
	}{
		{"a text", `{"prompt":"hello<a>","max_tokens":40}`, []string{"Hi, the fox jumps over the dog."}, "stop", 0},
		{"the model's name", `{"model":"tiny","prompt":"hello<a>","max_tokens":40}`, []string{"Hi, the fox jumps over the dog."}, "stop", 0},
		{"cut off", `{"prompt":"hello<a>","max_tokens":1}`, []string{"H"}, "length", 0},
		{"several", `{"prompt":["hello<a>","unicode<a>"],"max_tokens":40}`, []string{"Hi, the fox jumps over the dog.", "Łódź 你好 🙂 end"}, "stop", 0},
		{"choices", `{"prompt":["hello<a>","unicode<a>"],"max_tokens":40,"n":2}`, []string{"Hi, the fox jumps over the dog.", "Hi, the fox jumps over the dog.", "Łódź 你好 🙂 end", "Łódź 你好 🙂 end"}, "stop", 0},
		{"echo", `{"prompt":"hello<a>","max_tokens":40,"echo":true}`, []string{"helloHi, the fox jumps over the dog."}, "stop", 0},
		{"a stop string", `{"prompt":"hello<a>","max_tokens":40,"stop":"jumps"}`, []string{"Hi, the fox "}, "stop", 0},
		{"kept", `{"prompt":"hello<a>","max_tokens":40,"stop":["ox j","jumps"],"include_stop_str_in_output":true}`, []string{"Hi, the fox j"}, "stop", 0},
		{"special tokens", `{"prompt":"hello<a>","max_tokens":40,"ignore_eos":true,"skip_special_tokens":false,"stop":"<eos>"}`, []string{"Hi, the fox jumps over the dog."}, "stop", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := decode[completion](t, x.post(t, "/v1/completions", test.body))
			list := frames(t, x.post(t, "/v1/completions", strings.TrimSuffix(test.body, "}")+`,"stream":true}`).body)
			if len(got.Choices) != len(test.texts) {
				t.Fatalf("%d choices, want %d", len(got.Choices), len(test.texts))
			}
			for i, c := range got.Choices {
				if c.Text != test.texts[i] || *c.FinishReason != test.finish || c.Index != i {
					t.Errorf("choice %d: %q (%s), want %q (%s)", i, c.Text, *c.FinishReason, test.texts[i], test.finish)
				}
				if text, finish, _ := joined(list, i); text != c.Text || finish != *c.FinishReason {
					t.Errorf("choice %d: the stream says %q (%s), the whole %q", i, text, finish, c.Text)
				}
			}
		})
	}
}

func TestUsageCountsWhatTheCacheHad(t *testing.T) {
	x := start(t, script, Options{})
	ask := `{"prompt":"the quick brown fox jumps over the lazy dog hello<a>","max_tokens":3,"n":2}`
	first := decode[completion](t, x.post(t, "/v1/completions", ask)).Usage
	second := decode[completion](t, x.post(t, "/v1/completions", ask)).Usage
	if first.PromptTokensDetails.CachedTokens > first.PromptTokens/2 {
		t.Errorf("the first request found %d tokens in the cache", first.PromptTokensDetails.CachedTokens)
	}
	if cached, prompt := second.PromptTokensDetails.CachedTokens, second.PromptTokens; cached != prompt || prompt != first.PromptTokens {
		t.Errorf("the second request found %d of %d tokens in the cache, want all", cached, prompt)
	}
	if second.CompletionTokens != 6 || second.TotalTokens != second.PromptTokens+6 {
		t.Errorf("usage %+v, want 2 answers of 3 tokens", *second)
	}
	if x.post(t, "/flush_cache", `{}`).status != http.StatusOK {
		t.Error("flush_cache failed")
	}
	if third := decode[completion](t, x.post(t, "/v1/completions", ask)).Usage; third.PromptTokensDetails.CachedTokens > first.PromptTokens/2 {
		t.Errorf("after a flush %d tokens came from the cache", third.PromptTokensDetails.CachedTokens)
	}
}

func TestToolCalls(t *testing.T) {
	x := start(t, script, Options{})
	tools := `"tools":[{"type":"function","function":{"name":"weather"}}]`
	tests := []struct {
		question, more string
		content        string
		arguments      []string
		finish         string
	}{
		{"weather", tools, "Let me look.", []string{`{"place": "Łódź"}`}, "tool_calls"},
		{"llama", tools, "", []string{`{"place": "here"}`}, "tool_calls"},
		{"json", tools, `{"name": "the fox", "age": 3}`, nil, "stop"},
		{"llama", tools + `,"tool_choice":"none"`, `{"name": "weather", "parameters": {"place": "here"}}`, nil, "stop"},
		{"llama", `"user":"x"`, `{"name": "weather", "parameters": {"place": "here"}}`, nil, "stop"},
		{"weather", tools + `,"max_tokens":30`, "Let me look.", nil, "length"},
	}
	for _, test := range tests {
		got := decode[chatCompletion](t, x.post(t, "/v1/chat/completions", fmt.Sprintf(`{"messages":[{"role":"user","content":"%s"}],%s}`, test.question, test.more)))
		m := got.Choices[0].Message
		var content string
		if m.Content != nil {
			content = *m.Content
		}
		if finish := *got.Choices[0].FinishReason; !strings.HasPrefix(content, test.content) || finish != test.finish || len(m.ToolCalls) != len(test.arguments) {
			t.Errorf("%s, %s: %q, %v (%s), want %q and %d calls (%s)", test.question, test.more, content, m.ToolCalls, finish, test.content, len(test.arguments), test.finish)
			continue
		}
		for i, c := range m.ToolCalls {
			if c.Function.Name != "weather" || c.Function.Arguments != test.arguments[i] || c.ID == "" {
				t.Errorf("%s: call %+v, want the arguments %s", test.question, c, test.arguments[i])
			}
		}
	}
}
