package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/store"
)

// Versions of the code of the stages that are no kinds of steps. Raise the version of a stage when
// it computes something else: artifacts of the old version are then built again.
const (
	taskVersion      = 1
	tokenizerVersion = 1
	evaluateVersion  = 2
	serveVersion     = 2
)

// recipe begins the recipe of a stage that works on the task's training data.
func (d *dataset) recipe(stage string, version int) recipe.Recipe {
	return recipe.Recipe{
		Stage: stage, Version: version, Kernels: kernels.Implementation(), Arch: recipe.Arch(),
		Inputs: map[string]string{}, Parameters: recipe.Values{}, Task: d.training, Tokenizer: d.tokenizer.Hash(),
	}
}

// artifact returns the folder of a recipe's artifact, making it when it is not there. built reports
// that this run made it. The caller must not hold timing: the cell that builds the artifact may
// need the lock.
func (r *Run) artifact(of recipe.Recipe, title string, build func(dir string) error) (dir string, built bool, err error) {
	key := of.Key()
	defer r.building.lock(key)()
	_, built = r.built.Load(key)
	if r.options.Fresh && !built {
		if err := r.home.Artifacts.Remove(key); err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", false, err
		}
	}
	dir, err = r.find(key, title)
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return dir, built, err
	}
	dir, err = r.home.Artifacts.Put(of, store.Label{Title: title, Program: r.home.Version}, build)
	if err != nil {
		return "", false, err
	}
	r.built.Store(key, true)
	return dir, true, nil
}

// find looks an artifact up and notes damage.
func (r *Run) find(key, title string) (dir string, err error) {
	dir, err = r.home.Artifacts.Get(key)
	var damaged *store.DamagedError
	if errors.As(err, &damaged) {
		r.note("", lab.Warning, title+": "+err.Error())
	}
	return dir, err
}

func writeFacts(dir string, facts any) error {
	text, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", recipe.FactsFile, err)
	}
	return os.WriteFile(filepath.Join(dir, recipe.FactsFile), append(text, '\n'), 0o644)
}

func readFacts(dir string, facts any) error {
	text, err := os.ReadFile(filepath.Join(dir, recipe.FactsFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, facts); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, recipe.FactsFile), err)
	}
	return nil
}
