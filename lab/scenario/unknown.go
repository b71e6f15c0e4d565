package scenario

import (
	"fmt"
	"strings"

	"slimlab/internal/nearest"
)

// unknown is the text of an error of an unknown name, with the nearest valid one.
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
