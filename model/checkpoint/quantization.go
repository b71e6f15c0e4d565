package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/internal/regexread"
)

// quantization says how each layer is stored.
type quantization struct {
	groups []quantizationGroup
	ignore targets
	file   string // in which it stands
	method string // of which it is
	// all zero points are the middle of the codes: GPTQ's sym
	symmetric bool
	// the config names no group size: the scales say it
	groupless bool
	// stored is the name of a layer in the files, where that is another one; may be nil
	stored func(layer string) string
}

type quantizationGroup struct {
	targets targets
	storage Storage
}

// of returns how a linear layer is stored, by its name, as the config says. With a nil quantization
// all layers are dense.
func (q *quantization) of(layer string) Storage {
	if q == nil || q.names(q.ignore, layer) {
		return Storage{}
	}
	s, _ := q.target(layer)
	return s
}

// group returns how a linear layer is stored that is quantized against what the config says.
func (q *quantization) group(layer string) Storage {
	s, ok := q.target(layer)
	if last := len(q.groups) - 1; !ok && (last == 0 || last > 0 && q.groups[last].storage.Packing == GPTQ) {
		return q.groups[last].storage
	}
	return s
}

// target returns the storage of the group that a layer is a target of. A target that names the
// layer, or a pattern that it matches, comes before the class Linear.
func (q *quantization) target(layer string) (s Storage, ok bool) {
	for _, g := range q.groups {
		if q.names(g.targets, layer) {
			return g.storage, true
		}
	}
	for _, g := range q.groups {
		if g.targets.match("Linear") {
			return g.storage, true
		}
	}
	return Storage{}, false
}

// names reports whether targets match a layer by its name in the model or in the files.
func (q *quantization) names(t targets, layer string) bool {
	return t.match(layer) || q.stored != nil && t.match(q.stored(layer))
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
		re, err := regexread.Compile(expression, "^(?:%s)")
		if err != nil {
			return t, fmt.Errorf("target %q: %w", target, err)
		}
		t.patterns = append(t.patterns, re)
	}
	return t, nil
}

// ignored are the layers that a list leaves out: names, their ends, and patterns. A pattern that
// cannot be read is noted: what is left out is known by its tensors too.
func ignored(key string, list []string, n *notes) (t targets) {
	for _, target := range list {
		one, err := newTargets([]string{target})
		if err != nil {
			n.add("quantization: %s: %v: the tensors say which layers are quantized", key, err)
			continue
		}
		t.names, t.patterns = append(t.names, one.names...), append(t.patterns, one.patterns...)
	}
	return t
}

func (t targets) match(layer string) bool {
	return slices.ContainsFunc(t.names, func(name string) bool { return layer == name || strings.HasSuffix(layer, "."+name) }) ||
		slices.ContainsFunc(t.patterns, func(re *regexp.Regexp) bool { return re.MatchString(layer) }) ||
		slices.ContainsFunc(t.parts, func(part string) bool { return strings.Contains(layer, part) })
}

// uniform stores all linear layers in one way, except those that ignore matches.
func uniform(s Storage, ignore targets) *quantization {
	return &quantization{groups: []quantizationGroup{{targets{names: []string{"Linear"}}, s}}, ignore: ignore}
}

// gptqConfigName is that of the file beside config.json that readers of GPTQ look for.
const gptqConfigName = "quantize_config.json"

// The files that say how a model is quantized where config.json does not: AutoGPTQ's, AutoAWQ's,
// and that of NVIDIA's ModelOpt.
var quantizationFiles = []struct{ name, method string }{{gptqConfigName, "gptq"}, {"quant_config.json", "awq"}, {"hf_quant_config.json", "modelopt"}}

