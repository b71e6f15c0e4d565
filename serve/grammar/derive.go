package grammar

// maxSearch bounds the states that are looked at to decide whether an intersection has any text.
const maxSearch = 1 << 14

// step is what may come after state t and a byte: the derivative of t, kept.
func (p *pool) step(t id, b byte) id { return p.stepClass(t, p.classOf[b]) }

func (p *pool) stepClass(t id, class uint8) id {
	row := p.rows[t]
	if row == nil {
		if t == none || !p.spend(1+len(p.sample)*4/100) {
			return none
		}
		row = make([]id, len(p.sample))
		for i := range row {
			row[i] = unknown
		}
		p.rows[t] = row
	}
	if row[class] == unknown {
		next := p.derive(t, class)
		if p.err != nil {
			return none
		}
		row[class] = next
	}
	return row[class]
}

// run is the state after a text.
func (p *pool) run(t id, text string) id {
	for i := 0; i < len(text) && t != none; i++ {
		t = p.step(t, text[i])
	}
	return t
}

// matches says whether a term matches a text.
func (p *pool) matches(t id, text string) bool { return p.terms[p.run(t, text)].nullable }

// derivative is derive for the parts of a term: kept where it is dear, made again where it is not.
func (p *pool) derivative(t id, class uint8) id {
	switch p.terms[t].kind {
	case kindChoice, kindRepeat, kindRule, kindBoth:
		return p.stepClass(t, class)
	}
	return p.derive(t, class)
}

// derive is the derivative of a term by a class of bytes (Brzozowski): a term that matches s
// exactly where t matches the byte and then s.
func (p *pool) derive(n id, class uint8) id {
	t := p.terms[n]
	b := p.sample[class]
	switch t.kind {
	case kindSet:
		if p.sets[t.a].has(b) {
			return empty
		}
	case kindText:
		if t.text[0] == b {
			return p.rest(t.text[1:])
		}
	case kindSequence:
		next := p.then(p.derivative(t.a, class), t.b)
		if p.terms[t.a].nullable {
			next = p.choice(next, p.derivative(t.b, class))
		}
		return next
	case kindChoice:
		var parts []id
		for _, arg := range t.args {
			if next := p.derivative(arg, class); next != none {
				parts = append(parts, next)
			}
		}
		return p.choice(parts...)
	case kindRepeat:
		lo, hi := max(t.lo-1, 0), t.hi
		if hi != forever {
			hi--
		}
		if next := p.derivative(t.a, class); next != none {
			return p.then(next, p.repeat(t.a, lo, hi))
		}
	case kindBoth:
		next := p.eachDerivative(t.args, class)
		if p.canEnd(next) {
			return next
		}
	case kindNot:
		return p.not(p.derivative(t.a, class))
	case kindRule:
		return p.stepClass(p.rules[t.a], class)
	case kindMultiple:
		return p.multipleAfter(t, b)
	}
	return none
}

// eachDerivative is the conjunction of the derivatives of parts, which may match nothing.
func (p *pool) eachDerivative(parts []id, class uint8) id {
	next := make([]id, 0, len(parts))
	for _, part := range parts {
		d := p.derivative(part, class)
		if d == none {
			return none
		}
		next = append(next, d)
	}
	return p.conjunction(next)
}

// canEnd says whether any text matches a term. Only intersections can match nothing and not be
// none; for them the states that follow are searched, the nearest first. A search that would be too
// long fails.
func (p *pool) canEnd(t id) bool {
	if p.terms[t].kind != kindBoth {
		return t != none
	}
	if p.terms[t].nullable {
		return true
	}
	if x, most, ok := p.counted(t); ok {
		if least, _, ok := p.distance(x); ok && least <= most {
			return true
		}
	}
	if alive, ok := p.alive[t]; ok {
		return alive
	}
	from := map[id]id{t: none}
	for queue := []id{t}; len(queue) > 0; queue = queue[1:] {
		if len(from) > maxSearch {
			p.fail(&LimitError{What: "the search for a text that satisfies all constraints on a value", Limit: maxSearch})
		}
		if p.err != nil {
			return false
		}
		state := queue[0]
		for class := range p.sample {
			next := p.eachDerivative(p.terms[state].args, uint8(class))
			if _, seen := from[next]; seen || next == none {
				continue
			}
			alive, known := p.alive[next]
			if p.terms[next].kind != kindBoth || p.terms[next].nullable || alive {
				for ; state != none; state = from[state] {
					p.alive[state] = true
				}
				return true
			}
			if !known {
				from[next] = state
				queue = append(queue, next)
			}
		}
	}
	if p.err != nil {
		return false
	}
	for state := range from {
		p.alive[state] = false
	}
	return false
}

// dropDead removes rules that match nothing, such as an object that must hold itself, and what
// needs them.
func (p *pool) dropDead() {
	ends := make([]bool, len(p.rules))
	for changed := true; changed && p.err == nil; {
		changed = false
		memo := map[id]bool{}
		for n := len(p.rules) - 1; n >= 0; n-- {
			if !ends[n] && p.finite(p.rules[n], ends, memo) {
				ends[n], changed = true, true
			}
		}
	}
	dead := false
	for n := range ends {
		dead = dead || !ends[n]
	}
	if !dead {
		return
	}
	memo := map[id]id{}
	for n := range p.rules {
		p.rules[n] = p.without(p.rules[n], ends, memo)
	}
	clear(p.rows)
}

// finite says whether a term matches a text if the rules of which ends is true do.
func (p *pool) finite(n id, ends []bool, memo map[id]bool) bool {
	if known, ok := memo[n]; ok {
		return known
	}
	t, ok := p.terms[n], true
	switch t.kind {
	case kindNone:
		ok = false
	case kindSequence:
		ok = p.finite(t.a, ends, memo) && p.finite(t.b, ends, memo)
	case kindChoice:
		ok = false
		for _, arg := range t.args {
			ok = ok || p.finite(arg, ends, memo)
		}
	case kindRepeat:
		ok = t.lo == 0 || p.finite(t.a, ends, memo)
	case kindRule:
		ok = ends[t.a]
	}
	memo[n] = ok
	return ok
}

// without is a term in which the rules that do not end match nothing.
func (p *pool) without(n id, ends []bool, memo map[id]id) id {
	if known, ok := memo[n]; ok {
		return known
	}
	t, now := p.terms[n], n
	switch t.kind {
	case kindSequence:
		now = p.then(p.without(t.a, ends, memo), p.without(t.b, ends, memo))
	case kindChoice:
		var parts []id
		for _, arg := range t.args {
			parts = append(parts, p.without(arg, ends, memo))
		}
		now = p.choice(parts...)
	case kindRepeat:
		now = p.repeat(p.without(t.a, ends, memo), t.lo, t.hi)
	case kindRule:
		if !ends[t.a] {
			now = none
		}
	}
	memo[n] = now
	return now
}
