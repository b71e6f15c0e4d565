package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/half"
	"slimlab/model"
	"slimlab/model/checkpoint/safetensors"
	"slimlab/model/weight"
)

// withOutliers adds numbers beside the codes of all linear layers: of every output its own inputs,
// or whole columns.
func withOutliers(t testing.TB, m *model.Model, columns bool) {
	t.Helper()
	for n, l := range m.Linears() {
		out, in := l.Weight.Shape()
		s := &weight.Sparse{Out: out, In: in, Start: []int32{0}, Columns: columns}
		for o := range out {
			for i := range in {
				if columns && i%11 == n%5 || !columns && (3*o+i)%13 == 0 {
					s.Input = append(s.Input, int32(i))
					s.Value = append(s.Value, half.FromBFloat16(half.ToBFloat16(float32(o-i)/7)))
				}
			}
			s.Start = append(s.Start, int32(len(s.Input)))
		}
		w, err := weight.NewOutliers(l.Weight, s)
		if err != nil {
			t.Fatal(err)
		}
		l.Weight = w
	}
}

// outlierModels are models with numbers beside the codes, in each packing that codes have.
func outlierModels(t testing.TB) map[string]*model.Model {
	t.Helper()
	list := map[string]*model.Model{}
	for _, columns := range []bool{false, true} {
		for bits, group := range map[int]int{3: 8, 4: 8, 8: 0} {
			m := random(t, shapes()["qwen2"])
			for _, l := range m.Linears() {
				if bits == 8 {
					l.Weight = newInt(l.Out, l.In, 8, l.In)
					continue
				}
				l.Weight = newInt(l.Out, l.In, 4, group)
				if bits == 3 {
					l.Weight = threeBits(t, l.Out, l.In, group)
				}
			}
			withOutliers(t, m, columns)
			list[fmt.Sprintf("%d bits, columns %t", bits, columns)] = m
		}
	}
	return list
}

// threeBits is a weight of 3 bits whose scales float16 holds.
func threeBits(t testing.TB, out, in, group int) weight.Weight {
	t.Helper()
	e := weight.Encoding{Format: weight.Format{Bits: 3, Group: group}, Out: out, In: in}
	codes := make([]byte, out*in)
	for i := range codes {
		codes[i] = byte(i*5%8 - 4)
	}
	for i := range out * in / group {
		e.Scale = append(e.Scale, float32(1+i%7)/8)
	}
	w, err := weight.New(e, codes)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestOutliersRoundTrip: codes, scales and the numbers beside them go through a folder, all at once
// and a layer at a time, and take the bytes that are counted; config.json names a method that no
// other engine has, and no file beside it another.
func TestOutliersRoundTrip(t *testing.T) {
	for name, m := range outlierModels(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := Save(context.Background(), dir, m, nil, SaveOptions{Verify: true}); err != nil {
				t.Fatal(err)
			}
			checkOutliers(t, dir, m)
			stored, err := storedBytes(dir)
			if planned := plannedBytes(t, m, F32); err != nil || stored != planned {
				t.Errorf("%d bytes stored, %d planned: %v", stored, planned, err)
			}
			parts := filepath.Join(t.TempDir(), "parts")
			for begun := range 2 { // the second finds the first layer of the first
				w, err := NewWriter(context.Background(), parts, []byte("recipe"), m.Config, F32)
				if err != nil {
					t.Fatal(err)
				}
				if begun == 0 {
					if err := w.Block(t.Context(), m, 0); err != nil {
						t.Fatal(err)
					}
					continue
				}
				found, err := model.Skeleton(m.Config)
				if err == nil {
					err = w.LoadBlock(t.Context(), found, 0)
				}
				if err != nil || !w.Finished(0) {
					t.Fatal(err)
				}
				for i, l := range found.BlockLinears(0) {
					sameOutliers(t, l.Name, l.Weight, m.BlockLinears(0)[i].Weight)
				}
				for layer := 1; layer < len(m.Blocks); layer++ {
					if err := w.Block(t.Context(), m, layer); err != nil {
						t.Fatal(err)
					}
				}
				tensors, _, err := plan(m, SaveOptions{})
				if err != nil {
					t.Fatal(err)
				}
				rest := slices.DeleteFunc(tensors, func(x Tensor) bool { return strings.HasPrefix(x.Name, "model.layers.") })
				if err := errors.Join(w.Rest(t.Context(), rest), w.Close()); err != nil {
					t.Fatal(err)
				}
			}
			checkOutliers(t, parts, m)
		})
	}
}

