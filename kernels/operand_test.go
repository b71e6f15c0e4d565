package kernels

import "testing"

// TestOperandBytes: what is foreseen of an operand is what Pack takes, in every layout.
func TestOperandBytes(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		for _, precision := range []Precision{Float32, BFloat16} {
			for _, shape := range [][2]int{{1, 1}, {3, 256}, {5, 512}, {17, 33}, {64, 100}, {200, 768}} {
				for forms := Rows; forms <= Rows|LeftSide|RightSide; forms++ {
					rows, columns := shape[0], shape[1]
					var o Operand
					o.Pack(make([]float32, rows*columns), rows, columns, precision, forms)
					found := 4 * int64(len(o.along.memory)+len(o.across.memory)+len(o.right.data))
					if want := OperandBytes(rows, columns, precision, forms); found != want {
						t.Errorf("%v takes %d bytes, %d are foreseen", &o, found, want)
					}
				}
			}
		}
	})
}
