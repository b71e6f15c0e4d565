package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"slimlab/internal/jsonread"
	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/store"
)

// Versions of the code of the stages that are no kinds of steps. Raise the version of a stage when
// it computes something else: artifacts of the old version are then built again.
const (
	recsysVersion    = 1
	ratingsVersion   = 1
	reasoningVersion = 1
	// of data whose messages have weights alone: before it they were read as 0 or 1, and answers of
	// weight 0 had a part in the loss over the whole sequence
	messageWeightsVersion = 1
	jsonlVersion          = 3 // 1 read the first of several lists of a file, 2 had no BOS before prompts
	textVersion           = 1
	tokenizerVersion      = 1
	evaluateVersion       = 4 // 2 had no influence of the validation examples
	tokensVersion         = 1
	agreementVersion      = 6 // 5 had means alone: no percentile, no interval, no flips
	serveVersion          = 3 // 2 did not watch the memory
	cacheVersion          = 1
	timesVersion          = 1
)

// recipe begins the recipe of a stage that works on the task's training data.
func (d *dataset) recipe(stage string, version int) recipe.Recipe {
	return recipe.Recipe{
		Stage: stage, Version: version, Kernels: kernels.Implementation(), Arch: recipe.Arch(),
		Inputs: map[string]string{}, Parameters: recipe.Values{}, Task: d.training, Tokenizer: d.tokenizer.Hash(),
	}
}

// artifact is one that is in use: no other process removes it until release is called.
type artifact struct {
	dir     string
	built   bool // by this run
	release func()
}

// artifact returns a recipe's artifact, making it when it is not there, or waiting while another
// process makes it. The caller must not hold timing: the cell that builds the artifact may need the
// lock.
func (r *Run) artifact(ctx context.Context, of recipe.Recipe, title string, build func(dir string) error) (artifact, error) {
	return r.artifactThat(ctx, of, title, func(string) bool { return true }, build)
}

// artifactThat is artifact that makes one anew for which serves is false.
func (r *Run) artifactThat(ctx context.Context, of recipe.Recipe, title string, serves func(dir string) bool, build func(dir string) error) (artifact, error) {
	key := of.Key()
	defer r.building.lock(key)()
	if a, err := r.foundThat(ctx, of, title, serves); err == nil || !errors.Is(err, store.ErrNotFound) {
		return a, err
	}
	done, err := r.makesAlone(ctx, key, title)
	if err != nil {
		return artifact{}, err
	}
	defer done()
	a, err := r.foundThat(ctx, of, title, serves) // another process has made it
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return a, err
	}
	put := r.home.Artifacts.Put
	if r.ignores(of) || errors.Is(err, errUnfit) {
		put = r.home.Artifacts.Replace // the old one stays until the new one is there
	}
	if _, err := put(of, store.Label{Title: title, Program: r.home.Version}, build); err != nil {
		return artifact{}, err
	}
	r.built.Store(key, true)
	dir, release, err := r.find(ctx, key, title)
	return artifact{dir, true, release}, err
}

// errUnfit is the ErrNotFound of an artifact that is there and does not serve.
var errUnfit = fmt.Errorf("one that is of no use here: %w", store.ErrNotFound)

// foundThat returns a recipe's artifact that may be used and serves; ErrNotFound where there is
// none.
func (r *Run) foundThat(ctx context.Context, of recipe.Recipe, title string, serves func(dir string) bool) (artifact, error) {
	key := of.Key()
	if r.ignores(of) {
		return artifact{}, store.ErrNotFound
	}
	dir, release, err := r.find(ctx, key, title)
	if err != nil {
		return artifact{}, err
	}
	if !serves(dir) {
		release()
		return artifact{}, errUnfit
	}
	_, built := r.built.Load(key)
	return artifact{dir, built, release}, nil
}

// makesAlone keeps other processes from making an artifact until done is called.
func (r *Run) makesAlone(ctx context.Context, key, title string) (done func(), err error) {
	return r.home.Artifacts.Alone(ctx, key, func() { r.note("", lab.Info, title+": waiting for another process that makes it") })
}

// ignores reports whether an artifact that is there must not be used: this run makes it anew, and
// has not yet.
func (r *Run) ignores(of recipe.Recipe) bool {
	_, built := r.built.Load(of.Key())
	return r.anew(of) && !built
}

// anew reports whether an artifact of an earlier run must not be used.
func (r *Run) anew(of recipe.Recipe) bool {
	return r.options.Fresh || r.options.Retime && of.Stage == serveStage
}

// find looks an artifact up, keeps it from being removed until release, and notes damage.
func (r *Run) find(ctx context.Context, key, title string) (dir string, release func(), err error) {
	use := r.home.Artifacts.Use
	if r.readOnly {
		use = r.home.Artifacts.Look
	}
	for {
		dir, release, err = use(ctx, key)
		var damaged *store.DamagedError
		if !errors.As(err, &damaged) {
			return dir, release, err
		}
		r.note("", lab.Warning, title+": "+err.Error())
		if !damaged.Restored {
			return dir, release, err
		}
	}
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
	if err := jsonread.Decode(text, facts); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, recipe.FactsFile), err)
	}
	return nil
}
