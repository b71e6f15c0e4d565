package optimize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slimlab/lab"
	"slimlab/lab/sensitivity"
)

// Candidate is a model to build: what is done to each layer, and what that is predicted to cost.
type Candidate struct {
	Name    string
	MLP     []string // of each layer: the share of the neurons that goes, "0" for none
	Schemes []string // of each layer: its number format, "none" for bfloat16
	// the sum of what each layer and the KV cache cost alone, and the bytes of the whole model
	KL    float64
	Bytes int64
	Cache Cache // of its rows; none is named where the search is not about caches
	// the name of the first candidate with the same shares, whose pruned row is this one's too; ""
	// for its own
	Pruned string
}

// Prunes and Quantizes report whether something is done to any layer.
func (c Candidate) Prunes() bool {
	return slices.ContainsFunc(c.MLP, func(x string) bool { return x != "0" })
}
func (c Candidate) Quantizes() bool {
	return slices.ContainsFunc(c.Schemes, func(x string) bool { return x != "none" })
}

// Layers is what a measurement of sensitivity found.
type Layers struct {
	MLP, Schemes []string // the choices by their words
	// by layer; the costs in nats a prediction, first of the shares, then of the schemes
	KL    [][]float64
	Bytes [][]int64
	Dense []int64 // bytes of each layer as it is
}

// mlpPrefix begins the name of a choice that removes neurons.
const mlpPrefix = "mlp "

// ReadLayers takes the measurement from the matrices of a run's step.
func ReadLayers(matrices []lab.MatrixView) (*Layers, error) {
	found := map[string]*lab.Matrix{}
	for _, m := range matrices {
		found[m.Name] = m.Matrix
	}
	kl, bytes := found["KL"], found["layer bytes"]
	if kl == nil || bytes == nil || kl.Rows != bytes.Rows || bytes.Columns != kl.Columns+1 || len(kl.ColumnLabels) != kl.Columns {
		return nil, fmt.Errorf("the run has no measurement of sensitivity: found %d matrices", len(matrices))
	}
	l := &Layers{}
	for _, name := range kl.ColumnLabels {
		if share, ok := strings.CutPrefix(name, mlpPrefix); ok {
			l.MLP = append(l.MLP, share)
		} else {
			l.Schemes = append(l.Schemes, name)
		}
	}
	for row := range kl.Rows {
		costs, sizes := make([]float64, kl.Columns), make([]int64, kl.Columns)
		for j := range costs {
			costs[j], sizes[j] = max(0, kl.At(row, j)), int64(bytes.At(row, j+1))
		}
		l.KL, l.Bytes, l.Dense = append(l.KL, costs), append(l.Bytes, sizes), append(l.Dense, int64(bytes.At(row, 0)))
	}
	return l, nil
}

// Cover are the candidates in which a share, a number format or a format of the KV cache occurs for
// the first time: enough to see that each can be built.
func Cover(candidates []Candidate) (list []Candidate) {
	seen := map[string]bool{}
	for _, c := range candidates {
		before := len(seen)
		for _, word := range slices.Concat(c.MLP, c.Schemes, []string{c.Cache.Name}) {
			seen[word] = true
		}
		if len(seen) > before {
			list = append(list, c)
		}
	}
	return list
}

// distance orders candidates: those within the bound by how much of it they leave, then the others.
func distance(bytes, goal int64) int64 {
	if bytes <= goal {
		return goal - bytes
	}
	return 1<<62 + bytes - goal
}

// Describe says what is done to the layers: "layers 0-2: w4a16; layer 3: 30% of the neurons, w8a8".
func (c Candidate) Describe() string {
	var parts []string
	for from := 0; from < len(c.Schemes); {
		to := from + 1
		for to < len(c.Schemes) && c.Schemes[to] == c.Schemes[from] && c.MLP[to] == c.MLP[from] {
			to++
		}
		name := fmt.Sprintf("layer %d", from)
		if to-from > 1 {
			name = fmt.Sprintf("layers %d-%d", from, to-1)
		}
		var done []string
		if c.MLP[from] != "0" {
			done = append(done, "up to "+c.MLP[from]+" of the neurons go")
		}
		if c.Schemes[from] != "none" {
			done = append(done, c.Schemes[from])
		}
		if len(done) == 0 {
			done = append(done, "as it is")
		}
		parts = append(parts, name+": "+strings.Join(done, ", "))
		from = to
	}
	if c.Cache.Name != "" {
		parts = append(parts, "KV cache in "+c.Cache.Name)
	}
	return strings.Join(parts, "; ")
}

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

