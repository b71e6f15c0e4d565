package kernels

import (
	"fmt"
	"testing"
)

func TestRunOfTooManyProductsPanics(t *testing.T) {
	defer func() {
		if fmt.Sprint(recover()) != "kernels: Run of 5 products, expected at most 4" {
			t.Error("no panic that names the numbers")
		}
	}()
	Run(empty{}, empty{}, empty{}, empty{}, empty{})
}
