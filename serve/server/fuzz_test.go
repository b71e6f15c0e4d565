package server

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"slimlab/serve/grammar"
)

// FuzzBodies: whatever is sent is answered, or refused in OpenAI's shape; it is never the server's
// fault, and nothing stays in the engine.
func FuzzBodies(f *testing.F) {
	paths := []string{"/v1/completions", "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/score", "/generative_scoring", "/tokenize", "/detokenize"}
	for _, body := range []string{
		`{"prompt":"hello<a>","max_tokens":3,"stop":["a"],"n":2,"logprobs":2}`, `{"prompt":[[1,2],[3]],"temperature":-0.0,"stream":true}`,
		`{"messages":[{"role":"user","content":[{"type":"text","text":"weather"}]}],"tools":[{"type":"function","function":{"name":"f"}}],"max_tokens":5}`,
		`{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]}],"regex":"a+","max_tokens":4}`,
		`{"input":[{"role":"user","content":"a"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"b"}],"max_output_tokens":3,"stream":true}`,
		`{"input":"a","max_output_tokens":20,"tools":[{"type":"function","name":"f","strict":true}],"tool_choice":"required","text":{"format":{"type":"json_object"}}}`,
		`{"query":[1,2],"items":[[3],[]],"label_token_ids":[1],"item_first":true}`, `{"input":["a",[1,2]],"pooling":"mean"}`, `{"tokens":[1,2,3]}`, `{"prompt":"\ud800","seed":-9223372036854775808}`,
		`{"prompt":"a","temperature":1e400}`, `{"prompt":"a","logit_bias":{"1":-100},"min_p":1}`, `[[[[`, "\xff", `{"prompt":"a","max_tokens":1e3}`,
	} {
		for i := range paths {
			f.Add(i, body)
		}
	}
	x := start(f, script, Options{Limits: Limits{Choices: 4}}, withTemplate(f, calling))
	x.http.Close()
	f.Fuzz(func(t *testing.T, path int, body string) {
		if path < 0 || path >= len(paths) {
			return
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, paths[path], strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := &patient{httptest.NewRecorder()}
		x.server.Handler().ServeHTTP(w, r)
		got := reply{w.Code, w.Header(), w.Body.String()}
		got.conformity(t, paths[path])
		if got.status != http.StatusOK {
			if refusal(t, got); got.status < 400 || got.status >= 500 {
				t.Errorf("%s %q: status %d: %s", paths[path], body, got.status, got.body)
			}
		}
		x.idle(t)
	})
}

// patient is a client without a deadline.
type patient struct{ *httptest.ResponseRecorder }

func (patient) SetReadDeadline(time.Time) error  { return nil }
func (patient) SetWriteDeadline(time.Time) error { return nil }

func TestHugeRequests(t *testing.T) {
	x := start(t, script, Options{})
	for name, body := range map[string]string{
		"stop strings": `{"prompt":"a","stop":[` + strings.Repeat(`"a",`, 1e5) + `"a"]}`,
		"brackets":     `{"prompt":` + strings.Repeat("[", 1e6),
		"a body":       `{"prompt":"` + strings.Repeat("a", 17<<20) + `"}`,
		"a prompt":     `{"prompt":"` + strings.Repeat("fox ", 1e5) + `"}`,
	} {
		if got := x.post(t, "/v1/completions", body); got.status != 400 && got.status != 413 {
			t.Errorf("%s: status %d", name, got.status)
		} else {
			refusal(t, got)
		}
	}
	x.idle(t)
}

func TestOneCallAtATime(t *testing.T) {
	const two = `<tool_call>{"name":"f","arguments":{}}</tool_call><tool_call>{"name":"g","arguments":{}}</tool_call>`
	x := start(t, map[string]string{"both": two, "llama": `{"name":"f"};{"name":"g"}`}, Options{})
	for question, calls := range map[string]int{"both": 2, "llama": 2} {
		ask := `{"messages":[{"role":"user","content":"` + question + `"}],"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]`
		if got := decode[chatCompletion](t, x.post(t, "/v1/chat/completions", ask+"}")); len(got.Choices[0].Message.ToolCalls) != calls {
			t.Errorf("%s: %+v, want %d calls", question, got.Choices[0].Message, calls)
		}
		got := decode[chatCompletion](t, x.post(t, "/v1/chat/completions", ask+`,"parallel_tool_calls":false}`))
		if c := got.Choices[0]; len(c.Message.ToolCalls) != 1 || *c.FinishReason != finishCalls {
			t.Errorf("%s: %+v (%s), want one call", question, c.Message, *c.FinishReason)
		}
	}
}

// A form is written by ordinary tokens: a special one has its text in no answer.
func TestFormsHaveNoSpecialTokens(t *testing.T) {
	x := start(t, script, Options{})
	g, err := grammar.Compile(t.Context(), "<bos>|<b")
	if err != nil {
		t.Fatal(err)
	}
	bits := make([]uint64, (vocabulary+63)/64)
	g.Matcher(x.server.vocabulary()).Allowed(bits)
	id, _ := x.tokenizer.ID("<bos>")
	if bits[id/64]>>(id%64)&1 != 0 {
		t.Error("the special token <bos> may write its text")
	}
	if less := x.tokenizer.Encode("<")[0]; bits[less/64]>>(less%64)&1 == 0 {
		t.Error("an ordinary token may not")
	}
}

func TestLogprobsAreNumbers(t *testing.T) {
	if got := finite(float32(math.Inf(-1))); got != leastLogprob {
		t.Errorf("what cannot come has the log-probability %v, want %v", got, leastLogprob)
	}
}

// FuzzPlainTokens: what is read without encoding/json is what that reads.
func FuzzPlainTokens(f *testing.F) {
	for _, text := range []string{"[]", "[1]", " [1]", "[ 1 ,2\n]", "[1,]", "[,1]", "[05]", "[0,10,00]", "[-1]", "[1.0]", "[1e3]", "[2147483647]", "[2147483648]", "[99999999999]", "[[1]]", `["1"]`, "[1 2]", "[null]", "[1", "1]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, ok := plainTokens([]byte(text))
		var want []int32
		err := json.Unmarshal([]byte(text), &want)
		if ok && (err != nil || !slices.Equal(tokens, want)) {
			t.Errorf("%q: %v, encoding/json %v, %v", text, tokens, want, err)
		}
	})
}

// TestPlainTokens: lists as clients write them are read so, whatever their white space.
func TestPlainTokens(t *testing.T) {
	for text, want := range map[string][]int32{"[1]": {1}, "[0,2147483647]": {0, 2147483647}, "[ 1,\n\t22 , 333\r]": {1, 22, 333}} {
		if got, ok := plainTokens([]byte(text)); !ok || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
}

func BenchmarkPlainTokens(b *testing.B) {
	ids := make([]int, 4096)
	for i := range ids {
		ids[i] = 37 * i
	}
	raw, _ := json.Marshal(ids)
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			plainTokens(raw)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		for b.Loop() {
			var tokens []int32
			_ = json.Unmarshal(raw, &tokens)
		}
	})
}
