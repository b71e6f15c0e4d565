package jsonmutant

import (
	"encoding/json"
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

// Most variants are no JSON, in every way that a text can be broken.
func TestBreak(t *testing.T) {
	all, broken := 0, map[string]bool{}
	Break(`{"a": [1, {"b": "c"}], "d": true}`, func(variant string) {
		all++
		if !json.Valid([]byte(variant)) {
			broken[variant] = true
		}
	})
	for _, want := range []string{``, `{"a": [1, {"b": "`, `{"a": 1, {"b": "c"}], "d": true}`, `{"a"} [1, {"b": "c"}], "d": true}`, `{"a": [1, {"b": "c"}], x"d": true}`} {
		if !broken[want] {
			t.Errorf("%s is missing", want)
		}
	}
	if len(broken)*4 < all {
		t.Errorf("%d of %d variants are broken", len(broken), all)
	}
}

func TestSpeaksOfTheProgram(t *testing.T) {
	for text, want := range map[string]bool{
		"json: cannot unmarshal string into Go struct field x.y of type int64": true,
		"config.json: rope: found %!q(int=3)":                                  true,
		"data.jsonl:2: invalid character '}' looking for beginning of value":   true,
		"config.json: line 1, column 2: unexpected EOF":                        true,
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
