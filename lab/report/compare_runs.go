package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/lab"
	"slimlab/lab/sweep"
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
	for _, v := range views {
		c.Runs = append(c.Runs, v.Begin)
	}
	var problems []string
	if resolve != nil {
		c.Settings, problems = Differences(c.Runs, resolve)
	}
	of := make([]map[int][]namedChanges, len(views))
	for i, v := range views {
		if i != baseline {
			c.Against[i] = compare(base, v, resolve, resolve != nil && len(problems) == 0)
			of[i] = c.Against[i].rowChanges()
		}
	}
	c.notes()
	c.addNotes(problems, resolve)
	table := sweep.Of(base)
	for at := range table.Rows {
		own := table.FullLabel(&table.Rows[at])
		for _, name := range rowNames(own, of, at) {
			c.addRow(name, own, of, at)
		}
	}
	return c
}

// addNotes adds why settings could not be derived, and gives a single pair what differs.
func (c *Runs) addNotes(problems []string, resolve Resolve) {
	c.Notes = append(c.Notes, problems...)
	if len(c.Runs) == 2 && resolve != nil {
		pair := c.Against[1-c.Baseline]
		pair.Reasons = append(pair.Reasons, problems...)
		pair.Settings, _ = Differences([]lab.Begin{pair.Base, pair.New}, resolve)
	}
}

// addRow adds a line for each metric of a row of the base that another run has measured too.
// Changes of a run that has the row under the base's own name count under each name.
func (c *Runs) addRow(name, own string, of []map[int][]namedChanges, row int) {
	from := len(c.Lines)
	for run := range of {
		at := from // metrics come in the order of the run that has them
		for _, named := range of[run][row] {
			if named.name != name && named.name != own {
				continue
			}
			for _, one := range named.changes {
				found := slices.IndexFunc(c.Lines[from:], func(l RunsLine) bool { return l.Metric.Key == one.Metric.Key })
				if found < 0 {
					line := RunsLine{Row: name, Metric: one.Metric, Base: one.Base, Changes: make([]*Change, len(c.Runs))}
					c.Lines = slices.Insert(c.Lines, at, line)
				} else {
					at = from + found
				}
				c.Lines[at].Changes[run] = one
				at++
			}
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
		for _, line := range against.apartLines() {
			add(i, line)
		}
	}
	for i, against := range c.Against {
		if against != nil && against.folded != "" && against.Comparable {
			add(i, against.folded)
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
