package grammar

import (
	"math/big"
	"strings"
)

// bound is an end of a range of numbers, which the range has unless open.
type bound struct {
	value *big.Rat
	open  bool
}

// tighten keeps the bound that allows less: the greater one of lower bounds, for which sign is 1,
// the lesser one of upper bounds, for which it is -1.
func tighten(a *bound, b bound, sign int) *bound {
	if a != nil {
		if c := a.value.Cmp(b.value) * sign; c > 0 || c == 0 && a.open {
			return a
		}
	}
	return &b
}

// numbers are the numbers of a shape. Without bounds they may have an exponent; with them they are
// plain decimals.
func (b *builder) numbers(s *shape) (id, error) {
	p := b.pool
	fraction := s.types&fractionType != 0
	if s.min == nil && s.max == nil && len(s.multiples) == 0 {
		t := p.then(p.optional(p.text("-")), b.magnitudes(fraction))
		if fraction {
			t = p.then(t, p.optional(p.sequence(p.choice(p.text("e"), p.text("E")), p.optional(p.choice(p.text("+"), p.text("-"))), p.repeat(b.digit, 1, 3))))
		}
		return t, p.err
	}
	var multiples []id
	for _, of := range s.multiples {
		t, ok := p.multiple(of)
		if !ok {
			return none, &Unsupported{s.path, "multipleOf", "a factor of more than " + big.NewInt(maxMultiple).String() + " units of its last digit"}
		}
		multiples = append(multiples, t)
	}
	zero := new(big.Rat)
	positive := append([]id{b.magnitudes(fraction)}, multiples...)
	negative := append([]id{b.magnitudes(fraction)}, multiples...)
	switch {
	case s.min == nil:
	case s.min.value.Sign() >= 0:
		positive = append(positive, b.above(*s.min, fraction))
		negative = append(negative, none)
	default:
		negative = append(negative, b.below(bound{new(big.Rat).Neg(s.min.value), s.min.open}, fraction))
	}
	switch {
	case s.max == nil:
	case s.max.value.Sign() > 0:
		positive = append(positive, b.below(*s.max, fraction))
	case s.max.value.Sign() == 0:
		positive = append(positive, b.below(*s.max, fraction))
		negative = append(negative, b.above(bound{zero, s.max.open}, fraction))
	default:
		positive = append(positive, none)
		negative = append(negative, b.above(bound{new(big.Rat).Neg(s.max.value), s.max.open}, fraction))
	}
	return p.choice(p.both(positive...), p.then(p.text("-"), p.both(negative...))), p.err
}

// magnitudes are decimals without a sign.
func (b *builder) magnitudes(fraction bool) id {
	p := b.pool
	whole := p.choice(p.text("0"), p.then(p.span('1', '9'), p.repeat(b.digit, 0, forever)))
	if fraction {
		return p.then(whole, p.optional(b.decimals()))
	}
	return whole
}

func (b *builder) decimals() id {
	return b.pool.then(b.pool.text("."), b.pool.repeat(b.digit, 1, forever))
}

// digits splits a bound that is not negative at its point.
func (x bound) digits() (whole, fraction string) {
	n, _ := x.value.FloatPrec()
	whole, fraction, _ = strings.Cut(x.value.FloatString(n), ".")
	return whole, fraction
}

// above is the magnitudes from a bound on.
func (b *builder) above(x bound, fraction bool) id {
	p := b.pool
	whole, decimals := x.digits()
	any := empty
	if fraction {
		any = p.optional(b.decimals())
	}
	longer := p.then(p.span('1', '9'), p.repeat(b.digit, int64(len(whole)), forever))
	var equal id
	switch after := b.decimalsAbove(decimals, x.open); {
	case decimals == "" && !x.open:
		equal = any
	case !fraction:
		equal = none
	default:
		equal = p.then(p.text("."), after)
	}
	return p.choice(
		p.then(longer, any),
		p.then(b.sameLength(whole, true), any),
		p.then(p.text(whole), equal),
	)
}

// below is the magnitudes up to a bound.
func (b *builder) below(x bound, fraction bool) id {
	p := b.pool
	whole, decimals := x.digits()
	any := empty
	if fraction {
		any = p.optional(b.decimals())
	}
	shorter := none
	if n := int64(len(whole)); n > 1 {
		shorter = p.choice(p.text("0"), p.then(p.span('1', '9'), p.repeat(b.digit, 0, n-2)))
	}
	equal := none
	if decimals != "" || !x.open {
		equal = empty
		if fraction {
			equal = p.choice(empty, p.then(p.text("."), b.decimalsBelow(decimals, x.open)))
		}
	}
	return p.choice(
		p.then(shorter, any),
		p.then(b.sameLength(whole, false), any),
		p.then(p.text(whole), equal),
	)
}

// sameLength is the whole numbers of as many digits as x that are greater, or less.
func (b *builder) sameLength(x string, greater bool) id {
	p := b.pool
	var parts []id
	for i := range len(x) {
		lo, hi := byte('0'), x[i]-1
		if greater {
			lo, hi = x[i]+1, '9'
		}
		if i == 0 && len(x) > 1 {
			lo = max(lo, '1')
		}
		if lo <= hi {
			rest := int64(len(x) - i - 1)
			parts = append(parts, p.sequence(p.text(x[:i]), p.span(lo, hi), p.repeat(b.digit, rest, rest)))
		}
	}
	return p.choice(parts...)
}

// decimalsAbove is the decimals, one or more, of a fraction that is at least that of x, or greater.
func (b *builder) decimalsAbove(x string, greater bool) id {
	p := b.pool
	any := p.repeat(b.digit, 0, forever)
	var parts []id
	for i := range len(x) {
		if x[i] < '9' {
			parts = append(parts, p.sequence(p.text(x[:i]), p.span(x[i]+1, '9'), any))
		}
	}
	switch {
	case greater:
		parts = append(parts, p.sequence(p.text(x), any, p.span('1', '9'), any))
	case x == "":
		parts = append(parts, p.repeat(b.digit, 1, forever))
	default:
		parts = append(parts, p.then(p.text(x), any))
	}
	return p.choice(parts...)
}

// decimalsBelow is the decimals, one or more, of a fraction that is at most that of x, or less. x
// does not end in 0.
func (b *builder) decimalsBelow(x string, less bool) id {
	p := b.pool
	any := p.repeat(b.digit, 0, forever)
	var parts []id
	for i := range len(x) {
		if i > 0 {
			parts = append(parts, p.text(x[:i]))
		}
		if x[i] > '0' {
			parts = append(parts, p.sequence(p.text(x[:i]), p.span('0', x[i]-1), any))
		}
	}
	zeros := p.repeat(p.text("0"), 0, forever)
	switch {
	case less:
	case x == "":
		parts = append(parts, p.repeat(p.text("0"), 1, forever))
	default:
		parts = append(parts, p.then(p.text(x), zeros))
	}
	return p.choice(parts...)
}
