package quant

import (
	"context"

	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
	"slimlab/model/calibrate"
	"slimlab/model/weight"
)

// Rounder chooses codes on a grid.
type Rounder interface {
	// Round chooses a code for each element of w, whose inputs have the given moments: those of
	// zero tokens where nothing was measured.
	Round(ctx context.Context, w *weight.Dense, g Grid, m *Moments) (Rounding, error)
	// Calibrated reports whether Round needs statistics.
	Calibrated() bool
}

// Rounding is what a Rounder chose.
type Rounding struct {
	Codes []byte // [out, in]
	// DampedLoss is tr(ΔHΔᵀ) with the damped mean Gram matrix, which GPTQ minimises; 0 for others.
	DampedLoss float64
	Damping    float64 // as it was used in the end; 0 for others
	Note       string  // what was not done as asked for; "" is nothing

	loss *float64 // tr(ΔHΔᵀ) with H as measured, where the rounder knows it
}

// Nearest takes the nearest code for each weight on its own.
type Nearest struct{}

// Calibrated implements Rounder.
func (Nearest) Calibrated() bool { return false }

// Round implements Rounder.
func (Nearest) Round(ctx context.Context, w *weight.Dense, g Grid, _ *Moments) (Rounding, error) {
	codes := make([]byte, len(w.Data))
	parallel.Range(w.Out, rowsOfTask, func(lo, hi int) {
		for o := lo; o < hi; o++ {
			for i, v := range w.Data[o*w.In : (o+1)*w.In] {
				codes[o*w.In+i], _ = g.Encode(float64(v), o, i)
			}
		}
	})
	return Rounding{Codes: codes}, ctx.Err()
}

// rowsOfTask is the number of outputs, which do not depend on each other, that a thread takes at
// once.
const rowsOfTask = 16

// Moments are the statistics of the input of some linear layers, with what rounders have computed
// from them.
type Moments struct {
	*calibrate.Stats
	factors map[factorKey]*factor
	room    *[]float64 // memory of a factor that the next moments use again; nil is none
}

// outputError is tr(ΔHΔᵀ)/tr(wHwᵀ), Δ = w − codes, with H as measured; 0 for a layer whose output
// is zero anyway.
func (m *Moments) outputError(ctx context.Context, w *weight.Dense, g Grid, r Rounding) float64 {
	total := m.energy(ctx, w)
	switch {
	case total <= 0:
		return 0
	case r.loss != nil:
		return *r.loss / total
	}
	return squaredError(ctx, m.Gram, w, g, r.Codes) / total
}

// energy is tr(wHwᵀ).
func (m *Moments) energy(ctx context.Context, w *weight.Dense) float64 {
	return Energy(ctx, m.Gram, w.Out, func(row []float64, o int) {
		for i := range row {
			row[i] = float64(w.Data[o*w.In+i])
		}
	})
}

// squaredError is tr(ΔhΔᵀ), Δ = w − codes.
func squaredError(ctx context.Context, h matrix.Dense, w *weight.Dense, g Grid, codes []byte) float64 {
	return Energy(ctx, h, w.Out, func(row []float64, o int) {
		for i := range row {
			row[i] = float64(w.Data[o*w.In+i]) - g.Decode(codes[o*w.In+i], o, i)
		}
	})
}

// Energy is tr(W·h·Wᵀ) for W [out, in], whose rows it asks for. Of h, which is symmetric, it reads
// what is not below the diagonal, in blocks: half of the products with all of it.
func Energy(ctx context.Context, h matrix.Dense, out int, row func(row []float64, o int)) float64 {
	const strip = 512 // rows and columns at a time, so that memory stays small
	in, parts := h.Rows, make([]float64, out)
	rows := min(strip, out)
	all, product := matrix.NewDense(rows, in, nil), matrix.NewDense(rows, min(strip, in), nil)
	for first := 0; first < out; first += strip {
		n := min(strip, out-first)
		w := all.Block(0, 0, n, in)
		parallel.Range(n, rowsOfTask, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				row(w.Row(r), first+r)
			}
		})
		for column := 0; column < in; column += strip {
			width := min(strip, in-column)
			part, own := product.Block(0, 0, n, width), w.Block(0, column, n, width)
			parallel.Range(n, rowsOfTask, func(lo, hi int) {
				for r := lo; r < hi; r++ {
					clear(part.Row(r))
				}
			})
			matrix.AddProduct(ctx, part, w.Block(0, 0, n, column), h.Block(0, column, column, width), 2)
			matrix.AddProduct(ctx, part, own, h.Block(column, column, width, width), 1)
			parallel.Range(n, rowsOfTask, func(lo, hi int) {
				for r := lo; r < hi; r++ {
					parts[first+r] += matrix.Dot(own.Row(r), part.Row(r))
				}
			})
		}
	}
	sum := 0.0
	for _, v := range parts {
		sum += v
	}
	return sum
}

// weightError is ‖a−b‖²/‖a‖²; 0 where a is zero.
func weightError(a, b []float32) float64 {
	difference, total := 0.0, 0.0
	for i, v := range a {
		d := float64(v) - float64(b[i])
		difference += d * d
		total += float64(v) * float64(v)
	}
	if total == 0 {
		return 0
	}
	return difference / total
}
