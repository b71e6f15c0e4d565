package jinja

import (
	_ "embed"
	"strings"
	"testing"
)

//go:embed testdata/empty_values.tsv
var emptyValues string

// Every filter, test and operator treats undefined, None, empty and other values as Jinja 3.1.6
// does. Each line of the file is a template, a tab, and "= " with its output, or "error"; they are
// from jinja2's ImmutableSandboxedEnvironment.
func TestEmptyValues(t *testing.T) {
	for line := range strings.Lines(emptyValues) {
		template, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		got, err := render(template, nil)
		got = "= " + got
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s\nfound    %s (%v)\nexpected %s", template, got, err, want)
		}
	}
}