// checkOutliers compares a folder with the model that it was written of.
func checkOutliers(t *testing.T, dir string, m *model.Model) {
	t.Helper()
	got, _, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range got.Linears() {
		sameOutliers(t, l.Name, l.Weight, m.Linears()[i].Weight)
	}
	var config struct {
		Quantization struct {
			Method   string `json:"quant_method"`
			Outliers string
			Codes    struct {
				Method string `json:"quant_method"`
			}
		} `json:"quantization_config"`
	}
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err := errors.Join(err, json.Unmarshal(data, &config)); err != nil || config.Quantization.Method != "slimlab" || config.Quantization.Outliers == "" || config.Quantization.Codes.Method == "" {
		t.Errorf("quantization %+v, expected method slimlab around that of the codes: %v", config.Quantization, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "quantize_config.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("quantize_config.json is there (%v), from which others would read the codes alone", err)
	}
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if len(c.Notes()) > 0 {
		t.Errorf("notes: %q", c.Notes())
	}
	if f := c.Quantization()[0]; f.Storage.Outliers == "" || !strings.Contains(f.Format, weight.OutliersEnding) {
		t.Errorf("format %q, storage %+v", f.Format, f.Storage)
	}
}

func sameOutliers(t *testing.T, name string, got, want weight.Weight) {
	t.Helper()
	a, ok := got.(*weight.Outliers)
	b := want.(*weight.Outliers)
	if !ok {
		t.Errorf("%s: format %s, expected %s", name, got.Format(), want.Format())
		return
	}
	codesA, _ := a.Coded()
	codesB, _ := b.Coded()
	sameWeight(t, name, codesA, codesB)
	if !reflect.DeepEqual(a.Sparse(), b.Sparse()) {
		t.Errorf("%s: outliers %+v, expected %+v", name, a.Sparse(), b.Sparse())
	}
}

// TestOutliersOfGPTQ: what other engines would read as codes alone is not written.
func TestOutliersOfGPTQ(t *testing.T) {
	for name, m := range outlierModels(t) {
		err := Save(context.Background(), t.TempDir(), m, nil, SaveOptions{Packing: GPTQ})
		if err == nil || !strings.Contains(err.Error(), "whose engines would leave out its outliers") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, columns := range []bool{false, true} {
		for _, at := range []int{0, 3} { // others follow the first, or come before
			m := outlierModels(t)[fmt.Sprintf("4 bits, columns %t", columns)]
			l := m.Linears()[at]
			l.Weight = newInt(l.Out, l.In, 4, 8)
			if err := Save(context.Background(), t.TempDir(), m, nil, SaveOptions{}); err == nil || !strings.Contains(err.Error(), "expected one kind for all") {
				t.Errorf("columns %t, layer %d without outliers: %v", columns, at, err)
			}
		}
	}
}

// TestDamagedOutliers: numbers that fit neither the codes nor each other are errors that name the
// tensor.
func TestDamagedOutliers(t *testing.T) {
	const layer = "model.layers.1.mlp.up_proj"
	for _, c := range []struct {
		name    string
		columns bool
		tensor  string
		change  func(x safetensors.Tensor) safetensors.Tensor
		want    string
	}{
		{"missing values", false, outlierValues, nil, layer + outlierValues},
		{"missing counts", false, outlierCounts, nil, layer + outlierCounts},
		{"fewer values", false, outlierValues, shorter, "output 23 has 1"},
		{"too many in an output", false, outlierCounts, func(x safetensors.Tensor) safetensors.Tensor {
			return safetensors.NewTensor(x.Name, x.DType, x.Shape, func() any {
				counts := slices.Clone(x.Data().([]uint16))
				counts[0] = 1000
				return counts
			})
		}, "output 0 has 1000"},
		{"fewer in an output", false, outlierCounts, func(x safetensors.Tensor) safetensors.Tensor {
			return safetensors.NewTensor(x.Name, x.DType, x.Shape, func() any {
				counts := slices.Clone(x.Data().([]uint16))
				counts[len(counts)-1] = 0
				return counts
			})
		}, "a start for each output and the end"},
		{"counts of fewer outputs", false, outlierCounts, func(x safetensors.Tensor) safetensors.Tensor {
			return safetensors.NewTensor(x.Name, x.DType, []int{x.Shape[0] - 1}, func() any { return x.Data().([]uint16)[1:] })
		}, "shape is"},
		{"an input that is not there", false, outlierInputs, func(x safetensors.Tensor) safetensors.Tensor {
			return safetensors.NewTensor(x.Name, x.DType, x.Shape, func() any {
				inputs := slices.Clone(x.Data().([]uint16))
				inputs[len(inputs)-1] = 60000
				return inputs
			})
		}, "of input 60000"},
		{"inputs of another type", false, outlierInputs, func(x safetensors.Tensor) safetensors.Tensor {
			return safetensors.NewTensor(x.Name, safetensors.I32, x.Shape, func() any { return make([]int32, x.Shape[0]) })
		}, "dtype is I32, expected U16"},
		{"columns of another matrix", true, outlierValues, func(x safetensors.Tensor) safetensors.Tensor {
			return safetensors.NewTensor(x.Name, x.DType, []int{x.Shape[0], 1}, func() any { return make([]float32, x.Shape[0]) })
		}, "numbers, expected"},
		{"values that are no matrix", true, outlierValues, func(x safetensors.Tensor) safetensors.Tensor {
			return safetensors.NewTensor(x.Name, x.DType, []int{x.Shape[0] * x.Shape[1]}, x.Data)
		}, "any]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := outlierModels(t)[fmt.Sprintf("4 bits, columns %t", c.columns)]
			dir := t.TempDir()
			if err := Save(context.Background(), dir, m, nil, SaveOptions{}); err != nil {
				t.Fatal(err)
			}
			tensors, _, err := plan(m, SaveOptions{})
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(tensors, func(x Tensor) bool { return x.Name == layer+c.tensor })
			if c.change == nil {
				tensors = slices.Delete(tensors, at, at+1)
			} else {
				tensors[at] = c.change(tensors[at])
			}
			if err := safetensors.WriteFolder(t.Context(), dir, tensors, safetensors.FolderOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, _, err := load(dir); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), layer) {
				t.Errorf("%v, expected %q of %s", err, c.want, layer)
			}
		})
	}
}

// shorter is a tensor without its last number.
func shorter(x safetensors.Tensor) safetensors.Tensor {
	return safetensors.NewTensor(x.Name, x.DType, []int{x.Shape[0] - 1}, func() any { return x.Data().([]float32)[1:] })
}

// TestOutliersSection: sections that say too little, or too much, are refused by their keys.
func TestOutliersSection(t *testing.T) {
	dir := t.TempDir()
	if err := Save(context.Background(), dir, outlierModels(t)["4 bits, columns false"], nil, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, want string }{
		{`"entries"`, `"rows"`, `quantization_config.outliers: "rows" is not supported, expected entries or columns`},
		{`"codes"`, `"code"`, "quantization_config.codes: expected the section"},
		{`"quant_method": "compressed-tensors"`, `"quant_method": "awq", "bits": 4`, "codes: expected the section"},
		{`"quant_method": "compressed-tensors"`, `"quant_method": "other"`, `codes.quant_method: "other" is not supported`},
	} {
		changed := strings.Replace(string(data), c.from, c.to, 1)
		if changed == string(data) {
			t.Fatalf("%s has no %s", data, c.from)
		}
		if err := os.WriteFile(name, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := load(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", c.to, err, c.want)
		}
	}
}
