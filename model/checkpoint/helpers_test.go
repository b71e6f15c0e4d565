package checkpoint

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"testing"

	"slimlab/internal/half"
	"slimlab/model"
	"slimlab/model/tokenizer"
	"slimlab/model/weight"
)

// load opens a folder or file and reads the model and its tokenizer.
func load(name string) (*model.Model, *tokenizer.Tokenizer, error) {
	c, err := Open(name)
	if err != nil {
		return nil, nil, err
	}
	m, t, err := readAll(c)
	if err != nil {
		return nil, nil, fmt.Errorf("checkpoint %s: %w", name, err)
	}
	return m, t, nil
}

// loadFS is load of a folder of a file system.
func loadFS(fsys fs.FS, dir string) (*model.Model, *tokenizer.Tokenizer, error) {
	c, err := OpenFS(fsys, dir)
	if err != nil {
		return nil, nil, err
	}
	return readAll(c)
}

func readAll(c *Checkpoint) (*model.Model, *tokenizer.Tokenizer, error) {
	defer c.Close()
	m, err := c.Model(context.Background())
	if err != nil {
		return nil, nil, err
	}
	t, err := c.Tokenizer()
	return m, t, err
}

// newInt draws a weight of integer codes of 8 bits, or of 4 in groups.
func newInt(out, in, bits, group int) weight.Weight {
	q, scale := make([]int8, out*in), make([]float32, out*in/group)
	limit := 1 << (bits - 1)
	for i := range q {
		q[i] = int8(i*7%(2*limit-1) - limit + 1)
	}
	for i := range scale {
		scale[i] = 0.1 + float32(i)/3 // not exact in bfloat16
	}
	var w weight.Weight
	var err error
	if bits == 8 {
		w, err = weight.NewInt8(q, scale, out, in)
	} else {
		w, err = weight.NewInt4(q, scale, out, in, group)
	}
	if err != nil {
		panic(err)
	}
	return w
}

// changed makes a weight again of changed parts.
func changed(w weight.Weight, change func(e *weight.Encoding)) weight.Weight {
	q := w.(weight.Quantized)
	e := q.Encoding()
	e.Scale = slices.Clone(e.Scale)
	change(&e)
	again, err := weight.New(e, q.Codes())
	if err != nil {
		panic(err)
	}
	return again
}

// roundScales makes all scales exact in 16 bits.
func roundScales(m *model.Model) {
	for _, l := range m.Linears() {
		if _, ok := l.Weight.(weight.Quantized); ok {
			l.Weight = changed(l.Weight, func(e *weight.Encoding) {
				for i, v := range e.Scale {
					e.Scale[i] = half.FromBFloat16(half.ToBFloat16(v))
				}
			})
		}
	}
}

// addZeroPoints gives all 4-bit weights zero points, from 0 to 15 as files count them.
func addZeroPoints(m *model.Model) {
	for _, l := range m.Linears() {
		if _, ok := l.Weight.(*weight.Int4); ok {
			l.Weight = changed(l.Weight, func(e *weight.Encoding) {
				e.Format.ZeroPoints, e.Zero = true, make([]int8, len(e.Scale))
				for i := range e.Zero {
					e.Zero[i] = int8(5*i%16 - 8)
				}
			})
		}
	}
}

// plannedBytes is what the tensors of a model would take in a file whose float tensors have dtype.
func plannedBytes(t *testing.T, m *model.Model, dtype DType) (n int64) {
	t.Helper()
	tensors, _, err := plan(m, SaveOptions{DType: dtype})
	if err != nil {
		t.Fatal(err)
	}
	for _, tensor := range tensors {
		n += tensor.Bytes()
	}
	return n
}

// sameWeight compares the formats of weights, and the codes and scales of quantized ones.
func sameWeight(t *testing.T, name string, got, want weight.Weight) {
	t.Helper()
	a, okA := got.(weight.Quantized)
	b, okB := want.(weight.Quantized)
	if okA != okB || got.Format() != want.Format() {
		t.Errorf("%s: format %s, expected %s", name, got.Format(), want.Format())
	} else if okA && (!reflect.DeepEqual(a.Encoding(), b.Encoding()) || !slices.Equal(a.Codes(), b.Codes())) {
		t.Errorf("%s: codes or scales differ", name)
	}
}

// sameLinears compares the linear layers of the blocks.
func sameLinears(t *testing.T, got, want *model.Model) {
	t.Helper()
	wants := want.Linears()
	for i, l := range got.Linears() {
		sameWeight(t, l.Name, l.Weight, wants[i].Weight)
	}
}

// sameWeights compares whole models.
func sameWeights(t *testing.T, got, want *model.Model) {
	t.Helper()
	sameLinears(t, got, want)
	sameWeight(t, "lm_head", got.Head, want.Head)
	dense := want.Tensors()
	for i, p := range got.Tensors() {
		if p.Name != dense[i].Name || !slices.Equal(p.Data, dense[i].Data) {
			t.Errorf("%s differs from %s", p.Name, dense[i].Name)
		}
	}
}

// withHeader is a safetensors file of a header and payload bytes.
func withHeader(header string, payload int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, payload)...)
}

func second[T any](_ T, err error) error { return err }

// parsed is what parseConfig says, its notes left out.
func parsed(data []byte) (model.Config, *quantization, error) {
	d, err := parseConfig(data, nil)
	return d.Config, d.quantization, err
}
