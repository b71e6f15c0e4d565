package grammar

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"slimlab/serve/grammar/pattern"
	"slimlab/serve/grammar/schema"
)

// keywords are those whose value alone says what they demand. Each returns what is wrong with its
// value, "" where nothing is.
var keywords = map[string]func(s *shape, v *schema.Value) (problem string){
	"type":             readType,
	"const":            func(s *shape, v *schema.Value) string { s.list([]*schema.Value{v}); return "" },
	"enum":             readEnum,
	"minimum":          lower(false),
	"exclusiveMinimum": lower(true),
	"maximum":          upper(false),
	"exclusiveMaximum": upper(true),
	"multipleOf":       readMultiple,
	"minLength":        atLeast(func(s *shape) *int64 { return &s.minLength }),
	"maxLength":        atMost(func(s *shape) *int64 { return &s.maxLength }),
	"minItems":         atLeast(func(s *shape) *int64 { return &s.minItems }),
	"maxItems":         atMost(func(s *shape) *int64 { return &s.maxItems }),
	"minProperties":    atLeast(func(s *shape) *int64 { return &s.minMembers }),
	"maxProperties":    atMost(func(s *shape) *int64 { return &s.maxMembers }),
	"required":         readRequired,
}

// combiners apply other schemas to the same value. They come after the keywords of their own
// schema, in this order.
var combiners = []string{"$ref", "allOf", "anyOf", "oneOf", "dependentRequired", "dependentSchemas"}

func (b *builder) combine(name string, shapes []*shape, place *schema.Place, v *schema.Value) ([]*shape, error) {
	switch name {
	case "$ref":
		return b.refer(shapes, place, v)
	case "allOf":
		return b.all(shapes, place, v)
	case "anyOf":
		return b.any(shapes, place, v)
	case "oneOf":
		return b.one(shapes, place, v)
	}
	return b.dependent(shapes, place, name, v)
}

// elsewhere are the keywords that objectKeywords, arrayKeywords and stringKeywords read.
var elsewhere = []string{"properties", "patternProperties", "additionalProperties", "propertyNames", "items", "prefixItems", "pattern", "format"}

// annotations say nothing that a value could violate, or name places.
var annotations = []string{
	"$id", "$anchor", "$dynamicAnchor", "$defs", "definitions", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
	"contentEncoding", "contentMediaType", "contentSchema",
}

// drafts are the versions of JSON Schema that $schema may name. All are read as 2020-12.
var drafts = []string{"draft-06/schema", "draft-07/schema", "draft/2019-09/schema", "draft/2020-12/schema"}

// unsupported says whether a keyword that no table reads may stand there.
func (b *builder) unsupported(name string, v *schema.Value) (reason string, ok bool) {
	switch {
	case slices.Contains(annotations, name), slices.Contains(elsewhere, name), slices.Contains(combiners, name), strings.HasPrefix(name, "x-"):
		return "", true
	case name == "uniqueItems" && v.Kind == schema.Bool && !v.Bool:
		return "", true
	case (name == "unevaluatedItems" || name == "unevaluatedProperties") && v.Kind == schema.Bool && v.Bool:
		return "", true
	case name == "$schema":
		draft := strings.TrimSuffix(v.Text, "#")
		_, draft, _ = strings.Cut(draft, "://json-schema.org/")
		return fmt.Sprintf("found %q, expected draft 2020-12 or one from 6 on", v.Text), slices.Contains(drafts, draft)
	}
	return "", false
}

func expected(v *schema.Value, what string) string {
	return "found " + v.Kind.String() + ", expected " + what
}

func readType(s *shape, v *schema.Value) string {
	list := v.Items
	if v.Kind == schema.String {
		list = []*schema.Value{v}
	}
	allowed := types(0)
	for _, item := range list {
		bits, ok := typeNames[item.Text]
		if !ok {
			return fmt.Sprintf("found %s, expected one of array, boolean, integer, null, number, object, string", item.Canonical())
		}
		allowed |= bits
	}
	if len(list) == 0 {
		return expected(v, "the name of a type or a list of names")
	}
	s.types &= allowed
	return ""
}

func readEnum(s *shape, v *schema.Value) string {
	if v.Kind != schema.Array {
		return expected(v, "a list of values")
	}
	s.list(v.Items)
	return ""
}

func lower(open bool) func(*shape, *schema.Value) string {
	return func(s *shape, v *schema.Value) string {
		if v.Kind != schema.Number {
			return expected(v, "a number")
		}
		s.min = tighten(s.min, bound{v.Number, open}, 1)
		return ""
	}
}

