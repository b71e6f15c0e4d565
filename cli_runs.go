package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab/store"
)

func (p *program) runsCommand() *cobra.Command {
	format := "table"
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "list past runs, newest first",
		Long: "List past runs, newest first. Of a log of more than half a megabyte the list reads the beginning and the end; damage\n" +
			"between them is found by what reads the log, such as show.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := nearest.Check("--format", format, formats); err != nil {
				return usage(err)
			}
			runs, err := p.home.Logs.List()
			if err != nil {
				return broke(err)
			}
			if len(runs) == 0 && format == "table" {
				fmt.Fprintln(p.stderr, "no runs yet; try: slimlab run figure1 --quick")
				return nil
			}
			list := newRunList(runs)
			return product{"slimlab.runs/1", list, list.text}.write(p.stdout, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "output format: "+strings.Join(formats, ", "))
	return cmd
}

// runList is the past runs, newest first.
type runList struct {
	Runs []listedRun `json:"runs"`
}

type listedRun struct {
	Run      string     `json:"run"` // its id
	Scenario string     `json:"scenario"`
	Quick    bool       `json:"quick"`
	Settings []string   `json:"settings"` // that it changed in its scenario
	Started  *time.Time `json:"started"`  // null where the log does not say
	Seconds  float64    `json:"seconds"`
	// wait, run, done, fail, stop, interrupted, damaged or newer
	State   string `json:"state"`
	Problem string `json:"problem,omitempty"` // of a log that is damaged or of a newer version
}

func newRunList(runs []store.Info) runList {
	list := runList{Runs: []listedRun{}}
	for _, r := range runs {
		one := listedRun{Run: r.ID, Scenario: r.Scenario, Seconds: r.Duration.Seconds(), State: r.State.String()}
		var newer *store.NewerError
		switch {
		case errors.As(r.Problem, &newer):
			one.State, one.Problem = "newer", r.Problem.Error()
		case r.Problem != nil:
			one.State, one.Problem = "damaged", r.Problem.Error()
		case r.Interrupted:
			one.State = "interrupted"
		}
		one.Quick, one.Settings = r.Quick, append([]string{}, r.Settings...)
		if !r.Started.IsZero() {
			one.Started = &r.Started
		}
		list.Runs = append(list.Runs, one)
	}
	return list
}

func (l runList) text() string {
	t := plainTable(5)
	for _, r := range l.Runs {
		state, started := r.State, "–"
		switch {
		case r.State == "newer":
			state = "of a newer version: " + r.Problem
		case r.Problem != "":
			state += ": " + r.Problem
		}
		if r.Started != nil {
			started = r.Started.Format("2006-01-02 15:04")
		}
		name := r.Scenario
		if r.Quick {
			name += " (quick)"
		}
		t.Add(r.Run, strings.Join(append([]string{name}, r.Settings...), " "), started, time.Duration(r.Seconds*float64(time.Second)).Round(100*time.Millisecond).String(), state)
	}
	return t.Text()
}
