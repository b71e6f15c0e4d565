package run

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/store"
)

// Versions of the stages' code. Whoever changes what a stage computes raises its version, and
// artifacts of the old one are made anew.
const (
	taskVersion      = "1"
	tokenizerVersion = "1"
	trainVersion     = "3"
	pruneVersion     = "4"
	quantizeVersion  = "3"
	evaluateVersion  = "2"
	serveVersion     = "2"
	evalVersion      = "1" // of the models that slimlab eval loads
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
		if err := r.lab.artifacts.Remove(key); err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", false, err
		}
	}
	if dir, found := r.find(key, what); found {
		return dir, ours, nil
	}
	dir, err = r.lab.artifacts.Put(key, store.Meta{Recipe: what, Version: r.lab.Version}, build)
	if err != nil {
		return "", false, err
	}
	r.made.Store(key, true)
	return dir, true, nil
}

// find looks an artifact up and tells of damage.
func (r *Run) find(key, what string) (dir string, found bool) {
	dir, found, doubts := r.lab.artifact(key)
	for _, doubt := range doubts {
		r.note("", lab.Warning, what+": "+doubt)
	}
	return dir, found
}

// artifact looks an artifact up. doubts tell of damage: a damaged artifact is not found.
func (l *Lab) artifact(key string) (dir string, found bool, doubts []string) {
	l.looking.Lock() // so that the doubts are those of this artifact
	defer l.looking.Unlock()
	l.takeDoubts()
	dir, found = l.artifacts.Get(key)
	return dir, found, l.takeDoubts()
}

// factsFile holds what a stage knows of its artifact beside the model.
const factsFile = "slimlab.json"

func writeFacts(dir string, facts any) error {
	text, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", factsFile, err)
	}
	return os.WriteFile(filepath.Join(dir, factsFile), append(text, '\n'), 0o644)
}

func readFacts(dir string, facts any) error {
	text, err := os.ReadFile(filepath.Join(dir, factsFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, facts); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, factsFile), err)
	}
	return nil
}

// fsHash is the SHA-256 of a file in a file system.
func fsHash(folder fs.FS, name string) (string, error) {
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
