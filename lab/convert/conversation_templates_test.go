package convert

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/lab/task"
	"slimlab/model/tokenizer"
)

// byteTokens is a tokenizer of bytes with a chat template, which the texts of a template come back
// from as they are.
func byteTokens(t *testing.T, template string) *tokenizer.Tokenizer {
	t.Helper()
	no := false
	v := tokenizer.Vocabulary{Model: "llama", BOS: 1, EOS: 2, Unknown: 0, Padding: -1, AddSpacePrefix: &no, ChatTemplate: template}
	add := func(token string, kind int32) {
		v.Tokens, v.Types, v.Scores = append(v.Tokens, token), append(v.Types, kind), append(v.Scores, 0)
	}
	add("<unk>", tokenizer.TypeUnknown)
	add("<s>", tokenizer.TypeControl)
	add("</s>", tokenizer.TypeControl)
	add("▁", tokenizer.TypeNormal)
	for b := range 256 {
		add(fmt.Sprintf("<0x%02X>", b), tokenizer.TypeByte)
	}
	tok, err := tokenizer.FromVocabulary(v)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// tokenized are the records of a file as distil and scenarios learn from them.
func tokenized(t *testing.T, records []json.RawMessage, tok *tokenizer.Tokenizer) (*task.JSONL, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "data.jsonl")
	var b strings.Builder
	for _, record := range records {
		b.Write(record)
		b.WriteByte('\n')
	}
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c := task.DefaultJSONL(name)
	c.ValidationShare, c.CalibrationShare, c.MaxTokens = 0, 0, 1<<13
	return task.NewJSONL(t.Context(), c, tok, tok.EOS(), chatOf(tok))
}

// TestConversationsOfPublishedTemplates: what is learned from a record of messages is the text that
// Jinja 3.1.6 writes with the four families' templates, up to the last answer.
// testdata/conversations.json has the records and the SHA-256 of each text.
func TestConversationsOfPublishedTemplates(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "conversations.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Records map[string]json.RawMessage   `json:"records"`
		Sums    map[string]map[string]string `json:"sha256"`
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	for family, sums := range golden.Sums {
		template, err := os.ReadFile(shareddata.Path(t, "tokenizers", "templates", family+".jinja"))
		if err != nil {
			t.Fatal(err)
		}
		tok := byteTokens(t, string(template))
		for name, want := range sums {
			j, err := tokenized(t, []json.RawMessage{golden.Records[name]}, tok)
			if err != nil {
				t.Errorf("%s, %s: %v", family, name, err)
				continue
			}
			text := tok.Decode(j.Train(1, 0).Tokens)
			if got := fmt.Sprintf("%x", sha256.Sum256([]byte(text))); got != want {
				t.Errorf("%s, %s: another text than Jinja's:\n%s", family, name, text)
			}
		}
	}
}

// TestTemplatesThatRefuseARecord: an error names the record's line and says what the template says.
func TestTemplatesThatRefuseARecord(t *testing.T) {
	const turns = `{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}`
	good := json.RawMessage(`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`)
	for _, c := range []struct{ template, record, want string }{
		{turns, `{"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"},{"role":"assistant","content":"c"}]}`, "Conversation roles must alternate"},
		{turns, `{"messages":[{"role":"system","content":"a"},{"role":"user","content":"b"},{"role":"assistant","content":"c"}]}`, "Conversation roles must alternate"},
		{turns, `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"assistant","content":"c"}]}`, "Conversation roles must alternate"},
		{`{% for m in messages %}[{{ m.role }}]{{ m.content + 1 if m.role == 'tool' else m.content }}{% endfor %}`, `{"messages":[{"role":"user","content":"a"},{"role":"tool","content":"b"},{"role":"assistant","content":"c"}]}`, "chat template: line 1"},
	} {
		_, err := tokenized(t, []json.RawMessage{good, json.RawMessage(c.record)}, byteTokens(t, c.template))
		if err == nil || !strings.Contains(err.Error(), "data.jsonl:2: chat template: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: found %v, expected the line and %q", c.record, err, c.want)
		}
	}
}
