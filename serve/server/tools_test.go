package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"slimlab/model/chat"
	"slimlab/model/tokenizer"
	"slimlab/serve"
)

// calling is a template that writes calls as Hermes does.
const calling = `<bos>{% if tools %}{% for t in tools %}<tool {{ t.function.name }}>{% endfor %}{% endif %}` +
	`{% for m in messages %}{% if m.role == 'user' %}<u>{% elif m.role == 'assistant' %}<a>{% else %}<{{ m.role }}>{% endif %}{{ m.content }}` +
	`{% if m.tool_calls %}{% for c in m.tool_calls %}{{ "\n" }}<tool_call>{{ "\n" }}{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}{{ "\n" }}</tool_call>{% endfor %}{% endif %}` +
	`{% if m.role == 'assistant' %}<eos>{% endif %}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}`

// withTemplate serves a model by another template.
func withTemplate(t testing.TB, source string) func(*fake, *Model) {
	return func(_ *fake, m *Model) {
		parsed, err := chat.Parse(source, "<bos>", "<eos>")
		if err != nil {
			t.Fatal(err)
		}
		m.Template = parsed
	}
}

// llamas is a template that writes one call as Llama does.
var llamas = strings.NewReplacer(`{{ "\n" }}<tool_call>{{ "\n" }}`, "", `{{ "\n" }}</tool_call>`, "", `"arguments"`, `"parameters"`,
	`{% for c in m.tool_calls %}`, `{% if m.tool_calls|length > 1 %}{{ raise_exception("one call") }}{% endif %}{% for c in m.tool_calls %}`).Replace(calling)

const twoTools = `"tools":[
	{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"place":{"enum":["here","there"]},"days":{"type":"integer","minimum":1,"maximum":9}},"required":["place","days"],"additionalProperties":false}}},
	{"type":"function","function":{"name":"stop","parameters":{"properties":{},"additionalProperties":false}}}]`

// validArguments reports whether a call satisfies the schemas of twoTools.
func validArguments(name, arguments string) bool {
	var a struct {
		Place string
		Days  int
	}
	if err := json.Unmarshal([]byte(arguments), &a); err != nil {
		return false
	}
	return name == "stop" && strings.ReplaceAll(arguments, " ", "") == "{}" || name == "weather" && slices.Contains([]string{"here", "there"}, a.Place) && a.Days >= 1 && a.Days <= 9
}

// An answer that has to be a call is one, whatever the model would say.
func TestRequiredCalls(t *testing.T) {
	for name, template := range map[string]string{"hermes": calling, "llama": llamas} {
		both := "<tool_call>\n{\"name\": \"stop\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"stop\", \"arguments\": {}}\n</tool_call>"
		x := start(t, map[string]string{"hello": script["hello"], "both": both}, Options{}, withTemplate(t, template))
		ended, several := 0, 0
		for seed := range 12 {
			for _, choice := range []string{`"required"`, `"required","parallel_tool_calls":false`, `{"type":"function","function":{"name":"weather"}}`} {
				body := fmt.Sprintf(`{"messages":[{"role":"user","content":%q}],"max_tokens":200,"seed":%d,%s,"tool_choice":%s`, []string{"hello", "both"}[seed%2], seed, twoTools, choice)
				got := decode[chatCompletion](t, x.post(t, "/v1/chat/completions", body+"}")).Choices[0]
				text, finish, calls := joined(frames(t, x.post(t, "/v1/chat/completions", body+`,"stream":true}`).body), 0)
				if *got.FinishReason == finishLength {
					continue
				}
				ended++
				if *got.FinishReason != finishCalls || got.Message.Content != nil || len(got.Message.ToolCalls) == 0 {
					t.Fatalf("%s, %s: %+v (%s), want calls alone", name, choice, got.Message, *got.FinishReason)
				}
				if text != "" || finish != finishCalls || len(calls) != len(got.Message.ToolCalls) {
					t.Errorf("%s, %s: the stream has %q and %d calls (%s), the whole %d", name, choice, text, len(calls), finish, len(got.Message.ToolCalls))
				}
				if n := len(got.Message.ToolCalls); n > 1 {
					if several++; choice != `"required"` || name == "llama" {
						t.Errorf("%s, %s: %d calls, want one", name, choice, n)
					}
				}
				for i, c := range got.Message.ToolCalls {
					if !validArguments(c.Function.Name, c.Function.Arguments) || c.Function != calls[i].Function || strings.Contains(choice, "function") && c.Function.Name != "weather" {
						t.Errorf("%s, %s: %+v, in the stream %+v", name, choice, c.Function, calls[i].Function)
					}
				}
			}
		}
		if ended < 20 || (several > 0) != (name == "hermes") {
			t.Errorf("%s: %d answers came to their ends, %d of several calls", name, ended, several)
		}
		x.idle(t)
	}
}

