package pruning

import "fmt"

// Part is the half of a layer that is pruned.
type Part string

// The parts, and what is removed from them.
const (
	Heads Part = "heads" // KV groups: one KV head and the query heads that it serves
	MLP   Part = "mlp"   // neurons
)

// Error is the squared error of a layer's output on calibration data relative to the squared
// output, tr((W−W₀)ᵀH(W−W₀))/tr(W₀ᵀHW₀).
type Error struct {
	Damped   float64 // with the damped H: what the methods minimise
	Undamped float64 // with H as measured
}

// LayerReport is what happened to one half of one layer.
type LayerReport struct {
	Layer        int
	Part         Part
	Before, Kept int   // units
	Support      []int // indices of the kept units, ascending
	Masked       Error // error of the same support without a weight update
	// error with the weights as they now are; equal to Masked for methods that do not update
	Updated Error
	Start   string // osscar: the start that won, "greedy" or "magnitude"
	Swaps   int    // osscar: rounds of local search that improved it
}

// Count is a size before and after.
type Count struct{ Before, After int }

// Cut is the removed share in per cent.
func (c Count) Cut() float64 {
	if c.Before == 0 {
		return 0
	}
	return 100 * float64(c.Before-c.After) / float64(c.Before)
}

// Report is the outcome of Prune.
type Report struct {
	Method  Method
	Damping float64
	Tokens  int           // calibration tokens
	Layers  []LayerReport // in order of work; halves that kept everything are absent
	// The ratio bases: MLP neurons, KV groups and all stored parameters of the model.
	Neurons, KVGroups, Parameters Count
	Warnings                      []string
}

// Summary says in one line what was removed, with each ratio's base.
func (r Report) Summary() string {
	s := fmt.Sprintf("%s: ", r.Method)
	if r.Neurons.Before != r.Neurons.After {
		s += fmt.Sprintf("%.1f%% of MLP neurons, ", r.Neurons.Cut())
	}
	if r.KVGroups.Before != r.KVGroups.After {
		s += fmt.Sprintf("%.1f%% of KV groups, ", r.KVGroups.Cut())
	}
	return s + fmt.Sprintf("%.1f%% of all parameters (%d to %d)", r.Parameters.Cut(), r.Parameters.Before, r.Parameters.After)
}

// Step reports one finished half of a layer.
type Step struct {
	Done, Total int
	Layer       LayerReport
}
