package grammar

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

// odd is a vocabulary of awkward tokens: parts of characters, of strings and of escapes, tokens
// twice, control tokens without bytes, tokens of several groups of lengths.
func odd() *Vocabulary {
	tokens := [][]byte{nil}
	for _, s := range []string{
		`{`, `}`, `{"`, `{"a":`, `"`, `":`, `": "`, `","`, `"}`, `\`, `\"`, `\u`, `00`, `e9`, "\xc3", "\xa9", "é", "\xf0\x9f", "\x98\x80", `ab`, `ab`, `a`, `b`, `1`, `12`, `-`, `.`, `5`, `,`, `[`, `]`, ` `, `true`, `null`, "\n",
		`the quick brown fox`, `abababababababababababababababababababababababababab`, `a":[1,2],"b":"`, ":", "e", "x", `abababab`, `abababa"`, `abababab"`, `ababababab"`,
	} {
		tokens = append(tokens, []byte(s))
	}
	long := make([]byte, 300)
	for i := range long {
		long[i] = 'a'
	}
	tokens = append(tokens, long[:200], long, []byte("</s>"))
	return NewVocabulary(tokens, int32(len(tokens)-1))
}

var constraints = []string{
	`{"type":"object"}`, `true`, `{"type":"string","maxLength":10}`, `{"type":"string","minLength":20,"maxLength":60}`, `{"type":"string","pattern":"^(ab)*$","maxLength":30}`,
	`{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}},"b":{"type":"string"}},"required":["a"]}`, `{"enum":["ab","abab",12,{"a":[1,null]}]}`,
	`{"type":"array","items":{"$ref":"#"},"maxItems":2}`, `{"type":"number","minimum":-1.5,"maximum":12}`, `{"type":"integer","multipleOf":5}`, `{"type":"string","maxLength":300}`,
}

// TestAllowedIsAccept: in every state that a random text comes to, a token is allowed exactly where
// its bytes one by one are, with the states of a grammar of its own that never made a mask.
func TestAllowedIsAccept(t *testing.T) {
	v := odd()
	end := v.ends[0]
	for _, text := range constraints {
		g, err := JSON(t.Context(), []byte(text), Single)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		fresh, _ := JSON(t.Context(), []byte(text), Single)
		random := rand.New(rand.NewPCG(5, 6))
		mask := make([]uint64, v.words()+1)
		for range 30 {
			m := g.Matcher(v)
			state := fresh.root
			for range 60 {
				mask[len(mask)-1] = 1 // of a wider model: cleared
				m.Allowed(mask)
				for n, token := range v.tokens {
					want := fresh.pool.run(state, string(token)) != none && len(token) > 0 && len(token) <= 256
					if int32(n) == end {
						want = fresh.pool.terms[state].nullable
					}
					if got := mask[n>>6]>>(n&63)&1 != 0; got != want {
						t.Fatalf("%s: behind %v: token %d %q: allowed %v, expected %v", text, m.tokens, n, token, got, want)
					}
				}
				if mask[len(mask)-1] != 0 {
					t.Fatal("bits beyond the vocabulary are left")
				}
				if m.Complete() != fresh.pool.terms[state].nullable {
					t.Fatalf("%s: behind %v: complete %v", text, m.tokens, m.Complete())
				}
				if !slices.ContainsFunc(mask, func(w uint64) bool { return w != 0 }) {
					break
				}
				token := anyOf(mask, random)
				if err := accept(m, token); err != nil {
					t.Fatal(err)
				}
				if token == end {
					break
				}
				state = fresh.pool.run(state, string(v.tokens[token]))
			}
		}
	}
}

