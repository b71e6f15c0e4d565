package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels/parallel"
)

// testedKV are formats with each way to keep keys and values, beside each other as well.
// TestForwardCached has all.
func testedKV() []KVFormat {
	return []KVFormat{KVBFloat16, KVFloat32, KVInt8, KVInt4, KVK16V8, KVK4V16, KVK8V4Plain}
}

// TestHeadRotation: over random heads of all even sizes up to 256 the rotation keeps products and
// norms, and its inverse undoes it: in float64 to 1e-13, in float32 as far as it rounds.
func TestHeadRotation(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 1))
	for dim := 2; dim <= 256; dim += 2 {
		exact, single := newHeadRotation[float64](dim), newHeadRotation[float32](dim)
		work, work32 := make([]float64, dim), make([]float32, dim)
		for range 8 {
			q, k := make([]float64, dim), make([]float64, dim)
			var before, after, qq, kk float64
			for i := range q {
				q[i], k[i] = r.NormFloat64(), r.NormFloat64()
				before, qq, kk = before+q[i]*k[i], qq+q[i]*q[i], kk+k[i]*k[i]
			}
			was, k32 := slices.Clone(k), make([]float32, dim)
			for i := range k {
				k32[i] = float32(k[i])
			}
			was32 := slices.Clone(k32)
			exact.apply(q, work)
			exact.apply(k, work)
			single.apply(k32, work32)
			size := 0.0
			for i := range q {
				after, size = after+q[i]*k[i], size+k[i]*k[i]
				if math.Abs(float64(k32[i])-k[i]) > 3e-6 {
					t.Fatalf("dim %d: element %d is %g in float32, %g in float64", dim, i, k32[i], k[i])
				}
			}
			if limit := 1e-13 * math.Sqrt(qq*kk); math.Abs(after-before) > limit || math.Abs(size-kk) > 1e-13*kk {
				t.Fatalf("dim %d: a product of %g became %g, a square of %g %g", dim, before, after, kk, size)
			}
			exact.undo(k, work)
			single.undo(k32, work32)
			for i := range k {
				if math.Abs(k[i]-was[i]) > 1e-13 || math.Abs(float64(k32[i]-was32[i])) > 3e-6 {
					t.Fatalf("dim %d: element %d came back as %g and %g, was %g", dim, i, k[i], k32[i], was[i])
				}
			}
		}
	}
}

// TestRotationSpreads: a head with all its weight in one dimension is even after the rotation: no
// element is above the root mean square, but for the √2 of a Hartley matrix. One that is the same
// in all dimensions does not end in a single one.
func TestRotationSpreads(t *testing.T) {
	for _, dim := range []int{16, 32, 48, 64, 80, 96, 128} {
		rotation := newHeadRotation[float64](dim)
		work := make([]float64, dim)
		for at := range dim {
			x := make([]float64, dim)
			x[at] = math.Sqrt(float64(dim))
			rotation.apply(x, work)
			if m := max(slices.Max(x), -slices.Min(x)); m > 1.42 {
				t.Errorf("dim %d: a head with its weight in dimension %d has an element of %g times the root mean square", dim, at, m)
			}
		}
		x := make([]float64, dim)
		for i := range x {
			x[i] = 1
		}
		rotation.apply(x, work)
		if m := max(slices.Max(x), -slices.Min(x)); m > 0.7*math.Sqrt(float64(dim)) {
			t.Errorf("dim %d: a head of ones has an element of %g after the rotation", dim, m)
		}
	}
}

