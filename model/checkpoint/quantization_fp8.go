package checkpoint

import (
	"encoding/json"
	"fmt"
	"slices"

	"slimlab/model/weight"
)

func parseFP8(raw json.RawMessage) (*quantization, error) {
	f := struct {
		Activations string   `json:"activation_scheme"`
		Ignored     []string `json:"ignored_layers"`
		Skipped     []string `json:"modules_to_not_convert"`
		Block       []int    `json:"weight_block_size"`
		Kind        string   `json:"fmt"`
		Stored      *bool    `json:"is_checkpoint_fp8_serialized"`
	}{Activations: "dynamic", Kind: "e4m3"}
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, fmt.Errorf("quant_method fp8: %w", err)
	}
	s := Storage{Packing: FP8, Format: weight.Format{Float: true, Bits: 8}, Tensor: true}
	switch {
	case f.Kind != "e4m3":
		return nil, fmt.Errorf("fmt: %q is not supported, expected e4m3", f.Kind)
	case f.Stored != nil && !*f.Stored:
		return nil, fmt.Errorf("is_checkpoint_fp8_serialized: false is not supported, expected true")
	case f.Activations == "dynamic":
		s.Format.Activations = weight.Token
	case f.Activations == "static":
		s.Format.Activations = weight.Static
	default:
		return nil, fmt.Errorf("activation_scheme: %q is not supported, expected dynamic or static", f.Activations)
	}
	if f.Block != nil {
		if len(f.Block) != 2 || f.Block[0] < 1 || f.Block[1] < 1 || s.Format.Activations == weight.Static {
			return nil, fmt.Errorf("weight_block_size: found %d with activation_scheme %s, expected two positive numbers with dynamic", f.Block, f.Activations)
		}
		s.Tensor, s.Format.Block, s.Format.Activations = false, [2]int{f.Block[0], f.Block[1]}, weight.Kept
	}
	ignore, err := newTargets(slices.Concat([]string{"lm_head"}, f.Ignored, f.Skipped))
	if err != nil {
		return nil, fmt.Errorf("ignored_layers: %w", err)
	}
	return uniform(s, ignore), nil
}