// quantization reads the section of config.json, by its present name or its former one.
func (k *keys) quantization(n *notes) (*quantization, error) {
	const now, former = "quantization_config", "compression_config"
	switch {
	case !absent(k.raw[now]):
		if !absent(k.raw[former]) && !same(k.raw[now], k.raw[former]) {
			n.add("config.json: %s beside %s differs from it: the latter counts", former, now)
		}
		return parseQuantization(now, k.raw[now], n)
	case !absent(k.raw[former]):
		n.add("config.json: the quantization is that of %s, the former name of %s", former, now)
		return parseQuantization(former, k.raw[former], n)
	}
	return nil, nil
}

// addQuantizationFile reads the quantization from a file of its own, where there is one and
// config.json says nothing, and compares the two where both do.
func (d *description) addQuantizationFile(fsys fs.FS, dir string, n *notes) error {
	for _, file := range quantizationFiles {
		data, err := jsonread.ReadFile(fsys, path.Join(dir, file.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		k := keys{}
		repeats, err := jsonread.DecodeNoting(data, &k.raw)
		if err != nil {
			return fmt.Errorf("%s: %w", file.name, err)
		}
		n.repeats(file.name, repeats)
		if d.quantization != nil {
			d.quantization.compare(file.name, file.method, &k, n)
			continue
		}
		if _, named := k.raw["quant_method"]; !named && k.raw != nil {
			k.raw["quant_method"] = json.RawMessage(`"` + cmp.Or(k.methodByKeys(), file.method) + `"`)
		}
		raw, err := json.Marshal(k.raw)
		if err != nil {
			return fmt.Errorf("%s: %w", file.name, err)
		}
		q, err := parseQuantization("", raw, n)
		if err != nil {
			d.unread = cmp.Or(d.unread, fmt.Errorf("%s: %w", file.name, err))
			continue
		}
		if q != nil {
			q.file, d.quantization = file.name, q
			n.add("the quantization is that of %s: config.json has no quantization_config", file.name)
		}
	}
	if d.unread != nil && d.quantization != nil {
		n.add("%v; the file is not used", d.unread)
		d.unread = nil
	}
	return nil
}

// compare notes where a file of the quantization, which is of a method unless it says otherwise,
// differs from the one that counts.
func (q *quantization) compare(file, method string, k *keys, n *notes) {
	s := q.group("Linear")
	differs := func(key string, found, counts any) {
		n.add("%s: %s is %v, in %s %v: %s counts", file, key, found, q.file, counts, q.file)
	}
	if method = k.text("quant_method", cmp.Or(k.methodByKeys(), method)); method != q.method {
		differs("the method", strconv.Quote(method), strconv.Quote(q.method))
		return
	}
	for _, size := range []struct {
		key   string
		value int
	}{{"bits", s.Format.Bits}, {"w_bit", s.Format.Bits}, {"group_size", s.Format.Group}, {"q_group_size", s.Format.Group}} {
		group := strings.HasSuffix(size.key, "group_size")
		if found, err := widest.whole(k.raw[size.key]); err == nil && found != size.value && !(found == -1 && size.value == 0) && !(group && q.groupless) {
			differs(size.key, found, size.value)
		}
	}
	if s.Packing != GPTQ {
		return
	}
	if order := k.boolean("desc_act", s.Format.Order); order != s.Format.Order {
		differs("desc_act", order, s.Format.Order)
	}
	if sym := k.boolean("sym", q.symmetric); sym != q.symmetric {
		differs("sym", sym, q.symmetric)
	}
	names := map[bool]string{false: "gptq", true: "gptq_v2"}
	if format := k.text("checkpoint_format", names[s.V2]); format != names[s.V2] {
		differs("checkpoint_format", strconv.Quote(format), strconv.Quote(names[s.V2]))
	}
}

// parser reads the section of a method; nil where it is not read.
func parser(method string) func(k *keys, n *notes) *quantization {
	switch method {
	case "compressed-tensors":
		return parseCompressedTensors
	case "gptq":
		return parseGPTQ
	case "awq":
		return parseAWQ
	case "fp8":
		return parseFP8
	case outliersMethod:
		return parseOutliers
	}
	return nil
}

// otherMethods are methods that are not read, and what they are.
var otherMethods = map[string]string{
	"bitsandbytes": "weights in the form of bitsandbytes (NF4, FP4 or LLM.int8)", "hqq": "weights in the form of HQQ", "exl2": "weights in the form of ExLlamaV2",
	"exl3": "weights in the form of ExLlamaV3", "quanto": "weights in the form of Quanto", "torchao": "weights in the form of torchao", "aqlm": "codes of AQLM's codebooks",
	"eetq": "weights in the order of EETQ's kernels", "fbgemm_fp8": "FP8 weights in the form of FBGEMM", "modelopt": "weights in the form of NVIDIA's ModelOpt (FP8, NVFP4)",
	"modelopt_fp4": "NVFP4 weights of NVIDIA's ModelOpt", "mxfp4": "MXFP4 weights: 4-bit floats in blocks of 32 with scales that are powers of two", "quark": "weights in the form of AMD's Quark",
	"higgs": "codes of HIGGS", "vptq": "codes of VPTQ's codebooks", "spqr": "weights in the form of SpQR", "bitnet": "ternary weights of BitNet", "fp_quant": "MXFP4 or NVFP4 weights of FP-Quant",
	"auto-round": "weights in the form of AutoRound", "intel/auto-round": "weights in the form of AutoRound", "finegrained_fp8": "FP8 weights in blocks", "marlin": "weights in the order of Marlin's kernels",
	"ipex": "weights in the form of Intel's IPEX", "quip": "codes of QuIP#'s lattice", "sinq": "weights in the form of SINQ", "gguf": "blocks of GGUF: take the .gguf file itself",
}

// parseQuantization reads a section of config.json, whose key is where, or a file of its own where
// that is ""; null is dense.
func parseQuantization(where string, raw json.RawMessage, n *notes) (*quantization, error) {
	if absent(raw) {
		return nil, nil
	}
	if where != "" {
		where += "."
	}
	k := new(keys)
	if err := jsonread.Decode(raw, &k.raw); err != nil {
		return nil, fmt.Errorf("%s: found %s, expected an object", strings.TrimSuffix(where, "."), jsonread.Clip(raw))
	}
	method := k.text("quant_method", "")
	if method == "" && k.err == nil {
		if method = k.methodByKeys(); method != "" {
			n.add("%squant_method is missing: by the other keys the method is %s", where, method)
		}
	}
	parse := parser(method)
	if parse == nil {
		reason := ""
		if what, ok := otherMethods[method]; ok {
			reason = ": " + what + "; take the model before it was quantized, or one in a form that is read"
		}
		k.fail("quant_method", "%q is not supported, expected compressed-tensors, gptq, awq or fp8%s", method, reason)
		return nil, fmt.Errorf("%s%w", where, k.err)
	}
	q := parse(k, n)
	q.file, q.method = "config.json", method
	if k.err == nil {
		k.check(quantizationTables[method], n, strings.TrimSuffix(where, ".")+" of quant_method "+method)
	}
	if k.err != nil {
		return nil, fmt.Errorf("%s%w", where, k.err)
	}
	return q, nil
}

// methodByKeys tells the method of a section that does not name it, as early ones do not.
func (k *keys) methodByKeys() string {
	for _, sign := range []struct{ key, method string }{
		{"config_groups", "compressed-tensors"}, {"load_in_4bit", "bitsandbytes"}, {"load_in_8bit", "bitsandbytes"}, {"w_bit", "awq"}, {"zero_point", "awq"},
		{"desc_act", "gptq"}, {"sym", "gptq"}, {"activation_scheme", "fp8"}, {"weight_block_size", "fp8"}, {"quant_algo", "modelopt"}, {"quantization", "modelopt"},
	} {
		if k.present(sign.key) {
			return sign.method
		}
	}
	return ""
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
	case slices.ContainsFunc(layers, func(l layer) bool { return l.storage.Outliers != "" }):
		return outliersConfig(layers)
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
