package checkpoint

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"slimlab/internal/atomicfile"
	"slimlab/model"
	"slimlab/model/checkpoint/safetensors"
	"slimlab/model/tokenizer"
	"slimlab/model/weight"
)

// SaveOptions says how models are written.
type SaveOptions struct {
	// of the tensors that are float32 in memory: F32, or rounded to nearest F16 or BF16; empty is
	// F32
	DType      DType
	Packing    Packing // of 4-bit weights: PackQuantized or GPTQ; empty is PackQuantized
	ShardBytes int64   // of tensors in a file at most, but one tensor at least; 0 is 5·10⁹
	Verify     bool    // read everything back and compare before config.json is written
}

func (o SaveOptions) dtype() DType {
	if o.DType == "" {
		return F32
	}
	return o.DType
}

// Save writes a model, and its tokenizer unless that is nil, into a folder, which it creates if it
// is absent: the tensors, in several files with an index where there are more bytes than the
// options allow for one. Quantized weights keep their codes and the very scales, which are written
// in the options' type where all of a layer are exact in it, else as F32: so a loaded model
// computes the bits that the saved one did. A tied head that was quantized no longer is the
// embedding: the model is written as not tied. config.json comes last: a new folder that has one is
// whole. Weights of a model that was there before are removed when the new ones are there.
func Save(ctx context.Context, dir string, m *model.Model, t *tokenizer.Tokenizer, o SaveOptions) error {
	if err := save(ctx, dir, m, t, o); err != nil {
		return fmt.Errorf("save checkpoint %s: %w", dir, err)
	}
	return nil
}

func save(ctx context.Context, dir string, m *model.Model, t *tokenizer.Tokenizer, o SaveOptions) error {
	c := m.Config
	if _, dense := m.Head.(*weight.Dense); !dense {
		c.TiedHead = false
	}
	config, err := newConfigFile(c, o.dtype())
	if err != nil {
		return err
	}
	if err := m.Check(); err != nil {
		return err
	}
	tensors, layers, err := plan(m, o)
	if err != nil {
		return err
	}
	if config.Quantization, err = newQuantizationConfig(layers); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := safetensors.WriteFolder(ctx, dir, tensors, safetensors.FolderOptions{ShardBytes: o.ShardBytes, Verify: o.Verify}); err != nil {
		return err
	}
	if t != nil {
		if err := t.Save(dir); err != nil {
			return err
		}
	}
	return writeConfig(dir, config, layers)
}

// writeConfig writes config.json, and what else says how layers are quantized.
func writeConfig(dir string, config configFile, layers []layer) error {
	if slices.ContainsFunc(layers, func(l layer) bool { return l.storage.Packing == GPTQ && l.storage.Outliers == "" }) {
		if err := atomicfile.WriteJSON(filepath.Join(dir, gptqConfigName), config.Quantization); err != nil {
			return err
		}
	}
	return atomicfile.WriteJSON(filepath.Join(dir, "config.json"), config)
}

// layer is a linear layer, such as "model.layers.0.self_attn.q_proj" or "lm_head", and how it is
// stored.
type layer struct {
	name    string
	storage Storage
}

// plan lists the tensors to write, and the linear layers, the head last. Packed forms are made when
// they are written.
func plan(m *model.Model, o SaveOptions) (tensors []Tensor, layers []layer, err error) {
	for _, p := range m.Tensors() {
		tensors = append(tensors, safetensors.NewTensor(p.Name, o.dtype(), p.Shape, func() any { return p.Data }))
	}
	linear := func(name string, w weight.Weight) error {
		packed, s, err := encode(name, w, o)
		tensors, layers = append(tensors, packed...), append(layers, layer{name, s})
		return err
	}
	for _, l := range m.Linears() {
		if err := linear(l.Name, l.Weight); err != nil {
			return nil, nil, err
		}
	}
	if err := linear("lm_head", m.Head); err != nil {
		return nil, nil, err
	}
	return tensors, layers, nil
}
