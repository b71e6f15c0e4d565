package optimize

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/lab/sensitivity"
)

// Sizes predicts bytes of models by what is done to their layers.
type Sizes interface {
	// Layer is what a layer takes alone, with a share of its neurons gone and in a number format,
	// by their words, and the group of its scales where that follows from the widths that share it,
	// else 0: it is at most most where that is not 0.
	Layer(layer int, share, scheme string, most int) (bytes int64, group int, err error)
	// Model is what a whole model takes.
	Model(shares, schemes []string) (int64, error)
}

// Space is all that a search may build: parts in which each layer's way is free.
type Space struct {
	layers *Layers
	sizes  Sizes
	rest   int64 // bytes that no choice changes
	parts  []*part
	seen   map[string]bool   // shares and formats of candidates that were listed
	pruned map[string]string // by shares: the first candidate with them
	count  int
}

// part is all mixtures of shares and formats that one file can have, or all of shares beside one
// format. pools divide it by the groups of scales.
type part struct {
	scheme string // the one format; "" for mixtures
	// mixtures have all of it
	within bool
	pools  []*pool
}

// pool are the models of a part whose automatic groups are some size or larger, and count with
// that: the layers of a format share the size that suits the narrowest of them.
type pool struct {
	ways    [][]way
	options [][]sensitivity.Option
	plan    *sensitivity.Plan
}

// way is what is done to one layer: indices of a share and of a scheme, −1 for none.
type way struct{ mlp, scheme int }

// alone reports a number format that no other can stand beside: 3 bits are written as GPTQ, which
// has one format for a file.
func alone(scheme string) bool { return strings.HasPrefix(scheme, "w3") }

// option is a way for a layer, and the group of its scales where that follows from widths.
type option struct {
	way
	sensitivity.Option
	group int
}

// ways lists those for a layer beside some formats, with what they take and cost: the costs of a
// share and of a scheme are added, and where an alignment keeps neurons of a share, it costs as
// much less. Shares that leave the layer as it is are none. most bounds automatic groups.
func (l *Layers) ways(sizes Sizes, layer int, schemes []int, most int) (ways []option, err error) {
	for mlp := -1; mlp < len(l.MLP); mlp++ {
		share, cost := "0", 0.0
		if mlp >= 0 {
			share = l.MLP[mlp]
			bytes, _, err := sizes.Layer(layer, share, "none", 0)
			if err != nil {
				return nil, err
			}
			if bytes >= l.Dense[layer] {
				continue
			}
			cost = l.KL[layer][mlp] * min(1, float64(l.Dense[layer]-bytes)/float64(max(1, l.Dense[layer]-l.Bytes[layer][mlp])))
		}
		for _, scheme := range schemes {
			o := option{way: way{mlp, scheme}, Option: sensitivity.Option{Cost: cost}}
			name := "none"
			if scheme >= 0 {
				name = l.Schemes[scheme]
				o.Cost += l.KL[layer][len(l.MLP)+scheme]
			}
			if o.Bytes, o.group, err = sizes.Layer(layer, share, name, most); err != nil {
				return nil, err
			}
			ways = append(ways, o)
		}
	}
	return ways, nil
}

