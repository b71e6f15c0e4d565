package grammar

import "math/big"

// maxMultiple bounds the remainders of multipleOf, counted in units of its last digit.
const maxMultiple = 1 << 12

// multiple matches the decimal digits, with at most one point, of numbers of which of is a factor.
// Whether they form a number is for another term to say. It is a machine of remainders: lo is the
// remainder so far, hi the factor, a the decimals that may still come, b whether the point has
// been. ok is false where the factor has too many digits.
func (p *pool) multiple(of *big.Rat) (t id, ok bool) {
	decimals, _ := of.FloatPrec()
	unit := new(big.Rat).SetFrac(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil), big.NewInt(1))
	factor := new(big.Rat).Mul(of, unit)
	if !factor.IsInt() || !factor.Num().IsInt64() || factor.Num().Int64() > maxMultiple {
		return none, false
	}
	p.span('0', '9')
	for b := byte('0'); b <= '9'; b++ {
		p.span(b, b)
	}
	p.span('.', '.')
	return p.remainder(0, factor.Num().Int64(), id(decimals), 0), true
}

func (p *pool) remainder(rest, factor int64, decimals, point id) id {
	end := rest
	for range decimals {
		end = end * 10 % factor
	}
	return p.intern(term{kind: kindMultiple, lo: rest, hi: factor, a: decimals, b: point, nullable: end == 0})
}

func (p *pool) multipleAfter(t term, b byte) id {
	switch digit := b >= '0' && b <= '9'; {
	case b == '.' && t.b == 0 && t.a > 0:
		return p.remainder(t.lo, t.hi, t.a, 1)
	case !digit:
		return none
	case t.b == 0:
		return p.remainder((t.lo*10+int64(b-'0'))%t.hi, t.hi, t.a, 0)
	case t.a > 0:
		return p.remainder((t.lo*10+int64(b-'0'))%t.hi, t.hi, t.a-1, 1)
	case b == '0':
		return p.remainder(t.lo, t.hi, 0, 1)
	}
	return none
}
