package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab/home"
	"slimlab/lab/store"
	"slimlab/lab/sweep"
	"slimlab/lab/tokenview"
)

// checkTokens refuses what does not go with --tokens.
func checkTokens(cmd *cobra.Command, row, format string) error {
	if row == "" {
		return errors.New("--tokens: found no row, expected its step, or the step and values of the sweep's axes")
	}
	for _, name := range []string{"where", "sort", "columns", "all", "group", "baseline", "pareto", "pivot", "along", "bars", "curves", "matrix", "lines", "metric", "step", "aggregate", "best"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--tokens: the tokens of one row are shown; expected --tokens or --%s, not both", name)
		}
	}
	return nearest.Check("--format of --tokens", format, tokenview.Formats())
}

// showTokens prints what a row's model says at each token of a few answers.
func (p *program) showTokens(ctx context.Context, run, name, format string) error {
	b, _, err := p.board(run)
	if err != nil {
		return err
	}
	v := b.Snapshot()
	t := sweep.Of(v)
	at, err := t.Find(name)
	if err != nil {
		return usage(fmt.Errorf("--tokens: run %s: %w", v.Begin.Run, err))
	}
	row := &v.Rows[t.Rows[at].Index]
	shown := tokenview.Row{Run: v.Begin.Run, Row: t.FullLabel(&t.Rows[at])}
	for i, key := range row.Tokens {
		if key == "" {
			continue
		}
		view, err := readTokens(ctx, p.home, key)
		if err != nil {
			return broke(fmt.Errorf("row %s of run %s: %w", shown.Row, v.Begin.Run, err))
		}
		shown.Seeds = append(shown.Seeds, tokenview.Seed{Seed: row.SeedNumbers()[i], View: view})
	}
	if len(shown.Seeds) == 0 {
		return usage(fmt.Errorf("--tokens: row %s of run %s has none: %s", shown.Row, v.Begin.Run, v.NoTokens(row)))
	}
	return broke(shown.Write(format, p.stdout))
}

// errNoTokens is the error of tokens that are no longer there.
var errNoTokens = errors.New("its tokens are not in this home: slimlab clean removed them, or another machine made them; a run of the scenario makes them again")

// readTokens reads a view of tokens by the key of its artifact.
func readTokens(ctx context.Context, h *home.Home, key string) (*tokenview.View, error) {
	folder, release, err := h.Artifacts.Look(ctx, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, errNoTokens
	case err != nil:
		return nil, err
	}
	defer release()
	return tokenview.Read(folder)
}
