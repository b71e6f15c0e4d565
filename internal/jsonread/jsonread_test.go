package jsonread

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// An error names the place, what was found and what was expected, and no word of the program's.
func TestErrorsSpeakOfTheFile(t *testing.T) {
	type inner struct {
		Rate float64 `json:"rate"`
	}
	type file struct {
		Count int             `json:"count"`
		Name  string          `json:"name"`
		On    bool            `json:"on"`
		Sizes []uint          `json:"sizes"`
		Inner inner           `json:"inner"`
		Ptr   *inner          `json:"ptr"`
		Table map[string]int8 `json:"table"`
	}
	for _, c := range []struct{ data, want string }{
		{"", "found nothing, expected JSON"},
		{"\xff\xfe{\x00}\x00", "found text in UTF-16, expected UTF-8: save it anew"},
		{"version https://git-lfs.github.com/spec/v1\n", "found a Git LFS pointer, not the file: git lfs pull fetches it"},
		{" \n", "found nothing, expected JSON"},
		{"{\n  \"count\": 1,,\n}", "line 2, column 14: not JSON: found \",\", expected a key in double quotes"},
		{`{"count": 1`, "line 1, column 11: not JSON: the text ends within an object: it was cut off"},
		{`{"count": 1} 2`, "line 1, column 14: not JSON: found more text behind the value: 2"},
		{"{\n\"count\": NaN}", "line 2, column 10: not JSON: found NaN, which is no JSON number"},
		{`{"count": Infinity}`, "line 1, column 11: not JSON: found Infinity, which is no JSON number"},
		{`{"count": -Infinity}`, "line 1, column 12: not JSON: found -Infinity, which is no JSON number"},
		{`{"on": True}`, "line 1, column 8: not JSON: found True, expected a value"},
		{`{"on": nul}`, "line 1, column 11: not JSON: found nul, expected true, false or null"},
		{`{"sizes": [1, 2`, "line 1, column 15: not JSON: the text ends within a list: it was cut off"},
		{`{"name": "a\"`, "line 1, column 13: not JSON: the text ends within a string: it was cut off"},
		{`{"count" 1}`, "line 1, column 10: not JSON: found 1, expected a colon"},
		{`{"count": 1 "on": true}`, `line 1, column 13: not JSON: found a double quote, expected a comma or }`},
		{`{"sizes": [1 2]}`, "line 1, column 14: not JSON: found 2, expected a comma or ]"},
		{`{"count": 1.x}`, "line 1, column 13: not JSON: found x within a number, expected a digit"},
		{strings.Repeat("[", 10001), "line 1, column 10001: not JSON: more than 10000 values within each other"},
		{`{"table": {"a": 128}}`, "table.a: found the number 128, expected a whole number of at most 127"},
		{`{"table": {"a": -129}}`, "table.a: found the number -129, expected a whole number of at least -128"},
		{`{"count": 99999999999999999999}`, "count: found the number 99999999999999999999, expected a whole number of at most 9223372036854775807"},
		{`{"inner": {"rate": -1e400}}`, "inner.rate: found the number -1e400, expected a number of at most 1.8e308"},
		{`{"count": "1"}`, "count: found a string, expected a whole number"},
		{`{"count": 1.5}`, "count: found the number 1.5, expected a whole number"},
		{`{"name": [1]}`, "name: found a list, expected a string"},
		{`{"on": 1}`, "on: found a number, expected true or false"},
		{`{"sizes": {}}`, "sizes: found an object, expected a list"},
		{`{"sizes": [1, -1]}`, "sizes[1]: found the number -1, expected a whole number from 0"},
		{`{"inner": {"rate": true}}`, "inner.rate: found true or false, expected a number"},
		{`{"ptr": 7}`, "ptr: found a number, expected an object"},
		{`{"table": {"a b": 128}}`, `table["a b"]: found the number 128, expected a whole number of at most 127`},
		{`{"table": {"": [1]}}`, `table[""]: found a list, expected a whole number`},
		{`{"inner": {"x": [{"rate": 1}], "rate": [2]}}`, "inner.rate: found a list, expected a number"},
		{"{\"count\": 1,\n \"count\": 2}", "line 2, column 2: count stands twice, with the values 1 and 2, expected it once: remove one of them"},
		{`{"inner": {"rate": 1, "ra\u0074e": 1.0}}`, `line 1, column 23: inner["ra\u0074e"] stands twice, with the values 1 and 1.0, expected it once: remove one of them`},
		{`[1]`, "found a list, expected an object"},
	} {
		err := Decode([]byte(c.data), new(file))
		if err == nil || err.Error() != c.want {
			t.Errorf("%q:\n got %v\nwant %s", c.data, err, c.want)
		}
	}
	if err := Decode([]byte("\xef\xbb\xbf{\"count\": 3}"), new(file)); err != nil {
		t.Error("a byte order mark:", err)
	}
}