// TestRollback: after tokens are taken back, masks and ends are as before them.
func TestRollback(t *testing.T) {
	v := odd()
	g, err := JSON(t.Context(), []byte(constraints[5]), Single)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 8))
	for range 50 {
		m := g.Matcher(v)
		var masks [][]uint64 // before each token of the text
		for len(masks) < 100 {
			mask := make([]uint64, v.words())
			m.Allowed(mask)
			if !slices.ContainsFunc(mask, func(w uint64) bool { return w != 0 }) {
				break
			}
			if err := accept(m, anyOf(mask, random)); err != nil {
				t.Fatal(err)
			}
			masks = append(masks, mask)
			if random.IntN(4) > 0 {
				continue
			}
			n := 1 + random.IntN(len(masks))
			if err := m.Rollback(n); err != nil {
				t.Fatal(err)
			}
			before := len(masks) - n
			again := make([]uint64, v.words())
			if m.Allowed(again); !slices.Equal(again, masks[before]) {
				t.Fatal("another mask after the tokens were taken back")
			}
			masks = masks[:before]
		}
	}
}

func accept(m *Matcher, token int32) error {
	m.Accept(token)
	return m.Err()
}

// TestRefused: tokens that may not come are errors, and so is all that follows them.
func TestRefused(t *testing.T) {
	v := odd()
	g, err := Compile(t.Context(), `ab?`)
	if err != nil {
		t.Fatal(err)
	}
	end := v.ends[0]
	id := func(s string) int32 {
		return int32(slices.IndexFunc(v.tokens, func(b []byte) bool { return string(b) == s }))
	}
	mask := make([]uint64, v.words())
	isEmpty := func() bool { return !slices.ContainsFunc(mask, func(w uint64) bool { return w != 0 }) }
	for _, token := range []int32{-1, int32(len(v.tokens)), 0, id("b"), end, id("x")} {
		m := g.Matcher(v)
		first := accept(m, token)
		if m.Allowed(mask); first == nil || !isEmpty() || accept(m, id("a")) != first || m.Complete() || m.Rollback(0) != first {
			t.Errorf("token %d: %v", token, first)
		}
	}
	for _, last := range []int32{id("b"), end} {
		m := g.Matcher(v)
		if m.Complete() || accept(m, id("a")) != nil || !m.Complete() || accept(m, end) != nil {
			t.Error("a and the end are not accepted")
		}
		if m.Allowed(mask); !isEmpty() || accept(m, last) == nil {
			t.Errorf("token %d is accepted behind the end", last)
		}
	}
	m := g.Matcher(v)
	if accept(m, id("a")) != nil || accept(m, end) != nil || m.Rollback(3) == nil || m.Rollback(-1) == nil || m.Rollback(1) != nil || accept(m, id("b")) != nil {
		t.Errorf("the end is not taken back: %v", m.Err())
	}
	short := g.Matcher(NewVocabulary(make([][]byte, 65), 64))
	if short.Allowed(make([]uint64, 1)); short.Err() == nil {
		t.Error("a mask that is too short is no error")
	}
}

// TestFork: a fork and its origin go on apart, whichever takes tokens back.
func TestFork(t *testing.T) {
	v := byteTokens()
	g, err := Compile(t.Context(), `ab(c|d)(e|f)`)
	if err != nil {
		t.Fatal(err)
	}
	m := g.Matcher(v)
	for _, token := range []int32{'a', 'b', 'c'} {
		m.Accept(token)
	}
	fork := m.Fork()
	if err := m.Rollback(1); err != nil {
		t.Fatal(err)
	}
	m.Accept('d')
	second := fork.Fork()
	fork.Accept('e')
	second.Accept('f')
	m.Accept('f')
	for _, c := range []struct {
		m    *Matcher
		want []int32
	}{{m, []int32{'a', 'b', 'd', 'f'}}, {fork, []int32{'a', 'b', 'c', 'e'}}, {second, []int32{'a', 'b', 'c', 'f'}}} {
		if !slices.Equal(c.m.tokens, c.want) || !c.m.Complete() {
			t.Errorf("%c: %v, expected %c", c.m.tokens, c.m.Err(), c.want)
		}
	}
}

