package grammar

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
)

// id names a term of a pool. Terms are hash-consed: equal terms have equal ids.
type id int32

const (
	none    id = 0  // matches nothing
	empty   id = 1  // matches the empty text
	unknown id = -1 // in a row: a derivative that nobody has asked for
)

type kind uint8

const (
	kindNone     kind = iota
	kindEmpty         //
	kindSet           // one byte of a set; a is its index
	kindText          // a text of one or more bytes
	kindSequence      // a, then b; a is no sequence
	kindChoice        // one of args
	kindRepeat        // a, lo to hi times; hi is unbounded where it is forever
	kindBoth          // all of args at once
	kindNot           // what a does not match
	kindRule          // the body of rule a
	kindMultiple      // digits whose number is a multiple; see multiple.go
)

const forever = -1

// term is one node of a grammar. Which fields mean something depends on its kind.
type term struct {
	kind     kind
	nullable bool // matches the empty text
	a, b     id
	lo, hi   int64
	text     string
	args     []id
}

type termKey struct {
	kind   kind
	a, b   id
	lo, hi int64
	text   string
}

type byteSet [4]uint64

func (s *byteSet) add(lo, hi byte) {
	for b := int(lo); b <= int(hi); b++ {
		s[b>>6] |= 1 << (b & 63)
	}
}

func (s *byteSet) has(b byte) bool { return s[b>>6]>>(b&63)&1 != 0 }

// pool holds the terms of one grammar and what is known of them: derivatives, which terms can end.
// A state of a match is a term: what may still come. Its methods are not safe for concurrent use.
//
// No term but none matches nothing: constructors turn what is dead into none, so that a state that
// is not none can always be completed. An exception are bodies of rules until dropDead has run.
//
// The first error ends all work: constructors return none from then on.
type pool struct {
	terms []term
	index map[termKey]id
	sets  []byteSet
	setOf map[byteSet]id
	rules []id // bodies

	classOf   [256]uint8 // bytes that no set and no text of the pool tells apart are one class
	sample    []byte     // one byte of each class
	rows      [][]id     // per term, nil until asked for: the derivative by each class
	alive     map[id]bool
	distances map[id][2]int64 // see distance
	chains    map[id]chain    // see chainOf
	character id              // one character of a JSON string that has one form, none for other grammars
	of        [other]id       // any number of characters of each class of tokens

	cells, limit int // memory in units of about 100 bytes
	work         int // alternatives that were looked at for the present token; see maxWork
	ctx          context.Context
	err          error
}

func newPool(ctx context.Context, limit int) *pool {
	p := &pool{index: map[termKey]id{}, setOf: map[byteSet]id{}, alive: map[id]bool{}, distances: map[id][2]int64{}, chains: map[id]chain{}, limit: limit, ctx: ctx, sample: []byte{0}}
	p.terms = []term{{kind: kindNone}, {kind: kindEmpty, nullable: true}}
	p.rows = make([][]id, 2)
	return p
}

func (p *pool) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// spend counts memory against the limit and says whether work may go on.
func (p *pool) spend(cells int) bool {
	if p.err != nil {
		return false
	}
	before := p.cells
	p.cells += cells
	if p.cells > p.limit {
		p.fail(&LimitError{What: "the terms of the grammar", Limit: p.limit})
		return false
	}
	if before>>10 != p.cells>>10 && p.ctx != nil && p.ctx.Err() != nil {
		p.fail(context.Cause(p.ctx))
		return false
	}
	return true
}

// intern returns the id of a term, a new one where no equal term is there.
func (p *pool) intern(t term) id {
	key := termKey{t.kind, t.a, t.b, t.lo, t.hi, t.text}
	if t.args != nil {
		text := make([]byte, 0, 4*len(t.args))
		for _, arg := range t.args {
			text = binary.LittleEndian.AppendUint32(text, uint32(arg))
		}
		key.text = string(text)
	}
	if known, ok := p.index[key]; ok {
		return known
	}
	if !p.spend(2 + (8*len(t.args)+len(t.text))/100) {
		return none
	}
	n := id(len(p.terms))
	p.terms = append(p.terms, t)
	p.rows = append(p.rows, nil)
	p.index[key] = n
	return n
}

// split refines the classes so that a set's bytes and the others are told apart. Rows are indexed
// by class and are asked for again.
func (p *pool) split(s byteSet) {
	type part struct {
		class uint8
		in    bool
	}
	classes := map[part]uint8{}
	var sample []byte
	var classOf [256]uint8
	for b := range 256 {
		k := part{p.classOf[b], s.has(byte(b))}
		class, ok := classes[k]
		if !ok {
			class = uint8(len(sample))
			classes[k] = class
			sample = append(sample, byte(b))
		}
		classOf[b] = class
	}
	if len(sample) > len(p.sample) {
		p.classOf, p.sample = classOf, sample
		clear(p.rows)
	}
}

func (p *pool) set(s byteSet) id {
	if s == (byteSet{}) {
		return none
	}
	n, ok := p.setOf[s]
	if !ok {
		n = id(len(p.sets))
		p.sets = append(p.sets, s)
		p.setOf[s] = n
		p.split(s)
	}
	return p.intern(term{kind: kindSet, a: n})
}

// span matches one byte of a range.
func (p *pool) span(lo, hi byte) id {
	var s byteSet
	s.add(lo, hi)
	return p.set(s)
}

// maxText bounds the bytes of a text that is one term: each step of a match makes the rest of it.
const maxText = 64