// A required call that is cut off is told as far as it came, in a stream as in the whole, and its
// text never is.
func TestCallsThatAreCutOffAreTold(t *testing.T) {
	for name, template := range map[string]string{"hermes": calling, "llama": llamas} {
		x := start(t, nil, Options{}, withTemplate(t, template))
		told := 0
		for most := 1; most < 60; most += 3 {
			body := fmt.Sprintf(`{"messages":[{"role":"user","content":"hello"}],"seed":3,"max_tokens":%d,%s,"tool_choice":"required"`, most, twoTools)
			got := decode[chatCompletion](t, x.post(t, "/v1/chat/completions", body+"}")).Choices[0]
			text, finish, calls := joined(frames(t, x.post(t, "/v1/chat/completions", body+`,"stream":true}`).body), 0)
			m := got.Message
			if m.Content != nil && *m.Content != "" || text != "" || finish != *got.FinishReason || len(calls) != len(m.ToolCalls) || finish == finishCalls && len(calls) == 0 {
				t.Fatalf("%s, %d tokens: %+v (%s); the stream has %q and %v (%s)", name, most, m, *got.FinishReason, text, calls, finish)
			}
			for i, c := range calls {
				if c.Function != m.ToolCalls[i].Function || c.Function.Name != "weather" && c.Function.Name != "stop" {
					t.Errorf("%s, %d tokens: %+v, in the stream %+v", name, most, m.ToolCalls[i], c)
				}
			}
			if finish == finishLength {
				told += len(calls)
			}
		}
		if told == 0 {
			t.Errorf("%s: no call was cut off behind its name", name)
		}
	}
}

// A call of a strict tool satisfies its schema though none is required; text is free.
func TestStrictTools(t *testing.T) {
	answers := map[string]string{
		"wrong": "Let me < look.<tool_call>{\"name\": \"weather\", \"arguments\": {\"place\": \"nowhere\"}}\n</tool_call>",
		"hello": script["hello"],
		"twice": "<tool_call>\n{\"name\": \"stop\", \"arguments\": {}}\n</tool_call>\n<tool_call>x",
	}
	x := start(t, answers, Options{}, withTemplate(t, calling))
	strict := strings.ReplaceAll(twoTools, `"function":{`, `"function":{"strict":true,`)
	ask := func(question, tools, more string) chatChoice {
		return decode[chatCompletion](t, x.post(t, "/v1/chat/completions", fmt.Sprintf(`{"messages":[{"role":"user","content":%q}],"max_tokens":200,%s%s}`, question, tools, more))).Choices[0]
	}
	if got := ask("hello", strict, ""); *got.Message.Content != script["hello"] || *got.FinishReason != finishStop {
		t.Errorf("%+v", got.Message)
	}
	if got := ask("wrong", twoTools, `,"temperature":0`); len(got.Message.ToolCalls) != 1 || validArguments("weather", got.Message.ToolCalls[0].Function.Arguments) {
		t.Errorf("the model is no test: %+v", got.Message)
	}
	ended := 0
	for seed := range 10 {
		for _, question := range []string{"wrong", "twice"} {
			got := ask(question, strict, fmt.Sprintf(`,"seed":%d,"temperature":0.1`, seed))
			if *got.FinishReason == finishCalls {
				ended++
			}
			if question == "wrong" && (got.Message.Content == nil || !strings.HasPrefix(*got.Message.Content, "Let me < look.")) {
				t.Errorf("the text before the call is %v", got.Message.Content)
			}
			for _, c := range got.Message.ToolCalls {
				if !validArguments(c.Function.Name, c.Function.Arguments) {
					t.Errorf("%s: %+v", question, c.Function)
				}
			}
		}
	}
	if ended == 0 {
		t.Error("no answer ended with a call")
	}
	x.idle(t)
}

