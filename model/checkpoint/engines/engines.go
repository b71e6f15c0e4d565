package engines

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/model/weight"
)

// Compatibility is what an engine would do with a checkpoint.
type Compatibility struct {
	Engine  string   `json:"engine"` // "transformers", "vLLM", "SGLang" or "llama.cpp"
	Loads   bool     `json:"loads"`
	Reasons []string `json:"reasons,omitempty"` // why it does not, or what to check where it does
	Instead []string `json:"instead,omitempty"` // what would load; nil where it does
}

// String is the compatibility in a line, without the engine's name.
func (v Compatibility) String() string {
	s := "loads"
	if !v.Loads {
		s = "does not load"
	}
	if why := v.Why(); why != "" {
		s += ": " + why
	}
	return s
}

// Why is what String says behind whether it loads: the reasons, and what would load.
func (v Compatibility) Why() string {
	s := strings.Join(v.Reasons, "; ")
	if len(v.Instead) > 0 {
		s += ". Instead: " + strings.Join(v.Instead, "; ")
	}
	return s
}

func (v *Compatibility) refuse(instead, reason string, args ...any) {
	v.Loads = false
	v.Reasons = append(v.Reasons, fmt.Sprintf(reason, args...))
	if instead != "" && !slices.Contains(v.Instead, instead) {
		v.Instead = append(v.Instead, instead)
	}
}

func (v *Compatibility) note(text string, args ...any) {
	v.Reasons = append(v.Reasons, fmt.Sprintf(text, args...))
}

// Check is CheckShape of an opened checkpoint, with the storage that most of its linear layers
// have.
func Check(c *checkpoint.Checkpoint) []Compatibility {
	count, most := map[checkpoint.Storage]int{}, checkpoint.Storage{}
	for _, l := range c.Quantization() {
		if count[l.Storage]++; count[l.Storage] > count[most] {
			most = l.Storage
		}
	}
	list := CheckResult(c, c.Config(), most)
	if t, err := c.Tokenizer(); most.Packing == checkpoint.GGUF && t == nil && err == nil {
		for i := range list {
			if v := &list[i]; v.Engine == "llama.cpp" && v.Loads {
				v.note("for token ids alone, since the file has no tokenizer")
			}
		}
	}
	return list
}

// CheckResult is CheckShape of what is made of a checkpoint, which keeps its tokenizer: a GGUF file
// is advised with what is lost where it cannot hold that.
func CheckResult(c *checkpoint.Checkpoint, shape model.Config, s checkpoint.Storage) []Compatibility {
	list := CheckShape(shape, s)
	t, err := c.Tokenizer()
	if err != nil || t == nil {
		return list
	}
	if _, err := t.Vocabulary(); err == nil {
		return list
	}
	for i := range list {
		for j, instead := range list[i].Instead {
			if strings.HasPrefix(instead, ggufFile) {
				list[i].Instead[j] += " without its tokenizer, which GGUF has no words for: it takes token ids alone, and slimlab export --without-tokenizer writes it"
			}
		}
	}
	return list
}

// ggufFile begins the advice to write one.
const ggufFile = "a GGUF file"

// CheckShape says which engines would load a model of a shape whose linear layers, but not the
// head, are stored in one way, on one GPU. It goes by what the engines' sources asked for in 2025
// and 2026, and looks at nothing else: versions before or after may differ.
//
// The rules: layers of different widths are for llama.cpp alone, which has them in its architecture
// deci; transformers' config.json knows them (per_layer_config), its models do not follow. One
// width else. transformers, whose configs
// vLLM and SGLang read too, wants the heads of a Llama to divide the hidden size; vLLM and SGLang
// take hidden/heads for Qwen2's head dim whatever config.json says. Their kernels of 4-bit weights
// (Marlin) want inputs in multiples of 128, outputs of 64, q, k, v and gate, up as one matrix each,
// and groups of 32, 64, 128 or a channel; those of 4-bit floats the same sizes; those of 8 bits
// multiples of 16, and whole blocks where scales are of blocks. GPTQ of 3 bits has a kernel of its
// own, for multiples of 32. No engine has weights in E5M2, or numbers beside the codes. llama.cpp
// reads GGUF alone, whose blocks hold 32 inputs.
func CheckShape(c model.Config, s checkpoint.Storage) []Compatibility {
	list := []Compatibility{{Engine: "transformers", Loads: true}, {Engine: "vLLM", Loads: true}, {Engine: "SGLang", Loads: true}, {Engine: "llama.cpp", Loads: true}}
	for i := range list {
		v := &list[i]
		if v.Engine == "llama.cpp" {
			v.gguf(c, s)
			continue
		}
		if !uniform(c) {
			v.uneven(c)
			continue
		}
		v.heads(c)
		if s.Outliers != "" {
			v.refuse("the same scheme without outliers", "outliers beside the codes are in a form of slimlab's own (quant_method slimlab)")
			continue
		}
		if s.Packing == checkpoint.E5M2Quantized {
			v.refuse("fp8 (E4M3)", "FP8 weights are E4M3 in all engines, and compressed-tensors has no form for E5M2")
			continue
		}
		if s.Packing == checkpoint.GGUF {
			v.refuse("a Hugging Face folder", "a GGUF file is read by way of experiment or conversion only")
			continue
		}
		if v.Engine != "transformers" {
			v.kernels(c, s)
		}
	}
	return list
}

