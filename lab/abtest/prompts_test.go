package abtest

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"slimlab/lab/loadtest"
	"slimlab/serve/load"
)

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "prompts.jsonl")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestReadPrompts(t *testing.T) {
	name := write(t, `{"prompt":"Name a cat.","response":"Tom","id":7}
{"prompt":[1,2],"response":[3],"max_tokens":5}

{"messages":[{"role":"user","content":"Hi"}],"response":"Hello"}
{"prompt":"left"}
`)
	list, notes, err := ReadPrompts(t.Context(), name, 3, 9)
	want := []Prompt{
		{Request: load.Request{Text: "Name a cat.", MaxTokens: 9}, Text: "Tom"},
		{Request: load.Request{Prompt: []int32{1, 2}, MaxTokens: 5}, Tokens: []int32{3}},
		{Request: load.Request{Messages: []load.Message{{Role: "user", Content: "Hi"}}, MaxTokens: 9}, Text: "Hello"},
	}
	if err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("%+v, %v, expected %+v", list, err, want)
	}
	said := strings.Join(notes, "; ")
	for _, note := range []string{"1 record after the first 3 left out", "other fields are not read: id"} {
		if !strings.Contains(said, note) {
			t.Errorf("notes %q, expected %q", said, note)
		}
	}
}

func TestReadPromptsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                             ":1: found prompt and messages, or neither",
		`{"prompt":"a","messages":[]}`:   "found prompt and messages, or neither",
		`{"messages":[]}`:                "found no messages",
		`{"messages":[{"content":"a"}]}`: "messages[0] has no role",
		`{"prompt":""}`:                  "found an empty prompt",
		`{"prompt":[]}`:                  "found an empty prompt",
		`{"prompt":5}`:                   "found the prompt 5",
		"{\"prompt\":\"a\"}\n{\"prompt\":[1,null]}": "found null in prompt",
		"{\"prompt\":\"a\"}\n{\"prompt\":[-1]}":     "prompt[0] is -1",
		`{"prompt":["a"]}`:                          "prompt",
		`{"prompt":"a","response":""}`:              "found an empty response",
		`{"prompt":"a","response":[1]}`:             "expected prompt and response in the same form",
		`{"prompt":[1],"response":"a"}`:             "expected prompt and response in the same form",
		`{"prompt":"a","max_tokens":0}`:             "found max_tokens 0",
		`{"prompt":"a"`:                             "1",
		`[`:                                         "",
		``:                                          "",
	} {
		if list, _, err := ReadPrompts(t.Context(), write(t, text+"\n"), 0, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v, expected an error with %q", text, list, err, want)
		}
	}
	if _, _, err := ReadPrompts(t.Context(), filepath.Join(t.TempDir(), "none"), 0, 1); err == nil {
		t.Error("a file that is absent has prompts")
	}
}

// FuzzReadPrompt: a line is read as a whole prompt, or refused.
func FuzzReadPrompt(f *testing.F) {
	for _, seed := range []string{`{"prompt":"a","response":"b"}`, `{"prompt":[1,2],"response":[3],"max_tokens":5}`, `{"messages":[{"role":"user","content":"Hi"}]}`, `{"prompt":null}`, `null`, `{"prompt":[1e9]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		p, _, err := readPrompt(line, 1)
		if err != nil {
			return
		}
		forms := 0
		for _, has := range []bool{p.Request.Text != "", len(p.Request.Prompt) > 0, len(p.Request.Messages) > 0} {
			if has {
				forms++
			}
		}
		if forms != 1 || p.Request.MaxTokens < 1 || p.Text != "" && p.Tokens != nil {
			t.Errorf("%s: %+v", line, p)
		}
	})
}

func TestGenerate(t *testing.T) {
	w := loadtest.Workload{Kind: loadtest.Ranking, Requests: 3, Candidates: 2, PrefixTokens: 5, InputTokens: 4, OutputTokens: 1, Order: "zipf"}
	list, err := Generate(w, 50, 1)
	if err != nil || len(list) != 6 {
		t.Fatalf("%d prompts, %v, expected 6", len(list), err)
	}
	again, err := Generate(w, 50, 1)
	if err != nil || !reflect.DeepEqual(list, again) {
		t.Errorf("another list of the same seed, %v", err)
	}
	if p := list[0].Request; len(p.Prompt) != 9 || !reflect.DeepEqual(p.Prompt[:5], list[1].Request.Prompt[:5]) || list[0].Referenced() {
		t.Errorf("%+v", p)
	}
	w.Kind = loadtest.Chat
	if _, err := Generate(w, 50, 1); err == nil || !strings.Contains(err.Error(), "the turns of a chat") {
		t.Error(err)
	}
}
