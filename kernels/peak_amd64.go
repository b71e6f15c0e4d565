//go:build amd64 && !noasm

package kernels

// loops are the arithmetic that an implementation's kernels are made of.
func loops(implementation string) []Loop {
	const wide, narrow = "512 bits", "256 bits"
	list := []Loop{{"float32", "VFMADD231PS, " + wide, 2 * 24 * 16, peakFloat32AVX512}}
	switch implementation {
	case "ref":
		return loopsRef
	case "avx2":
		list[0] = Loop{"float32", "VFMADD231PS, " + narrow, 2 * 12 * 8, peakFloat32AVX2}
		fallthrough
	case "avx512":
		return append(list, Loop{"int8", "VPMADDWD and VPADDD, " + narrow, 2 * 12 * 8 * 2, peakInt8AVX2})
	case "avx512bf16":
		list = append(list, Loop{"bfloat16", "VDPBF16PS, " + wide, 2 * 24 * 16 * 2, peakBFloat16AVX512})
	}
	return append(list, Loop{"int8", "VPDPBUSD, " + wide, 2 * 24 * 16 * 4, peakInt8VNNI})
}

// reader is the fastest way of an implementation to read memory.
func reader(implementation string) func(b []byte) {
	switch implementation {
	case "ref":
		return readRef
	case "avx2":
		return readAVX2
	}
	return readAVX512
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
