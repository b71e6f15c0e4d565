// Command gen writes the assembly of package kernels and its subpackages into the folder given as
// its argument:
//
//	go generate ./kernels
//
// It is a module of its own, so that nothing of it is part of the product. A test holds the
// committed files to what it writes.
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"slimlab/kernels/gen/attention"
	"slimlab/kernels/gen/gemm"
	"slimlab/kernels/gen/peak"
	"slimlab/kernels/gen/rows"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen folder")
		os.Exit(2)
	}
	for name, text := range files() {
		if err := os.WriteFile(filepath.Join(os.Args[1], name), []byte(text), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "gen:", err)
			os.Exit(1)
		}
	}
}

// files is all assembly by its path below package kernels.
func files() map[string]string {
	all := map[string]string{}
	for _, of := range []map[string]string{attention.Files(), gemm.Files(), peak.Files(), rows.Files()} {
		maps.Copy(all, of)
	}
	return all
}
