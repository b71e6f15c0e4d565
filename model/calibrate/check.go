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
	return nil
}
