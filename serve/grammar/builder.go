package grammar

import (
	"slices"

	"slimlab/serve/grammar/schema"
)

const (
	// maxShapes bounds the alternatives of one schema when all anyOf, oneOf and allOf in it are
	// multiplied out.
	maxShapes = 512
	// maxRules bounds the sets of schemas that some value must satisfy together.
	maxRules = 1 << 13
	// maxNested bounds how deep in members and items a difference between alternatives is looked
	// for.
	maxNested = 4
	// maxPatterns bounds the expressions for names of properties of one object.
	maxPatterns = 6
)

// builder turns the schemas of a document into terms. Each set of schemas that a value in the text
// must satisfy becomes one rule, so that recursion in schemas is recursion of rules.
type builder struct {
	pool  *pool
	doc   *schema.Document
	json  *alphabet
	never *schema.Place // the schema false

	digit     id
	character id // one character of a string, escaped or not
	open      func(bracket string) id
	shut      func(bracket string) id
	comma     id
	colon     id

	rules       map[string]id
	queue       []pending
	known       map[string][]*shape
	active      map[*schema.Place]bool // whose demands are being read, so that loops are seen
	nested      int                    // of shapes within shapes, looked at to tell alternatives apart
	asked       map[string]bool        // whose shapes were asked for; within others only known ones are given
	told        map[string]bool        // whether two sets of schemas are apart
	formatTerms map[string]id
}

type pending struct {
	rule int
	all  places
}

func newBuilder(p *pool, doc *schema.Document, space Whitespace) *builder {
	b := &builder{
		pool: p, doc: doc, json: newAlphabet(p, true), never: doc.Constant(false), digit: p.span('0', '9'),
		rules: map[string]id{}, known: map[string][]*shape{}, formatTerms: map[string]id{}, asked: map[string]bool{}, told: map[string]bool{},
	}
	b.character = b.anyCharacter()
	var blank byteSet
	around, behind := empty, empty
	switch space {
	case Single:
		behind = p.optional(p.text(" "))
	case Free:
		for _, c := range []byte(" \t\n\r") {
			blank.add(c, c)
		}
		around = p.repeat(p.set(blank), 0, forever)
		behind = around
	}
	b.open = func(bracket string) id { return p.then(p.text(bracket), around) }
	b.shut = func(bracket string) id { return p.then(around, p.text(bracket)) }
	b.comma = p.sequence(around, p.text(","), behind)
	b.colon = p.sequence(around, p.text(":"), behind)
	return b
}

// value is the rule of values that satisfy schemas.
func (b *builder) value(all places) id {
	key := all.key()
	if known, ok := b.rules[key]; ok {
		return known
	}
	if len(b.pool.rules) == maxRules {
		b.pool.fail(&LimitError{What: "the rules of the schema", Limit: maxRules})
		return none
	}
	n := len(b.pool.rules)
	b.pool.rules = append(b.pool.rules, none)
	b.queue = append(b.queue, pending{n, all})
	b.rules[key] = b.pool.rule(n)
	return b.rules[key]
}

// build is the term of the document.
func (b *builder) build() (id, error) {
	first := len(b.pool.rules)
	root := b.value(places{b.doc.Root})
	for len(b.queue) > 0 && b.pool.err == nil {
		next := b.queue[0]
		b.queue = b.queue[1:]
		shapes, err := b.shapes(next.all)
		if err != nil {
			return none, err
		}
		var parts []id
		for _, s := range shapes {
			t, err := b.shape(s)
			if err != nil {
				return none, err
			}
			parts = append(parts, t)
		}
		b.pool.rules[next.rule] = b.pool.choice(parts...)
	}
	if b.pool.err == nil {
		b.pool.dropDead()
	}
	if b.pool.err == nil && b.pool.rules[first] == none {
		return none, &Invalid{b.doc.Root.Path, "", "no value satisfies the schema"}
	}
	return root, b.pool.err
}

// shape is the values that a shape allows.
func (b *builder) shape(s *shape) (id, error) {
	p := b.pool
	if s.listed {
		return b.listed(s)
	}
	var parts []id
	for _, word := range []struct {
		types types
		text  string
	}{{nullType, "null"}, {boolType, "true"}, {boolType, "false"}} {
		if s.types&word.types != 0 {
			parts = append(parts, p.text(word.text))
		}
	}
	for _, of := range []struct {
		types types
		term  func(*shape) (id, error)
	}{{integerType | fractionType, b.numbers}, {stringType, b.quoted}, {arrayType, b.array}, {objectType, b.object}} {
		if s.types&of.types == 0 {
			continue
		}
		t, err := of.term(s)
		if err != nil {
			return none, err
		}
		parts = append(parts, t)
	}
	return p.choice(parts...), p.err
}

