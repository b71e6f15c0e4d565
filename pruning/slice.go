package pruning

import (
	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/weight"
)

// keepRows deletes all rows of a linear layer, with their biases, but the given ones.
func keepRows(l model.Linear, rows []int) model.Linear {
	_, in := l.Weight.Shape()
	w := l.Weight.Float32()
	data := make([]float32, 0, len(rows)*in)
	var bias []float32
	for _, r := range rows {
		data = append(data, w[r*in:(r+1)*in]...)
		if l.Bias != nil {
			bias = append(bias, l.Bias[r])
		}
	}
	return model.Linear{Weight: weight.NewDense(data, len(rows), in), Bias: bias}
}

// keepColumns deletes all input channels of a linear layer but the given ones.
func keepColumns(l model.Linear, columns []int) model.Linear {
	out, in := l.Weight.Shape()
	w, n := l.Weight.Float32(), len(columns)
	data := make([]float32, out*n)
	parallel.Range(out, rowsOfTask, func(lo, hi int) {
		for o := lo; o < hi; o++ {
			row := w[o*in : (o+1)*in]
			for at, c := range columns {
				data[o*n+at] = row[c]
			}
		}
	})
	return model.Linear{Weight: weight.NewDense(data, out, len(columns)), Bias: l.Bias}
}

// updatedColumns is keepColumns with new values from w [in, out].
func updatedColumns(l model.Linear, columns []int, w matrix.Dense) model.Linear {
	out, _ := l.Weight.Shape()
	n := len(columns)
	data := make([]float32, out*n)
	// a thread reads whole rows of w, and of few, since it writes as far apart
	parallel.Range(n, rowsOfTask, func(lo, hi int) {
		for at := lo; at < hi; at++ {
			for o, v := range w.Row(columns[at]) {
				data[o*n+at] = float32(v)
			}
		}
	})
	return model.Linear{Weight: weight.NewDense(data, out, len(columns)), Bias: l.Bias}
}

// meanBias is the bias of a linear layer whose weight becomes that of next, with the given of its
// input channels: what it was, and (w − W)·mean, by which the mean of the outputs stays.
func meanBias(l, next model.Linear, columns []int, mean []float64) []float32 {
	out, in := l.Weight.Shape()
	before, after := l.Weight.Float32(), next.Weight.Float32()
	bias := make([]float32, out)
	for o := range out {
		b := float64(l.Bias[o])
		for i, v := range before[o*in : (o+1)*in] {
			b += float64(v) * mean[i]
		}
		for at, i := range columns {
			b -= float64(after[o*len(columns)+at]) * mean[i]
		}
		bias[o] = float32(b)
	}
	return bias
}

// sliceMLP keeps the given neurons of a layer of m; down is the new down_proj.
func sliceMLP(m *model.Model, layer int, neurons []int, down model.Linear) {
	b := &m.Blocks[layer]
	b.Gate, b.Up, b.Down = keepRows(b.Gate, neurons), keepRows(b.Up, neurons), down
	m.Layers[layer].MLP = len(neurons)
}

// sliceHeads keeps the given KV groups of a layer of m; o is the new o_proj. KV head c serves the
// consecutive query heads c·n … (c+1)·n−1, n = heads/KV heads.
func sliceHeads(m *model.Model, layer int, groups []int, o model.Linear) {
	b, widths := &m.Blocks[layer], &m.Layers[layer]
	n := widths.Heads / widths.KVHeads
	q, kv := expand(groups, n*m.HeadDim), expand(groups, m.HeadDim)
	b.Q, b.K, b.V, b.O = keepRows(b.Q, q), keepRows(b.K, kv), keepRows(b.V, kv), o
	widths.Heads, widths.KVHeads = n*len(groups), len(groups)
}

// sliceQueryHeads keeps the given query heads of a layer of m, as many of each KV group.
func sliceQueryHeads(m *model.Model, layer int, heads []int, o model.Linear) {
	b := &m.Blocks[layer]
	b.Q, b.O = keepRows(b.Q, expand(heads, m.HeadDim)), o
	m.Layers[layer].Heads = len(heads)
}

// expand lists the rows of groups that are size rows each.
func expand(groups []int, size int) []int {
	rows := make([]int, 0, len(groups)*size)
	for _, g := range groups {
		for i := range size {
			rows = append(rows, g*size+i)
		}
	}
	return rows
}
