// Package nearest finds the valid name that a misspelt one was meant to be, for error messages.
package nearest

import (
	"fmt"
	"slices"
	"strings"
)

// Name returns the valid name with the smallest edit distance (insertions, deletions and
// substitutions of a byte, two neighbours that change places) to name, the first of equals; ""
// where none is near: within two edits or a third of the name, one edit of a name of three bytes or
// fewer. Case does not count, and the beginning of a name is near it, however long the rest; so is
// a name that lacks the end of this one, from a hyphen on.
func Name(name string, valid []string) string {
	most := max(2, len(name)/3)
	if len(name) <= 3 {
		most = 1
	}
	best, least := "", most+1
	for _, v := range valid {
		d := distance(strings.ToLower(name), strings.ToLower(v))
		switch {
		case len(name) >= 3 && strings.HasPrefix(v, name):
			d = min(d, 2, most)
		case strings.HasPrefix(name, v+"-"):
			d = min(d, most) // fewer edits to another name come first
		}
		if d < least {
			best, least = v, d
		}
	}
	return best
}

// Suggest is the question to end an error message with, such as `, did you mean "osscar"?`; ""
// where no valid name is near.
func Suggest(name string, valid []string) string {
	if n := Name(name, valid); n != "" {
		return fmt.Sprintf(", did you mean %q?", n)
	}
	return ""
}

// Check returns an error unless name is one of the valid names. what says whose name it is, such as
// "--format" or "scheme".
func Check(what, name string, valid []string) error {
	if slices.Contains(valid, name) {
		return nil
	}
	return Unknown(what, name, valid)
}

// most is how many valid names an error lists.
const most = 32

// Unknown is the error of a name that is known to be none of the valid ones, each of which it lists
// once.
func Unknown(what, name string, valid []string) error {
	var distinct []string // a step and a model may have the same name
	for _, v := range valid {
		if len(distinct) <= most && !slices.Contains(distinct, v) {
			distinct = append(distinct, v)
		}
	}
	list := strings.Join(distinct[:min(most, len(distinct))], ", ")
	switch {
	case len(valid) == 0:
		return fmt.Errorf("%s %q: there is none here", what, name)
	case len(distinct) > most:
		list += ", …"
	}
	return fmt.Errorf("%s %q: expected one of %s%s", what, name, list, Suggest(name, valid))
}

// distance is Levenshtein's with swaps of neighbours, three rows of the table at a time.
func distance(a, b string) int {
	if len(a) > 100 || len(b) > 100 {
		return max(len(a), len(b))
	}
	above, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			cost := row[j]
			if a[i] != b[j] {
				cost++
			}
			next[j+1] = min(cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], above[j-1]+1)
			}
		}
		above, row, next = row, next, above
	}
	return row[len(b)]
}
