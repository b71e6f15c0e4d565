package grammar

import (
	"errors"
	"math/big"
	"slices"
	"unicode/utf8"

	"slimlab/serve/grammar/schema"
)

// satisfies says whether a value satisfies schemas.
func (b *builder) satisfies(all places, v *schema.Value) (bool, error) {
	shapes, err := b.shapes(all)
	if err != nil {
		return false, err
	}
	for _, s := range shapes {
		if ok, err := b.admits(s, v); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// admits says whether a shape allows a value.
func (b *builder) admits(s *shape, v *schema.Value) (bool, error) {
	if s.types&typeOf(v) == 0 || s.listed && !s.keys[v.Key()] {
		return false, b.pool.err
	}
	switch v.Kind {
	case schema.Number:
		return s.admitsNumber(v.Number), nil
	case schema.String:
		return b.admitsString(s, v.Text)
	case schema.Array:
		n := int64(len(v.Items))
		if n < s.minItems || s.maxItems != forever && n > s.maxItems {
			return false, nil
		}
		for i, item := range v.Items {
			if ok, err := b.satisfies(s.item(i), item); !ok || err != nil {
				return false, err
			}
		}
	case schema.Object:
		return b.admitsObject(s, v)
	}
	return true, nil
}

func (s *shape) admitsNumber(n *big.Rat) bool {
	if s.min != nil {
		if c := n.Cmp(s.min.value); c < 0 || c == 0 && s.min.open {
			return false
		}
	}
	if s.max != nil {
		if c := n.Cmp(s.max.value); c > 0 || c == 0 && s.max.open {
			return false
		}
	}
	return !slices.ContainsFunc(s.multiples, func(of *big.Rat) bool { return !new(big.Rat).Quo(n, of).IsInt() })
}

func (b *builder) admitsString(s *shape, text string) (bool, error) {
	n := int64(utf8.RuneCountInString(text))
	if n < s.minLength || s.maxLength != forever && n > s.maxLength {
		return false, nil
	}
	if len(s.patterns) == 0 && len(s.formats) == 0 {
		return true, nil
	}
	t, err := b.strings(s)
	return b.pool.matches(t, b.inside(text)), err
}

func (b *builder) admitsObject(s *shape, v *schema.Value) (bool, error) {
	n := int64(len(v.Names))
	if n < s.minMembers || s.maxMembers != forever && n > s.maxMembers {
		return false, nil
	}
	for _, name := range s.required {
		if v.Members[name] == nil {
			return false, nil
		}
	}
	for _, name := range v.Names {
		if len(s.names) > 0 {
			if ok, err := b.satisfies(s.names, &schema.Value{Kind: schema.String, Text: name}); !ok || err != nil {
				return false, err
			}
		}
		all := s.member(name, func(names id) bool { return b.pool.matches(names, b.inside(name)) })
		if ok, err := b.satisfies(all, v.Members[name]); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// apart says whether no value satisfies one of some shapes and one of others. False may also mean
// that this cannot be shown.
func (b *builder) apart(some, others []*shape) (bool, error) {
	for _, s := range some {
		for _, o := range others {
			if ok, err := b.shapesApart(s, o); !ok || err != nil {
				return false, err
			}
		}
	}
	return true, b.pool.err
}

func (b *builder) shapesApart(s, o *shape) (bool, error) {
	if !b.pool.spend(1) {
		return false, b.pool.err
	}
	if s.listed || o.listed {
		return b.listApart(s, o)
	}
	common := s.types & o.types
	if common&(nullType|boolType) != 0 {
		return false, nil
	}
	for _, of := range []struct {
		types types
		apart func(s, o *shape) (bool, error)
	}{
		{integerType | fractionType, func(s, o *shape) (bool, error) { return b.termsApart(b.numbers, s, o) }},
		{stringType, b.stringsApart},
		{arrayType, b.arraysApart},
		{objectType, b.objectsApart},
	} {
		if common&of.types == 0 {
			continue
		}
		if ok, err := of.apart(s, o); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// listApart is shapesApart where one shape or both list their values.
func (b *builder) listApart(s, o *shape) (bool, error) {
	if !s.listed {
		s, o = o, s
	}
	for _, v := range s.values {
		first, err := b.admits(s, v)
		if err != nil {
			return false, err
		}
		second, err := b.admits(o, v)
		if err != nil || first && second {
			return false, err
		}
	}
	return true, nil
}

func (b *builder) termsApart(term func(*shape) (id, error), s, o *shape) (bool, error) {
	s, o = s.clone(), o.clone()
	s.types &= o.types
	o.types &= s.types
	first, err := term(s)
	if err != nil {
		return false, err
	}
	second, err := term(o)
	if err != nil {
		return false, err
	}
	return b.pool.both(first, second) == none, b.pool.err
}

func (b *builder) stringsApart(s, o *shape) (bool, error) {
	one := b.pool.repeat(b.json.any, 0, forever)
	canonical := func(s *shape) (id, error) {
		t, err := b.strings(s)
		return b.pool.both(t, one), err
	}
	return b.termsApart(canonical, s, o)
}

// countsApart says whether two ranges of counts have nothing in common.
func countsApart(lo1, hi1, lo2, hi2 int64) bool {
	return hi1 != forever && lo2 > hi1 || hi2 != forever && lo1 > hi2
}

func (b *builder) arraysApart(s, o *shape) (bool, error) {
	if countsApart(s.minItems, s.maxItems, o.minItems, o.maxItems) {
		return true, nil
	}
	last := int(min(max(s.minItems, o.minItems), int64(max(s.prefix(), o.prefix())+1)))
	for i := range last {
		if ok, err := b.placesApart(s.item(i), o.item(i)); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (b *builder) objectsApart(s, o *shape) (bool, error) {
	if countsApart(s.minMembers, s.maxMembers, o.minMembers, o.maxMembers) {
		return true, nil
	}
	// Listed values decide at once, and are what alternatives are mostly told apart by: they come
	// first, before other members lead deep into the schema.
	var listed, rest [][2]places
	for _, name := range unique(s.required, o.required) {
		found := func(names id) bool { return b.pool.matches(names, b.inside(name)) }
		pair := [2]places{s.member(name, found), o.member(name, found)}
		if pair[0].lists() && pair[1].lists() {
			listed = append(listed, pair)
		} else {
			rest = append(rest, pair)
		}
	}
	for _, pair := range append(listed, rest...) {
		if ok, err := b.placesApart(pair[0], pair[1]); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// lists says whether one of the schemas itself lists its values.
func (p places) lists() bool {
	return slices.ContainsFunc(p, func(place *schema.Place) bool {
		return place.Value.Members["const"] != nil || place.Value.Members["enum"] != nil
	})
}

// placesApart is apart for sets of schemas. Where the answer depends on itself it is no.
func (b *builder) placesApart(some, others places) (apart bool, err error) {
	key := some.key() + "and " + others.key()
	if known, ok := b.told[key]; ok {
		return known, nil
	}
	b.told[key] = false
	defer func() { b.told[key] = apart }()
	first, err := b.shapes(some)
	if err == nil {
		var second []*shape
		if second, err = b.shapes(others); err == nil {
			return b.apart(first, second)
		}
	}
	if unsupported := (*Unsupported)(nil); errors.As(err, &unsupported) {
		err = nil // the schema is refused where it is used
	}
	return false, err
}
