package grammar

import (
	"errors"
	"strings"
	"testing"
)

func TestCalls(t *testing.T) {
	frame := Frame{Before: "<c>", Between: " ", After: "</c>", Separator: "; "}
	calls := []Call{
		{"go", []byte(`{"type":"object","properties":{"to":{"enum":["a","b"]}},"required":["to"],"additionalProperties":false}`)},
		{"stop", []byte(`{"type":"object","additionalProperties":false}`)},
	}
	for several, texts := range map[bool]map[string]bool{
		false: {`<c>go {"to": "a"}</c>`: true, `<c>stop {}</c>`: true, `<c>stop {"to": "a"}</c>`: false, `<c>go {}</c>`: false, `<c>run {}</c>`: false, `<c>stop {}</c>; <c>stop {}</c>`: false, "": false, "x": false},
		true:  {`<c>go {"to": "a"}</c>`: true, `<c>stop {}</c>; <c>go {"to":"b"}</c>; <c>stop {}</c>`: true, `<c>stop {}</c><c>stop {}</c>`: false, `<c>stop {}</c>; `: false},
	} {
		frame.Several = several
		g, err := Calls(t.Context(), frame, calls, Single)
		if err != nil {
			t.Fatal(err)
		}
		var tokens [][]byte
		for b := range 256 {
			tokens = append(tokens, []byte{byte(b)})
		}
		v := NewVocabulary(tokens)
		for text, want := range texts {
			m := g.Matcher(v)
			for _, b := range []byte(text) {
				m.Accept(int32(b))
			}
			if got := m.Err() == nil && m.Complete(); got != want {
				t.Errorf("several %v: %q is allowed: %v, want %v", several, text, got, want)
			}
		}
	}
	var failed *CallError
	var unsupported *Unsupported
	calls[1].Arguments = []byte(`{"not":{}}`)
	if _, err := Calls(t.Context(), frame, calls, Single); !errors.As(err, &failed) || failed.Call != 1 || !errors.As(err, &unsupported) {
		t.Errorf("%v, want an unsupported keyword of call 1", err)
	}
	calls[1].Arguments = []byte(`{`)
	if _, err := Calls(t.Context(), frame, calls, Single); !errors.As(err, &failed) || !strings.Contains(err.Error(), "call 1: ") {
		t.Errorf("%v, want an error of call 1", err)
	}
	calls[1].Arguments = []byte(`false`)
	if _, err := Calls(t.Context(), frame, calls, Single); !errors.As(err, &failed) || failed.Call != 1 {
		t.Errorf("%v, want that no value satisfies call 1", err)
	}
	if _, err := Calls(t.Context(), frame, nil, Single); err == nil {
		t.Error("no functions are no error")
	}
}