// allowing is twoTools, of which only one may be called.
func allowing(mode, name string) string {
	return twoTools + fmt.Sprintf(`,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":%q,"tools":[{"type":"function","function":{"name":%q}}]}}`, mode, name)
}

// Of the tools only those that are allowed are called, in whatever form and whatever the model
// would call; where a call is not required, text stays free.
func TestAllowedTools(t *testing.T) {
	for name, template := range map[string]string{"hermes": calling, "llama": llamas} {
		x := start(t, script, Options{}, withTemplate(t, template))
		ended := 0
		for seed := range 10 {
			for _, mode := range []string{"auto", "required"} {
				if mode == "auto" && name == "llama" {
					continue
				}
				body := fmt.Sprintf(`{"messages":[{"role":"user","content":"weather"}],"max_tokens":200,"temperature":0.1,"seed":%d,%s}`, seed, allowing(mode, "stop"))
				got := decode[chatCompletion](t, x.post(t, "/v1/chat/completions", body)).Choices[0]
				if free := got.Message.Content != nil && strings.HasPrefix(*got.Message.Content, "Let me look."); free != (mode == "auto") {
					t.Errorf("%s, %s: %+v", name, mode, got.Message)
				}
				for _, c := range got.Message.ToolCalls {
					if ended++; c.Function.Name != "stop" {
						t.Errorf("%s, %s: %s is called", name, mode, c.Function.Name)
					}
				}
			}
		}
		if ended == 0 {
			t.Errorf("%s: no answer has a call", name)
		}
		all := decode[chatCompletion](t, x.post(t, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hello"}],"max_tokens":200,"temperature":0,`+twoTools+
			`,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"stop"}},{"type":"function","function":{"name":"weather"}}]}}}`)).Choices[0]
		if all.Message.Content == nil || *all.Message.Content != script["hello"] {
			t.Errorf("%s, all tools are allowed: %+v", name, all.Message)
		}
		x.idle(t)
	}
}

// No token may go on beyond the end of a tag, nor end the answer within a call; a fork goes its own
// way.
func TestStrictCallsToken(t *testing.T) {
	x := start(t, script, Options{}, withTemplate(t, calling))
	tools, err := readTools([]byte(`[{"type":"function","function":{"name":"f","strict":true}}]`))
	if err != nil {
		t.Fatal(err)
	}
	f, err := x.server.strictCalls(t.Context(), &callPlan{tools: tools})
	if err != nil {
		t.Fatal(err)
	}
	c := &strictCalls{strictForm: f}
	may := func(c *strictCalls, id int32) bool {
		bits := make([]uint64, (vocabulary+63)/64)
		c.Allowed(bits)
		return bits[id/64]>>(id%64)&1 == 1
	}
	end := x.tokenizer.EOS()
	if !may(c, end) || !may(c, x.ask) {
		t.Error("a text may not end, or have a special token")
	}
	for _, id := range x.tokenizer.Encode("so <tool_call") {
		if !may(c, id) {
			t.Fatalf("token %d (%q) is not allowed", id, x.tokenizer.Text(id))
		}
		c.Accept(id)
	}
	fork := c.Fork().(*strictCalls)
	c.Accept(x.tokenizer.Encode(">")[0])
	if may(c, end) || c.call == nil {
		t.Error("the answer may end within a call")
	}
	if !may(fork, end) || fork.call != nil {
		t.Error("a fork went on with the other")
	}
	for _, id := range x.tokenizer.Encode("\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>") {
		if !may(c, id) {
			t.Fatalf("token %d (%q) is not allowed in a call", id, x.tokenizer.Text(id))
		}
		c.Accept(id)
	}
	if !may(c, end) || c.Err() != nil {
		t.Errorf("the answer may not end behind the call: %v", c.Err())
	}
}

