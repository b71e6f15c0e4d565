package scenario

import (
	"fmt"
	"slices"
	"strings"

	"slimlab/lab"
)

// suffixed is a number with the suffix of a unit, and its place.
type suffixed struct {
	text  string
	start int
	unit  lab.Unit // where the suffix names one; Plain where it is a factor (k, x)
}

func newSuffixed(text string, start int) suffixed {
	s := suffixed{text: text, start: start}
	if _, err := lab.Count.ParseNumber(text); err == nil { // 300k is of many units
		return s
	}
	for _, u := range []lab.Unit{lab.Seconds, lab.Bytes, lab.BytesPerSecond, lab.OperationsPerSecond} {
		if _, err := u.ParseNumber(text); err == nil {
			s.unit = u
		}
	}
	return s
}

// ratio reports whether a quantity of a unit times another leaves the other's unit.
func ratio(u lab.Unit) bool {
	return u == lab.Plain || u == lab.Fraction || u == lab.Percent || u == lab.Ratio
}

// units reports what a number with a unit does not go with: metrics that all have other units, a
// factor that is no ratio, or a term of another unit.
func (p *expectParser) units(e *Expectation, operands []operand) error {
	terms := slices.Concat(e.left, e.right)
	for _, number := range p.suffixed {
		if err := number.unitOfNone(operands); err != nil {
			p.start = number.start
			return err
		}
	}
	for i := range terms {
		if err := p.factors(&terms[i]); err != nil {
			return err
		}
	}
	for _, number := range p.suffixed {
		if number.unit == lab.Plain {
			continue
		}
		for i := range terms {
			texts, units := p.unitsOf(&terms[i])
			if len(units) == 0 || len(units) == 1 && units[0] == number.unit {
				continue
			}
			p.start = number.start
			return fmt.Errorf("%s is a number of %s, and %s beside it is not; expected terms of one unit", number.text, number.unit, strings.Join(texts, " * "))
		}
	}
	return nil
}

// unitOfNone is the error of a number whose suffix is of a unit that no metric of the expectation
// has.
func (s *suffixed) unitOfNone(operands []operand) error {
	var wrong error
	for _, o := range operands {
		unit, called := o.unit()
		_, err := unit.ParseNumber(s.text)
		if err == nil {
			return nil
		}
		if wrong == nil {
			wrong = fmt.Errorf("%s: %w", called, err)
		}
	}
	return wrong
}

// factors reports a number with a unit that is multiplied by something that is no ratio.
func (p *expectParser) factors(t *term) error {
	for n, at := range t.numbers {
		number := p.suffixed[at]
		if number.unit == lab.Plain {
			continue
		}
		p.start = number.start
		for _, other := range t.numbers[n+1:] {
			if two := p.suffixed[other]; two.unit != lab.Plain {
				return fmt.Errorf("found %s times %s, two numbers with units; expected one with a plain number, a ratio such as 1.5x or a share such as 3%%", number.text, two.text)
			}
		}
		for _, o := range t.metrics {
			if unit, called := o.unit(); !ratio(unit) {
				return fmt.Errorf("found %s times %s, whose unit is %s; a number with a unit is multiplied by a ratio alone: expected a plain number, 1.5x or 3%% before %s", number.text, called, unit, called)
			}
		}
	}
	return nil
}

// unitsOf are the units of a term's factors but ratios, and what has them.
func (p *expectParser) unitsOf(t *term) (texts []string, units []lab.Unit) {
	for _, at := range t.numbers {
		if number := &p.suffixed[at]; number.unit != lab.Plain {
			texts, units = append(texts, number.text), append(units, number.unit)
		}
	}
	for _, o := range t.metrics {
		if unit, called := o.unit(); !ratio(unit) {
			texts, units = append(texts, called), append(units, unit)
		}
	}
	return texts, units
}
