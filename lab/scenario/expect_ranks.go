package scenario

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/stat"
)

// The statistics of two lists of rows, by what expectations call them.
const (
	kendall  = "kendall"
	bestKept = "best_kept"
)

var rankStatistics = []string{kendall, bestKept}

// ranks compares the order of the rows of one list, by a metric, with that of their counterparts in
// another: the n-th of both belong together.
type ranks struct {
	statistic string
	lists     [2][]string
}

var listNames = [2]string{"first", "second"}

// names are the rows that the operand is about.
func (o *operand) names() []string {
	if o.ranks == nil {
		return []string{o.row}
	}
	return slices.Concat(o.ranks.lists[0], o.ranks.lists[1])
}

// unit is that of the operand's value, and called what an error calls it.
func (o *operand) unit() (u lab.Unit, called string) {
	if o.ranks != nil {
		return lab.Plain, o.ranks.statistic
	}
	metric, _ := lab.MetricByKey(o.metric) // the parser has looked it up
	return metric.Unit, o.metric
}

// ranks reads what follows the name of a statistic of two lists.
func (p *expectParser) ranks(t *term, statistic string) error {
	from := p.start
	form := fmt.Sprintf("expected %s(metric, rows=A;B;…, rows=A2;B2;…)", statistic)
	if !p.take('(') {
		return fmt.Errorf("%s has no rows, %s", statistic, form)
	}
	key := p.word("(),=<>+-*")
	metric, ok := lab.MetricByKey(key)
	switch {
	case key == "":
		return fmt.Errorf("found %s, %s", p.rest(), form)
	case !ok:
		return nearest.Unknown("unknown metric", key, lab.MetricKeys())
	case statistic == bestKept && metric.Better == lab.Neither:
		return fmt.Errorf("no value of %s is better than another, so that no row is the best; expected a metric such as kl or auc", key)
	}
	o := operand{metric: key, at: map[string]string{}, ranks: &ranks{statistic: statistic}}
	for p.take(',') {
		if err := p.argument(&o); err != nil {
			return err
		}
	}
	if !p.take(')') {
		return fmt.Errorf("found %s, expected , or )", p.rest())
	}
	p.start = from
	first, second := len(o.ranks.lists[0]), len(o.ranks.lists[1])
	switch {
	case first == 0 || second == 0:
		return fmt.Errorf("%s compares two lists of rows, %s", statistic, form)
	case first != second:
		return fmt.Errorf("the lists of %s have %d and %d rows, expected as many in both: the rows at one place belong together", statistic, first, second)
	case first < 2:
		return fmt.Errorf("%s compares the order of rows, and each list has one; expected at least 2", statistic)
	}
	o.text = p.text[from:p.pos]
	t.metrics = append(t.metrics, o)
	return nil
}

// list reads names of rows with ; between them.
func (p *expectParser) list(r *ranks) error {
	var rows []string
	for {
		name := p.word("(),=<>*;")
		if !slices.Contains(p.scenario.Rows, name) {
			return nearest.Unknown("unknown row", name, p.scenario.Rows)
		}
		if slices.Contains(rows, name) {
			return fmt.Errorf("the row %s is twice in one list, expected each once", name)
		}
		rows = append(rows, name)
		if !p.take(';') {
			break
		}
	}
	for i := range r.lists {
		if r.lists[i] == nil {
			r.lists[i] = rows
			return nil
		}
	}
	return fmt.Errorf("%s compares two lists of rows, found a third", r.statistic)
}

