package gguf

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
)

// sample is a file with a value of every type and a few tensors.
func sample(t testing.TB) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "sample.gguf")
	if err := Write(name, sampleMetadata(), []NewTensor{
		{"vector", F32, []int{3}, func(dst []float32, first, rows int) error { copy(dst, []float32{1, 2, 3}); return nil }, nil},
		{"matrix", Q8_0, []int{5, 64}, ramp(64), nil},
		{"wide", F16, []int{2, 2, 6}, ramp(6), nil},
	}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// ramp gives row r the values r, r + 1 … .
func ramp(width int) func(dst []float32, first, rows int) error {
	return func(dst []float32, first, rows int) error {
		for i := range dst {
			dst[i] = float32(first + i/width + i%width)
		}
		return nil
	}
}

func sampleMetadata() Metadata {
	return Metadata{
		{"u8", uint8(1)}, {"i8", int8(-2)}, {"u16", uint16(3)}, {"i16", int16(-4)}, {"u32", uint32(5)}, {"i32", int32(-6)},
		{"u64", uint64(1 << 63)}, {"i64", int64(-8)}, {"f32", float32(0.5)}, {"f64", 0.25}, {"yes", true}, {"text", "naïve"},
		{"u8s", []uint8{1, 2}}, {"i8s", []int8{-1}}, {"u16s", []uint16{1}}, {"i16s", []int16{-1}}, {"u32s", []uint32{7, 8}}, {"i32s", []int32{-1, 2}},
		{"u64s", []uint64{1}}, {"i64s", []int64{-1, 1 << 40}}, {"f32s", []float32{1, 2}}, {"f64s", []float64{}}, {"bools", []bool{true, false}},
		{"texts", []string{"", "b"}}, {"nested", []any{[]int8{1}, []string{"x"}, []any{[]bool{true}}}},
	}
}

func TestRoundTrip(t *testing.T) {
	data := sample(t)
	f, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if f.Version != 3 || f.Alignment != 32 {
		t.Errorf("version %d, alignment %d, expected 3 and 32", f.Version, f.Alignment)
	}
	if want := sampleMetadata(); !reflect.DeepEqual(f.Metadata, want) {
		t.Errorf("metadata:\n found    %v\n expected %v", f.Metadata, want)
	}
	for i, want := range []struct {
		name  string
		kind  Type
		shape []int
		bytes int64
	}{{"vector", F32, []int{3}, 12}, {"matrix", Q8_0, []int{5, 64}, 340}, {"wide", F16, []int{2, 2, 6}, 48}} {
		got := f.Tensors[i]
		if got.Name != want.name || got.Type != want.kind || !slices.Equal(got.Shape, want.shape) || got.Bytes() != want.bytes {
			t.Errorf("tensor %d: found %+v, expected %+v", i, got, want)
		}
	}
	for _, r := range []interface {
		ReadAt(p []byte, off int64) (int, error)
	}{bytes.NewReader(data), viewer{bytes.NewReader(data), data}} {
		f, err := Open(r, int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		row := make([]float32, 2*6)
		if err := f.ReadRows(row, "wide", 1, 2); err != nil || !slices.Equal(row, []float32{1, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6, 7}) {
			t.Errorf("rows 1 and 2 of wide are %g (%v)", row, err)
		}
		raw, err := f.Raw("matrix", 4, 1)
		if err != nil || len(raw) != 68 {
			t.Errorf("the last row of matrix has %d bytes (%v), expected 68", len(raw), err)
		}
		values := make([]float32, 64)
		if err := f.ReadRows(values, "matrix", 4, 1); err != nil {
			t.Fatal(err)
		}
		want := make([]float32, 64)
		if err := ramp(64)(want, 4, 1); err != nil {
			t.Fatal(err)
		}
		if err := checkErrors(Q8_0, values, want); err != nil {
			t.Error(err)
		}
		for _, c := range []struct {
			name        string
			first, rows int
		}{{"matrix", 5, 1}, {"matrix", -1, 1}, {"matrix", 0, 6}, {"matrix", 1, -1}, {"matrix", 1 << 62, 1 << 62}, {"none", 0, 1}} {
			if _, err := f.Raw(c.name, c.first, c.rows); err == nil {
				t.Errorf("%d rows of %s from %d were read", c.rows, c.name, c.first)
			}
		}
		if err := f.ReadRows(row, "matrix", 0, 1); err == nil {
			t.Error("a row of 64 was read into 12 elements")
		}
	}
}

// viewer is a file in memory.
type viewer struct {
	*bytes.Reader
	data []byte
}

func (v viewer) View(at, size int64) []byte { return v.data[at : at+size] }
func (v viewer) Forget(at, size int64)      {}

func TestTypedValues(t *testing.T) {
	m := sampleMetadata()
	for _, key := range []string{"u8", "i8", "u16", "i16", "u32", "i32", "i64"} {
		if _, found, err := m.Int(key); !found || err != nil {
			t.Errorf("%s: found %t, %v", key, found, err)
		}
		if _, found, err := m.Ints(key + "s"); !found || err != nil {
			t.Errorf("%ss: found %t, %v", key, found, err)
		}
	}
	if n, _, err := m.Int("i64"); n != -8 || err != nil {
		t.Errorf("i64 is %d (%v)", n, err)
	}
	if n, _, _ := m.Ints("i64s"); !slices.Equal(n, []int{-1, 1 << 40}) {
		t.Errorf("i64s are %d", n)
	}
	for _, c := range []struct {
		key   string
		value float64
	}{{"f32", 0.5}, {"f64", 0.25}, {"i32", -6}} {
		if v, found, err := m.Float(c.key); v != c.value || !found || err != nil {
			t.Errorf("%s is %g (%t, %v)", c.key, v, found, err)
		}
	}
	if _, found, err := m.Int("absent"); found || err != nil {
		t.Errorf("an absent key: %t, %v", found, err)
	}
	_, _, e1 := m.Int("u64")
	_, _, e2 := m.String("yes")
	_, _, e3 := m.Strings("text")
	_, _, e4 := m.Bool("u8")
	_, _, e5 := m.Float32s("f64s")
	_, _, e6 := m.Ints("texts")
	_, _, e7 := m.Float("text")
	for _, c := range []struct {
		err  error
		want string
	}{
		{e1, `metadata key "u64": found the uint64 9223372036854775808, expected a whole number of at most 9223372036854775807`},
		{e2, `metadata key "yes": found true, expected a text`},
		{e3, `metadata key "text": found the text "naïve", expected an array of texts`},
		{e4, `metadata key "u8": found the uint8 1, expected true or false`},
		{e5, `metadata key "f64s": found an array of 0 float64s, expected an array of float32`},
		{e6, `metadata key "texts": found an array of 2 strings, expected an array of whole numbers`},
		{e7, `metadata key "text": found the text "naïve", expected a number`},
	} {
		if c.err == nil || c.err.Error() != c.want {
			t.Errorf("found %v, expected %s", c.err, c.want)
		}
	}
}

// build writes a header by hand.
type build struct{ b []byte }

func (b build) u32(v uint32) build { return build{little.AppendUint32(b.b, v)} }
func (b build) u64(v uint64) build { return build{little.AppendUint64(b.b, v)} }
func (b build) s(s string) build   { return build{appendString(b.b, s)} }
func (b build) zeros(n int) build  { return build{append(b.b, make([]byte, n)...)} }
func (b build) raw(s string) build { return build{append(b.b, s...)} }
func start(tensors, keys int) build {
	return build{}.raw("GGUF").u32(3).u64(uint64(tensors)).u64(uint64(keys))
}

// tensor appends an entry with the dimensions in the file's order, the contiguous one first.
func (b build) tensor(name string, kind Type, offset uint64, dims ...uint64) build {
	b = b.s(name).u32(uint32(len(dims)))
	for _, d := range dims {
		b = b.u64(d)
	}
	return b.u32(uint32(kind)).u64(offset)
}

func TestVersion2(t *testing.T) {
	data := sample(t)
	data[4] = 2
	f, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil || f.Version != 2 || len(f.Tensors) != 3 {
		t.Errorf("found %+v, %v", f, err)
	}
}

// TestAlignment: a file may ask for another alignment than 32.
func TestAlignment(t *testing.T) {
	data := start(1, 1).s(alignmentKey).u32(valueUint32).u32(256).tensor("t", F32, 256, 1)
	data = data.zeros(256 - len(data.b)).zeros(256).raw("\x00\x00\x80\x3f")
	f, err := Open(bytes.NewReader(data.b), int64(len(data.b)))
	if err != nil {
		t.Fatal(err)
	}
	var v [1]float32
	if err := f.ReadRows(v[:], "t", 0, 1); err != nil || v[0] != 1 || f.Alignment != 256 {
		t.Errorf("found %g, alignment %d (%v)", v, f.Alignment, err)
	}
}

// TestUnknownTypes: a tensor of an unknown type has the room up to the next one or to the end, and
// keeps no other from being read.
func TestUnknownTypes(t *testing.T) {
	data := start(3, 0).tensor("odd", 57, 64, 100, 3).tensor("plain", F32, 0, 2).tensor("last", 139, 96, 7)
	data = data.zeros((32 - len(data.b)%32) % 32).raw("\x00\x00\x80\x3f\x00\x00\x20\xc1").zeros(99)
	f, err := Open(bytes.NewReader(data.b), int64(len(data.b)))
	if err != nil {
		t.Fatal(err)
	}
	var v [2]float32
	if err := f.ReadRows(v[:], "plain", 0, 1); err != nil || v != [2]float32{1, -10} {
		t.Errorf("found %g (%v)", v, err)
	}
	for name, room := range map[string]int64{"odd": 32, "plain": 8, "last": 11} {
		if tensor, _ := f.Tensor(name); tensor.Bytes() != room {
			t.Errorf("%s has %d bytes, expected %d", name, tensor.Bytes(), room)
		}
	}
	const want = `tensor "odd": type 57 is unknown: a newer program, or one with types of its own, wrote the file`
	if _, err := f.Raw("odd", 0, 3); err == nil || err.Error() != want {
		t.Errorf("raw bytes: found %v, expected %s", err, want)
	}
	if err := f.ReadRows(make([]float32, 300), "odd", 0, 3); err == nil || err.Error() != want {
		t.Errorf("values: found %v, expected %s", err, want)
	}
}

func TestBadFiles(t *testing.T) {
	deep := start(0, 1).s("k").u32(valueArray)
	for range 20 {
		deep = deep.u32(valueArray).u64(1)
	}
	for _, c := range []struct {
		name string
		data build
		want string
	}{
		{"empty", build{}, "gguf: the file has 0 bytes, expected at least 24"},
		{"other format", build{}.raw("PK\x03\x04").zeros(40), `gguf: found a ZIP archive, as PyTorch pickles weights in: pickled weights are not read`},
		{"version 1", build{}.raw("GGUF").u32(1).zeros(40), "gguf: version is 1, expected 2 or 3"},
		{"version 4", build{}.raw("GGUF").u32(4).zeros(40), "gguf: version is 4, expected 2 or 3"},
		{"big-endian", build{}.raw("GGUF\x00\x00\x00\x03").zeros(40), "gguf: the file is big-endian (version 3), expected little-endian"},
		{"lying tensor count", start(1<<40, 0), "gguf: the number of tensors is 1099511627776, expected at most 0: the file has 8 bytes left"},
		{"lying key count", start(0, 1<<62).zeros(26), "gguf: the number of metadata keys is 4611686018427387904, expected at most 2: the file has 26 bytes left"},
		{"lying key length", start(0, 1).u64(1 << 63).zeros(20), "gguf: the number of bytes of a metadata key is 9223372036854775808, expected at most 20: the file has 20 bytes left"},
		{"unknown value type", start(0, 1).s("k").u32(13).zeros(8), `gguf: metadata key "k": the value's type is 13, expected 0 to 12`},
		{"unknown array type", start(0, 1).s("k").u32(valueArray).u32(99).u64(1).zeros(8), `gguf: metadata key "k": the array's type is 99, expected 0 to 12`},
		{"lying array", start(0, 1).s("k").u32(valueArray).u32(valueFloat64).u64(1 << 61).zeros(8),
			`gguf: metadata key "k": the number of array elements is 2305843009213693952, expected at most 1: the file has 8 bytes left`},
		{"deep arrays", deep, `gguf: metadata key "k": arrays are nested more than 4 deep`},
		{"bad truth value", start(0, 1).s("k").u32(valueBool).raw("\x02").zeros(20), `gguf: metadata key "k": a truth value is 2, expected 0 or 1`},
		{"key twice", start(0, 2).s("k").u32(valueUint8).raw("\x01").s("k").u32(valueUint8).raw("\x01"), `gguf: metadata key "k" is listed twice`},
		{"truncated", start(0, 1).s("key").u32(valueUint64).raw("\x01"), `gguf: metadata key "key": the header ends within an array of 1 values: unexpected EOF`},
		{"alignment is text", start(0, 1).s(alignmentKey).u32(valueString).s("x"), `gguf: metadata key "general.alignment": found the text "x", expected a whole number`},
		{"alignment 0", start(0, 1).s(alignmentKey).u32(valueUint32).u32(0), `gguf: metadata key "general.alignment": found 0, expected a power of two up to 2^30`},
		{"alignment 24", start(0, 1).s(alignmentKey).u32(valueUint32).u32(24), `gguf: metadata key "general.alignment": found 24, expected a power of two up to 2^30`},
		{"bad value before a tensor", start(1, 1).s("k").u32(valueBool).raw("\x02").tensor("t", F32, 0, 1).zeros(40), `gguf: metadata key "k": a truth value is 2, expected 0 or 1`},
		{"lying key length before a tensor", start(1, 1).u64(1 << 63).zeros(40), "gguf: the number of bytes of a metadata key is 9223372036854775808, expected at most 40: the file has 40 bytes left"},
		{"lying name length", start(1, 0).u64(1 << 63).zeros(24), "gguf: tensor 1 of 1: the number of bytes of a tensor's name is 9223372036854775808, expected at most 24: the file has 24 bytes left"},
		{"five dimensions", start(1, 0).tensor("t", F32, 0, 1, 1, 1, 1, 1), `gguf: tensor "t": has 5 dimensions, expected at most 4`},
		{"overflow", start(1, 0).tensor("t", F32, 0, 1<<32, 1<<32), `gguf: tensor "t": the shape overflows at a dimension of 4294967296`},
		{"bytes overflow", start(1, 0).tensor("t", 28, 0, 1<<59), `gguf: tensor "t" has 4611686018427387904 bytes from byte 0 of the data, which has 0: the file is truncated or not what its header says`},
		{"zero dimension", start(1, 0).tensor("t", F32, 0, 4, 0), `gguf: tensor "t": a dimension is 0`},
		{"unknown type without room", start(1, 0).tensor("t", 57, 0, 32).zeros(7), `gguf: tensor "t" begins at byte 64 of the file and has no room there`},
		{"two of unknown types at one place", start(2, 0).tensor("t", 57, 0, 32).tensor("u", 58, 0, 32).zeros(99), `gguf: tensor "t" begins at byte 96 of the file and has no room there`},
		{"unknown type beyond the end", start(1, 0).tensor("t", 57, 64, 32).zeros(40), `gguf: tensor "t" has 0 bytes from byte 64 of the data, which has 33: the file is truncated or not what its header says`},
		{"partial block", start(1, 0).tensor("t", Q4_K, 0, 128), `gguf: tensor "t": rows have 128 elements, expected blocks of 256 for Q4_K`},
		{"tensor twice", start(2, 0).tensor("t", F32, 0, 1).tensor("t", F32, 32, 1).zeros(99), `gguf: tensor "t": the name is listed twice`},
		{"unaligned", start(1, 0).tensor("t", F32, 8, 1).zeros(99), `gguf: tensor "t" begins at byte 8 of the data, expected a multiple of 32`},
		{"negative offset", start(1, 0).tensor("t", F32, 1<<63, 1).zeros(99), `gguf: tensor "t": begins at byte 9223372036854775808`},
		{"overlap", start(2, 0).tensor("a", F32, 32, 1).tensor("b", F32, 0, 9).zeros(140),
			`gguf: tensor "a" begins at byte 128 of the file, inside tensor "b", which ends at 132`},
		{"beyond the end", start(1, 0).tensor("t", F32, 32, 2).zeros(7 + 32 + 7), `gguf: tensor "t" has 8 bytes from byte 32 of the data, which has 39: the file is truncated or not what its header says`},
		{"no data at all", start(1, 0).tensor("t", F32, 0, 2), `gguf: tensor "t" has 8 bytes from byte 0 of the data, which has 0: the file is truncated or not what its header says`},
	} {
		_, err := Open(bytes.NewReader(c.data.b), int64(len(c.data.b)))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\n found    %v\n expected %s", c.name, err, c.want)
		}
	}
}

// TestTruncation cuts a file at every byte: never more than an error.
func TestTruncation(t *testing.T) {
	data := sample(t)
	end := 0
	f, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, tensor := range f.Tensors {
		end = max(end, int(tensor.offset+tensor.size))
	}
	for n := range end {
		if _, err := Open(bytes.NewReader(data[:n]), int64(n)); err == nil {
			t.Fatalf("a file cut at byte %d of %d was opened", n, end)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	fail := errors.New("the disk is gone")
	for _, c := range []struct {
		metadata Metadata
		tensor   NewTensor
		want     string
	}{
		{nil, NewTensor{"t", Q8_0, []int{4, 172}, ramp(172), nil}, `gguf: tensor "t": rows have 172 elements, expected blocks of 32 for Q8_0`},
		{nil, NewTensor{"t", Q2_K, []int{4, 256}, ramp(256), nil}, `gguf: tensor "t": type Q2_K is not written, expected one of F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, BF16`},
		{nil, NewTensor{"t", Q4_K, []int{4, 172}, ramp(172), nil}, `gguf: tensor "t": rows have 172 elements, expected blocks of 256 for Q4_K`},
		{nil, NewTensor{"t", Q4_K, []int{4, 512}, ramp(512), make([]float32, 256)}, `gguf: tensor "t": the importance of 256 elements, expected one for each of a row's 512`},
		{nil, NewTensor{strings.Repeat("t", 64), F32, []int{4}, ramp(4), nil}, `the name has 64 bytes, expected at most 63`},
		{nil, NewTensor{"t", F32, []int{4, 0}, ramp(1), nil}, `gguf: tensor "t": shape is [4 0], expected 1 to 4 sizes from 1 up`},
		{nil, NewTensor{"t", F32, nil, ramp(1), nil}, `gguf: tensor "t": shape is [], expected 1 to 4 sizes from 1 up`},
		{nil, NewTensor{"t", F32, []int{4}, func([]float32, int, int) error { return fail }, nil}, `gguf: tensor "t": the disk is gone`},
		{nil, NewTensor{"t", F16, []int{2, 70000}, ramp(70000), nil}, `gguf: tensor "t": from row 0 on: element 65520 is 65520, expected less than 65520 in magnitude for F16`},
		{Metadata{{"k", 1}}, NewTensor{"t", F32, []int{4}, ramp(4), nil}, `gguf: metadata key "k": a int cannot be written`},
		{Metadata{{"k", []any{1.5}}}, NewTensor{"t", F32, []int{4}, ramp(4), nil}, `gguf: metadata key "k": a float64 cannot be written as an array`},
		{Metadata{{"k", true}, {"k", true}}, NewTensor{"t", F32, []int{4}, ramp(4), nil}, `gguf: metadata key "k" is given twice, or is the writer's own`},
	} {
		dir := t.TempDir()
		err := Write(filepath.Join(dir, "x.gguf"), c.metadata, []NewTensor{c.tensor})
		if err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("found %v, expected %s", err, c.want)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: left behind", left[0].Name())
		}
	}
}

// TestGivenFiles holds the block formats of real files to the same file in F32: each decodes within
// its bound. Encoding the F32 values gives the stored bytes where scales follow the reference, and
// where they are searched for a smaller squared error than the stored blocks have.
func TestGivenFiles(t *testing.T) {
	for _, c := range []struct {
		exact string
		files []string
	}{
		{"TinyStories-656K/gguf/tinystories-656K-F32.gguf", []string{
			"TinyStories-656K/gguf/tinystories-656K-F16.gguf", "TinyStories-656K/gguf/tinystories-656K-BF16.gguf",
			"TinyStories-656K/gguf/tinystories-656K-Q8_0.gguf", "TinyStories-656K/gguf/tinystories-656K-Q4_0.gguf",
			"TinyStories-656K/gguf/tinystories-656K-Q4_K_M.gguf"}},
		{"stories260K/gguf/stories260K.gguf", []string{"stories260K/gguf/stories260K-F16.gguf"}},
	} {
		exact := open(t, shareddata.Path(t, "models", c.exact))
		for _, name := range c.files {
			f := open(t, shareddata.Path(t, "models", name))
			if len(f.Tensors) != len(exact.Tensors) {
				t.Fatalf("%s has %d tensors, expected %d", name, len(f.Tensors), len(exact.Tensors))
			}
			largest := map[Type]float64{}
			for _, tensor := range f.Tensors {
				got, want := make([]float32, tensor.Elements()), make([]float32, tensor.Elements())
				if err := f.ReadRows(got, tensor.Name, 0, tensor.Rows()); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if err := exact.ReadRows(want, tensor.Name, 0, tensor.Rows()); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if err := checkErrors(tensor.Type, got, want); err != nil {
					t.Errorf("%s: tensor %q: %v", name, tensor.Name, err)
				}
				for i := range got {
					largest[tensor.Type] = max(largest[tensor.Type], float64(abs(got[i]-want[i])))
				}
				if !tensor.Type.CanEncode() {
					continue
				}
				encoded := make([]byte, tensor.Bytes())
				if err := tensor.Type.Encode(encoded, want); err != nil {
					t.Fatal(err)
				}
				stored, err := f.Raw(tensor.Name, 0, tensor.Rows())
				if err != nil {
					t.Fatal(err)
				}
				if formats[tensor.Type].encode != nil {
					if !bytes.Equal(stored, encoded) {
						t.Errorf("%s: tensor %q: the F32 values encoded as %s are other bytes than those stored", name, tensor.Name, tensor.Type)
					}
					continue
				}
				fitted := make([]float32, len(want))
				if err := tensor.Type.Decode(fitted, encoded); err != nil {
					t.Fatal(err)
				}
				if ours, theirs := squaredError(fitted, want), squaredError(got, want); ours >= theirs {
					t.Errorf("%s: tensor %q: %s has the squared error %g, expected less than the stored blocks' %g", name, tensor.Name, tensor.Type, ours, theirs)
				}
			}
			t.Logf("%s: largest error by type %v", filepath.Base(name), largest)
		}
	}
}

func squaredError(got, want []float32) (sum float64) {
	for i, v := range got {
		d := float64(v) - float64(want[i])
		sum += d * d
	}
	return sum
}

func open(t *testing.T, name string) *File {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f
}

// FuzzOpen: whatever the bytes, there is no panic, and no memory beyond a small multiple of the
// file.
func FuzzOpen(f *testing.F) {
	f.Add(sample(f))
	f.Add(start(1, 1).s(alignmentKey).u32(valueUint32).u32(8).tensor("t", Q4_K, 0, 256, 2).zeros(300).b)
	f.Add(start(3, 0).tensor("a", 57, 32, 3).tensor("b", IQ1_M, 64, 256).tensor("c", 4, 0, 16).zeros(200).b)
	f.Add(start(0, 1).s("k").u32(valueArray).u32(valueArray).u64(1).u32(valueString).u64(2).s("a").s("b").b)
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		file, err := Open(bytes.NewReader(data), int64(len(data)))
		runtime.ReadMemStats(&after)
		// The buffer of the reader, and what the fuzzer itself does meanwhile, is not the file's.
		if taken, limit := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+100*len(data)); taken > limit {
			t.Fatalf("a file of %d bytes took %d bytes of memory, expected at most %d", len(data), taken, limit)
		}
		if err != nil {
			return
		}
		for _, tensor := range file.Tensors {
			raw, err := file.Raw(tensor.Name, 0, tensor.Rows())
			if !tensor.Type.Known() && err != nil {
				continue
			}
			if err != nil || int64(len(raw)) != tensor.Bytes() {
				t.Fatalf("tensor %q: %d bytes, expected %d (%v)", tensor.Name, len(raw), tensor.Bytes(), err)
			}
			if tensor.Type.CanDecode() {
				if err := file.ReadRows(make([]float32, tensor.RowLength()), tensor.Name, tensor.Rows()-1, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// TestWriteVerified: a source that changes while it is written, and a file that is not what was
// written, are noticed.
func TestWriteVerified(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.gguf")
	calls := 0
	changing := func(dst []float32, first, rows int) error {
		calls++
		return ramp(64+calls)(dst, first, rows)
	}
	_, err := WriteVerified(name, Metadata{{"k", true}}, []NewTensor{{"t", Q8_0, []int{4, 64}, changing, nil}})
	if err == nil || !strings.Contains(err.Error(), `tensor "t": its source has other values now than when it was written`) {
		t.Errorf("found %v", err)
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("the file was left")
	}
	tensors := []NewTensor{{"t", Q8_0, []int{4, 64}, ramp(64), nil}}
	if _, err := WriteVerified(name, Metadata{{"k", true}}, tensors); err != nil {
		t.Fatal(err)
	}
	written, err := write(name, Metadata{{"k", true}}, tensors)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(name, Metadata{{"k", true}}, tensors, written); err != nil {
		t.Error(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-40] ^= 1
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := verify(name, Metadata{{"k", true}}, tensors, written); err == nil || err.Error() != `gguf: tensor "t": the bytes are not those that were written` {
		t.Errorf("found %v", err)
	}
}
