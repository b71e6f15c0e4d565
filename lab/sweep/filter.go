package sweep

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"slimlab/internal/nearest"
	"slimlab/lab"
)

// FilterSyntax is the language of filters in one line.
const FilterSyntax = "text, key=value, key<number, has:key, not …, … or …"

// Filter keeps rows of a table. Its language, words apart by spaces:
//
//	text         the row's label contains it, whatever the case
//	key=value    step (or row), state or an axis is value, a metric is a number; also !=
//	key<number   an axis of numbers or a metric is less; also <= > >=; numbers may have
//	             the suffixes of tables: 300kB, 20ms, 3%
//	has:key      the metric was measured; the row depends on the axis
//	not X        the condition X does not hold
//	A B          both hold
//	A or B       one of both holds; A and B may be several conditions
//	"…"          a text or value with spaces, or one that is a word of the language
//
// Where a row has no value of an axis or metric, no comparison with it holds, neither = nor !=.
type Filter struct {
	line string
	any  [][]condition // all of one of them must hold; none: every row is kept
}

// condition is one word of a filter.
type condition struct {
	not    bool
	op     string // "text", "has", "=", "!=", "<", "<=", ">", ">="
	column Column
	text   string // lower case
	num    float64
	number bool // compares num, not text
}

// operators, the longer ones before those that they begin with.
var operators = []string{"!=", "<=", ">=", "=", "<", ">"}

// Filter reads a line of the filter language. The empty line keeps every row.
func (t *Table) Filter(line string) (Filter, error) {
	f := Filter{line: strings.TrimSpace(line)}
	words, err := split(line)
	if err != nil {
		return Filter{}, err
	}
	var all []condition
	not := false
	for _, w := range words {
		switch {
		case w.text == "not" && !w.quoted:
			not = !not
			continue
		case w.text == "or" && !w.quoted:
			if len(all) == 0 || not {
				return Filter{}, errors.New("or: expected a condition on both sides, found none before it")
			}
			f.any, all = append(f.any, all), nil
			continue
		}
		c, err := t.condition(w)
		if err != nil {
			return Filter{}, err
		}
		c.not, not = not, false
		all = append(all, c)
	}
	switch {
	case not:
		return Filter{}, errors.New("not: expected a condition behind it, found none")
	case len(all) == 0 && len(f.any) > 0:
		return Filter{}, errors.New("or: expected a condition on both sides, found none behind it")
	case len(all) > 0:
		f.any = append(f.any, all)
	}
	return f, nil
}

// String is the line that the filter was read from.
func (f Filter) String() string { return f.line }

// word is a word of a filter, quotes removed.
type word struct {
	text   string
	quoted bool // it began with a quote: a text, whatever is in it
}

// split cuts a line at spaces that are not between quotes.
func split(line string) ([]word, error) {
	var words []word
	var b strings.Builder
	inside, begun, quoted := false, false, false
	end := func() {
		if begun {
			words = append(words, word{b.String(), quoted})
		}
		b.Reset()
		begun, quoted = false, false
	}
	for _, r := range line {
		switch {
		case r == '"':
			quoted = quoted || !begun
			inside, begun = !inside, true
		case !inside && unicode.IsSpace(r):
			end()
		default:
			b.WriteRune(r)
			begun = true
		}
	}
	if inside {
		return nil, fmt.Errorf("%s: expected a closing \"", line)
	}
	end()
	return words, nil
}

func (t *Table) condition(w word) (condition, error) {
	if w.quoted {
		return condition{op: "text", text: strings.ToLower(w.text)}, nil
	}
	if key, ok := strings.CutPrefix(w.text, "has:"); ok {
		c, err := t.Column(key)
		if err != nil {
			return condition{}, fmt.Errorf("has: %w", err)
		}
		return condition{op: "has", column: c}, nil
	}
	at := strings.IndexAny(w.text, "!=<>")
	if at <= 0 || w.text[at] == '!' && !strings.HasPrefix(w.text[at:], "!=") {
		return condition{op: "text", text: strings.ToLower(w.text)}, nil
	}
	rest := w.text[at:]
	op := operators[slices.IndexFunc(operators, func(op string) bool { return strings.HasPrefix(rest, op) })]
	value := rest[len(op):]
	column, err := t.Column(w.text[:at])
	if err != nil {
		return condition{}, err
	}
	c := condition{op: op, column: column, text: strings.ToLower(value)}
	return c, t.compare(&c, value)
}