// A value stands in an error as the file has it, with one pair of quotes if it is a text.
func TestClipShowsTheValueOfTheFile(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{`"2"`, `"2"`},
		{`2`, `2`},
		{`null`, `null`},
		{`"say \"a\""`, `"say \"a\""`},
		{"{\n  \"a\": [1,\n 2]\n}", `{"a":[1,2]}`},
		{`"` + strings.Repeat("a", 50) + `"`, `"` + strings.Repeat("a", 39) + "…"},
		{`"` + strings.Repeat("é", 50) + `"`, `"` + strings.Repeat("é", 19) + "…"},
		{"no \x1b JSON", `"no \x1b JSON"`},
	} {
		if got := Clip([]byte(c.value)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.value, got, c.want)
		}
	}
}

// A rule that is exact has no other neutral values than its own and null.
func TestExactRules(t *testing.T) {
	table := Table{"w": {Use: Refused, Reason: "it", Neutral: []string{"1", `{"a":1}`}, Exact: true}}
	for value, neutral := range map[string]bool{"null": true, "1": true, `{ "a": 1 }`: true, "false": false, "[]": false, "{}": false, "0": false, `""`: false} {
		if _, err := table.Check(map[string]json.RawMessage{"w": json.RawMessage(value)}); (err == nil) != neutral {
			t.Errorf("%s: %v", value, err)
		}
	}
}

// Half of a surrogate pair is found, with its path; a whole one and an escaped backslash are not.
func TestHalf(t *testing.T) {
	for _, c := range []struct{ data, path, escape string }{
		{`{"a": "\ud83d\ude00 \\ud800 \u00e9"}`, "", ""},
		{`{"a": ["x", "y\ud83d"]}`, "a[1]", `\ud83d`},
		{`{"a": "\ude00\ud83d"}`, "a", `\ude00`},
		{`{"a": "\\\uD83D\u0041"}`, "a", `\uD83D`},
		{`{"a": {"\ud800": 1}}`, "a", `\ud800`},
	} {
		path, escape, found := Half([]byte(c.data))
		if path != c.path || escape != c.escape || found != (c.escape != "") {
			t.Errorf("%s: %q %q %t, want %q %q", c.data, path, escape, found, c.path, c.escape)
		}
	}
}

// The path of a member is spelled as in errors.
func TestMember(t *testing.T) {
	for _, c := range []struct{ path, key, want string }{{"", "a", "a"}, {"a[0]", "b", "a[0].b"}, {"", "", `[""]`}, {"a", "b c", `a["b c"]`}} {
		if got := Member(c.path, c.key); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestTableFindsUnknownAndRefusedKeys(t *testing.T) {
	table := Keys(Read, "a").With(Keys(Harmless, "b"), Table{"w": {Use: Refused, Reason: "attention within a window", Neutral: []string{"0"}}})
	for _, c := range []struct {
		data    string
		unknown []string
		err     string
	}{
		{`{"a": 1, "b": 2}`, nil, ""},
		{`{"z": 1, "a": 1, "c": 2}`, []string{"c", "z"}, ""},
		{`{"w": null}`, nil, ""},
		{`{"w": 0}`, nil, ""},
		{`{"w": 4096}`, nil, `w: found 4096: attention within a window is not supported, expected no such key or null or 0`},
		{`{"w": true}`, nil, `w: found true: attention within a window is not supported, expected no such key or null or false or 0`},
		{`{"w": [1]}`, nil, `w: found [1]: attention within a window is not supported, expected no such key or null or [] or 0`},
		{`{"w": {"a": 1}}`, nil, `w: found {"a":1}: attention within a window is not supported, expected no such key or null or {} or 0`},
		{`{"w": false}`, nil, ""},
	} {
		var object map[string]json.RawMessage
		if err := Decode([]byte(c.data), &object); err != nil {
			t.Fatal(err)
		}
		unknown, err := table.Check(object)
		if !reflect.DeepEqual(unknown, c.unknown) || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%s: got %q, %v, want %q, %s", c.data, unknown, err, c.unknown, c.err)
		}
	}
}

// Whatever the data, Decode agrees with encoding/json on what it accepts, and its errors have no
// words of Go.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"a": 1}`, `{"a": [true, null]}`, `{"a": "x"`, `[]`, "\xef\xbb\xbf{}", `{"a": {"b": 1e400}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, same struct {
			A []int             `json:"a"`
			B map[string]string `json:"b"`
			C *float32          `json:"c"`
		}
		err := Decode(data, &v)
		if plain := json.Unmarshal(data, &same); plain == nil && err != nil && !strings.Contains(err.Error(), "stands twice") {
			t.Fatal("refuses what encoding/json accepts:", err)
		}
		if err == nil {
			return
		}
		for _, words := range []string{"Go ", "unmarshal", "looking for", "top-level", "invalid character", "JSON input", "max depth"} {
			if strings.Contains(err.Error(), words) && !strings.Contains(string(data), words) {
				t.Fatal("words of Go:", err)
			}
		}
	})
}

