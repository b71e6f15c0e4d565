package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/model/weight"
)

// compressedTensors is the quantization_config of compressed-tensors, as it is written.
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
	ScaleType string          `json:"scale_dtype,omitempty"`
}

// otherFormats are the forms of compressed-tensors that are not read, and what they are.
var otherFormats = map[string]string{
	"mxfp8-quantized":      "MXFP8: FP8 in blocks of 32 with scales that are powers of two (E8M0)",
	"mxfp8-pack-quantized": "MXFP8: FP8 in blocks of 32 with scales that are powers of two (E8M0)",
	"marlin-24":            "4-bit codes of 2:4 sparse weights in the order of Marlin's kernels",
	"sparse-24":            "2:4 sparse weights", "sparse-24-bitmask": "2:4 sparse weights with a bit mask", "sparse-bitmask": "sparse weights with a bit mask",
}

// supportedForms are those that are read.
const supportedForms = "pack-quantized, int-quantized, float-quantized, nvfp4-pack-quantized or mxfp4-pack-quantized"

// format reads the name of a form; fallback stands for a missing one.
func (k *keys) format(fallback string) string {
	format := k.text("format", fallback)
	if what, ok := otherFormats[format]; ok {
		k.fail("format", "%q is not supported (%s), expected %s: take the model before it was compressed, or one in these forms", format, what, supportedForms)
	}
	return format
}

// cacheScheme notes a scheme in which keys and values were to be kept.
func (k *keys) cacheScheme(n *notes) {
	if !absent(k.raw["kv_cache_scheme"]) {
		n.add("kv_cache_scheme: the scheme in which keys and values were to be kept is not used: they are kept as the verb says")
	}
}

// parseCompressedTensors reads the config of compressed-tensors.
func parseCompressedTensors(k *keys, n *notes) *quantization {
	format := k.format("")
	if status := k.choice("quantization_status", "compressed", "compressed", "frozen", "calibration", "initialized"); status != "compressed" {
		n.add("quantization_status is %q where \"compressed\" is usual: the tensors are read as they are there", status)
	}
	k.cacheScheme(n)
	if !absent(k.raw["transform_config"]) {
		k.fail("transform_config", "found %s: rotated weights are not supported, expected null", jsonread.Clip(k.raw["transform_config"]))
	}
	if sparsity := k.object("sparsity_config"); sparsity.raw != nil {
		if f := sparsity.format("dense"); f != "dense" {
			sparsity.fail("format", "%q is not supported, expected \"dense\"", f)
		}
		k.inside("sparsity_config", sparsity)
	}
	q := &quantization{ignore: ignored("ignore", k.strings("ignore"), n)}
	groups := k.object("config_groups")
	names := make([]string, 0, len(groups.raw))
	for name := range groups.raw {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		g := groups.object(name)
		s := g.groupStorage(format, n)
		t, err := newTargets(g.strings("targets"))
		// there is no other group that its layers could belong to
		if err != nil && len(names) == 1 {
			n.add("config_groups.%s: %v: taken for all linear layers", name, err)
			t, err = targets{names: []string{"Linear"}}, nil
		}
		if err != nil {
			g.fail("targets", "%v", err)
		}
		q.groups = append(q.groups, quantizationGroup{t, s})
		groups.inside(name, g)
	}
	k.inside("config_groups", groups)
	return q
}

// groupStorage tells which of the supported forms a group is.
func (k *keys) groupStorage(format string, n *notes) Storage {
	format = k.format(format)
	if !k.present("weights") {
		k.fail("weights", "found null, expected an object")
		return Storage{}
	}
	w := k.arguments("weights", n)
	if bits := k.object("weights"); !bits.present("num_bits") && (format == string(PackQuantized) || format == "") && w.Type == "int" {
		k.fail("weights.num_bits", "the key is missing, expected 4 or 8, the bits of a packed code")
	}
	s := Storage{Packing: packingOf(format, w), Format: weight.Format{Bits: w.Bits}}
	if !absent(k.raw["output_activations"]) {
		k.fail("output_activations", "quantized outputs are not supported, expected null")
	}
	if w.Dynamic != "false" {
		k.fail("weights.dynamic", "%s is not supported, expected false", w.Dynamic)
	}
	if err := w.weights(&s); err != nil && k.err == nil {
		k.err = fmt.Errorf("weights%w", err)
	}
	if !absent(k.raw["input_activations"]) {
		if err := k.arguments("input_activations", n).activations(&s, n); err != nil {
			k.fail("input_activations", "%v", err)
		}
	}
	k.check(groupTable, n, "config_groups")
	return s
}

