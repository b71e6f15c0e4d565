// Package regexread compiles regular expressions that stand in others' files, and says what is
// wrong with one that cannot be read: what it is, and what was expected there.
//
// Promises: no message of a library comes out. Left out: the expressions themselves; those of
// tokenizers are translated and matched by model/tokenizer.
package regexread

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Compile compiles an expression as package regexp does. around holds it where %s stands, and is
// what an expression means in its file, such as "^(?:%s)$".
func Compile(expression, around string) (*regexp.Regexp, error) {
	if _, err := syntax.Parse(expression, syntax.Perl); err != nil {
		return nil, Error(expression, err)
	}
	re, err := regexp.Compile(strings.Replace(around, "%s", expression, 1))
	if err != nil {
		return nil, Error(expression, err)
	}
	return re, nil
}

// Error is why a library cannot read an expression, without the library's words.
func Error(expression string, err error) error {
	message := err.Error()
	var parse *syntax.Error
	if errors.As(err, &parse) {
		message = parse.Code.String()
	}
	return fmt.Errorf("found %q, expected a regular expression %s", expression, expected(strings.ToLower(message)))
}

// expected is what an expression lacks for which regexp or regexp2 reports a message.
func expected(message string) string {
	for _, m := range []struct{ part, expected string }{
		{"closing )", "with a ) for each ("},
		{"not enough )", "with a ) for each ("},
		{"unexpected )", "with a ( for each )"},
		{"too many )", "with a ( for each )"},
		{"closing ]", "with a ] for each ["},
		{"[] set", "with a ] for each ["},
		{"closing }", "with a } for each {"},
		{"range", "with ranges from the lower to the higher character"},
		{"repeat count", "with repetitions of at most 1000, the lower number first"},
		{"repetition", "with one of * + ? {n} behind what it repeats"},
		{"quantifier", "with one of * + ? {n} behind what it repeats"},
		{"end of", `without a \ at its end (\\ is a backslash)`},
		{"utf-8", "in UTF-8"},
		{"deep", "that is less nested"},
		{"too large", "that is shorter"},
		{"too many", "that is shorter"},
		{"unicode", `whose \p{…} names a category or script of Unicode`},
		{`\p`, `whose \p{…} names a category or script of Unicode`},
		{"hex", `with \xHH or \x{H…} up to 10ffff`},
		{"reference", "whose references name groups that it has"},
		{"group", "whose groups are (…), (?:…), (?<name>…) or (?i)"},
		{"capture", "whose groups are (…), (?:…), (?<name>…) or (?i)"},
		{"perl", "whose groups are (…), (?:…), (?<name>…) or (?i), without looks ahead and behind"},
		{"escape", `whose \ stands before a sign or a known letter (\d \s \w \b \p …)`},
		{"character class", "whose [ ] hold characters, ranges and known classes"},
	} {
		if strings.Contains(message, m.part) {
			return m.expected
		}
	}
	return "whose brackets, groups and repetitions are complete"
}
