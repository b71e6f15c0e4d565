package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/stat"
)

// Expectation is a comparison that a run is expected to satisfy:
//
//	comparison := sum ("<" | "<=" | ">" | ">=" | "==") sum
//	sum        := product (("+" | "-") product)*
//	product    := value ("*" value)*
//	value      := ["-"] number [suffix] | metric "(" "row=" name ("," axis "=" value)* ")" | ranks
//	ranks      := ("kendall" | "best_kept") "(" metric "," lists ("," axis "=" value)* ")"
//	lists      := "rows=" names "," "rows=" names
//	names      := name (";" name)+
//
// A suffix is one of the metric's unit, as tables write it: 20ms, 300kB, 3%, 1.5x. A metric is the
// row's value over all seeds. Of quality metrics of several seeds a verdict also tells the mean
// difference of the two sides, paired by seed, with its 95% interval. A number with a unit is
// multiplied by ratios alone. Axes of the sweep that no metric names are free: the expectation must
// hold at each of their values, and each gives a verdict.
//
// Ranks compare the order that a metric gives the rows of one list with that of their counterparts
// at the same places of another, in each seed: kendall is Kendall's τ-b, best_kept is 1 where the
// best row of the first list has the best counterpart. Both are means over seeds, and a verdict
// tells their 95% intervals: Student's of τ, Wilson's of the share of seeds that keep the best.
// They are about these rows; of one seed, τ has the interval of rows that are drawn from many.
type Expectation struct {
	Text  string
	At    string // file, line and column, for annotations
	op    string
	left  []term // their sum
	right []term
	free  []Axis // axes that no metric fixes
}

// Asks reports whether a scenario's table shows one of the metrics or an expectation compares one.
func (s *Scenario) Asks(metrics ...string) bool {
	if len(s.Columns) == 0 {
		return true
	}
	return slices.ContainsFunc(metrics, func(key string) bool {
		return slices.Contains(s.Columns, key) || slices.ContainsFunc(s.Expect, func(e Expectation) bool { return e.compares(key) })
	})
}

// compares reports whether the expectation is about a metric.
func (e *Expectation) compares(metric string) bool {
	return slices.ContainsFunc(slices.Concat(e.left, e.right), func(t term) bool {
		return slices.ContainsFunc(t.metrics, func(o operand) bool { return o.metric == metric })
	})
}

// term is a product of factors; scale holds its sign.
type term struct {
	scale   float64
	metrics []operand
	numbers []int // of the parser's suffixed
}

// operand is a metric of one row at one point, or what it says of two lists of rows there.
type operand struct {
	text   string
	metric string
	row    string
	ranks  *ranks // nil: the metric of the row
	at     map[string]string
}

var comparisons = []string{"<=", ">=", "==", "<", ">"}

func (b *builder) expectations() {
	n := b.list("expect", `expectations such as "auc(row=NAME) > 0.7"`)
	if n == nil {
		return
	}
	for _, item := range n.items {
		p := expectParser{text: item.text, scenario: b.scenario, at: item.at}
		e, err := p.parse()
		if err == nil {
			err = p.unmeasured(b.vocabulary, &e)
		}
		if err != nil {
			at := item.at
			if at.line > 0 {
				at.column += p.column()
				if item.quoted {
					at.column++
				}
			}
			b.bad.add(at, "expectation %q: %v", item.text, err)
			continue
		}
		b.scenario.Expect = append(b.scenario.Expect, e)
	}
}

// Verdicts judges every expectation on what a run has measured: one verdict event for each
// combination of the axes that the expectation leaves free. What was not measured, or by some seeds
// only, has not held; where failed cells are the cause, it is not judged.
func (s *Scenario) Verdicts(v *lab.View) []lab.Event {
	var events []lab.Event
	for _, e := range s.Expect {
		for _, at := range combinations(e.free) {
			var used used
			held, reason, err := e.judge(v, s.Axes, at, &used)
			name := e.Text
			for _, a := range e.free {
				name += " at " + a.Key + "=" + at[a.Key]
			}
			verdict := lab.Event{Kind: lab.KindVerdict, Time: v.Time, Name: name, Held: held, Text: reason, Warnings: used.warnings}
			if err != nil {
				var failed failedError
				verdict.Unjudged, verdict.Text = errors.As(err, &failed), err.Error()
			}
			events = append(events, verdict)
		}
	}
	return events
}

func combinations(axes []Axis) []map[string]string {
	all := []map[string]string{{}}
	for _, a := range axes {
		var next []map[string]string
		for _, at := range all {
			for _, value := range a.Values {
				more := map[string]string{a.Key: value}
				for k, v := range at {
					more[k] = v
				}
				next = append(next, more)
			}
		}
		all = next
	}
	return all
}

// failedError says that a value was not measured since a cell failed.
type failedError struct{ what, cell, cause string }

func (e failedError) Error() string {
	return fmt.Sprintf("%s; cell %s failed: %s", e.what, e.cell, e.cause)
}

// used is what an expectation compares.
type used struct {
	values   []string               // "auc(row=w8a8) = 0.7"
	warnings []string               // of these values, each once
	found    map[string]lab.Summary // by the operand's text
	timing   bool
}

