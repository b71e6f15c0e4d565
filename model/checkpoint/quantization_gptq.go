package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/model/weight"
)

// parseGPTQ reads the config of AutoGPTQ, GPTQModel and optimum.
func parseGPTQ(k *keys, n *notes) *quantization {
	s := Storage{Packing: GPTQ, Format: weight.Format{Bits: k.integer("bits", required), Order: k.boolean("desc_act", false)}}
	k.gptqBits("bits", s.Format.Bits)
	format := k.text("checkpoint_format", k.text("format", "gptq"))
	if marlin := k.boolean("is_marlin_format", false); marlin || format != "gptq" && format != "gptq_v2" {
		k.fail("checkpoint_format", "%q (is_marlin_format %t) is not supported, expected gptq or gptq_v2", format, marlin)
	}
	s.V2 = format == "gptq_v2"
	k.choice("pack_dtype", "int32", "int32")
	s.Format.Group = k.groups(k.integer("group_size", 128))
	ignore := targets{parts: k.strings("modules_to_not_convert")}
	if !k.boolean("lm_head", false) {
		ignore.names = []string{"lm_head"}
	}
	q := uniform(s, ignore)
	q.symmetric, q.groupless = k.boolean("sym", true), !k.present("group_size")
	k.onlyModules(q)
	k.dynamic(q, s, n)
	return q
}

func (k *keys) gptqBits(key string, bits int) {
	if bits != 3 && bits != 4 && bits != 8 {
		k.fail(key, "%d is not supported, expected 3, 4 or 8", bits)
	}
}

// groups reads the group size of GPTQ and AWQ: -1 is all the inputs.
func (k *keys) groups(n int) int {
	switch {
	case n == -1:
		return 0
	case n < 1:
		k.fail("group_size", "found %d, expected -1 or a positive number", n)
	}
	return n
}

// onlyModules reads the modules of a block that are quantized, in optimum's lists of lists: all
// others are left out.
func (k *keys) onlyModules(q *quantization) {
	const key = "modules_in_block_to_quantize"
	if !k.present(key) {
		return
	}
	var lists [][]string
	if err := jsonread.Decode(k.raw[key], &lists); err != nil {
		lists = [][]string{value(k, key, []string(nil), "a list of names, or of lists of names")}
	}
	var only targets
	for _, list := range lists {
		only.names = append(only.names, list...)
	}
	if len(only.names) > 0 {
		q.groups[0].targets = only
	}
}

// dynamic reads GPTQModel's rules: patterns of names that are left out ("-:…"), or quantized
// otherwise ("+:…", or without a sign). The first that matches counts.
func (k *keys) dynamic(q *quantization, s Storage, n *notes) {
	if absent(k.raw["dynamic"]) || string(k.raw["dynamic"]) == "false" {
		return
	}
	rules, err := pairs(k.raw["dynamic"])
	if err != nil {
		k.fail("dynamic", "found %s, expected an object", jsonread.Clip(k.raw["dynamic"]))
		return
	}
	var groups []quantizationGroup
	for _, rule := range rules {
		if pattern, out := strings.CutPrefix(rule.key, "-:"); out {
			left := ignored("dynamic", []string{"re:" + pattern}, n)
			q.ignore.patterns = append(q.ignore.patterns, left.patterns...)
			continue
		}
		t, err := newTargets([]string{"re:" + strings.TrimPrefix(rule.key, "+:")})
		if err != nil {
			k.fail("dynamic", "%v", err)
			return
		}
		in, other := new(keys), s
		if err := jsonread.Decode(rule.value, &in.raw); err != nil {
			in.fail(rule.key, "found %s, expected an object", jsonread.Clip(rule.value))
		}
		other.Format.Bits, other.Format.Order = in.integer("bits", s.Format.Bits), in.boolean("desc_act", s.Format.Order)
		in.gptqBits("bits", other.Format.Bits)
		if in.present("group_size") {
			other.Format.Group = in.groups(in.integer("group_size", 0))
		}
		k.inside("dynamic", in)
		groups = append(groups, quantizationGroup{t, other})
	}
	q.groups = append(groups, q.groups...)
}

// pair is a key of an object and its value.
type pair struct {
	key   string
	value json.RawMessage
}

// pairs reads an object whose keys have an order.
func pairs(object json.RawMessage) (list []pair, err error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, fmt.Errorf("found %s, expected an object", jsonread.Clip(object))
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		p := pair{key: token.(string)} // in an object, More is followed by a key
		if err := d.Decode(&p.value); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
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
	format := "gptq"
	if s.V2 {
		format = "gptq_v2"
	}
	group := s.Format.Group
	if group == 0 {
		group = -1 // all the inputs
	}
	return marshalled(gptqFile{Method: "gptq", Bits: s.Format.Bits, Group: group, Symmetric: !s.V2, Format: format, PackDType: "int32",
		Meta: map[string]any{"quantizer": []string{"slimlab"}}})
}
