package grammar

import (
	"encoding/binary"
	"math"
	"slices"
)

// absorb drops alternatives that others contain: sequences of the same parts, each of which is
// repeated at most as often as in another one, such as x{0,3}y{1,2} beside x{0,5}y{1,2}. Without it
// a pattern of nested counts has states of ever more alternatives.
func (p *pool) absorb(args []id) []id {
	var alike map[string][]id
	more := false
	for _, arg := range args {
		c := p.chainOf(arg)
		if len(c.most) == 0 {
			continue
		}
		if alike == nil {
			alike = map[string][]id{}
		}
		alike[c.parts] = append(alike[c.parts], arg)
		more = more || len(alike[c.parts]) > 1
	}
	if !more {
		return args
	}
	return slices.DeleteFunc(args, func(arg id) bool {
		c := p.chainOf(arg)
		return slices.ContainsFunc(alike[c.parts], func(other id) bool {
			p.work++
			o := p.chainOf(other)
			// of two that contain each other one stays
			return other != arg && len(c.most) > 0 && c.within(o) && (other < arg || !o.within(c))
		})
	})
}

// chain is a term as a sequence of parts. A part that is repeated is known by what it repeats and
// how often at least; most is how often at most, of each such part.
type chain struct {
	parts string
	most  []int64
}

// within reports whether another chain of the same parts has no smaller count.
func (c chain) within(o chain) bool {
	for i, n := range c.most {
		if n > o.most[i] {
			return false
		}
	}
	return true
}

// maxChain bounds the parts that a chain tells apart: the rest is one part.
const maxChain = 8

// chainOf is a term's chain, which is kept.
func (p *pool) chainOf(n id) chain {
	if c, ok := p.chains[n]; ok {
		return c
	}
	var c chain
	var parts []byte
	for rest := n; rest != empty; {
		part := rest
		if t := &p.terms[rest]; t.kind == kindSequence && len(parts) < maxChain*chainPart {
			part, rest = t.a, t.b
		} else {
			rest = empty
		}
		if t := &p.terms[part]; t.kind == kindRepeat {
			most := t.hi
			if most == forever {
				most = math.MaxInt64
			}
			c.most = append(c.most, most)
			parts = append(parts, 1)
			parts = binary.LittleEndian.AppendUint32(parts, uint32(t.a))
			parts = binary.LittleEndian.AppendUint64(parts, uint64(t.lo))
		} else {
			parts = append(parts, 0)
			parts = binary.LittleEndian.AppendUint32(parts, uint32(part))
			parts = binary.LittleEndian.AppendUint64(parts, 0)
		}
	}
	if len(c.most) > 0 {
		c.parts = string(parts)
	}
	if p.spend(1 + len(c.parts)/100) {
		p.chains[n] = c
	}
	return c
}

// chainPart is the bytes of a part in a chain.
const chainPart = 1 + 4 + 8
