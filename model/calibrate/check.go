package calibrate

import (
	"fmt"

	"slimlab/model"
)

// Check reports the first sequence that the model cannot read.
func Check(m *model.Model, sequences []Sequence) error {
	for i, s := range sequences {
		if err := checkSequence(m, i, s); err != nil {
			return fmt.Errorf("calibration: %w", err)
		}
	}
	return checkDistinct(sequences)
}

// few tokens may be alike by chance.
const few = 32

// checkDistinct reports sequences that are one token again and again, a BOS before it apart: their
// statistics are those of one direction, and every method seems to lose nothing.
func checkDistinct(sequences []Sequence) error {
	seen := map[int32]bool{}
	tokens := 0
	for _, s := range sequences {
		for i, token := range s {
			if i > 0 || len(s) == 1 {
				seen[token] = true
				tokens++
			}
			if len(seen) > 2 {
				return nil
			}
		}
	}
	if tokens < few {
		return nil
	}
	only := "only two different ones"
	if len(seen) == 1 {
		only = "all the same one"
	}
	return fmt.Errorf("calibration: its %d tokens are %s, expected a text: what is calibrated on them loses nothing on them, and all on another", Tokens(sequences), only)
}
