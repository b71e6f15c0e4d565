package checkpoint

import (
	"encoding/json"
	"fmt"

	"slimlab/model/weight"
)

func parseGPTQ(raw json.RawMessage) (*quantization, error) {
	var f struct {
		Bits      int             `json:"bits"`
		Group     *int            `json:"group_size"`
		Order     bool            `json:"desc_act"`
		Format    string          `json:"checkpoint_format"`
		Head      bool            `json:"lm_head"`
		PackDType string          `json:"pack_dtype"`
		Dynamic   json.RawMessage `json:"dynamic"`
		Marlin    bool            `json:"is_marlin_format"`
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, fmt.Errorf("quant_method gptq: %w", err)
	}
	s := Storage{Packing: GPTQ, Format: weight.Format{Bits: f.Bits, Order: f.Order}, V2: f.Format == "gptq_v2"}
	switch {
	case f.Bits != 4 && f.Bits != 8:
		return nil, fmt.Errorf("bits: %d is not supported, expected 4 or 8", f.Bits)
	case f.Marlin || f.Format != "" && f.Format != "gptq" && f.Format != "gptq_v2":
		return nil, fmt.Errorf("checkpoint_format: %q (is_marlin_format %t) is not supported, expected gptq or gptq_v2", f.Format, f.Marlin)
	case f.PackDType != "" && f.PackDType != "int32":
		return nil, fmt.Errorf("pack_dtype: %q is not supported, expected int32", f.PackDType)
	case !absent(f.Dynamic):
		return nil, fmt.Errorf("dynamic: %s is not supported, expected none: one scheme for all layers", clip(f.Dynamic))
	}
	var err error
	if s.Format.Group, err = groupSize(f.Group); err != nil {
		return nil, err
	}
	var ignore targets
	if !f.Head {
		ignore.names = []string{"lm_head"}
	}
	return uniform(s, ignore), nil
}

// groupSize reads the group size of GPTQ and AWQ: -1 is all the inputs, none is 128.
func groupSize(n *int) (int, error) {
	switch {
	case n == nil:
		return 128, nil
	case *n == -1:
		return 0, nil
	case *n < 1:
		return 0, fmt.Errorf("group_size: found %d, expected -1 or a positive number", *n)
	}
	return *n, nil
}

// gptqFile is the quantization_config of GPTQ, which is also quantize_config.json.
type gptqFile struct {
	Method    string         `json:"quant_method"`
	Bits      int            `json:"bits"`
	Group     int            `json:"group_size"`
	Order     bool           `json:"desc_act"`
	Symmetric bool           `json:"sym"`
	Format    string         `json:"checkpoint_format"`
	Head      bool           `json:"lm_head"`
	PackDType string         `json:"pack_dtype"`
	Meta      map[string]any `json:"meta"`
}

// gptqConfig is possible where all layers but the head have one scheme.
func gptqConfig(layers []layer) (*quantizationConfig, error) {
	s := layers[0].storage
	for _, l := range layers {
		if head := l.name == "lm_head"; head && !l.storage.Dense() || !head && l.storage != s {
			return nil, fmt.Errorf("%s: its scheme differs from that of %s: GPTQ has one scheme for all linear layers, and a dense head", l.name, layers[0].name)
		}
	}
	return marshalled(gptqFile{Method: "gptq", Bits: s.Format.Bits, Group: s.Format.Group, Symmetric: true, Format: "gptq", PackDType: "int32",
		Meta: map[string]any{"quantizer": []string{"slimlab"}}})
}
