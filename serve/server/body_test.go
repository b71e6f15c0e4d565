package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"slimlab/internal/jsonread"
	"slimlab/serve/grammar"
)

// endpoints are the bodies of all that read one, each with a request that is answered.
var endpoints = []struct {
	path, body string
	shape      *shape
}{
	{"/v1/completions", `"prompt":[1,2],"max_tokens":2`, completionShape},
	{"/v1/chat/completions", `"messages":[{"role":"user","content":"hello"}],"max_tokens":2`, chatShape},
	{"/v1/responses", `"input":"hello","max_output_tokens":2`, responseShape},
	{"/v1/embeddings", `"input":"hello"`, embeddingShape},
	{"/v1/score", `"query":"a","items":["b"],"label_token_ids":[1]`, scoreShape},
	{"/tokenize", `"messages":[{"role":"user","content":"hello"}]`, tokenizeShape},
	{"/detokenize", `"tokens":[1]`, detokenizeShape},
}

// replaced is a body with another value of one key.
func replaced(t *testing.T, body, key, value string) string {
	t.Helper()
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte("{"+body+"}"), &members); err != nil {
		t.Fatal(err)
	}
	members[key] = json.RawMessage(value)
	data, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestNothingIsNull: in no field of any body null stands for a value in a list or a map. As the
// value of a field it is as if the field were not given.
func TestNothingIsNull(t *testing.T) {
	x := start(t, script, Options{}, withTemplate(t, calling))
	for _, e := range endpoints {
		if got := x.post(t, e.path, "{"+e.body+"}"); got.status != http.StatusOK {
			t.Fatalf("%s: %d %s", e.path, got.status, got.body)
		}
		for key, rule := range e.shape.keys {
			if key == "chat_template_kwargs" || key == "prompt_cache_options" { // whatever their names
				continue
			}
			for _, value := range []string{`[null]`, `[[null]]`, `{"5":null}`, `[1,null]`, `["a",null]`, `[[1,null]]`, `[[],[null]]`} {
				got := x.post(t, e.path, replaced(t, e.body, key, value))
				known := rule.Use != jsonread.Refused
				if got.status != http.StatusBadRequest && !(value == `{"5":null}` && strings.Contains(got.header.Get("X-Ignored-Fields"), key+".5")) {
					t.Errorf("%s: %s: %s is answered with %d: %.200s", e.path, key, value, got.status, got.body)
				} else if got.status == http.StatusBadRequest && known {
					if p := refusal(t, got); p.Param == nil || !strings.HasPrefix(*p.Param, key) {
						t.Errorf("%s: %s: %s is refused without its place: %s", e.path, key, value, p.Message)
					}
				}
			}
			if strings.Contains(e.body, `"`+key+`"`) {
				continue
			}
			if got := x.post(t, e.path, replaced(t, e.body, key, "null")); got.status != http.StatusOK {
				t.Errorf("%s: %s: null is answered with %d: %s", e.path, key, got.status, got.body)
			}
		}
	}
}

