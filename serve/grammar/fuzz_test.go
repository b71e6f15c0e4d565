package grammar

import (
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
)

// FuzzExpression: an expression that both read means what package regexp takes it for, and none
// panics.
func FuzzExpression(f *testing.F) {
	for _, expression := range slices.Concat(expressions, anchored, []string{`(?=a)`, `[a`, `a{2,1}`, `\u{1F600}`, `\cA`, `a{1,100000}`}) {
		f.Add(expression, "abab")
	}
	f.Fuzz(func(t *testing.T, expression, text string) {
		g, err := Compile(t.Context(), expression)
		if err != nil || len(expression) > 100 || len(text) > 100 {
			return
		}
		// Where the syntaxes differ there is nothing to compare with.
		if strings.ContainsAny(expression, ".^$") || regexp.MustCompile(`\\[sSwWvcuzAQExp]|\[\]|\[[^]]*\[|\(\?`).MatchString(expression) {
			return
		}
		if _, err := syntax.Parse(expression, syntax.Perl); err != nil {
			return
		}
		reference, err := regexp.Compile(`^(?:` + expression + `)$`)
		if err != nil || strings.ContainsRune(text, '\uFFFD') || strings.ToValidUTF8(text, "") != text {
			return
		}
		if got := g.pool.matches(g.root, text); got != reference.MatchString(text) {
			t.Errorf("%q on %q: %v, expected %v", expression, text, got, !got)
		}
	})
}

// FuzzSchema: a schema is refused with an error or makes texts that an independent validator
// accepts, with masks that agree with the bytes.
func FuzzSchema(f *testing.F) {
	for _, text := range constraints {
		f.Add([]byte(text), uint64(1))
	}
	for _, text := range tools {
		f.Add([]byte(text), uint64(2))
	}
	for name, text := range explosions {
		if len(text) < 1000 {
			f.Add([]byte(text), uint64(len(name)))
		}
	}
	w := newWriter(byteTokens())
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		g, err := JSON(t.Context(), text, Compact)
		if err != nil || len(text) > 2000 {
			return
		}
		mask := make([]uint64, w.vocabulary.words())
		m := g.Matcher(w.vocabulary)
		random := rand.New(rand.NewPCG(seed, 1))
		for range 50 {
			m.Allowed(mask)
			if m.Err() != nil {
				return
			}
			for b := range 256 {
				want := g.pool.step(m.state(), byte(b)) != none
				if got := mask[b>>6]>>(b&63)&1 != 0; got != want {
					t.Fatalf("behind %v: byte %q: allowed %v", m.tokens, byte(b), got)
				}
			}
			if token := anyOf(mask, random); token == 256 || accept(m, token) != nil {
				break
			}
		}
		checkTexts(t, text, Compact, w, 2)
	})
}
