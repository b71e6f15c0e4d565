package weight

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Codes, zero points, scales and groups come back as they were given; rows are (code − zero)·scale;
// the product is that of the rows.
func TestUint4(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for form, format := range []string{"w4a16-g8", "w4a16-g8-zero", "w4a16-g8-order", "w4a16-g8-zero-order"} {
		const out, in, group, rows = 19, 48, 8, 5
		q, zero, scale := make([]byte, out*in), make([]byte, out*in/group), make([]float32, out*in/group)
		for i := range q {
			q[i] = byte(rng.IntN(16))
		}
		for i := range zero {
			zero[i], scale[i] = 8, float32(1+rng.IntN(100))/256
			if form&1 != 0 {
				zero[i] = byte(rng.IntN(17)) // a zero point may lie beyond the codes
			}
		}
		var groupOf []int32
		if form&2 != 0 {
			groupOf = make([]int32, in)
			for i, p := range rng.Perm(in) {
				groupOf[i] = int32(p / group)
			}
		}
		w, err := NewUint4(slices.Clone(q), zero, scale, groupOf, out, in, group)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Format(); got != format {
			t.Errorf("format %s, want %s", got, format)
		}
		codes, zeros, scales, groups, size := w.Uint4()
		if !slices.Equal(codes, q) || !slices.Equal(zeros, zero) || !slices.Equal(scales, scale) || !slices.Equal(groups, groupOf) || size != group {
			t.Errorf("%s: other codes, zero points, scales or groups", format)
		}
		dense := w.Float32()
		for at, v := range dense {
			g := at / in * (in / group)
			if groupOf == nil {
				g += at % in / group
			} else {
				g += int(groupOf[at%in])
			}
			if want := float32(int(q[at])-int(zero[g])) * scale[g]; v != want {
				t.Fatalf("%s: weight %d is %v, want %v", format, at, v, want)
			}
		}
		x, y := normal(rng, rows, in), make([]float32, rows*out)
		for i, v := range x {
			x[i] = math.Float32frombits(math.Float32bits(v) &^ 0xffff)
		}
		w.MulT(y, x, rows)
		some := w.Select([]int32{7, 3})
		part := make([]float32, rows*2)
		some.MulT(part, x, rows)
		for r := range rows {
			for o := range out {
				sum, size := 0.0, 0.0
				for i := range in {
					p := float64(x[r*in+i]) * float64(dense[o*in+i])
					sum, size = sum+p, size+16*math.Abs(float64(x[r*in+i]))*0.4
				}
				if got := float64(y[r*out+o]); math.Abs(got-sum) > 1e-5*size {
					t.Errorf("%s row %d output %d: %g, want %g", format, r, o, got, sum)
				}
			}
			if part[2*r] != y[r*out+7] || part[2*r+1] != y[r*out+3] {
				t.Errorf("%s row %d: selected outputs %v", format, r, part[2*r:2*r+2])
			}
		}
	}
}

func TestUint4Refuses(t *testing.T) {
	codes := func(n int, v byte) []byte { return slices.Repeat([]byte{v}, n) }
	ones := []float32{1, 1, 1, 1}
	for want, f := range map[string]func() error{
		"code [1, 0] is 16": func() error {
			_, err := NewUint4(append(codes(16, 1), codes(16, 16)...), codes(4, 8), ones, nil, 2, 16, 8)
			return err
		},
		"group 3":        func() error { _, err := NewUint4(codes(32, 1), codes(4, 8), ones, nil, 2, 16, 3); return err },
		"found 31 codes": func() error { _, err := NewUint4(codes(31, 1), codes(4, 8), ones, nil, 2, 16, 8); return err },
		"3 zero points":  func() error { _, err := NewUint4(codes(32, 1), codes(3, 8), ones, nil, 2, 16, 8); return err },
		"input 8 is in group 0": func() error {
			_, err := NewUint4(codes(32, 1), codes(4, 8), ones, make([]int32, 16), 2, 16, 8)
			return err
		},
		"input 0 is in group 2": func() error {
			_, err := NewUint4(codes(32, 1), codes(4, 8), ones, slices.Repeat([]int32{2}, 16), 2, 16, 8)
			return err
		},
		"the groups of 4 inputs": func() error {
			_, err := NewUint4(codes(32, 1), codes(4, 8), ones, make([]int32, 4), 2, 16, 8)
			return err
		},
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
