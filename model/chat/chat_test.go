package chat

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"slimlab/internal/golden"
	"slimlab/internal/shareddata"
)

// conversations are the inputs of the goldens of the four families.
var conversations = map[string]Conversation{
	"plain": {
		Messages:            json.RawMessage(`[{"role":"user","content":"Hello"}]`),
		AddGenerationPrompt: true,
	},
	"system": {
		Messages: json.RawMessage(`[{"role":"system","content":"Be brief.\n"},{"role":"user","content":" What is 2+2? "},{"role":"assistant","content":"4"},
			{"role":"user","content":"And 3+3?"},{"role":"assistant","content":"<think>\nAdd.\n</think>\n\n6"}]`),
	},
	"tools": {
		Messages: json.RawMessage(`[{"role":"system","content":"Be brief."},{"role":"user","content":"Weather in Łódź?"},
			{"role":"assistant","content":"","tool_calls":[{"type":"function","function":{"name":"weather","arguments":{"place":"Łódź","days":2,"metric":true}}}]},
			{"role":"tool","content":"{\"sky\": \"rain\"}"},{"role":"assistant","content":"Rain."},{"role":"user","content":"Thanks <3"}]`),
		Tools:               json.RawMessage(`[{"type":"function","function":{"name":"weather","description":"Tells \"the\" weather","parameters":{"type":"object","properties":{"place":{"type":"string"},"days":{"type":"integer"}},"required":["place"]}}}]`),
		AddGenerationPrompt: true,
	},
	"no thinking": {
		Messages:            json.RawMessage(`[{"role":"user","content":"Hello"}]`),
		AddGenerationPrompt: true,
		Variables:           map[string]json.RawMessage{"enable_thinking": json.RawMessage("false"), "date_string": json.RawMessage(`"1 May 2025"`)},
	},
	"dated": {
		Messages:            json.RawMessage(`[{"role":"user","content":"Hello"}]`),
		AddGenerationPrompt: true,
		Now:                 time.Date(2025, 2, 3, 4, 5, 6, 0, time.UTC),
	},
}

// TestFamilies compares the texts of four families' templates with goldens.
func TestFamilies(t *testing.T) {
	for _, family := range []string{"Qwen-Qwen2.5-7B-Instruct", "Qwen-Qwen3-0.6B", "meta-llama-Llama-3.1-8B-Instruct", "meta-llama-Llama-3.2-3B-Instruct"} {
		source, err := os.ReadFile(shareddata.Path(t, "tokenizers", "templates", family+".jinja"))
		if err != nil {
			t.Fatal(err)
		}
		template, err := Parse(string(source), "<|begin_of_text|>", "<|eot_id|>")
		if err != nil {
			t.Fatalf("%s: %v", family, err)
		}
		for name, in := range conversations {
			got, err := template.Render(in)
			if err != nil {
				t.Errorf("%s, %s: %v", family, name, err)
				continue
			}
			golden.Equal(t, family+"/"+strings.ReplaceAll(name, " ", "-")+".txt", got)
		}
	}
}

func TestParseConversation(t *testing.T) {
	for _, c := range []struct {
		data   string
		prompt bool
		err    string
	}{
		{data: ` [{"role":"user","content":"Hi"}]`, prompt: true},
		{data: `[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}]`},
		{data: `{"messages":[],"tools":[]}`, prompt: true},
		{data: `{"messages":7}`, err: "conversation: messages: "},
		{data: `hi`, err: "conversation: "},
		{data: `{}`, err: "conversation: messages: "},
	} {
		got, err := ParseConversation([]byte(c.data))
		if c.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.err) {
				t.Errorf("%s: found error %v, expected %s…", c.data, err, c.err)
			}
			continue
		}
		if err != nil || got.AddGenerationPrompt != c.prompt {
			t.Errorf("%s: found a generation prompt %v and error %v, expected %v", c.data, got.AddGenerationPrompt, err, c.prompt)
		}
	}
}

// TestVariables checks that a conversation's variables reach the template but replace no value of
// the conversation.
func TestVariables(t *testing.T) {
	template, err := Parse("{{ bos_token }}{{ enable_thinking }}{{ messages|length }}", `<"s">`, "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := template.Render(Conversation{
		Messages:  json.RawMessage(`[]`),
		Variables: map[string]json.RawMessage{"enable_thinking": json.RawMessage(`true`), "messages": json.RawMessage(`[1]`), "bos_token": json.RawMessage(`1`)},
	})
	if want := `<"s">True0`; err != nil || got != want {
		t.Errorf("found %q, %v, expected %q", got, err, want)
	}
	if _, err := template.Render(Conversation{Messages: json.RawMessage(`{}`)}); err == nil {
		t.Error("messages that are no array are accepted")
	}
}

// A conversation is refused in its own words, or rendered with or without an error of the template.
func FuzzConversation(f *testing.F) {
	for _, seed := range []string{
		`[{"role":"user","content":"Hi"}]`, `{"messages":[{"role":"assistant","content":null,"tool_calls":[]}],"tools":[{"type":"function"}]}`,
		`[]`, `{}`, `[1]`, `{"messages":{}}`, `{"tools":[]}`, "\xef\xbb\xbf[]", `[{"role":1}]`, `{"Messages":[],"messages":[{"role":"x"}]}`,
	} {
		f.Add([]byte(seed))
	}
	template, err := Parse(`{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content | trim }}{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}{% endfor %}{{ tools | length if tools else 0 }}`, "<s>", "</s>")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConversation(data)
		if err == nil {
			_, err = template.Render(c)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "conversation: ") && !strings.HasPrefix(err.Error(), "chat template: ") || strings.Contains(err.Error(), "Go ")) {
			t.Fatalf("%v", err)
		}
	})
}

// TestWriter: the template of a tokenizer writes conversations with and without the beginning of an
// answer; that there is none is said when the first conversation comes.
func TestWriter(t *testing.T) {
	messages := json.RawMessage(`[{"role":"user","content":"Hello"}]`)
	template := `{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}{{ tools|length if tools }}{% if add_generation_prompt %}assistant:{% endif %}`
	parsed, err := Parse(template, "", "<e>")
	if err != nil {
		t.Fatal(err)
	}
	w := &Writer{func() (*Template, error) { return parsed, nil }}
	for _, c := range []struct {
		tools json.RawMessage
		ask   bool
		want  string
	}{{nil, false, "user: Hello<e>"}, {nil, true, "user: Hello<e>assistant:"}, {json.RawMessage(`[{}]`), true, "user: Hello<e>1assistant:"}} {
		if got, err := w.Write(messages, c.tools, c.ask); err != nil || got != c.want {
			t.Errorf("tools %s, ask %v: %q, %v, expected %q", c.tools, c.ask, got, err, c.want)
		}
	}
	broken := &Writer{func() (*Template, error) { return nil, errors.New("no template") }}
	for range 2 {
		if text, err := broken.Write(messages, nil, true); err == nil || err.Error() != "no template" || text != "" {
			t.Errorf("found %q, %v", text, err)
		}
	}
}
