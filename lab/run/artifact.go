package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/store"
)

// Versions of the code of the stages that are no kinds of steps. Raise the version of a stage when
// it computes something else: artifacts of the old version are then built again.
const (
	taskVersion      = "1"
	tokenizerVersion = "1"
	evaluateVersion  = "2"
	serveVersion     = "2"
)

// artifactKey names what a stage computes from parts. The kernels' implementation is one: another
// gives other last bits.
func artifactKey(stage, version string, parts ...string) string {
	return store.Key(append([]string{stage, version, kernels.Implementation()}, parts...)...)
}

// artifact returns the folder of an artifact, making it when it is not there. made reports that
// this run made it. Whoever calls it must not hold quiet: another cell may be making the artifact,
// and need it.
func (r *Run) artifact(key, what string, build func(dir string) error) (dir string, made bool, err error) {
	defer r.building.lock(key)()
	_, ours := r.made.Load(key)
	if r.options.Fresh && !ours {
		if err := r.home.Artifacts.Remove(key); err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", false, err
		}
	}
	if dir, found := r.find(key, what); found {
		return dir, ours, nil
	}
	dir, err = r.home.Artifacts.Put(key, store.Meta{Recipe: what, Version: r.home.Version}, build)
	if err != nil {
		return "", false, err
	}
	r.made.Store(key, true)
	return dir, true, nil
}

// find looks an artifact up and reports damage.
func (r *Run) find(key, what string) (dir string, found bool) {
	dir, err := r.home.Artifacts.Get(key)
	var damaged *store.DamagedError
	if errors.As(err, &damaged) {
		r.note("", lab.Warning, what+": "+err.Error())
	}
	return dir, err == nil
}

func writeFacts(dir string, facts any) error {
	text, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", home.FactsFile, err)
	}
	return os.WriteFile(filepath.Join(dir, home.FactsFile), append(text, '\n'), 0o644)
}

func readFacts(dir string, facts any) error {
	text, err := os.ReadFile(filepath.Join(dir, home.FactsFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, facts); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, home.FactsFile), err)
	}
	return nil
}
