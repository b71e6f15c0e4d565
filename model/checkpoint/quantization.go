package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// quantization says how each layer is stored.
type quantization struct {
	groups []quantizationGroup
	ignore targets
}

type quantizationGroup struct {
	targets targets
	storage Storage
}

// of returns how a linear layer is stored, by its name. With a nil quantization all layers are
// dense. A target that names the layer, or a pattern that it matches, comes before the class
// Linear.
func (q *quantization) of(layer string) Storage {
	if q == nil || q.ignore.match(layer) {
		return Storage{}
	}
	for _, g := range q.groups {
		if g.targets.match(layer) {
			return g.storage
		}
	}
	for _, g := range q.groups {
		if g.targets.match("Linear") {
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

func (t targets) match(layer string) bool {
	return slices.Contains(t.names, layer) ||
		slices.ContainsFunc(t.patterns, func(re *regexp.Regexp) bool { return re.MatchString(layer) }) ||
		slices.ContainsFunc(t.parts, func(part string) bool { return strings.Contains(layer, part) })
}

// uniform stores all linear layers in one way, except those that ignore matches.
func uniform(s Storage, ignore targets) *quantization {
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

// quantizationConfig is a quantization_config to be written.
type quantizationConfig = json.RawMessage

// newQuantizationConfig writes how the linear layers are stored, in their order; nil where all are
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
