package matrix

import (
	"context"
	"slices"

	"slimlab/kernels"
	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// SolveUpper replaces b [n, p] by U⁻¹·b, SolveUpperTransposed by U⁻ᵀ·b, for the upper triangle U of
// u [n, n].
func SolveUpper(ctx context.Context, u, b Dense)           { solveTriangle(ctx, u, b, false) }
func SolveUpperTransposed(ctx context.Context, u, b Dense) { solveTriangle(ctx, u, b, true) }

func solveTriangle(ctx context.Context, u, b Dense, transposed bool) {
	if ctx.Err() != nil {
		return
	}
	n := u.Rows
	if n <= panelTriangle {
		solvePanels(u, b, transposed)
		return
	}
	h := half(n)
	top, right, rest := u.Block(0, 0, h, h), u.Block(0, h, h, n-h), u.Block(h, h, n-h, n-h)
	upper, lower := b.Block(0, 0, h, b.Cols), b.Block(h, 0, n-h, b.Cols)
	if transposed {
		solveTriangle(ctx, top, upper, true)
		AddProduct(ctx, lower, right.T(), upper, -1)
		solveTriangle(ctx, rest, lower, true)
		return
	}
	solveTriangle(ctx, rest, lower, false)
	AddProduct(ctx, upper, right, lower, -1)
	solveTriangle(ctx, top, upper, false)
}

// panelTriangle is the width of the largest triangle that is solved panel by panel: its panel of
// right-hand sides fills the first cache, its packed factors half of the second.
const panelTriangle = 256

// packedAlone is the width from which threads share the packing of a triangle's factors: less is
// done sooner than another thread wakes.
const packedAlone = 128

// substitution is a triangle that is ready to solve panels of 16 right-hand sides: the halving of
// solveTriangle written out as steps, whose factors are packed once for all panels.
type substitution struct {
	routines
	u          Dense
	transposed bool
	steps      []substitutionStep
	packed     []float64
}

// substitutionStep solves the rows from row on by their triangle on the diagonal or, where depth is
// not 0, subtracts a product with the depth rows from first on from them.
type substitutionStep struct {
	row, rows    int
	first, depth int
	packed       int // where its factors begin
}

var freeSubstitutions = memory.NewFreeList(16, func() *substitution { return &substitution{} })

// solvePanels solves all panels of right-hand sides, each in memory of its own: no panel waits for
// another.
func solvePanels(u, b Dense, transposed bool) {
	if u.Rows == 0 || b.Cols == 0 {
		return
	}
	s := freeSubstitutions.Get()
	defer freeSubstitutions.Put(s)
	s.routines, s.u, s.transposed = routinesOf(kernels.Implementation()), u, transposed
	s.steps, s.packed = s.steps[:0], s.packed[:0]
	s.plan(0, u.Rows)
	packing := 8 // steps at once
	if u.Rows < packedAlone {
		packing = len(s.steps)
	}
	parallel.Range(len(s.steps), packing, func(lo, hi int) {
		for _, step := range s.steps[lo:hi] {
			s.pack(step)
		}
	})
	panels := 1 // at once
	if u.Rows*u.Rows/2*b.Cols < sharedWork {
		panels = panelsOf(b.Cols)
	}
	parallel.Range(panelsOf(b.Cols), panels, func(lo, hi int) {
		buffer := freeStrips.Get()
		defer freeStrips.Put(buffer)
		for j := lo; j < hi; j++ {
			s.solve(*buffer, b.Block(0, j*panelWidth, u.Rows, min(panelWidth, b.Cols-j*panelWidth)))
		}
	})
	s.u.Data = nil
}

// plan appends the steps for the triangle of rows first…first+n-1.
func (s *substitution) plan(first, n int) {
	if n <= smallTriangle {
		s.add(substitutionStep{row: first, rows: n})
		return
	}
	h := half(n)
	if s.transposed {
		s.plan(first, h)
		s.planProduct(first+h, n-h, first, h)
		s.plan(first+h, n-h)
		return
	}
	s.plan(first+h, n-h)
	s.planProduct(first, h, first+h, n-h)
	s.plan(first, h)
}

// planProduct appends a product in strips of about equal height.
func (s *substitution) planProduct(row, rows, first, depth int) {
	strips := (rows + s.height - 1) / s.height
	for i := range strips {
		lo, hi := i*rows/strips, (i+1)*rows/strips
		s.add(substitutionStep{row: row + lo, rows: hi - lo, first: first, depth: depth})
	}
}

func (s *substitution) add(step substitutionStep) {
	step.packed = len(s.packed)
	size := step.packed + max(step.depth, smallTriangle)*panelWidth
	s.packed = slices.Grow(s.packed, size-step.packed)[:size]
	s.steps = append(s.steps, step)
}

// pack writes the factors of a step: those of a product negative, as a strip of a; those of a
// triangle in rows of 16, row i what substitute subtracts from its row i and divides this by.
func (s *substitution) pack(step substitutionStep) {
	dst := s.packed[step.packed:]
	switch {
	case step.depth > 0 && s.transposed:
		s.packStrip(dst, s.u.Block(step.first, step.row, step.depth, step.rows).T(), -1)
	case step.depth > 0:
		s.packStrip(dst, s.u.Block(step.row, step.first, step.rows, step.depth), -1)
	default:
		for i := range step.rows {
			for k := range i + 1 {
				a, b := step.row+k, step.row+i
				if !s.transposed {
					a, b = step.row+step.rows-1-i, step.row+step.rows-1-k
				}
				dst[i*panelWidth+k] = s.u.Data[a*s.u.RowStride+b*s.u.ColStride]
			}
		}
	}
}

// solve runs the steps on a panel.
func (s *substitution) solve(x []float64, b Dense) {
	s.packStrip(x, b.T(), 1)
	for _, step := range s.steps {
		factors, rows := s.packed[step.packed:], x[step.row*panelWidth:]
		if step.depth > 0 {
			s.strip(rows, panelWidth, factors, x[step.first*panelWidth:], step.rows, panelWidth, step.depth)
			continue
		}
		from, next := 0, panelWidth
		if !s.transposed {
			from, next = (step.rows-1)*panelWidth, -panelWidth
		}
		if step.rows == smallTriangle {
			s.substitute(rows, from, next, factors)
		} else {
			substituteRows(rows, from, next, factors, step.rows)
		}
	}
	switch {
	case b.ColStride == 1:
		s.unpack(b.Data, x, b.RowStride, b.Cols, b.Rows)
	case b.RowStride == 1:
		s.unpackTransposed(b.Data, x, b.ColStride, b.Cols, b.Rows)
	default:
		for i := range b.Rows {
			for j := range b.Cols {
				b.Data[i*b.RowStride+j*b.ColStride] = x[i*panelWidth+j]
			}
		}
	}
}