// TestBodiesAreRefused: each error names its field, what stands there and what is expected.
func TestBodiesAreRefused(t *testing.T) {
	x := start(t, script, Options{}, withTemplate(t, calling))
	const completion, chat, message = "/v1/completions", "/v1/chat/completions", `"messages":[{"role":"user","content":"a"}]`
	long := strings.Repeat("1,", 600) + "1"
	for _, c := range []struct{ path, body, param, code, says string }{
		{completion, `{"prompt":[1,null]}`, "prompt[1]", "", "found null, expected a whole number"},
		{completion, `{"prompt":[[1,null]]}`, "prompt[0][1]", "", "found null, expected a whole number"},
		{completion, `{"prompt":["a",null]}`, "prompt[1]", "", "found null, expected a string"},
		{completion, `{"prompt":"a","stop":["a",null]}`, "stop[1]", "", "found null, expected a string"},
		{completion, `{"prompt":"a","logit_bias":{"5":null}}`, "logit_bias.5", "", "found null, expected a number"},
		{completion, `{"prompt":"a","logit_bias":{"5":100,"05":-100}}`, "logit_bias", "", `found token "05", expected "5"`},
		{completion, `{"prompt":"a","logit_bias":{"+5":1}}`, "logit_bias", "", `found token "+5", expected "5"`},
		{completion, `{"prompt":"a","logit_bias":{"-0":1}}`, "logit_bias", "", `found token "-0", expected "0"`},
		{completion, `{"prompt":"a","logit_bias":{"5":1,"\u0035":1}}`, `logit_bias["\u0035"]`, "", "it stands twice"},
		{completion, `{"prompt":"a","max_tokens":1,"max_tokens":2}`, "max_tokens", "", "it stands twice, with the values 1 and 2"},
		{completion, `{"prompt":"a","max_tokens":1,"max_tokens":1}`, "max_tokens", "", "it stands twice"},
		{completion, `{"prompt":"a","Prompt":"b"}`, "Prompt", "", "found another spelling of prompt"},
		{completion, `{"prompt":"a","stop":true}`, "stop", "", "found true or false, expected a string or a list of strings"},
		{completion, `{"prompt":"a","temperature":1e400}`, "temperature", "", "found the number 1e400, expected a number of at most 1.8e308"},
		{completion, `{"prompt":"a","user":[1]}`, "user", "", "found a list, expected a string"},
		{completion, `{"prompt":"a","metadata":"x"}`, "metadata", "", "found a string, expected an object"},
		{completion, `{"prompt":"a","metadata":[1]}`, "metadata", "", "found a list, expected an object"},
		{completion, `{"prompt":"a","metadata":{"a":1}}`, "metadata.a", "", "found a number, expected a string"},
		{completion, `{"prompt":"a","metadata":` + metadata(17, 1, 1) + `}`, "metadata", "limit_exceeded", "found 17 pairs, expected at most 16"},
		{chat, `{` + message + `,"metadata":` + metadata(1, 65, 1) + `}`, "metadata", "limit_exceeded", "found 65 characters in the key"},
		{"/v1/responses", `{"input":"a","metadata":` + metadata(2, 1, 513) + `}`, "metadata.a", "limit_exceeded", "found 513 characters, expected at most 512"},
		{completion, `{"prompt":"a","safety_identifier":3}`, "safety_identifier", "", "found a number"},
		{completion, `{"prompt":"a","prompt_cache_key":{}}`, "prompt_cache_key", "", "found an object"},
		{completion, `{"prompt":"a","service_tier":"flex"}`, "service_tier", "unsupported_parameter", `found "flex"`},
		{completion, `{"prompt":"a","service_tier":{}}`, "service_tier", "unsupported_parameter", "found {}"},
		{completion, `{"prompt":"a","best_of":[]}`, "best_of", "unsupported_parameter", "expected no such key or null or 1"},
		{completion, `{"prompt":"a","suffix":{}}`, "suffix", "unsupported_parameter", "found {}"},
		{completion, `{"prompt":"a","use_beam_search":{}}`, "use_beam_search", "unsupported_parameter", "found {}"},
		{completion, `{"prompt":"a","guided_json":{}}`, "guided_json", "unsupported_parameter", "found {}"},
		{completion, `{"prompt":"a","guided_choice":["a"]}`, "guided_choice", "unsupported_parameter", "found"},
		{completion, `{"prompt":"a","bad_words":["a"]}`, "bad_words", "unsupported_parameter", "found"},
		{completion, `{"prompt":"a","allowed_token_ids":[]}`, "allowed_token_ids", "unsupported_parameter", "found []"},
		{completion, `{"prompt":"a","truncate_prompt_tokens":4}`, "truncate_prompt_tokens", "unsupported_parameter", "found 4"},
		{completion, `{"prompt":"a\ud800"}`, "prompt", "", `found the escape \ud800 alone, half of a surrogate pair`},
		{completion, `{"prompt":["a","\udc00\ud800"]}`, "prompt[1]", "", `found the escape \udc00 alone`},
		{completion, `{"prompt":"a","stop":"\uD83D"}`, "stop", "", `found the escape \uD83D alone`},
		{completion, `{"prompt":"a","regex":"\ud83d\ud83d"}`, "regex", "", "half of a surrogate pair"},
		{completion, `null`, "", "", "the body: found null, expected an object"},
		{completion, `[]`, "", "", "the body: found a list, expected an object"},
		{completion, `{"prompt":[` + long + `]}`, "prompt", "context_length_exceeded", "this model has 512 positions"},
		{completion, `{"prompt":"a","regex":"a{1073741825}"}`, "regex", "limit_exceeded", "over the limit"},
		{completion, `{"prompt":"a","response_format":{"type":"json_schema","json_schema":{"schema":{"patternProperties":{"a":true,"b":true,"c":true,"d":true,"e":true,"f":true,"g":true}}}}}`,
			"response_format.json_schema.schema", "limit_exceeded", "patternProperties of one object passed the limit of 6"},
		{completion, `{"prompt":"a","stream":true,"stream_options":{"continuous_usage_stats":true}}`, "stream_options.continuous_usage_stats", "unsupported_parameter", "found true"},
		{chat, `{` + message + `,"response_format":{}}`, "response_format.type", "", "found none, expected text"},
		{chat, `{` + message + `,"response_format":{"type":"json_schema","json_schema":{"name":7,"schema":{}}}}`, "response_format.json_schema.name", "", "found a number, expected a string"},
		{chat, `{"messages":[{"content":"a"}]}`, "messages[0].role", "", "found none, expected one of"},
		{chat, `{"messages":[null]}`, "messages[0]", "", "found null, expected an object"},
		{chat, `{"messages":[{"role":"user","content":[null]}]}`, "messages[0].content[0]", "", "found null, expected an object"},
		{chat, `{"messages":[{"role":"user","content":[{"text":"a"}]}]}`, "messages[0].content[0].type", "invalid_value", "found none, expected text"},
		{chat, `{"messages":[{"role":"user","content":[{"type":"input_text","text":"a"}]}]}`, "messages[0].content[0].type", "invalid_value", `found "input_text", expected text in a content of the user`},
		{chat, `{"messages":[{"role":"assistant","content":[{"type":"output_text","text":"a"}]}]}`, "messages[0].content[0].type", "invalid_value", `found "output_text", expected text or refusal in a content of the assistant`},
		{chat, `{"messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}]}`, "messages[0].tool_calls[1].id", "invalid_value", `found "c", which messages[0].tool_calls[0] has, expected another`},
		{chat, `{"messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","content":"a","tool_call_id":"c"},{"role":"tool","content":"b","tool_call_id":"c"}]}`, "messages[2].tool_call_id", "invalid_value", `found "c", which messages[1] has, expected another`},
		{chat, `{"messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","content":"a","tool_call_id":"d"}]}`, "messages[1].tool_call_id", "", `found "d", expected the id of a call before it`},
		{chat, `{"messages":[{"role":"user","content":[{"type":"text"}]}]}`, "messages[0].content[0].text", "", "found none, expected a text"},
		{chat, `{"messages":[{"role":"tool","content":"a"}]}`, "messages[0].tool_call_id", "", "found none"},
		{chat, `{"messages":[{"role":"tool","content":"a","tool_call_id":"x"}]}`, "messages[0].tool_call_id", "", `found "x", expected the id of a call before it`},
		{chat, `{` + message + `,"max_tokens":5,"max_completion_tokens":3}`, "max_tokens", "", "found 5 beside max_completion_tokens 3"},
		{chat, `{` + message + `,"max_tokens":600}`, "messages", "context_length_exceeded", "this model has 512 positions"},
		{chat, `{` + message + `,"chat_template_kwargs":{"messages":[]}}`, "chat_template_kwargs.messages", "unsupported_parameter", "found []"},
		{chat, `{` + message + `,"store":true}`, "store", "unsupported_parameter", "found true"},
		{"/v1/responses", `{"input":"a","max_output_tokens":600}`, "input", "context_length_exceeded", "this model has 512 positions"},
		{"/v1/responses", `{"input":[{"role":"user","content":[null]}]}`, "input[0].content[0]", "", "found null"},
		{"/v1/responses", `{"input":"a","tools":[{"type":"function"}]}`, "tools[0].name", "", "found none"},
		{"/v1/responses", `{"input":"a","text":{"format":{}}}`, "text.format.type", "", "found none"},
		{"/v1/embeddings", `{"input":[[null]]}`, "input[0][0]", "", "found null, expected a whole number"},
		{"/v1/embeddings", `{"input":[` + long + `]}`, "input", "context_length_exceeded", "there is room"},
		{"/v1/score", `{"query":"a","items":[[` + long + `]],"label_token_ids":[1]}`, "items", "context_length_exceeded", "there is room"},
		{"/v1/score", `{"query":[` + long + `],"items":["a"],"label_token_ids":[1]}`, "query", "context_length_exceeded", "there is room"},
		{"/v1/score", `{"query":"a","items":["b"],"label_token_ids":[1,2,1]}`, "label_token_ids[2]", "", "found token 1, which stands at position 0 already"},
		{"/tokenize", `{"prompt":"a","tools":[]}`, "tools", "", "found them beside prompt"},
		{"/tokenize", `{` + message + `,"add_special_tokens":true}`, "add_special_tokens", "", "found true beside messages"},
		{"/detokenize", `{"tokens":[null]}`, "tokens[0]", "", "found null, expected a whole number"},
		{"/detokenize", `{"tokens":null}`, "tokens", "", "found none, expected a list of tokens"},
		{"/detokenize", `{}`, "tokens", "", "found none, expected a list of tokens"},
	} {
		got := x.post(t, c.path, c.body)
		if got.status != http.StatusBadRequest {
			t.Errorf("%.120s: %d %.200s", c.body, got.status, got.body)
			continue
		}
		p, param, code := refusal(t, got), "", ""
		if p.Param != nil {
			param = *p.Param
		}
		if p.Code != nil {
			code = *p.Code
		}
		if param != c.param || code != c.code || !strings.Contains(p.Message, c.says) {
			t.Errorf("%.120s: param %q, code %q: %s; want %q, %q: %s", c.body, param, code, p.Message, c.param, c.code, c.says)
		}
	}
	for header, says := range map[string]string{"Content-Encoding=gzip": `Content-Encoding: found "gzip"`, "Content-Type=application/json; charset=latin1": `found the charset "latin1"`} {
		name, value, _ := strings.Cut(header, "=")
		if got := x.send(t, http.MethodPost, completion, `{"prompt":"a"}`, name, value); got.status != http.StatusUnsupportedMediaType || !strings.Contains(refusal(t, got).Message, says) {
			t.Errorf("%s: %d %s", header, got.status, got.body)
		}
	}
	if got := x.send(t, http.MethodPost, completion, `{"prompt":"a"}`, "Content-Type", "application/json; charset=UTF-8", "Content-Encoding", "identity"); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestUnknownFieldsOfAllDepths: a key that nobody reads is listed with its path; a JSON Schema and
// what is known are not.
func TestUnknownFieldsOfAllDepths(t *testing.T) {
	x := start(t, script, Options{}, withTemplate(t, calling))
	const chat, message = "/v1/chat/completions", `"messages":[{"role":"user","content":"a"}],"max_tokens":1`
	for _, c := range []struct{ path, body, want string }{
		{chat, `{"messages":[{"role":"user","content":[{"type":"text","text":"a","b":1}],"zzz":1}],"max_tokens":1}`, "messages[0].zzz, messages[0].content[0].b"},
		{chat, `{"messages":[{"role":"user","content":"a"},{"role":"assistant","refusal":null,"tool_calls":[{"id":"1","type":"function","index":0,"function":{"name":"f","arguments":"{}","q":1}}]}],"max_tokens":1}`, "messages[1].tool_calls[0].index, messages[1].tool_calls[0].function.q"},
		{chat, `{` + message + `,"tools":[{"type":"function","q":1,"function":{"name":"f","zz":1,"description":"d","parameters":{"type":"object","q":1}}}]}`, "tools[0].q, tools[0].function.zz"},
		{chat, `{` + message + `,"response_format":{"type":"text","zzz":1,"json_schema":{}}}`, "response_format.json_schema, response_format.zzz"},
		{chat, `{` + message + `,"response_format":{"type":"json_object","schema":{}}}`, "response_format.schema"},
		{chat, `{` + message + `,"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"enum":[null]},"b":1}}}`, "response_format.json_schema.b"},
		{chat, `{` + message + `,"stream":true,"stream_options":{"include_usage":true,"zzz":1}}`, "stream_options.zzz"},
		{chat, `{` + message + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","q":1,"function":{"name":"f"}}}`, "tool_choice.q"},
		{chat, `{` + message + `,"":1,"a b":2,"é":3}`, `[""], ["a b"], ["?"]`},
		{chat, `{` + message + `,"chat_template_kwargs":{"a":[null],"b":{"c":null}}}`, ""},
		{"/v1/responses", `{"input":[{"role":"user","content":[{"type":"input_text","text":"a","zzz":1}]}],"max_output_tokens":1}`, "input[0].content[0].zzz"},
		{"/v1/responses", `{"input":[{"role":"user","content":"a","name":5,"refusal":"z","tool_calls":5}],"max_output_tokens":1}`, "input[0].name, input[0].refusal, input[0].tool_calls"},
		{"/v1/responses", `{"input":[{"role":"assistant","content":[{"type":"refusal","refusal":"no","text":7},{"type":"output_text","text":"a","refusal":5}]}],"max_output_tokens":1}`, "input[0].content[0].text, input[0].content[1].refusal"},
		{chat, `{"messages":[{"role":"user","content":[{"type":"text","text":"a","refusal":"z"}],"refusal":""},{"role":"assistant","content":"b","refusal":""}],"max_tokens":1}`, "messages[0].content[0].refusal"},
		{"/v1/responses", `{"input":[{"role":"user","content":"a","name":"b","id":"1"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}","zz":1},{"type":"function_call_output","call_id":"c","output":"a","created_by":1}],"max_output_tokens":1}`, "input[0].name, input[1].zz, input[2].created_by"},
		{"/v1/responses", `{"input":"a","max_output_tokens":1,"reasoning":{"effort":null,"summary":null,"zz":1},"stream_options":{"include_obfuscation":false,"a":1}}`, "reasoning.zz, stream_options.a"},
		{"/v1/responses", `{"input":"a","max_output_tokens":1,"reasoning":{},"stream_options":{}}`, ""},
		{"/v1/responses", `{"input":"a","max_output_tokens":1,"tools":[{"type":"function","name":"f","function":{}}],"text":{"form":{},"format":{"type":"text","grammar":"g"}}}`, "text.form, text.format.grammar, tools[0].function"},
	} {
		got := x.post(t, c.path, c.body)
		if ignored := got.header.Get("X-Ignored-Fields"); got.status != http.StatusOK || ignored != c.want {
			t.Errorf("%s: %d, ignored %q, want %q %.200s", c.body, got.status, ignored, c.want, got.body)
		}
	}
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf(`{"role":"user","content":"","a%d":0}`, i))
	}
	got := x.post(t, "/tokenize", `{"messages":[`+strings.Join(many, ",")+`]}`)
	if list := got.header.Get("X-Ignored-Fields"); got.status != http.StatusOK || len(list) > 1100 || !strings.HasSuffix(list, " more") {
		t.Errorf("%d, ignored %q", got.status, list)
	}
}