// A token that a tag ends in, and that goes on behind it, may come elsewhere only.
func TestTokensBeyondATag(t *testing.T) {
	tok, err := tokenizer.Train(slices.Values([]string{strings.Repeat("l>{ ", 50)}), 270, nil)
	if err != nil {
		t.Fatal(err)
	}
	beyond := tok.Encode(">{")
	if len(beyond) != 1 {
		t.Fatalf("%v are no single token", beyond)
	}
	s := &Server{model: Model{Tokenizer: tok, Shape: serve.Shape{Vocabulary: tok.Vocab()}}}
	c := &strictCalls{strictForm: s.newStrictForm(nil)}
	may := func(text string) bool {
		for _, id := range tok.Encode(text) {
			c.Accept(id)
		}
		bits := make([]uint64, (tok.Vocab()+63)/64)
		c.Allowed(bits)
		return bits[beyond[0]/64]>>(beyond[0]%64)&1 == 1
	}
	for _, step := range []struct {
		text string
		want bool
	}{{"", true}, {"<tool_cal", true}, {"l", false}, {"x", true}, {"a <tool_call", false}, {"l", true}} {
		if got := may(step.text); got != step.want {
			t.Errorf("after %q the token %q is allowed: %v, want %v", step.text, ">{", got, step.want)
		}
	}
}

