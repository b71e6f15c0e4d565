package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"slimlab/internal/atomicfile"
	"slimlab/model"
	"slimlab/model/tokenizer"
)

// Int8Weight is a weight that Save writes as int-quantized: codes [out, in] and a scale per output [out].
type Int8Weight interface {
	model.Weight
	Int8() (q []int8, scale []float32)
}

// Int4Weight is a weight that Save writes as pack-quantized: codes [out, in], each −8…7, and scales [out, in/group].
type Int4Weight interface {
	model.Weight
	Int4() (q []int8, scale []float32, group int)
	Int8Activations() bool // each row of activations is quantized to int8: W4A8
}

// SaveOptions says how Save writes.
type SaveOptions struct {
	DType DType // of the tensors that are float32 in memory: F32, or BF16, rounded to nearest; empty is F32
}

func (o SaveOptions) dtype() DType {
	if o.DType == "" {
		return F32
	}
	return o.DType
}

// Save writes a model, and its tokenizer unless that is nil, into a folder, which it makes if need be. Quantized weights keep their
// codes; their scales are written as F32 whatever the options say, so that a loaded model computes the very bits that
// the saved one did. A tied head that was quantized no longer is the embedding: the model is written as not tied.
// config.json comes last: a new folder that has one is whole.
func Save(dir string, m *model.Model, t *tokenizer.Tokenizer, o SaveOptions) error {
	if err := save(dir, m, t, o.dtype()); err != nil {
		return fmt.Errorf("save checkpoint %s: %w", dir, err)
	}
	return nil
}

func save(dir string, m *model.Model, t *tokenizer.Tokenizer, dtype DType) error {
	c := m.Config
	if _, dense := m.Head.(*model.Dense); !dense {
		c.TiedHead = false
	}
	config, err := newConfigFile(c, dtype)
	if err != nil {
		return err
	}
	if err := m.Check(); err != nil {
		return err
	}
	if t != nil {
		if err := checkTokenizer(t, m.Vocab); err != nil {
			return err
		}
	}
	tensors, layers, schemes, err := plan(m, dtype)
	if err != nil {
		return err
	}
	config.Quantization = newQuantizationConfig(layers, schemes)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := WriteSafetensors(filepath.Join(dir, "model.safetensors"), tensors); err != nil {
		return err
	}
	if t != nil {
		if err := t.Save(dir); err != nil {
			return err
		}
	}
	return writeJSON(filepath.Join(dir, "config.json"), config)
}

// Bytes is what the tensors of a model would take in a file whose float tensors have dtype.
func Bytes(m *model.Model, dtype DType) (int64, error) {
	tensors, _, _, err := plan(m, dtype)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, t := range tensors {
		n += t.info().Bytes()
	}
	return n, nil
}

// plan lists the tensors to write, and the linear layers, the head last, with the scheme of each.
func plan(m *model.Model, dtype DType) (tensors []Tensor, layers []string, schemes []scheme, err error) {
	for _, p := range m.Tensors() {
		tensors = append(tensors, Tensor{p.Name, dtype, p.Shape, func() any { return p.Data }})
	}
	linear := func(name string, w model.Weight) error {
		packed, s, err := quantized(name, w)
		tensors = append(tensors, packed...)
		layers, schemes = append(layers, name), append(schemes, s)
		return err
	}
	for _, l := range m.Linears() {
		if err := linear(l.Name, l.Weight); err != nil {
			return nil, nil, nil, err
		}
	}
	if err := linear("lm_head", m.Head); err != nil {
		return nil, nil, nil, err
	}
	return tensors, layers, schemes, nil
}

// quantized lists the tensors of a weight that is not Dense; those of a Dense one are among Model.Tensors.
func quantized(name string, w model.Weight) ([]Tensor, scheme, error) {
	switch w := w.(type) {
	case *model.Dense:
		return nil, scheme{}, nil
	case Int8Weight:
		out, in := w.Shape()
		return []Tensor{
			{name + ".weight", I8, []int{out, in}, func() any { q, _ := w.Int8(); return q }},
			{name + ".weight_scale", F32, []int{out, 1}, func() any { _, scale := w.Int8(); return scale }},
		}, scheme{bits: 8, int8Activations: true}, nil
	case Int4Weight:
		out, in := w.Shape()
		_, _, group := w.Int4()
		return []Tensor{
			{name + ".weight_packed", I32, []int{out, packedWords(in)}, func() any { q, _, _ := w.Int4(); return packInt4(q, out, in) }},
			{name + ".weight_scale", F32, []int{out, in / group}, func() any { _, scale, _ := w.Int4(); return scale }},
			{name + ".weight_shape", I64, []int{2}, func() any { return []int64{int64(out), int64(in)} }},
		}, scheme{bits: 4, group: group, int8Activations: w.Int8Activations()}, nil
	}
	return nil, scheme{}, fmt.Errorf("%s: weights of format %s cannot be saved, expected float32, int8 or int4", name, w.Format())
}

func writeJSON(name string, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return atomicfile.Write(name, func(w io.Writer) error {
		_, err := b.WriteTo(w)
		return err
	})
}
