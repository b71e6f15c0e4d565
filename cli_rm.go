package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"slimlab/lab/store"
)

func (p *program) rmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm RUN...",
		Short: "remove runs; their artifacts stay until clean",
		Long: "rm removes the logs of runs: ids, beginnings of ids, or last. A run in progress is refused, and then none is removed.\n" +
			"Artifacts stay, since other runs may use them: slimlab clean removes those that no run uses.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, names []string) error { return p.rm(names) },
	}
}

func (p *program) rm(names []string) error {
	runs, err := p.home.Logs.List()
	if err != nil {
		return broke(err)
	}
	var ids []string
	for _, name := range names {
		id, err := p.home.Logs.Find(name)
		if errors.Is(err, store.ErrNotFound) {
			return usage(fmt.Errorf("%w; `slimlab runs` lists what there is", err))
		}
		if err != nil {
			return usage(err)
		}
		if slices.ContainsFunc(runs, func(r store.Info) bool { return r.ID == id && !r.Ended() && r.Problem == nil }) {
			return usage(&store.RunningError{ID: id})
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		if err := p.home.Logs.Remove(id); err != nil {
			return broke(err)
		}
		fmt.Fprintf(p.stdout, "removed run %s\n", id)
	}
	fmt.Fprintln(p.stderr, "their artifacts stay until slimlab clean")
	return nil
}
