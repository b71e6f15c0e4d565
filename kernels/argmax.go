package kernels

// Argmax returns the index of the largest value, the first of equals; 0 of none.
func Argmax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}
