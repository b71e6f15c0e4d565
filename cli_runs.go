package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/store"
)

func (p *program) runsCommand() *cobra.Command {
	format := "table"
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "list past runs, newest first",
		Long: "List past runs, newest first: running, done, failed, stopped (by its user), crashed (its process is gone before its end),\n" +
			"damaged or newer. The list looks once: a run whose process lives is running, with \"last written Ns ago\" where that is\n" +
			"10 s or more and the process is one of this machine; watch and the workbench see that it is silent.\n\n" +
			"Of a log of more than half a megabyte the list reads the beginning and the end; damage between them is found by what\n" +
			"reads the log, such as show.",
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
	// running, done, failed, stopped, crashed, damaged or newer
	State   string `json:"state"`
	Problem string `json:"problem,omitempty"` // of a log that is damaged or of a newer version
	// of a running one: when its process last wrote to the log or touched it, by that process's
	// clock
	LastWritten *time.Time `json:"last_written,omitempty"`

	quiet time.Duration // since LastWritten, where the clock is this machine's
}

func newRunList(runs []store.Info) runList {
	list := runList{Runs: []listedRun{}}
	for _, r := range runs {
		one := listedRun{Run: r.ID, Scenario: r.Scenario, Seconds: r.Duration.Seconds(), State: r.State.String()}
		if r.Problem != nil {
			one.Problem = r.Problem.Error()
		}
		if r.State == lab.Running {
			one.LastWritten = &r.Modified
			if r.Holder != 0 { // a process of this machine
				one.quiet = time.Since(r.Modified)
			}
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
		case r.Problem != "":
			state += ": " + r.Problem
		case r.quiet >= store.SilentAfter:
			state += fmt.Sprintf(", last written %v ago", r.quiet.Truncate(time.Second))
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
