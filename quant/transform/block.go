package transform

import (
	"fmt"
	"math"
	"slices"

	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/weight"
)

// number is what tensors are made of: float32 in models, float64 where exactness is proved.
type number interface{ float32 | float64 }

// block is the tensors of one layer, which changes write to.
type block[F number] struct {
	headDim                    int
	widths                     model.LayerConfig
	attentionNorm, mlpNorm     []F
	q, k, v, o, gate, up, down linear[F]
}

// linear is a weight [out, in] and its bias, which may be nil.
type linear[F number] struct {
	out, in int
	weight  []F
	bias    []F
}

func (l *linear[F]) row(o int) []F { return l.weight[o*l.in : (o+1)*l.in] }

// rowsOfTask is the number of rows that a thread takes at once.
const rowsOfTask = 16

// copyOf copies a layer of a model, whose linear layers must be float32.
func copyOf(m *model.Model, layer int) (*block[float32], error) {
	from := &m.Blocks[layer]
	b := &block[float32]{headDim: m.HeadDim, widths: m.Layers[layer], attentionNorm: slices.Clone(from.AttentionNorm), mlpNorm: slices.Clone(from.MLPNorm)}
	to := b.linears()
	for i, l := range m.BlockLinears(layer) {
		d, err := calibrate.Dense(l)
		if err != nil {
			return nil, err
		}
		*to[i] = linear[float32]{l.Out, l.In, slices.Clone(d.Data), slices.Clone(l.Bias)}
	}
	return b, nil
}

// linears lists the linear layers in the order of model.BlockLinears.
func (b *block[F]) linears() []*linear[F] {
	return []*linear[F]{&b.q, &b.k, &b.v, &b.o, &b.gate, &b.up, &b.down}
}

// put gives the tensors of b to a layer of a model.
func put(b *block[float32], m *model.Model, layer int) {
	to := &m.Blocks[layer]
	to.AttentionNorm, to.MLPNorm = b.attentionNorm, b.mlpNorm
	from := b.linears()
	for i, l := range m.BlockLinears(layer) {
		l.Linear.Weight, l.Linear.Bias = weight.NewDense(from[i].weight, l.Out, l.In), from[i].bias
	}
}

// channels is the number of scales of a site: one for each channel of its input, but at the input
// of o_proj one for each channel of the values, which all query heads of a KV group share.
func channels(m *model.Model, layer int, site model.Site) int {
	c := m.Layers[layer]
	switch site {
	case model.SiteO:
		return c.KVHeads * m.HeadDim
	case model.SiteDown:
		return c.MLP
	}
	return m.Hidden
}

// shared says, for each channel of the input of o_proj, which channel of the values it comes from.
func shared(c model.LayerConfig, headDim int) []int {
	of := make([]int, c.Heads*headDim)
	for i := range of {
		of[i] = i/headDim/(c.Heads/c.KVHeads)*headDim + i%headDim
	}
	return of
}

// spread gives each channel of a site's input its scale.
func spread(s []float64, site model.Site, c model.LayerConfig, headDim int) []float64 {
	if site != model.SiteO {
		return s
	}
	all := make([]float64, c.Heads*headDim)
	for i, of := range shared(c, headDim) {
		all[i] = s[of]
	}
	return all
}

// scale divides the input of a site by s and multiplies the weights that read it. Norms are
// rounded; their scales must be those that hold returns.
func (b *block[F]) scale(site model.Site, s []float64, round Rounding) {
	all := spread(s, site, b.widths, b.headDim)
	switch site {
	case model.SiteQKV:
		divide(b.attentionNorm, s, round)
		for _, l := range []*linear[F]{&b.q, &b.k, &b.v} {
			l.multiplyInputs(all)
		}
	case model.SiteO:
		b.v.divideOutputs(s)
		b.o.multiplyInputs(all)
	case model.SiteGateUp:
		divide(b.mlpNorm, s, round)
		b.gate.multiplyInputs(all)
		b.up.multiplyInputs(all)
	case model.SiteDown:
		b.up.divideOutputs(s)
		b.down.multiplyInputs(all)
	}
}

func divide[F number](norm []F, s []float64, round Rounding) {
	for j, v := range norm {
		norm[j] = F(round.number(float64(v) / s[j]))
	}
}

