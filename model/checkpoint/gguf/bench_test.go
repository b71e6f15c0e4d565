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

// BenchmarkSearch is the time of a super-block of each type.
func BenchmarkSearch(b *testing.B) {
	for _, kind := range fitted() {
		b.Run(kind.String(), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			src, weights := make([]float32, 256), make([]float32, 256)
			for i := range src {
				src[i], weights[i] = float32(rng.NormFloat64()), rng.Float32()
			}
			f, dst := formats[kind], make([]byte, kind.RowBytes(256))
			b.SetBytes(256)
			for b.Loop() {
				for at := 0; at < 256; at += f.elements {
					f.fitBlock(dst[:f.bytes], src[at:at+f.elements], weights[at:at+f.elements])
				}
			}
		})
	}
}
