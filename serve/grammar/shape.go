package grammar

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"slimlab/serve/grammar/pattern"
	"slimlab/serve/grammar/schema"
)

// types is a set of JSON types. Numbers are of two: integers and those with a fraction.
type types uint8

const (
	nullType types = 1 << iota
	boolType
	integerType
	fractionType
	stringType
	arrayType
	objectType

	anyType = objectType<<1 - 1
)

var typeNames = map[string]types{
	"null": nullType, "boolean": boolType, "integer": integerType, "number": integerType | fractionType,
	"string": stringType, "array": arrayType, "object": objectType,
}

func typeOf(v *schema.Value) types {
	switch v.Kind {
	case schema.Null:
		return nullType
	case schema.Bool:
		return boolType
	case schema.String:
		return stringType
	case schema.Array:
		return arrayType
	case schema.Object:
		return objectType
	}
	if v.Number.IsInt() {
		return integerType
	}
	return fractionType
}

// places are schemas that a value must satisfy all, in the order of their numbers.
type places []*schema.Place

func (p places) key() string {
	var b strings.Builder
	for _, place := range p {
		b.WriteString(strconv.Itoa(place.Number))
		b.WriteByte(' ')
	}
	return b.String()
}

func (p places) with(others ...*schema.Place) places {
	all := append(slices.Clip(p), others...)
	slices.SortFunc(all, func(a, b *schema.Place) int { return a.Number - b.Number })
	return slices.Compact(all)
}

// arrayPart is what one schema says of the items of arrays: prefix of the first ones, items, where
// it is not nil, of all behind them.
type arrayPart struct {
	prefix []*schema.Place
	items  *schema.Place
}

// objectPart is what one schema says of the members of objects: properties by name, patterns by
// expression, additional, where it is not nil, of all others.
type objectPart struct {
	properties map[string]*schema.Place
	patterns   []namePattern
	additional *schema.Place
}

type namePattern struct {
	names id // a term of the names in which the expression is found
	place *schema.Place
}

// shape is schemas merged into one set of demands without alternatives. A schema is a list of
// shapes: a value satisfies it if it satisfies one of them.
type shape struct {
	path   string // of the schema that the shape was made for
	types  types
	values []*schema.Value // of which the value is one, where listed
	keys   map[string]bool // of values
	listed bool

	min, max  *bound
	multiples []*big.Rat

	minLength, maxLength int64 // forever is no bound, here and below
	patterns             []*pattern.Node
	formats              []string

	arrays             []arrayPart
	minItems, maxItems int64

	objects                []objectPart
	order                  []string // names of properties as they were met
	required               []string
	minMembers, maxMembers int64
	names                  places // what each name must satisfy
}

func newShape(path string) *shape {
	return &shape{path: path, types: anyType, maxLength: forever, maxItems: forever, maxMembers: forever}
}

// clone is a copy to which can be added.
func (s *shape) clone() *shape {
	c := *s
	c.values = slices.Clip(c.values)
	c.multiples = slices.Clip(c.multiples)
	c.patterns = slices.Clip(c.patterns)
	c.formats = slices.Clip(c.formats)
	c.arrays = slices.Clip(c.arrays)
	c.objects = slices.Clip(c.objects)
	c.order = slices.Clip(c.order)
	c.required = slices.Clip(c.required)
	return &c
}

// list demands one of some values.
func (s *shape) list(values []*schema.Value) {
	keys := map[string]bool{}
	var kept []*schema.Value
	for _, v := range values {
		if key := v.Key(); !keys[key] && (!s.listed || s.keys[key]) {
			keys[key] = true
			kept = append(kept, v)
		}
	}
	s.values, s.keys, s.listed = kept, keys, true
}

func (s *shape) need(name string) {
	if !slices.Contains(s.required, name) {
		s.required = append(s.required, name)
	}
}

// item is what item i of an array must satisfy.
func (s *shape) item(i int) places {
	var all places
	for _, part := range s.arrays {
		if i < len(part.prefix) {
			all = all.with(part.prefix[i])
		} else if part.items != nil {
			all = all.with(part.items)
		}
	}
	return all
}

// prefix is the number of items that schemas treat one by one.
func (s *shape) prefix() int {
	n := 0
	for _, part := range s.arrays {
		n = max(n, len(part.prefix))
	}
	return n
}

// apply adds the demands of a schema to shapes. Where the schema has alternatives, each shape
// becomes several.
func (b *builder) apply(shapes []*shape, place *schema.Place) ([]*shape, error) {
	switch {
	case place.Value.Kind == schema.Bool && place.Value.Bool:
		return shapes, nil
	case place.Value.Kind == schema.Bool:
		return nil, nil
	case place.Value.Kind != schema.Object:
		return nil, &Invalid{place.Path, "", "found " + place.Value.Kind.String() + ", expected a schema: an object, true or false"}
	case b.active[place]:
		return nil, &Invalid{place.Path, "$ref", "the schema refers to itself with nothing in between"}
	}
	b.active[place] = true
	defer delete(b.active, place)

	var err error
	for i, s := range shapes {
		if !b.pool.spend(1) {
			return nil, b.pool.err
		}
		shapes[i] = s.clone()
		if err = b.demand(shapes[i], place); err != nil {
			return nil, err
		}
	}
	for _, name := range combiners {
		v := place.Value.Members[name]
		if v == nil || len(shapes) == 0 {
			continue
		}
		if shapes, err = b.combine(name, shapes, place, v); err != nil {
			return nil, err
		}
		if len(shapes) > maxShapes {
			return nil, &LimitError{What: fmt.Sprintf("the alternatives of the schema at %q", place.Path), Limit: maxShapes}
		}
	}
	return shapes, b.pool.err
}

// demand adds the keywords of one schema that stand for themselves to a shape.
func (b *builder) demand(s *shape, place *schema.Place) error {
	for _, name := range place.Value.Names {
		v := place.Value.Members[name]
		if read := keywords[name]; read != nil {
			if problem := read(s, v); problem != "" {
				return &Invalid{place.Path, name, problem}
			}
			continue
		}
		if reason, ok := b.unsupported(name, v); !ok {
			return &Unsupported{place.Path, name, reason}
		}
	}
	if err := b.arrayKeywords(s, place); err != nil {
		return err
	}
	if err := b.stringKeywords(s, place); err != nil {
		return err
	}
	return b.objectKeywords(s, place)
}

// shapes are the shapes of schemas that must all be satisfied.
func (b *builder) shapes(all places) ([]*shape, error) {
	key := all.key()
	if known, ok := b.known[key]; ok {
		return known, nil
	}
	path := ""
	if len(all) > 0 {
		path = all[0].Path
	}
	if b.nested == maxNested || b.nested > 0 && b.asked[key] {
		return nil, &Unsupported{path, "oneOf", "its alternatives differ only deep within them"}
	}
	defer func(active map[*schema.Place]bool) { b.active = active; b.nested-- }(b.active)
	b.active = map[*schema.Place]bool{}
	b.nested++
	b.asked[key] = true
	shapes := []*shape{newShape(path)}
	for _, place := range all {
		var err error
		if shapes, err = b.apply(shapes, place); err != nil {
			return nil, err
		}
	}
	b.known[key] = shapes
	return shapes, nil
}
