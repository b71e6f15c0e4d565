package gguf

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// TestFaint writes blocks of numbers around the magnitude from which on a type's halves have bits
// enough, blocks of zeros, and blocks so small that nothing is left of them.
func TestFaint(t *testing.T) {
	for _, of := range Encodable() {
		least := of.Faintest()
		if of.Block() == 1 {
			if least != 0 {
				t.Errorf("%s has no scales, and blocks below %g are faint", of, least)
			}
			continue
		}
		rng := rand.New(rand.NewPCG(1, uint64(of)))
		var values []float32
		block := func(largest float32) {
			for i := range of.Block() {
				v := largest * (2*rng.Float32() - 1)
				if i == 5 {
					v = largest
				}
				values = append(values, v)
			}
		}
		for _, largest := range []float32{1, least, math.Nextafter32(least, 0), least / 2, 0, 1e-30} {
			block(largest)
		}
		blocks := len(values) / of.Block()
		read := func(dst []float32, first, rows int) error {
			copy(dst, values[first*of.Block():(first+rows)*of.Block()])
			return nil
		}
		counted, err := WriteVerified(filepath.Join(t.TempDir(), "a.gguf"), Metadata{{"k", true}}, []NewTensor{{Name: "t", Type: of, Shape: []int{blocks, of.Block()}, ReadRows: read}})
		if err != nil {
			t.Fatal(err)
		}
		if want := (Faint{Blocks: blocks, Coarse: 3, Zero: 1}); counted[0] != want {
			t.Errorf("%s: %+v, expected %+v", of, counted[0], want)
		}
	}
}

// TestFaintestIsFar: from Faintest on, the errors of a block are those of the same numbers times
// 2¹⁶, whose halves are normal, but for a sixteenth of the largest.
func TestFaintestIsFar(t *testing.T) {
	for _, of := range Encodable() {
		if of.Block() == 1 {
			continue
		}
		t.Run(fmt.Sprint(of), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(2, uint64(of)))
			farthest := func(largest, times float32, unit []float32) (worst float64) {
				src, got := make([]float32, len(unit)), make([]float32, len(unit))
				for i, v := range unit {
					src[i] = v * largest * times
				}
				data := make([]byte, of.RowBytes(len(src)))
				if err := of.Encode(data, src); err != nil {
					t.Fatal(err)
				}
				if err := of.Decode(got, data); err != nil {
					t.Fatal(err)
				}
				for i := range src {
					worst = max(worst, math.Abs(float64(got[i]-src[i])))
				}
				return worst / float64(largest*times)
			}
			differs := false
			for range 50 {
				unit := make([]float32, of.Block())
				for i := range unit {
					unit[i] = 2*rng.Float32() - 1
				}
				unit[rng.IntN(len(unit))] = 1
				large := farthest(of.Faintest(), 0x1p16, unit)
				if small := farthest(of.Faintest(), 1, unit); small > large+1.0/16 {
					t.Errorf("from %g on, errors are %.4f of the largest number, and %.4f without subnormal halves", of.Faintest(), small, large)
				}
				for _, times := range []float32{0.3, 0.1, 0.04, 0.02} {
					differs = differs || farthest(of.Faintest(), times, unit) > large+1.0/16
				}
			}
			if !differs {
				t.Error("blocks up to 50 times smaller have the same errors: the limit is too careful")
			}
		})
	}
}
