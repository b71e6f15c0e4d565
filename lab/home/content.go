package home

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"slimlab/lab/store"
)

// FactsFile is the file of an artifact that holds what its stage knows of it beside the model. It
// is no part of the model.
const FactsFile = "slimlab.json"

// Content names the content of a MODEL's files: equal content has an equal name, wherever it lies.
func (h *Home) Content(name string) (string, error) {
	content, err := h.content(name)
	if err != nil {
		return "", fmt.Errorf("model %s: %w", name, err)
	}
	return content, nil
}

func (h *Home) content(name string) (string, error) {
	if isGGUF(name) {
		sum, err := HashFile(os.DirFS(filepath.Dir(name)), filepath.Base(name))
		return store.Key("file", sum), err
	}
	folder, err := h.modelFolder(name)
	if err != nil {
		return "", err
	}
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return "", err
	}
	parts := []string{"folder"}
	for _, e := range entries {
		if !modelFile(e) {
			continue
		}
		sum, err := HashFile(folder, e.Name())
		if err != nil {
			return "", err
		}
		parts = append(parts, e.Name(), sum)
	}
	return store.Key(parts...), nil
}

// modelFile reports whether a file of a folder belongs to its model.
func modelFile(e fs.DirEntry) bool {
	ending := path.Ext(e.Name())
	return !e.IsDir() && (ending == ".json" || ending == ".safetensors") && e.Name() != FactsFile
}

// HashFile is the SHA-256 of a file in a file system, hexadecimal.
func HashFile(folder fs.FS, name string) (string, error) {
	f, err := folder.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
