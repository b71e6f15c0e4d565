package datafile

import (
	"strings"
	"testing"
)

func TestAmbiguousRecordsAreErrorsOfTheirLine(t *testing.T) {
	const good = `{"prompt":"a","response":"b"}` + "\n"
	for _, c := range []struct{ content, want string }{
		{good + `{"prompt":"a\ud800","response":"b"}`, `a:2: found the escape \ud800 alone, half of a surrogate pair`},
		{good + `{"prompt":"\uDC00a","response":"b"}`, `a:2: found the escape \uDC00 alone`},
		{good + `{"prompt":"\ud83d\u0041","response":"b"}`, `a:2: found the escape \ud83d alone`},
		{good + `{"messages":[{"role":"user","content":"\ud83d"}]}`, `a:2: found the escape \ud83d alone`},
		{good + `{"prompt":"a","response":"b","prompt":"c"}`, `a:2: found the key "prompt" twice in one object`},
		{good + `{"prompt":"a","response":"b","\u0070rompt":"c"}`, `a:2: found the key "prompt" twice`},
		{good + `{"messages":[{"role":"user","role":"assistant"}]}`, `a:2: found the key "role" twice`},
		{"[\n" + good + ",\n{\"p\":1,\n\"p\":2}]", `a:5: found the key "p" twice`},
		{"{\"data\":[{}],\n\"data\":[{}]}", `a:2: found the key "data" twice`},
	} {
		if _, _, err := readRecords(t, write(t, "a", c.content)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, expected %q", c.content, err, c.want)
		}
	}
	for _, content := range []string{
		`{"prompt":"\ud83d\ude42","response":"\\ud800"}`, `{"a":{"x":1},"b":{"x":2}}`, `[{"a":1},{"a":2}]`, `{"a":"a","b":["a","a"],"c":"\"a\":"}`,
	} {
		if _, _, err := readRecords(t, write(t, "a", content)); err != nil {
			t.Errorf("%s: %v", content, err)
		}
	}
}
