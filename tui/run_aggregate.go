package tui

import (
	"fmt"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
)

// aggregateKey chooses what several rows come to, in every view that puts rows together.
func aggregateKey(help string, do func()) binding {
	return binding{keys: []string{"B"}, footer: "B aggregate", help: help, do: act(do)}
}

// chooseAggregate offers the aggregates that a metric has.
func (r *runScreen) chooseAggregate(title string, m lab.Metric, take func(a sweep.Aggregate)) {
	p := &picker{workbench: r.workbench, title: title}
	for _, name := range sweep.Aggregates() {
		a, err := sweep.AggregateNamed(name)
		if err == nil && has(m, a) {
			p.entries = append(p.entries, entry{name, a.About(), func() tea.Cmd {
				take(a)
				return nil
			}})
		}
	}
	r.push(p)
}

// has reports whether a metric has an aggregate: without a better direction no row is the best.
func has(m lab.Metric, a sweep.Aggregate) bool { return a != sweep.Best || m.Better != lab.Neither }

// aggregateFor is the aggregate that was chosen, or the mean where a metric does not have that.
func aggregateFor(m lab.Metric, chosen sweep.Aggregate) sweep.Aggregate {
	if !has(m, chosen) {
		return sweep.Mean
	}
	return chosen
}

// chosenAggregate is an aggregate as an option has it: empty where it is the default.
func chosenAggregate(a sweep.Aggregate) string {
	c := sweep.Choice{All: a}
	return c.String()
}

// totalText says what rows come to: of one row its value with its interval and its name, of several
// what the value is, the lowest and the highest.
func totalText(t *table, total *sweep.Total, m lab.Metric, a sweep.Aggregate, scale report.Scale) []string {
	value := m.Label + " " + scale.Format(total.Value)
	var parts []string
	if total.Row >= 0 {
		if low, high, ok := t.sweep.Own(total, m.Key); ok && low < high {
			value += fmt.Sprintf(" [%s, %s]", scale.Format(low), scale.Format(high))
		}
		parts = []string{value, label(t, &t.sweep.Rows[total.Row])}
	} else if parts = []string{a.String() + " " + value}; total.N > 1 && a != sweep.Count {
		parts[0] += fmt.Sprintf(" of %d rows, %s to %s", total.N, scale.Format(total.Low), scale.Format(total.High))
	}
	if total.Row >= 0 && total.N > 1 {
		parts = append(parts, fmt.Sprintf("%s of %d rows", a, total.N))
	}
	return parts
}
