package weight

import (
	"slices"
	"strings"
	"testing"
)

func TestUint4Refuses(t *testing.T) {
	codes := func(n int, v int8) []int8 { return slices.Repeat([]int8{v}, n) }
	ones := []float32{1, 1, 1, 1}
	for want, f := range map[string]func() error{
		"code [1, 0] is 8": func() error {
			_, err := NewUint4(append(codes(16, 1), codes(16, 8)...), codes(4, 0), ones, nil, 2, 16, 8)
			return err
		},
		"group 3":        func() error { _, err := NewUint4(codes(32, 1), codes(4, 0), ones, nil, 2, 16, 3); return err },
		"found 31 codes": func() error { _, err := NewUint4(codes(31, 1), codes(4, 0), ones, nil, 2, 16, 8); return err },
		"3 zero points":  func() error { _, err := NewUint4(codes(32, 1), codes(3, 0), ones, nil, 2, 16, 8); return err },
		"input 8 is in group 0": func() error {
			_, err := NewUint4(codes(32, 1), codes(4, 0), ones, make([]int32, 16), 2, 16, 8)
			return err
		},
		"input 0 is in group 2": func() error {
			_, err := NewUint4(codes(32, 1), codes(4, 0), ones, slices.Repeat([]int32{2}, 16), 2, 16, 8)
			return err
		},
		"the groups of 4 inputs": func() error {
			_, err := NewUint4(codes(32, 1), codes(4, 0), ones, make([]int32, 4), 2, 16, 8)
			return err
		},
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
