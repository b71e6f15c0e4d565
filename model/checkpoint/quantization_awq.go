package checkpoint

import (
	"encoding/json"
	"fmt"
	"strings"

	"slimlab/model/weight"
)

func parseAWQ(raw json.RawMessage) (*quantization, error) {
	f := struct {
		Bits    int      `json:"bits"`
		Group   *int     `json:"group_size"`
		Zero    bool     `json:"zero_point"`
		Version string   `json:"version"`
		Skipped []string `json:"modules_to_not_convert"`
	}{Bits: 4, Zero: true, Version: "gemm"}
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, fmt.Errorf("quant_method awq: %w", err)
	}
	switch {
	case f.Bits != 4:
		return nil, fmt.Errorf("bits: %d is not supported, expected 4", f.Bits)
	case !strings.EqualFold(f.Version, "gemm"):
		return nil, fmt.Errorf("version: %q is not supported, expected gemm", f.Version)
	case !f.Zero:
		return nil, fmt.Errorf("zero_point: false is not supported, expected true")
	}
	group, err := groupSize(f.Group)
	if err != nil {
		return nil, err
	}
	return uniform(Storage{Packing: AWQ, Format: weight.Format{Bits: 4, Group: group}}, targets{names: []string{"lm_head"}, parts: f.Skipped}), nil
}
