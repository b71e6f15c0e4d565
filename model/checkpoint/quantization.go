package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"slimlab/model/weight"
)

// quantization says which scheme a layer has.
type quantization struct {
	groups []quantizationGroup
	ignore targets
}

type quantizationGroup struct {
	targets targets
	storage Storage
}

// of returns the scheme of a linear layer by its name. A nil quantization is dense throughout. A
// target that names the layer, or a pattern that it matches, comes before the class Linear.
func (q *quantization) of(layer string) Storage {
	if q == nil || q.ignore.mean(layer) {
		return Storage{}
	}
	for _, g := range q.groups {
		if g.targets.mean(layer) {
			return g.storage
		}
	}
	for _, g := range q.groups {
		if g.targets.mean("Linear") {
			return g.storage
		}
	}
	return Storage{}
}

// targets are names of layers, or of the class Linear, patterns for the beginning of names, written
// "re:…", and parts of names.
type targets struct {
	names    []string
	patterns []*regexp.Regexp
	parts    []string
}

func newTargets(list []string) (t targets, err error) {
	for _, target := range list {
		expression, ok := strings.CutPrefix(target, "re:")
		if !ok {
			t.names = append(t.names, target)
			continue
		}
		re, err := regexp.Compile("^(?:" + expression + ")")
		if err != nil {
			return t, fmt.Errorf("target %q: %w", target, err)
		}
		t.patterns = append(t.patterns, re)
	}
	return t, nil
}

func (t targets) mean(layer string) bool {
	return slices.Contains(t.names, layer) ||
		slices.ContainsFunc(t.patterns, func(re *regexp.Regexp) bool { return re.MatchString(layer) }) ||
		slices.ContainsFunc(t.parts, func(part string) bool { return strings.Contains(layer, part) })
}

// throughout is one scheme for all linear layers but those that ignore means.
func throughout(s Storage, ignore targets) *quantization {
	return &quantization{[]quantizationGroup{{targets{names: []string{"Linear"}}, s}}, ignore}
}

// parseQuantization reads a quantization_config; null is dense.
func parseQuantization(raw json.RawMessage) (q *quantization, err error) {
	if absent(raw) {
		return nil, nil
	}
	var method struct {
		Method string `json:"quant_method"`
	}
	if err := json.Unmarshal(raw, &method); err != nil {
		return nil, fmt.Errorf("quantization_config: %w", err)
	}
	switch method.Method {
	case "compressed-tensors":
		q, err = parseCompressedTensors(raw)
	case "gptq":
		q, err = parseGPTQ(raw)
	case "awq":
		q, err = parseAWQ(raw)
	case "fp8":
		q, err = parseFP8(raw)
	default:
		err = fmt.Errorf("quant_method: %q is not supported, expected compressed-tensors, gptq, awq or fp8", method.Method)
	}
	if err != nil {
		return nil, fmt.Errorf("quantization_config.%w", err)
	}
	return q, nil
}

// absent reports whether a value is not there, null, or an empty object or list.
func absent(raw json.RawMessage) bool {
	switch string(bytes.TrimSpace(raw)) {
	case "", "null", "{}", "[]":
		return true
	}
	return false
}

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

// parseCompressedTensors names the key of an error after "quantization_config.", as do its
// brothers.
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
	return throughout(s, ignore), nil
}

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
	return throughout(Storage{Packing: AWQ, Format: weight.Format{Bits: 4, Group: group}}, targets{names: []string{"lm_head"}, parts: f.Skipped}), nil
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
	return throughout(s, ignore), nil
}

// quantizationConfig is a quantization_config to be written.
type quantizationConfig = json.RawMessage

// newQuantizationConfig writes the schemes of the linear layers, in their order; nil where all are
// dense.
func newQuantizationConfig(layers []layer) (*quantizationConfig, error) {
	first := slices.IndexFunc(layers, func(l layer) bool { return !l.storage.Dense() })
	switch {
	case first < 0:
		return nil, nil
	case layers[first].storage.Packing == GPTQ:
		return gptqConfig(layers)
	}
	return marshalled(newCompressedTensors(layers))
}

func marshalled(v any) (*quantizationConfig, error) {
	data, err := json.Marshal(v)
	raw := quantizationConfig(data)
	return &raw, err
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