func upper(open bool) func(*shape, *schema.Value) string {
	return func(s *shape, v *schema.Value) string {
		if v.Kind != schema.Number {
			return expected(v, "a number")
		}
		s.max = tighten(s.max, bound{v.Number, open}, -1)
		return ""
	}
}

func readMultiple(s *shape, v *schema.Value) string {
	if v.Kind != schema.Number || v.Number.Sign() <= 0 {
		return "expected a number above 0"
	}
	s.multiples = append(s.multiples, v.Number)
	return ""
}

// maxCount stands for all greater counts: no text is so long.
const maxCount = 1 << 40

func count(v *schema.Value) (n int64, problem string) {
	if v.Kind != schema.Number || !v.Number.IsInt() || v.Number.Sign() < 0 {
		return 0, "expected a whole number, 0 or more"
	}
	if v.Number.Cmp(big.NewRat(maxCount, 1)) > 0 {
		return maxCount, ""
	}
	return v.Number.Num().Int64(), ""
}

func atLeast(field func(*shape) *int64) func(*shape, *schema.Value) string {
	return func(s *shape, v *schema.Value) string {
		n, problem := count(v)
		*field(s) = max(*field(s), n)
		return problem
	}
}

func atMost(field func(*shape) *int64) func(*shape, *schema.Value) string {
	return func(s *shape, v *schema.Value) string {
		n, problem := count(v)
		*field(s) = smaller(*field(s), n)
		return problem
	}
}

func readRequired(s *shape, v *schema.Value) string {
	if v.Kind != schema.Array {
		return expected(v, "a list of names")
	}
	for _, item := range v.Items {
		if item.Kind != schema.String {
			return expected(item, "a name")
		}
		s.need(item.Text)
	}
	return ""
}

func (b *builder) stringKeywords(s *shape, place *schema.Place) error {
	if v := place.Value.Members["pattern"]; v != nil {
		if v.Kind != schema.String {
			return &Invalid{place.Path, "pattern", expected(v, "a regular expression")}
		}
		n, err := pattern.Parse(v.Text)
		if err != nil {
			return &Unsupported{place.Path, "pattern", err.Error()}
		}
		s.patterns = append(s.patterns, n)
	}
	if v := place.Value.Members["format"]; v != nil {
		if v.Kind != schema.String {
			return &Invalid{place.Path, "format", expected(v, "the name of a format")}
		}
		if formats[v.Text] == nil {
			return &Unsupported{place.Path, "format", fmt.Sprintf("found %q, expected one of %s", v.Text, strings.Join(formatNames(), ", "))}
		}
		if !slices.Contains(s.formats, v.Text) {
			s.formats = append(s.formats, v.Text)
		}
	}
	return nil
}

func (b *builder) arrayKeywords(s *shape, place *schema.Place) error {
	prefix, items := place.Value.Members["prefixItems"], place.Value.Members["items"]
	if prefix == nil && items == nil {
		return nil
	}
	part := arrayPart{items: b.doc.At(place, "items")}
	switch {
	case prefix != nil && prefix.Kind != schema.Array:
		return &Invalid{place.Path, "prefixItems", expected(prefix, "a list of schemas")}
	case items != nil && part.items == nil:
		return &Invalid{place.Path, "items", expected(items, "a schema (prefixItems has a list of them)")}
	case prefix != nil:
		for i := range prefix.Items {
			part.prefix = append(part.prefix, b.doc.At(place, "prefixItems", fmt.Sprint(i)))
		}
	}
	s.arrays = append(s.arrays, part)
	return nil
}

func (b *builder) objectKeywords(s *shape, place *schema.Place) error {
	members := place.Value.Members
	for _, name := range []string{"properties", "patternProperties"} {
		if v := members[name]; v != nil && v.Kind != schema.Object {
			return &Invalid{place.Path, name, expected(v, "an object of schemas")}
		}
	}
	for _, name := range []string{"additionalProperties", "propertyNames"} {
		if v := members[name]; v != nil && b.doc.At(place, name) == nil {
			return &Invalid{place.Path, name, expected(v, "a schema")}
		}
	}
	if names := b.doc.At(place, "propertyNames"); names != nil {
		s.names = s.names.with(names)
	}
	part := objectPart{properties: map[string]*schema.Place{}, additional: b.doc.At(place, "additionalProperties")}
	if v := members["properties"]; v != nil {
		for _, name := range v.Names {
			part.properties[name] = b.doc.At(place, "properties", name)
			if !slices.Contains(s.order, name) {
				s.order = append(s.order, name)
			}
		}
	}
	if v := members["patternProperties"]; v != nil {
		for _, source := range v.Names {
			names, err := b.namesLike(source)
			if err != nil {
				return &Unsupported{place.Path, "patternProperties", err.Error()}
			}
			part.patterns = append(part.patterns, namePattern{names, b.doc.At(place, "patternProperties", source)})
		}
	}
	if len(part.properties) > 0 || len(part.patterns) > 0 || part.additional != nil {
		s.objects = append(s.objects, part)
	}
	return nil
}

