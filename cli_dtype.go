package main

import (
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/nearest"
)

// spellings are the two names of an element type: that of files and that of arithmetic.
var spellings = [][2]string{{"f32", "float32"}, {"f16", "float16"}, {"bf16", "bfloat16"}}

// checkDType refuses a --dtype that is none of the valid names, and gives the other spelling of one
// the valid one.
func checkDType(dtype *string, valid []string) error {
	var also []string
	for _, s := range spellings {
		for i, name := range s {
			if other := s[1-i]; slices.Contains(valid, name) && !slices.Contains(valid, other) {
				also = append(also, other)
				if *dtype == other {
					*dtype = name
				}
			}
		}
	}
	err := nearest.Check("--dtype", *dtype, valid)
	if err != nil {
		err = fmt.Errorf("%w (%s are taken too)", err, strings.Join(also, ", "))
	}
	return err
}