// listed is those of listed values that satisfy the rest of a shape.
func (b *builder) listed(s *shape) (id, error) {
	rest := s.clone()
	rest.listed = false
	var words []string
	var parts []id
	for _, v := range s.values {
		ok, err := b.admits(rest, v)
		switch {
		case err != nil:
			return none, err
		case !ok:
		case len(v.Items) == 0 && len(v.Names) == 0:
			words = append(words, v.Canonical())
		default:
			parts = append(parts, b.literal(v))
		}
	}
	return b.pool.choice(append(parts, b.pool.words(words))...), b.pool.err
}

// literal is one value, with the spaces that all values may have.
func (b *builder) literal(v *schema.Value) id {
	p := b.pool
	var parts []id
	switch {
	case len(v.Items) > 0:
		for _, item := range v.Items {
			parts = append(parts, b.comma, b.literal(item))
		}
		return p.sequence(b.open("["), p.sequence(parts[1:]...), b.shut("]"))
	case len(v.Names) > 0:
		for _, name := range v.Names {
			parts = append(parts, b.comma, p.text(schema.Quote(name)), b.colon, b.literal(v.Members[name]))
		}
		return p.sequence(b.open("{"), p.sequence(parts[1:]...), b.shut("}"))
	}
	return p.text(v.Canonical())
}

func (b *builder) quoted(s *shape) (id, error) {
	t, err := b.strings(s)
	return b.pool.sequence(b.pool.text(`"`), t, b.pool.text(`"`)), err
}

// array is the arrays of a shape, built from its last item that has a schema of its own.
func (b *builder) array(s *shape) (id, error) {
	p := b.pool
	n := s.prefix()
	if s.maxItems != forever {
		n = int(min(int64(n), s.maxItems))
	}
	after := b.many(n > 0, b.value(s.item(s.prefix())), s.minItems-int64(n), less(s.maxItems, int64(n)))
	for i := n - 1; i >= 0; i-- {
		after = p.then(b.value(s.item(i)), after)
		if i > 0 {
			after = p.then(b.comma, after)
		}
		if int64(i) >= s.minItems {
			after = p.optional(after)
		}
	}
	return p.sequence(b.open("["), after, b.shut("]")), p.err
}

// many is lo to hi of a term with commas between them, and before the first where others stand
// before it.
func (b *builder) many(others bool, t id, lo, hi int64) id {
	p := b.pool
	lo = max(lo, 0)
	if others || hi == 0 {
		return p.repeat(p.then(b.comma, t), lo, hi)
	}
	if t == none && lo > 0 {
		return none
	}
	list := p.then(t, p.repeat(p.then(b.comma, t), max(lo-1, 0), less(hi, 1)))
	if lo == 0 {
		return p.optional(list)
	}
	return list
}

// less is an upper bound when n have been.
func less(hi, n int64) int64 {
	if hi == forever {
		return forever
	}
	return hi - n
}

// named is a declared member of an object, or a kind of members: names and what their values must
// satisfy.
type named struct {
	name     id // with its quotes
	all      places
	required bool
}

// object is the objects of a shape: declared members in the order of the schema, then others.
func (b *builder) object(s *shape) (id, error) {
	p := b.pool
	declared, others, err := b.members(s)
	if err != nil || p.err != nil {
		return none, err
	}
	other := none
	for _, m := range others {
		other = p.choice(other, p.sequence(m.name, b.colon, b.value(m.all)))
	}
	// after[k] is what may follow when k members have been; the last k stands for all that are
	// more.
	most := int(min(int64(len(declared)), max(1, s.minMembers)))
	if s.maxMembers != forever {
		most = int(min(int64(len(declared)), s.maxMembers))
	}
	least := 0
	for _, m := range declared {
		if m.required {
			least++
		}
	}
	after := make([]id, most+1)
	for k := min(least, most); k <= most; k++ {
		lo := s.minMembers - int64(k)
		if lo > 1 && other != none {
			// Names may repeat, and two of one name are one member.
			return none, &Unsupported{s.path, "minProperties", "two members or more would have names that the schema does not list, and these could be the same"}
		}
		after[k] = b.many(k > 0, other, lo, less(s.maxMembers, int64(k)))
	}
	for i, m := range slices.Backward(declared) {
		member := p.sequence(m.name, b.colon, b.value(m.all))
		before := make([]id, most+1)
		for k := range before {
			if k > i && k < most {
				continue // so many cannot have been
			}
			with := none
			if s.maxMembers == forever || int64(k) < s.maxMembers {
				with = p.then(member, after[min(k+1, most)])
			}
			if k > 0 {
				with = p.then(b.comma, with)
			}
			before[k] = with
			if !m.required {
				before[k] = p.choice(with, after[k])
			}
		}
		after = before
	}
	return p.sequence(b.open("{"), after[0], b.shut("}")), p.err
}

