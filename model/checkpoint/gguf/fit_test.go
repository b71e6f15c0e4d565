package gguf

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// fitted are the types whose scales are searched for.
func fitted() []Type {
	return slices.DeleteFunc(Encodable(), func(t Type) bool { return formats[t].fit == nil })
}

// someBlock is one of many kinds of blocks, and of the weights of its errors.
func someBlock(rng *rand.Rand, n int) (src, weights []float32, kind string) {
	src, weights = make([]float32, n), make([]float32, n)
	size := math.Exp(rng.Float64()*16 - 12)
	kinds := []string{"normal", "heavy tails", "sparse", "one sign", "constant", "zeros", "parts of different size", "tiny", "one number"}
	kind = kinds[rng.IntN(len(kinds))]
	for i := range src {
		v := rng.NormFloat64()
		switch kind {
		case "heavy tails":
			v = v * v * v
		case "sparse":
			if rng.IntN(8) > 0 {
				v = 0
			}
		case "one sign":
			v = 3 + math.Abs(v)
		case "constant":
			v = 1
		case "zeros":
			v = 0
		case "parts of different size":
			v *= math.Exp2(float64(i / 16 % 7))
		case "tiny":
			v *= 1e-9
		case "one number":
			if i != n/3 {
				v = 0
			}
		}
		src[i] = float32(v * size)
		weights[i] = float32(math.Exp(rng.NormFloat64()))
		if rng.IntN(20) == 0 {
			weights[i] = 0
		}
	}
	return src, weights, kind
}

// TestSearchIsNeverWorse: over 15,000 blocks of every kind the error of the search is at most that
// of the scales that a block's extremes give, with weights and without, and for normal numbers it
// is below on the whole by what the format has to gain.
func TestSearchIsNeverWorse(t *testing.T) {
	gain := map[Type]float64{Q4_0: 0.89, Q4_1: 0.77, Q5_0: 0.88, Q5_1: 0.77, Q8_0: 0.77, Q3_K: 0.82, Q4_K: 0.76, Q5_K: 0.78, Q6_K: 0.83, IQ4_NL: 0.88}
	for _, kind := range fitted() {
		f := formats[kind]
		rng := rand.New(rand.NewPCG(uint64(kind), 7))
		var searched, plain float64
		for n := range 1500 {
			src, weights, what := someBlock(rng, f.elements)
			if n%2 == 0 {
				weights = nil
			}
			var b elements
			b.load(src, weights)
			got, start := make([]float32, f.elements), make([]float32, f.elements)
			block := make([]byte, f.bytes)
			if f.encode != nil {
				f.encode(block, src)
			} else {
				f.fit(block, &b, true)
			}
			f.decode(start, block)
			f.fitBlock(block, src, weights)
			f.decode(got, block)
			most, err := b.misfitOf(start), b.misfitOf(got)
			if !(err <= most) {
				t.Fatalf("%s, %s: error %g, by the extremes %g", kind, what, err, most)
			}
			if what == "normal" {
				searched, plain = searched+err/most, plain+1
			}
		}
		t.Logf("%s: %.3f of the error by the extremes", kind, searched/plain)
		if limit := gain[kind]; !(searched/plain <= limit) {
			t.Errorf("%s: the search leaves %.3f of the error by the extremes, expected at most %.2f", kind, searched/plain, limit)
		}
	}
}

