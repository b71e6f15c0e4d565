package pruning

import (
	"fmt"

	"slimlab/internal/plural"
	"slimlab/model"
	"slimlab/model/calibrate/refine"
)

// Part is the half of a layer that is pruned.
type Part string

// The parts, and what is removed from them.
const (
	Heads Part = "heads" // KV groups: one KV head and the query heads that it serves
	// query heads, the same number of each KV group
	QueryHeads Part = "query_heads"
	MLP        Part = "mlp" // neurons
)

// Error is the squared error of a layer's output on calibration data relative to the squared
// output, tr((W−W₀)ᵀH(W−W₀))/tr(W₀ᵀHW₀).
type Error struct {
	Damped   float64 `json:"damped"`   // with the damped H: what the methods minimise
	Undamped float64 `json:"undamped"` // with H as measured
}

// LayerReport is what happened to one half of one layer.
type LayerReport struct {
	Layer   int   `json:"layer"`
	Part    Part  `json:"part"`
	Before  int   `json:"before"`
	Kept    int   `json:"kept"`    // units
	Support []int `json:"support"` // indices of the kept units, ascending
	// error of the same support without a weight update; absent where there are no tokens to
	// measure it on
	Masked Error `json:"masked,omitzero"`
	// error with the weights as they now are; equal to Masked for methods that do not update
	Updated Error  `json:"updated,omitzero"`
	Start   string `json:"start"` // osscar: the start that won, "greedy" or "magnitude"
	Swaps   int    `json:"swaps"` // osscar: rounds of local search that improved it
	// osscar, where Options.Curve asks for it: the errors of the widths from Before to Kept by the
	// nested supports of its greedy removal, some of them where they are many
	Curve []CurvePoint `json:"curve,omitempty"`
}

// Count is a size before and after.
type Count struct {
	Before int `json:"before"`
	After  int `json:"after"`
}

// Cut is the removed share in per cent.
func (c Count) Cut() float64 {
	if c.Before == 0 {
		return 0
	}
	return 100 * float64(c.Before-c.After) / float64(c.Before)
}

// CutReport is what Prune removed from a model.
type CutReport struct {
	Method  Method  `json:"method"`
	Damping float64 `json:"damping"`
	Align   int     `json:"align"`  // MLP neurons that are kept are a multiple of it
	Tokens  int     `json:"tokens"` // calibration tokens; 0 where the method read none
	// in order of work; halves that kept everything are absent
	Layers []LayerReport `json:"layers"`
	// of the layers that were refined
	Refined []refine.Report `json:"refined,omitempty"`
	// The ratio bases: MLP neurons, KV groups and all stored parameters of the model.
	Neurons    Count    `json:"neurons"`
	KVGroups   Count    `json:"kv_groups"`
	QueryHeads Count    `json:"query_heads,omitzero"` // where they were removed without KV groups
	Parameters Count    `json:"parameters"`
	Warnings   []string `json:"warnings"`
	// of the widths, where they were chosen
	Budget *BudgetReport `json:"budget,omitempty"`
}

// Summary says in one line what was removed, with each ratio's base.
func (o *CutReport) Summary() string {
	s := fmt.Sprintf("%s: ", o.Method)
	if o.Neurons.Before != o.Neurons.After {
		s += fmt.Sprintf("%.1f%% of MLP neurons, ", o.Neurons.Cut())
	}
	if o.KVGroups.Before != o.KVGroups.After {
		s += fmt.Sprintf("%.1f%% of KV groups, ", o.KVGroups.Cut())
	}
	if o.QueryHeads.Before != o.QueryHeads.After {
		s += fmt.Sprintf("%.1f%% of query heads, ", o.QueryHeads.Cut())
	}
	return s + fmt.Sprintf("%.1f%% of all parameters (%d to %d)", o.Parameters.Cut(), o.Parameters.Before, o.Parameters.After)
}

func (o *CutReport) warn(format string, args ...any) {
	o.Warnings = append(o.Warnings, fmt.Sprintf(format, args...))
}

// count completes the sizes of two shapes, and says what loaders elsewhere make of the new one.
func (o *CutReport) count(before, after model.Config) {
	count := func(c model.Config, side func(*Count) *int) {
		for _, l := range c.Layers {
			*side(&o.Neurons) += l.MLP
			*side(&o.KVGroups) += l.KVHeads
			*side(&o.QueryHeads) += l.Heads
		}
		*side(&o.Parameters) = c.Parameters()
	}
	count(before, func(c *Count) *int { return &c.Before })
	count(after, func(c *Count) *int { return &c.After })
	heads := o.QueryHeads
	if o.KVGroups.Before != o.KVGroups.After || heads.Before == heads.After {
		o.QueryHeads = Count{}
	}
	if heads.Before == heads.After {
		return
	}
	if after.Architecture == "Qwen2ForCausalLM" {
		o.warn("some servers compute the head size of Qwen2 as hidden/heads and cannot load a model with pruned heads")
	}
	for i, l := range after.Layers {
		if after.Architecture == "LlamaForCausalLM" && after.Hidden%l.Heads != 0 {
			o.warn("layer %d keeps %s, and the hidden size %d is no multiple of that: transformers refuses such a Llama", i, plural.Of(l.Heads, "query head"), after.Hidden)
			break
		}
	}
}