func uniform(c model.Config) bool {
	return !slices.ContainsFunc(c.Layers, func(l model.LayerConfig) bool { return l != c.Layers[0] })
}

// uneven refuses layers of different widths, with what reads them.
func (v *Compatibility) uneven(c model.Config) {
	if v.Engine == "transformers" {
		v.refuse("the same widths in all layers", "its layers have different widths: its config reads them (per_layer_config, since 5.15), its models take those of the first keys for all layers (as of 5.17)")
	} else {
		v.refuse("the same widths in all layers", "its layers have different widths")
	}
	if asDeci(c) {
		v.Instead = append(v.Instead, ggufFile+" for llama.cpp")
	}
}

// asDeci reports a model whose layers may differ in llama.cpp: its deci is a llama without biases.
func asDeci(c model.Config) bool {
	return (c.Architecture == model.Llama || c.Architecture == model.Mistral) && !c.QKVBias && !c.OBias && !c.QKNorm
}

// heads checks the shape of attention as configs and models of the Hugging Face kind take it.
func (v *Compatibility) heads(c model.Config) {
	l := c.Layers[0]
	if c.Architecture == model.Llama && c.Hidden%l.Heads != 0 {
		v.refuse(possibleHeads(c), "%d heads do not divide the hidden size %d, which LlamaConfig asks for even with head_dim", l.Heads, c.Hidden)
	}
	if c.Architecture == model.Qwen2 && v.Engine != "transformers" && l.Heads*c.HeadDim != c.Hidden {
		v.refuse("a "+model.Llama+" with attention_bias, head_dim, and o_proj.bias zero, which is the same model; or pruned MLPs alone",
			"it takes hidden/heads, %d/%d, for the head dim of Qwen2, where this model has %d", c.Hidden, l.Heads, c.HeadDim)
	}
}

