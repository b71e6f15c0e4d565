package quant

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"slimlab/kernels"
	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/weight"
)

const (
	clipSteps = 10 // shares of the largest weight that are tried
	clipStep  = 0.05
)

// clippable reports whether the range of a linear layer's grid may be narrowed. The outputs of
// q_proj and k_proj are multiplied with each other: what clipping does to both is not the sum of
// what it does to each.
func clippable(l model.LinearLayer) bool {
	return !strings.HasSuffix(l.Name, ".q_proj") && !strings.HasSuffix(l.Name, ".k_proj")
}

// checkClip reports what no range is narrowed for: formats whose scales one group does not decide,
// and a model without calibration tokens.
func checkClip(f weight.Format, sequences int) error {
	if f.Float {
		return fmt.Errorf("clip is for integers, found %s", f)
	}
	if sequences == 0 {
		return errors.New("clip needs calibration sequences, found none")
	}
	return nil
}

// clipped returns w with the weights of each group cut to a share of the group's largest magnitude,
// 1 to 0.55, so that a grid fitted to it rounds w to nearest with the least error: δ·h·δᵀ
// over the group's inputs alone. A share of 1, which cuts nothing, is among them: in that measure
// no group is worse than without. (AWQ's search: Lin et al., 2024.) It counts the groups that are
// cut, of all.
func clipped(ctx context.Context, w *weight.Dense, f weight.Format, scales kernels.Precision, h matrix.Dense) (out *weight.Dense, cut, groups int, err error) {
	const strip = 512 // rows at a time, so that memory stays small
	group := f.Group
	if group == 0 {
		group = w.In
	}
	out = weight.NewDense(make([]float32, len(w.Data)), w.Out, w.In)
	for first := 0; first < w.Out; first += strip {
		rows := min(strip, w.Out-first)
		part := weight.NewDense(w.Data[first*w.In:(first+rows)*w.In], rows, w.In)
		n, err := clipRows(ctx, out.Data[first*w.In:(first+rows)*w.In], part, f, group, scales, h)
		if err != nil {
			return nil, 0, 0, err
		}
		cut += n
	}
	return out, cut, len(w.Data) / group, ctx.Err()
}

// clipRows is clipped for some rows, into to.
func clipRows(ctx context.Context, to []float32, w *weight.Dense, f weight.Format, group int, scales kernels.Precision, h matrix.Dense) (cutGroups int, err error) {
	groups := len(w.Data) / group
	least, narrowed := make([]float64, groups), make([]bool, groups)
	cut, difference, product := weight.NewDense(make([]float32, len(w.Data)), w.Out, w.In), matrix.NewDense(w.Out, w.In, nil), matrix.NewDense(w.Out, group, nil)
	for step := range clipSteps {
		clipTo(cut.Data, w.Data, group, 1-clipStep*float64(step))
		grid, err := NewGrid(f, cut, scales)
		if err != nil {
			return 0, err
		}
		rounding, err := Nearest{}.Round(ctx, w, grid, nil)
		if err != nil {
			return 0, err
		}
		parallel.Range(w.Out, rowsOfTask, func(lo, hi int) {
			for o := lo; o < hi; o++ {
				for i := range w.In {
					difference.Row(o)[i] = float64(w.Data[o*w.In+i]) - grid.Decode(rounding.Codes[o*w.In+i], o, i)
				}
			}
		})
		for at := 0; at < w.In; at += group {
			d := difference.Block(0, at, w.Out, group)
			clear(product.Data)
			matrix.AddProduct(ctx, product, d, h.Block(at, at, group, group), 1)
			for o := range w.Out {
				g := (o*w.In + at) / group
				if e := matrix.Dot(d.Row(o), product.Row(o)); step == 0 || e < least[g] {
					least[g], narrowed[g] = e, step > 0
					copy(to[g*group:(g+1)*group], cut.Data[g*group:(g+1)*group])
				}
			}
		}
	}
	for _, is := range narrowed {
		if is {
			cutGroups++
		}
	}
	return cutGroups, ctx.Err()
}

// clipTo cuts the weights of each group to a share of its largest magnitude.
func clipTo(to, w []float32, group int, share float64) {
	parallel.Range(len(w)/group, rowsOfTask, func(lo, hi int) {
		for g := lo; g < hi; g++ {
			from, most := w[g*group:(g+1)*group], float32(0)
			for _, v := range from {
				most = max(most, v, -v)
			}
			most = float32(float64(most) * share)
			for i, v := range from {
				to[g*group+i] = max(-most, min(most, v))
			}
		}
	})
}