// NewSpace lays out the space of a measurement. rest are the bytes of the model that no choice
// changes.
func (l *Layers) NewSpace(ctx context.Context, sizes Sizes, rest int64) (*Space, error) {
	s := &Space{layers: l, sizes: sizes, rest: rest, seen: map[string]bool{}, pruned: map[string]string{}}
	var err error
	if s.parts, err = l.parts(sizes); err != nil {
		return nil, err
	}
	for _, p := range s.parts {
		for _, of := range p.pools {
			if of.plan, err = sensitivity.NewPlan(ctx, of.options); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// Smallest is what a model of so many layers takes at the least by number formats and shares of
// neurons, of plain bytes in bfloat16; rest are those that no choice changes.
func Smallest(sizes Sizes, layers int, schemes, mlp []string, plain int64) (least, rest int64, err error) {
	l := &Layers{MLP: mlp, Schemes: schemes}
	rest = plain
	for layer := range layers {
		bytes := make([]int64, len(mlp)+len(schemes)) // of formats it is not read
		for i, share := range append([]string{"0"}, mlp...) {
			n, _, err := sizes.Layer(layer, share, "none", 0)
			if err != nil {
				return 0, 0, err
			}
			if i > 0 {
				bytes[i-1] = n
				continue
			}
			l.Dense = append(l.Dense, n)
			rest -= n
		}
		l.KL, l.Bytes = append(l.KL, make([]float64, len(bytes))), append(l.Bytes, bytes)
	}
	parts, err := l.parts(sizes)
	if err != nil {
		return 0, 0, err
	}
	least = plain
	for _, p := range parts {
		for _, of := range p.pools {
			bytes := rest
			for _, options := range of.options {
				bytes += slices.MinFunc(options, func(a, b sensitivity.Option) int { return cmp.Compare(a.Bytes, b.Bytes) }).Bytes
			}
			least = min(least, bytes)
		}
	}
	return least, rest, nil
}

// parts are those of the space of a measurement, whose pools have no plans yet.
func (l *Layers) parts(sizes Sizes) (parts []*part, err error) {
	mixed := []int{-1}
	for i, name := range l.Schemes {
		if !alone(name) {
			mixed = append(mixed, i)
		}
	}
	add := func(of *part, schemes []int) error {
		err := of.fill(l, sizes, schemes)
		parts = append(parts, of)
		return err
	}
	if err := add(&part{}, mixed); err != nil {
		return nil, err
	}
	for i := -1; i < len(l.Schemes); i++ {
		of := &part{scheme: "none", within: true}
		if i >= 0 {
			of.scheme, of.within = l.Schemes[i], !alone(l.Schemes[i])
		}
		if len(mixed) == 1 && i < 0 { // the mixtures are these
			continue
		}
		if err := add(of, []int{i}); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// fill makes the pools, without plans.
func (p *part) fill(l *Layers, sizes Sizes, schemes []int) error {
	groups := []int{}
	own := make([][]option, len(l.Dense))
	for layer := range l.Dense {
		var err error
		if own[layer], err = l.ways(sizes, layer, schemes, 0); err != nil {
			return err
		}
		for _, o := range own[layer] {
			if o.group > 0 && !slices.Contains(groups, o.group) {
				groups = append(groups, o.group)
			}
		}
	}
	if len(groups) == 0 {
		groups = []int{0}
	}
	for _, group := range groups {
		of := &pool{}
		for layer := range l.Dense {
			all, err := l.ways(sizes, layer, schemes, group)
			if err != nil {
				return err
			}
			var ways []way
			var options []sensitivity.Option
			for i, o := range all {
				if own[layer][i].group == 0 || own[layer][i].group >= group {
					ways, options = append(ways, o.way), append(options, o.Option)
				}
			}
			of.ways, of.options = append(of.ways, ways), append(of.options, options)
		}
		if !slices.ContainsFunc(of.options, func(o []sensitivity.Option) bool { return len(o) == 0 }) {
			p.pools = append(p.pools, of)
		}
	}
	return nil
}

// has reports whether a candidate is a model of the part.
func (p *part) has(c Candidate) bool {
	return !slices.ContainsFunc(c.Schemes, func(name string) bool {
		return p.scheme == "" && alone(name) || p.scheme != "" && name != p.scheme
	})
}

// smallest is what the part's layers take at least.
func (p *part) smallest() int64 {
	least := int64(math.MaxInt64)
	for _, of := range p.pools {
		least = min(least, of.plan.Smallest())
	}
	return least
}

// chosen are an allocation's ways.
func (p *pool) chosen(a sensitivity.Allocation) (list []way) {
	for layer, at := range a.Choice {
		list = append(list, p.ways[layer][at])
	}
	return list
}

// found is a model of the space before it is a candidate.
type found struct {
	ways []way
	sensitivity.Allocation
}

// best is the model of a part that costs least within a budget of bytes of the layers.
func (p *part) best(budget int64) (f found, ok bool) {
	for _, of := range p.pools {
		if a, fits := of.plan.Best(budget); fits && (!ok || a.Cost < f.Cost) {
			f, ok = found{of.chosen(a), a}, true
		}
	}
	return f, ok
}

// least is what a model of a size costs at least, over all parts, each of whose costs is multiplied
// by a ratio; nil are ones.
func (s *Space) least(budget int64, ratios map[*part]float64) float64 {
	least := math.Inf(1)
	for _, p := range s.parts {
		if f, ok := p.best(budget); ok {
			cost := f.Cost
			if ratios != nil {
				cost *= ratios[p]
			}
			least = min(least, cost)
		}
	}
	return least
}

// closeBy is how much more a choice may cost than the best of its size and be worth building.
const closeBy = 1.5

// worth reports whether a model costs not much more than the best of its size.
func (s *Space) worth(f found) bool { return f.Cost <= closeBy*s.least(f.Bytes, nil) }

// MostSizes bounds the sizes that mixtures are chosen for: each may be a model to build.
const MostSizes = 1000

// bounds are the bytes that the layers take at least and at most.
func (s *Space) bounds() (smallest, largest int64) {
	smallest = math.MaxInt64
	for _, p := range s.parts {
		smallest = min(smallest, p.smallest())
		for _, of := range p.pools {
			largest = max(largest, of.plan.Largest())
		}
	}
	return smallest, largest
}

// nextTo is the part of a size by which two sizes that are next to each other differ at most.
const nextTo = 200

// Combinations is how many models the space has, without the model as it is.
func (s *Space) Combinations() float64 {
	all := -1.0
	for _, p := range s.parts {
		if p.within {
			continue
		}
		models := 1.0
		for layer := range s.layers.Dense {
			ways := map[way]bool{}
			for _, of := range p.pools {
				for _, w := range of.ways[layer] {
					ways[w] = true
				}
			}
			models *= float64(len(ways))
		}
		all += models
	}
	return all
}

// Describe says what the space is.
func (s *Space) Describe() string {
	mixed, single := []string{"bfloat16"}, []string{}
	for _, name := range s.layers.Schemes {
		if alone(name) {
			single = append(single, name)
		} else {
			mixed = append(mixed, name)
		}
	}
	text := "each layer with all of its neurons"
	if len(s.layers.MLP) > 0 {
		text += " or without " + strings.Join(s.layers.MLP, ", ")
	}
	text += "; each layer in " + strings.Join(mixed, ", ")
	for _, name := range single {
		text += ", or all layers in " + name
	}
	n := s.Combinations()
	if n < 1e6 {
		return fmt.Sprintf("%s: %.0f models", text, n)
	}
	return fmt.Sprintf("%s: about %.1g models", text, n)
}
