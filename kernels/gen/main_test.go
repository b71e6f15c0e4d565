package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The committed assembly is what the generator writes.
func TestCommittedAssembly(t *testing.T) {
	for name, want := range files() {
		committed, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if string(committed) != want {
			t.Errorf("kernels/%s differs from the generator's output: go generate ./kernels", name)
		}
	}
}
