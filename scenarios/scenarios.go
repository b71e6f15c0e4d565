// Package scenarios holds the scenario files that ship with slimlab, embedded in the binary. Each
// is an example, a test and a documented way to use the lab at once. A scenario is named by its
// path without ".yaml": "figure1", "paper/figure2".
package scenarios

import "embed"

// Files are the shipped scenarios and the recorded demo.
//
//go:embed *.yaml paper/*.yaml beyond/*.yaml demo.log
var Files embed.FS
