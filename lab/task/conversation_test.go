package task

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// tagged writes "<role>content</>", asks with "<assistant>", and may forget what earlier answers
// said, as templates do that drop earlier thoughts.
type tagged struct{ forgets bool }

func (c tagged) Write(messages, tools json.RawMessage, ask bool) (string, error) {
	var list []struct{ Role, Content string }
	if err := json.Unmarshal(messages, &list); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(string(tools))
	for i, m := range list {
		if m.Role == "nobody" {
			return "", fmt.Errorf("who?")
		}
		if c.forgets && m.Role == assistant && i < len(list)-1 {
			m.Content = "…"
		}
		fmt.Fprintf(&b, "<%s>%s</>", m.Role, m.Content)
	}
	if ask {
		b.WriteString("<assistant>")
	}
	return b.String(), nil
}

// answers returns an example's text with brackets around what is learned.
func answers(e Example) string {
	var b strings.Builder
	learned := func(i int) bool {
		return i >= 0 && i < len(e.Tokens) && e.Answer[i] && (e.Weights == nil || e.Weights[i] > 0)
	}
	for i, token := range e.Tokens {
		if learned(i) && !learned(i-1) {
			b.WriteByte('[')
		}
		b.WriteString(textOf([]int32{token}))
		if learned(i) && !learned(i+1) {
			b.WriteByte(']')
		}
	}
	return b.String()
}

func TestAnswersOfConversationsAreLearned(t *testing.T) {
	for _, c := range []struct {
		name, record string
		chat         tagged
		want, note   string
	}{
		{"one answer", `{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ok"}]}`, tagged{}, "<user>hi</><assistant>[ok</>]", `conversations in "messages"`},
		{"two answers", `{"messages":[{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"assistant","content":"d"}]}`,
			tagged{}, "<system>s</><user>a</><assistant>[b</>]<user>c</><assistant>[d</>]", ""},
		{"a template that forgets", `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"assistant","content":"d"}]}`,
			tagged{forgets: true}, "<user>a</><assistant>…</><user>c</><assistant>[d</>]", "only the last answer is learned"},
		{"a question at the end", `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}`, tagged{}, "<user>a</><assistant>[b</>]", "which are left out"},
		{"a list of texts", `{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"c"}]},{"role":"assistant","content":[{"type":"text","text":"b"}]}]}`, tagged{}, "<user>a\nc</><assistant>[b</>]", "the content of 2 messages is a list of texts, which are joined with line ends"},
		{"an answer of weight 0", `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"x","weight":0},{"role":"user","content":"c"},{"role":"assistant","content":"d","weight":1}]}`, tagged{}, "<user>a</><assistant>x</><user>c</><assistant>[d</>]", "1 of 1 example has weights other than 1; 4 of 8 answer tokens have weight 0"},
		{"a call", `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},{"role":"tool","content":"x"},{"role":"assistant","content":"b"}]}`, tagged{}, "<user>a</><assistant>[</>]<tool>x</><assistant>[b</>]", ""},
		{"no picture", `{"images":[],"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`, tagged{}, "<user>a</><assistant>[b</>]", `"images"`},
		{"capitals", `{"Messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`, tagged{}, "<user>a</><assistant>[b</>]", `conversations in "Messages"`},
		{"tools", `{"tools":[1],"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`, tagged{}, "[1]<user>a</><assistant>[b</>]", ""},
		{"ShareGPT", `{"id":7,"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]}`, tagged{}, "<user>a</><assistant>[b</>]", `other fields are not read: "id"`},
		{"an answer alone", `{"messages":[{"role":"assistant","content":"b"}]}`, tagged{}, "<[assistant>b</>]", ""},
		{"a prompt beside it", `{"prompt":"a","prompt_id":"x","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`, tagged{}, "<user>a</><assistant>[b</>]", `"prompt", "prompt_id"`},
	} {
		cfg := DefaultJSONL(writeFile(t, c.record))
		cfg.ValidationShare, cfg.CalibrationShare = 0, 0
		j, err := NewJSONL(t.Context(), cfg, byteEncoder{}, endOfText, c.chat)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := answers(j.Train(1, 0)); got != c.want {
			t.Errorf("%s: %s, expected %s", c.name, got, c.want)
		}
		if notes := strings.Join(j.Notes(), "\n"); !strings.Contains(notes, c.note) {
			t.Errorf("%s: notes %s\nexpected %q", c.name, notes, c.note)
		}
	}
}

