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

// runEvents reads the events of a run of a home, or of the demo that ships. problem is the damage
// that ends the log before its end; nil is none.
func runEvents(h *home.Home, name string) (events []lab.Event, problem, err error) {
	if name == tui.DemoRun {
		log, err := fs.ReadFile(scenarios.Files, "demo.log")
		if err != nil {
			return nil, nil, fmt.Errorf("demo: %w", err)
		}
		events, err := store.Decode("demo.log", log)
		return events, nil, err
	}
	r, err := h.Logs.Read(name)
	if err != nil {
		return nil, nil, err
	}
	return r.Events, r.Problem, nil
}
