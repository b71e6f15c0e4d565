//go:build amd64 && !noasm

package machine

import "golang.org/x/sys/cpu"

// loops returns the arithmetic that an implementation's kernels consist of.
func loops(implementation string) []Loop {
	const wide, narrow = "512 bits", "256 bits"
	float32AVX2 := Loop{"float32", "VFMADD231PS, " + narrow, 2 * 12 * 8, peakFloat32AVX2}
	float32AVX512 := Loop{"float32", "VFMADD231PS, " + wide, 2 * 24 * 16, peakFloat32AVX512}
	int8AVX2 := Loop{"int8", "VPMADDWD and VPADDD, " + narrow, 2 * 12 * 8 * 2, peakInt8AVX2}
	int8VNNI := Loop{"int8", "VPDPBUSD, " + wide, 2 * 24 * 16 * 4, peakInt8VNNI}
	switch implementation {
	case "avx2":
		return []Loop{float32AVX2, int8AVX2}
	case "avx512":
		return []Loop{float32AVX512, int8AVX2}
	case "avx512vnni":
		return []Loop{float32AVX512, int8VNNI}
	case "avx512bf16":
		return []Loop{float32AVX512, {"bfloat16", "VDPBF16PS, " + wide, 2 * 24 * 16 * 2, peakBFloat16AVX512}, int8VNNI}
	}
	return loopsRef
}

// read reads b in the widest vectors that the CPU has.
func read(b []byte) {
	switch {
	case cpu.X86.HasAVX512F:
		readAVX512(b)
	case cpu.X86.HasAVX2:
		readAVX2(b)
	default:
		readRef(b)
	}
}

//go:noescape
func peakFloat32AVX512(rounds int)

//go:noescape
func peakFloat32AVX2(rounds int)

//go:noescape
func peakInt8VNNI(rounds int)

//go:noescape
func peakInt8AVX2(rounds int)

//go:noescape
func peakBFloat16AVX512(rounds int)

//go:noescape
func readAVX512(b []byte)

//go:noescape
func readAVX2(b []byte)