// More lists up to n models that are worth building after some were measured, without those. Where
// one was chosen they are smaller ones that may reach the goals too. Where none reaches all, they
// are those within the goal's bytes (0 for no bound) that cost least, of all parts; then those
// above it that are smaller than what misses the bytes alone. There are none where nothing is left,
// or the sizes are next to each other.
func (s *Space) More(ctx context.Context, c Choice, goal int64, n int) (list []Candidate, err error) {
	add := func(f found, fits func(Candidate) bool) error {
		of, ok, err := s.candidate(f)
		if ok && err == nil && len(list) < n && fits(of) {
			s.seen[of.key()] = true
			list = append(list, of)
		}
		return err
	}
	if c.Chosen >= 0 {
		err = s.below(ctx, c, c.Chosen, 0, n, add)
		s.name(list)
		return list, err
	}
	most := goal
	if goal == 0 {
		_, largest := s.bounds()
		most = s.rest + largest
	}
	var ranks [][]found
	for _, p := range s.parts {
		if p.within {
			continue
		}
		of, err := s.ranked(ctx, p, most, n)
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
	if over := c.over(); over >= 0 && goal > 0 && len(list) < n {
		err = s.below(ctx, c, over, goal, n-len(list), add)
	}
	s.name(list)
	return list, err
}

// below adds models that are smaller than a point and above a floor of bytes: of each part the best
// at sizes down to that of its largest row that misses a goal and was the best of its size, where
// it does not cost far more than the best of all parts, by what their rows were found to lose.
func (s *Space) below(ctx context.Context, c Choice, point int, floor int64, n int, add func(f found, fits func(Candidate) bool) error) error {
	high := int64(c.Points[point].Values["bytes"])
	reached := map[string]bool{} // with some KV cache
	for _, p := range c.Points {
		if !p.loses() {
			reached[p.of.key()] = true
		}
	}
	type interval struct {
		*part
		low int64
	}
	var open []interval
	ratios := s.ratios(c)
	for _, p := range s.parts {
		low := max(floor, s.rest+p.smallest()-1)
		for _, r := range c.Points {
			bytes := int64(r.Values["bytes"])
			if r.Row == Base || bytes >= high || bytes <= low || !r.Predicted || !r.loses() || reached[r.of.key()] || !p.has(r.of) {
				continue
			}
			// where another of that size is predicted to lose less, the row says nothing of it
			if f, ok := p.best(bytes - s.rest); ok && r.PredictedKL-r.Cache.KL <= f.Cost+1e-12 {
				low = bytes
			}
		}
		if high-low >= max(1, high/nextTo) {
			open = append(open, interval{p, low})
		}
	}
	if len(open) == 0 {
		return nil
	}
	sizes := (n + len(open) - 1) / len(open) // of each part
	for i := range sizes {
		for _, p := range open {
			budget := p.low + (high-p.low)*int64(i+1)/int64(sizes) - 1
			f, ok := p.best(budget - s.rest)
			if !ok || ratios[p.part]*f.Cost > closeBy*s.least(f.Bytes, ratios) {
				continue
			}
			if err := add(f, func(of Candidate) bool { return of.Bytes > p.low && of.Bytes < high }); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// ratios are, by part, how many times what was predicted its rows were found to lose; 1 where it
// has none.
func (s *Space) ratios(c Choice) map[*part]float64 {
	ratios := map[*part]float64{}
	for _, p := range s.parts {
		sum, n := 0.0, 0
		for _, r := range c.Points {
			if kl, ok := r.Values["kl"]; ok && kl > 0 && r.Predicted && r.PredictedKL > 0 && p.has(r.of) {
				sum, n = sum+kl/r.PredictedKL, n+1
			}
		}
		if ratios[p] = 1; n > 0 {
			ratios[p] = sum / float64(n)
		}
	}
	return ratios
}

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