// TestQuantizeRowInt4: over 4,000 random rows no element is off by more than half a step, those
// that the greatest code clips by one; what cannot be rounded says so.
func TestQuantizeRowInt4(t *testing.T) {
	r := rand.New(rand.NewPCG(42, 1))
	codes := make([]int8, 64)
	for range 4000 {
		n := 1 + r.IntN(64)
		x := make([]float32, n)
		size := math.Exp(20 * r.NormFloat64() / 3)
		greatest := 0.0
		for i := range x {
			x[i] = float32(size * r.NormFloat64())
			if math.Abs(float64(x[i])) > math.Abs(greatest) {
				greatest = float64(x[i])
			}
		}
		s := float64(fromBFloat16(quantizeRowInt4(codes, x)))
		if got := s * -8; math.Abs(got-greatest) > math.Abs(greatest)/256 {
			t.Fatalf("%v: -8 stands for %g, expected about %g", x, got, greatest)
		}
		for i, v := range x {
			step := math.Abs(s)
			most := 0.501 * step
			if codes[i] == 7 {
				most = 1.04 * step
			}
			if codes[i] == -8 {
				most = 0.6 * step
			}
			if e := math.Abs(float64(v) - s*float64(codes[i])); e > most {
				t.Fatalf("%g became %d steps of %g, off by %g", v, codes[i], s, e)
			}
		}
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, c := range []struct {
		x   []float32
		nan bool
	}{{[]float32{0, 0}, false}, {[]float32{1e-40, 0}, false}, {[]float32{nan, 1}, true}, {[]float32{1, inf}, true}, {[]float32{3, -nan}, true}} {
		codes[0], codes[1] = 5, 5
		s := fromBFloat16(quantizeRowInt4(codes, c.x))
		if codes[0] != 0 || codes[1] != 0 || math.IsNaN(float64(s)) != c.nan || !c.nan && s != 0 {
			t.Errorf("%v became %v times %g", c.x, codes[:2], s)
		}
	}
}

// TestInt4Codes: all pairs of codes come back, in rows of every width.
func TestInt4Codes(t *testing.T) {
	for width := 1; width <= 40; width++ {
		codes := make([]int8, 2*width)
		for from := range 256 {
			for i := range width {
				pair := (from + i) % 256
				codes[i], codes[i+width] = int8(pair%16-8), int8(pair/16-8)
			}
			got := make([]int8, 4*width+1)
			got[4*width] = 99
			packed := packInt4(slices.Clone(codes))
			unpackInt4(got, slices.Concat(packed, packed), 2, width)
			if want := append(slices.Concat(codes, codes), 99); !slices.Equal(got, want) {
				t.Fatalf("width %d: %v came back as %v", width, want, got)
			}
		}
	}
}

// TestKVFormats: each format has a name of its own that is read again, and its pages take the bytes
// that its slices have.
func TestKVFormats(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range KVFormats() {
		if seen[f.String()] || seen[f.About()] {
			t.Errorf("%v, %q, is there twice", f, f.About())
		}
		seen[f.String()], seen[f.About()] = true, true
		if got, err := ParseKVFormat(f.String()); err != nil || got != f {
			t.Errorf("%v is read as %v, %v", f, got, err)
		}
		l := NewKVLayer(f, 3, 16, 2, 48)
		var want int64
		for _, h := range []*kvHalf{&l.k, &l.v} {
			want += 4*int64(len(h.floats)+len(h.scale)) + 2*int64(len(h.words)+len(h.scales)) + int64(len(h.codes)+len(h.packed))
		}
		if got := l.Bytes(); got != want {
			t.Errorf("%v: 48 positions take %d bytes, the slices have %d", f, got, want)
		}
	}
	if _, err := ParseKVFormat("k8v5"); err == nil {
		t.Error("k8v5 was read")
	}
	if got := KVInt4.PositionBytes(2, 64); got != 2*2*(32+2) {
		t.Errorf("a position of 2 KV heads of 64 takes %d bytes in int4", got)
	}
	if err := KVInt4.Check(16, 6); err == nil {
		t.Error("int4 of heads of 6 was taken")
	}
}

// TestForwardCached: attention over packed sequences as a cache of each format keeps them has the
// bits of attention over pages.
func TestForwardCached(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(43, 1))
		for _, s := range []struct{ heads, kvHeads, dim int }{{4, 2, 32}, {3, 1, 48}, {2, 2, 24}} {
			starts := []int{0, 90, 90, 221, 222}
			tokens := starts[len(starts)-1]
			q, k, v := randoms(r, tokens*s.heads*s.dim, 0, 1.5).x, randoms(r, tokens*s.kvHeads*s.dim, 0, 1).x, randoms(r, tokens*s.kvHeads*s.dim, 0, 1).x
			for _, format := range KVFormats() {
				got, want := make([]float32, len(q)), make([]float32, len(q))
				Attention{Q: q, K: k, V: v, Starts: starts, Heads: s.heads, KVHeads: s.kvHeads, HeadDim: s.dim}.ForwardCached(format, got)
				for i := range len(starts) - 1 {
					from, n := starts[i], starts[i+1]-starts[i]
					if n == 0 {
						continue
					}
					qn, kn := s.heads*s.dim, s.kvHeads*s.dim
					l, segment := pagedPrefix(r, format, k[from*kn:], v[from*kn:], n, 16, s.kvHeads, s.dim)
					AttentionPaged(want[from*qn:], q[from*qn:], l, []KVSegment{segment}, s.heads)
				}
				equalBits(t, fmt.Sprintf("%+v %v", s, format), got, want)
			}
		}
	})
}

