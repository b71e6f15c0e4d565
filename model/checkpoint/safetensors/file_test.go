package safetensors

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/half"
	"slimlab/internal/shareddata"
)

// withHeader is a safetensors file of a header and payload bytes.
func withHeader(header string, payload int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, payload)...)
}

func openBytes(data []byte) (*File, error) {
	return Open(bytes.NewReader(data), int64(len(data)))
}

func TestLyingHeaders(t *testing.T) {
	const two = `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"I8","shape":[4],"data_offsets":[8,12]}}`
	long := withHeader(two, 12)
	binary.LittleEndian.PutUint64(long, 1<<40)
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, `safetensors: the file has 0 bytes, expected at least 8`},
		{"no header", make([]byte, 8), `safetensors: found a file of zeros: its download was cut off`},
		{"long header", long, `safetensors: the header's length is 1099511627776, expected 1 to 119 in a file of 127 bytes`},
		{"header cut", withHeader(two, 12)[:50], `safetensors: the header's length is 107, expected 1 to 42 in a file of 50 bytes`},
		{"truncated", withHeader(two, 11), `safetensors header: tensor "b" ends at byte 12 of the data, but the file has only 11: it is truncated or not what its header says`},
		{"trailing", withHeader(two, 13), `safetensors header: the tensors end at byte 12, but the file has 13: expected nothing after them`},
		{"not JSON", withHeader(`[1]`, 0), `safetensors header: found "[1]", expected a JSON object`},
		{"two objects", withHeader(`{} {}`, 0), `safetensors header: found "{}" after the object, expected only spaces`},
		{"unfinished", withHeader(`{"a":`, 0), `safetensors header: tensor "a": the header ends within the value`},
		{"twice", withHeader(`{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}}`, 2), `safetensors header: tensor "a" is listed twice`},
		{"dtype", withHeader(`{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,1]}}`, 1), `safetensors header: tensor "a": dtype "F31" is not known`},
		{"size", withHeader(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8), `safetensors header: tensor "a": data_offsets [0 8] hold 8 bytes, expected 12 for shape [3] of F32`},
		{"overflow", withHeader(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0), `safetensors header: tensor "a": shape [4294967296 4294967296] of F32 overflows`},
		{"negative", withHeader(`{"a":{"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]}}`, 8), `safetensors header: tensor "a": shape is [-1 -2], expected no negative sizes`},
		{"offsets", withHeader(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, 8), `safetensors header: tensor "a": data_offsets are [8 0], expected two, the first not above the second`},
		{"one offset", withHeader(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}}`, 8), `safetensors header: tensor "a": data_offsets are [8], expected two, the first not above the second`},
		{"overlap", withHeader(`{"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"I8","shape":[4],"data_offsets":[2,6]}}`, 6), `safetensors header: tensor "b" begins at byte 2, inside tensor "a", which ends at 4`},
		{"hole", withHeader(`{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"I8","shape":[1],"data_offsets":[2,3]}}`, 3), `safetensors header: tensor "b" begins at byte 2, but tensor "a" ends at 1: expected no hole`},
		{"metadata", withHeader(`{"__metadata__":{"a":1}}`, 0), `safetensors header: __metadata__.a: found a number, expected a string`},
	} {
		if _, err := openBytes(c.data); err == nil || err.Error() != c.want {
			t.Errorf("%s:\nfound    %v\nexpected %s", c.name, err, c.want)
		}
	}
	if s, err := openBytes(withHeader(two, 12)); err != nil || len(s.Tensors) != 2 {
		t.Errorf("the honest header: %v", err)
	}
}

