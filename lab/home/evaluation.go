package home

import (
	"context"
	"os"
	"path/filepath"

	"slimlab/lab/recipe"
	"slimlab/lab/store"
)

// Evaluations keeps what was measured of models on files, each figure in an artifact.
type Evaluations struct{ home *Home }

// Evaluations returns what the home has kept of evaluations.
func (h *Home) Evaluations() Evaluations { return Evaluations{h} }

// evaluationFile holds what an evaluation keeps, in its artifact.
const evaluationFile = "evaluation.msgpack"

// Get returns what was kept of a recipe. A damaged artifact is absent: it is measured anew.
func (e Evaluations) Get(r recipe.Recipe) (data []byte, ok bool) {
	dir, release, err := e.home.Artifacts.Use(context.Background(), r.Key())
	if err != nil {
		return nil, false
	}
	defer release()
	data, err = os.ReadFile(filepath.Join(dir, evaluationFile))
	return data, err == nil
}

// evaluationTitle begins the titles of what an evaluation keeps.
const evaluationTitle = "eval "

// Put keeps what was measured, and replaces what was kept of the recipe before. title describes it
// to people.
func (e Evaluations) Put(r recipe.Recipe, title string, data []byte) error {
	_, err := e.home.Artifacts.Replace(r, store.Label{Title: evaluationTitle + title, Program: e.home.Version}, func(dir string) error {
		return os.WriteFile(filepath.Join(dir, evaluationFile), data, 0o644)
	})
	return err
}
