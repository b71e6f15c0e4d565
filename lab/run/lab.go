package run

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"slimlab/lab/scenario"
	"slimlab/lab/store"
	"slimlab/lab/task"
	"slimlab/model/pretrained"
	"slimlab/pruning"
	"slimlab/quant"
)

// Lab is a place where runs happen: a home folder with artifacts and the logs of runs, and the
// shipped scenarios.
type Lab struct {
	Home      string
	Version   string // of the program; part of the keys of timings
	shipped   fs.FS
	logs      *store.Store
	artifacts *store.Artifacts
	looking   sync.Mutex // held while an artifact is looked up
	mu        sync.Mutex
	doubts    []string // what the artifact store found damaged and nobody has told yet
}

// Home returns the folder in which slimlab keeps runs and artifacts: $SLIMLAB_HOME, or slimlab
// under $XDG_DATA_HOME or ~/.local/share.
func Home() (string, error) {
	if dir := os.Getenv("SLIMLAB_HOME"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "slimlab"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("home folder: %w; set SLIMLAB_HOME", err)
	}
	return filepath.Join(home, ".local", "share", "slimlab"), nil
}

// Open opens the lab in a home folder, which is made when it is needed.
func Open(home string, shipped fs.FS, version string) (*Lab, error) {
	logs, err := store.Open(filepath.Join(home, "runs"))
	if err != nil {
		return nil, err
	}
	l := &Lab{Home: home, Version: version, shipped: shipped, logs: logs}
	l.artifacts, err = store.OpenArtifacts(filepath.Join(home, "artifacts"), func(text string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.doubts = append(l.doubts, text)
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Lab) takeDoubts() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	doubts := l.doubts
	l.doubts = nil
	return doubts
}

// Vocabulary lists the names that a scenario may use.
func Vocabulary() scenario.Vocabulary {
	return scenario.Vocabulary{
		Losses:     []string{"fkl", "rkl", "jsd:"},
		Methods:    pruning.Methods(),
		Schemes:    quant.Schemes(),
		Sources:    []string{task.InDomain, task.Generic},
		Workloads:  []string{"ranking"},
		Pretrained: pretrained.Names(),
	}
}

// Scenario loads a scenario: a file where the name ends in .yaml or .yml, else a shipped one.
func (l *Lab) Scenario(name string, o scenario.Options) (*scenario.Scenario, error) {
	o.Vocabulary = Vocabulary()
	if strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		return scenario.LoadFile(name, o)
	}
	return scenario.Load(name, l.shipped, o)
}

// Log reads the log of a run by its id, a unique beginning of it, or "last".
func (l *Lab) Log(run string) (*store.Run, error) { return l.logs.Read(run) }

// Runs lists the runs, newest first.
func (l *Lab) Runs() ([]store.Info, error) { return l.logs.List() }

// ErrNotFound is the error of a run that does not exist.
var ErrNotFound = store.ErrNotFound
