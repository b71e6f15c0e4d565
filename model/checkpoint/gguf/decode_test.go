package gguf

import (
	"math"
	"math/bits"
	"slices"
	"strings"
	"testing"
)

// splitMix is Steele, Lea and Flood's generator, which any language has in four lines.
type splitMix uint64

func (s *splitMix) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// randomBlocks are n blocks whose bytes are splitMix's words, which the number of the type begins.
func randomBlocks(t Type, n int) []byte {
	s := splitMix(t)
	data := make([]byte, n*t.BlockBytes()+7)
	for i := 0; i+8 <= len(data); i += 8 {
		little.PutUint64(data[i:], s.next())
	}
	return data[:n*t.BlockBytes()]
}

// digest is FNV-1a over the bits of the values, any NaN as one.
func digest(values []float32) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, v := range values {
		word := math.Float32bits(v)
		if v != v {
			word = 0x7fc00000
		}
		h = (h ^ uint64(word)) * 0x100000001b3
	}
	return h
}

// TestDecodersAgreeWithGGML: 10,000 random blocks of every block format decode to the bits that
// ggml's own functions give (ggml-quants.c, dequantize_row_…, August 2026, compiled without fused
// products).
func TestDecodersAgreeWithGGML(t *testing.T) {
	want := map[Type]uint64{
		Q4_0: 0x7e25e2def9a97325, Q4_1: 0x0e44066d38c75787, Q5_0: 0x9689db4c23d3d925, Q5_1: 0x0421eb1379942180, Q8_0: 0xd227164d6f1d2ba5,
		Q2_K: 0xd6dd8063b41a475b, Q3_K: 0x401fdbd42b834065, Q4_K: 0x35708fcc5e463ea6, Q5_K: 0x1f0151c27a9690af, Q6_K: 0x58b34f50b6305ab5,
		Q8_K: 0x2e773af10a2626ac, IQ2_XXS: 0x51e098b1abadce89, IQ2_XS: 0xcee4b4b2fa452d35, IQ3_XXS: 0xfe806a60285c35b5, IQ1_S: 0x40e9bd9a4e26fae5,
		IQ4_NL: 0xd1e8c196471dbf25, IQ3_S: 0xf43e5da639119625, IQ2_S: 0x65be3694c328b739, IQ4_XS: 0xa9f40d847a26972d, IQ1_M: 0x6a3ff44c01db2b65,
		TQ1_0: 0xf8fec07268ed4325, TQ2_0: 0x6802943688c80325, MXFP4: 0xb9183e9530b6cb25, NVFP4: 0xbad786dee9437325, Q1_0: 0x8a114ee0200e0325,
		Q2_0: 0x403e91246f0f3325,
	}
	const blocks = 10_000
	for kind, f := range formats {
		if _, given := want[kind]; !given && f.decode != nil && f.elements > 1 {
			t.Errorf("%s has no digest", kind)
		}
	}
	for kind, sum := range want {
		values := make([]float32, blocks*kind.Block())
		if err := kind.Decode(values, randomBlocks(kind, blocks)); err != nil {
			t.Errorf("%s: %v", kind, err)
		} else if got := digest(values); got != sum {
			t.Errorf("%s: the digest of the values is %#x, expected %#x", kind, got, sum)
		}
	}
}

// TestBlocksAreIndependent: a block decodes to the same values wherever it stands, so that any run
// of rows can be read by itself.
func TestBlocksAreIndependent(t *testing.T) {
	for kind, f := range formats {
		if f.decode == nil {
			continue
		}
		const blocks = 7
		data, all := randomBlocks(kind, blocks), make([]float32, blocks*f.elements)
		if err := kind.Decode(all, data); err != nil {
			t.Fatal(err)
		}
		for b := range blocks {
			one := slices.Repeat([]float32{99}, f.elements)
			if err := kind.Decode(one, data[b*f.bytes:(b+1)*f.bytes]); err != nil {
				t.Fatal(err)
			}
			if digest(one) != digest(all[b*f.elements:(b+1)*f.elements]) {
				t.Errorf("%s: block %d alone has other values than among %d", kind, b, blocks)
			}
		}
	}
}

// TestGrids: the code books have their published sizes, their vectors differ, and every one can be
// reached by its number.
func TestGrids(t *testing.T) {
	for _, c := range []struct {
		name           string
		grid           []int8
		vectors, width int
		least, most    int8
	}{
		{"iq1", grid1(), 2048, 8, -1, 1}, {"iq2xxs", grid2XXS(), 256, 8, 8, 43}, {"iq2xs", grid2XS(), 512, 8, 8, 43}, {"iq2s", grid2S(), 1024, 8, 8, 43},
		{"iq3xxs", grid3XXS(), 256, 4, 4, 62}, {"iq3s", grid3S(), 512, 4, 1, 15},
	} {
		if len(c.grid) != c.vectors*c.width || slices.Min(c.grid) != c.least || slices.Max(c.grid) != c.most {
			t.Errorf("%s: %d values from %d to %d, expected %d vectors of %d from %d to %d", c.name, len(c.grid), slices.Min(c.grid), slices.Max(c.grid), c.vectors, c.width, c.least, c.most)
			continue
		}
		seen := map[[8]int8]bool{}
		for v := range slices.Chunk(c.grid, c.width) {
			seen[[8]int8(append(slices.Clone(v), make([]int8, 8-c.width)...))] = true
		}
		if len(seen) != c.vectors {
			t.Errorf("%s: %d different vectors, expected %d", c.name, len(seen), c.vectors)
		}
	}
	for seven := range uint32(128) {
		if signs := eightSigns(seven); uint32(signs)&127 != seven || bits.OnesCount8(signs)%2 != 0 {
			t.Errorf("%07b was completed to %08b", seven, signs)
		}
	}
}

// TestEveryType: each number up to 60 has a name, or is unknown; a type decodes, or says why not;
// nothing panics.
func TestEveryType(t *testing.T) {
	decoded, known := 0, 0
	for kind := range Type(61) {
		err := kind.Decode(make([]float32, kind.Block()), make([]byte, kind.BlockBytes()))
		switch {
		case kind.CanDecode() && (err != nil || kind.Problem() != "" || !kind.Known()):
			t.Errorf("%s: decodes, but %v, %q", kind, err, kind.Problem())
		case !kind.CanDecode() && (err == nil || err.Error() != kind.Problem() || !strings.HasPrefix(kind.Problem(), "type "+kind.String()+" ")):
			t.Errorf("%s: found %v, problem %q", kind, err, kind.Problem())
		}
		if kind.CanDecode() {
			decoded++
		}
		if kind.Known() {
			known++
		}
	}
	if decoded != 30 || known != 43 {
		t.Errorf("%d types are decoded and %d known, expected 30 and all of 43", decoded, known)
	}
	for kind, want := range map[Type]string{
		5:   "type Q4_3 was given up by the format and is not decoded: quantize the model again from its source",
		33:  "type Q4_0_8_8 was given up by the format and is not decoded: quantize the model again from its source",
		I32: "type I32 holds whole numbers, expected a type of weights",
		57:  "type 57 is unknown: a newer program, or one with types of its own, wrote the file",
		139: "type 139 is unknown: a newer program, or one with types of its own, wrote the file",
	} {
		if got := kind.Problem(); got != want {
			t.Errorf("found %s\nexpected %s", got, want)
		}
	}
}