// TestNothingAllowedNamesItsField: where the vocabulary cannot write what is asked for.
func TestNothingAllowedNamesItsField(t *testing.T) {
	for _, c := range []struct {
		settings settings
		want     string
	}{
		{settings{Regex: new(string)}, "regex"}, {settings{ResponseFormat: json.RawMessage(`{}`)}, "response_format"}, {settings{wanted: &wantedForm{param: "text.format"}}, "text.format"},
		{settings{calls: &callPlan{must: true}}, "tool_choice"}, {settings{calls: &callPlan{some: true}}, "tools"}, {settings{}, ""},
	} {
		if got := c.settings.held(); got != c.want {
			t.Errorf("found %q, want %q", got, c.want)
		}
	}
	x := start(t, script, Options{})
	letters := make([][]byte, vocabulary)
	letters[10] = []byte("a")
	x.server.vocabulary = func() *grammar.Vocabulary { return grammar.NewVocabulary(letters, x.tokenizer.EOS()) }
	for field, body := range map[string]string{"regex": `"regex":"ab"`, "response_format": `"response_format":{"type":"json_object"}`} {
		got := x.post(t, "/v1/completions", `{"prompt":"a",`+body+`}`)
		if p := refusal(t, got); got.status != http.StatusBadRequest || p.Code == nil || *p.Code != "nothing_allowed" || p.Param == nil || *p.Param != field {
			t.Errorf("%s: %d %s", field, got.status, got.body)
		}
	}
}

// metadata are so many pairs, whose keys and values have so many characters of two bytes each, the
// last of the key aside.
func metadata(pairs, key, value int) string {
	var all []string
	for i := range pairs {
		all = append(all, fmt.Sprintf("%q:%q", strings.Repeat("é", key-1)+string(rune('a'+i)), strings.Repeat("é", value)))
	}
	return "{" + strings.Join(all, ",") + "}"
}

// TestMetadataComesBack: as much as OpenAI takes is taken, and comes back where it does there.
func TestMetadataComesBack(t *testing.T) {
	x := start(t, script, Options{})
	most := metadata(16, 64, 512)
	got := x.post(t, "/v1/responses", `{"input":"hello","max_output_tokens":1,"metadata":`+most+`}`)
	if got.status != http.StatusOK || !strings.Contains(got.body, `"metadata":`+most) {
		t.Errorf("%d %s", got.status, got.body)
	}
}
