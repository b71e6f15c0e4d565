package pruning

// Work is about how many multiply-adds in float64 the method takes for the half of a layer whose
// last linear layer reads channels, of which some are to leave, and has so many outputs: by the
// products that are large, with both starts of OSSCAR.
func (m Method) Work(channels, leaving, outputs int) float64 {
	d, n, p := float64(channels), float64(leaving), float64(outputs)
	work := d*d*p/2 + n*n*p // the energy of the outputs, and of what masking changes
	switch {
	case m == OSSCAR:
		// the moves to the support of magnitude are about as many, and the local searches half
		return work + greedyWork(channels, leaving, outputs) + 1.5*movesWork(d, n, p) + n*d*p
	case m.Updates():
		k := d - n
		return work + k*k*k/6 + k*k*p + k*n*p + n*d*p
	}
	return work
}

// CurveWork is Work of the errors of all widths, which a budget is chosen by.
func CurveWork(channels, outputs int) float64 {
	d, p := float64(channels), float64(outputs)
	return d*d*p/2 + greedyWork(channels, channels, outputs)
}

// greedyWork is that of a tableau and of greedy removal.
func greedyWork(channels, leaving, outputs int) float64 {
	d, n, p := float64(channels), float64(leaving), float64(outputs)
	return d*d*d/2 + movesWork(d, n, p) + foresight*n*d*p
}

// movesWork is that of n channels that change sides.
func movesWork(d, n, p float64) float64 { return n * (d*d/2 + d*p) }
