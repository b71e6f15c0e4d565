package jinja

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// values are the variables of the templates in the tests.
var values = map[string]json.RawMessage{
	"messages":              json.RawMessage(`[{"role":"system","content":"S"},{"role":"user","content":" Hi "}]`),
	"tools":                 json.RawMessage(`null`),
	"add_generation_prompt": json.RawMessage(`false`),
}

func render(source string, values map[string]json.RawMessage) (string, error) {
	template, err := Parse(source)
	if err != nil {
		return "", err
	}
	return template.Render(Input{Values: values})
}

// expected is templates and what Jinja 3.1 writes for them with trim_blocks and lstrip_blocks, each
// derived from its documentation and from Python's semantics of values.
var expected = []struct{ template, want string }{
	// White space around tags.
	{"a\n{% if true %}\nb\n{% endif %}\nc\n", "a\nb\nc"},
	{"a \n  {% if true %}  \n b{% endif %}", "a \n  \n b"},
	{"a \n  {%- if true -%}  \n b{% endif -%} \n c", "abc"},
	{"  {%+ if true %}x{% endif %}", "  x"},
	{"{% if true +%}\nx{% endif %}", "\nx"},
	{"x {{ 1 }}\ny {{- 2 -}} z", "x 1\ny2z"},
	{"x {# note #} y\n  {# note #}\nz{#- note -#} w", "x  y\nzw"},
	{"{{ 1 }}\n\n", "1\n"},
	{"{% raw %}{{ x }} {% if %}{% endraw %}", "{{ x }} {% if %}"},
	{"a\r\nb", "a\nb"},
	// Literals and what they are written as.
	{`{{ 'a\n\'b' "c" }}`, "a\n'bc"},
	{`{{ '\u00e9\x41\q' }}`, `éA\q`},
	{`{{ 1_000 }} {{ 1.50 }} {{ 1e3 }} {{ 1e16 }} {{ 1e-5 }} {{ -0.0 }}`, "1000 1.5 1000.0 1e+16 1e-05 -0.0"},
	{`{{ none }} {{ True }} {{ [1, 'a', "it's", none, 2.0] }} {{ {'a': (1,), 2: ()} }}`, `None True [1, 'a', "it's", None, 2.0] {'a': (1,), 2: ()}`},
	{`{{ missing }}|{{ messages[7] }}|{{ messages.x }}`, "||"},
	// Operators and how they bind.
	{`{{ 1 + 2 * 3 ** 2 - -4 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** -1 }}`, "23 3 -4 2 3.5 0.5"},
	{`{{ 'a' ~ 1 ~ none }} {{ 'ab' * 2 }} {{ 2 * 'x' }} {{ [1] * 2 + [2] }}`, "a1None abab xx [1, 1, 2]"},
	{`{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ '1' == 1 }} {{ [1, [2]] == [1, [2]] }}`, "True False True False True"},
	{`{{ not 1 in [1] }} {{ 1 not in [1, 2] }} {{ 'b' in 'abc' }} {{ 'x' in {'x': 1} }}`, "False False True True"},
	{`{{ 0 or 'x' }} {{ '' and 1 }}|{{ 1 and 2 }}`, "x |2"},
	{`{{ 'y' if false else 'n' }}{{ 'y' if false }}`, "n"},
	{`{{ -1|abs }} {{ 1 + -2|abs }} {{ 'a' + 'b'|upper }}`, "1 3 aB"},
	{`{{ true + 1 }} {{ 3 == 3 is true }}`, "2 False"},
	// Slices and subscripts.
	{`{{ 'héllo'[1] }}{{ 'héllo'[-1] }} {{ 'héllo'[1:3] }} {{ 'hello'[::-1] }} {{ [1,2,3,4][::2] }} {{ [1,2,3,4][-3:-1] }} {{ [1,2,3][5:1:-1] }}`, "éo él olleh [1, 3] [2, 3] [3]"},
	{`{{ {'a': {'b': [1, 2]}}.a['b'].1 }}`, "2"},
	{`{{ {'items': 1}['items'] }}{{ {'x': 1}.get('x') }}{{ {}.get('x', 'd') }}`, "11d"},
	// Scopes.
	{`{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = i %}{% endfor %}{{ x }}`, "111"},
	{`{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}`, "6"},
	{`{% if true %}{% set y = 2 %}{% endif %}{{ y }}`, "2"},
	{`{% set a, b = 1, 'z' %}{{ a }}{{ b }}{% set c %}<{{ a }}>{% endset %}{{ c }}`, "1z<1>"},
	{`{% macro f(a, b='x') %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}{{ f(2, b=3) }}{{ f(b=4) }}`, "1x234"},
	// Loops.
	{`{% for i in range(3) %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}`, "1/0/3/3,2/1/2/3,3/2/1/3"},
	{`{% for i in [] %}x{% else %}none{% endfor %}`, "none"},
	{`{% for i in range(10) if i % 2 %}{{ loop.index }}:{{ i }} {% endfor %}`, "1:1 2:3 3:5 4:7 5:9 "},
	{`{% for k, v in {'b': 1, 'a': 2}.items() %}{{ k }}{{ v }}{% endfor %}{% for k in {'b': 1} %}{{ k }}{% endfor %}`, "b1a2b"},
	{`{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}`, "02"},
	{`{% for i in [3, 4] %}{{ loop.previtem }}<{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{% endfor %}`, "<4a3<b"},
	{`{% for i in [1] %}{% for j in [2] %}{{ loop.depth }}{% endfor %}{{ loop.depth0 }}{% endfor %}`, "10"},
	{`{% generation %}x{% endgeneration %}`, "x"},
	// Methods and filters.
	{`{{ ' a b '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'a,b,c'.split(',')[-1] }}|{{ 'a  b'.split() }}|{{ 'a,b,c'.split(',', 1) }}|{{ 'a,b,c'.rsplit(',', 1)[0] }}`, "a b|a|c|['a', 'b']|['a', 'b,c']|a,b"},
	{`{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith(('x', 'c')) }}{{ 'a-b'.replace('-', '+') }}{{ ', '.join(['x', 'y']) }}`, "TrueTruea+bx, y"},
	{`{{ 'hello world'|title }} {{ 'HELLO'|capitalize }} {{ 'aXb'|upper }} {{ 'aXb'|lower }}`, "Hello World Hello AXB axb"},
	{`{{ [3, 1, 2]|sort|join('-') }} {{ [1, 2]|first }} {{ [1, 2]|last }} {{ 'abc'|length }} {{ [1, 1, 2]|unique|list }} {{ [1, 2]|sum }}`, "1-2-3 1 2 3 [1, 2] 3"},
	{`{{ messages|map(attribute='role')|join(' ') }} {{ messages|selectattr('role', 'equalto', 'user')|list|length }} {{ messages|rejectattr('role', 'equalto', 'user')|map(attribute='content')|first }}`, "system user 1 S"},
	{`{{ [1, 2, 3]|select('odd')|list }} {{ ['a', 'b']|reject('equalto', 'a')|list }} {{ ['a']|map('upper')|list }}`, "[1, 3] ['b'] ['A']"},
	{`{{ missing|default('d') }} {{ ''|default('d', true) }} {{ none|d('x') }} {{ '3'|int + 1 }} {{ 'x'|int }} {{ 2|float }} {{ 2.5|round }}`, "d d None 4 0 2.0 2.0"},
	{`{{ {'b': 1, 'a': [1.0, none, true, 'é"<']}|tojson }}`, `{"b": 1, "a": [1.0, null, true, "é\"<"]}`},
	{`{{ {'a': [1, {}], 'b': []}|tojson(indent=2) }}`, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"},
	{`{{ {'b': 1, 'a': 2}|dictsort }} {{ {'b': 1}|items|list }} {{ 'a\nb'|indent(2) }}`, "[('a', 2), ('b', 1)] [('b', 1)] a\n  b"},
	{`{{ '\nb\n\nc'|indent(2) }}|{{ '\n\nb'|indent(2, true) }}|{{ 'a\n\nb'|indent(1, false, true) }}|{{ 'a\nb'|indent('> ') }}`, "\n  b\n\n  c|  \n\n  b|a\n \n b|a\n> b"},
	{`{{ [range(30, 50)|list]|map(attribute='9')|first }} {{ [range(30, 50)|list]|map(attribute='12')|first }} {{ [{'9': 'x'}]|map(attribute='a.9', default='d')|first }}`, "39 42 d"},
	// A default stands for what is absent at any part of a path; digits alone are an index.
	{`{{ [{'a':{'b':1}},{},{'a':{}}]|map(attribute='a.b', default=7)|list }} {{ [[1,2]]|map(attribute='-1')|first is defined }} {{ [{'-1': 5}]|map(attribute='-1')|first }} {{ [[5]]|map(attribute='00')|first }}`,
		"[1, 7, 7] False 5 5"},
	{`{{ [[1,2],[3,4]]|sum(attribute=1) }} {{ [[1,2],[3,4]]|join(',',1) }} {{ [[1,2],[3,1]]|sort(attribute=1) }} {{ [[1,0],[3,1]]|selectattr(1)|list }} {{ [{'b':[4,3]},{'b':[1,2]}]|sort(attribute='b.0')|map(attribute='b.1')|list }}`,
		"6 2,4 [[3, 1], [1, 2]] [[3, 1]] [2, 3]"},
	{`{{ 'a::b::c'.rsplit('::', 1) }} {{ 'a::b::c'.rsplit('::') }} {{ 'a::b::c'.split('::', 1) }} {{ '::a::'.rsplit('::', 5) }}`, "['a::b', 'c'] ['a', 'b', 'c'] ['a', 'b::c'] ['', 'a', '']"},
	// A whole float is the same key as the int.
	{`{{ {1: 'a', 1.0: 'b'}[1] }}{{ {1.5: 'x'}[1.5] }}{{ {1: 'y'}[1.0] }}{{ {2.5: 1, 2: 2, 2.0: 3}|length }}{{ {0.5: 1, 0: 2}|length }}{{ {-0.0: 'z'}[0] }}`, "bxy22z"},
	// Python rounds quotients down, and the rest has the sign of the divisor.
	{`{% for b in [-3, -2, -1, 1, 2, 3] %}{{ 7 // b }}/{{ 7 % b }} {{ -7 // b }}/{{ -7 % b }} {% endfor %}`,
		"-3/-2 2/-1 -4/-1 3/-1 -7/0 7/0 7/0 -7/0 3/1 -4/1 2/1 -3/2 "},
	{`{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}|{% for i in range(0, 5, 2) %}{{ i }}{% endfor %}|{{ range(3, 3)|list }}{{ range(0, 3, -1)|list }}{{ range(1, 2, 9)|list }}`, "531|024|[][][1]"},
	// Tests.
	{`{{ x is defined }} {{ messages is defined }} {{ none is none }} {{ 1 is number }} {{ 'a' is string }} {{ {} is mapping }} {{ [] is iterable }} {{ 1 is not string }} {{ 4 is divisibleby(2) }} {{ 3 is odd }} {{ 'a' is in ['a'] }} {{ 1 is eq 1 }}`,
		"False True True True True True True True True True True True"},
	{`{{ messages[0].role == 'system' and messages|length > 1 }}{{ tools is none }}{{ add_generation_prompt }}`, "TrueTrueFalse"},
}

func TestExpected(t *testing.T) {
	for _, c := range expected {
		if got, err := render(c.template, values); err != nil || got != c.want {
			t.Errorf("%q\nfound    %q, %v\nexpected %q", c.template, got, err, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ template, want string }{
		{"{% include 'x' %}", `line 1: tag "include" is not supported`},
		{"\n\n{% frob %}", `line 3: tag "frob" is unknown`},
		{"{% if x %}", `line 1: the template ends, expected endif`},
		{"{{ 'abc }}", `line 1: the string does not end, expected '`},
		{"{{ 1 + }}", `line 1: found the end of the tag, expected a value`},
		{"{{ x", `line 1: the tag does not end, expected "}}"`},
		{"{# x", `line 1: the comment does not end`},
		{"{{ x|frobnicate }}", `line 1: filter "frobnicate" is not supported`},
		{"{{ x is frobnicated }}", `line 1: test "frobnicated" is not supported`},
		{"{% break %}", `line 1: break is outside of a loop`},
		{"{{ 'a' $ }}", `line 1: unexpected character '$'`},
		{"{{ 99999999999999999999 }}", `line 1: number 99999999999999999999 is out of range`},
		{"a\n{{ raise_exception('no tools') }}", `line 2: the template refuses: no tools`},
		{"{{ x.y }}", `line 1: x is undefined`},
		{"{{ 'a' + 1 }}", `line 1: + is not for values of types str and int`},
		{"{{ 'a' + x }}", `line 1: x is undefined`},
		{"{{ 1 // 0 }}", `line 1: division by zero`},
		{"{{ (-9223372036854775807 - 1) // -1 }}", `line 1: -1 * -9223372036854775808 is out of range`},
		{"{{ [{}]|map(attribute='a.b')|list }}", `line 1: an item of a value of type dict is undefined`},
		{"{{ [{}]|map(attribute='a', other=1)|list }}", `line 1: map is given argument "other", expected attribute, default`},
		{"{{ [{}]|selectattr()|list }}", `line 1: an attribute filter needs an attribute`},
		{"{{ range() }}", `line 1: range needs a stop`},
		{"{{ range(1, 2, 0) }}", `line 1: range: the step is 0`},
		{"{{ 12", `line 1: the tag does not end, expected "}}"`},
		{"{{ 1.5", `line 1: the tag does not end, expected "}}"`},
		{"{{ 1e5", `line 1: the tag does not end, expected "}}"`},
		{"{{ 1_0", `line 1: the tag does not end, expected "}}"`},
		{"{{ 1.", `line 1: the tag does not end, expected "}}"`},
		{"{{ 1e", `line 1: the tag does not end, expected "}}"`},
		{"{{ 1e+", `line 1: the tag does not end, expected "}}"`},
		{"{{ 1_", `line 1: the tag does not end, expected "}}"`},
		{"{{ 9223372036854775807 + 1 }}", `line 1: 9223372036854775807 + 1 is out of range`},
		{"{{ messages.append(1) }}", `line 1: append: a list cannot be changed`},
		{"{% set messages.x = 1 %}", `line 1: messages is of type list: only a namespace's attributes may be set`},
		{"{% for a, b in [1, 2] %}{% endfor %}", `line 1: several names: a value of type int has no items`},
		{"{{ strftime_now('%d') }}", `line 1: strftime_now is undefined`},
		{"{{ 1() }}", `line 1: a value of type int is called`},
		{"{{ [1]|map(filter='upper') }}", `line 1: map: argument filter is of type NoneType, expected str`},
		{"{{ namespace()|tojson }}", `line 1: tojson: a value of type namespace has no JSON`},
	} {
		if _, err := render(c.template, values); err == nil || err.Error() != c.want {
			t.Errorf("%q\nfound    %v\nexpected %s", c.template, err, c.want)
		}
	}
	if _, err := Parse(strings.Repeat("x", MaxSource+1)); err == nil {
		t.Error("a template longer than MaxSource is parsed")
	}
	for _, bad := range []string{``, `[{"role":1}`, `[1e999]`, `[99999999999999999999]`, strings.Repeat("[", 5000) + strings.Repeat("]", 5000)} {
		if _, err := render("{{ messages }}", map[string]json.RawMessage{"messages": json.RawMessage(bad)}); err == nil {
			t.Errorf("messages %.20s are accepted", bad)
		}
	}
}

// TestHostile has templates that would run or grow without end.
func TestHostile(t *testing.T) {
	nest := func(open, inner, end string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	for name, source := range map[string]string{
		"a giant range":          `{% for i in range(10 ** 12) %}x{% endfor %}`,
		"loops in loops":         nest(`{% for i in range(1000) %}`, "x", `{% endfor %}`, 9),
		"empty loops":            nest(`{% for i in range(1000) %}`, "", `{% endfor %}`, 9),
		"shared lists as JSON":   `{% set ns = namespace(s=[1]) %}{% for i in range(90) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s|tojson }}`,
		"shared lists as text":   `{% set ns = namespace(s=[1]) %}{% for i in range(90) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}`,
		"comparing shared lists": `{% set ns = namespace(s=[1], t=[1]) %}{% for i in range(90) %}{% set ns.s = [ns.s, ns.s] %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.s == ns.t }}`,
		"repeating":              `{{ 'abc' * 10 ** 12 }}`,
		"replacing":              `{% set ns = namespace(s='a' * 1000) %}{% for i in range(9) %}{% set ns.s = ns.s.replace('a', 'a' * 1000) %}{% endfor %}`,
		"joining":                `{{ range(100000)|join('x' * 100000) }}`,
		"a macro of itself":      `{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}`,
		"macros of two":          `{% macro f() %}{{ g() }}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}`,
		"a deep value":           `{% set ns = namespace(s=[]) %}{% for i in range(100000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}`,
		"brackets":               "{{ " + nest("(", "1", ")", 50000) + " }}",
		"lists":                  "{{ " + nest("[", "", "]", 50000) + " }}",
		"nots":                   "{{ " + strings.Repeat("not ", 50000) + "1 }}",
		"signs":                  "{{ " + strings.Repeat("-", 50000) + "1 }}",
		"powers":                 "{{ " + strings.Repeat("2**", 50000) + "1 }}",
		"sums":                   "{{ 1" + strings.Repeat("+1", 50000) + " }}",
		"attributes":             "{{ x" + strings.Repeat(".x", 50000) + " }}",
		"filters":                "{{ x" + strings.Repeat("|string", 20000) + " }}",
		"conditions":             "{{ 1" + strings.Repeat(" if 1 else 1", 15000) + " }}",
		"ifs":                    nest("{% if 1 %}", "x", "{% endif %}", 8000),
		"indents":                `{{ range(1000)|map('string')|join('\n')|indent('x' * 100000) }}`,
		"sorting":                `{% for i in range(100) %}{{ range(100000)|sort|length }}{% endfor %}`,
		"finding":                `{% set s = 'a' * 1000000 %}{% for i in range(100000) %}{{ 'b' in s }}{% endfor %}`,
		"a namespace of itself":  `{% set ns = namespace() %}{% set ns.a = ns %}{{ ns.a.a.a|tojson }}`,
	} {
		start := time.Now()
		_, err := render(source, values)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		t.Logf("%-24s %8s  %.100v", name, time.Since(start).Round(time.Millisecond), err)
	}
	for _, source := range []string{
		`{{ 'a' * 10 ** 9 }}`,
		`{{ 'aaaa' * 4611686018427387904 }}`, // the product is 0 in 64 bits
		`{{ [1] * 1152921504606846976 }}`,
		`{% set ns = namespace(s='a') %}{% for i in range(27) %}{% set ns.s = ns.s + ns.s %}{% endfor %}`,
		`{% set ns = namespace(s='a') %}{% for i in range(27) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}`,
		`{% set ns = namespace(s=[1]) %}{% for i in range(24) %}{% set ns.s = ns.s + ns.s %}{% endfor %}`,
	} {
		if _, err := render(source, nil); !errors.Is(err, ErrWork) {
			t.Errorf("%s: found %v, expected ErrWork", source, err)
		}
	}
}

// TestMacroCalls: macros are called as often as the work allows, but nest no deeper than maxCalls.
func TestMacroCalls(t *testing.T) {
	const down = `{% macro f(n) %}{% if n > 1 %}{{ f(n - 1) }}{% endif %}x{% endmacro %}`
	for _, c := range []struct{ template, want, err string }{
		{`{% macro f() %}x{% endmacro %}{% for i in range(200) %}{{ f() }}{% endfor %}`, strings.Repeat("x", 200), ""},
		{down + `{{ f(50) }}{{ f(50) }}`, strings.Repeat("x", 100), ""},
		{down + `{{ f(51) }}`, "", "line 1: calls of macros nest deeper than 50"},
	} {
		got, err := render(c.template, nil)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%q\nfound    %q, %v\nexpected %q, %s", c.template, got, err, c.want, c.err)
		}
	}
}

func FuzzRender(f *testing.F) {
	for _, c := range expected {
		f.Add(c.template)
	}
	f.Fuzz(func(t *testing.T, source string) {
		template, err := Parse(source)
		if err != nil {
			return
		}
		in := Input{Values: map[string]json.RawMessage{
			"messages":  json.RawMessage(`[{"role":"user","content":"Hi","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]}]`),
			"bos_token": json.RawMessage(`"<s>"`),
		}}
		text, err := template.Render(in)
		if len(text) > MaxWork {
			t.Fatalf("%d bytes of output", len(text))
		}
		again, errAgain := template.Render(in)
		if text != again || (err == nil) != (errAgain == nil) {
			t.Fatalf("two renderings differ: %q %v, %q %v", text, err, again, errAgain)
		}
	})
}
