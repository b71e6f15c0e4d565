//go:build amd64 && !noasm

package matrix

// kernelOf returns the strips of an implementation of package kernels. All that come after AVX-512
// multiply float64 as it does.
func kernelOf(implementation string) stripKernel {
	switch implementation {
	case "ref":
		return kernelRef
	case "avx2":
		return stripKernel{6, stripFloat64AVX2}
	}
	return stripKernel{14, stripFloat64AVX512}
}

//go:noescape
func stripFloat64AVX512(c []float64, cRow int, a, b []float64, m, n, k int)

//go:noescape
func stripFloat64AVX2(c []float64, cRow int, a, b []float64, m, n, k int)
