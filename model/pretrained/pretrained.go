// Package pretrained carries the small models that slimlab trained itself, embedded in the binary
// as Hugging Face folders in bfloat16: recsys-fm, a foundation model for ranking, and
// recsys-student, distilled from it. The scenario pretrain makes both, bit for bit on the same
// kernels, and `make pretrain` puts what it made in place of those that are here.
package pretrained

import (
	"embed"
	"io/fs"
	"slices"

	"slimlab/internal/nearest"
)

//go:embed recsys-fm recsys-student
var files embed.FS

// Names lists the embedded models.
func Names() []string {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		panic("pretrained: " + err.Error()) // the embedded root is always there
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names
}

// Open returns the folder of an embedded model.
func Open(name string) (fs.FS, error) {
	if err := nearest.Check("pretrained model", name, Names()); err != nil {
		return nil, err
	}
	return fs.Sub(files, name)
}
