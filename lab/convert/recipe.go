package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"slimlab/model/checkpoint"
)

// recipe names all that the layers of a new folder depend on: what was done to them, the type of
// float tensors, and the source. Finished layers are gone on with under the same recipe alone.
func recipe(done string, dtype checkpoint.DType, source string) (string, error) {
	identity, err := identify(source)
	if err != nil {
		return "", err
	}
	return done + ", " + string(dtype) + ", from " + identity, nil
}

// identify names the files of a checkpoint: their sizes and times tell another one, or a changed
// one.
func identify(source string) (string, error) {
	absolute, err := filepath.Abs(source)
	if err != nil {
		return "", err
	}
	names := []string{absolute}
	if info, err := os.Stat(absolute); err != nil {
		return source, nil // the name of one whose content does not change
	} else if info.IsDir() {
		if names, err = filepath.Glob(filepath.Join(absolute, "*.safetensors")); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s %d %d ", name, info.Size(), info.ModTime().UnixNano())
	}
	return b.String(), nil
}
