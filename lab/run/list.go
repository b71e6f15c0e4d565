package run

import (
	"fmt"
	"io/fs"

	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
)

// Demo is the name of the recorded run that ships.
const Demo = "demo"

// Scenarios lists the shipped scenarios.
func (l *Lab) Scenarios() ([]scenario.Entry, error) { return scenario.List(l.shipped) }

// Events reads the events of a run, or of the shipped demo.
func (l *Lab) Events(name string) ([]lab.Event, error) {
	if name == Demo {
		log, err := fs.ReadFile(l.shipped, "demo.log")
		if err != nil {
			return nil, fmt.Errorf("demo: %w", err)
		}
		return store.Decode("demo.log", log)
	}
	r, err := l.logs.Read(name)
	if err != nil {
		return nil, err
	}
	return r.Events, nil
}