func (l *linear[F]) multiplyInputs(s []float64) {
	parallel.Range(l.out, rowsOfTask, func(lo, hi int) {
		for o := lo; o < hi; o++ {
			for i, v := range l.row(o) {
				l.row(o)[i] = F(float64(v) * s[i])
			}
		}
	})
}

func (l *linear[F]) divideOutputs(s []float64) {
	parallel.Range(l.out, rowsOfTask, func(lo, hi int) {
		for o := lo; o < hi; o++ {
			for i, v := range l.row(o) {
				l.row(o)[i] = F(float64(v) / s[o])
			}
			if l.bias != nil {
				l.bias[o] = F(float64(l.bias[o]) / s[o])
			}
		}
	})
}

// Rounding rounds float tensors to what they are kept in; nil keeps them as they are.
type Rounding func(x []float32)

// number rounds one number.
func (r Rounding) number(v float64) float64 {
	if r == nil {
		return v
	}
	x := []float32{float32(v)}
	r(x)
	return float64(x[0])
}

// hold returns scales near s that a norm holds exactly: norm divided by them is a number that
// rounding keeps. A channel that is always zero, and one whose scale the norm cannot hold, has the
// scale 1.
func hold(norm []float32, s []float64, round Rounding) []float64 {
	held := make([]float64, len(s))
	for j, v := range norm {
		divided := round.number(float64(float32(float64(v) / s[j])))
		held[j] = float64(v) / divided
		if divided == 0 || math.IsInf(divided, 0) || math.IsNaN(held[j]) || math.IsInf(held[j], 0) {
			held[j] = 1
		}
	}
	return held
}

// rotate turns the residual stream by r and the values of each head by h; either may be nil.
func (b *block[F]) rotate(r, h *orthogonal) {
	if r != nil {
		for _, l := range []*linear[F]{&b.q, &b.k, &b.v} {
			l.rotateInputs(r, b.attentionNorm)
		}
		b.gate.rotateInputs(r, b.mlpNorm)
		b.up.rotateInputs(r, b.mlpNorm)
		b.o.rotateOutputs(r)
		b.down.rotateOutputs(r)
		ones(b.attentionNorm)
		ones(b.mlpNorm)
	}
	if h != nil {
		b.v.rotateOutputs(h)
		b.o.rotateInputs(h, nil)
	}
}

func ones[F number](x []F) {
	for i := range x {
		x[i] = 1
	}
}

// rotateInputs multiplies the weight by the weights of the norm before it, where there is one, and
// turns each row of it, a part of r's size at a time.
func (l *linear[F]) rotateInputs(r *orthogonal, norm []F) {
	parallel.Range(l.out, rowsOfTask, func(lo, hi int) {
		t := r.turner()
		for o := lo; o < hi; o++ {
			turnRow(t, l.row(o), norm)
		}
	})
}

// turnRow turns a row that a norm, which may be nil, is folded into.
func turnRow[F number](t *turner, row, norm []F) {
	n := t.of.size
	for first := 0; first < len(row); first += n {
		part := row[first : first+n]
		for i, v := range part {
			t.x[i] = float64(v)
			if norm != nil {
				t.x[i] *= float64(norm[first+i])
			}
		}
		t.turn()
		for i := range part {
			part[i] = F(t.x[i])
		}
	}
}

// rotateOutputs turns the outputs, a part of r's size at a time.
func (l *linear[F]) rotateOutputs(r *orthogonal) {
	n := r.size
	for first := 0; first < l.out; first += n {
		parallel.Range(l.in, rowsOfTask, func(lo, hi int) {
			t := r.turner()
			for i := lo; i < hi; i++ {
				for o := range n {
					t.x[o] = float64(l.weight[(first+o)*l.in+i])
				}
				t.turn()
				for o := range n {
					l.weight[(first+o)*l.in+i] = F(t.x[o])
				}
			}
		})
		if l.bias != nil {
			turnRow(r.turner(), l.bias[first:first+n], nil)
		}
	}
}

// check reports scales that no weight can be multiplied by.
func check(s []float64, m *model.Model, layer int, site model.Site) error {
	if n := channels(m, layer, site); len(s) != n {
		return fmt.Errorf("%d scales for %d channels", len(s), n)
	}
	for j, v := range s {
		if !(v > 0) || math.IsInf(v, 0) {
			return fmt.Errorf("the scale of channel %d is %v, expected a positive number", j, v)
		}
	}
	return nil
}
