package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The committed assembly is what the generator writes.
func TestCommittedAssembly(t *testing.T) {
	for _, target := range []target{avx2, avx512} {
		committed, err := os.ReadFile(filepath.Join("..", "..", target.file()))
		if err != nil {
			t.Fatal(err)
		}
		if string(committed) != target.source() {
			t.Errorf("%s differs from the generator's output: go generate ./kernels", target.file())
		}
	}
}
