package checkpoint

import (
	"fmt"
	"strconv"
	"strings"

	"slimlab/model"
)

// ggufArchitectures says which model a GGUF architecture is. Mistral's models are llama in GGUF,
// and deci is a llama whose layers may have different widths.
var ggufArchitectures = map[string]string{"llama": model.Llama, ggufDeci: model.Llama, "qwen2": model.Qwen2, "qwen3": model.Qwen3}

const ggufDeci = "deci"

// The tensors outside the layers, by their GGUF names.
var ggufOuterNames = map[string]string{
	ggufEmbedding:        embeddingName,
	ggufHead:             headName,
	"output_norm.weight": "model.norm.weight",
}

const (
	ggufEmbedding   = "token_embd.weight"
	ggufHead        = "output.weight"
	ggufRopeFactors = "rope_freqs.weight" // the llama3 scaling of rotary positions, [headDim/2]
)

// ggufLayerNames are the tensors of a layer: "blk.0." and the first is "model.layers.0." and the
// second.
var ggufLayerNames = map[string]string{
	"attn_norm.weight":   "input_layernorm.weight",
	"attn_q.weight":      "self_attn.q_proj.weight",
	"attn_q.bias":        "self_attn.q_proj.bias",
	"attn_k.weight":      "self_attn.k_proj.weight",
	"attn_k.bias":        "self_attn.k_proj.bias",
	"attn_v.weight":      "self_attn.v_proj.weight",
	"attn_v.bias":        "self_attn.v_proj.bias",
	"attn_q_norm.weight": "self_attn.q_norm.weight",
	"attn_k_norm.weight": "self_attn.k_norm.weight",
	"attn_output.weight": "self_attn.o_proj.weight",
	"attn_output.bias":   "self_attn.o_proj.bias",
	"ffn_norm.weight":    "post_attention_layernorm.weight",
	"ffn_gate.weight":    "mlp.gate_proj.weight",
	"ffn_up.weight":      "mlp.up_proj.weight",
	"ffn_down.weight":    "mlp.down_proj.weight",
}

// fromGGUFName is the Hugging Face name of a tensor, false for a tensor that these models do not
// have.
func fromGGUFName(name string) (string, bool) {
	if outer, ok := ggufOuterNames[name]; ok {
		return outer, true
	}
	rest, ok := strings.CutPrefix(name, "blk.")
	if !ok {
		return "", false
	}
	number, rest, _ := strings.Cut(rest, ".")
	inner, ok := ggufLayerNames[rest]
	layer, err := strconv.Atoi(number)
	if !ok || err != nil || layer < 0 || strconv.Itoa(layer) != number {
		return "", false
	}
	return fmt.Sprintf("model.layers.%d.%s", layer, inner), true
}

// toGGUFName is the inverse of fromGGUFName.
func toGGUFName(name string) (string, bool) {
	for g, outer := range ggufOuterNames {
		if outer == name {
			return g, true
		}
	}
	rest, ok := strings.CutPrefix(name, "model.layers.")
	if !ok {
		return "", false
	}
	number, rest, _ := strings.Cut(rest, ".")
	for g, inner := range ggufLayerNames {
		if inner == rest {
			return "blk." + number + "." + g, true
		}
	}
	return "", false
}

// permutesRows reports whether architecture llama stores a tensor, by its Hugging Face name, with
// the rows of each head in another order: GGUF's llama turns the elements 2b and 2b+1 of a head by
// an angle, Hugging Face b and b + headDim/2. The other architectures keep the order.
func permutesRows(architecture, name string) bool {
	if architecture != model.Llama {
		return false
	}
	for _, suffix := range []string{"q_proj.weight", "k_proj.weight", "q_proj.bias", "k_proj.bias"} {
		if strings.HasSuffix(name, ".self_attn."+suffix) {
			return true
		}
	}
	return false
}

// ggufRow is the row of GGUF's order that holds row r of Hugging Face's, in heads of headDim rows.
func ggufRow(r, headDim int) int {
	head, i := r/headDim*headDim, r%headDim
	return head + i%(headDim/2)*2 + i/(headDim/2)
}

// huggingFaceRow is the row of Hugging Face's order that is row r of GGUF's.
func huggingFaceRow(r, headDim int) int {
	head, i := r/headDim*headDim, r%headDim
	return head + i%2*(headDim/2) + i/2
}
