package schema

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestCanonical: one text for equal values.
func TestCanonical(t *testing.T) {
	for text, want := range map[string]string{
		` { "b" : [1.0, 2.50, 1e2, -0.0, 1E-3] , "a" : null } `: `{"b":[1,2.5,100,0,0.001],"a":null}`, `"\u00e9\/\u0001\"\n"`: "\"é/\\u0001\\\"\\n\"", `true`: `true`, `[]`: `[]`, `{}`: `{}`, `"a\u2028"`: "\"a\u2028\"",
		`12345678901234567890.5`: `12345678901234567890.5`,
	} {
		v, err := Parse([]byte(text))
		if err != nil || v.Canonical() != want {
			t.Errorf("%s: %v %v, expected %s", text, v, err, want)
		}
	}
}

// TestBroken: what is no schema's JSON is refused.
func TestBroken(t *testing.T) {
	for text, want := range map[string]string{
		``: "not JSON", `{`: "not JSON", `{"a":1,"a":2}`: "stands twice", `{} {}`: "follows", "\"\xff\"": "UTF-8", strings.Repeat("[", MaxDepth+2): "nested", `1e401`: "digits", `1e-401`: "digits", `1e99999999999999999999`: "digits", strings.Repeat(" ", MaxBytes+1): "bytes", `[1 2]`: "not JSON", `nul`: "not JSON",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, expected %q", text, err, want)
		}
	}
}

// TestKey: equal as JSON Schema compares.
func TestKey(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		equal bool
	}{
		{`1`, `1.0`, true}, {`{"a":1,"b":[true]}`, `{"b":[true],"a":1}`, true}, {`1`, `true`, false}, {`[1]`, `[1,1]`, false}, {`{"a":1}`, `{"b":1}`, false}, {`"a"`, `"b"`, false}, {`true`, `false`, false}, {`[1]`, `[2]`, false}, {`{"a":1}`, `{"a":2}`, false}, {`null`, `null`, true},
	} {
		a, errA := Parse([]byte(c.a))
		b, errB := Parse([]byte(c.b))
		if errA != nil || errB != nil || (a.Key() == b.Key()) != c.equal {
			t.Errorf("%s and %s: expected %v", c.a, c.b, c.equal)
		}
	}
}

// TestResolve: references by pointer, anchor, $id and their mixtures.
func TestResolve(t *testing.T) {
	d, err := Read([]byte(`{"$id":"http://a.test/root#old","$defs":{"x":{"$anchor":"here","type":"null"},"a/b":{"$id":"sub/","items":{"$ref":"#/items"},"unknown":{"y":{"$ref":"#/items"}}},"t~":true},"unknown":{"inner":[{"const":1}]},"properties":{"p":{"$ref":"#here"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	sub := d.At(d.Root, "$defs", "a/b")
	inner, err := d.Resolve(d.Root, "#/$defs/a~1b/unknown/y")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from      *Place
		reference string
		path      string
	}{
		{d.Root, "#", ""}, {d.Root, "#/$defs/x", "/$defs/x"}, {d.Root, "#here", "/$defs/x"}, {d.Root, "http://a.test/root#here", "/$defs/x"}, {d.Root, "sub/", "/$defs/a~1b"}, {d.Root, "#/$defs/a~1b", "/$defs/a~1b"}, {d.Root, "#/%24defs/t~0", "/$defs/t~0"},
		{sub, "#/items", "/$defs/a~1b/items"}, {inner, "#/items", "/$defs/a~1b/items"}, {sub, "../root#here", "/$defs/x"}, {d.Root, "#/unknown/inner/0", "/unknown/inner/0"},
	} {
		got, err := d.Resolve(c.from, c.reference)
		if err != nil || got.Path != c.path {
			t.Errorf("%s: %v %v, expected %s", c.reference, got, err, c.path)
		}
	}
	for _, reference := range []string{"#nowhere", "#/nothing", "#/unknown/inner/1", "#/unknown/inner/x", "http://b.test/", "other", "%zz", "#/unknown/inner/0/const/x"} {
		if got, err := d.Resolve(d.Root, reference); err == nil {
			t.Errorf("%s: %v, expected an error", reference, got.Path)
		}
	}
}

// FuzzRead: no document panics; what is read is JSON, and its canonical text reads as the same.
func FuzzRead(f *testing.F) {
	for _, text := range []string{`{"$defs":{"a":{"$id":"x","$anchor":"y"}},"items":[1]}`, `{"$id":"::"}`, `[1e5,"\ud800"]`, `{"anyOf":{"a":true}}`} {
		f.Add([]byte(text), "#/a")
	}
	f.Fuzz(func(t *testing.T, text []byte, reference string) {
		d, err := Read(text)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Errorf("%q is read", text)
		}
		again, err := Parse([]byte(d.Root.Value.Canonical()))
		if err == nil && again.Key() != d.Root.Value.Key() {
			t.Errorf("%s reads as another value", d.Root.Value.Canonical())
		}
		if place, err := d.Resolve(d.Root, reference); err == nil && place == nil {
			t.Error("no place and no error")
		}
	})
}
