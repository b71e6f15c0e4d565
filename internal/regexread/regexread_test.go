package regexread

import (
	"regexp"
	"strings"
	"testing"

	"github.com/dlclark/regexp2"
)

// What is missing is named for each kind of broken expression.
func TestWhatIsExpected(t *testing.T) {
	for expression, expected := range map[string]string{
		"((": "a ) for each (", "a)": "a ( for each )", "[a": "a ] for each [", "[z-a]": "from the lower", "a{2000}": "at most 1000", "a{3,2}": "at most 1000",
		"*a": "behind what it repeats", "a**": "behind what it repeats", `a\`: `a \ at its end`, "\xff": "UTF-8", `\p{Nonsense}`: "", "(?<a": "groups are", "(?=a)": "without looks",
		`\q`: `stands before`, strings.Repeat("(", 1001) + strings.Repeat(")", 1001): "less nested", "((a{100}){100}){100}": "repetitions",
	} {
		_, err := Compile(expression, "^(?:%s)$")
		if err == nil || !strings.Contains(err.Error(), expected) {
			t.Errorf("%.40q: %v, expected %q", expression, err, expected)
		}
	}
}

// An expression ends where it stands, not in what is around it.
func TestOnlyWholeExpressions(t *testing.T) {
	for _, broken := range []string{"a)(?:b", ")(", "[", `\`} {
		if _, err := Compile(broken, "^(?:%s)$"); err == nil {
			t.Errorf("%q is read", broken)
		}
	}
	re, err := Compile("a|b", "^(?:%s)$")
	if err != nil || re.MatchString("ab") || !re.MatchString("b") {
		t.Errorf("a|b: %v", err)
	}
}

var libraryWords = regexp.MustCompile(`error parsing|invalid |missing |unexpected |unterminated|unrecognized|malformed|illegal|insufficient|undefined`)

// No word of either library is in an error, however an expression is broken.
func TestNoWordsOfLibraries(t *testing.T) {
	const whole = `(?i:'s|[^\r\n\p{L}-z]?\p{L}+|\p{N}{1,3}(?<x>\s+)\x41|(?!\S)\k<x>\d*?)`
	for i := range whole {
		for _, broken := range []string{whole[:i], whole[i:]} {
			check := func(err error) {
				if err == nil {
					return
				}
				said := strings.ReplaceAll(Error(broken, err).Error(), broken, "")
				if words := libraryWords.FindString(said); words != "" {
					t.Errorf("%q: %s has %q", broken, said, words)
				}
			}
			_, err := regexp.Compile(broken)
			check(err)
			_, err = regexp2.Compile(broken, regexp2.None)
			check(err)
		}
	}
}
