package scenario

import (
	"fmt"
	"strings"

	"slimlab/internal/nearest"
)

// unknown says that a name is not among those that are valid here, and which was probably meant.
func unknown(what, written string, names []string) string {
	text := fmt.Sprintf("unknown %s %q", what, written)
	if name := nearest.Name(written, names); name != "" {
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
