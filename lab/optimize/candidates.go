package optimize

import (
	"cmp"
	"context"
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

// way is what is done to one layer: indices of a share and of a scheme, −1 for none.
type way struct{ mlp, scheme int }

// alone reports a number format that no other can stand beside: 3 bits are written as GPTQ, which
// has one format for a file.
func alone(scheme string) bool { return strings.HasPrefix(scheme, "w3") }

// ways lists those for a layer, with what they take and cost: the costs of a share and of a scheme
// are added, and a scheme takes the same share of what stays. Formats that cannot be mixed are
// among them where all is set.
func (l *Layers) ways(layer int, all bool) (ways []way, options []sensitivity.Option) {
	for mlp := -1; mlp < len(l.MLP); mlp++ {
		for scheme := -1; scheme < len(l.Schemes); scheme++ {
			if scheme >= 0 && !all && alone(l.Schemes[scheme]) {
				continue
			}
			bytes, cost := float64(l.Dense[layer]), 0.0
			if mlp >= 0 {
				bytes, cost = float64(l.Bytes[layer][mlp]), l.KL[layer][mlp]
			}
			if at := len(l.MLP) + scheme; scheme >= 0 {
				bytes *= float64(l.Bytes[layer][at]) / float64(l.Dense[layer])
				cost += l.KL[layer][at]
			}
			ways, options = append(ways, way{mlp, scheme}), append(options, sensitivity.Option{Bytes: int64(bytes), Cost: cost})
		}
	}
	return ways, options
}

func (l *Layers) candidate(ways []way) Candidate {
	var c Candidate
	for _, w := range ways {
		mlp, scheme := "0", "none"
		if w.mlp >= 0 {
			mlp = l.MLP[w.mlp]
		}
		if w.scheme >= 0 {
			scheme = l.Schemes[w.scheme]
		}
		c.MLP, c.Schemes = append(c.MLP, mlp), append(c.Schemes, scheme)
	}
	return c
}

// MostSizes bounds the sizes that mixtures are chosen for: each may be a model to build.
const MostSizes = 1000

// Candidates lists what is worth building, the most promising first: the best allocations at
// budgets of bytes between the smallest and the largest, that of the goal among them, and each
// uniform choice that costs no more than the best mixed one of its size allows (1.5 times). rest
// are the bytes of the model that no choice changes, goal those that the whole may take, 0 for no
// bound; n is at most MostSizes.
func (l *Layers) Candidates(ctx context.Context, rest, goal int64, n int) ([]Candidate, error) {
	layers, all := make([][]sensitivity.Option, len(l.Dense)), make([][]sensitivity.Option, len(l.Dense))
	ways, allWays := make([][]way, len(l.Dense)), make([][]way, len(l.Dense))
	dense := rest
	for i := range l.Dense {
		ways[i], layers[i] = l.ways(i, false)
		allWays[i], all[i] = l.ways(i, true)
		dense += l.Dense[i]
	}
	var list []Candidate
	seen := map[string]bool{}
	add := func(chosen []way, bytes int64, kl float64) {
		c := l.candidate(chosen)
		c.Bytes, c.KL = rest+bytes, kl
		if key := fmt.Sprint(c.MLP, c.Schemes); !seen[key] && (c.Prunes() || c.Quantizes()) {
			seen[key] = true
			list = append(list, c)
		}
	}
	mixed := func(a sensitivity.Allocation) {
		var chosen []way
		for i, at := range a.Choice {
			chosen = append(chosen, ways[i][at])
		}
		add(chosen, a.Bytes, a.Cost)
	}
	if goal > rest {
		if a, err := sensitivity.Allocate(ctx, layers, goal-rest); err == nil {
			mixed(a)
		}
	}
	front, err := sensitivity.Front(ctx, layers, n)
	if err != nil {
		return nil, err
	}
	for _, a := range front {
		mixed(a)
	}
	for mlp := -1; mlp < len(l.MLP); mlp++ {
		for scheme := -1; scheme < len(l.Schemes); scheme++ {
			var chosen []way
			bytes, cost := int64(0), 0.0
			for i := range layers {
				at := slices.Index(allWays[i], way{mlp, scheme})
				chosen = append(chosen, allWays[i][at])
				bytes, cost = bytes+all[i][at].Bytes, cost+all[i][at].Cost
			}
			if a, err := sensitivity.Allocate(ctx, layers, bytes); err != nil || cost <= 1.5*a.Cost {
				add(chosen, bytes, cost)
			}
		}
	}
	if err := ctx.Err(); err != nil { // which errors of budgets may be
		return nil, err
	}
	wanted := goal
	if wanted == 0 {
		wanted = dense
	}
	slices.SortStableFunc(list, func(a, b Candidate) int { return cmp.Compare(distance(a.Bytes, wanted), distance(b.Bytes, wanted)) })
	pruned := map[string]string{} // by shares
	for i := range list {
		c := &list[i]
		c.Name = fmt.Sprintf("c%d", i+1)
		if c.Prunes() {
			shares := strings.Join(c.MLP, " ")
			if pruned[shares] == "" {
				pruned[shares] = c.Name
			}
			c.Pruned = pruned[shares]
		}
	}
	return list, nil
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
