package optimize

import (
	"fmt"
	"slices"
	"strings"

	"slimlab/lab"
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