// packingOf is the packing of a form, by what it holds where the name does not say.
func packingOf(format string, w arguments) Packing {
	switch {
	case format != "naive-quantized" && format != "mixed-precision" && format != "":
		return Packing(format)
	case w.Type == "float" && w.Bits == 4 && w.GroupSize == weight.NVGroup:
		return NVFP4Packed
	case w.Type == "float" && w.Bits == 4:
		return MXFP4Packed
	case w.Type == "float":
		return FloatQuantized
	case w.Bits == 8:
		return IntQuantized
	}
	return PackQuantized
}

// arguments say how numbers are quantized, with the defaults of compressed-tensors.
type arguments struct {
	Bits           int
	Type, Strategy string
	Symmetric      bool
	GroupSize      int // 0 is none
	Block          json.RawMessage
	// "true", "false" or "local", of a scale for each tensor beside those of groups
	Dynamic  string
	ActOrder json.RawMessage
}

// arguments reads one object of a group.
func (k *keys) arguments(key string, n *notes) arguments {
	in := k.object(key)
	a := arguments{
		Bits: in.integer("num_bits", 8), Type: in.choice("type", "int", "int", "float"), Symmetric: in.boolean("symmetric", true),
		GroupSize: max(0, in.integer("group_size", 0)), Block: in.raw["block_structure"], Dynamic: "false", ActOrder: in.raw["actorder"],
	}
	usual := "tensor"
	if a.GroupSize > 0 {
		usual = "group"
	}
	a.Strategy = in.text("strategy", usual)
	if in.present("dynamic") {
		if a.Dynamic = strings.Trim(string(in.raw["dynamic"]), `"`); !slices.Contains([]string{"true", "false", "local"}, a.Dynamic) {
			in.fail("dynamic", "found %s, expected true, false or \"local\"", jsonread.Clip(in.raw["dynamic"]))
		}
	}
	in.check(argumentsTable, n, "config_groups")
	k.inside(key, in)
	return a
}

