package checkpoint

import (
	"encoding/binary"
	"fmt"
	"slices"

	"slimlab/internal/half"
	"slimlab/model/checkpoint/safetensors"
	"slimlab/model/weight"
)

// Outliers is what the numbers are that a weight has beside its codes; "" is none. The codes are
// stored in the packing that they would have alone. Beside them are outlier_values in BF16, and of
// entries outlier_inputs, the input of each, one output after another, and outlier_counts [out],
// both in U16, or I32 of more than 65,535 inputs; of columns outlier_values is [out, columns], and
// outlier_inputs names each column's input.
//
// quant_method is one that no other engine knows, and the section of the codes is inside of it:
// such a model is refused elsewhere, and not read without its outliers.
type Outliers string

// The kinds of outliers.
const (
	OutlierEntries Outliers = "entries" // single weights
	OutlierColumns Outliers = "columns" // all weights of some inputs
)

const (
	outliersMethod = "slimlab"
	outlierValues  = ".outlier_values"
	outlierInputs  = ".outlier_inputs"
	outlierCounts  = ".outlier_counts"
)

// tensors lists what the numbers of a layer are stored as.
func (k Outliers) tensors(name string, out int) []expectation {
	if k == OutlierColumns {
		return []expectation{expect(name+outlierValues, out, anySize), expect(name+outlierInputs, anySize)}
	}
	return []expectation{expect(name+outlierValues, anySize), expect(name+outlierInputs, anySize), expect(name+outlierCounts, out)}
}

// encodeOutliers lists the tensors of codes and of the numbers beside them.
func encodeOutliers(name string, w *weight.Outliers, o SaveOptions) ([]Tensor, Storage, error) {
	coded, ok := w.Coded()
	if !ok {
		return nil, Storage{}, fmt.Errorf("%s: some outputs of a weight of format %s cannot be saved, expected all", name, w.Format())
	}
	if o.Packing == GPTQ {
		return nil, Storage{}, fmt.Errorf("%s: %s is not written as %s, whose engines would leave out its outliers", name, w.Format(), GPTQ)
	}
	list, storage, err := encode(name, coded, o)
	if err != nil {
		return nil, storage, err
	}
	s := w.Sparse()
	inputs := s.Input
	values := []int{len(s.Value)}
	if storage.Outliers = OutlierEntries; s.Columns {
		storage.Outliers = OutlierColumns
		if s.Out > 0 {
			inputs = s.Input[:s.Start[1]]
			values = []int{s.Out, len(inputs)}
		}
	}
	list = append(list, safetensors.NewTensor(name+outlierValues, BF16, values, func() any { return s.Value }))
	list = append(list, inputsTensor(name+outlierInputs, s.In, len(inputs), func() []int32 { return inputs }))
	if !s.Columns {
		list = append(list, inputsTensor(name+outlierCounts, s.In, s.Out, func() []int32 {
			counts := make([]int32, s.Out)
			for i := range counts {
				counts[i] = s.Start[i+1] - s.Start[i]
			}
			return counts
		}))
	}
	return list, storage, nil
}

// inputsTensor holds n numbers of inputs, or counts of them.
func inputsTensor(name string, in, n int, numbers func() []int32) Tensor {
	if weight.InputBytes(in) == 4 {
		return safetensors.NewTensor(name, safetensors.I32, []int{n}, func() any { return numbers() })
	}
	return safetensors.NewTensor(name, safetensors.U16, []int{n}, func() any {
		short := make([]uint16, 0, n)
		for _, v := range numbers() {
			short = append(short, uint16(v))
		}
		return short
	})
}

// decode reads the numbers beside the codes of a weight, whose tensors were found to be there.
func (k Outliers) decode(files source, name string, codes weight.Weight) (weight.Weight, error) {
	out, in := codes.Shape()
	values, err := bytesOf(files, name+outlierValues, BF16)
	if err != nil {
		return nil, err
	}
	inputs, err := inputNumbers(files, name+outlierInputs, in)
	if err != nil {
		return nil, err
	}
	s := &weight.Sparse{Out: out, In: in, Input: inputs, Value: make([]float32, len(values)/2), Columns: k == OutlierColumns}
	for i := range s.Value {
		s.Value[i] = half.FromBFloat16(binary.LittleEndian.Uint16(values[2*i:]))
	}
	counts := slices.Repeat([]int32{int32(len(inputs))}, out)
	if s.Columns {
		if len(s.Value) != out*len(inputs) {
			return nil, fmt.Errorf("%s has %d numbers, expected %d for each of %d outputs, as %s has inputs", name+outlierValues, len(s.Value), len(inputs), out, name+outlierInputs)
		}
		s.Input = slices.Repeat(inputs, out)
	} else if counts, err = inputNumbers(files, name+outlierCounts, in); err != nil {
		return nil, err
	}
	s.Start = make([]int32, 1, out+1)
	for o, n := range counts {
		if n < 0 || int(n) > len(s.Value)-int(s.Start[o]) {
			return nil, fmt.Errorf("%s: output %d has %d of the %d values, expected at most the %d that are left", name+outlierCounts, o, n, len(s.Value), len(s.Value)-int(s.Start[o]))
		}
		s.Start = append(s.Start, s.Start[o]+n)
	}
	return weight.NewOutliers(codes, s)
}

// inputNumbers reads numbers of inputs, or counts of them.
func inputNumbers(files source, name string, in int) ([]int32, error) {
	if weight.InputBytes(in) == 4 {
		return int32s(files, name)
	}
	b, err := bytesOf(files, name, safetensors.U16)
	list := make([]int32, len(b)/2)
	for i := range list {
		list[i] = int32(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return list, err
}

// outliersFile is the quantization_config of codes with numbers beside them.
type outliersFile struct {
	Method   string              `json:"quant_method"`
	Outliers Outliers            `json:"outliers"`
	Codes    *quantizationConfig `json:"codes"` // as if there were codes alone
}

// outliersConfig is possible where all layers that are quantized have outliers of one kind.
func outliersConfig(layers []layer) (*quantizationConfig, error) {
	f := outliersFile{Method: outliersMethod}
	alone := slices.Clone(layers)
	for i, l := range layers {
		switch own := l.storage.Outliers; {
		case l.storage.Dense():
		case own != f.Outliers && f.Outliers != "" || own == "":
			return nil, fmt.Errorf("%s: outliers %q differ from those of other layers, %q: expected one kind for all", l.name, own, f.Outliers)
		default:
			f.Outliers, alone[i].storage.Outliers = own, ""
		}
	}
	codes, err := newQuantizationConfig(alone)
	if err != nil {
		return nil, err
	}
	f.Codes = codes
	return marshalled(f)
}

// parseOutliers reads an outliersFile.
func parseOutliers(k *keys, n *notes) *quantization {
	kind := Outliers(k.choice("outliers", "", string(OutlierEntries), string(OutlierColumns)))
	q, err := parseQuantization("codes", k.raw["codes"], n)
	switch {
	case err != nil:
		if k.err == nil {
			k.err = err
		}
		return new(quantization)
	case q == nil || q.method != "compressed-tensors" && q.method != "gptq":
		k.fail("codes", "expected the section of compressed-tensors or gptq for the codes alone")
		return new(quantization)
	}
	for i := range q.groups {
		q.groups[i].storage.Outliers = kind
	}
	return q
}