// TestDecoderGivesWhatWasMeant: the decoder gives the very numbers of the scales, minima and codes
// that the encoder has chosen.
func TestDecoderGivesWhatWasMeant(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for n := range 800 {
		src, weights, what := someBlock(rng, 256)
		var b elements
		b.load(src, weights)
		for _, kind := range []Type{Q4_K, Q5_K, Q3_K, Q6_K} {
			meant := make([]float32, 256)
			switch kind {
			case Q4_K, Q5_K:
				var o offsetBlock
				o.find(&b, map[Type]float64{Q4_K: 15, Q5_K: 31}[kind], n%5 == 0)
				d, e := float32(halfValue(o.d)), float32(halfValue(o.e))
				for i := range meant {
					s, m := d*float32(o.scale[i/32]), e*float32(o.minimum[i/32])
					meant[i] = float32(s*float32(o.code[i])) - m
				}
			default:
				var o scaledBlock
				o.find(&b, map[Type]*scaledCodes{Q3_K: &codesQ3_K, Q6_K: &codesQ6_K}[kind], n%5 == 0)
				for i := range meant {
					s := float32(halfValue(o.d)) * float32(o.scale[i/16])
					meant[i] = s * float32(o.code[i])
				}
			}
			block, got := make([]byte, kind.BlockBytes()), make([]float32, 256)
			for i := range block {
				block[i] = 0xa5 // what was there before does not count
			}
			formats[kind].fit(block, &b, n%5 == 0)
			if err := kind.Decode(got, block); err != nil {
				t.Fatal(err)
			}
			if digest(got) != digest(meant) {
				t.Fatalf("%s, %s: the decoder gives other numbers than were meant", kind, what)
			}
		}
	}
}

// TestGoldenSearch: the bytes of 64 blocks of splitMix's numbers, with weights and without.
func TestGoldenSearch(t *testing.T) {
	want := map[string]string{
		"Q4_0 weighted false":   "5cb05b5f6536cd39 0x991b2e60a631eff8",
		"Q4_0 weighted true":    "5a30b5b1abda43d7 0xf3eac4503b4a9bf5",
		"Q4_1 weighted false":   "8b3029bcb5a09aca 0xf2a8dbcbac33dcca",
		"Q4_1 weighted true":    "1930e4bbb5b0abda 0x724f98b0f631e946",
		"Q5_0 weighted false":   "5facf341106c95bf 0x31cb87931a999cce",
		"Q5_0 weighted true":    "752c0cbeef937b52 0x206024f518f91071",
		"Q5_1 weighted false":   "6a2c30bc0cbeef93 0x69bbb4b5e04c0be1",
		"Q5_1 weighted true":    "2f2c1fbc0cbeef93 0xac79dd46714b0c04",
		"Q8_0 weighted false":   "6420d58c3127afef 0x74bd03f32a273b1a",
		"Q8_0 weighted true":    "6520d58c3127afef 0x44de96e960998f3f",
		"Q3_K weighted false":   "94f699eb5a564438 0xb931174e201843ef",
		"Q3_K weighted true":    "546649bb8a9694f8 0x367c5b80d35eada3",
		"Q4_K weighted false":   "6c196d25f5fdfff7 0x02324f886edde833",
		"Q4_K weighted true":    "b8198c25b0b5fff5 0x0b5d02466037e7c1",
		"Q5_K weighted false":   "34155e25f7fffdf9 0x261ca61be6668458",
		"Q5_K weighted true":    "11152625fafffffd 0x212765ef0c90fa74",
		"Q6_K weighted false":   "4bceb306c5f445af 0x7696b3bd920f62f8",
		"Q6_K weighted true":    "45c2bd0acbfc4ba1 0x95cfdf106827ae72",
		"IQ4_NL weighted false": "71a04b4f5425ce29 0x3953f171948a3963",
		"IQ4_NL weighted true":  "3221c5b1abdb43d7 0x128ce8a083fd895b",
	}
	for _, kind := range fitted() {
		for _, weighted := range []bool{false, true} {
			f, s := formats[kind], splitMix(99)
			uniform := func() float32 { return float32(s.next()>>40) / (1 << 24) }
			src, weights := make([]float32, 64*f.elements), make([]float32, 2*f.elements)
			for i := range src {
				src[i] = uniform() + uniform() + uniform() - 1.5
			}
			for i := range weights {
				weights[i] = uniform()
			}
			if !weighted {
				weights = nil
			}
			encoded := make([]byte, kind.RowBytes(len(src)))
			if err := kind.EncodeWeighted(encoded, src, weights); err != nil {
				t.Fatal(err)
			}
			h := fnv.New64a()
			h.Write(encoded)
			name := fmt.Sprintf("%s weighted %t", kind, weighted)
			if got := fmt.Sprintf("%x %#016x", encoded[:8], h.Sum64()); got != want[name] {
				t.Errorf("found %q: %q, expected %q", name, got, want[name])
			}
		}
	}
}