// namesLike is the names in which an expression is found.
func (b *builder) namesLike(source string) (id, error) {
	n, err := pattern.Parse(source)
	if err != nil {
		return none, err
	}
	return b.json.search(n)
}

func (b *builder) refer(shapes []*shape, place *schema.Place, v *schema.Value) ([]*shape, error) {
	if v.Kind != schema.String {
		return nil, &Invalid{place.Path, "$ref", expected(v, "a reference")}
	}
	target, err := b.doc.Resolve(place, v.Text)
	if err != nil {
		return nil, &Unsupported{place.Path, "$ref", err.Error()}
	}
	return b.apply(shapes, target)
}

func (b *builder) all(shapes []*shape, place *schema.Place, v *schema.Value) ([]*shape, error) {
	branches, err := b.branches(place, "allOf", v)
	for _, branch := range branches {
		if shapes, err = b.apply(shapes, branch); err != nil {
			return nil, err
		}
	}
	return shapes, err
}

// branches are the schemas of a keyword that lists them.
func (b *builder) branches(place *schema.Place, keyword string, v *schema.Value) ([]*schema.Place, error) {
	if v.Kind != schema.Array || len(v.Items) == 0 {
		return nil, &Invalid{place.Path, keyword, "expected a list of one schema or more"}
	}
	list := make([]*schema.Place, len(v.Items))
	for i := range v.Items {
		list[i] = b.doc.At(place, keyword, fmt.Sprint(i))
	}
	return list, nil
}

func (b *builder) any(shapes []*shape, place *schema.Place, v *schema.Value) ([]*shape, error) {
	each, err := b.alternatives(shapes, place, "anyOf", v)
	return slices.Concat(each...), err
}

// alternatives are the shapes with each of the branches.
func (b *builder) alternatives(shapes []*shape, place *schema.Place, keyword string, v *schema.Value) ([][]*shape, error) {
	branches, err := b.branches(place, keyword, v)
	if err != nil {
		return nil, err
	}
	if len(branches)*len(shapes) > maxShapes {
		return nil, &LimitError{What: fmt.Sprintf("the alternatives of the schema at %q", place.Path), Limit: maxShapes}
	}
	var each [][]*shape
	for _, branch := range branches {
		own, err := b.apply(slices.Clone(shapes), branch)
		if err != nil {
			return nil, err
		}
		each = append(each, own)
	}
	return each, nil
}

// one is any where no value can satisfy two branches. Where that cannot be shown it is refused.
func (b *builder) one(shapes []*shape, place *schema.Place, v *schema.Value) ([]*shape, error) {
	each, err := b.alternatives(shapes, place, "oneOf", v)
	for i := range each {
		for j := range i {
			apart, err := b.apart(each[i], each[j])
			if err != nil {
				return nil, err
			}
			if !apart {
				return nil, &Unsupported{place.Path, "oneOf", fmt.Sprintf("it cannot be shown that no value satisfies both alternative %d and %d (anyOf needs no such proof)", j, i)}
			}
		}
	}
	return slices.Concat(each...), err
}

// dependent splits shapes for each name: without it, and with it and what must then hold.
func (b *builder) dependent(shapes []*shape, place *schema.Place, keyword string, v *schema.Value) ([]*shape, error) {
	if v.Kind != schema.Object {
		return nil, &Invalid{place.Path, keyword, expected(v, "an object")}
	}
	for _, name := range v.Names {
		var without, with []*shape
		for _, s := range shapes {
			absent, present := s.clone(), s.clone()
			absent.objects = append(absent.objects, objectPart{properties: map[string]*schema.Place{name: b.never}})
			absent.order = append(absent.order, name)
			present.types &= objectType
			present.need(name)
			if keyword == "dependentRequired" {
				if problem := readRequired(present, v.Members[name]); problem != "" {
					return nil, &Invalid{place.Path, keyword, problem}
				}
			}
			without, with = append(without, absent), append(with, present)
		}
		if keyword == "dependentSchemas" {
			var err error
			if with, err = b.apply(with, b.doc.At(place, keyword, name)); err != nil {
				return nil, err
			}
		}
		if shapes = append(without, with...); len(shapes) > maxShapes {
			return nil, &LimitError{What: fmt.Sprintf("the alternatives of the schema at %q", place.Path), Limit: maxShapes}
		}
	}
	return shapes, nil
}
