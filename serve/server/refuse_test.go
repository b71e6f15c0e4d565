package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// refusal is the error of a reply, which has to have OpenAI's shape.
func refusal(t testing.TB, r reply) problem {
	t.Helper()
	var body struct{ Error *problem }
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || body.Error == nil || body.Error.Message == "" || body.Error.Type == "" {
		t.Fatalf("status %d, body %q: no error in OpenAI's shape", r.status, r.body)
	}
	for _, key := range []string{`"param":`, `"code":`} {
		if !strings.Contains(r.body, key) {
			t.Errorf("the error %s has no %s", r.body, key)
		}
	}
	return *body.Error
}

// Whatever is wrong with a request is a defined error that names it.
func TestRefusals(t *testing.T) {
	x := start(t, script, Options{Limits: Limits{Body: 4000, Header: 2000, Depth: 10, Choices: 6, Stops: 4, StopBytes: 8}})
	const completions, chats = "/v1/completions", "/v1/chat/completions"
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	tests := []struct {
		name, path, body string
		status           int
		code, says       string
	}{
		{"no JSON", completions, `{"prompt":`, 400, "", "line 1, column"},
		{"no body", completions, "", 415, "unsupported_media_type", "application/json"},
		{"a list", completions, `[1]`, 400, "", "expected an object"},
		{"no UTF-8", completions, "{\"prompt\":\"\xff\"}", 400, "", "byte 11 is no UTF-8"},
		{"deep", completions, `{"prompt":` + deep + `}`, 400, "limit_exceeded", "found lists and objects 1001 deep, expected at most 10"},
		{"large", completions, `{"prompt":"` + strings.Repeat("a", 5000) + `"}`, 413, "limit_exceeded", "found 5013 bytes, expected at most 4000"},
		{"another model", completions, `{"model":"../../etc/passwd","prompt":"a"}`, 404, "model_not_found", `found "../../etc/passwd", expected "tiny"`},
		{"no prompt", completions, `{}`, 400, "", "prompt: found none"},
		{"an empty prompt", completions, `{"prompt":""}`, 400, "", "prompt 0 has no tokens"},
		{"no prompts", completions, `{"prompt":[]}`, 400, "", "found an empty list"},
		{"mixed prompts", completions, `{"prompt":["a",{}]}`, 400, "", "expected a string"},
		{"a number", completions, `{"prompt":3}`, 400, "", "prompt: found 3"},
		{"a foreign token", completions, `{"prompt":[1,2,999999]}`, 400, "", "found token 999999 at position 2, expected 0 to 329"},
		{"a negative token", completions, `{"prompt":[-1]}`, 400, "", "found token -1"},
		{"a token with a fraction", completions, `{"prompt":[1.5]}`, 400, "", "expected a whole number"},
		{"many prompts", completions, `{"prompt":["a","a","a","a","a","a","a"]}`, 400, "limit_exceeded", "found 7 prompts, expected at most 6"},
		{"many answers", completions, `{"prompt":["a","a","a","a"],"n":2}`, 400, "limit_exceeded", "found 8 answers, expected at most 6"},
		{"answers beyond all numbers", completions, `{"prompt":["a","b","c","d"],"n":4611686018427387904,"max_tokens":1}`, 400, "limit_exceeded", "n: found 4611686018427387904 answers, expected at most 6"},
		{"logits beyond all numbers", completions, `{"prompt":"a b c","n":4611686018427387904,"prompt_logits":[1]}`, 400, "limit_exceeded", "n: found 4611686018427387904 answers, expected at most 6"},
		{"wrong type", completions, `{"prompt":"a","max_tokens":"many"}`, 400, "", "max_tokens: found a string, expected a whole number"},
		{"no tokens", completions, `{"prompt":"a","max_tokens":0}`, 400, "", "max_tokens: found 0, expected at least 1"},
		{"negative", completions, `{"prompt":"a","max_tokens":-5}`, 400, "", "max_tokens: found -5"},
		{"infinite", completions, `{"prompt":"a","temperature":1e999}`, 400, "", "temperature"},
		{"hot", completions, `{"prompt":"a","temperature":2.5}`, 400, "", "temperature: found 2.5, expected 0 to 2"},
		{"NaN", completions, `{"prompt":"a","temperature":NaN}`, 400, "", "not JSON"},
		{"top_p", completions, `{"prompt":"a","top_p":0}`, 400, "", "top_p: found 0"},
		{"top_k", completions, `{"prompt":"a","top_k":-2}`, 400, "", "top_k: found -2"},
		{"n", completions, `{"prompt":"a","n":0}`, 400, "", "n: found 0"},
		{"stream options", completions, `{"prompt":"a","stream_options":{}}`, 400, "", "stream_options"},
		{"stop strings", completions, `{"prompt":"a","stop":["a","a","a","a","a"]}`, 400, "limit_exceeded", "stop: found 5 strings, expected at most 4"},
		{"a long stop string", completions, `{"prompt":"a","stop":"123456789"}`, 400, "limit_exceeded", "found 9 bytes in a string, expected at most 8"},
		{"a stop that is no string", completions, `{"prompt":"a","stop":[1]}`, 400, "", "stop[0]: found a number, expected a string"},
		{"stop tokens", completions, `{"prompt":"a","stop_token_ids":[1000]}`, 400, "", "stop_token_ids: found token 1000"},
		{"too long", completions, `{"prompt":"a","max_tokens":600}`, 400, "context_length_exceeded", "this model has 512 positions, found a prompt of 1 token and 600 for the answer"},
		{"too long beyond all numbers", completions, `{"prompt":"a","max_tokens":9223372036854775807}`, 400, "context_length_exceeded", "and 9223372036854775807 for the answer"},
		{"a key of another place", completions, `{"prompt":"a","use_beam_search":true}`, 400, "unsupported_parameter", "use_beam_search: found true"},
		{"a foreign bias", completions, `{"prompt":"a","logit_bias":{"9999":2}}`, 400, "", `logit_bias: found token "9999"`},
		{"a large bias", completions, `{"prompt":"a","logit_bias":{"9":200}}`, 400, "", "logit_bias: found 200 for token 9"},
		{"a penalty", completions, `{"prompt":"a","presence_penalty":-3}`, 400, "", "presence_penalty: found -3"},
		{"min_tokens", completions, `{"prompt":"a","min_tokens":17}`, 400, "", "min_tokens: found 17, expected 0 to 16"},
		{"many alternatives", completions, `{"prompt":"a","logprobs":21}`, 400, "limit_exceeded", "logprobs: found 21 alternatives, expected at most 20"},
		{"alternatives of nothing", chats, `{"messages":[{"role":"user","content":"a"}],"top_logprobs":3}`, 400, "", "top_logprobs: found 3 without logprobs"},
		{"many alternatives of a prompt", completions, `{"prompt":"a","prompt_logprobs":21}`, 400, "limit_exceeded", "prompt_logprobs: found 21 alternatives, expected at most 20"},
		{"all alternatives of a prompt", completions, `{"prompt":"a","prompt_logprobs":-1}`, 400, "", "prompt_logprobs: found -1, expected 0 to 20"},
		{"a prompt's in a stream", completions, `{"prompt":"a","prompt_logprobs":1,"stream":true}`, 400, "", "prompt_logprobs: found it in a stream"},
		{"a prompt's of a chat", chats, `{"messages":[{"role":"user","content":"a"}],"prompt_logprobs":1}`, 400, "unsupported_parameter", "prompt_logprobs: found 1"},
		{"two forms", completions, `{"prompt":[1],"prompt_logprobs":1,"prompt_logprob_token_ids":[[]]}`, 400, "", "prompt_logprob_token_ids: found them beside prompt_logprobs"},
		{"listed tokens of an echo", completions, `{"prompt":[1],"echo":true,"logprobs":1,"prompt_logprob_token_ids":[[]]}`, 400, "", "prompt_logprob_token_ids: found them beside logprobs of an echo"},
		{"listed tokens in a stream", completions, `{"prompt":[1],"stream":true,"prompt_logprob_token_ids":[[]]}`, 400, "", "prompt_logprob_token_ids: found them in a stream"},
		{"listed tokens of another prompt", completions, `{"prompt":[1,2],"prompt_logprob_token_ids":[[]]}`, 400, "", "prompt_logprob_token_ids: found 1 lists, expected one for each of the prompt's 2 tokens"},
		{"listed tokens of two prompts", completions, `{"prompt":[[1],[2]],"prompt_logprob_token_ids":[[]]}`, 400, "", "prompt_logprob_token_ids: found them for 2 prompts"},
		{"listed tokens of the first", completions, `{"prompt":[1],"prompt_logprob_token_ids":[[1]]}`, 400, "", "prompt_logprob_token_ids[0]: found 1 token, expected none"},
		{"foreign listed tokens", completions, `{"prompt":[1,2],"prompt_logprob_token_ids":[[],[330]]}`, 400, "", "prompt_logprob_token_ids[1]: found token 330"},
		{"no tokens beside an echo", completions, `{"prompt":"a","echo":true,"max_tokens":0}`, 400, "", "max_tokens: found 0, expected at least 1"},
		{"fewer than no tokens", completions, `{"prompt":"a","prompt_logprobs":1,"max_tokens":-1}`, 400, "", "max_tokens: found -1, expected at least 0"},
		{"no input", "/v1/embeddings", `{}`, 400, "", "input: found none"},
		{"a pooling", "/v1/embeddings", `{"input":"a","pooling":"max"}`, 400, "", `pooling: found "max", expected last or mean`},
		{"an encoding", "/v1/embeddings", `{"input":"a","encoding_format":"hex"}`, 400, "", `encoding_format: found "hex", expected float or base64`},
		{"dimensions", "/v1/embeddings", `{"input":"a","dimensions":4}`, 400, "unsupported_parameter", "dimensions: found 4"},
		{"a long input", "/v1/embeddings", `{"input":[[1],[` + strings.Repeat("2,", 512) + `2]]}`, 400, "context_length_exceeded", "input: there is room for 512 tokens, found 513 in number 1"},
		{"no messages", chats, `{}`, 400, "", "messages: found none"},
		{"an empty list of messages", chats, `{"messages":[]}`, 400, "", "messages: found an empty list, expected at least one"},
		{"an empty list of messages to tokenize", "/tokenize", `{"messages":[]}`, 400, "", "messages: found an empty list, expected at least one"},
		{"an empty list of inputs", "/v1/embeddings", `{"input":[]}`, 400, "", "input: found an empty list"},
		{"an empty input", "/v1/embeddings", `{"input":["a",""]}`, 400, "", "input: prompt 1 has no tokens, expected at least one"},
		{"an empty query", "/v1/score", `{"query":[],"items":["a"],"label_token_ids":[1]}`, 400, "", "query: found an empty list, expected one text or list of tokens"},
		{"two queries", "/v1/score", `{"query":["a","b"],"items":["a"],"label_token_ids":[1]}`, 400, "", "query: found 2, expected one text or list of tokens"},
		{"an empty list of labels", "/v1/score", `{"query":"a","items":["a"],"label_token_ids":[]}`, 400, "", "label_token_ids: found an empty list, expected at least one"},
		{"no labels", "/v1/score", `{"query":"a","items":["a"]}`, 400, "", "label_token_ids: found none, expected at least one"},
		{"a message that is none", chats, `{"messages":[3]}`, 400, "", "messages[0]: found"},
		{"a role", chats, `{"messages":[{"role":"king","content":"a"}]}`, 400, "", `messages[0].role: found "king"`},
		{"no content", chats, `{"messages":[{"role":"user"}]}`, 400, "", "messages[0].content: found none"},
		{"a refusal of the user's", chats, `{"messages":[{"role":"user","content":null,"refusal":"no"}]}`, 400, "", "messages[0].refusal: found one of the user"},
		{"a refusal and a content", chats, `{"messages":[{"role":"assistant","content":"a","refusal":"no"}]}`, 400, "", "messages[0].refusal: found it beside a content"},
		{"a picture", chats, `{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, 400, "invalid_value", `messages[0].content[0].type: found "image_url"`},
		{"arguments", chats, `{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}]}`, 400, "", "messages[0].tool_calls[0].function.arguments"},
		{"a tool", chats, `{"messages":[{"role":"user","content":"a"}],"tools":[{"type":"web"}]}`, 400, "", `tools[0].type: found "web"`},
		{"a tool that must be called", chats, `{"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required"}`, 400, "unsupported_parameter", "tool_choice"},
		{"tokenize nothing", "/tokenize", `{}`, 400, "", "expected a prompt or messages"},
		{"detokenize", "/detokenize", `{"tokens":[7777]}`, 400, "", "tokens: found token 7777"},
		{"elsewhere", "/v1/files", `{}`, 404, "unknown_url", "/v1/completions"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := x.post(t, test.path, test.body)
			p := refusal(t, got)
			code := ""
			if p.Code != nil {
				code = *p.Code
			}
			if got.status != test.status || code != test.code || !strings.Contains(p.Message, test.says) {
				t.Errorf("%d %s: %s; want %d %s: %s", got.status, code, p.Message, test.status, test.code, test.says)
			}
			if p.Param != nil && !strings.HasPrefix(p.Message, *p.Param) && code != "model_not_found" {
				t.Errorf("the parameter %s is not in the message %q", *p.Param, p.Message)
			}
		})
	}
	t.Run("header", func(t *testing.T) {
		got := x.send(t, http.MethodPost, completions, `{"prompt":"a"}`, "X-Large", strings.Repeat("a", 3000))
		if p := refusal(t, got); got.status != 431 || !strings.Contains(p.Message, "expected at most 2000") {
			t.Errorf("%d: %s", got.status, p.Message)
		}
	})
	t.Run("method", func(t *testing.T) {
		got := x.send(t, http.MethodGet, completions, "")
		if p := refusal(t, got); got.status != 405 || got.header.Get("Allow") != "POST" {
			t.Errorf("%d: %s, allowed %q", got.status, p.Message, got.header.Get("Allow"))
		}
	})
	if got := decode[completion](t, x.post(t, completions, `{"prompt":"hello<a>","max_tokens":40}`)).Choices[0].Text; got != script["hello"] {
		t.Errorf("afterwards the server says %q", got)
	}
}

func TestWithoutTemplate(t *testing.T) {
	x := start(t, script, Options{}, func(_ *fake, m *Model) { m.Template, m.NoTemplate = nil, "the tokenizer has no chat template" })
	if p := refusal(t, x.post(t, "/v1/chat/completions", `{"messages":[{"role":"user","content":"a"}]}`)); !strings.Contains(p.Message, "use /v1/completions") {
		t.Error(p.Message)
	}
}

func TestUnknownFieldsAreListed(t *testing.T) {
	x := start(t, script, Options{})
	got := x.post(t, "/v1/completions", `{"prompt":"hello<a>","zebra":1,"best_off":{},"a\nb":2,"user":"me","n":null}`)
	if got.status != http.StatusOK || got.header.Get("X-Ignored-Fields") != `["a\nb"], best_off, zebra` {
		t.Errorf("status %d, ignored %q", got.status, got.header.Get("X-Ignored-Fields"))
	}
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf(`"field%d":0`, i))
	}
	got = x.post(t, "/v1/completions", `{"prompt":"hello<a>",`+strings.Join(many, ",")+`}`)
	if list := got.header.Get("X-Ignored-Fields"); got.status != http.StatusOK || len(list) > 1100 || !strings.HasSuffix(list, " more") {
		t.Errorf("status %d, ignored %q", got.status, list)
	}
}

func TestAccess(t *testing.T) {
	x := start(t, script, Options{Keys: []string{"one", "two"}, Origins: []string{"https://app.example"}})
	body := `{"prompt":"hello<a>"}`
	tests := []struct {
		name, method, path string
		header             []string
		status             int
		code               string
	}{
		{"no key", "POST", "/v1/completions", nil, 401, "missing_api_key"},
		{"another key", "POST", "/v1/completions", []string{"Authorization", "Bearer three"}, 401, "invalid_api_key"},
		{"another scheme", "POST", "/v1/completions", []string{"Authorization", "Basic one"}, 401, "missing_api_key"},
		{"a key", "POST", "/v1/completions", []string{"Authorization", "Bearer one"}, 200, ""},
		{"the other key", "POST", "/v1/completions", []string{"Authorization", "bearer two"}, 200, ""},
		{"metrics", "GET", "/metrics", nil, 401, "missing_api_key"},
		{"flush with a key", "GET", "/flush_cache", []string{"Authorization", "Bearer one"}, 200, ""},
		{"flush without one", "GET", "/flush_cache", nil, 401, "missing_api_key"},
		{"nowhere", "GET", "/nowhere", nil, 401, "missing_api_key"},
		{"health", "GET", "/health", nil, 200, ""},
		{"ready", "GET", "/ready", nil, 200, ""},
		{"a page that is allowed", "POST", "/v1/completions", []string{"Authorization", "Bearer one", "Origin", "https://app.example"}, 200, ""},
		{"a page that is not", "POST", "/v1/completions", []string{"Authorization", "Bearer one", "Origin", "https://evil.example"}, 403, "origin_not_allowed"},
		{"its question", "OPTIONS", "/v1/completions", []string{"Origin", "https://app.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization"}, 204, ""},
		{"a page of the server", "POST", "/v1/completions", []string{"Authorization", "Bearer one", "Origin", x.http.URL}, 200, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			send := body
			if test.method != "POST" {
				send = ""
			}
			got := x.send(t, test.method, test.path, send, test.header...)
			if got.status != test.status {
				t.Fatalf("status %d, want %d: %s", got.status, test.status, got.body)
			}
			if test.code != "" {
				if p := refusal(t, got); p.Code == nil || *p.Code != test.code {
					t.Errorf("code %v, want %s", p.Code, test.code)
				}
			}
			allowed := got.header.Get("Access-Control-Allow-Origin")
			if want := strings.Contains(fmt.Sprint(test.header), "app.example"); (allowed != "") != want {
				t.Errorf("allowed origin %q", allowed)
			}
		})
	}
	if strings.Contains(x.log.String(), "three") {
		t.Error("the log has a key")
	}
}

// A page that a browser shows can have it fetch any address, as an image: without keys nothing that
// a GET reaches changes anything.
func TestFlushIsNoImage(t *testing.T) {
	x := start(t, nil, Options{})
	if got := x.send(t, "GET", "/flush_cache", ""); got.status != 405 || got.header.Get("Allow") != "POST" {
		t.Errorf("%d %s, expected a 405 that allows POST", got.status, got.body)
	}
}

// A path with empty or dotted parts is none, in OpenAI's shape as others.
func TestPathsAreNotMended(t *testing.T) {
	x := start(t, nil, Options{})
	for _, path := range []string{"//", "/v1//models", "/v1/./models", "/v1/models/../models", "//v1/models", "/nowhere/", "/v1/completions/"} {
		got := x.send(t, "GET", path, "")
		if p := refusal(t, got); got.status != 404 || *p.Code != "unknown_url" || got.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if log := x.log.String(); !strings.Contains(log, " took_s=") {
		t.Errorf("the log is %s", log)
	}
}

func TestOrigins(t *testing.T) {
	for origin, want := range map[string]bool{
		"*": true, "null": true, "https://a.example": true, "http://localhost:3000": true, "http://[::1]:8080": true, "chrome-extension://abc": true,
		"": false, "zz": false, "https://a.example/": false, "https://A.example": false, "HTTPS://a.example": false, "https://a.example:443": false, "a.example": false, "https://": false,
		"https://u@a.example": false, "https://a.example?x": false, "https://a.example#x": false, "https://a b": false, "file:///x": false,
	} {
		if err := CheckOrigin(origin); (err == nil) != want {
			t.Errorf("%q: %v", origin, err)
		}
		if _, err := New(Model{Name: "m", NoTemplate: "none"}, Options{Origins: []string{origin}}); !want && (err == nil || !strings.Contains(err.Error(), "origin")) {
			t.Errorf("a server for %q: %v", origin, err)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	x := start(t, script, Options{})
	if got := x.send(t, "GET", "/health", "", "X-Request-Id", "mine-1").header.Get("X-Request-Id"); got != "mine-1" {
		t.Errorf("id %q, want that of the request", got)
	}
	for _, bad := range []string{"", "a b", strings.Repeat("x", 200)} {
		if got := x.send(t, "GET", "/health", "", "X-Request-Id", bad).header.Get("X-Request-Id"); !strings.HasPrefix(got, "req_") {
			t.Errorf("id %q for %q, want a new one", got, bad)
		}
	}
	if log := x.log.String(); !strings.Contains(log, "id=mine-1") {
		t.Errorf("the log has no line of the request: %s", log)
	}
}