func (u *used) add(o operand, s lab.Summary) {
	if o.ranks != nil {
		u.values = append(u.values, o.tell(s))
	} else {
		u.values = append(u.values, fmt.Sprintf("%s = %.6g", o.text, s.Value))
	}
	if u.found == nil {
		u.found = map[string]lab.Summary{}
	}
	u.found[o.text] = s
	metric, known := lab.MetricByKey(o.metric)
	u.timing = u.timing || known && metric.Timing && o.ranks == nil
	for _, w := range s.Warnings {
		if !slices.Contains(u.warnings, w) {
			u.warnings = append(u.warnings, w)
		}
	}
}

// judge evaluates the expectation with its free axes at given values, and adds what it uses. The
// error says which value is absent, a failedError where a failed cell is the cause.
func (e *Expectation) judge(v *lab.View, axes []Axis, free map[string]string, found *used) (held bool, reason string, _ error) {
	left, err := evaluate(e.left, v, axes, free, found)
	if err != nil {
		return false, "", err
	}
	right, err := evaluate(e.right, v, axes, free, found)
	if err != nil {
		return false, "", err
	}
	order := cmp.Compare(left, right)
	switch e.op {
	case "<":
		held = order < 0
	case "<=":
		held = order <= 0
	case ">":
		held = order > 0
	case ">=":
		held = order >= 0
	case "==":
		held = order == 0
	}
	reason = strings.Join(found.values, ", ")
	if len(e.left)+len(e.right) > 2 {
		reason += fmt.Sprintf("; %.6g against %.6g", left, right)
	}
	if math.IsNaN(left) || math.IsNaN(right) {
		return false, reason + "; not a number", nil
	}
	if o := e.loneRanks(); o != nil {
		if s := found.found[o.text]; s.Interval && s.Low < right && right < s.High {
			reason += fmt.Sprintf(", which %.6g lies in", right)
		}
		return held, reason, nil
	}
	return held, reason + e.difference(found), nil
}

// difference tells the difference of the two sides over seeds; "" where there are no seeds that all
// metrics have, or the metrics are timings, whose values are medians.
func (e *Expectation) difference(of *used) string {
	if of.timing {
		return ""
	}
	var seeds []int
	for _, s := range of.found {
		var own []int
		for _, m := range s.Seeds {
			own = append(own, m.Seed)
		}
		if seeds != nil && !slices.Equal(own, seeds) {
			return ""
		}
		seeds = own
	}
	differences := make([]float64, len(seeds))
	for i := range seeds {
		at := func(o operand) (float64, error) { return of.found[o.text].Seeds[i].Value, nil }
		left, _ := sum(e.left, at) // of values that are there
		right, _ := sum(e.right, at)
		differences[i] = left - right
	}
	mean := stat.MeanInterval(differences)
	if !mean.Bounded() || mean.High == mean.Low {
		return ""
	}
	text := fmt.Sprintf("; difference %.3g [%.3g, %.3g] over %d seeds", mean.Value, mean.Low, mean.High, len(seeds))
	if mean.Low <= 0 && mean.High >= 0 {
		text += ", which 0 lies in"
	}
	return text
}

func evaluate(terms []term, v *lab.View, axes []Axis, free map[string]string, found *used) (float64, error) {
	return sum(terms, func(o operand) (float64, error) {
		of := o.value
		if o.ranks != nil {
			of = o.rankValue
		}
		s, err := of(v, axes, free)
		if err != nil {
			return 0, err
		}
		found.add(o, s)
		return s.Value, nil
	})
}

// sum is that of products of metrics' values.
func sum(terms []term, value func(o operand) (float64, error)) (float64, error) {
	var sum float64
	for _, t := range terms {
		product := t.scale
		for _, o := range t.metrics {
			x, err := value(o)
			if err != nil {
				return 0, err
			}
			product *= x
		}
		sum += product
	}
	return sum, nil
}

// value finds the operand's row and metric.
func (o operand) value(v *lab.View, axes []Axis, free map[string]string) (lab.Summary, error) {
	want := make([]lab.Param, len(axes))
	for i, a := range axes {
		value, ok := o.at[a.Key]
		if !ok {
			value = free[a.Key]
		}
		want[i] = lab.Param{Key: a.Key, Value: value}
	}
	for i := range v.Rows {
		r := &v.Rows[i]
		if r.Name != o.row || !slices.Equal(r.Params, want) {
			continue
		}
		s, ok := r.Metric(o.metric)
		what := ""
		switch {
		case !ok:
			what = o.text + " was not measured"
		case len(s.Seeds) < s.Of:
			what = fmt.Sprintf("%s was measured by %d of %s", o.text, len(s.Seeds), plural.Of(s.Of, "seed"))
		default:
			return s, nil
		}
		for _, id := range r.Cells {
			if c := v.Cell(id); c != nil && c.State == lab.Failed {
				return lab.Summary{}, failedError{what, id, c.Error}
			}
		}
		return lab.Summary{}, errors.New(what)
	}
	return lab.Summary{}, fmt.Errorf("%s: the run has no such row", o.text)
}
