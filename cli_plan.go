package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/await"
	"slimlab/internal/visible"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
	"slimlab/scenarios"
)

// planFlags are the flags that change a scenario.
type planFlags struct {
	set   []string
	seed  int
	seeds int
	quick bool
}

func (f *planFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.set, "set", nil, "KEY=VALUE: change the scenario, such as task.members=100 or distilled.steps=50 (repeatable)")
	flags.IntVar(&f.seed, "seed", 0, "first random seed (default 1)")
	flags.IntVar(&f.seeds, "seeds", 0, "number of seeds (default: the scenario's)")
	flags.BoolVar(&f.quick, "quick", false, "apply the scenario's quick overrides: smaller, shorter, one seed")
}

// load reads a scenario with the changes of the command line.
func (f *planFlags) load(cmd *cobra.Command, name string) (*scenario.Scenario, error) {
	if cmd.Flags().Changed("seeds") && f.seeds < 1 {
		return nil, usage(fmt.Errorf("--seeds %d: expected at least 1", f.seeds))
	}
	o := scenario.Options{Set: f.set, Quick: f.quick, Seeds: f.seeds}
	if cmd.Flags().Changed("seed") {
		o.Seed = &f.seed
	}
	s, err := await.Do(cmd.Context(), func() (*scenario.Scenario, error) { return run.LoadScenario(name, scenarios.Files, o) })
	return s, usage(err)
}

func (p *program) checkCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "check SCENARIO...",
		Short: "validate scenarios and print their plans",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			for _, name := range names {
				s, err := f.load(cmd, name)
				if err != nil {
					return err
				}
				plan, notes, err := run.Check(cmd.Context(), p.home, s.Plan())
				if err != nil {
					return usage(err)
				}
				for _, n := range notes {
					fmt.Fprintf(p.stderr, "%s: %s\n", n.Level, n.Text)
				}
				if _, err := io.WriteString(p.stdout, visible.Text(planText(s, plan))); err != nil {
					return broke(err)
				}
			}
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

func planText(s *scenario.Scenario, plan []run.PlannedCell) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", s.Name, s.About)
	for _, c := range plan {
		fmt.Fprintf(&b, "%s\n", c.Cell)
		t := plainTable(3)
		t.Indent = "  "
		for _, step := range c.Steps {
			t.Add(step.Name, step.Kind, step.State)
		}
		b.WriteString(t.Text())
	}
	return b.String()
}
