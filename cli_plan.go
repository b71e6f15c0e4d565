package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/await"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
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
	flags.StringArrayVar(&f.set, "set", nil, "KEY=VALUE: change the scenario, such as task.members=100 or distilled.steps=50; null takes a key out (repeatable)")
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
	format := "table"
	cmd := &cobra.Command{
		Use:   "check SCENARIO...",
		Short: "validate scenarios and print their plans",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := nearest.Check("--format", format, formats); err != nil {
				return usage(err)
			}
			var all plans
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
				one := checkedPlan{Scenario: s.Name, About: s.About, Cells: []checkedCell{}}
				for _, c := range plan {
					one.Cells = append(one.Cells, newCheckedCell(c))
				}
				if all.Scenarios = append(all.Scenarios, one); format == "table" {
					if _, err := io.WriteString(p.stdout, visible.Text(one.text())); err != nil {
						return broke(err)
					}
				}
			}
			if format == "table" {
				return nil
			}
			return product{"slimlab.plan/1", all, nil}.write(p.stdout, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "output format: "+strings.Join(formats, ", "))
	f.add(cmd)
	return cmd
}

// plans are what check prints of its scenarios.
type plans struct {
	Scenarios []checkedPlan `json:"scenarios"`
}

type checkedPlan struct {
	Scenario string        `json:"scenario"`
	About    string        `json:"about"`
	Cells    []checkedCell `json:"cells"`
}

type checkedCell struct {
	Cell  string        `json:"cell"`
	Steps []checkedStep `json:"steps"`
}

type checkedStep struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	State string `json:"state"` // loaded, cached, to build or shared; to measure or measured of tables
	// at most, of a model that is to be built, and of a file that it needs
	Bytes int64 `json:"bytes"`
	// trainings of a search that is to be done; 0 for other steps
	Trials int `json:"trials"`
}

// text is the state as a table has it.
func (s checkedStep) text() string {
	if s.Trials == 0 {
		return s.State
	}
	return fmt.Sprintf("%s: a search of %s", s.State, plural.Of(s.Trials, "training"))
}

func newCheckedCell(c run.PlannedCell) checkedCell {
	cell := checkedCell{Cell: c.Cell, Steps: []checkedStep{}}
	for _, s := range c.Steps {
		cell.Steps = append(cell.Steps, checkedStep(s))
	}
	return cell
}

func (c checkedPlan) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", c.Scenario, c.About)
	for _, cell := range c.Cells {
		fmt.Fprintf(&b, "%s\n", cell.Cell)
		t := plainTable(3)
		t.Indent = "  "
		for _, step := range cell.Steps {
			t.Add(step.Name, step.Kind, step.text())
		}
		b.WriteString(t.Text())
	}
	return b.String()
}