// TestScalesAreLeastSquares: numbers that are scale·code, or scale·code − minimum, are found
// again.
func TestScalesAreLeastSquares(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		x, w := make([]float64, 32), make([]float64, 32)
		s, m := math.Exp(rng.NormFloat64()), math.Abs(rng.NormFloat64())
		for i := range x {
			x[i], w[i] = s*float64(rng.IntN(16)), rng.Float64()+0.01
		}
		x[rng.IntN(16)], x[16+rng.IntN(16)] = 15*s, 0
		for i := range x {
			x[i] -= m
		}
		gotS, gotM := fitOffset(x, w, 15, true)
		if math.Abs(gotS-s) > 1e-9*s || math.Abs(gotM-m) > 1e-9*(s+m) {
			t.Fatalf("scale %g and minimum %g, expected %g and %g", gotS, gotM, s, m)
		}
		of := codes{low: -8, high: 7}
		for i := range x {
			x[i] = s * float64(rng.IntN(16)-8)
		}
		x[0] = -8 * s
		if got := fitScale(x, w, &of); math.Abs(got-s) > 1e-9*s {
			t.Fatalf("scale %g, expected %g", got, s)
		}
	}
}

func TestEncodeWeightedRefuses(t *testing.T) {
	src := make([]float32, 512)
	for _, c := range []struct {
		importance []float32
		want       string
	}{
		{make([]float32, 100), "512 elements of Q4_K with the importance of 100: expected whole rows of whole blocks"},
		{make([]float32, 1024), "512 elements of Q4_K with the importance of 1024: expected whole rows of whole blocks"},
		{append(make([]float32, 255), float32(math.NaN())), "the importance of element 255 is NaN, expected a finite number of at least 0"},
		{append(make([]float32, 255), -1), "the importance of element 255 is -1, expected a finite number of at least 0"},
		{append(make([]float32, 255), float32(math.Inf(1))), "the importance of element 255 is +Inf, expected a finite number of at least 0"},
	} {
		if err := Q4_K.EncodeWeighted(make([]byte, 288), src, c.importance); err == nil || err.Error() != c.want {
			t.Errorf("found %v, expected %s", err, c.want)
		}
	}
}

// TestMinimaAreNotNegative: where a format's minima have no sign, numbers above zero have minimum
// 0, though their least one is far from it.
func TestMinimaAreNotNegative(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	for range 500 {
		x, w := make([]float64, 32), make([]float64, 32)
		for i := range x {
			x[i], w[i] = 2+rng.Float64(), rng.Float64()
		}
		if s, m := fitOffset(x, w, 15, true); m < 0 || s <= 0 {
			t.Fatalf("scale %g and minimum %g, expected a positive one and none below 0", s, m)
		}
		if _, m := fitOffset(x, w, 15, false); m >= 0 {
			t.Fatalf("minimum %g of numbers above zero, expected one below 0", m)
		}
	}
}

// TestWeightsOfABlock: weights are shares of their mean, none below a thousandth; without any, or
// where all are 0, they are equal.
func TestWeightsOfABlock(t *testing.T) {
	for _, c := range []struct {
		weights []float32
		want    []float64
	}{
		{nil, []float64{1, 1, 1, 1}},
		{[]float32{0, 0, 0, 0}, []float64{1, 1, 1, 1}},
		{[]float32{0, 1, 3, 4}, []float64{1e-3, 0.5, 1.5, 2}},
	} {
		var b elements
		b.load([]float32{1, 2, 3, 4}, c.weights)
		if !slices.Equal(b.w[:4], c.want) || !slices.Equal(b.x[:4], []float64{1, 2, 3, 4}) {
			t.Errorf("%g: weights %g of %g, expected %g", c.weights, b.w[:4], b.x[:4], c.want)
		}
	}
}
