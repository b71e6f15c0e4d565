package calibrate

import (
	"fmt"
	"math"
)

// mostSquared is the largest number whose square is a float32, as norms need it.
var mostSquared = math.Sqrt(math.MaxFloat32)

// Largest is the largest magnitude, NaN where there is one: the bits of float32 without their sign
// have the order of magnitudes, and NaN has the highest.
func Largest(w []float32) float32 {
	var largest uint32
	for _, v := range w {
		largest = max(largest, math.Float32bits(v)&^(1<<31))
	}
	return math.Float32frombits(largest)
}

// TooLarge says that a tensor whose largest magnitude is largest may give what no model computes
// with, "" where it does not. A calibration does not show it where its tokens are others.
func TooLarge(name string, largest float32) string {
	if !(float64(largest) > mostSquared) {
		return ""
	}
	return fmt.Sprintf("%s has weights of up to %.3g: what it gives to inputs around 1 has squares above the largest float32, so a model with it may compute nothing", name, largest)
}