// TestForgetting: matchers go on as if nothing was when the states of their grammar are dropped.
func TestForgetting(t *testing.T) {
	for items, room := range map[string]int{`{"enum":[` + strings.Join(manyWords(300), ",") + `]}`: 1000, `{"type":"string","pattern":"a[a-z]*b","minLength":3,"maxLength":12}`: 3000} {
		checkForgetting(t, []byte(`{"type":"array","items":`+items+`,"minItems":1000}`), room)
	}
}

func checkForgetting(t *testing.T, text []byte, room int) {
	v := byteTokens()
	g, err := JSON(t.Context(), text, Single)
	if err != nil {
		t.Fatal(err)
	}
	reference, _ := JSON(t.Context(), text, Single)
	g.pool.limit = g.cells + room
	random := rand.New(rand.NewPCG(9, 1))
	a, b := make([]uint64, v.words()), make([]uint64, v.words())
	many := []*Matcher{g.Matcher(v), g.Matcher(v), g.Matcher(v)}
	others := []*Matcher{reference.Matcher(v), reference.Matcher(v), reference.Matcher(v)}
	for range 3000 {
		i := random.IntN(3)
		if len(many[i].tokens) > 60 {
			many[i], others[i] = g.Matcher(v), reference.Matcher(v)
		}
		many[i].Allowed(a)
		others[i].Allowed(b)
		if !slices.Equal(a, b) || many[i].Err() != nil {
			t.Fatalf("other masks behind %d tokens: %v", len(many[i].tokens), many[i].Err())
		}
		token := anyOf(b, random)
		if err := accept(many[i], token); err != nil {
			t.Fatal(err)
		}
		if err := accept(others[i], token); err != nil {
			t.Fatal(err)
		}
		if many[i].Complete() != others[i].Complete() {
			t.Fatal("complete in one of two")
		}
	}
	if g.forgotten == 0 {
		t.Error("nothing was forgotten")
	}
	g.forget()
	g.pool.limit = g.cells // no state fits
	m := g.Matcher(v)
	if m.Allowed(a); m.Err() == nil || slices.ContainsFunc(a, func(w uint64) bool { return w != 0 }) || accept(m, '[') == nil || m.Complete() {
		t.Errorf("%v: expected an error and an empty mask where no state fits", m.Err())
	}
}

// TestSharedGrammar: matchers of one grammar in several goroutines.
func TestSharedGrammar(t *testing.T) {
	v := byteTokens()
	g, err := JSON(t.Context(), []byte(tools["order"]), Single)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for seed := range 4 {
		wait.Go(func() {
			newWriter(v).write(t, g, rand.New(rand.NewPCG(uint64(seed), 1)), 200)
		})
	}
	wait.Wait()
}

// TestDeadEnd: where the vocabulary cannot write what the grammar asks for, or cannot end the text,
// nothing is allowed, and Err says what is missing.
func TestDeadEnd(t *testing.T) {
	for _, c := range []struct {
		pattern string
		tokens  []string
		ends    []int32
		want    string
	}{
		{`a[{}]`, []string{"a", "b", ""}, []int32{2}, `behind "a" the text goes on with one of the bytes "{}", and no token of the vocabulary does`},
		{`a[b-z]`, []string{"a", ""}, []int32{1}, `one of the bytes "bcdefghi" or others, and`},
		{`a`, []string{"a"}, nil, `behind "a" the text is complete, and no token of the vocabulary ends it`},
		{`ab`, []string{"a", "b"}, nil, ""},
	} {
		g, err := Compile(t.Context(), c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		var list [][]byte
		for _, text := range c.tokens {
			list = append(list, []byte(text))
		}
		m := g.Matcher(NewVocabulary(list, c.ends...))
		m.Accept(0)
		bits := make([]uint64, 1)
		m.Allowed(bits)
		switch err := m.Err(); {
		case c.want == "" && (err != nil || bits[0] == 0):
			t.Errorf("%s: %v, mask %b", c.pattern, err, bits)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || bits[0] != 0):
			t.Errorf("%s: found %v, expected %s; mask %b", c.pattern, err, c.want, bits)
		}
	}
}
