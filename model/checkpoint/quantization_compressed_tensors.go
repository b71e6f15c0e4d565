package checkpoint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"slimlab/model/weight"
)

// compressedTensors is the quantization_config of compressed-tensors.
type compressedTensors struct {
	Method      string                 `json:"quant_method"`
	Format      string                 `json:"format"`
	Status      string                 `json:"quantization_status"`
	Compression *float64               `json:"global_compression_ratio"`
	Groups      map[string]configGroup `json:"config_groups"`
	Ignore      []string               `json:"ignore"`
	KVCache     json.RawMessage        `json:"kv_cache_scheme"`
	Sparsity    json.RawMessage        `json:"sparsity_config,omitempty"`
	Transform   json.RawMessage        `json:"transform_config,omitempty"`
	Version     string                 `json:"version,omitempty"`
}

type configGroup struct {
	Targets []string       `json:"targets"`
	Format  string         `json:"format,omitempty"`
	Weights *quantizedArgs `json:"weights"`
	Inputs  *quantizedArgs `json:"input_activations"`
	Outputs *quantizedArgs `json:"output_activations"`
}

type quantizedArgs struct {
	Bits      int             `json:"num_bits"`
	Type      string          `json:"type"`
	Symmetric bool            `json:"symmetric"`
	Strategy  string          `json:"strategy"`
	GroupSize *int            `json:"group_size"`
	Block     json.RawMessage `json:"block_structure,omitempty"`
	Dynamic   bool            `json:"dynamic"`
	ActOrder  json.RawMessage `json:"actorder"`
	Observer  *string         `json:"observer"`
}

// parseCompressedTensors reads the config of compressed-tensors. As in the other parsers, an error
// begins with the key below quantization_config.
func parseCompressedTensors(raw json.RawMessage) (*quantization, error) {
	var f compressedTensors
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, fmt.Errorf("quant_method compressed-tensors: %w", err)
	}
	if f.Status != "" && f.Status != "compressed" {
		return nil, fmt.Errorf("quantization_status: %q is not supported, expected \"compressed\"", f.Status)
	}
	if !absent(f.KVCache) {
		return nil, fmt.Errorf("kv_cache_scheme: %s is not supported, expected null", clip(f.KVCache))
	}
	if !absent(f.Transform) {
		return nil, fmt.Errorf("transform_config: %s is not supported, expected null", clip(f.Transform))
	}
	var sparsity struct{ Format string }
	if !absent(f.Sparsity) && (json.Unmarshal(f.Sparsity, &sparsity) != nil || sparsity.Format != "dense") {
		return nil, fmt.Errorf("sparsity_config: %s is not supported, expected format \"dense\"", clip(f.Sparsity))
	}
	ignore, err := newTargets(f.Ignore)
	if err != nil {
		return nil, fmt.Errorf("ignore: %w", err)
	}
	q := &quantization{ignore: ignore}
	names := make([]string, 0, len(f.Groups))
	for name := range f.Groups {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		g := f.Groups[name]
		s, err := g.storage(f.Format)
		if err == nil {
			var t targets
			t, err = newTargets(g.Targets)
			q.groups = append(q.groups, quantizationGroup{t, s})
		}
		if err != nil {
			return nil, fmt.Errorf("config_groups.%s: %w", name, err)
		}
	}
	return q, nil
}

// storage tells which of the supported forms a group is.
func (g configGroup) storage(format string) (Storage, error) {
	if g.Format != "" {
		format = g.Format
	}
	s := Storage{Packing: Packing(format)}
	if g.Weights == nil {
		return s, fmt.Errorf("weights: found null, expected an object")
	}
	if g.Outputs != nil {
		return s, fmt.Errorf("output_activations are not supported, expected null")
	}
	if g.Weights.Dynamic {
		return s, fmt.Errorf("weights.dynamic: true is not supported, expected false")
	}
	s.Format.Bits = g.Weights.Bits
	if err := g.Weights.weights(&s); err != nil {
		return s, fmt.Errorf("weights%w", err)
	}
	if g.Inputs != nil {
		if err := g.Inputs.activations(&s); err != nil {
			return s, fmt.Errorf("input_activations: %w", err)
		}
	}
	return s, nil
}

