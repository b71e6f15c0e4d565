package convert

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"slimlab/internal/plural"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/model/checkpoint/engines"
)

// Inspection is what can be said of a checkpoint without reading its weights.
type Inspection struct {
	Name       string                  `json:"name"`
	Family     string                  `json:"family"` // "LlamaForCausalLM"
	Hidden     int                     `json:"hidden"`
	Layers     int                     `json:"layers"`
	HeadDim    int                     `json:"head_dim"`
	Vocabulary int                     `json:"vocabulary"`
	Positions  int                     `json:"positions"`
	TiedHead   bool                    `json:"tied_head"` // the head is the embedding
	Widths     []Widths                `json:"widths"`
	Parameters int                     `json:"parameters"`
	Bytes      int64                   `json:"bytes"`
	Parts      []ParameterShare        `json:"parts"`
	Formats    []StoredFormat          `json:"formats"`
	Tokenizer  string                  `json:"tokenizer"` // "" where there is none
	Notes      []string                `json:"notes,omitempty"`
	Seconds    float64                 `json:"opened_seconds"`
	Verdicts   []engines.Compatibility `json:"verdicts"`
	// of a GGUF file: what it lists, the verbs that read it, and what keeps the others from that
	GGUF     *GGUFContents `json:"gguf,omitempty"`
	Verbs    []string      `json:"verbs,omitempty"`
	Problems []string      `json:"problems,omitempty"`
}

// Widths are the sizes of consecutive layers that have the same.
type Widths struct {
	First   int `json:"first_layer"`
	Last    int `json:"last_layer"`
	Heads   int `json:"heads"`
	KVHeads int `json:"kv_heads"`
	MLP     int `json:"mlp"`
}

// Name names the layers among all: "layers", "layers 0–3", "layer 4".
func (w Widths) Name(layers int) string {
	switch {
	case w.Last-w.First+1 == layers:
		return "layers"
	case w.First == w.Last:
		return fmt.Sprintf("layer %d", w.First)
	}
	return fmt.Sprintf("layers %d–%d", w.First, w.Last)
}

// ParameterShare is what a part of the model has of a checkpoint's parameters.
type ParameterShare struct {
	Name       string `json:"name"`
	Parameters int    `json:"parameters"`
	Bytes      int64  `json:"bytes"` // as they are stored, with their scales
}

// StoredFormat is an element type or packed form, and the linear layers that are stored in it.
type StoredFormat struct {
	Name   string `json:"name"`
	Layers int    `json:"layers"`
}

// Inspect opens a checkpoint and describes it. Of a GGUF file that holds no model that can be read,
// it describes what the file lists, and says what keeps it from being read.
func Inspect(name string, open Opener) (*Inspection, error) {
	start := time.Now()
	c, err := open(name)
	if err != nil && checkpoint.IsGGUF(name) {
		return inspectGGUF(name, err)
	}
	if err != nil {
		return nil, err
	}
	defer c.Close()
	opened, config := time.Since(start), c.Config()
	in := &Inspection{
		Name: name, Family: config.Architecture, Hidden: config.Hidden, Layers: len(config.Layers), HeadDim: config.HeadDim,
		Vocabulary: config.Vocab, Positions: config.MaxPositions, TiedHead: config.TiedHead, Widths: widths(config.Layers),
		Parameters: config.Parameters(), Bytes: c.Bytes(), Parts: parts(config), Formats: []StoredFormat{},
		Seconds: opened.Seconds(), Verdicts: engines.Check(c),
	}
	for _, t := range c.Tensors() {
		i := slices.IndexFunc(in.Parts, func(p ParameterShare) bool { return p.Name == partOf(t.Name, config.TiedHead) })
		in.Parts[i].Bytes += t.Bytes()
	}
	for _, l := range c.Quantization() {
		i := slices.IndexFunc(in.Formats, func(f StoredFormat) bool { return f.Name == l.Format })
		if i < 0 {
			i = len(in.Formats)
			in.Formats = append(in.Formats, StoredFormat{Name: l.Format})
		}
		in.Formats[i].Layers++
	}
	if err := in.describeGGUF(name); err != nil {
		return nil, err
	}
	t, err := c.Tokenizer()
	switch {
	case err != nil && in.GGUF != nil:
		in.Problems = append(in.Problems, err.Error())
		in.Verbs = []string{"inspect"} // the others need a tokenizer, or write it
	case err != nil:
		return nil, err
	case t != nil:
		in.Tokenizer = plural.Of(t.Vocab(), "token")
	}
	in.Notes = c.Notes()
	return in, nil
}

// widths lists the sizes of layers, equal neighbours together.
func widths(layers []model.LayerConfig) []Widths {
	var list []Widths
	for i, l := range layers {
		if i > 0 && l == layers[i-1] {
			list[len(list)-1].Last = i
			continue
		}
		list = append(list, Widths{i, i, l.Heads, l.KVHeads, l.MLP})
	}
	return list
}

// The parts of a model.
const (
	partEmbedding = "embedding"
	partAttention = "attention"
	partMLP       = "mlp"
	partNorms     = "norms"
	partHead      = "head"
)

// parts counts the parameters of a shape by part.
func parts(c model.Config) []ParameterShare {
	list := []ParameterShare{{Name: partEmbedding, Parameters: c.Vocab * c.Hidden}, {Name: partAttention}, {Name: partMLP}, {Name: partNorms}, {Name: partHead}}
	for _, l := range c.Layers {
		list[2].Parameters += 3 * c.Hidden * l.MLP
	}
	if !c.TiedHead {
		list[4].Parameters = c.Vocab * c.Hidden
	}
	list[3].Parameters = (2*len(c.Layers) + 1) * c.Hidden
	if c.QKNorm {
		list[3].Parameters += 2 * len(c.Layers) * c.HeadDim
	}
	rest := c.Parameters()
	for _, p := range list {
		rest -= p.Parameters
	}
	list[1].Parameters = rest // attention, biases included
	return list
}

// partOf names the part that a tensor belongs to.
func partOf(name string, tied bool) string {
	switch {
	case strings.Contains(name, "norm"):
		return partNorms
	case strings.Contains(name, ".self_attn."):
		return partAttention
	case strings.Contains(name, ".mlp."):
		return partMLP
	case strings.HasPrefix(name, "lm_head") && !tied:
		return partHead
	}
	return partEmbedding
}