// rankValue computes the statistic of each seed. Value is their mean. Low and High bound it over
// seeds, or, of one seed's τ, over rows.
func (o operand) rankValue(v *lab.View, axes []Axis, free map[string]string) (lab.Summary, error) {
	var rows [2][]lab.Summary
	var out lab.Summary
	for i, list := range o.ranks.lists {
		for _, name := range list {
			row := operand{text: fmt.Sprintf("%s of row %s", o.metric, name), metric: o.metric, row: name, at: o.at}
			s, err := row.value(v, axes, free)
			if err != nil {
				return s, err
			}
			rows[i] = append(rows[i], s)
			for _, m := range s.Seeds { // what the row says of its own interval is not about the ranks
				for _, w := range m.Reasons() {
					if !slices.Contains(out.Warnings, w) {
						out.Warnings = append(out.Warnings, w)
					}
				}
			}
		}
	}
	of := rows[0][0].Seeds
	sameSeed := func(x, y lab.SeedMeasure) bool { return x.Seed == y.Seed }
	for i := range rows {
		for k := range rows[i] {
			if !slices.EqualFunc(rows[i][k].Seeds, of, sameSeed) {
				return out, fmt.Errorf("%s: rows %s and %s were measured with different seeds", o.ranks.statistic, o.ranks.lists[0][0], o.ranks.lists[i][k])
			}
		}
	}
	out.Of = len(of)
	values := make([]float64, len(of))
	var within stat.Interval
	for seed := range of {
		var x [2][]float64
		note := ""
		for i := range rows {
			for k := range rows[i] {
				value := rows[i][k].Seeds[seed].Value
				if math.IsNaN(value) {
					return out, fmt.Errorf("%s of row %s is not a number at seed %d, so that it has no rank", o.metric, o.ranks.lists[i][k], of[seed].Seed)
				}
				x[i] = append(x[i], value)
			}
		}
		if o.ranks.statistic == bestKept {
			values[seed], note = o.bestIsKept(x, of[seed].Seed)
		} else {
			for i := range x {
				if slices.Min(x[i]) == slices.Max(x[i]) {
					return out, fmt.Errorf("the rows of the %s list have no order: %s is %.6g in all of them at seed %d", listNames[i], o.metric, x[i][0], of[seed].Seed)
				}
			}
			within, _ = stat.Kendall(x[0], x[1])
			values[seed] = within.Value
		}
		out.Seeds = append(out.Seeds, lab.SeedMeasure{Seed: of[seed].Seed, Measure: lab.Measure{Value: values[seed], Warning: note}})
	}
	if len(values) == 0 {
		return out, errors.New(o.text + " was not measured")
	}
	o.bound(&out, values, within)
	return out, nil
}

// bound fills the value and its interval.
func (o *operand) bound(out *lab.Summary, values []float64, within stat.Interval) {
	out.Value = stat.Mean(values)
	if n := len(values); n > 1 && n < 5 {
		out.Warnings = append(out.Warnings, fmt.Sprintf("n=%d seeds", n))
	}
	switch over := stat.MeanInterval(values); {
	case o.ranks.statistic == bestKept:
		share := stat.Wilson(int(math.Round(out.Value*float64(len(values)))), len(values))
		out.Low, out.High, out.Interval = share.Low, share.High, true
	case len(values) == 1:
		out.Low, out.High, out.Interval = within.Low, within.High, within.Warning == ""
	case over.High > over.Low: // Student's interval knows nothing of the range
		out.Low, out.High, out.Interval = max(-1, over.Low), min(1, over.High), true
	}
}

// bestIsKept is 1 where a row of the first list that no other is better than has such a counterpart
// in the second, else 0 with a note that names the best of both.
func (o *operand) bestIsKept(x [2][]float64, seed int) (kept float64, note string) {
	metric, _ := lab.MetricByKey(o.metric) // the parser has looked it up
	var best [2]float64
	for i := range x {
		if best[i] = slices.Min(x[i]); metric.Better == lab.Higher {
			best[i] = slices.Max(x[i])
		}
	}
	for k := range x[0] {
		if x[0][k] == best[0] && x[1][k] == best[1] {
			return 1, ""
		}
	}
	first, second := slices.Index(x[0], best[0]), slices.Index(x[1], best[1])
	return 0, fmt.Sprintf("seed %d: %s is the best of the first list, %s of the second", seed, o.ranks.lists[0][first], o.ranks.lists[1][second])
}

// tell says the statistic with its interval.
func (o *operand) tell(s lab.Summary) string {
	var text strings.Builder
	interval := ""
	if s.Interval {
		interval = fmt.Sprintf(" [%.2f, %.2f]", s.Low, s.High)
	}
	n := len(s.Seeds)
	if o.ranks.statistic == bestKept {
		fmt.Fprintf(&text, "best %s kept in %.0f of %s, %.2f%s", o.metric, s.Value*float64(n), plural.Of(n, "seed"), s.Value, interval)
		for _, seed := range s.Seeds {
			if seed.Warning != "" {
				text.WriteString("; " + seed.Warning)
			}
		}
		return text.String()
	}
	fmt.Fprintf(&text, "tau of %s %.2f%s", o.metric, s.Value, interval)
	switch {
	case n == 1:
		fmt.Fprintf(&text, " over %s of one seed", plural.Of(len(o.ranks.lists[0]), "row"))
	case s.Interval:
		fmt.Fprintf(&text, " over %d seeds", n)
	default:
		fmt.Fprintf(&text, " at each of %d seeds", n)
	}
	return text.String()
}

// loneRanks is the statistic that the expectation compares with a number, nil where it is another
// expectation: the statistic's own interval tells what a difference would.
func (e *Expectation) loneRanks() *operand {
	if len(e.left) != 1 || e.left[0].scale != 1 || len(e.left[0].metrics) != 1 || e.left[0].metrics[0].ranks == nil {
		return nil
	}
	if slices.ContainsFunc(e.right, func(t term) bool { return len(t.metrics) > 0 }) {
		return nil
	}
	return &e.left[0].metrics[0]
}