func TestToolsAreRefused(t *testing.T) {
	x := start(t, script, Options{}, withTemplate(t, calling))
	other := start(t, script, Options{})
	llama := start(t, script, Options{}, withTemplate(t, llamas))
	list := func(function string) string { return `"tools":[{"type":"function","function":` + function + `}]` }
	for _, c := range []struct {
		x          *fixture
		body, says string
	}{
		{x, twoTools + `,"tool_choice":"maybe"`, `tool_choice: found "maybe", expected "none", "auto", "required", a function or allowed_tools`},
		{x, twoTools + `,"tool_choice":{"type":"custom"}`, `tool_choice.type: found "custom"`},
		{x, twoTools + `,"tool_choice":{"type":"function","function":{"name":"run"}}`, `tool_choice.function.name: found "run", expected the name of one of the 2 tools`},
		{x, twoTools + `,"tool_choice":7`, "tool_choice: found a number"},
		{x, allowing("auto", "run"), `tool_choice.allowed_tools.tools[0].function.name: found "run", expected the name of one of the 2 tools`},
		{x, allowing("none", "stop"), `tool_choice.allowed_tools.mode: found "none", expected auto or required`},
		{x, twoTools + `,"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"stop"}]}`, `tool_choice.allowed_tools.mode: found none`},
		{x, twoTools + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}`, "tool_choice.allowed_tools.tools: found none"},
		{x, twoTools + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"mcp"}]}}`, `tool_choice.allowed_tools.tools[0].type: found "mcp", expected function`},
		{llama, allowing("auto", "stop"), "tool_choice: found some of the tools"},
		{x, `"tool_choice":"required"`, `tool_choice: found "required" without tools`},
		{x, twoTools + `,"tool_choice":"required","regex":"a"`, "regex: found it beside a tool_choice"},
		{x, twoTools + `,"tool_choice":"required","response_format":{"type":"xml"}`, "response_format.type"},
		{x, list(`{"name":"f","parameters":{"not":{}}}`) + `,"tool_choice":"required"`, `tools[0].function.parameters: JSON Schema at "": the keyword "not"`},
		{x, list(`{"name":"f","parameters":{"type":"array"}}`) + `,"tool_choice":"required"`, `tools[0].function.parameters.type: found "array"`},
		{x, list(`{"name":"f","parameters":[]}`) + `,"tool_choice":"required"`, "tools[0].function.parameters: found []"},
		{x, list(`{"name":"a\"b"}`) + `,"tool_choice":"required"`, `tools[0].function.name: found "a\"b"`},
		{x, list(`{"name":"f","strict":true,"parameters":{"not":{}}}`), "tools[0].function.parameters: JSON Schema"},
		{x, list(`{"name":""}`), `tools[0].function.name: found ""`},
		{x, list(`{}`), "tools[0].function.name: found none"},
		{x, list(`{"name":"a b\n"}`), `tools[0].function.name: found "a b\n", expected 1 to 64 of`},
		{x, list(`{"name":"` + strings.Repeat("a", 65) + `"}`), "tools[0].function.name: found "},
		{x, list(`{"name":"f","parameters":"x"}`), `tools[0].function.parameters: found "x", expected a JSON Schema`},
		{x, list(`{"name":"f","description":7}`), "tools[0].function.description: found a number, expected a string"},
		{x, `"tools":[null]`, "tools[0]: found null, expected an object"},
		{x, `"tools":[{"function":{"name":"f"}}]`, "tools[0].type: found none, expected function"},
		{x, `"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"f"}}]`, `tools[1].function.name: found "f", which tools[0].function has`},
		{x, twoTools + `,"tool_choice":{}`, "tool_choice.type: found none, expected"},
		{x, twoTools + `,"tool_choice":{"type":"function"}`, "tool_choice.function.name: found none, expected"},
		{other, twoTools + `,"tool_choice":"required"`, "tool_choice: a call cannot be required of this model: chat template: it does not write calls"},
		{other, list(`{"name":"f","strict":true}`), "tools[0].function.strict: found true"},
		{llama, list(`{"name":"f","strict":true}`), "held to their schemas only where tool_choice requires them: its calls begin with"},
	} {
		got := c.x.post(t, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hello"}],`+c.body+`}`)
		if p := refusal(t, got); got.status != 400 || !strings.Contains(p.Message, c.says) {
			t.Errorf("%s: %d %s, want 400 with %q", c.body, got.status, p.Message, c.says)
		}
	}
}

// A form that the server would not find in an answer is not required.
func TestUnreadableForms(t *testing.T) {
	x := start(t, script, Options{}, withTemplate(t, strings.NewReplacer("<tool_call>", "[CALL]", "</tool_call>", "[END]").Replace(calling)))
	got := x.post(t, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hello"}],`+twoTools+`,"tool_choice":"required"}`)
	if p := refusal(t, got); got.status != 400 || !strings.Contains(p.Message, "in a form that this server does not read") {
		t.Errorf("%d %s", got.status, p.Message)
	}
}

// TestIDsOfAnEarlierAnswer: models that number the calls of each answer anew are taken as they are,
// and so are calls without an id.
func TestIDsOfAnEarlierAnswer(t *testing.T) {
	x := start(t, script, Options{})
	turn := `{"role":"assistant","tool_calls":[{"id":"0","function":{"name":"f","arguments":"{}"}},{"id":"1","function":{"name":"f","arguments":"{}"}}]},` +
		`{"role":"tool","tool_call_id":"0","content":"a"},{"role":"tool","tool_call_id":"1","content":"b"},`
	none := `{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"f","arguments":"{}"}}]},`
	if got := x.post(t, "/v1/chat/completions", `{"messages":[`+turn+turn+none+`{"role":"user","content":"hello"}],"max_tokens":1}`); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}
