package checkpoint

import (
	"fmt"
	"slices"
	"strings"
)

// notes collect what a reader dropped, guessed or found in another place than the usual one, each
// once. A nil *notes collects nothing.
type notes []string

func (n *notes) add(format string, args ...any) {
	if n == nil {
		return
	}
	if text := fmt.Sprintf(format, args...); !slices.Contains(*n, text) {
		*n = append(*n, text)
	}
}

// unknown notes the keys of a file that no table has.
func (n *notes) unknown(where string, keys []string) {
	switch len(keys) {
	case 0:
	case 1:
		n.add("%s: %s is no key that slimlab knows, and was not read", where, keys[0])
	default:
		n.add("%s: %s are no keys that slimlab knows, and were not read", where, some(keys))
	}
}

// repeats notes keys of a JSON file that stand twice with equal values.
func (n *notes) repeats(where string, repeats []string) {
	for _, repeat := range repeats {
		n.add("%s: %s", where, repeat)
	}
}

// some lists names for a note: the first ones, and how many follow.
func some(names []string) string {
	const most = 6
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most-1], ", "), len(names)-most+1)
}
