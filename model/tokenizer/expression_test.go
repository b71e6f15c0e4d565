package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

// TestExpressionsOfOniguruma holds expressions to the matches that Oniguruma 6.9.8 finds, marked in
// the text by ⟨ and ⟩, in the way in which the tokenizers library goes from one to the next.
func TestExpressionsOfOniguruma(t *testing.T) {
	for _, c := range []struct{ pattern, text, want string }{
		{`[a-z&&[^aeiou]]+`, "hello, World", "⟨h⟩e⟨ll⟩o, Wo⟨rld⟩"},
		{`[\p{L}&&[^\p{Lu}]]+`, "naïve ÉTÉ é", "⟨naïve⟩ ÉTÉ ⟨é⟩"},
		{`[^a-y&&[b-z]]`, "abz", "⟨a⟩b⟨z⟩"},
		{`[a-c[x-z]&&[b-y]]`, "abcxyz", "a⟨b⟩⟨c⟩⟨x⟩⟨y⟩z"},
		{`[[:alpha:]]+`, "abc12 éß你", "⟨abc⟩12 ⟨éß你⟩"},
		{`[[:^alpha:]]+`, "abc12 é", "abc⟨12 ⟩é"},
		{`[[:punct:]]+`, "a$+<=>^`|~b", "a⟨$+<=>^`|~⟩b"}, // since Oniguruma 6.9.9
		{`[[:punct:]]+`, "a!\"#%&'()*,-./:;?@[\\]_{}b", "a⟨!\"#%&'()*,-./:;?@[\\]_{}⟩b"},
		{`[[:punct:]]+`, "a€©→、«b 1", "a⟨€©→、«⟩b 1"},
		{`[^[:punct:]]+`, "a$b!c", "⟨a⟩$⟨b⟩!⟨c⟩"},
		{`[[:^punct:]]+`, "a$b!c", "⟨a⟩$⟨b⟩!⟨c⟩"},
		{`\p{Punct}+`, "a$b!", "a$b⟨!⟩"},
		{`\p{PosixPunct}+`, "a$b!", "a⟨$⟩b⟨!⟩"},
		{`[[:space:]]+`, "a \u00a0\u2028b", "a⟨ \u00a0\u2028⟩b"},
		{`[:alpha:]`, "a:z", "⟨a⟩⟨:⟩z"},
		{`[^[:alnum:]_]+`, "a_1, ²b", "a_1⟨, ²⟩b"},
		{`(?=(\d{3})+(?!\d))`, "a1234567", "a1⟨⟩234⟨⟩567"},
		{`(?=(\d{3})+(?!\d))`, "12345", "12⟨⟩345"},
		{`(?<=,)`, "a,b,,c", "a,⟨⟩b,⟨⟩,⟨⟩c"},
		{`\b`, "it is", "⟨⟩it⟨⟩ ⟨⟩is⟨⟩"},
		{`x*`, "axxb", "⟨⟩a⟨xx⟩b⟨⟩"},
		{`(?=\p{Lu})`, "aBcD", "a⟨⟩Bc⟨⟩D"},
		{`|b`, "abc", "⟨⟩a⟨⟩b⟨⟩c⟨⟩"},
		{`\p{N}++\p{N}?`, "1234", "⟨1234⟩"},
		{` ?+a`, " a  a", "⟨ a⟩ ⟨ a⟩"},
		{`[^\r\n\p{L}\p{N}]?+\p{L}+`, " it?s", "⟨ it⟩⟨?s⟩"},
		{`a{2}+`, "aaaaa", "⟨aaaa⟩a"},
		{`a{1,2}?b`, "aab", "⟨aab⟩"},
		{`a{2}?b`, "aab b", "⟨aab⟩ ⟨b⟩"},
		{`a{,2}`, "aaa", "⟨aa⟩⟨a⟩"},
		{`a{,}`, "aa{,}", "a⟨a{,}⟩"},
		{`x{`, "x{y", "⟨x{⟩y"},
		{`^b`, "b\nb\nb", "⟨b⟩\n⟨b⟩\n⟨b⟩"},
		{`a$`, "a\nba", "⟨a⟩\nb⟨a⟩"},
		{`^`, "a\n\nb\n", "⟨⟩a\n⟨⟩\n⟨⟩b\n"},
		{`\Ab`, "b\nb", "⟨b⟩\nb"},
		{`a\Z`, "a\na\n", "a\n⟨a⟩\n"},
		{`a\z`, "a\na", "a\n⟨a⟩"},
		{`(?m:a.b)`, "a\nb", "⟨a\nb⟩"},
		{`a.b`, "a\nb axb", "a\nb ⟨axb⟩"},
		{"(?x: a b # c\n | d )", "ab d", "⟨ab⟩ ⟨d⟩"},
		{`a(?i)b|c`, "aBCc", "⟨aB⟩Cc"},
		{`(?i:'s|'t|'re|'ve|'m|'ll|'d)`, "'\u017f 'LL 'Re", "⟨'\u017f⟩ ⟨'LL⟩ ⟨'Re⟩"},
		{`(?i:k)+`, "kK\u212a", "⟨kK\u212a⟩"},
		{`(?i:[^k])+`, "kKx\u212a", "kK⟨x⟩\u212a"},
		{`(?i)(?-i:a)b`, "aBAb", "⟨aB⟩Ab"},
		{`\h+`, "xyz0fF", "xyz⟨0fF⟩"},
		{`\H+`, "xyz0fF", "⟨xyz⟩0fF"},
		{`\R`, "a\r\nb\n\nc", "a⟨\r\n⟩b⟨\n⟩⟨\n⟩c"},
		{`\w+`, "a²é_ⓐ1", "⟨a²é_ⓐ1⟩"},
		{`[\w]+`, "a²é_ⓐ1", "⟨a⟩²⟨é_ⓐ1⟩"},
		{`\d+`, "1٣²", "⟨1٣⟩²"},
		{`\s+`, "a \u00a0\u2028b", "a⟨ \u00a0\u2028⟩b"},
		{`\p{^L}+`, "12a", "⟨12⟩a"},
		{`\P{^L}+`, "12a", "12⟨a⟩"},
		{`\p{Uppercase_Letter}`, "aB", "a⟨B⟩"},
		{`\p{han}+`, "你好a", "⟨你好⟩a"},
		{`\p{Alnum}+`, "a1ⓐ-", "⟨a1ⓐ⟩-"},
		{`[]a]+`, "]a[", "⟨]a⟩["},
		{`[a\-z]+`, "a-z m", "⟨a-z⟩ m"},
		{`[\x41\u00e9\x{1F600}]`, "Aé😀", "⟨A⟩⟨é⟩⟨😀⟩"},
		{`(?<n>a)b`, "ab", "⟨ab⟩"},
		{`(?>a|ab)c`, "abc ac", "abc ⟨ac⟩"},
		{`(?#no)a`, "a", "⟨a⟩"},
	} {
		re, err := compile(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		var b strings.Builder
		matches(re, c.text, func(piece string, match bool) {
			if match {
				piece = "⟨" + piece + "⟩"
			}
			b.WriteString(piece)
		})
		if b.String() != c.want {
			t.Errorf("%s in %q: found %q, expected %q", c.pattern, c.text, b.String(), c.want)
		}
	}
}

// TestRefusedExpressions: what has no counterpart is named.
func TestRefusedExpressions(t *testing.T) {
	for _, c := range []struct{ pattern, want string }{
		{`a\Kb`, `character 3: \K, what to keep, is not supported`},
		{`\X`, `character 2: \X, a grapheme, is not supported`},
		{`\Ga`, `character 2: \G, where the search began, is not supported`},
		{`(a)\1`, `character 5: \1, which refers to a group, is not supported`},
		{`(?<n>a)\k<n>`, `character 9: \k, which refers to a group, is not supported`},
		{`(?<n>a\g<n>?)`, `character 8: \g, which refers to a group, is not supported`},
		{`(?~ab)`, `character 3: (?~, what is absent, is not supported`},
		{`(?(1)a|b)`, `character 3: (?(, a condition, is not supported`},
		{`(?W:a)`, `character 3: (?W is not supported`},
		{`(?s:.)`, `character 3: (?s is not supported`},
		{`(?P<n>a)`, `character 3: (?P is not supported`},
		{`[[:foo:]]`, `character 2: [:foo:] is not supported`},
		{`\p{Script=Han}`, `character 4: \p{Script=Han} is not supported`},
		{`\p{Emoji}`, `character 4: \p{Emoji} is not supported`},
		{`\pL`, `character 3: found \p without {, expected the name of a property in braces`},
		{`\QaE`, `character 3: \Q is not supported`},
		{`(?i:strasse)`, `character 7: (?i) with "st", which may be one letter in another case, is not supported`},
		{`(?i:ß)`, `character 6: (?i) with 'ß', which is several letters in another case, is not supported`},
		{`(?=a)*`, `character 7: the repetition of a place between characters is not supported`},
		{`(?:\R)*`, `character 8: the repetition of \R without bound is not supported`},
		{`a{2000}`, `character 8: found a repetition of 2000, expected at most 1000`},
		{`a{3,2}`, `character 7: found a repetition of 3 to 2`},
		{`+a`, `character 1: found + with nothing before it to repeat`},
		{`a|{2}`, `character 3: found { with nothing before it to repeat`},
		{`(a`, `character 3: found a ( without its )`},
		{`a)`, `character 2: found a ) without its (`},
		{`[a`, `character 3: found a [ without its ]`},
		{`[b-a]`, `character 5: found a range from 'b' to 'a'`},
		{`[a-\d]`, `character 6: a range whose end is a class is not supported`},
		{`a\`, `character 3: found \ at the end`},
		{`\x{110000}`, `character 11: expected 1 to 8 hexadecimal digits of a character`},
		{strings.Repeat("(", 66) + strings.Repeat(")", 66), `character 66: groups nest deeper than 64`},
	} {
		if _, err := compile(c.pattern); err == nil || err.Error() != c.want {
			t.Errorf("%s:\nfound    %v\nexpected %s", c.pattern, err, c.want)
		}
	}
	// The place in the file is named, too.
	_, err := Parse([]byte(tiny(`{"type":"ByteLevel","add_prefix_space":false}`, `{"type":"Split","pattern":{"Regex":"a\\K"},"behavior":"Isolated"}`)))
	if want := `pre_tokenizer: pattern "a\\K": character 3: \K, what to keep, is not supported`; err == nil || err.Error() != want {
		t.Errorf("found    %v\nexpected %s", err, want)
	}
}

// TestDepthOfExpressions: groups and classes nest as deep as their bound says, and no deeper.
func TestDepthOfExpressions(t *testing.T) {
	for _, c := range []struct {
		before, after, within string
		deepest               int
	}{{"(", ")", "a", deepestGroup}, {"(?:", ")", "a", deepestGroup}, {"[a", "]", "b", 1 + deepestGroup}, {"[^a", "]", "b", 1 + deepestGroup}} { // the first class is in none
		for _, depth := range []int{1, c.deepest, c.deepest + 1} {
			_, err := compile(strings.Repeat(c.before, depth) + c.within + strings.Repeat(c.after, depth))
			if refused := err != nil && strings.Contains(err.Error(), "nest deeper than 64"); refused != (depth > c.deepest) || err != nil && !refused {
				t.Errorf("%d of %s%s: %v", depth, c.before, c.after, err)
			}
		}
	}
}

// setExpression is a class, and which characters it has by the meaning of its parts.
type setExpression struct {
	text string
	has  func(r rune) bool
}

// drawClass draws a class of unions, intersections and complements.
func drawClass(t *rapid.T, depth int) setExpression {
	leaves := []setExpression{
		{`a-f`, func(r rune) bool { return r >= 'a' && r <= 'f' }},
		{`é`, func(r rune) bool { return r == 'é' }},
		{`\]`, func(r rune) bool { return r == ']' }},
		{`\p{L}`, unicode.IsLetter},
		{`\P{Lu}`, func(r rune) bool { return !unicode.IsUpper(r) }},
		{`\s`, unicode.IsSpace},
		{`\S`, func(r rune) bool { return !unicode.IsSpace(r) }},
		{`[:digit:]`, func(r rune) bool { return unicode.Is(unicode.Nd, r) }},
		{`[:^upper:]`, func(r rune) bool { return !unicode.IsUpper(r) && !unicode.Is(unicode.Other_Uppercase, r) }},
		{`\h`, func(r rune) bool { return strings.ContainsRune("0123456789abcdefABCDEF", r) }},
		{`\p{Greek}`, func(r rune) bool { return unicode.Is(unicode.Greek, r) }},
	}
	union := func() setExpression {
		var parts []setExpression
		for range rapid.IntRange(1, 3).Draw(t, "parts") {
			if depth < 2 && rapid.IntRange(0, 3).Draw(t, "nested") == 0 {
				parts = append(parts, drawClass(t, depth+1))
				continue
			}
			parts = append(parts, rapid.SampledFrom(leaves).Draw(t, "leaf"))
		}
		var b strings.Builder
		for _, p := range parts {
			b.WriteString(p.text)
		}
		return setExpression{b.String(), func(r rune) bool {
			return slices.ContainsFunc(parts, func(p setExpression) bool { return p.has(r) })
		}}
	}
	all := union()
	for range rapid.IntRange(0, 2).Draw(t, "intersections") {
		a, b := all, union()
		all = setExpression{a.text + "&&" + b.text, func(r rune) bool { return a.has(r) && b.has(r) }}
	}
	if rapid.Bool().Draw(t, "negated") {
		return setExpression{"[^" + all.text + "]", func(r rune) bool { return !all.has(r) }}
	}
	return setExpression{"[" + all.text + "]", all.has}
}

// TestClassesByMembership holds classes to the meaning of their parts, character by character.
func TestClassesByMembership(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		class := drawClass(t, 0)
		re, err := compile(class.text)
		if err != nil {
			t.Fatalf("%s: %v", class.text, err)
		}
		for _, r := range "afgzAFZ09٣é]-&[^: \n\u00a0ΩλǅⓐⅧ你🙂\u0301" {
			found := false
			matches(re, string(r), func(_ string, match bool) { found = match })
			if found != class.has(r) {
				t.Fatalf("%s has %q: found %t, expected %t", class.text, r, found, class.has(r))
			}
		}
	})
}

// TestEmptyMatchesCut: a place between characters cuts what it lies in, for each behavior, and a
// normalizer puts its text there.
func TestEmptyMatchesCut(t *testing.T) {
	pattern := `(?=(\d{3})+(?!\d))`
	for _, c := range []struct{ behavior, want string }{
		{"Isolated", "1|234|567"}, {"Removed", "1|234|567"}, {"MergedWithPrevious", "1|234|567"}, {"MergedWithNext", "1|234|567"}, {"Contiguous", "1|234|567"},
	} {
		s, err := parseSplit("x", component{Type: "Split", Behavior: c.behavior, Pattern: textPattern{Regex: &pattern}})
		if err != nil {
			t.Fatal(err)
		}
		var pieces []string
		s.split("1234567", func(piece string) { pieces = append(pieces, piece) })
		if got := strings.Join(pieces, "|"); got != c.want {
			t.Errorf("%s: %s, expected %s", c.behavior, got, c.want)
		}
	}
	re, err := compile(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if got := (replaceMatches{re, ","}).normalize("1234567"); got != "1,234,567" {
		t.Errorf("Replace gives %q", got)
	}
}

// TestProperties: every name that Oniguruma knows and a tokenizer may use is a set.
func TestProperties(t *testing.T) {
	for name, want := range map[string]int{ // characters of Unicode that all versions have
		"XDigit": 22, "ASCII": 128, "White_Space": 25, "Blank": 18, "Cntrl": 65, "Z": 19, "zs": 17, "Space_Separator": 17, "Any": unicode.MaxRune + 1,
	} {
		s, ok := property(name)
		n := 0
		for _, r := range s.explicit() {
			n += int(r.last - r.first + 1)
		}
		if !ok || n != want {
			t.Errorf("%s: %t with %d characters, expected %d", name, ok, n, want)
		}
	}
	for _, name := range []string{"Alpha", "alnum", "Word", "Digit", "Punct", "Lower", "Upper", "Graph", "Print", "Assigned", "Cn", "C", "LC", "Han", "Old Italic", "Other-Letter"} {
		if _, ok := property(name); !ok {
			t.Errorf("%s is not known", name)
		}
	}
	for _, name := range []string{"", "Foo", "InBasicLatin", "L&"} {
		if _, ok := property(name); ok {
			t.Errorf("%s is known", name)
		}
	}
}

// FuzzExpression: whatever an expression is, it is refused in words, or regexp2 reads what it is
// translated to and nothing of a text is lost.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{gpt2Pattern, llama3Pattern, `[a-z&&[^aeiou]]+`, `(?=(\d{3})+(?!\d))`, `\p{Han}++|[[:alpha:]]{2}?`, `(?i:'s)(?m).^$\b`, `(?x: a # b)`, `\x{41}\u0041\h\R`} {
		f.Add(seed, "ab 12 'S\nx")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 60 || len(text) > 12 {
			return // longer ones only take longer
		}
		re, err := compile(pattern)
		if err != nil {
			if strings.Contains(err.Error(), "as \"") {
				t.Fatalf("%q was translated to what is no expression: %v", pattern, err)
			}
			return
		}
		var b strings.Builder
		matches(re, text, func(piece string, match bool) { b.WriteString(piece) })
		if b.String() != text {
			t.Fatalf("%q in %q: the pieces are %q", pattern, text, b.String())
		}
	})
}