func (p *pool) text(s string) id {
	for i := range len(s) {
		var one byteSet
		one.add(s[i], s[i])
		if _, ok := p.setOf[one]; !ok {
			p.set(one)
		}
	}
	all := empty
	for len(s) > maxText {
		cut := (len(s) - 1) / maxText * maxText
		all = p.then(p.rest(s[cut:]), all)
		s = s[:cut]
	}
	return p.then(p.rest(s), all)
}

// rest is a text whose bytes are known to the classes.
func (p *pool) rest(s string) id {
	if s == "" {
		return empty
	}
	return p.intern(term{kind: kindText, text: s})
}

func (p *pool) sequence(parts ...id) id {
	all, text := empty, "" // text stands before all
	for _, part := range slices.Backward(parts) {
		t := &p.terms[part]
		if t.kind == kindText && len(t.text)+len(text) <= maxText {
			text = t.text + text
			continue
		}
		all = p.then(part, p.then(p.rest(text), all))
		text = ""
	}
	return p.then(p.rest(text), all)
}

// then is a followed by b, kept in one form: nested to the right, with short texts that are
// adjacent as one.
func (p *pool) then(a, b id) id {
	switch {
	case a == none || b == none:
		return none
	case a == empty:
		return b
	case b == empty:
		return a
	}
	first, second := &p.terms[a], &p.terms[b]
	switch {
	case first.kind == kindSequence:
		head, middle := first.a, first.b
		return p.then(head, p.then(middle, b))
	case first.kind == kindText && second.kind == kindText && len(first.text)+len(second.text) <= maxText:
		return p.rest(first.text + second.text)
	case first.kind == kindText && second.kind == kindSequence && p.terms[second.a].kind == kindText && len(first.text)+len(p.terms[second.a].text) <= maxText:
		tail := second.b
		return p.then(p.rest(first.text+p.terms[second.a].text), tail)
	}
	return p.intern(term{kind: kindSequence, a: a, b: b, nullable: first.nullable && second.nullable})
}

func (p *pool) choice(parts ...id) id {
	var args []id
	for _, part := range parts {
		switch t := p.terms[part]; t.kind {
		case kindNone:
		case kindChoice:
			args = append(args, t.args...)
		default:
			args = append(args, part)
		}
	}
	if p.work += len(args); p.ctx == nil && p.work > maxWork {
		p.fail(&LimitError{What: "the alternatives of the grammar at one token", Limit: maxWork})
		return none
	}
	slices.Sort(args)
	args = p.absorb(slices.Compact(args))
	switch len(args) {
	case 0:
		return none
	case 1:
		return args[0]
	case 2:
		if args[0] == empty && p.terms[args[1]].nullable {
			return args[1]
		}
	}
	nullable := false
	for _, arg := range args {
		nullable = nullable || p.terms[arg].nullable
	}
	return p.intern(term{kind: kindChoice, args: args, nullable: nullable})
}

// repeat is a term lo to hi times.
func (p *pool) repeat(a id, lo, hi int64) id {
	if hi != forever && hi < lo {
		return none
	}
	t := p.terms[a]
	switch {
	case a == none && lo > 0:
		return none
	case a == none || a == empty || hi == 0:
		return empty
	case lo == 1 && hi == 1:
		return a
	}
	if t.nullable {
		lo = 0
	}
	return p.intern(term{kind: kindRepeat, a: a, lo: lo, hi: hi, nullable: lo == 0})
}

func (p *pool) optional(a id) id { return p.choice(empty, a) }

// not matches all that a does not. It stands only within both.
func (p *pool) not(a id) id {
	if p.terms[a].kind == kindNot {
		return p.terms[a].a
	}
	return p.intern(term{kind: kindNot, a: a, nullable: !p.terms[a].nullable})
}

// both matches what all of its parts match, none where nothing does.
func (p *pool) both(parts ...id) id {
	all := p.conjunction(parts)
	if !p.canEnd(all) {
		return none
	}
	return all
}

// conjunction is both without the question whether anything matches.
func (p *pool) conjunction(parts []id) id {
	var args []id
	nullable := true
	for _, part := range parts {
		t := p.terms[part]
		if t.kind == kindNone {
			return none
		}
		nullable = nullable && t.nullable
		switch {
		case t.kind == kindBoth:
			args = append(args, t.args...)
		case t.kind == kindNot && t.a == none:
		default:
			args = append(args, part)
		}
	}
	slices.Sort(args)
	args = slices.Compact(args)
	if len(args) == 1 && p.terms[args[0]].kind != kindNot {
		return args[0]
	}
	if slices.Contains(args, empty) {
		if nullable {
			return empty
		}
		return none
	}
	return p.intern(term{kind: kindBoth, args: args, nullable: nullable})
}

// rule names a body that is set later, so that it can refer to itself. No body matches the empty
// text, and each begins with bytes and not with a rule.
func (p *pool) rule(n int) id { return p.intern(term{kind: kindRule, a: id(n)}) }

// words matches each of a list of texts. Common beginnings are shared: a state then has no more
// alternatives than there are next bytes.
func (p *pool) words(list []string) id {
	list = slices.Compact(slices.Sorted(slices.Values(list)))
	return p.sortedWords(list)
}

func (p *pool) sortedWords(list []string) id {
	var parts []id
	if len(list) > 0 && list[0] == "" {
		parts, list = append(parts, empty), list[1:]
	}
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n][0] == list[0][0] {
			n++
		}
		shared := list[0]
		for !strings.HasPrefix(list[n-1], shared) {
			shared = shared[:len(shared)-1]
		}
		rest := make([]string, n)
		for i, word := range list[:n] {
			rest[i] = word[len(shared):]
		}
		tail := empty
		if n > 1 {
			tail = p.sortedWords(rest)
		}
		parts = append(parts, p.then(p.text(shared), tail))
		list = list[n:]
	}
	return p.choice(parts...)
}
