package checkpoint

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// scheme is how a linear layer is stored. The zero value is dense.
type scheme struct {
	bits            int  // 8 for W8A8, 4 for W4A16 or W4A8; 0 is dense
	group           int  // for 4 bits: inputs a scale; 0 is all the inputs of a channel
	int8Activations bool // W8A8 or W4A8
}

func (s scheme) format() string {
	if s.bits == 8 {
		return "int-quantized"
	}
	return "pack-quantized"
}

// quantization says which scheme a layer has, as compressed-tensors' quantization_config does.
type quantization struct {
	groups []quantizationGroup
	ignore targets
}

type quantizationGroup struct {
	targets targets
	scheme  scheme
}

// of returns the scheme of a linear layer by its name. A nil quantization is dense throughout. A target that
// names the layer, or a pattern that it matches, comes before the class Linear.
func (q *quantization) of(layer string) scheme {
	if q == nil || q.ignore.mean(layer) {
		return scheme{}
	}
	for _, g := range q.groups {
		if g.targets.mean(layer) {
			return g.scheme
		}
	}
	for _, g := range q.groups {
		if g.targets.mean("Linear") {
			return g.scheme
		}
	}
	return scheme{}
}

// targets are names of layers, or of the class Linear, and patterns for the beginning of names, written "re:…".
type targets struct {
	names    []string
	patterns []*regexp.Regexp
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
	return slices.Contains(t.names, layer) || slices.ContainsFunc(t.patterns, func(re *regexp.Regexp) bool { return re.MatchString(layer) })
}

// quantizationConfig is the quantization_config of compressed-tensors.
type quantizationConfig struct {
	Method      string                 `json:"quant_method"`
	Format      string                 `json:"format"`
	Status      string                 `json:"quantization_status"`
	Compression *float64               `json:"global_compression_ratio"`
	Groups      map[string]configGroup `json:"config_groups"`
	Ignore      []string               `json:"ignore"`
	KVCache     json.RawMessage        `json:"kv_cache_scheme"`
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
	Dynamic   bool            `json:"dynamic"`
	ActOrder  json.RawMessage `json:"actorder"`
	Observer  *string         `json:"observer"`
}

// parseQuantization reads a quantization_config; null is dense.
func parseQuantization(raw json.RawMessage) (*quantization, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var method struct {
		Method string `json:"quant_method"`
	}
	if err := json.Unmarshal(raw, &method); err != nil {
		return nil, fmt.Errorf("quantization_config: %w", err)
	}
	if method.Method != "compressed-tensors" {
		return nil, fmt.Errorf("quantization_config.quant_method: %q is not supported, expected \"compressed-tensors\"", method.Method)
	}
	var f quantizationConfig
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, fmt.Errorf("quantization_config: %w", err)
	}
	if f.Status != "" && f.Status != "compressed" {
		return nil, fmt.Errorf("quantization_config.quantization_status: %q is not supported, expected \"compressed\"", f.Status)
	}
	if len(f.KVCache) > 0 && string(f.KVCache) != "null" {
		return nil, fmt.Errorf("quantization_config.kv_cache_scheme: %s is not supported, expected null", clip(f.KVCache))
	}
	ignore, err := newTargets(f.Ignore)
	if err != nil {
		return nil, fmt.Errorf("quantization_config.ignore: %w", err)
	}
	q := &quantization{ignore: ignore}
	names := make([]string, 0, len(f.Groups))
	for name := range f.Groups {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		g := f.Groups[name]
		s, err := g.scheme(f.Format)
		if err == nil {
			var t targets
			t, err = newTargets(g.Targets)
			q.groups = append(q.groups, quantizationGroup{t, s})
		}
		if err != nil {
			return nil, fmt.Errorf("quantization_config.config_groups.%s: %w", name, err)
		}
	}
	return q, nil
}

