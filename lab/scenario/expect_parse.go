package scenario

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/nearest"
	"slimlab/lab"
)

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
	if err := p.units(e, operands); err != nil {
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
	if slices.Contains(rankStatistics, name) {
		return p.ranks(t, name)
	}
	if _, ok := lab.MetricByKey(name); !ok {
		return nearest.Unknown("unknown metric", name, slices.Concat(lab.MetricKeys(), rankStatistics))
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
	rows := "row"
	if o.ranks != nil {
		rows = "rows"
	}
	if !p.take('=') {
		return fmt.Errorf("found %s, expected %s= or an axis and =", p.rest(), rows)
	}
	if o.ranks != nil && key == rows {
		return p.list(o.ranks)
	}
	value := p.word("(),=<>*")
	if key == "row" && o.ranks == nil {
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
	return nearest.Unknown("unknown axis", key, append([]string{rows}, axes...))
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
		p.suffixed = append(p.suffixed, newSuffixed(digits+suffix, from))
		t.numbers = append(t.numbers, len(p.suffixed)-1)
	}
	t.scale *= x
	return nil
}
