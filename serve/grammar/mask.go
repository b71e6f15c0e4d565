package grammar

import "slices"

// mask is a set of tokens: a list where they are few, else bits.
type mask struct {
	ids  []int32
	bits []uint64
}

func newMask(ids []int32, tokens int) mask {
	words := (tokens + 63) / 64
	if len(ids) <= words {
		return mask{ids: slices.Clone(ids)}
	}
	m := mask{bits: make([]uint64, words)}
	for _, n := range ids {
		m.bits[n>>6] |= 1 << (n & 63)
	}
	return m
}

// into adds the set to bits.
func (m mask) into(bits []uint64) {
	for _, n := range m.ids {
		bits[n>>6] |= 1 << (n & 63)
	}
	for i, word := range m.bits {
		bits[i] |= word
	}
}

// with is the set with the tokens of another one that has none of its own.
func (m mask) with(o mask, tokens int) mask {
	if m.bits == nil && o.bits == nil {
		return newMask(slices.Concat(m.ids, o.ids), tokens)
	}
	both := mask{bits: make([]uint64, (tokens+63)/64)}
	m.into(both.bits)
	o.into(both.bits)
	return both
}

func (m mask) bytes() int { return 4*len(m.ids) + 8*len(m.bits) + 64 }

// maxMaskBytes bounds the masks that a grammar keeps.
const maxMaskBytes = 64 << 20

// maskCache keeps masks of a grammar for the vocabulary that was used last.
type maskCache struct {
	vocabulary *Vocabulary
	masks      [len(lengths)]map[id]mask
	limited    [len(lengths)]map[id]id // terms as tokens of a group can see them
	closed     [other]map[id]bool      // see forever
	bytes      int
	states     [256]id // of a walk, by depth
	found      []int32
}

func (c *maskCache) reset(v *Vocabulary) {
	*c = maskCache{vocabulary: v}
	for i := range c.closed {
		c.closed[i] = map[id]bool{}
	}
	for g := range c.masks {
		c.masks[g], c.limited[g] = map[id]mask{}, map[id]id{}
	}
}

// allowed adds the tokens that may come in a state to bits.
//
// Tokens are looked at in groups by length. For a group, counts in the state that are greater than
// the longest token are as good as no bound, so that most states of a text of bounded length are
// one state to it, and have one mask.
func (g *Grammar) allowed(v *Vocabulary, state id, bits []uint64) error {
	c := &g.masks
	if c.vocabulary != v || c.bytes > maxMaskBytes {
		c.reset(v)
	}
	for i := range v.groups {
		t := g.limit(state, i)
		m, ok := c.masks[i][t]
		if !ok {
			m = g.walk(&v.groups[i], t, len(v.tokens))
			if g.pool.err != nil {
				return g.pool.err
			}
			c.masks[i][t] = m
			c.bytes += m.bytes()
		}
		m.into(bits)
	}
	return g.pool.err
}

// walk finds the tokens of a group that may come in a state.
func (g *Grammar) walk(of *group, state id, tokens int) mask {
	c := &g.masks
	c.found = c.found[:0]
	var whole []mask
	for i := range of {
		if len(of[i].ids) > 0 && i < other && g.forever(state, i) {
			whole = append(whole, of[i].all)
		} else {
			g.walkTrie(&of[i].trie, state)
		}
	}
	m := newMask(c.found, tokens)
	for _, all := range whole {
		m = m.with(all, tokens)
	}
	return m
}

func (g *Grammar) walkTrie(t *trie, state id) {
	p, c := g.pool, &g.masks
	states := &c.states
	for i := 0; i < len(t.nodes); {
		n := &t.nodes[i]
		from := state
		if n.depth > 0 {
			from = states[n.depth-1]
		}
		var next id
		if row := p.rows[from]; row != nil {
			next = row[p.classOf[n.byte]]
		} else {
			next = unknown
		}
		if next == unknown {
			next = p.step(from, n.byte)
		}
		if next == none {
			i = int(n.end)
			continue
		}
		states[n.depth] = next
		c.found = append(c.found, t.ids[n.first:n.last]...)
		i++
	}
}

// maxClosed bounds the states that forever looks at.
const maxClosed = 512

