//go:build amd64 && !noasm

package kernels

import "golang.org/x/sys/cpu"

// supported asks the CPU, and through XGETBV the operating system, which vector registers may be
// used. Each implementation has all that the one before it has.
func supported() []*implementation {
	list := []*implementation{{"ref", productsRef, rowsRef}}
	x := &cpu.X86
	if !x.HasAVX2 || !x.HasFMA {
		return list
	}
	list = append(list, &implementation{"avx2", productsAVX2, rowsAVX2})
	if !x.HasAVX512F || !x.HasAVX512DQ || !x.HasAVX512BW || !x.HasAVX512VL || !x.HasBMI2 {
		return list
	}
	list = append(list, &implementation{"avx512", productsAVX512, rowsAVX512})
	if !x.HasAVX512VNNI {
		return list
	}
	list = append(list, &implementation{"avx512vnni", productsVNNI, rowsAVX512})
	if !x.HasAVX512BF16 {
		return list
	}
	return append(list, &implementation{"avx512bf16", productsBF16, rowsBF16})
}