// weights says how the weights of s are stored.
func (w *quantizedArgs) weights(s *Storage) error {
	kind, bits, strategies := "int", []int{8}, []string{"channel", "tensor"}
	switch s.Packing {
	case IntQuantized:
	case PackQuantized:
		bits, strategies = []int{4, 8}, []string{"group", "channel"}
		s.Format.ZeroPoints = !w.Symmetric
	case FloatQuantized:
		kind, strategies = "float", []string{"channel", "tensor", "block"}
		s.Format.Float = true
	default:
		return fmt.Errorf(": format %q is not supported, expected pack-quantized, int-quantized or float-quantized", string(s.Packing))
	}
	switch {
	case w.Type != kind || !slices.Contains(bits, w.Bits):
		return fmt.Errorf(": %d-bit %s is not supported for %s, expected %s of %s bits", w.Bits, w.Type, s.Packing, kind, strings.Trim(fmt.Sprint(bits), "[]"))
	case !w.Symmetric && s.Packing != PackQuantized:
		return fmt.Errorf(".symmetric: false is not supported for %s, expected true", s.Packing)
	case !slices.Contains(strategies, w.Strategy):
		return fmt.Errorf(".strategy: %q is not supported for %s, expected %s", w.Strategy, s.Packing, strings.Join(strategies, ", "))
	}
	switch w.Strategy {
	case "group":
		if w.GroupSize == nil || *w.GroupSize < 1 {
			return fmt.Errorf(".group_size: expected a positive number for strategy group")
		}
		s.Format.Group = *w.GroupSize
	case "tensor":
		s.Tensor = true
	case "block":
		if err := json.Unmarshal(w.Block, &s.Format.Block); err != nil || s.Format.Block[0] < 1 || s.Format.Block[1] < 1 {
			return fmt.Errorf(".block_structure: found %s, expected two positive numbers", clip(w.Block))
		}
	}
	switch string(w.ActOrder) {
	case "", "null", "false", `"static"`, `"weight"`:
	case "true", `"group"`, `"dynamic"`:
		if w.Strategy != "group" {
			return fmt.Errorf(".actorder: %s is not supported with strategy %q, expected null", w.ActOrder, w.Strategy)
		}
		s.Format.Order = true
	default:
		return fmt.Errorf(".actorder: %s is not known, expected null, \"static\" or \"group\"", w.ActOrder)
	}
	return nil
}

// activations says how the activations of s are quantized.
func (a *quantizedArgs) activations(s *Storage) error {
	token := a.Symmetric && a.Bits == 8 && a.Dynamic && a.Strategy == "token"
	switch {
	case s.Format.Block != [2]int{} && a.Type == "float" && a.Bits == 8 && a.Dynamic:
		return nil // the weight is then used without its activations' rounding, as Load says
	case s.Packing == FloatQuantized && a.Type == "float" && token, s.Packing == IntQuantized && a.Type == "int" && token:
		s.Format.Activations = weight.Token
		return nil
	case s.Packing == FloatQuantized && a.Type == "float" && a.Symmetric && a.Bits == 8 && !a.Dynamic && a.Strategy == "tensor":
		s.Format.Activations = weight.Static
		return nil
	case s.Packing == PackQuantized && a.Type == "int" && token && s.Format.Bits == 4 && !s.Format.ZeroPoints && !s.Format.Order:
		s.Format.Activations = weight.Token
		return nil
	}
	want := map[Packing]string{
		IntQuantized:   "null, or 8-bit integers, symmetric, dynamic, strategy token",
		FloatQuantized: "null, or 8-bit floats, symmetric, dynamic with strategy token or not with strategy tensor",
		PackQuantized:  "null, or for symmetric 4-bit weights without act-order 8-bit integers, symmetric, dynamic, strategy token",
	}[s.Packing]
	return fmt.Errorf("%d-bit %s, symmetric %t, dynamic %t, strategy %q is not supported, expected %s", a.Bits, a.Type, a.Symmetric, a.Dynamic, a.Strategy, want)
}

// newCompressedTensors writes one scheme for the class Linear that ignores the dense layers, or
// several that target their layers by name.
func newCompressedTensors(layers []layer) *compressedTensors {
	f := &compressedTensors{Method: "compressed-tensors", Status: "compressed", Groups: map[string]configGroup{}, Ignore: []string{}}
	var distinct []Storage
	named := map[Storage][]string{}
	for _, l := range layers {
		if l.storage.Dense() {
			f.Ignore = append(f.Ignore, l.name)
			continue
		}
		if !slices.Contains(distinct, l.storage) {
			distinct = append(distinct, l.storage)
		}
		named[l.storage] = append(named[l.storage], l.name)
	}
	f.Format = string(distinct[0].Packing)
	for i, s := range distinct {
		if string(s.Packing) != f.Format {
			f.Format = "mixed-precision"
		}
		g := s.config()
		g.Targets = named[s]
		if len(distinct) == 1 {
			g.Targets = []string{"Linear"}
		}
		f.Groups[fmt.Sprintf("group_%d", i)] = g
	}
	return f
}

// config is the group of a scheme that Save writes.
func (s Storage) config() configGroup {
	minmax := "minmax"
	g := configGroup{Format: string(s.Packing)}
	g.Weights = &quantizedArgs{Bits: s.Format.Bits, Type: "int", Symmetric: true, Strategy: "channel", Observer: &minmax}
	switch s.Packing {
	case PackQuantized:
		g.Weights.Strategy, g.Weights.GroupSize, g.Weights.Symmetric = "group", &s.Format.Group, !s.Format.ZeroPoints
		if s.Format.Order {
			g.Weights.ActOrder = json.RawMessage(`"group"`)
		}
	case FloatQuantized:
		g.Weights.Type = "float"
	}
	switch s.Format.Activations {
	case weight.Token:
		g.Inputs = &quantizedArgs{Bits: 8, Type: g.Weights.Type, Symmetric: true, Strategy: "token", Dynamic: true}
	case weight.Static:
		g.Inputs = &quantizedArgs{Bits: 8, Type: g.Weights.Type, Symmetric: true, Strategy: "tensor", Observer: &minmax}
	}
	return g
}
