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

// runEvents reads the events of a run of a home, or of the demo that ships.
func runEvents(h *home.Home, name string) ([]lab.Event, error) {
	if name == tui.DemoRun {
		log, err := fs.ReadFile(scenarios.Files, "demo.log")
		if err != nil {
			return nil, fmt.Errorf("demo: %w", err)
		}
		return store.Decode("demo.log", log)
	}
	r, err := h.Logs.Read(name)
	if err != nil {
		return nil, err
	}
	return r.Events, nil
}
