package scenario

import (
	"fmt"
	"strings"
)

// nearest returns the name that is the fewest edits away from what was written, or "" when none is near.
func nearest(written string, names []string) string {
	best, distance := "", max(2, len(written)/3)+1
	for _, name := range names {
		d := edits(strings.ToLower(written), strings.ToLower(name))
		if len(written) >= 3 && strings.HasPrefix(name, written) { // the beginning of a name is near it, however long the rest
			d = min(d, 2)
		}
		if d < distance {
			best, distance = name, d
		}
	}
	return best
}

// edits is Levenshtein's distance in bytes.
func edits(a, b string) int {
	if len(a) > 100 || len(b) > 100 {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// unknown says that a name is not among those that are valid here, and which was probably meant.
func unknown(what, written string, names []string) string {
	text := fmt.Sprintf("unknown %s %q", what, written)
	if name := nearest(written, names); name != "" {
		return text + fmt.Sprintf(", did you mean %q?", name)
	}
	if len(names) == 0 {
		return text + ": there is none here"
	}
	const most = 24
	if len(names) > most {
		return text + ", expected one of " + strings.Join(names[:most], ", ") + ", …"
	}
	return text + ", expected one of " + strings.Join(names, ", ")
}
