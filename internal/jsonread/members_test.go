package jsonread

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

func TestMembersAreThoseOfEncodingJSON(t *testing.T) {
	for _, data := range []string{`{}`, ` { "a" : 1 , "b\u0041" : [ {"x": "}]\""}, 2 ] ,"c":"\\","d":null, "e":{"f":{}} } `, "\xef\xbb\xbf{\"a\":true}", `{"a":1,"a":2}`} {
		var want map[string]json.RawMessage
		if err := json.Unmarshal(bytes.TrimPrefix([]byte(data), []byte("\xef\xbb\xbf")), &want); err != nil {
			t.Fatal(err)
		}
		if got := Members([]byte(data)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", data, got, want)
		}
	}
	for _, data := range []string{``, `[]`, `7`, `{`, `{"a"`, `{"a":`, `{"a":}`, `{"a":1 "b":2}`, `{a:1}`, `{"a":1,}`, `{"a":"x`} {
		if got := Members([]byte(data)); got != nil && json.Valid([]byte(data)) {
			t.Errorf("%s: got %q, want nil", data, got)
		}
	}
}

// Whatever the data, Members ends; of an object it finds what encoding/json finds.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{`{"a": 1, "b": [{"c": "]"}]}`, `{"a`, `{"\u00e9": "\\\"" }`, `[]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := Members(data)
		var want map[string]json.RawMessage
		if json.Unmarshal(data, &want) == nil && want != nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
