package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"slimlab/lab/store"
)

func (p *program) rmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm RUN...",
		Short: "remove runs; their artifacts stay until clean",
		Long: "rm removes the logs of runs. RUN is " + store.Naming + ".\nA run in progress is refused, with the process that works on it, and then none is removed.\n" +
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
		if err != nil {
			return noRun(err)
		}
		if at := slices.IndexFunc(runs, func(r store.Info) bool { return r.ID == id && r.Problem == nil }); at >= 0 {
			if running := p.home.Logs.Running(&runs[at]); running != nil {
				return usage(running)
			}
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