func TestConversationErrors(t *testing.T) {
	good := `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}` + "\n"
	for _, c := range []struct {
		content string
		chat    Chat
		want    string
	}{
		{good, nil, "data.jsonl:1: the file holds conversations, and the model's tokenizer has no chat template"},
		{good + `{"messages":[{"role":"user","content":"a"}]}`, tagged{}, `data.jsonl:2: field "messages" has 1 messages and none of the role "assistant"`},
		{good + `{"messages":[]}`, tagged{}, `data.jsonl:2: field "messages" has 0 messages`},
		{good + `{"messages":"a"}`, tagged{}, `data.jsonl:2: field "messages" is a string, expected an array of messages`},
		{good + `{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"x"}}]},{"role":"assistant","content":"b"}]}`, tagged{}, `data.jsonl:2: field "messages", message 0: field "content", part 1 is of the type "image_url", expected "text"`},
		{good + `{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}]}`, tagged{}, `part 0 is of the type "input_audio"`},
		{good + `{"messages":[{"role":"user","content":["a"]}]}`, tagged{}, `field "content", part 0: found a string, expected a JSON object`},
		{good + `{"messages":[{"role":"user","content":5}]}`, tagged{}, `message 0: field "content" is a number, expected a string`},
		{good + `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":{"a":1}}]}`, tagged{}, `message 1: field "content" is an object`},
		{good + `{"messages":[{"role":"user"}]}`, tagged{}, `message 0: found no content and no tool_calls`},
		{good + `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[]}]}`, tagged{}, `message 1: found no content and no tool_calls`},
		{`{"conversations":[{"from":"human","value":"<image> a"},{"from":"gpt","value":"b"}],"image":"a.jpg"}`, tagged{}, `found "image" beside a conversation, expected text alone: take such records out (jq -c 'select(.image | not)'`},
		{good + `{"messages":["a"]}`, tagged{}, `data.jsonl:2: field "messages", message 0: found a string, expected a JSON object`},
		{good + `{"messages":[{"content":"a"}]}`, tagged{}, `message 0: no field "role"`},
		{good + `{"prompt":"a"}`, tagged{}, `data.jsonl:2: no field "messages"`},
		{`{"conversations":[{"from":"human","value":"a"},{"from":"observation","value":"b"}]}`, tagged{}, `message 1: found "from" "observation", expected human, gpt or system`},
		{good + `{"messages":[{"role":"nobody","content":"a"},{"role":"assistant","content":"b"}]}`, tagged{}, "data.jsonl:2: who?"},
	} {
		cfg := DefaultJSONL(writeFile(t, c.content))
		cfg.ValidationShare, cfg.CalibrationShare = 0, 0
		_, err := NewJSONL(t.Context(), cfg, byteEncoder{}, endOfText, c.chat)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v\nexpected %q", c.content, err, c.want)
		}
	}
}

