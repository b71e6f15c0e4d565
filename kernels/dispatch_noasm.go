//go:build !amd64 || noasm

package kernels

func supported() []*implementation {
	return []*implementation{{"ref", productsRef, rowsRef}}
}
