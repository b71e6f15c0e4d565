package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/nearest"
	"slimlab/lab"
)

// Expectation is a comparison that a run is expected to satisfy:
//
//	comparison := sum ("<" | "<=" | ">" | ">=" | "==") sum
//	sum        := product (("+" | "-") product)*
//	product    := value ("*" value)*
//	value      := ["-"] number [suffix] | metric "(" "row=" name ("," axis "=" value)* ")"
//
// A suffix is one of the metric's unit, as tables write it: 20ms, 300kB, 3%, 1.5x. A metric is the
// row's value over all seeds. Axes of the sweep that no metric names are free: the expectation must
// hold at each of their values, and each gives a verdict.
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
}

// operand is a metric of one row at one point.
type operand struct {
	text   string
	metric string
	row    string
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

// expectParser is a recursive descent over one expectation.
type expectParser struct {
	text     string
	pos      int
	start    int // of the token that an error is about
	scenario *Scenario
	at       place
	bound    map[string]bool
	suffixed []suffixed
}

// suffixed is a number with the suffix of a unit, and its place.
type suffixed struct {
	text  string
	start int
}

// column is the place of the error, in runes from the expectation's start.
func (p *expectParser) column() int { return len([]rune(p.text[:min(p.start, len(p.text))])) }

func (p *expectParser) parse() (Expectation, error) {
	e := Expectation{Text: p.text, At: p.at.inFile()}
	p.bound = map[string]bool{}
	var err error
	if e.left, err = p.sum(); err != nil {
		return e, err
	}
	p.space()
	for _, op := range comparisons {
		if strings.HasPrefix(p.text[p.pos:], op) {
			e.op = op
			p.pos += len(op)
			break
		}
	}
	if e.op == "" {
		return e, fmt.Errorf("found %s, expected one of < <= > >= ==", p.rest())
	}
	if e.right, err = p.sum(); err != nil {
		return e, err
	}
	if p.space(); p.pos < len(p.text) {
		return e, fmt.Errorf("found %s after the end", p.rest())
	}
	return e, p.bind(&e)
}

// bind finds the axes that the expectation leaves free. All metrics must leave the same ones free.
func (p *expectParser) bind(e *Expectation) error {
	var operands []operand
	for _, t := range slices.Concat(e.left, e.right) {
		operands = append(operands, t.metrics...)
	}
	p.start = 0
	if len(operands) == 0 {
		return fmt.Errorf("compares no metric, expected metric(row=…)")
	}
	if err := p.units(operands); err != nil {
		return err
	}
	for _, a := range p.scenario.Axes {
		if !p.bound[a.Key] {
			e.free = append(e.free, a)
			continue
		}
		for _, o := range operands {
			if _, ok := o.at[a.Key]; !ok {
				return fmt.Errorf("%s leaves the axis %s open, which another metric here fixes; give it to both or to neither", o.text, a.Key)
			}
		}
	}
	return nil
}

// units reports a number whose suffix is of a unit that no metric of the expectation has.
func (p *expectParser) units(operands []operand) error {
	for _, number := range p.suffixed {
		var wrong error
		for _, o := range operands {
			metric, _ := lab.MetricByKey(o.metric) // the parser has looked it up
			_, err := metric.Unit.ParseNumber(number.text)
			if err == nil {
				wrong = nil
				break
			}
			if wrong == nil {
				wrong = fmt.Errorf("%s: %w", o.metric, err)
			}
		}
		if wrong != nil {
			p.start = number.start
			return wrong
		}
	}
	return nil
}

func (p *expectParser) space() {
	for p.pos < len(p.text) && strings.ContainsRune(" \t\n", rune(p.text[p.pos])) {
		p.pos++
	}
	p.start = p.pos
}

func (p *expectParser) rest() string {
	if p.pos >= len(p.text) {
		return "the end"
	}
	rest := p.text[p.pos:]
	if len(rest) > 20 {
		rest = strings.ToValidUTF8(rest[:20], "") + "…"
	}
	return strconv.Quote(rest)
}

// take consumes a single byte if it comes next.
func (p *expectParser) take(b byte) bool {
	p.space()
	if p.pos < len(p.text) && p.text[p.pos] == b {
		p.pos++
		return true
	}
	return false
}

// maxTerms bounds an expectation.
const maxTerms = 64

func (p *expectParser) sum() ([]term, error) {
	var terms []term
	sign := 1.0
	for len(terms) < maxTerms {
		t := term{scale: sign}
		for {
			if err := p.value(&t); err != nil {
				return nil, err
			}
			if !p.take('*') {
				break
			}
			if len(t.metrics) > maxTerms {
				return nil, fmt.Errorf("too long")
			}
		}
		terms = append(terms, t)
		if p.take('+') {
			sign = 1
		} else if p.take('-') {
			sign = -1
		} else {
			return terms, nil
		}
	}
	return nil, fmt.Errorf("more than %d terms", maxTerms)
}

func (p *expectParser) value(t *term) error {
	if p.take('-') {
		t.scale = -t.scale
	}
	p.space()
	if p.pos < len(p.text) && strings.IndexByte("0123456789.", p.text[p.pos]) >= 0 {
		return p.number(t)
	}
	name := p.word("(),=<>+-*")
	if name == "" {
		return fmt.Errorf("found %s, expected a number or metric(row=…)", p.rest())
	}
	if _, ok := lab.MetricByKey(name); !ok {
		return nearest.Unknown("unknown metric", name, lab.MetricKeys())
	}
	from := p.start
	o := operand{metric: name, at: map[string]string{}}
	if !p.take('(') {
		return fmt.Errorf("%s has no row, expected %s(row=…)", name, name)
	}
	for !p.take(')') {
		if err := p.argument(&o); err != nil {
			return err
		}
		if !p.take(',') && (p.pos >= len(p.text) || p.text[p.pos] != ')') {
			return fmt.Errorf("found %s, expected , or )", p.rest())
		}
	}
	if o.row == "" {
		return fmt.Errorf("%s has no row, expected %s(row=…)", name, name)
	}
	o.text = p.text[from:p.pos]
	t.metrics = append(t.metrics, o)
	return nil
}

func (p *expectParser) argument(o *operand) error {
	key := p.word("(),=<>*")
	if !p.take('=') {
		return fmt.Errorf("found %s, expected row= or an axis and =", p.rest())
	}
	value := p.word("(),=<>*")
	if key == "row" {
		if !slices.Contains(p.scenario.Rows, value) {
			return nearest.Unknown("unknown row", value, p.scenario.Rows)
		}
		o.row = value
		return nil
	}
	var axes []string
	for _, a := range p.scenario.Axes {
		axes = append(axes, a.Key)
		if a.Key != key {
			continue
		}
		if !slices.Contains(a.Values, value) {
			return nearest.Unknown("unknown value of "+key, value, a.Values)
		}
		o.at[key] = value
		p.bound[key] = true
		return nil
	}
	return nearest.Unknown("unknown axis", key, append([]string{"row"}, axes...))
}

// word reads up to a space or one of the ends.
func (p *expectParser) word(ends string) string {
	p.space()
	for p.pos < len(p.text) && !strings.ContainsRune(ends+" \t\n", rune(p.text[p.pos])) {
		p.pos++
	}
	return p.text[p.start:p.pos]
}

func (p *expectParser) number(t *term) error {
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		exponent := (c == '-' || c == '+') && (p.text[p.pos-1] == 'e' || p.text[p.pos-1] == 'E') && p.pos > p.start
		if strings.IndexByte("0123456789.eE", c) < 0 && !exponent {
			break
		}
		p.pos++
	}
	from, end := p.start, p.pos
	digits, suffix := p.text[from:end], p.word("(),=<>+-*")
	if !lab.IsSuffix(suffix) && p.start > end { // a word of its own
		p.pos, suffix = end, ""
	}
	p.start = from
	if suffix != "" && !lab.IsSuffix(suffix) {
		return fmt.Errorf("found %q, expected a number such as 0.5, 20ms or 1.5MB", digits+suffix)
	}
	x, err := lab.ParseNumber(digits + suffix)
	if err != nil || math.IsInf(x, 0) {
		return fmt.Errorf("%q is no number", digits)
	}
	if suffix != "" && suffix != "%" {
		p.suffixed = append(p.suffixed, suffixed{digits + suffix, from})
	}
	t.scale *= x
	return nil
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
	values   []string // "auc(row=w8a8) = 0.7"
	warnings []string // of these values, each once
}

func (u *used) add(o operand, s lab.Summary) {
	u.values = append(u.values, fmt.Sprintf("%s = %.6g", o.text, s.Value))
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
	return held, reason, nil
}

func evaluate(terms []term, v *lab.View, axes []Axis, free map[string]string, found *used) (float64, error) {
	var sum float64
	for _, t := range terms {
		product := t.scale
		for _, o := range t.metrics {
			s, err := o.value(v, axes, free)
			if err != nil {
				return 0, err
			}
			found.add(o, s)
			product *= s.Value
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
			what = fmt.Sprintf("%s was measured by %d of %d seeds", o.text, len(s.Seeds), s.Of)
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
