package hardware

import (
	"fmt"
	"slices"

	"slimlab/internal/nearest"
)

// Calibration is what is known of an engine: how its kernels use the devices on which it was
// measured, and what it takes beside them.
type Calibration struct {
	Name    string
	Stack   string // engine and version
	Source  string // of the measurements
	Valid   string // range of what was measured
	Kernels []Kernels
	Host    Host
	// StepOverhead is the seconds that every step takes beside its kernels.
	StepOverhead float64
	// LayerLaunch is the seconds in which the engine launches the kernels of one layer of a step
	// with a prefill: a step with little work waits for them. 0 where they are in a graph.
	LayerLaunch float64
	// Experts is the efficiency of the products of a mixture, as a share of that of one product.
	Experts float64
	Chunk   int      // tokens of a prefill step with which it was fitted; 0: the whole prompt
	Formats []Format // of the weights whose requests were fitted; none: kernels alone were
	RMS     float64  // of the relative errors of the requests or steps that were fitted
	Far     Errors   // on a device that was not measured
	Notes   []string
	// MixtureNote is one more of mixtures of experts; "" is none.
	MixtureNote string
	Linear      *Linear // of a device whose kernels are unknown; the rest is unused then
}

// Host is what a request takes outside the steps, seconds: its text is parsed, made tokens and
// looked up while the device works for others.
type Host struct{ Fixed, Token float64 }

// Calibrations returns those that are shipped.
func Calibrations() []Calibration {
	return []Calibration{sglang041(), vllm061(), sglang05(), vllm024()}
}

// CalibrationNames lists the names of Calibrations.
func CalibrationNames() []string {
	var names []string
	for _, c := range Calibrations() {
		names = append(names, c.Name)
	}
	return names
}

// FindCalibration returns the calibration of a name.
func FindCalibration(name string) (Calibration, error) {
	for _, c := range Calibrations() {
		if c.Name == name {
			return c, nil
		}
	}
	return Calibration{}, nearest.Unknown("calibration", name, CalibrationNames())
}

// kernels returns those measured on the device, or else those on the nearest to it: one that has
// products in FP8 as it does, or the first. It reports whether they are the device's own.
func (c *Calibration) kernels(d *Device) (Kernels, bool, error) {
	if len(c.Kernels) == 0 {
		return Kernels{}, false, fmt.Errorf("calibration %s has no kernels, expected those of one device or more", c.Name)
	}
	nearest := c.Kernels[0]
	for _, k := range slices.Backward(c.Kernels) {
		if k.Device == d.Name {
			return k, true, nil
		}
		if (k.GEMM[FP8].Compute > 0) == (d.Peaks.FP8 > 0) {
			nearest = k
		}
	}
	return nearest, false, nil
}