// forever says whether any characters of a class may come in a state, however many: then all its
// tokens are allowed there and need no walk.
func (g *Grammar) forever(state id, class int) bool {
	p, closed := g.pool, g.masks.closed[class]
	if known, ok := closed[state]; ok {
		return known
	}
	// Pairs of a state and of what the bytes of a character still need.
	type pair struct{ state, character id }
	start := pair{state, p.of[class]}
	seen := map[pair]bool{start: true}
	queue := []pair{start}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for class := range p.sample {
			character := p.stepClass(at.character, uint8(class))
			if character == none {
				continue
			}
			next := p.stepClass(at.state, uint8(class))
			if next == none || len(seen) > maxClosed {
				closed[state] = false
				return false
			}
			if to := (pair{next, character}); !seen[to] {
				seen[to] = true
				queue = append(queue, to)
			}
		}
	}
	closed[state] = true
	return true
}

// limit is a state as tokens of a group can see it: counts beyond the group's longest token are no
// bounds.
func (g *Grammar) limit(n id, group int) id {
	c := &g.masks
	if known, ok := c.limited[group][n]; ok {
		return known
	}
	p := g.pool
	t, now := p.terms[n], n
	longest := int64(lengths[group])
	switch t.kind {
	case kindSequence:
		now = p.then(g.limit(t.a, group), g.limit(t.b, group))
	case kindChoice:
		parts := make([]id, len(t.args))
		for i, arg := range t.args {
			parts[i] = g.limit(arg, group)
		}
		now = p.choice(parts...)
	case kindBoth:
		if now = g.uncounted(n, longest); now != n {
			now = g.limit(now, group)
		}
	case kindRepeat:
		lo, hi := min(t.lo, longest+1), t.hi
		if hi > longest {
			hi = forever
		}
		now = p.repeat(g.limit(t.a, group), lo, hi)
	}
	c.limited[group][n] = now
	return now
}

// maxCharacter is the bytes of the longest character of a JSON string that has one form, \u001f.
const maxCharacter = 6

// uncounted is an intersection of a term with at most so many characters, without the count where
// the longest token and what may be needed behind it to end the text are far below it. Other
// intersections stay as they are.
func (g *Grammar) uncounted(n id, longest int64) id {
	p := g.pool
	x, most, ok := p.counted(n)
	if !ok {
		return n
	}
	if _, end, ok := p.distance(x); ok && most > longest+end {
		return x
	}
	return n
}

// counted splits an intersection into a term and a bound of its characters.
func (p *pool) counted(n id) (x id, most int64, ok bool) {
	t := &p.terms[n]
	if t.kind != kindBoth || len(t.args) != 2 {
		return none, 0, false
	}
	for i, arg := range t.args {
		if r := &p.terms[arg]; r.kind == kindRepeat && r.a == p.character && r.lo == 0 && r.hi != forever {
			return t.args[1-i], r.hi, true
		}
	}
	return none, 0, false
}

// distance bounds how far the end of a text is: least is the bytes of a shortest text of a term,
// most those of a shortest text of any state that can follow. ok is false where it is not known.
func (p *pool) distance(n id) (least, most int64, ok bool) {
	if known, found := p.distances[n]; found {
		return known[0], known[1], known[0] >= 0
	}
	t := p.terms[n]
	ok = true
	switch t.kind {
	case kindEmpty:
	case kindSet:
		least = 1
	case kindText:
		least, most = int64(len(t.text)), int64(len(t.text))
	case kindSequence:
		firstLeast, firstMost, firstOK := p.distance(t.a)
		restLeast, restMost, restOK := p.distance(t.b)
		least, most, ok = firstLeast+restLeast, max(firstMost+restLeast, restMost), firstOK && restOK
	case kindChoice:
		least = forever
		for _, arg := range t.args {
			l, m, known := p.distance(arg)
			if least == forever || l < least {
				least = l
			}
			most, ok = max(most, m), ok && known
		}
	case kindRepeat:
		l, m, known := p.distance(t.a)
		if l > 0 && t.lo > maxCount/l {
			known = false
		}
		least, most, ok = l*t.lo, m+l*t.lo, known
	case kindBoth:
		x, _, counted := p.counted(n)
		if ok = counted; ok {
			least, most, ok = p.distance(x)
			least, most = maxCharacter*least, maxCharacter*most
		}
	default:
		ok = false
	}
	if !ok {
		p.distances[n] = [2]int64{-1, 0}
		return 0, 0, false
	}
	p.distances[n] = [2]int64{least, most}
	return least, most, true
}