func TestFormsOfRecords(t *testing.T) {
	for _, c := range []struct{ record, want, note string }{
		{`{"instruction":"do","input":null,"output":"ok"}`, "do\n[ok<eos>]", `"input" is null in 1 of 1 record, read as an empty text`},
		{`{"instruction":"do","input":"this","output":"ok"}`, "do\nthis\n[ok<eos>]", `(and "input" where present) → "output"`},
		{`{"text":"a text"}`, "a[ text<eos>]", `texts in "text", of which every token is learned`},
		{`{"text":"a text","label":"x","prompt":"p"}`, "a[ text<eos>]", `other fields are not read: "label", "prompt"`},
		{`{"prompt":"p","completion":"c","id":1}`, "p\n[c<eos>]", `other fields are not read: "id"`},
		{`{"Prompt":"p","Completion":"c"}`, "p\n[c<eos>]", `fields "Prompt" → "Completion"`},
		{`{"Instruction":"do","INPUT":"this","Output":"ok"}`, "do\nthis\n[ok<eos>]", `(and "INPUT" where present) → "Output"`},
		{`{"TEXT":"a text"}`, "a[ text<eos>]", `texts in "TEXT"`},
		{`{"prompt":"p","completion":"c","label":true}`, "p\n[c<eos>]", `other fields are not read: "label"`},
		{`{"prompt":"p","answer":"a"}`, "p\n[a<eos>]", `fields "prompt" → "answer"`},
	} {
		cfg := DefaultJSONL(writeFile(t, c.record))
		cfg.ValidationShare, cfg.CalibrationShare = 0, 0
		j, err := NewJSONL(t.Context(), cfg, byteEncoder{}, endOfText, nil)
		if err != nil {
			t.Errorf("%s: %v", c.record, err)
			continue
		}
		if got, notes := answers(j.Train(1, 0)), strings.Join(j.Notes(), "\n"); got != c.want || !strings.Contains(notes, c.note) {
			t.Errorf("%s: %s, notes %s\nexpected %s, %q", c.record, got, notes, c.want, c.note)
		}
	}
}

// TestSharesOfZeroKeepNothingBack: with shares of 0 all records are trained on.
func TestSharesOfZeroKeepNothingBack(t *testing.T) {
	for _, n := range []int{1, 3, 60} {
		j := newJSONL(t, manyLines(n), func(c *JSONLConfig) { c.ValidationShare, c.CalibrationShare = 0, 0 })
		if j.TrainSize() != n || j.Kept() != 0 || len(j.Validation(0)) != 0 {
			t.Errorf("%d records: %d are trained on, %d kept", n, j.TrainSize(), j.Kept())
		}
	}
	cfg := DefaultJSONL(writeFile(t, manyLines(1)))
	cfg.CalibrationShare, cfg.Knobs.KeepNone = 0, "--all"
	if _, err := ReadJSONL(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "found 1 record with 1 different prompt, expected at least 2, one for each split (training, validation); --all trains on all") {
		t.Errorf("found %v", err)
	}
}

func TestReadPlainJoinsTheTextsOfRecords(t *testing.T) {
	for _, c := range []struct {
		content string
		chat    Chat
		limit   int
		want    string
	}{
		{"a\nb\n", nil, 0, "a\nb\n"},
		{`{"text":"a"}` + "\n" + `{"text":"b"}`, nil, 0, "a\n\nb"},
		{`{"text":"a"}` + "\n" + `{"text":"b"}`, nil, 1, "a"},
		{`[{"prompt":"p","response":"r"},{"prompt":"q","response":"s"}]`, nil, 0, "p\nr\n\nq\ns"},
		{`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`, tagged{}, 0, "<user>a</><assistant>b</>"},
	} {
		path := writeFile(t, c.content)
		if c.content[0] == 'a' {
			path = writeFile(t, c.content, "a.txt")
		}
		p, err := ReadPlain(t.Context(), path, c.limit, c.chat)
		if err != nil || p.Text != c.want {
			t.Errorf("%s: %+v, %v, expected %q", c.content, p, err, c.want)
			continue
		}
		if joined := strings.Contains(strings.Join(p.Notes, "\n"), "their texts are joined"); joined == (c.content[0] == 'a') {
			t.Errorf("%s: notes %q", c.content, p.Notes)
		}
	}
	for content, want := range map[string]string{
		`{"a":1}`: `cannot distinguish prompt and response among the fields "a"; expected text, or records with a text or with a prompt and its response`,
		`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`: "the file holds conversations, expected text",
	} {
		if _, err := ReadText(t.Context(), writeFile(t, content), 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected %q", content, err, want)
		}
	}
}