// members are the declared members of a shape and the kinds of others. The names of others are
// written in one way each, so that none of them can be a declared one in disguise.
func (b *builder) members(s *shape) (declared, others []named, err error) {
	p := b.pool
	allowed, err := b.allowedNames(s)
	if err != nil {
		return nil, nil, err
	}
	var patterns []id
	for _, part := range s.objects {
		for _, np := range part.patterns {
			if !slices.Contains(patterns, np.names) {
				patterns = append(patterns, np.names)
			}
		}
	}
	if len(patterns) > maxPatterns {
		return nil, nil, &LimitError{What: "the expressions in patternProperties of one object", Limit: maxPatterns}
	}
	var listed []string
	for _, name := range unique(s.order, s.required) {
		inside := b.inside(name)
		listed = append(listed, inside)
		all := s.member(name, func(names id) bool { return p.matches(names, inside) })
		declared = append(declared, named{p.text(schema.Quote(name)), all, slices.Contains(s.required, name)})
		if !p.matches(allowed, inside) {
			declared[len(declared)-1].all = places{b.never}
		}
	}
	unlisted := p.not(p.words(listed))
	for chosen := range 1 << len(patterns) {
		parts := []id{allowed, unlisted}
		for i, names := range patterns {
			if chosen>>i&1 == 0 {
				names = p.not(names)
			}
			parts = append(parts, names)
		}
		names := p.both(parts...)
		if len(parts) == 2 && len(listed) == 0 && len(s.names) == 0 {
			names = p.repeat(b.character, 0, forever)
		}
		all := s.member("", func(names id) bool { return chosen>>slices.Index(patterns, names)&1 != 0 })
		if !slices.ContainsFunc(all, forbids) {
			others = append(others, named{p.sequence(p.text(`"`), names, p.text(`"`)), all, false})
		}
	}
	return declared, others, p.err
}

// forbids says whether a schema is false.
func forbids(place *schema.Place) bool { return place.Value.Kind == schema.Bool && !place.Value.Bool }

// inside is a string as JSON, without its quotes.
func (b *builder) inside(s string) string {
	quoted := schema.Quote(s)
	return quoted[1 : len(quoted)-1]
}

func unique(lists ...[]string) (all []string) {
	seen := map[string]bool{}
	for _, list := range lists {
		for _, name := range list {
			if !seen[name] {
				seen[name] = true
				all = append(all, name)
			}
		}
	}
	return all
}

// member is what the member of a name must satisfy, given which expressions are found in the name.
func (s *shape) member(name string, found func(names id) bool) places {
	var all places
	for _, part := range s.objects {
		place, named := part.properties[name]
		if named {
			all = all.with(place)
		}
		for _, np := range part.patterns {
			if found(np.names) {
				all, named = all.with(np.place), true
			}
		}
		if !named && part.additional != nil {
			all = all.with(part.additional)
		}
	}
	return all
}

// allowedNames is the names that propertyNames allows.
func (b *builder) allowedNames(s *shape) (id, error) {
	p := b.pool
	any := p.repeat(b.json.any, 0, forever)
	if len(s.names) == 0 {
		return any, nil
	}
	shapes, err := b.shapes(s.names)
	if err != nil {
		return none, err
	}
	var parts []id
	for _, one := range shapes {
		var listed []string
		for _, v := range one.values {
			ok, err := b.admits(one, v)
			if err != nil {
				return none, err
			}
			if ok && v.Kind == schema.String {
				listed = append(listed, b.inside(v.Text))
			}
		}
		if one.listed || one.types&stringType == 0 {
			parts = append(parts, p.words(listed))
			continue
		}
		t, err := b.strings(one)
		if err != nil {
			return none, err
		}
		// Lengths alone allow any escape; names are written in one way.
		parts = append(parts, p.both(t, any))
	}
	return p.choice(parts...), p.err
}
