package quant

import (
	"context"
	"fmt"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/weight"
)

// Head rounds the head of a model to nearest in a scheme's format, with scales in a precision;
// where it is tied, the embedding becomes the same numbers. A head that is no float weight is an
// error.
func Head(ctx context.Context, m *model.Model, s Scheme, scales kernels.Precision) error {
	d, ok := m.Head.(*weight.Dense)
	if !ok {
		return fmt.Errorf("the head is stored in %s, expected one of floats", m.Head.Format())
	}
	if s.automatic() {
		s.Format.Group = largestGroup(d.In, 0)
	}
	if g := s.Format.Group; g > 0 && d.In%g != 0 {
		return fmt.Errorf("the head: groups of %d do not divide its %d inputs", g, d.In)
	}
	grid, err := NewGrid(s.Format, d, scales)
	if err != nil {
		return fmt.Errorf("the head: %w", err)
	}
	r, err := Nearest{}.Round(ctx, d, grid, nil)
	if err != nil {
		return fmt.Errorf("the head: %w", err)
	}
	w, err := weight.New(grid.Encoding(), r.Codes)
	if err != nil {
		return fmt.Errorf("the head: %w", err)
	}
	if m.TiedHead {
		m.TieHead(w)
	} else {
		m.Head = w
	}
	return ctx.Err()
}
