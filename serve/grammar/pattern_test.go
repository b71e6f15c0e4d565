package grammar

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"regexp"
	"testing"

	"slimlab/serve/grammar/pattern"
)

// expressions mean the same to package regexp.
var expressions = []string{
	``, `a`, `abc|abd`, `a*`, `(ab)+c?`, `[a-c]{2,4}`, `[^a-c]`, `(a|b)*abb`, `a{3}`, `a{2,}`, `(a?){3}`, `(a*)*b`, `\d+(\.\d+)?`, `[é-ü]+`, `x\{\}`, `[\]\-]`, `日本+`, `[\x{1F600}-\x{1F64F}]`, `\x41\n`,
	`(a{0,3}b?){0,4}`, `(?:a|ab)(?:c|bcd)`, `\p{Lu}\p{Ll}*`, `\PN{2}`, `[\d_]+`, `"[^"]*"`, `\\.`, `(?P<n>a)(?<m>b)`, `.a.`, `a|`, `()`, `[a-z]+@[a-z]+\.com`,
}

// anchored are found in texts as package regexp finds them.
var anchored = []string{`^a`, `a$`, `^a$`, `^a|b$`, `(^|-)a($|-)`, `a`, `^$`, `^`, `$`, `(^a)?b`, `^(a|b)+$`, `^[a-z]{2,3}$`, `a(b|$)`, `(^b|a)b`, `x*^a`}

// alphabetOf has the characters of all expressions, and others.
var alphabetOf = []rune("aabbcd-x01.\"\\\n é日本😀A@Ω")

func texts(random *rand.Rand) string {
	var out []rune
	for range random.IntN(7) {
		out = append(out, alphabetOf[random.IntN(len(alphabetOf))])
	}
	return string(out)
}

// TestExpressions compares whole matches with package regexp, on random texts and on texts that the
// grammar writes.
func TestExpressions(t *testing.T) {
	w := newWriter(byteTokens())
	for _, expression := range expressions {
		g, err := Compile(t.Context(), expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		reference := regexp.MustCompile(`^(?:` + expression + `)$`)
		random := rand.New(rand.NewPCG(3, 4))
		matched := 0
		for range 2000 {
			text := texts(random)
			got := g.pool.matches(g.root, text)
			if got != reference.MatchString(text) {
				t.Fatalf("%s: %q: matches %v, expected %v", expression, text, got, !got)
			}
		}
		for range 50 {
			text, ok := w.write(t, g, random, 200)
			if ok && !reference.Match(text) {
				t.Fatalf("%s: wrote %q", expression, text)
			}
			if ok {
				matched++
			}
		}
		if matched == 0 {
			t.Errorf("%s: no text ended", expression)
		}
	}
}

// TestPatternsAreFound compares the keyword pattern with package regexp.
func TestPatternsAreFound(t *testing.T) {
	for _, expression := range append(anchored, expressions...) {
		document, _ := json.Marshal(map[string]any{"type": "string", "pattern": expression})
		g, err := JSON(t.Context(), document, Compact)
		if err != nil {
			if unsupported := (*Unsupported)(nil); expression == `x*^a` && errors.As(err, &unsupported) {
				continue
			}
			t.Errorf("%s: %v", expression, err)
			continue
		}
		reference := regexp.MustCompile(expression)
		random := rand.New(rand.NewPCG(3, 4))
		b := &builder{}
		for range 2000 {
			text := texts(random)
			got := g.pool.matches(g.root, `"`+b.inside(text)+`"`)
			if got != reference.MatchString(text) {
				t.Fatalf("%s: %q: found %v, expected %v", expression, text, got, !got)
			}
		}
	}
}

// TestExpressionErrors: what is not understood is refused with its place.
func TestExpressionErrors(t *testing.T) {
	for expression, offset := range map[string]int{
		`(a`: 0, `a)`: 1, `[a`: 0, `*a`: 0, `a**`: 2, `a{2,1}`: 1, `a{x}`: 1, `a{9999999999}`: 1, `(?=a)b`: 2, `(?i)a`: 2, `a\b`: 2, `(a)\1`: 4, `a\`: 2, `[z-a]`: 4, `\p{Nonsense}`: 2, `\q`: 1, `\xZZ`: 2, "\xff": 0, `^*`: 2,
	} {
		_, err := Compile(t.Context(), expression)
		var e *pattern.Error
		if !errors.As(err, &e) || e.Offset != offset {
			t.Errorf("%q: %v, expected an error at byte %d", expression, err, offset)
		}
	}
	for _, impossible := range []string{`a^b`, `a$b`, `[^\x{0}-\x{10ffff}]`} {
		if _, err := Compile(t.Context(), impossible); !errors.Is(err, errNothing) {
			t.Errorf("%q: %v, expected that nothing matches", impossible, err)
		}
	}
}
