package server

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// An answer that ended has its form, whatever the model would say.
func TestForms(t *testing.T) {
	x := start(t, script, Options{})
	for _, test := range []struct {
		name, form string
		holds      func(text string) bool
	}{
		{"regex", `"regex":"(fox|dog) [0-9]{3}"`, regexp.MustCompile(`^(fox|dog) [0-9]{3}$`).MatchString},
		{"object", `"response_format":{"type":"json_object"}`, func(text string) bool {
			var o map[string]any
			return json.Unmarshal([]byte(text), &o) == nil
		}},
		{"schema", `"response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"type":"object","properties":{"age":{"type":"integer","minimum":1,"maximum":9},"fox":{"type":"boolean"}},"required":["age","fox"],"additionalProperties":false}}}`,
			regexp.MustCompile(`^\{"age":? ?[1-9], ?"fox": ?(true|false)\}$`).MatchString},
		{"text", `"response_format":{"type":"text"}`, func(text string) bool { return text == script["hello"] }},
	} {
		t.Run(test.name, func(t *testing.T) {
			ended := 0
			for seed := range 8 {
				body := fmt.Sprintf(`{"messages":[{"role":"user","content":"hello"}],"max_tokens":200,"seed":%d,%s`, seed, test.form)
				whole := decode[chatCompletion](t, x.post(t, "/v1/chat/completions", body+"}"))
				text := *whole.Choices[0].Message.Content
				if *whole.Choices[0].FinishReason == finishStop {
					ended++
					if !test.holds(text) {
						t.Errorf("the answer %q has not the form %s", text, test.form)
					}
				}
				if streamed, _, _ := joined(frames(t, x.post(t, "/v1/chat/completions", body+`,"stream":true}`).body), 0); streamed != text {
					t.Errorf("the stream says %q, the whole %q", streamed, text)
				}
			}
			if ended == 0 {
				t.Error("no answer came to its end")
			}
		})
	}
	for form, says := range map[string]string{
		`"regex":"("`: "regex: ",
		`"regex":"a","response_format":{"type":"json_object"}`:                                                  "regex: found it beside response_format",
		`"response_format":{"type":"xml"}`:                                                                      `response_format.type: found "xml"`,
		`"response_format":{"type":"json_schema"}`:                                                              "response_format.json_schema.schema: found none",
		`"response_format":{"type":"json_schema","json_schema":{"schema":{"not":{}}}}`:                          "not",
		`"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"string","pattern":"(?=a)"}}}`: "response_format.json_schema.schema: ",
	} {
		got := x.post(t, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hello"}],`+form+`}`)
		if p := refusal(t, got); got.status != 400 || !strings.Contains(p.Message, says) {
			t.Errorf("%s: %d %s, want 400 with %q", form, got.status, p.Message, says)
		}
	}
}
