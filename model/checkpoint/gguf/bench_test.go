package gguf

import (
	"math/rand/v2"
	"testing"
)

func BenchmarkEncode(b *testing.B) { benchmark(b, Type.CanEncode, Type.Encode) }

func BenchmarkDecode(b *testing.B) {
	benchmark(b, Type.CanDecode, func(t Type, stored []byte, values []float32) error { return t.Decode(values, stored) })
}

// benchmark works on a megabyte of values in every type; MB/s are of float32.
func benchmark(b *testing.B, can func(Type) bool, do func(t Type, stored []byte, values []float32) error) {
	for t := range Type(60) {
		if !can(t) {
			continue
		}
		b.Run(t.String(), func(b *testing.B) {
			values := make([]float32, 1<<18) // whole blocks of every type
			for i := range values {
				values[i] = float32(rand.NormFloat64())
			}
			stored := make([]byte, t.RowBytes(len(values)))
			b.SetBytes(int64(4 * len(values)))
			for b.Loop() {
				if err := do(t, stored, values); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
