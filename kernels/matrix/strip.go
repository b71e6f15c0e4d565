package matrix

// stripKernel is the routine of products: strip adds a·b to up to height rows of c [m, n], with
// a(i, p) = a[p*16+i] and b(p, j) = b[(j/16*k+p)*16+j%16]. Each element of c gets one chain over k
// in ascending order, started at zero.
type stripKernel struct {
	height int
	strip  func(c []float64, cRow int, a, b []float64, m, n, k int)
}

var kernelRef = stripKernel{4, stripRef}

// stripRef is strip in plain Go. The conversion keeps compilers from fusing
// the product with the sum.
func stripRef(c []float64, cRow int, a, b []float64, m, n, k int) {
	for j := 0; j < n; j += panelWidth {
		panel := b[j/panelWidth*k*panelWidth:]
		width := min(panelWidth, n-j)
		for i := range m {
			var sum [panelWidth]float64
			for p := range k {
				x := a[p*panelWidth+i]
				for l, v := range panel[p*panelWidth:][:panelWidth] {
					sum[l] += float64(x * v)
				}
			}
			row := c[i*cRow+j:][:width]
			for l := range row {
				row[l] += sum[l]
			}
		}
	}
}
