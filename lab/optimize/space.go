package optimize

import (
	"cmp"
	"context"
	"errors"
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
	mixed := []int{-1}
	for i, name := range l.Schemes {
		if !alone(name) {
			mixed = append(mixed, i)
		}
	}
	add := func(of *part, schemes []int) error {
		err := of.fill(ctx, l, sizes, schemes)
		s.parts = append(s.parts, of)
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
	return s, nil
}

// fill makes the pools.
func (p *part) fill(ctx context.Context, l *Layers, sizes Sizes, schemes []int) error {
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
		if slices.ContainsFunc(of.options, func(o []sensitivity.Option) bool { return len(o) == 0 }) {
			continue
		}
		var err error
		if of.plan, err = sensitivity.NewPlan(ctx, of.options); err != nil {
			return err
		}
		p.pools = append(p.pools, of)
	}
	return nil
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

// least is what a model of a size costs at least, over all parts.
func (s *Space) least(budget int64) float64 {
	least := math.Inf(1)
	for _, p := range s.parts {
		if f, ok := p.best(budget); ok {
			least = min(least, f.Cost)
		}
	}
	return least
}

// closeBy is how much more a choice may cost than the best of its size and be worth building.
const closeBy = 1.5

// worth reports whether a model costs not much more than the best of its size.
func (s *Space) worth(f found) bool { return f.Cost <= closeBy*s.least(f.Bytes) }

// key names what is done to the layers.
func (c Candidate) key() string { return fmt.Sprint(c.MLP, c.Schemes) }

// candidate is a model as one, with its bytes as they will be; ok is false where it was one before,
// or is the model as it is.
func (s *Space) candidate(f found) (c Candidate, ok bool, err error) {
	for _, w := range f.ways {
		mlp, scheme := "0", "none"
		if w.mlp >= 0 {
			mlp = s.layers.MLP[w.mlp]
		}
		if w.scheme >= 0 {
			scheme = s.layers.Schemes[w.scheme]
		}
		c.MLP, c.Schemes = append(c.MLP, mlp), append(c.Schemes, scheme)
	}
	if s.seen[c.key()] || !c.Prunes() && !c.Quantizes() {
		return c, false, nil
	}
	c.KL = f.Cost
	c.Bytes, err = s.sizes.Model(c.MLP, c.Schemes)
	return c, true, err
}

// MostSizes bounds the sizes that mixtures are chosen for: each may be a model to build.
const MostSizes = 1000

// Candidates lists what is worth building, the most promising first: of each part of the space the
// best model at budgets of bytes between the smallest and the largest, that of the goal among them,
// and the uniform choices, where they cost not much more than the best of their size. At the goal
// a part whose models no mixture has is there in any case. goal are the bytes that the whole may
// take, 0 for no bound; n is at most MostSizes.
func (s *Space) Candidates(ctx context.Context, goal int64, n int) ([]Candidate, error) {
	var list []Candidate
	add := func(f found) error {
		c, ok, err := s.candidate(f)
		if ok && err == nil {
			s.seen[c.key()] = true
			list = append(list, c)
		}
		return err
	}
	if goal > 0 && n > 0 {
		for _, p := range s.parts {
			best, err := s.ranked(ctx, p, goal, 1)
			if err != nil {
				return nil, err
			}
			for _, f := range best {
				if !p.within || s.worth(f) {
					if err := add(f); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	smallest, largest := s.bounds()
	for _, budget := range sensitivity.Budgets(smallest, largest, n) {
		for _, p := range s.parts {
			if f, ok := p.best(budget); ok && s.worth(f) {
				if err := add(f); err != nil {
					return nil, err
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	for _, f := range s.uniform() {
		if s.worth(f) {
			if err := add(f); err != nil {
				return nil, err
			}
		}
	}
	wanted := goal
	if wanted == 0 {
		wanted = s.rest + largest
	}
	slices.SortStableFunc(list, func(a, b Candidate) int { return cmp.Compare(distance(a.Bytes, wanted), distance(b.Bytes, wanted)) })
	s.name(list)
	return list, nil
}

// bounds are the bytes that the layers take at least and at most.
func (s *Space) bounds() (smallest, largest int64) {
	smallest = math.MaxInt64
	for _, p := range s.parts {
		for _, of := range p.pools {
			smallest, largest = min(smallest, of.plan.Smallest()), max(largest, of.plan.Largest())
		}
	}
	return smallest, largest
}

// uniform are the models of one share and one format, with automatic groups that all layers have.
func (s *Space) uniform() (list []found) {
	for _, p := range s.parts {
		if p.scheme == "" && len(s.parts) > 1 { // the others have them
			continue
		}
		for mlp := -1; mlp < len(s.layers.MLP); mlp++ {
			for _, of := range p.pools {
				f, fits := found{}, true
				for layer, ways := range of.ways {
					at := slices.IndexFunc(ways, func(w way) bool { return w.mlp == mlp })
					if fits = at >= 0; !fits {
						break
					}
					f.ways = append(f.ways, ways[at])
					f.Bytes, f.Cost = f.Bytes+of.options[layer][at].Bytes, f.Cost+of.options[layer][at].Cost
				}
				if fits {
					list = append(list, f)
				}
			}
		}
	}
	return list
}

// ranked are the models of a part of at most some bytes that cost least and have not been
// candidates, by ascending cost.
func (s *Space) ranked(ctx context.Context, p *part, goal int64, n int) (list []found, err error) {
	known := map[string]bool{}
	for _, of := range p.pools {
		var bad error
		all, err := sensitivity.Ranked(ctx, of.options, goal-s.rest, n, func(a sensitivity.Allocation) bool {
			c, ok, err := s.candidate(found{of.chosen(a), a})
			bad = errors.Join(bad, err)
			if ok = ok && c.Bytes <= goal && !known[c.key()]; ok {
				known[c.key()] = true
			}
			return ok
		})
		if err = errors.Join(err, bad); err != nil {
			return nil, err
		}
		for _, a := range all {
			list = append(list, found{of.chosen(a), a})
		}
	}
	slices.SortStableFunc(list, func(a, b found) int { return cmp.Compare(a.Cost, b.Cost) })
	return list[:min(n, len(list))], nil
}

// More lists up to n models that are worth building after some were measured, without those: where
// one was chosen, models between it and the next smaller one that misses a goal; where none reaches
// all goals, those within the goal's bytes (0 for no bound) that cost least, of all parts. There
// are none where nothing is left, or the sizes are next to each other.
func (s *Space) More(ctx context.Context, c Choice, goal int64, n int) (list []Candidate, err error) {
	add := func(f found, fits func(Candidate) bool) error {
		of, ok, err := s.candidate(f)
		if ok && err == nil && len(list) < n && fits(of) {
			s.seen[of.key()] = true
			list = append(list, of)
		}
		return err
	}
	if c.Chosen < 0 {
		if goal == 0 {
			_, largest := s.bounds()
			goal = s.rest + largest
		}
		var ranks [][]found
		for _, p := range s.parts {
			if p.within {
				continue
			}
			of, err := s.ranked(ctx, p, goal, n)
			if err != nil {
				return nil, err
			}
			ranks = append(ranks, of)
		}
		for at := range n { // the first of each part, then the second
			for _, of := range ranks {
				if at < len(of) {
					if err := add(of[at], func(Candidate) bool { return true }); err != nil {
						return nil, err
					}
				}
			}
		}
		s.name(list)
		return list, nil
	}
	high, low := int64(c.Points[c.Chosen].Values["bytes"]), int64(0)
	for _, p := range c.Points {
		if bytes := int64(p.Values["bytes"]); p.Row != Base && bytes < high && len(p.Misses) > 0 {
			low = max(low, bytes)
		}
	}
	smallest, _ := s.bounds()
	low = max(low, s.rest+smallest-1)
	if high-low < high/nextTo {
		return nil, nil
	}
	between := func(of Candidate) bool { return of.Bytes > low && of.Bytes < high }
	for i := range n {
		for _, p := range s.parts {
			budget := low + (high-low)*int64(i+1)/int64(n) - 1
			if f, ok := p.best(budget - s.rest); ok && s.worth(f) {
				if err := add(f, between); err != nil {
					return nil, err
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	s.name(list)
	return list, nil
}

// nextTo is the part of a size by which two sizes that are next to each other differ at most.
const nextTo = 200

// name gives the candidates of a list their names, which go on from those before.
func (s *Space) name(list []Candidate) {
	for i := range list {
		c := &list[i]
		s.count++
		c.Name = fmt.Sprintf("c%d", s.count)
		if !c.Prunes() {
			continue
		}
		shares := strings.Join(c.MLP, " ")
		if s.pruned[shares] == "" {
			s.pruned[shares] = c.Name
		}
		c.Pruned = s.pruned[shares]
	}
}

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
