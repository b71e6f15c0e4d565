package convert

import (
	"errors"

	"slimlab/kd"
	"slimlab/model/calibrate"
	"slimlab/quant"
)

// Broke reports that a conversion ended because its arithmetic broke, or the machine has no memory
// or its disk no room: a training diverged, an activation is not finite, or statistics have no
// factor. Its settings and inputs could be read.
func Broke(err error) bool {
	return errors.Is(err, kd.ErrDiverged) || errors.Is(err, kd.ErrNotFinite) || errors.Is(err, quant.ErrNotPositive) || errors.Is(err, calibrate.ErrNotFinite) || errors.Is(err, ErrNoRoom) || errors.Is(err, ErrNoMemory)
}
