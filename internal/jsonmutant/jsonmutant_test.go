package jsonmutant

import (
	"errors"
	"testing"
)

// Every value is replaced in turn, and the others stay.
func TestEach(t *testing.T) {
	seen := map[string]bool{}
	Each(t, `{"a": [1, {"b": "c"}]}`, func(_, variant string) { seen[variant] = true })
	for _, want := range []string{`null`, `{"a":true}`, `{"a":["x",{"b":"c"}]}`, `{"a":[1,""]}`, `{"a":[1,{"b":2.5}]}`} {
		if !seen[want] {
			t.Errorf("%s is missing", want)
		}
	}
	if n := 5 * len(values); len(seen) > n || len(seen) < n-len(values) {
		t.Errorf("%d variants of 5 values", len(seen))
	}
}

func TestSpeaksOfTheProgram(t *testing.T) {
	for text, want := range map[string]bool{
		"json: cannot unmarshal string into Go struct field x.y of type int64": true,
		"config.json: rope: found %!q(int=3)":                                  true,
		"config.json: vocab_size: found \"x\", expected a whole number":        false,
	} {
		if SpeaksOfTheProgram(errors.New(text)) != want {
			t.Errorf("%q: expected %v", text, want)
		}
	}
	if SpeaksOfTheProgram(nil) {
		t.Error("no error")
	}
}
