package grammar

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// byteTokens is a vocabulary of a token for each byte and one that ends the text, 256.
func byteTokens() *Vocabulary {
	tokens := make([][]byte, 257)
	for b := range 256 {
		tokens[b] = []byte{byte(b)}
	}
	return NewVocabulary(tokens, 256)
}

// writer writes random texts with the tokens that a grammar allows. Tokens that close something are
// preferred, so that texts end.
type writer struct {
	vocabulary    *Vocabulary
	bits, closing []uint64
}

func newWriter(v *Vocabulary) *writer {
	w := &writer{v, make([]uint64, v.words()), make([]uint64, v.words())}
	for n, token := range v.tokens {
		if len(token) == 0 || strings.ContainsRune(`"}]@`, rune(token[len(token)-1])) {
			w.closing[n>>6] |= 1 << (n & 63)
		}
	}
	return w
}

// write writes one text; ok is false where it has not ended after so many tokens.
func (w *writer) write(t testing.TB, g *Grammar, random *rand.Rand, most int) (text []byte, ok bool) {
	t.Helper()
	m := g.Matcher(w.vocabulary)
	for range most {
		m.Allowed(w.bits)
		if m.Err() != nil {
			t.Fatalf("behind %q: %v", text, m.Err())
		}
		token := anyOf(w.bits, random)
		if random.IntN(3) == 0 {
			some := uint64(0)
			for i := range w.bits {
				w.bits[i] &= w.closing[i]
				some |= w.bits[i]
			}
			if some != 0 {
				token = anyOf(w.bits, random)
			}
		}
		if err := accept(m, token); err != nil {
			t.Fatalf("behind %q: an allowed token: %v", text, err)
		}
		if token == w.vocabulary.ends[0] {
			return text, true
		}
		text = append(text, w.vocabulary.tokens[token]...)
	}
	return text, m.Complete()
}

// validator is an independent reading of a schema; nil where it refuses the schema.
func validator(t testing.TB, text []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("http://schema.test/root.json", document); err != nil {
		return nil
	}
	s, err := c.Compile("http://schema.test/root.json")
	if err != nil {
		return nil
	}
	return s
}

// checkTexts writes texts of a schema and validates each.
func checkTexts(t *testing.T, text []byte, space Whitespace, w *writer, seeds int) (written int) {
	t.Helper()
	g, err := JSON(t.Context(), text, space)
	if err != nil {
		return 0
	}
	check := validator(t, text)
	if check == nil {
		return 0
	}
	for seed := range seeds {
		out, ok := w.write(t, g, rand.New(rand.NewPCG(uint64(seed), 7)), 500)
		if !ok {
			continue
		}
		written++
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(out))
		if err != nil {
			t.Errorf("%s: wrote %q: %v", text, out, err)
			return written
		}
		if err := check.Validate(value); err != nil {
			t.Errorf("%s: wrote %s: %v", text, out, err)
			return written
		}
	}
	return written
}

// TestToolsAreWrittenValid: with every whitespace, byte by byte.
func TestToolsAreWrittenValid(t *testing.T) {
	w := newWriter(byteTokens())
	for _, text := range tools {
		for _, space := range []Whitespace{Single, Compact, Free} {
			if n := checkTexts(t, []byte(text), space, w, 30); n < 10 {
				t.Errorf("%s: only %d of 30 texts ended", text, n)
			}
		}
	}
}

// TestSuiteIsWrittenValid: texts of all supported schemas of the suite, with tokens of one byte and
// with those of a real model.
func TestSuiteIsWrittenValid(t *testing.T) {
	small, large := newWriter(byteTokens()), newWriter(qwen(t))
	written := 0
	for _, pattern := range []string{"*.json", "optional/format/*.json"} {
		for _, groups := range suiteFiles(t, pattern) {
			for _, group := range groups {
				written += checkTexts(t, group.Schema, Single, small, 20)
				written += checkTexts(t, group.Schema, Compact, large, 3)
			}
		}
	}
	t.Logf("%d texts written, all valid", written)
}

// TestAnyJSON: any object, nothing else.
func TestAnyJSON(t *testing.T) {
	g, err := AnyJSON(t.Context(), Single)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`{}`: true, `{"a": [1, -2.5e+3, true, null, "\u00e9\ud83d\ude00\n"]}`: true, `[]`: false, `{"a":1,}`: false, `{"a":01}`: false, `{"a":"\ud83d"}`: false, `{"a":"\x"}`: false, "{\"a\":\"\n\"}": false,
		` {}`: false, `{ }`: false, `{"a":  1}`: false, `{"a":1e9999}`: false, "{\"a\":\"\xff\"}": false,
	} {
		if got := g.pool.matches(g.root, text); got != want {
			t.Errorf("%s: accepted %v, expected %v", text, got, want)
		}
		if want && !json.Valid([]byte(text)) {
			t.Errorf("%s is no JSON", text)
		}
	}
}
