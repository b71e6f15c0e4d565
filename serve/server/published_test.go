package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// published compiles OpenAI's schemas of what a server sends, by their names.
var published = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	f, err := os.Open("testdata/openai.json")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	document, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("openai.json", document); err != nil {
		return nil, err
	}
	all := map[string]*jsonschema.Schema{}
	for name := range document.(map[string]any)["$defs"].(map[string]any) {
		if all[name], err = c.Compile("openai.json#/$defs/" + name); err != nil {
			return nil, err
		}
	}
	return all, nil
})

// checked counts the bodies that were compared with each schema.
var checked = struct {
	sync.Mutex
	by map[string]int
}{by: map[string]int{}}

// conform fails unless a value satisfies one of OpenAI's schemas.
func conform(t testing.TB, name, text string) {
	t.Helper()
	if err := conforms(name, text); err != nil {
		t.Errorf("not a %s: %.600s\n%v", name, text, err)
	}
	checked.Lock()
	checked.by[name]++
	checked.Unlock()
}

func conforms(name, text string) error {
	all, err := published()
	if err != nil {
		return err
	}
	schema, ok := all[name]
	if !ok {
		return errors.New("no such schema")
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	if name == "CreateCompletionResponse" {
		asSent(value)
	}
	return schema.Validate(value)
}

// asSent replaces what OpenAI sends in completions though its schema does not have it: null for the
// finish_reason of an answer that goes on, and for the log-probability of a first token.
func asSent(value any) {
	choices, _ := value.(map[string]any)["choices"].([]any)
	for _, c := range choices {
		choice := c.(map[string]any)
		if choice["finish_reason"] == nil {
			choice["finish_reason"] = finishStop
		}
		logprobs, _ := choice["logprobs"].(map[string]any)
		for name, instead := range map[string]any{"token_logprobs": json.Number("0"), "top_logprobs": map[string]any{}} {
			if list, _ := logprobs[name].([]any); len(list) > 0 && list[0] == nil {
				list[0] = instead
			}
		}
	}
}

// bodies are the schemas of an endpoint's answers: a whole one, and the events of a stream.
var bodies = map[string]struct{ whole, event string }{
	"/v1/completions":      {"CreateCompletionResponse", "CreateCompletionResponse"},
	"/v1/chat/completions": {"CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"},
	"/v1/responses":        {"Response", "ResponseStreamEvent"},
	"/v1/embeddings":       {"CreateEmbeddingResponse", ""},
	"/v1/models":           {"ListModelsResponse", ""},
	"/v1/models/tiny":      {"Model", ""},
}

// conformity compares an answer with OpenAI's schemas.
func (r reply) conformity(t testing.TB, path string) {
	t.Helper()
	kind := r.header.Get("Content-Type")
	switch {
	case r.status >= 400 && r.body != "":
		conform(t, "ErrorResponse", r.body)
	case r.status != http.StatusOK || bodies[path].whole == "" || strings.Contains(r.body, `"embedding":"`): // of base64
	case strings.HasPrefix(kind, "text/event-stream"):
		for frame := range strings.SplitSeq(r.body, "\n\n") {
			_, data, _ := strings.Cut(frame, "data: ")
			switch {
			case data == "" || data == "[DONE]":
			case strings.HasPrefix(data, `{"error":`):
				conform(t, "ErrorResponse", data)
			default:
				conform(t, bodies[path].event, data)
			}
		}
	default:
		conform(t, bodies[path].whole, r.body)
	}
}

// TestPublishedSchemas: bodies of each kind satisfy OpenAI's schemas, as do those of all other
// tests; and the schemas refuse what they should.
func TestPublishedSchemas(t *testing.T) {
	x := start(t, script, Options{}, withTemplate(t, calling))
	ask := func(path, body string) {
		t.Helper()
		if got := x.post(t, path, body); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	for _, stream := range []string{"", `,"stream":true`} {
		usage := ""
		if stream != "" {
			usage = `,"stream_options":{"include_usage":true}`
		}
		for _, more := range []string{"", `,"logprobs":3`, `,"echo":true,"logprobs":2`, `,"n":2`, `,"max_tokens":100`} {
			ask("/v1/completions", `{"prompt":"hello<a>"`+more+stream+usage+`}`)
		}
		for _, more := range []string{"", `,"logprobs":true,"top_logprobs":2`, `,"max_tokens":3`, "," + twoTools, `,"tool_choice":"required",` + twoTools} {
			for _, question := range []string{"hello", "weather"} {
				ask("/v1/chat/completions", `{"messages":[{"role":"user","content":"`+question+`"}]`+more+stream+usage+`}`)
			}
		}
		for _, more := range []string{"", `,"max_output_tokens":3`, `,"instructions":"be brief","metadata":{"a":"b"},"temperature":0.5,"top_p":0.9`, `,"include":["message.output_text.logprobs"],"top_logprobs":2`,
			"," + flatTools, `,"tool_choice":"required",` + flatTools, `,"tool_choice":{"type":"function","name":"weather"},` + flatTools, `,"text":{"format":{"type":"json_object"}}`,
			`,"text":{"format":{"type":"json_schema","name":"a","schema":{"enum":[1]},"strict":true}}`} {
			for _, question := range []string{"hello", "weather"} {
				ask("/v1/responses", `{"input":"`+question+`"`+more+stream+`}`)
			}
		}
	}
	ask("/v1/embeddings", `{"input":["a","b"]}`)
	x.send(t, "GET", "/v1/models", "")
	x.send(t, "GET", "/v1/models/tiny", "")
	x.post(t, "/v1/completions", `{}`)
	checked.Lock()
	defer checked.Unlock()
	for path, b := range bodies {
		if checked.by[b.whole] == 0 || b.event != "" && checked.by[b.event] == 0 {
			t.Errorf("%s: no body was compared: %v", path, checked.by)
		}
	}
	for name, text := range map[string]string{
		"CreateCompletionResponse":           `{"id":"a","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"t","logprobs":null,"finish_reason":"tool_calls"}]}`,
		"CreateChatCompletionResponse":       `{"id":"a","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"t"},"logprobs":null,"finish_reason":"stop"}]}`,
		"CreateChatCompletionStreamResponse": `{"id":"a","object":"chat.completion","created":1,"model":"m","choices":[]}`,
		"Response":                           `{"id":"a","object":"response"}`,
		"ResponseStreamEvent":                `{"type":"response.output_text.delta","item_id":"a","output_index":0,"content_index":0,"delta":"d","sequence_number":1}`,
		"CreateEmbeddingResponse":            `{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":"AA=="}],"usage":{"prompt_tokens":1,"total_tokens":1}}`,
		"ErrorResponse":                      `{"error":"busy"}`,
		"ListModelsResponse":                 `{"object":"list","data":[{"id":"m"}]}`,
	} {
		if conforms(name, text) == nil {
			t.Errorf("the schema %s accepts %s", name, text)
		}
	}
}
