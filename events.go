package main

import (
	"fmt"
	"io/fs"

	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/store"
	"slimlab/scenarios"
	"slimlab/tui"
)

// scanRun calls apply with the events of a run of a home, or of the demo that ships. problem is the
// damage that ends the log before its end; nil is none.
func scanRun(h *home.Home, name string, apply func(lab.Event)) (problem, err error) {
	if name != tui.DemoRun {
		info, err := h.Logs.Scan(name, apply)
		return info.Problem, err
	}
	log, err := fs.ReadFile(scenarios.Files, "demo.log")
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	events, err := store.Decode("demo.log", log)
	for _, e := range events {
		apply(e)
	}
	return nil, err
}

// foldRun folds the events that scanRun reads, and keeps none of them.
func foldRun(h *home.Home, name string) (b *lab.Board, problem, err error) {
	b = lab.NewBoard()
	if problem, err = scanRun(h, name, b.Apply); err != nil {
		return nil, nil, err
	}
	return b, problem, nil
}
