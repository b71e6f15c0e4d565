package grammar

import (
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestForms: which texts a schema allows and which not, where the suite, which knows values and not
// texts, says nothing.
func TestForms(t *testing.T) {
	for _, c := range []struct {
		name, schema string
		space        Whitespace
		yes, no      []string
	}{
		{"one space behind commas and colons", `{"properties":{"a":true,"b":true},"type":"object"}`, Single, []string{`{"a":1,"b":2}`, `{"a": 1, "b": [1, 2]}`}, []string{`{"a":  1}`, `{"a" :1}`, `{ "a":1}`, `{"a":1 }`, ` {}`, `{} `, "{\n}"}},
		{"no space", `{"type":"object"}`, Compact, []string{`{"a":[1,2]}`}, []string{`{"a": 1}`, `{"a":[1, 2]}`}},
		{"free space", `{"type":["object","array"],"properties":{"c":{"const":[1,{"x":2}]}}}`, Free, []string{"{ \n\t\"a\" :\r [ ] , \"b\":{ } }", `[ 1 , 2 ]`, `[]`, `{ "c" : [ 1 , { "x" : 2 } ] }`}, []string{` {}`, `[1 2]`, `{"a" 1}`}},
		{"order of the schema, then required, then others", `{"type":"object","properties":{"b":true,"a":true},"required":["c","a"]}`, Compact, []string{`{"b":1,"a":1,"c":1,"x":1,"y":2}`, `{"a":1,"c":1}`}, []string{`{"a":1,"b":1,"c":1}`, `{"c":1,"a":1}`, `{"x":1,"a":1,"c":1}`, `{"a":1}`, `{"a":1,"c":1,"b":1}`, `{"b":1,"b":1,"a":1,"c":1}`}},
		{"order of merged schemas", `{"type":"object","properties":{"a":true},"$ref":"#/$defs/r","allOf":[{"properties":{"b":true}}],"$defs":{"r":{"properties":{"c":true}}},"additionalProperties":true}`, Compact, []string{`{"a":1,"c":1,"b":1}`}, []string{`{"b":1,"c":1}`, `{"c":1,"a":1}`}},
		{"names in one way", `{"type":"object","properties":{"a":{"type":"null"}}}`, Compact, []string{`{"a":null}`, `{"é":1}`}, []string{`{"\u0061":1}`, `{"\u00e9":1}`}},
		{"escapes of free strings", `{"type":"string","maxLength":2}`, Compact, []string{`"\u00e9\/"`, `"\ud83d\ude00a"`, `"\uD83D\uDE00"`, `"😀é"`, `""`}, []string{`"abc"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\ud83d\u0041"`, "\"\x1f\"", `"\x"`, "\"\xc3\"", "\"\xed\xa0\x80\"", "\"\xc0\x80\"", "\"\xf4\x90\x80\x80\""}},
		{"escapes of others", `{"type":"string","pattern":"^[\\u0000-\\u00ff]*$"}`, Compact, []string{`"\u0000\u001f\u001F\n\"\\/é"`}, []string{`"\u0041"`, `"\/"`, `"\u000a"`, `"Ā"`}},
		{"integers", `{"type":"integer"}`, Compact, []string{`0`, `-1`, `12345678901234567890`}, []string{`01`, `1.0`, `1e2`, `+1`, `-`, ``}},
		{"numbers", `{"type":"number"}`, Compact, []string{`0.50`, `-1e-9`, `1E+308`}, []string{`.5`, `1.`, `1e`, `1e1000`, `NaN`}},
		{"numbers between bounds", `{"type":"number","minimum":0.5,"exclusiveMaximum":2}`, Compact, []string{`0.5`, `0.50`, `1.999`, `1`}, []string{`2`, `2.0`, `0.49`, `0.4999`, `5e-1`, `-1`, `01`}},
		{"multiples", `{"type":"number","multipleOf":0.25}`, Compact, []string{`0.25`, `-1.750`, `3`, `10.5`, `0`}, []string{`0.2`, `0.251`, `1.`, `-`}},
		{"nested", `{"$ref":"#/$defs/n","$defs":{"n":{"type":["array","null"],"items":{"$ref":"#/$defs/n"},"maxItems":2}}}`, Compact, []string{`null`, `[]`, `[[null,[]],[[[[[null]]]]]]`}, []string{`[null,null,null]`, `[[1]]`, `[[]`}},
		{"prefix and counts", `{"type":"array","prefixItems":[{"type":"null"},{"type":"boolean"}],"items":{"type":"integer"},"minItems":1,"maxItems":4}`, Compact, []string{`[null]`, `[null,true]`, `[null,true,1,2]`}, []string{`[]`, `[null,true,1,2,3]`, `[null,1]`, `[true]`, `[null,true,null]`}},
		{"prefix longer than maxItems", `{"type":"array","prefixItems":[{"type":"null"},{"type":"null"},{"type":"null"}],"maxItems":2}`, Compact, []string{`[]`, `[null,null]`}, []string{`[null,null,null]`, `[null,1]`}},
		{"what cannot be is left out", `{"type":"object","properties":{"never":{"$ref":"#/$defs/loop"},"ok":true,"no":false},"additionalProperties":false,"$defs":{"loop":{"type":"array","minItems":1,"items":{"$ref":"#/$defs/loop"}}}}`, Compact, []string{`{}`, `{"ok":1}`}, []string{`{"never":[`, `{"n`}},
		{"members counted", `{"type":"object","properties":{"a":true,"b":true,"c":true},"minProperties":2,"maxProperties":2,"additionalProperties":false}`, Compact, []string{`{"a":1,"b":1}`, `{"a":1,"c":1}`, `{"b":1,"c":1}`}, []string{`{}`, `{"a":1}`, `{"a":1,"b":1,"c":1}`}},
		{"members counted with others", `{"type":"object","properties":{"a":true},"required":["a"],"minProperties":2,"maxProperties":3}`, Compact, []string{`{"a":1,"x":1}`, `{"a":1,"x":1,"y":1}`}, []string{`{"a":1}`, `{"a":1,"x":1,"y":1,"z":1}`}},
		{"names by pattern", `{"type":"object","patternProperties":{"^a":{"type":"null"},"b$":{"type":["null","integer"]}},"additionalProperties":{"type":"boolean"}}`, Compact, []string{`{"ax":null}`, `{"ab":null}`, `{"xb":1}`, `{"x":true}`}, []string{`{"ab":1}`, `{"ax":1}`, `{"x":null}`, `{"xb":true}`}},
		{"names of names", `{"type":"object","propertyNames":{"enum":["x",1,"y"]},"properties":{"z":true,"y":{"const":1}}}`, Compact, []string{`{"y":1,"x":2}`, `{}`}, []string{`{"z":1}`, `{"y":2}`, `{"w":1}`}},
		{"listed values", `{"enum":["a","ab",1.50,{"k":[]},null,[1,"x"]]}`, Single, []string{`"a"`, `"ab"`, `1.5`, `{"k":[]}`, `{"k": []}`, `null`, `[1, "x"]`}, []string{`1.50`, `"abc"`, `"\u0061"`, `{}`}},
		{"listed values and other demands", `{"enum":["a","abc",3,{"a":1},{"a":"x"},[1],[]],"minLength":2,"maximum":2,"properties":{"a":{"type":"string"}},"maxItems":0}`, Compact, []string{`"abc"`, `{"a":"x"}`, `[]`}, []string{`"a"`, `3`, `{"a":1}`, `[1]`}},
		{"listed arrays by length", `{"enum":[[1],[1,2],[1,2,3]],"minItems":2,"maxItems":2}`, Compact, []string{`[1,2]`}, []string{`[1]`, `[1,2,3]`}},
		{"both lists", `{"enum":[1,2,3],"allOf":[{"enum":[2.0,3,4]},{"const":3}]}`, Compact, []string{`3`}, []string{`1`, `2`, `4`}},
		{"one of kinds", `{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"n":{"type":"integer"}},"required":["kind","n"],"additionalProperties":false},{"type":"object","properties":{"kind":{"const":"b"}},"required":["kind"],"additionalProperties":false},{"type":"string"}]}`, Compact, []string{`{"kind":"a","n":1}`, `{"kind":"b"}`, `"x"`}, []string{`{"kind":"a"}`, `{"kind":"b","n":1}`, `1`}},
		{"one of itself", `{"oneOf":[{"type":"null"},{"type":"object","properties":{"next":{"$ref":"#"}},"required":["next"]}]}`, Compact, []string{`{"next":{"next":null}}`}, []string{`{}`, `{"next":1}`}},
		{"one of itself by a later name", `{"oneOf":[{"type":"object","properties":{"n":{"anyOf":[{"$ref":"#"},{"type":"null"}]},"k":{"const":1}},"required":["n","k"]},{"type":"object","properties":{"n":{"$ref":"#"},"k":{"const":2}},"required":["n","k"]}]}`, Compact, []string{`{"n":{"n":null,"k":1},"k":2}`}, []string{`{"n":null,"k":2}`}},
		{"one of ranges", `{"oneOf":[{"type":"integer","maximum":3},{"type":"number","exclusiveMinimum":3},{"type":"string","maxLength":2},{"type":"string","minLength":3},{"type":"array","maxItems":1},{"type":"array","minItems":2}]}`, Compact, []string{`3`, `3.5`, `4`, `"abc"`, `"a"`, `[]`, `[1,2]`}, []string{`2.5`}},
		{"needs others", `{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"dependentRequired":{"a":["b"]},"dependentSchemas":{"b":{"properties":{"c":{"const":1}},"required":["c"]}},"additionalProperties":{"type":"integer"}}`, Compact, []string{`{"x":1}`, `{"b":2,"c":1}`, `{"a":2,"b":2,"c":1}`}, []string{`{"a":1}`, `{"b":1}`, `{"a":1,"b":1}`, `{"b":1,"c":2}`}},
		{"pattern and format and length", `{"type":"string","pattern":"9","format":"ipv4","maxLength":9}`, Compact, []string{`"9.1.1.1"`, `"1.1.1.199"`}, []string{`"1.1.1.1"`, `"99.100.100.1"`}},
		{"email of a long name", `{"type":"string","format":"email"}`, Compact, []string{`"` + strings.Repeat("a", 64) + `@b.c"`, `"\"a@b\"@c"`}, []string{`"` + strings.Repeat("a", 65) + `@b.c"`, `"a@b..c"`, `"a@` + strings.Repeat("b.", 126) + `c"`}},
		{"no type", `{"minLength":3,"minimum":5}`, Compact, []string{`"abc"`, `5`, `null`, `{}`, `[1]`}, []string{`"ab"`, `4`}},
		{"any value", `true`, Compact, []string{`{"a":[null,true,-1.5e3,"x"]}`}, []string{`{`, ``}},
	} {
		g, err := JSON(t.Context(), []byte(c.schema), c.space)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, text := range c.yes {
			if !g.pool.matches(g.root, text) {
				t.Errorf("%s: %s is refused behind %d bytes", c.name, text, refusedAt(g, text))
			}
		}
		for _, text := range c.no {
			if g.pool.matches(g.root, text) {
				t.Errorf("%s: %s is accepted", c.name, text)
			}
		}
	}
	g, err := JSON(t.Context(), []byte(`{"type":"object","properties":{"never":false},"additionalProperties":false}`), Compact)
	if err != nil || g.pool.run(g.root, `{"`) != none {
		t.Errorf("%v: a member that cannot be is begun", err)
	}
}

// refusedAt is how many bytes of a text may stand.
func refusedAt(g *Grammar, text string) (n int) {
	for n = 0; n < len(text) && g.pool.run(g.root, text[:n+1]) != none; n++ {
	}
	return n
}

// TestRefusedSchemas: what is wrong or not supported is named with its place.
func TestRefusedSchemas(t *testing.T) {
	for text, want := range map[string]error{
		`{"properties":{"a/b":{"not":{}}}}`: &Unsupported{"/properties/a~1b", "not", ""}, `{"if":true}`: &Unsupported{"", "if", ""}, `{"contains":{}}`: &Unsupported{"", "contains", ""}, `{"uniqueItems":true}`: &Unsupported{"", "uniqueItems", ""},
		`{"unevaluatedProperties":false}`: &Unsupported{"", "unevaluatedProperties", ""}, `{"nullable":true}`: &Unsupported{"", "nullable", ""}, `{"$dynamicRef":"#a"}`: &Unsupported{"", "$dynamicRef", ""}, `{"items":{"format":"iri"}}`: &Unsupported{"/items", "format", ""},
		`{"pattern":"(?=a)"}`: &Unsupported{"", "pattern", ""}, `{"pattern":"a?^b"}`: &Unsupported{"", "pattern", ""}, `{"patternProperties":{"[":true}}`: &Unsupported{"", "patternProperties", ""}, `{"$ref":"http://a.test/"}`: &Unsupported{"", "$ref", ""}, `{"oneOf":[{"minimum":1},{"type":"integer"}]}`: &Unsupported{"", "oneOf", ""},
		`{"oneOf":[{"type":"array","maxItems":1},{"type":"array","minItems":1}]}`:                                                                                    &Unsupported{"", "oneOf", ""},
		`{"oneOf":[{"type":"object","properties":{"n":{"$ref":"#"}},"required":["n"]},{"type":"object","properties":{"n":{"$ref":"#"},"m":true},"required":["n"]}]}`: &Unsupported{"", "oneOf", ""},
		`{"oneOf":[{"type":"array","minItems":1},{"type":"array","maxItems":1}]}`:                                                                                    &Unsupported{"", "oneOf", ""},
		`{"minProperties":2}`: &Unsupported{"", "minProperties", ""}, `{"multipleOf":0.00001,"minimum":0.33333}`: nil, `{"multipleOf":5000}`: &Unsupported{"", "multipleOf", ""}, `{"$schema":"http://json-schema.org/draft-04/schema#"}`: &Unsupported{"", "$schema", ""},
		`{"type":"any"}`: &Invalid{"", "type", ""}, `{"type":[]}`: &Invalid{"", "type", ""}, `{"enum":1}`: &Invalid{"", "enum", ""}, `{"minimum":"1"}`: &Invalid{"", "minimum", ""}, `{"maximum":null}`: &Invalid{"", "maximum", ""}, `{"multipleOf":0}`: &Invalid{"", "multipleOf", ""}, `{"minLength":-1}`: &Invalid{"", "minLength", ""},
		`{"maxItems":1.5}`: &Invalid{"", "maxItems", ""}, `{"required":"a"}`: &Invalid{"", "required", ""}, `{"required":[1]}`: &Invalid{"", "required", ""}, `{"items":[true]}`: &Invalid{"", "items", ""}, `{"prefixItems":{}}`: &Invalid{"", "prefixItems", ""}, `{"properties":[]}`: &Invalid{"", "properties", ""},
		`{"additionalProperties":1}`: &Invalid{"", "additionalProperties", ""}, `{"allOf":[]}`: &Invalid{"", "allOf", ""}, `{"anyOf":{"a":true}}`: &Invalid{"", "anyOf", ""}, `{"$ref":1}`: &Invalid{"", "$ref", ""}, `{"pattern":1}`: &Invalid{"", "pattern", ""}, `{"format":1}`: &Invalid{"", "format", ""}, `{"dependentRequired":[]}`: &Invalid{"", "dependentRequired", ""},
		`{"dependentRequired":{"a":1}}`: &Invalid{"", "dependentRequired", ""}, `{"properties":{"a":3}}`: &Invalid{"/properties/a", "", ""}, `1`: &Invalid{"", "", ""}, `false`: &Invalid{"", "", ""}, `{"allOf":[{"type":"null"},{"type":"string"}]}`: &Invalid{"", "", ""}, `{"type":"integer","minimum":1.2,"maximum":1.8}`: &Invalid{"", "", ""},
		`{"type":"string","minLength":3,"maxLength":2}`: &Invalid{"", "", ""}, `{"type":"object","required":["a"],"properties":{"a":false}}`: &Invalid{"", "", ""}, `{"type":"object","required":["ab"],"propertyNames":{"maxLength":1}}`: &Invalid{"", "", ""}, `{"type":"integer","minimum":8,"maximum":13,"multipleOf":7}`: &Invalid{"", "", ""},
		`{"$schema":"http://json-schema.org/draft-07/schema#","title":"x","x-y":1,"uniqueItems":false,"unevaluatedItems":true,"default":1,"definitions":{"a":{"not":1}}}`: nil,
	} {
		_, err := JSON(t.Context(), []byte(text), Compact)
		var unsupported *Unsupported
		var invalid *Invalid
		got := fmt.Sprint(err)
		switch {
		case err == nil:
		case errors.As(err, &unsupported):
			got = fmt.Sprint(&Unsupported{unsupported.Path, unsupported.Keyword, ""})
		case errors.As(err, &invalid):
			got = fmt.Sprint(&Invalid{invalid.Path, invalid.Keyword, ""})
		}
		if got != fmt.Sprint(want) {
			t.Errorf("%s: %v, expected %v", text, err, want)
		}
	}
}

// TestErrorsNameWhatThereIs: an error has no empty name of a keyword.
func TestErrorsNameWhatThereIs(t *testing.T) {
	for text, want := range map[string]string{
		`false`: "JSON Schema: no value satisfies the schema", `{"allOf":[{"type":"null"},{"type":"string"}]}`: "JSON Schema: no value satisfies the schema",
		`7`: "JSON Schema: found a number, expected a schema: an object, true or false", `{"properties":{"a":7}}`: `JSON Schema at "/properties/a": found a number, expected a schema: an object, true or false`,
		`{"type":7}`: `JSON Schema at "": "type": found a number, expected the name of a type or a list of names`,
	} {
		if _, err := JSON(t.Context(), []byte(text), Compact); err == nil || err.Error() != want {
			t.Errorf("%s: %v, expected %s", text, err, want)
		}
	}
}

// TestRanges: random bounds and factors against exact arithmetic.
func TestRanges(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	number := func() string {
		switch random.IntN(3) {
		case 0:
			return fmt.Sprint(random.IntN(20) - 10)
		case 1:
			return fmt.Sprint(random.IntN(2000) - 1000)
		}
		return fmt.Sprintf("%d.%0*d", random.IntN(200)-100, 1+random.IntN(3), random.IntN(10))
	}
	for range 300 {
		var words []string
		s := newShape("")
		for i, name := range []string{"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"} {
			if random.IntN(3) > 0 {
				continue
			}
			text := number()
			value, _ := new(big.Rat).SetString(text)
			switch i {
			case 0, 1:
				s.min = tighten(s.min, bound{value, i == 1}, 1)
			case 2, 3:
				s.max = tighten(s.max, bound{value, i == 3}, -1)
			case 4:
				text = []string{"3", "0.5", "0.02", "7", "2.5"}[random.IntN(5)]
				value.SetString(text)
				s.multiples = append(s.multiples, value)
			}
			words = append(words, fmt.Sprintf(`%q:%s`, name, text))
		}
		kind := []string{"integer", "number"}[random.IntN(2)]
		schema := fmt.Sprintf(`{"type":%q,%s}`, kind, strings.Join(words, ","))
		if len(words) == 0 {
			continue
		}
		g, err := JSON(t.Context(), []byte(schema), Compact)
		var invalid *Invalid
		if err != nil && !errors.As(err, &invalid) {
			t.Fatalf("%s: %v", schema, err)
		}
		for range 300 {
			text := number()
			value, _ := new(big.Rat).SetString(text)
			want := s.admitsNumber(value) && (kind == "number" || !strings.Contains(text, "."))
			// Zeros behind what multipleOf allows are no further digits to it.
			if got := err == nil && g.pool.matches(g.root, text); got != want && !(strings.HasSuffix(text, "0") && strings.Contains(text, ".")) {
				t.Fatalf("%s: %s: accepted %v, expected %v", schema, text, got, want)
			}
		}
	}
}
