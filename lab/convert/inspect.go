package convert

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"slimlab/model"
	"slimlab/model/checkpoint"
)

// ParameterShare is what a part of the model has of a checkpoint's parameters.
type ParameterShare struct {
	Name       string
	Parameters int
	Bytes      int64 // as they are stored, scales and other companions included
}

// Inspection is what can be said of a checkpoint without reading its weights.
type Inspection struct {
	Name       string
	Config     model.Config
	Parameters int
	Bytes      int64
	Parts      []ParameterShare
	Formats    []Format
	Tokenizer  string // "" where there is none
	Opened     time.Duration
	Verdicts   []checkpoint.Verdict
}

// Format is an element type or packed form, and the linear layers that are stored in it.
type Format struct {
	Name   string
	Layers int
}

// Inspect opens a checkpoint and looks at it.
func Inspect(name string, open Opener) (*Inspection, error) {
	start := time.Now()
	c, err := open(name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	in := &Inspection{Name: name, Config: c.Config(), Opened: time.Since(start), Bytes: c.Bytes(), Verdicts: c.LoadsIn()}
	in.Parameters = in.Config.Parameters()
	in.Parts = parts(in.Config)
	for _, t := range c.Tensors() {
		i := slices.IndexFunc(in.Parts, func(p ParameterShare) bool { return p.Name == partOf(t.Name, in.Config.TiedHead) })
		in.Parts[i].Bytes += t.Bytes()
	}
	for _, l := range c.Quantization() {
		i := slices.IndexFunc(in.Formats, func(f Format) bool { return f.Name == l.Format })
		if i < 0 {
			i = len(in.Formats)
			in.Formats = append(in.Formats, Format{Name: l.Format})
		}
		in.Formats[i].Layers++
	}
	t, err := c.Tokenizer()
	if err != nil {
		return nil, err
	}
	if t != nil {
		in.Tokenizer = fmt.Sprintf("%d tokens", t.Vocab())
	}
	return in, nil
}

// WidthRun is a run of layers of the same widths.
type WidthRun struct {
	Layers string // "layers", "layers 0–3", "layer 4"
	Widths model.LayerConfig
}

// Widths lists the layers' widths.
func (in *Inspection) Widths() []WidthRun {
	var list []WidthRun
	layers := in.Config.Layers
	for first := 0; first < len(layers); {
		next := first
		for next < len(layers) && layers[next] == layers[first] {
			next++
		}
		name := fmt.Sprintf("layers %d–%d", first, next-1)
		switch {
		case next-first == len(layers):
			name = "layers"
		case next-first == 1:
			name = fmt.Sprintf("layer %d", first)
		}
		list = append(list, WidthRun{name, layers[first]})
		first = next
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

// partOf tells to which part a tensor belongs.
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