// Keys count as equal by what they spell, in one object; equal values are a note.
func TestRepeats(t *testing.T) {
	for _, c := range []struct{ data, notes, err string }{
		{`{"a": 1, "b": {"a": 1}, "c": [{"a": 2}, {"a": 3}]}`, "", ""},
		{`{"a": [1, 2], "b": 0, "a": [1,2]}`, "a", ""},
		{"\xef\xbb\xbf" + `{"a": 1, "\u0061": 1}`, `["\u0061"]`, ""},
		{`{"x": [{"k": {"a": "b"}, "k": {"a":"b"}}], "y": 1, "y": 1, "y": 1}`, "x[0].k, y, y", ""},
		{`[{"a": 1, "a": 2}]`, "", "[0].a stands twice, with the values 1 and 2"},
		{`{"v": {"é": 1, "é": null}}`, "", `v["é"] stands twice, with the values 1 and null`},
		{`{"a": {"b": 1}, "c": {"b": 1}, "a": {"b": 2}}`, "", `a stands twice, with the values {"b":1} and {"b":2}`},
		{`{"a": 1, "a": 1, "a": 2}`, "", "a stands twice, with the values 1 and 2"},
	} {
		var v any
		all, err := DecodeNoting([]byte(c.data), &v)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %s", c.data, err, c.err)
		}
		notes := strings.Join(all, ", ")
		if got := strings.ReplaceAll(notes, " stands twice, with equal values", ""); got != c.notes {
			t.Errorf("%s: notes %s, want %s", c.data, got, c.notes)
		}
	}
}

// At joins the path of a part with the path in it.
func TestAtJoinsPaths(t *testing.T) {
	for _, c := range []struct{ place, data, want string }{
		{"model.merges", `["a", 1]`, "model.merges[1]: found a number, expected a string"},
		{"model.merges", `7`, "model.merges: found a number, expected a list"},
		{"model.merges", `{"a": 1}`, "model.merges: found an object, expected a list"},
	} {
		var v []string
		if err := At(c.place, Decode([]byte(c.data), &v)); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	var v map[string]int
	if err := At("x", Decode([]byte(`{"a": "b"}`), &v)); err.Error() != "x.a: found a string, expected a whole number" {
		t.Error(err)
	}
	if err := At("x", Decode([]byte(`{"a"`), &v)); err.Error() != "x: line 1, column 4: not JSON: the text ends within an object: it was cut off" {
		t.Error(err)
	}
	if At("x", nil) != nil {
		t.Error("an error of nothing")
	}
}

// The quick look at hashes finds what the exact one finds, and nothing else.
func FuzzRepeats(f *testing.F) {
	for _, seed := range []string{`{"a": 1, "\u0061": 1}`, `[{"a": {}, "b": [], "a": {}}]`, `{"a": {"b": 1}, "c": {"b": 1}}`, `{"\"": 1, "\\": 2, "x": "\\\""}`,
		`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1,"o":1,"p":1,"q":1,"r":1,"q":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			return
		}
		if found := Repeats(data); mayRepeat(data) != (len(found) > 0) {
			t.Fatalf("hashes say %t, the keys are %v", mayRepeat(data), found)
		}
	})
}