// weights says how the weights of s are stored. Its errors follow on the word weights.
func (w arguments) weights(s *Storage) error {
	kind, bits, strategies := "int", []int{8}, []string{"channel", "tensor"}
	switch s.Packing {
	case IntQuantized:
	case PackQuantized:
		bits, strategies = []int{4, 8}, []string{"group", "channel"}
		s.Format.ZeroPoints = !w.Symmetric
	case FloatQuantized, E5M2Quantized:
		kind, strategies = "float", []string{"channel", "tensor", "block"}
		s.Format.Float, s.Format.E5M2 = true, s.Packing == E5M2Quantized
	case NVFP4Packed:
		kind, bits, strategies = "float", []int{4}, []string{"tensor_group"}
		s.Format.Float, s.Format.Scales = true, weight.E4M3
	case MXFP4Packed:
		kind, bits, strategies = "float", []int{4}, []string{"group"}
		s.Format.Float, s.Format.Scales = true, weight.E8M0
	default:
		return fmt.Errorf(": format %q is not supported, expected %s", string(s.Packing), supportedForms)
	}
	switch {
	case s.Packing == PackQuantized && w.Bits == 3:
		return errors.New(": 3-bit int is not supported for pack-quantized, whose versions pack 3 bits in two ways that nothing in the file tells apart; expected int of 4 8 bits, or GPTQ")
	case w.Type != kind || !slices.Contains(bits, w.Bits):
		return fmt.Errorf(": %d-bit %s is not supported for %s, expected %s of %s bits", w.Bits, w.Type, s.Packing, kind, strings.Trim(fmt.Sprint(bits), "[]"))
	case !w.Symmetric && s.Packing != PackQuantized:
		return fmt.Errorf(".symmetric: false is not supported for %s, expected true", s.Packing)
	case !slices.Contains(strategies, w.Strategy):
		return fmt.Errorf(".strategy: %q is not supported for %s, expected %s", w.Strategy, s.Packing, strings.Join(strategies, ", "))
	}
	if size := map[Packing]int{NVFP4Packed: weight.NVGroup, MXFP4Packed: weight.MXGroup}[s.Packing]; size > 0 && w.GroupSize != size {
		return fmt.Errorf(".group_size: found %d for %s, expected %d", w.GroupSize, s.Packing, size)
	}
	switch w.Strategy {
	case "group", "tensor_group":
		if w.GroupSize < 1 {
			return errors.New(".group_size: expected a positive number for strategy group")
		}
		s.Format.Group = w.GroupSize
	case "tensor":
		s.Tensor, s.Format.Tensor = !s.Format.Float, s.Format.Float
	case "block":
		if err := jsonread.Decode(w.Block, &s.Format.Block); err != nil || s.Format.Block[0] < 1 || s.Format.Block[1] < 1 {
			return fmt.Errorf(".block_structure: found %s, expected two positive numbers", jsonread.Clip(w.Block))
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
func (a arguments) activations(s *Storage, n *notes) error {
	dynamic := a.Dynamic == "true"
	float8 := s.Packing == FloatQuantized || s.Packing == E5M2Quantized
	token := a.Symmetric && a.Bits == 8 && dynamic && a.Strategy == "token"
	switch {
	case s.Format.Block != [2]int{} && a.Type == "float" && a.Bits == 8 && a.Symmetric && dynamic && (a.Strategy == "group" || a.Strategy == "block"):
		// of as many inputs as the weight's blocks have: of others no maker is known
		s.Format.Activations = weight.Blocks
		return nil
	case s.Format.Block != [2]int{} && a.Type == "float" && a.Bits == 8 && dynamic:
		n.add("config_groups: activations of 8 bits with strategy %q beside weights in blocks are not rounded: they are used as they are", a.Strategy)
		return nil
	case (s.Packing == NVFP4Packed || s.Packing == MXFP4Packed) && a.Type == "float" && a.Bits == 4:
		n.add("config_groups: activations that were to be rounded to 4 bits are not: they are used as they are")
		return nil
	case float8 && a.Type == "float" && token, s.Packing == IntQuantized && a.Type == "int" && token:
		s.Format.Activations = weight.Token
		return nil
	case float8 && a.Type == "float" && a.Symmetric && a.Bits == 8 && a.Dynamic == "false" && a.Strategy == "tensor":
		s.Format.Activations = weight.Static
		return nil
	case s.Packing == PackQuantized && a.Type == "int" && token && s.Format.Bits == 4 && !s.Format.ZeroPoints && !s.Format.Order:
		s.Format.Activations = weight.Token
		return nil
	}
	want := map[Packing]string{
		IntQuantized:   "null, or 8-bit integers, symmetric, dynamic, strategy token",
		FloatQuantized: "null, or 8-bit floats, symmetric, dynamic with strategy token or not with strategy tensor",
		E5M2Quantized:  "null, or 8-bit floats, symmetric, dynamic with strategy token or not with strategy tensor",
		NVFP4Packed:    "null, or 4-bit floats",
		MXFP4Packed:    "null, or 4-bit floats",
		PackQuantized:  "null, or for symmetric 4-bit weights without act-order 8-bit integers, symmetric, dynamic, strategy token",
	}[s.Packing]
	return fmt.Errorf("%d-bit %s, symmetric %t, dynamic %s, strategy %q is not supported, expected %s", a.Bits, a.Type, a.Symmetric, a.Dynamic, a.Strategy, want)
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
	f := &s.Format
	g := configGroup{Format: string(s.Packing)}
	g.Weights = &quantizedArgs{Bits: s.Format.Bits, Type: "int", Symmetric: true, Strategy: "channel", Observer: &minmax}
	switch s.Packing {
	case PackQuantized:
		if g.Weights.Symmetric = !f.ZeroPoints; f.Group > 0 {
			g.Weights.Strategy, g.Weights.GroupSize = "group", &f.Group
		}
		if f.Order {
			g.Weights.ActOrder = json.RawMessage(`"group"`)
		}
	case NVFP4Packed:
		// the names of types are those that PyTorch gives them
		g.Weights.Type, g.Weights.Strategy, g.Weights.GroupSize, g.Weights.ScaleType = "float", "tensor_group", &f.Group, "torch.float8_e4m3fn"
	case MXFP4Packed:
		g.Weights.Type, g.Weights.Strategy, g.Weights.GroupSize, g.Weights.ScaleType = "float", "group", &f.Group, "torch.uint8"
	case FloatQuantized, E5M2Quantized:
		g.Weights.Type = "float"
		switch {
		case f.Tensor:
			g.Weights.Strategy = "tensor"
		case s.blocks():
			g.Weights.Strategy, g.Weights.Block = "block", json.RawMessage(fmt.Sprintf("[%d, %d]", f.Block[0], f.Block[1]))
		}
	}
	switch s.Format.Activations {
	case weight.Token:
		g.Inputs = &quantizedArgs{Bits: 8, Type: g.Weights.Type, Symmetric: true, Strategy: "token", Dynamic: true}
	case weight.Static:
		g.Inputs = &quantizedArgs{Bits: 8, Type: g.Weights.Type, Symmetric: true, Strategy: "tensor", Observer: &minmax}
	case weight.Blocks:
		g.Inputs = &quantizedArgs{Bits: 8, Type: g.Weights.Type, Symmetric: true, Strategy: "group", GroupSize: &f.Block[1], Dynamic: true}
	}
	return g
}
