// Package pretrained carries the small models that slimlab trained itself, embedded in the binary
// as Hugging Face folders in bfloat16. The scenario pretrain trains such a
// model anew, and `make pretrain` puts it in place of the one that is here.
package pretrained

import (
	"embed"
	"io/fs"
	"slices"

	"slimlab/internal/nearest"
)

//go:embed recsys-fm
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