// possibleHeads lists the smaller head counts that transformers takes: whole KV groups gone, or as
// many heads of each.
func possibleHeads(c model.Config) string {
	l := c.Layers[0]
	each := l.Heads / l.KVHeads
	var list []string
	add := func(heads, kv int) {
		if s := fmt.Sprintf("%d/%d", heads, kv); c.Hidden%heads == 0 && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	for kv := l.KVHeads; kv > 0; kv-- {
		add(kv*each, kv)
	}
	for n := each - 1; n > 0; n-- {
		add(n*l.KVHeads, l.KVHeads)
	}
	return "heads/kv heads of " + strings.Join(list, ", ")
}

// fused are the linear layers of a block as GPU engines multiply them.
func fused(c model.Config, l model.LayerConfig) []model.LinearLayer {
	q, kv := l.Heads*c.HeadDim, l.KVHeads*c.HeadDim
	return []model.LinearLayer{{Name: "q, k, v", Out: q + 2*kv, In: c.Hidden}, {Name: "o_proj", Out: c.Hidden, In: q},
		{Name: "gate, up", Out: 2 * l.MLP, In: c.Hidden}, {Name: "down_proj", Out: c.Hidden, In: l.MLP}}
}

// kernels checks the sizes that the kernels of a scheme take.
func (v *Compatibility) kernels(c model.Config, s checkpoint.Storage) {
	switch s.Packing {
	case checkpoint.IntQuantized, checkpoint.FloatQuantized, checkpoint.FP8:
		if b := s.Format.Block; b != [2]int{} {
			v.blocks(c, b)
			return
		}
		v.multiples(c, 16, 16, "")
	case checkpoint.NVFP4Packed, checkpoint.MXFP4Packed:
		if s.Packing == checkpoint.NVFP4Packed {
			v.note("q, k and v, and gate and up, are multiplied as one with the largest of their scales of scales (weight_global_scale)")
		}
		v.note("weights of 4-bit floats beside float activations are read by versions since 2025")
		v.multiples(c, 128, 64, "float-quantized (fp8)")
	case checkpoint.PackQuantized, checkpoint.GPTQ, checkpoint.AWQ:
		if s.Format.Bits == 3 {
			v.note("3 bits are multiplied by the older kernel of GPTQ, not by Marlin")
			v.multiples(c, 32, 32, "4 bits (w4a16)")
			if kv := c.Layers[0].KVHeads * c.HeadDim; kv%32 != 0 {
				v.refuse("4 bits (w4a16)", "k and v have %d outputs each, and 32 codes of 3 bits fill three words", kv)
			}
			return
		}
		if s.Format.Activations != weight.Kept {
			v.refuse("pack-quantized with activations as they are (w4a16), or int-quantized (w8a8)", "it has no kernel for 4-bit weights with 8-bit integer activations on GPUs")
			return
		}
		if s.Format.ZeroPoints && s.Format.Bits == 8 {
			v.refuse("symmetric codes", "it has no kernel for 8-bit weights with zero points")
		}
		if s.Format.ZeroPoints && v.Engine == "SGLang" {
			v.note("zero points are read since its pull request 25292")
		}
		if s.V2 {
			v.note("only versions that know checkpoint_format gptq_v2 read it right")
		}
		if !slices.Contains([]int{0, 32, 64, 128}, s.Format.Group) {
			v.refuse("groups of 128", "groups of %d inputs are none of 32, 64, 128 or a whole channel", s.Format.Group)
		}
		v.multiples(c, 128, 64, "int-quantized (w8a8) or float-quantized (fp8)")
		for _, l := range fused(c, c.Layers[0]) {
			if s.Format.Group > 0 && l.In%s.Format.Group != 0 {
				v.refuse("", "groups of %d do not divide the %d inputs of %s", s.Format.Group, l.In, l.Name)
			}
		}
	}
}

// blocks checks that blocks of outputs and inputs are those of the kernels, and whole ones.
func (v *Compatibility) blocks(c model.Config, b [2]int) {
	if b != [2]int{128, 128} {
		v.refuse("blocks of 128x128", "blocks of %dx%d are none of 128x128", b[0], b[1])
		return
	}
	v.multiples(c, 128, 128, "float-quantized with a scale for each output (fp8-dynamic)")
}

// multiples checks inputs and outputs of all layers; instead names other schemes where the shape
// stays.
func (v *Compatibility) multiples(c model.Config, in, out int, instead string) {
	for _, l := range fused(c, c.Layers[0]) {
		if l.In%in != 0 {
			v.refuse(otherWidth(c, l, in, instead), "%s has %d inputs, its kernel takes multiples of %d", l.Name, l.In, in)
		}
		if l.Out%out != 0 {
			v.refuse(otherWidth(c, l, in, instead), "%s has %d outputs, its kernel takes multiples of %d", l.Name, l.Out, out)
		}
	}
}

// otherWidth offers the nearest MLP width where that is what a layer lacks.
func otherWidth(c model.Config, l model.LinearLayer, multiple int, instead string) string {
	mlp := c.Layers[0].MLP
	if l.Name != "gate, up" && l.Name != "down_proj" || mlp%multiple == 0 || c.Hidden%multiple != 0 {
		if instead == "" {
			return "float weights"
		}
		return instead
	}
	if mlp < multiple {
		return fmt.Sprintf("an MLP width of %d", multiple)
	}
	return fmt.Sprintf("an MLP width of %d or %d", mlp/multiple*multiple, (mlp/multiple+1)*multiple)
}

// gguf checks what llama.cpp takes.
func (v *Compatibility) gguf(c model.Config, s checkpoint.Storage) {
	if !uniform(c) && !asDeci(c) {
		v.refuse("the same widths in all layers", "its layers have different widths, which are for its deci alone, a Llama without biases")
		return
	}
	if s.Packing != checkpoint.GGUF {
		want := ggufFile + " (F16 or BF16)"
		switch {
		case s.Format.Bits == 4 && (s.Format.ZeroPoints || s.V2):
			want = ggufFile + " (Q4_1)"
		case s.Format.Bits == 4 && !s.Format.Float:
			want = ggufFile + " (Q4_0)"
		case s.Format.Bits == 8:
			want = ggufFile + " (Q8_0)"
		}
		v.refuse(want, "it reads GGUF files alone")
		return
	}
	if !uniform(c) {
		v.note("as architecture deci, whose layers may have different widths")
	}
	if s.Format.Bits > 8 {
		return
	}
	var names []string
	odd := map[string][]int{} // by the name of a linear layer, its inputs in all layers
	for _, layer := range c.Layers {
		for _, l := range fused(c, layer) {
			if l.In%32 == 0 || slices.Contains(odd[l.Name], l.In) {
				continue
			}
			if odd[l.Name] == nil {
				names = append(names, l.Name)
			}
			odd[l.Name] = append(odd[l.Name], l.In)
		}
	}
	for _, name := range names {
		if list := odd[name]; len(list) == 1 {
			v.note("%s has %d inputs, no multiple of a block's 32: it stays a float", name, list[0])
		} else {
			v.note("%s has %s, no multiples of a block's 32: it stays a float in these layers", name, numbersOf(list, "inputs"))
		}
	}
}

// numbersOf writes numbers of things, ascending: "4100 or 5000 inputs", and of many the ends.
func numbersOf(list []int, things string) string {
	const most = 4
	slices.Sort(list)
	if last := len(list) - 1; len(list) > most {
		return fmt.Sprintf("%d numbers of %s, from %d to %d", len(list), things, list[0], list[last])
	}
	var words []string
	for _, n := range list {
		words = append(words, strconv.Itoa(n))
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last] + " " + things
}