// TestSegmentsOfOneStepShareNoByte: positions that several segments of a call write at one time are
// all there, whatever the format packs together.
func TestSegmentsOfOneStepShareNoByte(t *testing.T) {
	const tokens, kvHeads, dim = 1500, 2, 64
	r := rand.New(rand.NewPCG(44, 1))
	k, v := randoms(r, tokens*kvHeads*dim, 0, 1).x, randoms(r, tokens*kvHeads*dim, 0, 1).x
	defer parallel.SetThreads(4)()
	for _, format := range KVFormats() {
		whole, s := pagedPrefix(r, format, k, v, tokens, 16, kvHeads, dim)
		parts := NewKVLayer(format, whole.Pages, 16, kvHeads, dim)
		parts.poison()
		var segments []KVSegment
		for from := 0; from < tokens; from += 7 {
			segments = append(segments, KVSegment{Table: s.Table, Row: from, Rows: min(7, tokens-from), Start: from})
		}
		StoreKV(parts, k, v, segments)
		for i, pair := range [][2]*kvHalf{{&parts.k, &whole.k}, {&parts.v, &whole.v}} {
			got, want := pair[0], pair[1]
			if !slices.Equal(got.words, want.words) || !slices.Equal(got.codes, want.codes) || !slices.Equal(got.packed, want.packed) || !slices.Equal(got.scales, want.scales) {
				t.Errorf("%v: half %d differs when it is stored in pieces", format, i)
			}
		}
	}
}

// TestCopyPages: a copy of a page is read as the page itself, in every format, no other page
// changes, and a layer that was reused for fewer heads works as a new one.
func TestCopyPages(t *testing.T) {
	const pages, size, kvHeads, d = 4, 8, 2, 16
	rng := rand.New(rand.NewPCG(4, 4))
	random := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	for _, f := range KVFormats() {
		reused := NewKVLayer(f, pages, size, kvHeads+1, d)
		reused.Reuse(kvHeads)
		for _, l := range []*KVLayer{NewKVLayer(f, pages, size, kvHeads, d), reused} {
			for page := range int32(pages) {
				StoreKV(l, random(size*kvHeads*d), random(size*kvHeads*d), []KVSegment{{Table: []int32{page}, Rows: size}})
			}
			q := random(kvHeads * d)
			read := func(page int32) []float32 {
				out := make([]float32, kvHeads*d)
				AttentionPaged(out, q, l, []KVSegment{{Table: []int32{page}, Rows: 1, Start: size - 1}}, kvHeads)
				return out
			}
			want := [pages][]float32{read(0), read(3), read(2), read(3)}
			l.CopyPages([]PageCopy{{From: 3, To: 1}})
			for page := range want {
				if !slices.Equal(read(int32(page)), want[page]) {
					t.Errorf("%v: after a copy of page 3 to page 1 page %d has other bits than expected", f, page)
				}
			}
		}
	}
	for _, c := range []PageCopy{{From: -1}, {To: 4}} {
		func() {
			defer func() {
				if r := fmt.Sprint(recover()); !strings.Contains(r, "the layer has 4") {
					t.Errorf("%+v: panic %q", c, r)
				}
			}()
			NewKVLayer(KVInt8, pages, size, kvHeads, d).CopyPages([]PageCopy{c})
		}()
	}
}
