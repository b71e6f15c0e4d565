package run

import (
	"fmt"

	"slimlab/kernels/machine"
	"slimlab/model"
)

// checkMemory reports work that needs more memory than the machine has. Without it the process
// would be ended by the system in the middle of a run.
func checkMemory(needs, has int64) error {
	if has == 0 || needs <= has {
		return nil
	}
	return fmt.Errorf("needs at least %.3g GB of memory, and this machine has %.3g GB", float64(needs)/1e9, float64(has)/1e9)
}

// checkTrainable reports a model that cannot be trained in this machine's memory: its weights,
// their gradients and the two moments of the optimizer, in float32.
func checkTrainable(name string, c model.Config) error {
	if err := checkMemory(4*4*int64(c.Parameters()), machine.Memory()); err != nil {
		return fmt.Errorf("training %s with its %d parameters %w", name, c.Parameters(), err)
	}
	return nil
}

// checkMemory reports calibration text whose activations, a layer's inputs in float32, do not fit
// in this machine's memory.
func (c Calibration) checkMemory(d *dataset, shape model.Config) error {
	needs := 4 * int64(c.Samples) * int64(d.longest) * int64(shape.Hidden)
	if err := checkMemory(needs, machine.Memory()); err != nil {
		most := machine.Memory() / (4 * int64(max(1, d.longest)) * int64(shape.Hidden))
		return keyError{"calibration.samples", fmt.Errorf("is %d, which %w: expected at most %d", c.Samples, err, most)}
	}
	return nil
}
