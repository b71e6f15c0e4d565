package pattern

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestSets: what classes and escapes stand for.
func TestSets(t *testing.T) {
	for expression, want := range map[string][]Range{
		`a`: {{'a', 'a'}}, `[a-cb-e]`: {{'a', 'e'}}, `[ab]`: {{'a', 'b'}}, `\d`: {{'0', '9'}}, `[^\d]`: {{0, '/'}, {':', 0xd7ff}, {0xe000, utf8.MaxRune}}, `\x41`: {{'A', 'A'}}, `\u0041`: {{'A', 'A'}}, `\u{1F600}`: {{0x1f600, 0x1f600}},
		`\ud83d\ude00`: {{0x1f600, 0x1f600}}, `\cJ`: {{'\n', '\n'}}, `\0`: {{0, 0}}, `[\b]`: {{'\b', '\b'}}, `[-a]`: {{'-', '-'}, {'a', 'a'}}, `[a-]`: {{'-', '-'}, {'a', 'a'}}, `[\]]`: {{']', ']'}}, `[\w-]`: {{'-', '-'}, {'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
		`\p{Script=Ogham}`: {{0x1680, 0x169c}}, `\p{Ogham}`: {{0x1680, 0x169c}}, `\p{gc=Zl}`: {{0x2028, 0x2028}}, `\pZ`: {{' ', ' '}, {0xa0, 0xa0}, {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}},
		`.`: {{0, '\t'}, {'\v', '\f'}, {0xe, 0x2027}, {0x202a, 0xd7ff}, {0xe000, utf8.MaxRune}}, `[]`: nil, `[^]`: {{0, 0xd7ff}, {0xe000, utf8.MaxRune}}, `\ud800`: nil,
	} {
		n, err := Parse(expression)
		if err != nil || n.Op != Class {
			t.Errorf("%s: %v %v", expression, n, err)
			continue
		}
		if got := Normal(n.Set); !slices.Equal(got, want) {
			t.Errorf("%s: %x, expected %x", expression, got, want)
		}
	}
}

// TestPOSIX: classes of POSIX are refused by name; what only looks like one is read as ECMAScript
// does.
func TestPOSIX(t *testing.T) {
	for expression, name := range map[string]string{
		`[[:alpha:]]+!`: "[:alpha:]", `[:digit:]+`: "[:digit:]", `[^[:space:]]`: "[:space:]", `[a[:^upper:]-]`: "[:^upper:]", `x[[:word:]`: "[:word:]", `[[=a=]]`: "[=a=]", `[[.é.]]`: "[.é.]",
	} {
		_, err := Parse(expression)
		if err == nil || !strings.Contains(err.Error(), name+", a class of POSIX, is not supported") || err.(*Error).Limit {
			t.Errorf("%s: %v, expected a refusal of %s", expression, err, name)
		}
	}
	for _, expression := range []string{`[:a]`, `[[:]`, `[a:]`, `[[:alpha]`, `[[]`, `[=:.]`, `[[:colour:]`, `\[:alpha:\]`} {
		if _, err := Parse(expression); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

// TestLongNames: each name of a category in words is a category.
func TestLongNames(t *testing.T) {
	for long, short := range longNames {
		a, err := Parse(`\p{` + long + `}`)
		b, short := Parse(`\p{` + short + `}`)
		if err != nil || short != nil || !slices.Equal(a.Set, b.Set) || len(a.Set) == 0 {
			t.Errorf("%s: %v %v", long, err, short)
		}
	}
}

// TestLimits: each limit is an error.
func TestLimits(t *testing.T) {
	deep := make([]byte, 0, 2*(MaxDepth+1))
	for range MaxDepth + 1 {
		deep = append(deep, '(')
	}
	for range MaxDepth + 1 {
		deep = append(deep, ')')
	}
	for _, expression := range []string{string(deep), string(make([]byte, MaxLength+1)), `a{1073741825}`} {
		if _, err := Parse(expression); err == nil || !err.(*Error).Limit {
			t.Errorf("%.20q… is read, or refused as no limit: %v", expression, err)
		}
	}
	if _, err := Parse(string(deep[1 : len(deep)-1])); err != nil {
		t.Error(err)
	}
}

// FuzzParse: no expression panics, and errors stand within it.
func FuzzParse(f *testing.F) {
	for _, expression := range []string{`(a|b)*`, `[^a-z]{2,3}?`, `\p{L}\u{41}\x{4}`, `(?<n>a`, `a{`, `\`} {
		f.Add(expression)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		n, err := Parse(expression)
		if (n == nil) == (err == nil) {
			t.Errorf("%v and %v", n, err)
		}
		if e, ok := err.(*Error); ok && (e.Offset < 0 || e.Offset > len(expression)) {
			t.Errorf("an error at byte %d of %d", e.Offset, len(expression))
		}
	})
}
