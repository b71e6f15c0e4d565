package run

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/recipe"
)

// searchFacts are stored with the model of a search: those of the best trial, and what was tried.
type searchFacts struct {
	trainFacts
	Search searchTable `json:"search"`
}

// searchTable is what was tried, the best first.
type searchTable struct {
	Method   string       `json:"method"`
	Examples int          `json:"examples"` // of the validation loss
	Cut      string       `json:"cut,omitempty"`
	Trials   []triedTrial `json:"trials"`
	// Edges say where the best has the smallest or largest number that was tried.
	Edges []string `json:"edges,omitempty"`
}

// triedTrial is a trial of a finished search.
type triedTrial struct {
	Trial      int        `json:"trial"` // from 1, in the order of the search
	Settings   string     `json:"settings"`
	Validation curveValue `json:"validation"` // the loss that was compared
	Steps      int        `json:"steps"`      // that it was compared after
	Seconds    float64    `json:"seconds"`
	State      string     `json:"state"` // "trained", "dropped", "diverged" or "left out"
	Error      string     `json:"error,omitempty"`
}

// table is what was tried.
func (x *search) table() searchTable {
	table := searchTable{Method: x.keys.Method, Examples: x.validated, Cut: x.cut, Edges: x.edges()}
	for _, t := range ranking(x.trials, x.keys.Method == halving) {
		tried := triedTrial{Trial: t.number, Settings: t.settings, Validation: curveValue(t.score(t.rung)), Steps: t.rung, Seconds: t.seconds, State: "trained"}
		switch {
		case t.diverged != "":
			tried.State, tried.Error, tried.Steps = "diverged", t.diverged, t.steps
		case t.rung == 0:
			tried.State = "left out"
		case t != x.best && x.keys.Method == halving:
			tried.State = "dropped"
		}
		table.Trials = append(table.Trials, tried)
	}
	return table
}

// edges says which settings of the best are the first or last of those that were tried. Where the
// key can have no smaller or no larger number, there is nothing beyond.
func (x *search) edges() (edges []string) {
	for i, a := range x.axes {
		var tried []float64
		for _, t := range x.trials {
			if t.rung > 0 || t.diverged != "" {
				tried = append(tried, t.values[i])
			}
		}
		value, low, high := x.best.values[i], slices.Min(tried), slices.Max(tried)
		which := ""
		switch {
		case low == high || a.Last(value):
			continue
		case value == low:
			which = "smallest"
		case value == high:
			which = "largest"
		default:
			continue
		}
		edges = append(edges, fmt.Sprintf("%s %s is the %s that was tried", a.Key, writtenNumber(value), which))
	}
	return edges
}

// readSearch reads what was tried, at least one trial.
func readSearch(dir string) (searchTable, error) {
	var facts searchFacts
	if err := readFacts(dir, &facts); err != nil {
		return searchTable{}, err
	}
	if len(facts.Search.Trials) == 0 {
		return searchTable{}, fmt.Errorf("%s: the facts of a search name no trial", filepath.Join(dir, recipe.FactsFile))
	}
	return facts.Search, nil
}

// say notes what a search has found.
func (x *search) say(dir string) error {
	s, err := readSearch(dir)
	if err != nil {
		return err
	}
	note := func(level lab.Level, text string) { x.run.note(x.cell.ID, level, x.step.Name+": "+text) }
	texts := make([]string, len(s.Trials))
	for i, t := range s.Trials {
		switch t.State {
		case "diverged":
			texts[i] = fmt.Sprintf("%s diverged after %s", t.Settings, plural.Of(t.Steps, "step"))
		case "left out":
			texts[i] = t.Settings + " left out"
		default:
			texts[i] = fmt.Sprintf("%s %.4f after %s", t.Settings, float64(t.Validation), plural.Of(t.Steps, "step"))
		}
	}
	note(lab.Info, fmt.Sprintf("chosen %s, by the validation loss over %s of %s (%s): %s", s.Trials[0].Settings, plural.Of(s.Examples, "example"), plural.Of(len(s.Trials), "trial"), s.Method, strings.Join(texts, "; ")))
	for _, edge := range s.Edges {
		note(lab.Warning, edge+": the best may lie beyond it")
	}
	for _, t := range s.Trials {
		if t.State == "diverged" {
			note(lab.Warning, fmt.Sprintf("trial %d, %s: %s", t.Trial, t.Settings, strings.TrimPrefix(t.Error, "train: ")))
		}
	}
	switch {
	case s.Cut != "":
		note(lab.Warning, fmt.Sprintf("the choice depends on the machine: search.seconds of %s was spent, %s", writtenNumber(x.keys.Seconds), s.Cut))
	case x.keys.Seconds > 0:
		note(lab.Info, fmt.Sprintf("the choice depends on the machine where search.seconds of %s is spent, which it was not", writtenNumber(x.keys.Seconds)))
	}
	return nil
}
