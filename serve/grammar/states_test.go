package grammar

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
)

// TestNoDeadEnds: in texts of constraints that exclude each other in part, something may come in
// every state, and every text ends.
func TestNoDeadEnds(t *testing.T) {
	w := newWriter(byteTokens())
	for _, text := range []string{
		`{"type":"integer","minimum":8,"maximum":20,"multipleOf":7}`, `{"type":"number","minimum":0.3,"maximum":0.4,"multipleOf":0.07}`, `{"type":"integer","minimum":100000,"maximum":900000,"multipleOf":4093}`,
		`{"type":"string","pattern":"9","format":"ipv4","maxLength":9}`, `{"type":"string","pattern":"^(ab|cd)*$","minLength":5,"maxLength":7}`, `{"type":"string","pattern":"x.*y","allOf":[{"pattern":"^[xyz]*$"}],"maxLength":4}`,
		`{"type":"object","propertyNames":{"pattern":"^a"},"patternProperties":{"b$":false,"^.{4}":false},"maxProperties":3,"additionalProperties":{"const":1}}`,
	} {
		g, err := JSON(t.Context(), []byte(text), Compact)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for seed := range 200 {
			if out, ok := w.write(t, g, rand.New(rand.NewPCG(uint64(seed), 2)), 100); !ok {
				t.Fatalf("%s: %q has not ended", text, out)
			}
		}
	}
	g, err := JSON(t.Context(), []byte(`{"type":"integer","minimum":8,"maximum":20,"multipleOf":7}`), Compact)
	if err != nil || g.pool.run(g.root, "2") != none || g.pool.run(g.root, "8") != none || g.pool.run(g.root, "1") == none {
		t.Errorf("%v: 14 is the one such number", err)
	}
}

// TestStatesStayFew: two counts of the same characters do not make a state of ever more
// alternatives.
func TestStatesStayFew(t *testing.T) {
	g, err := Compile(t.Context(), `[a-z]{0,1000}[a-z0-9]{0,1000}`)
	if err != nil {
		t.Fatal(err)
	}
	state := g.root
	for range 500 {
		state = g.pool.run(state, "a")
		if n := len(g.pool.terms[state].args); n > 10 {
			t.Fatalf("a state has %d alternatives", n)
		}
	}
}

// TestTwoVocabularies: masks of one vocabulary are not those of another.
func TestTwoVocabularies(t *testing.T) {
	g, err := Compile(t.Context(), `ab`)
	if err != nil {
		t.Fatal(err)
	}
	first, second := NewVocabulary([][]byte{[]byte("a"), []byte("b"), nil}, 2), NewVocabulary([][]byte{[]byte("b"), []byte("a"), nil}, 2)
	bits := make([]uint64, 1)
	for range 2 {
		if g.Matcher(first).Allowed(bits); !slices.Equal(bits, []uint64{1}) {
			t.Errorf("%b of the first", bits)
		}
		if g.Matcher(second).Allowed(bits); !slices.Equal(bits, []uint64{2}) {
			t.Errorf("%b of the second", bits)
		}
	}
}

// TestNestedCounts: alternatives that others contain are dropped and no text with them: random
// expressions of counts within counts mean what package regexp takes them for, on all texts of a
// few letters.
func TestNestedCounts(t *testing.T) {
	var texts []string
	for length := range 8 {
		for bits := range 1 << length {
			text := make([]byte, length)
			for i := range text {
				text[i] = "ab"[bits>>i&1]
			}
			texts = append(texts, string(text))
		}
	}
	rng := rand.New(rand.NewPCG(3, 5))
	var draw func(depth int) string
	draw = func(depth int) string {
		if depth == 0 {
			return []string{"a", "b", "[ab]", "ab", "ba"}[rng.IntN(5)]
		}
		inside := draw(depth - 1)
		switch rng.IntN(4) {
		case 0:
			return inside + draw(depth-1)
		case 1:
			return "(" + inside + "|" + draw(depth-1) + ")"
		}
		lo := rng.IntN(3)
		return fmt.Sprintf("(%s){%d,%d}", inside, lo, lo+rng.IntN(4))
	}
	for range 1000 {
		expression := draw(1 + rng.IntN(4))
		g, err := Compile(t.Context(), expression)
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		reference := regexp.MustCompile("^(?:" + expression + ")$")
		for _, text := range texts {
			if got := g.pool.matches(g.root, text); got != reference.MatchString(text) {
				t.Fatalf("%s matches %q: %t, package regexp says %t", expression, text, got, !got)
			}
		}
	}
}

// TestAlternativesThatContainOthers: counts are compared part by part.
func TestAlternativesThatContainOthers(t *testing.T) {
	for expression, want := range map[string]int{
		"a{0,3}b{0,4}|a{0,2}b{0,4}|a{0,3}b{0,2}": 0, // one is left
		"a{0,3}b{0,4}|a{0,4}b{0,3}":              2,
		"a{1,3}b|a{0,3}b":                        2, // which this does not see
		"a{2,3}b{1,9}|a{2,5}b{1,9}":              0,
		"a{2,}b|a{2,9}b":                         0,
		"a{0,3}ba{0,5}|a{0,2}ba{0,6}":            2,
	} {
		g, err := Compile(t.Context(), expression)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(g.pool.terms[g.root].args); n != want {
			t.Errorf("%s has %d alternatives, expected %d", expression, n, want)
		}
	}
}