func TestSafetensorsRoundTrip(t *testing.T) {
	floats := []float32{0, -1.5, math.Pi, float32(math.Inf(1)), 1e-40, math.MaxFloat32}
	bytes8 := []byte{0x80, 0, 0x7f}
	words := []int32{math.MinInt32, -1, math.MaxInt32}
	shape := []int64{1 << 40}
	name := filepath.Join(t.TempDir(), "x.safetensors")
	give := func(v any) func() any { return func() any { return v } }
	err := Write(context.Background(), name, []Tensor{
		{"c", I8, []int{3}, give(bytes8)}, {"b", F32, []int{2, 3}, give(floats)}, {"half", BF16, []int{6}, give(floats)},
		{"d", I32, []int{3, 1}, give(words)}, {"e", I64, []int{1}, give(shape)}, {"scalar", F32, nil, give(floats[1:2])},
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	if s.data%8 != 0 || s.Metadata["format"] != "pt" {
		t.Errorf("data begin at %d, metadata %v", s.data, s.Metadata)
	}
	got, rounded := make([]float32, 6), make([]float32, 6)
	if err := s.ReadFloat32(got, "b"); err != nil || !slices.Equal(got, floats) {
		t.Errorf("F32: %v, %v", got, err)
	}
	for i := range rounded {
		rounded[i] = half.FromBFloat16(half.ToBFloat16(floats[i]))
	}
	if err := s.ReadFloat32(got, "half"); err != nil || !slices.Equal(got, rounded) {
		t.Errorf("BF16: %v, %v; expected %v", got, err, rounded)
	}
	for name, want := range map[string][]byte{
		"c": bytes8,
		"d": {0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"e": {0, 0, 0, 0, 0, 1, 0, 0},
	} {
		if v, err := s.Raw(name); err != nil || !slices.Equal(v, want) {
			t.Errorf("%s: %x, %v", name, v, err)
		}
	}
	for _, tensor := range s.Tensors {
		if (s.data+tensor.start)%tensor.DType.Size() != 0 {
			t.Errorf("%s is at %d, not aligned for %s", tensor.Name, s.data+tensor.start, tensor.DType)
		}
	}
	for want, err := range map[string]error{
		`tensor "none" is missing`:                               s.ReadFloat32(got, "none"),
		`tensor "c": dtype is I8, expected F32, F16 or BF16`:     s.ReadFloat32(got[:3], "c"),
		`tensor "b": shape is [2 3], expected 5 elements`:        s.ReadFloat32(got[:5], "b"),
		`tensor "a" is given twice`:                              Write(context.Background(), name, []Tensor{{"a", I8, nil, nil}, {"a", I8, nil, nil}}),
		`tensor "a": cannot write []int32 as F32`:                Write(context.Background(), name, []Tensor{{"a", F32, []int{3}, give(words)}}),
		`tensor "a": found 3 elements, expected 4 for shape [4]`: Write(context.Background(), name, []Tensor{{"a", I32, []int{4}, give(words)}}),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("found %v, expected %s", err, want)
		}
	}
	if again, err := os.ReadFile(name); err != nil || !bytes.Equal(again, data) {
		t.Error("a write that failed changed the file")
	}
}

func TestFloat16Tensor(t *testing.T) {
	data := withHeader(`{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}`, 0)
	data = append(data, 0x00, 0x3c, 0x00, 0xc1)
	s, err := openBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, 2)
	if err := s.ReadFloat32(got, "a"); err != nil || got[0] != 1 || got[1] != -2.5 {
		t.Errorf("found %v, %v; expected 1, -2.5", got, err)
	}
}

// Every matrix of the file is a Hadamard matrix: H·Hᵀ = n·I.
func TestHadamards(t *testing.T) {
	data, err := os.ReadFile(shareddata.Path(t, "vectors", "hadamards.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := openBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, tensor := range s.Tensors {
		n := tensor.Shape[0]
		stored, err := s.Raw(tensor.Name)
		if err != nil {
			t.Fatal(err)
		}
		h := make([]int8, len(stored))
		for i, v := range stored {
			h[i] = int8(v)
		}
		// Some are stored as bits, 0 for −1.
		if slices.Contains(h, 0) {
			for i := range h {
				h[i] = 2*h[i] - 1
			}
		}
		for i := range n {
			for j := range i + 1 {
				sum, want := 0, 0
				for k := range n {
					sum += int(h[i*n+k]) * int(h[j*n+k])
				}
				if i == j {
					want = n
				}
				if sum != want {
					t.Fatalf("%s: row %d times row %d is %d, expected %d", tensor.Name, i, j, sum, want)
				}
			}
		}
	}
	if len(s.Tensors) != len(s.Metadata) {
		t.Errorf("%d tensors, %d names", len(s.Tensors), len(s.Metadata))
	}
}

func FuzzSafetensors(f *testing.F) {
	f.Add(withHeader(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"format":"pt"}}  `, 8))
	f.Add(withHeader(`{"a":{"dtype":"I8","shape":[],"data_offsets":[0,1]},"b":{"dtype":"BF16","shape":[0,9],"data_offsets":[1,1]}}`, 1))
	f.Add(withHeader(strings.Repeat(`{"a":`, 50), 0))
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 127, '{', '}'})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := openBytes(data)
		if err != nil {
			return
		}
		var total int64
		for _, tensor := range s.Tensors {
			total += tensor.Bytes()
			if tensor.DType == F32 || tensor.DType == F16 || tensor.DType == BF16 {
				if err := s.ReadFloat32(make([]float32, tensor.Elements()), tensor.Name); err != nil {
					t.Errorf("%q: %v", tensor.Name, err)
				}
			}
		}
		if total != int64(len(data))-s.data {
			t.Errorf("tensors hold %d bytes of %d", total, int64(len(data))-s.data)
		}
	})
}

// Verify finds a single byte that is not what was written.
func TestVerifyFindsAByte(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.safetensors")
	tensors := []Tensor{{"x", F32, []int{2}, func() any { return []float32{1, 2} }}, {"y", BF16, []int{3}, func() any { return []float32{1, 2, 3} }}}
	if err := Write(context.Background(), name, tensors); err != nil {
		t.Fatal(err)
	}
	if err := Verify(context.Background(), name, tensors); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Verify(context.Background(), name, tensors); err == nil || !strings.Contains(err.Error(), `"y"`) {
		t.Errorf("a changed byte of y gives %v", err)
	}
}

// A header whose length begins like another kind of file is no other kind of file.
func TestHeaderLengthsLikeMagicNumbers(t *testing.T) {
	for _, length := range []int{0x0280, 0x8b1f, 0xfeff} { // a pickle, gzip, UTF-16
		header := `{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}`
		header += strings.Repeat(" ", length-len(header))
		if _, err := openBytes(withHeader(header, 1)); err != nil {
			t.Errorf("a header of %d bytes: %v", length, err)
		}
	}
}