// scheme tells which of the supported forms a group is.
func (g configGroup) scheme(format string) (scheme, error) {
	if g.Format != "" {
		format = g.Format
	}
	w := g.Weights
	if w == nil || w.Type != "int" || !w.Symmetric || w.Dynamic {
		return scheme{}, fmt.Errorf("weights: expected symmetric, static integers")
	}
	if len(w.ActOrder) > 0 && string(w.ActOrder) != "null" && string(w.ActOrder) != `"static"` && string(w.ActOrder) != `"weight"` {
		return scheme{}, fmt.Errorf("weights.actorder: %s is not supported, expected null or \"static\"", w.ActOrder)
	}
	s := scheme{bits: w.Bits, int8Activations: g.Inputs != nil}
	activations := "8-bit integers, symmetric, dynamic, strategy token"
	switch {
	case g.Outputs != nil:
		return scheme{}, fmt.Errorf("output_activations are not supported, expected null")
	case format == "int-quantized" && w.Bits == 8 && w.Strategy == "channel":
	case format == "pack-quantized" && w.Bits == 4 && w.Strategy == "channel":
		activations = "null, or " + activations
	case format == "pack-quantized" && w.Bits == 4 && w.Strategy == "group":
		if w.GroupSize == nil || *w.GroupSize < 1 {
			return scheme{}, fmt.Errorf("weights.group_size: expected a positive number for strategy group")
		}
		s.group, activations = *w.GroupSize, "null, or "+activations
	default:
		return scheme{}, fmt.Errorf("format %q with %d-bit weights, strategy %q is not supported, expected int-quantized with 8-bit channels, or pack-quantized with 4-bit groups or channels",
			format, w.Bits, w.Strategy)
	}
	if in := g.Inputs; in == nil && w.Bits == 8 ||
		in != nil && (in.Bits != 8 || in.Type != "int" || !in.Symmetric || !in.Dynamic || in.Strategy != "token") {
		return scheme{}, fmt.Errorf("input_activations: expected %s", activations)
	}
	return s, nil
}

// newQuantizationConfig writes the schemes of the linear layers, in their order; nil where all are dense. One scheme targets the
// class Linear and ignores the dense layers; several target their layers by name.
func newQuantizationConfig(layers []string, schemes []scheme) *quantizationConfig {
	f := &quantizationConfig{Method: "compressed-tensors", Status: "compressed", Groups: map[string]configGroup{}, Ignore: []string{}}
	var distinct []scheme
	named := map[scheme][]string{}
	for i, s := range schemes {
		if s.bits == 0 {
			f.Ignore = append(f.Ignore, layers[i])
			continue
		}
		if !slices.Contains(distinct, s) {
			distinct = append(distinct, s)
		}
		named[s] = append(named[s], layers[i])
	}
	if len(distinct) == 0 {
		return nil
	}
	f.Format = distinct[0].format()
	for i, s := range distinct {
		if s.format() != f.Format {
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

func (s scheme) config() configGroup {
	minmax := "minmax"
	g := configGroup{Format: s.format()}
	if s.int8Activations {
		g.Inputs = &quantizedArgs{Bits: 8, Type: "int", Symmetric: true, Strategy: "token", Dynamic: true}
	}
	if s.bits == 8 {
		g.Weights = &quantizedArgs{Bits: 8, Type: "int", Symmetric: true, Strategy: "channel", Observer: &minmax}
		return g
	}
	g.Weights = &quantizedArgs{Bits: 4, Type: "int", Symmetric: true, Strategy: "group", GroupSize: &s.group, Observer: &minmax}
	return g
}

// packedWords is the int32 words of a row of 4-bit codes.
func packedWords(in int) int { return (in + 7) / 8 }

// packInt4 packs codes q [out, in], each −8…7, to words [out, ⌈in/8⌉]: column 8w+n is nibble n of word w as q+8, and what is beyond a
// row's end is zero.
func packInt4(q []int8, out, in int) []int32 {
	n := packedWords(in)
	words := make([]int32, out*n)
	for o := range out {
		for i, v := range q[o*in : (o+1)*in] {
			words[o*n+i/8] |= int32(uint32(v+8) << (4 * (i % 8)))
		}
	}
	return words
}

// unpackInt4 is the inverse of packInt4.
func unpackInt4(words []int32, out, in int) []int8 {
	n := packedWords(in)
	q := make([]int8, out*in)
	for o := range out {
		for i := range in {
			q[o*in+i] = int8(uint32(words[o*n+i/8])>>(4*(i%8))&15) - 8
		}
	}
	return q
}
