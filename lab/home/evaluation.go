package home

import (
	"errors"
	"os"
	"path/filepath"

	"slimlab/lab/store"
)

// Evaluations keeps what was measured of models on files, each figure in an artifact.
type Evaluations struct{ home *Home }

// Evaluations returns what the home has kept of evaluations.
func (h *Home) Evaluations() Evaluations { return Evaluations{h} }

// evaluationFile holds what an evaluation keeps, in its artifact.
const evaluationFile = "evaluation.msgpack"

// Get returns what was kept under a key. A damaged artifact is absent: it is measured anew.
func (e Evaluations) Get(key string) (data []byte, ok bool) {
	dir, err := e.home.Artifacts.Get(key)
	if err != nil {
		return nil, false
	}
	data, err = os.ReadFile(filepath.Join(dir, evaluationFile))
	return data, err == nil
}

// Put keeps what was measured, and replaces what was kept under the key before. what describes it
// to people.
func (e Evaluations) Put(key, what string, data []byte) error {
	if err := e.home.Artifacts.Remove(key); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	_, err := e.home.Artifacts.Put(key, store.Meta{Recipe: "eval " + what, Version: e.home.Version}, func(dir string) error {
		return os.WriteFile(filepath.Join(dir, evaluationFile), data, 0o644)
	})
	return err
}
