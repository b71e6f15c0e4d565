package convert

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"slimlab/internal/filelock"
	"slimlab/internal/memorypeak"
	"slimlab/internal/wrongfile"
)

// locked runs a conversion that alone writes the target to, a folder or file by how it is acquired.
// The conversion gets the target's path, which is the same whatever name the target was given by.
func locked(acquire func(to string) (*filelock.Target, error), to string, convert func(path string) (*Result, error)) (*Result, error) {
	if to == "" {
		return nil, errors.New("the name of the target is empty, expected that of a new folder or file")
	}
	target, err := acquire(to)
	if err != nil {
		return nil, err
	}
	defer target.Release()
	memory := memorypeak.Begin()
	r, err := convert(target.Path)
	if peak := memory.End(); r != nil {
		r.Peak = peak
	}
	if r != nil && target.Warning != "" {
		r.Warnings = append(r.Warnings, target.Warning)
	}
	return r, err
}

// acquireFolder locks the folder that a verb is to write. A name that ends as a file's of a model
// does is refused: as that file it would be opened.
func acquireFolder(to string) (*filelock.Target, error) {
	switch ending := filepath.Ext(filepath.Clean(to)); strings.ToLower(ending) {
	case ".gguf":
		return nil, fmt.Errorf("%s: a name that ends in %s is a file's, expected that of a folder; `slimlab export MODEL FILE.gguf --as gguf-q8_0` writes such a file", to, ending)
	case ".safetensors", ".bin", ".pt", ".pth", ".onnx":
		return nil, fmt.Errorf("%s: a name that ends in %s is a file's, expected that of a folder", to, ending)
	}
	if err := wrongfile.FolderPlace(to); err != nil {
		return nil, err
	}
	return filelock.AcquireFolder(to)
}
