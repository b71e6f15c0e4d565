package checkpoint

import (
	"fmt"
	"strconv"
	"strings"

	"slimlab/internal/plural"
)

// causes are tensors that stand beside, or in place of, the weight of a linear layer, by the ends
// of their names, and what they say.
var causes = []struct{ suffix, text string }{
	{".qweight", "the files hold its %s, a weight of GPTQ or AWQ, and neither config.json (quantization_config) nor quantize_config.json or quant_config.json says how it is quantized"},
	{".weight_packed", "the files hold its %s, a weight of compressed-tensors, and config.json has no quantization_config that says so"},
	{".q_weight", "the files hold its %s, a weight of ExLlamaV2, which is not read"},
	{".trellis", "the files hold its %s, a weight of ExLlamaV3, which is not read"},
	{".W_q", "the files hold its %s, a weight of HQQ, which is not read"},
	{".codebooks", "the files hold its %s, a weight of AQLM, which is not read"},
	{".Qidxs", "the files hold its %s, a weight of QuIP#, which is not read"},
	{".weight._data", "the files hold its %s, a weight of Quanto, which is not read"},
	{".base_layer.weight", "the files hold its %s, beside which a LoRA adapter lies: merge the adapter and save the model, or slimlab import BASE FOLDER --adapter ADAPTER"},
	{".weight.absmax", "the files hold its %s, a weight of bitsandbytes, which is not read"},
	{".SCB", "the files hold its %s, a weight of bitsandbytes, which is not read"},
}

// fused are projections that other families keep in one tensor.
var fused = map[string]string{
	"self_attn.q_proj": "self_attn.qkv_proj", "self_attn.k_proj": "self_attn.qkv_proj", "self_attn.v_proj": "self_attn.qkv_proj",
	"mlp.gate_proj": "mlp.gate_up_proj", "mlp.up_proj": "mlp.gate_up_proj",
}

// missing is the error of a tensor that is not there, with the cause where the other tensors show
// it.
func (c *Checkpoint) missing(e expectation) error {
	err := fmt.Errorf("tensor %q is missing, expected shape %d", e.name, e.shapes[0])
	if cause := c.causeOfMissing(e.name); cause != "" {
		err = fmt.Errorf("%w: %s", err, cause)
	}
	return err
}

func (c *Checkpoint) causeOfMissing(name string) string {
	layer, dense := strings.CutSuffix(name, ".weight")
	for _, cause := range causes {
		if _, ok := c.files.tensor(layer + cause.suffix); ok && dense {
			return fmt.Sprintf(cause.text, strings.TrimPrefix(cause.suffix, "."))
		}
	}
	for part, whole := range fused {
		if prefix, ok := strings.CutSuffix(layer, part); ok {
			if _, ok := c.files.tensor(prefix + whole + ".weight"); ok {
				return fmt.Sprintf("the files hold %s, several projections in one tensor, as Phi-3 has them: this is no %s", prefix+whole, c.config.Architecture)
			}
		}
	}
	if strings.HasSuffix(name, "_proj.bias") {
		return fmt.Sprintf("the config says attention_bias, or the family %s has it", c.config.Architecture)
	}
	if name == headName {
		return "config.json has tie_word_embeddings false, or does not have the key, which means false"
	}
	if n, last := c.layerOf(name), c.lastLayer(); n > last && last >= 0 {
		return fmt.Sprintf("the config says %s, the files hold layers 0 to %d", plural.Of(len(c.config.Layers), "layer"), last)
	}
	if like := c.alike(name); like != "" {
		return "the files hold " + like
	}
	return c.otherNames()
}

// alike finds the tensor that is most like a missing one: with another prefix, or, within its
// layer, with another name of the part.
func (c *Checkpoint) alike(name string) string {
	parts := strings.Split(name, ".")
	ends := []string{"." + strings.TrimPrefix(name, modelPrefix)}
	if n := len(parts); n > 3 && parts[1] == "layers" {
		ends = append(ends, strings.Join(parts[n-2:], "."))
	}
	for i, end := range ends {
		for _, t := range c.files.tensors() {
			if strings.HasSuffix(t.Name, end) && (i == 0 || c.layerOf(t.Name) == c.layerOf(name)) {
				return t.Name
			}
		}
	}
	return ""
}

// layerOf is the number of the layer that a tensor belongs to, -1 for none.
func (c *Checkpoint) layerOf(name string) int {
	rest, ok := strings.CutPrefix(name, "model.layers.")
	if !ok {
		return -1
	}
	number, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(number)
	if err != nil {
		return -1
	}
	return n
}

// lastLayer is the last layer of which the files hold tensors, -1 for none.
func (c *Checkpoint) lastLayer() int {
	last := -1
	for _, t := range c.files.tensors() {
		last = max(last, c.layerOf(t.Name))
	}
	return last
}

// otherNames says whose names the tensors have, where none is a layer's of this model.
func (c *Checkpoint) otherNames() string {
	list := c.files.tensors()
	if len(list) == 0 {
		return "the files hold no tensors"
	}
	for _, t := range list {
		switch {
		case strings.Contains(t.Name, ".lora_A"):
			return fmt.Sprintf("the files hold %s, a LoRA adapter's: slimlab import BASE FOLDER --adapter ADAPTER merges one", t.Name)
		case strings.HasSuffix(t.Name, "attention.wq.weight") || t.Name == "tok_embeddings.weight":
			return fmt.Sprintf("the files hold %s, by the names of Meta's and Mistral's own format: convert them to Hugging Face's first", t.Name)
		}
	}
	if c.lastLayer() >= 0 {
		return ""
	}
	return fmt.Sprintf("the files hold %s and the like", list[0].Name)
}
