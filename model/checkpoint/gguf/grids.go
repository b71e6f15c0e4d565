package gguf

import (
	_ "embed"
	"encoding/hex"
	"strings"
	"sync"
)

// gridText holds the code books, each below the line that names it.
//
//go:embed grids.txt
var gridText string

// The code books of the IQ formats: vectors of 8 or, in 3 bits, 4 small whole numbers, one after
// another. Each is read when it is first used.
var (
	grid1    = grid("iq1", -1, 0, 1)
	grid2XXS = grid("iq2xxs", 8, 25, 43)
	grid2XS  = grid("iq2xs", 8, 25, 43)
	grid2S   = grid("iq2s", 8, 25, 43)
	grid3XXS = grid("iq3xxs", 4, 12, 20, 28, 36, 44, 52, 62)
	grid3S   = grid("iq3s", 1, 3, 5, 7, 9, 11, 13, 15)
)

// grid returns the code book of a name, whose indices of 2 bits, or of 4 where there are more than
// four levels, stand for the levels.
func grid(name string, levels ...int8) func() []int8 {
	return sync.OnceValue(func() []int8 {
		_, rest, _ := strings.Cut(gridText, "\n"+name+"\n")
		var values []int8
		for line := range strings.Lines(rest) {
			packed, err := hex.DecodeString(strings.TrimSpace(line))
			if err != nil {
				break // the next name
			}
			for _, b := range packed {
				if len(levels) > 4 {
					values = append(values, levels[b&15], levels[b>>4])
				} else {
					values = append(values, levels[b&3], levels[b>>2&3], levels[b>>4&3], levels[b>>6])
				}
			}
		}
		return values
	})
}