// compare completes a condition that compares a column with a value.
func (t *Table) compare(c *condition, value string) error {
	equality := c.op == "=" || c.op == "!="
	switch c.column.Kind {
	case Step, State:
		if !equality {
			return fmt.Errorf("%s: words have no order; expected %s=… or %s!=…", c.column.Key, c.column.Key, c.column.Key)
		}
		if c.column.Kind == Step {
			return oneOf("step", value, t.View.Begin.Rows)
		}
		return oneOf("state", value, states)
	case Value:
		axis := &t.Axes[c.column.Axis]
		num, err := lab.ParseNumber(value)
		c.num, c.number = num, err == nil
		if equality {
			return axis.knows(c, value)
		}
		if !slices.ContainsFunc(axis.Values, func(v string) bool { _, ok := number(v); return ok }) {
			return fmt.Errorf("%s: its values have no order; expected %s=… with one of %s", axis.Key, axis.Key, strings.Join(axis.Values, ", "))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", axis.Key, err)
		}
		return nil
	}
	num, err := c.column.Metric.Unit.ParseNumber(value)
	if err != nil {
		return fmt.Errorf("%s: %w", c.column.Key, err)
	}
	c.num, c.number = num, true
	return nil
}

// knows refuses a value that the axis does not have.
func (a *Axis) knows(c *condition, value string) error {
	for _, v := range a.Values {
		if c.is(v) {
			return nil
		}
	}
	return nearest.Unknown(a.Key, value, a.Values)
}

// states are those that a row can have.
var states = []string{
	lab.Waiting.String(), lab.Running.String(), lab.Done.String(), lab.Failed.String(), lab.Stopped.String(),
	lab.Crashed.String(), lab.NotRun.String(), lab.Unknown.String(),
}

func oneOf(what, value string, valid []string) error {
	if slices.ContainsFunc(valid, func(v string) bool { return strings.EqualFold(v, value) }) {
		return nil
	}
	return nearest.Unknown(what, value, valid)
}

// Keep returns the places in Rows of the rows that a filter keeps.
func (t *Table) Keep(f Filter) []int {
	rows := make([]int, 0, len(t.Rows))
	for i := range t.Rows {
		if t.Keeps(f, &t.Rows[i]) {
			rows = append(rows, i)
		}
	}
	return rows
}

// Keeps reports whether a filter keeps a row.
func (t *Table) Keeps(f Filter, r *Row) bool {
	return len(f.any) == 0 || slices.ContainsFunc(f.any, func(all []condition) bool {
		for i := range all {
			if t.holds(&all[i], r) == all[i].not {
				return false
			}
		}
		return true
	})
}

func (t *Table) holds(c *condition, r *Row) bool {
	if c.op == "text" {
		return strings.Contains(strings.ToLower(t.Label(r)), c.text)
	}
	x, ok := t.number(r, &c.column)
	if c.op == "has" {
		return ok
	}
	switch c.column.Kind {
	case Step:
		return strings.EqualFold(r.Name, c.text) == (c.op == "=")
	case State:
		return strings.EqualFold(r.State.String(), c.text) == (c.op == "=")
	case Value:
		if !ok {
			return false
		}
		value := t.Value(r, c.column.Axis)
		if c.op == "=" || c.op == "!=" {
			return c.is(value) == (c.op == "=")
		}
		x, ok = number(value)
	}
	if !ok {
		return false
	}
	switch c.op {
	case "<":
		return x < c.num
	case "<=":
		return x <= c.num
	case ">":
		return x > c.num
	case ">=":
		return x >= c.num
	}
	return equal(x, c.num) == (c.op == "=")
}

// is reports whether an axis's value is that of a condition: the same text, whatever the case, or
// the same number.
func (c *condition) is(value string) bool {
	if strings.EqualFold(value, c.text) {
		return true
	}
	x, ok := number(value)
	return ok && c.number && equal(x, c.num)
}

// equal compares what was read from text, where 30% and 0.3 may differ in their last bit.
func equal(a, b float64) bool { return a == b || math.Abs(a-b) <= 1e-9*math.Abs(b) }

// Narrow is a filter line that keeps what line keeps where further conditions hold too.
func Narrow(line, conditions string) string {
	var parts []string
	part, inside := "", false
	end := func() {
		parts = append(parts, strings.TrimSpace(conditions+" "+strings.TrimSpace(part)))
		part = ""
	}
	for _, word := range strings.SplitAfter(line, " ") {
		if !inside && strings.TrimSpace(word) == "or" {
			end()
			continue
		}
		if strings.Count(word, `"`)%2 == 1 {
			inside = !inside
		}
		part += word
	}
	end()
	return strings.Join(parts, " or ")
}
