package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/lab"
)

// Runs is a comparison of any number of runs with one of them, the baseline.
type Runs struct {
	Runs     []lab.Begin
	Baseline int // index of the run that the others are compared with
	// what differs between the runs, and only that; nil where it was not derived
	Settings []Difference
	// by run: with the baseline, as Compare makes it; nil of the baseline itself
	Against []*Comparison
	Lines   []RunsLine // rows of the baseline in order, then metrics
	Notes   []string   // reasons of all comparisons, rows that cannot be matched
}

// RunsLine is one metric of one row in all runs.
type RunsLine struct {
	Row    string
	Metric lab.Metric
	Base   lab.Summary // of the baseline; its Value is NaN where it was not measured
	// Changes has for each run the change against the baseline; nil of the baseline itself and
	// where the run has not measured the row.
	Changes []*Change
}

// CompareRuns compares each of the runs with the one at baseline, by itself, so that two runs have
// the same verdicts whatever other runs stand beside them. The false discovery rate is that of each
// pair. resolve, unless it is nil, fills Settings. It panics where baseline is not the index of a
// run.
func CompareRuns(views []*lab.View, baseline int, resolve Resolve) *Runs {
	base := views[baseline]
	c := &Runs{Baseline: baseline, Against: make([]*Comparison, len(views))}
	for i, v := range views {
		c.Runs = append(c.Runs, v.Begin)
		if i != baseline {
			c.Against[i] = compare(base, v, resolve)
		}
	}
	c.notes()
	changes := make([]map[string][]*Change, len(views)) // by run and row
	for i, against := range c.Against {
		changes[i] = map[string][]*Change{}
		if against != nil {
			for k := range against.Changes {
				one := &against.Changes[k]
				changes[i][one.Row] = append(changes[i][one.Row], one)
			}
			for row, first := range against.repeats {
				changes[i][row] = changes[i][first]
			}
		}
	}
	for i := range base.Rows {
		if row := base.Rows[i].Label(); !c.folds(row) {
			c.addRow(row, changes)
		}
	}
	if resolve != nil {
		c.derive(resolve)
	}
	return c
}

// derive fills Settings.
func (c *Runs) derive(resolve Resolve) {
	var notes []string
	c.Settings, notes = Differences(c.Runs, resolve)
	c.Notes = append(c.Notes, notes...)
	if len(c.Runs) == 2 {
		pair := c.Against[1-c.Baseline]
		pair.Reasons = append(pair.Reasons, notes...)
		pair.Settings, _ = Differences([]lab.Begin{pair.Base, pair.New}, resolve)
	}
}

// folds reports whether a row repeats another in all comparisons.
func (c *Runs) folds(row string) bool {
	return len(c.Runs) > 1 && !slices.ContainsFunc(c.Against, func(against *Comparison) bool { return against != nil && against.repeats[row] == "" })
}

// addRow adds a line for each metric of a row that another run has measured too.
func (c *Runs) addRow(row string, changes []map[string][]*Change) {
	from := len(c.Lines)
	for run := range changes {
		at := from // metrics come in the order of the run that has them
		for _, one := range changes[run][row] {
			found := slices.IndexFunc(c.Lines[from:], func(l RunsLine) bool { return l.Metric.Key == one.Metric.Key })
			if found < 0 {
				line := RunsLine{Row: row, Metric: one.Metric, Base: one.Base, Changes: make([]*Change, len(c.Runs))}
				c.Lines = slices.Insert(c.Lines, at, line)
			} else {
				at = from + found
			}
			c.Lines[at].Changes[run] = one
			at++
		}
	}
}

// Value is what a run has measured; ok is false where it has not.
func (l *RunsLine) Value(run, baseline int) (s lab.Summary, ok bool) {
	switch {
	case run == baseline:
		s = l.Base
	case l.Changes[run] != nil:
		s = l.Changes[run].New
	default:
		return lab.Summary{Value: math.NaN()}, false
	}
	return s, len(s.Seeds) > 0
}

// Scale is the scale that suits all values of the line.
func (l *RunsLine) Scale() Scale {
	values := []float64{l.Base.Value}
	for _, one := range l.Changes {
		if one != nil {
			values = append(values, one.New.Value)
		}
	}
	return ScaleOf(l.Metric.Unit, values...)
}

// notes collects the reasons of all comparisons, each once, with the runs that they are of.
func (c *Runs) notes() {
	var texts []string
	of := map[string][]string{}
	add := func(run int, text string) {
		texts = appendNew(texts, text)
		of[text] = append(of[text], RunMark(run))
	}
	for i, against := range c.Against {
		if against == nil {
			continue
		}
		for _, reason := range against.Reasons {
			add(i, reason)
		}
		for _, row := range against.Missing {
			add(i, "row "+row)
		}
	}
	for _, text := range texts {
		c.Notes = append(c.Notes, fmt.Sprintf("%s: %s", strings.Join(of[text], " "), text))
	}
}

// RunMark is the short name of a run in a comparison, by its index: "#1" is the first.
func RunMark(run int) string { return fmt.Sprintf("#%d", run+1) }

// Sign is the judgement in one character.
func (j Judgement) Sign() string {
	sign, _, _ := strings.Cut(j.String(), " ")
	return sign
}
