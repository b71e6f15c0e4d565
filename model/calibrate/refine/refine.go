// Package refine improves a compressed layer as a whole: gradient steps on the squared error of the
// layer's output, with its shape and the grids of its weights fixed.
//
// A method that compresses one linear layer at a time cannot let one repair what another loses.
// Here all linear layers of a transformer layer move together towards what the layer as it was
// makes of the same inputs. Weights on a grid move as float numbers that are rounded where they are
// read, and gradients pass the rounding as if it were not there (Bengio et al., 2013); they begin
// as near to the weights before rounding as their codes allow. Every fourth batch of the sequences
// is held out of the steps, where there are so many, and judges them: the weights that are best on
// it are kept, those at the start among them, so that the error over it never rises.
//
// It leaves out norms, which stay, and what follows the layer.
package refine

import (
	"context"
	"fmt"
	"math"
	"slices"

	"slimlab/internal/plural"
	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/weight"
)

// Options say how long and how far weights move.
type Options struct {
	Steps int // of one batch each; 0 changes nothing
	// of the first step, falling to 0 in a line: relative to the root mean square of float weights,
	// and of weights on a grid to the distance of its values; 0 is the default of each
	Rate float64
	// that float weights are rounded to: of the file that they will be in
	Precision kernels.Precision
	// how inputs of linear layers are rounded as they are multiplied
	Activations weight.Activations
}

// FloatRate is the default rate of float weights.
const FloatRate = 0.001

// floatRate is the rate of float weights.
func (o Options) floatRate() float64 {
	if o.Rate == 0 {
		return FloatRate
	}
	return o.Rate
}

// gridRate is the rate of weights on a grid: by default they move about one step of it in all.
func (o Options) gridRate() float64 {
	if o.Rate == 0 {
		return 2 / float64(o.Steps)
	}
	return o.Rate
}

// Grid is the set of values that the weights of one linear layer [out, in] may take.
type Grid interface {
	// Encode returns the code whose value is nearest to w for output o and input i, and that value.
	Encode(w float64, o, i int) (code byte, value float64)
	// Encoding is what a weight on the grid is made of besides its codes.
	Encoding() weight.Encoding
}

// Report is what the steps did to a layer.
type Report struct {
	Layer int `json:"layer"`
	// squared error of the layer's output over the batches that judge, relative to what the layer
	// adds to its input
	Before float64 `json:"before"`
	After  float64 `json:"after"`
	Step   int     `json:"step"` // after which the weights were best; 0 where none were better
	// the least error after any step; 0 where none was measured
	Least float64 `json:"least,omitzero"`
}

// rounding is a share of an error that the rounding of sums makes of equal weights.
const rounding = 1e-6

// Unimproved says of how many layers no step was kept, and what may do better; rate is the name
// that users give the rate. It is empty where each layer became better.
func (o Options) Unimproved(reports []Report, rate string) string {
	worse, same := 0, 0 // layers by what the best step made of their error
	for _, r := range reports {
		switch {
		case r.Step > 0:
		case r.Least > r.Before*(1+rounding):
			worse++
		default:
			same++
		}
	}
	if worse+same == 0 {
		return ""
	}
	now := fmt.Sprintf("%g", o.Rate)
	if o.Rate == 0 {
		now = fmt.Sprintf("the default, %g for float weights and %.3g for weights on a grid", FloatRate, o.gridRate())
	}
	text := fmt.Sprintf("no step was kept in %d of %s: ", worse+same, plural.Of(len(reports), "refined layer"))
	larger := "all steps made the error of the output larger: try more steps, or a smaller " + rate
	none := "the steps left the error of the output as it was: try a larger " + rate
	switch {
	case same == 0:
		text += larger
	case worse == 0:
		text += none
	default:
		text += fmt.Sprintf("in %d %s; in %d %s", worse, larger, same, none)
	}
	return text + " than " + now
}

const (
	// judged is how often the error is measured in the course of the steps
	judged = 8
	// heldOut: one batch of so many is held out of the steps
	heldOut = 4
)

// Layer improves a layer of m, whose present weights it replaces where it finds better ones. grids
// has the grids of linear layers by their names; weights of others are floats.
func Layer(ctx context.Context, m *model.Model, b *calibrate.Block, grids map[string]Grid, o Options) (Report, error) {
	r := Report{Layer: b.Layer}
	if o.Steps <= 0 {
		return r, nil
	}
	l, err := newLayer(m, b, grids, o)
	if err != nil {
		return r, err
	}
	if r.Before, err = l.judge(ctx); err != nil {
		return r, err
	}
	r.After = r.Before
	best := slices.Clone(l.model.Flat())
	for step := 1; step <= o.Steps; step++ {
		if err := l.step(ctx, step); err != nil {
			return r, err
		}
		if step*judged/o.Steps == (step-1)*judged/o.Steps {
			continue
		}
		now, err := l.judge(ctx)
		if err != nil {
			return r, err
		}
		if r.Least == 0 || now < r.Least {
			r.Least = now
		}
		if now < r.After {
			r.After, r.Step = now, step
			copy(best, l.model.Flat())
		}
	}
	if r.Step == 0 {
		return r, nil
	}
	copy(l.model.Flat(), best)
	return r, l.replace(m)
}

// layer is a transformer layer on its own while it is improved.
type layer struct {
	options Options
	data    *calibrate.Block
	grids   []Grid       // of the linear layers in their order; nil for floats
	model   *model.Model // of this layer alone: its weights as they are read
	linears []model.LinearLayer
	trace   *model.Trace
	grad    *model.Gradients
	energy  float64 // of what the layer adds to its inputs, of the batches that judge
	// batches that the steps learn from, and those that judge them
	taught, judges []int

	// The weights in units of how far one step moves them, in the order of Flat. A unit of 0 is a
	// weight that stays.
	units, scaled, first, second []float32
}

func newLayer(m *model.Model, b *calibrate.Block, grids map[string]Grid, o Options) (*layer, error) {
	c := m.Config
	c.Layers, c.Vocab, c.TiedHead = []model.LayerConfig{m.Layers[b.Layer]}, 1, true
	c.BOS, c.EOS = -1, -1
	one, err := model.New(c)
	if err != nil {
		return nil, err
	}
	l := &layer{options: o, data: b, model: one, linears: one.BlockLinears(0)}
	from := &m.Blocks[b.Layer]
	to := &one.Blocks[0]
	copy(to.AttentionNorm, from.AttentionNorm)
	copy(to.MLPNorm, from.MLPNorm)
	copy(to.QNorm, from.QNorm)
	copy(to.KNorm, from.KNorm)
	for i, linear := range m.BlockLinears(b.Layer) {
		copy(l.linears[i].Weight.Float32(), linear.Weight.Float32())
		copy(l.linears[i].Bias, linear.Bias)
		l.grids = append(l.grids, grids[linear.Name])
	}
	tokens := 0
	for i := range b.Inputs {
		tokens = max(tokens, len(b.Batches[i].Tokens))
		switch held := len(b.Inputs) >= heldOut; {
		case !held:
			l.taught, l.judges = append(l.taught, i), append(l.judges, i)
		case i%heldOut == heldOut-1:
			l.judges = append(l.judges, i)
		default:
			l.taught = append(l.taught, i)
		}
	}
	for _, i := range l.judges {
		x := b.Inputs[i]
		for j, v := range b.Outputs[i] {
			d := float64(v) - float64(x[j])
			l.energy += d * d
		}
	}
	if l.energy == 0 {
		l.energy = 1
	}
	n := len(one.Flat())
	l.units, l.scaled, l.first, l.second = make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
	l.trace = model.NewTrace(one, tokens, model.TraceOptions{Activations: o.Activations})
	l.grad = model.NewGradients(one)
	l.begin(&b.Dense)
	return l, nil
}

// begin sets the units, and the weights in them: those on a grid as near to the dense ones as their
// codes allow.
func (l *layer) begin(dense *model.Block) {
	rate := float32(l.options.floatRate())
	sources := [...]*model.Linear{&dense.Q, &dense.K, &dense.V, &dense.O, &dense.Gate, &dense.Up, &dense.Down}
	place := places(l.model)
	for i, linear := range l.linears {
		data := linear.Weight.Float32()
		units := l.units[place[linear.Name+".weight"]:][:len(data)]
		scaled := l.scaled[place[linear.Name+".weight"]:][:len(data)]
		if bias := linear.Bias; bias != nil {
			at := place[linear.Name+".bias"]
			u := rate * rms(bias)
			for j, v := range bias {
				if u > 0 {
					l.units[at+j], l.scaled[at+j] = u, v/u
				}
			}
		}
		grid := l.grids[i]
		if grid == nil {
			u := rate * rms(data)
			for j, v := range data {
				if u > 0 {
					units[j], scaled[j] = u, v/u
				}
			}
			continue
		}
		var source []float32
		if s := sources[i].Weight; s != nil {
			if out, in := s.Shape(); out == linear.Out && in == linear.In {
				source = s.Float32()
			}
		}
		share := float32(l.options.gridRate())
		parallel.Range(linear.Out, 16, func(lo, hi int) {
			for o := lo; o < hi; o++ {
				for k := range linear.In {
					j := o*linear.In + k
					width := float32(cell(grid, float64(data[j]), o, k))
					if width == 0 {
						continue
					}
					at := data[j]
					if source != nil {
						at = nearestInCell(grid, data[j], source[j], width, o, k)
					}
					units[j] = share * width
					scaled[j] = at / units[j]
				}
			}
		})
	}
}

// nearestInCell is the number nearest to w that the grid rounds to value, about.
func nearestInCell(grid Grid, value, w, width float32, o, i int) float32 {
	if _, v := grid.Encode(float64(w), o, i); float32(v) == value {
		return w
	}
	const inside = 0.49
	at := max(value-inside*width, min(value+inside*width, w))
	if _, v := grid.Encode(float64(at), o, i); float32(v) == value {
		return at
	}
	return value
}

// cell is the distance from a value of the grid to a neighbour; 0 where none is found.
func cell(grid Grid, value float64, o, i int) float64 {
	e := grid.Encoding()
	scale := float64(e.ScaleAt(o, i))
	for distance := scale / 1024; distance <= 1024*scale; distance *= 2 {
		for _, sign := range [...]float64{1, -1} {
			if _, v := grid.Encode(value+sign*distance, o, i); v != value {
				return math.Abs(v - value)
			}
		}
	}
	return 0
}

func rms(x []float32) float32 {
	return float32(math.Sqrt(kernels.SumSquares(x) / float64(max(1, len(x)))))
}

// places are where the tensors of a model begin in Flat.
func places(m *model.Model) map[string]int {
	at, place := 0, map[string]int{}
	for _, p := range m.Parameters() {
		place[p.Name] = at
		at += len(p.Data)
	}
	return place
}

// step moves the weights along the gradient of the error of one batch.
func (l *layer) step(ctx context.Context, step int) error {
	i := l.taught[(step-1)%len(l.taught)]
	out := l.trace.ForwardStream(ctx, l.model, l.data.Inputs[i], l.data.Batches[i].Starts)
	d := slices.Clone(out)
	want := l.data.Outputs[i]
	share := float32(1 / math.Sqrt(l.energy))
	for j := range d {
		d[j] = (d[j] - want[j]) * share
	}
	l.trace.BackwardStream(ctx, l.model, d, l.grad)
	if err := ctx.Err(); err != nil {
		l.grad.Zero()
		return err
	}
	for j, u := range l.units {
		l.grad.Flat[j] *= u
	}
	kernels.AdamW{LearningRate: 1 - float32(step-1)/float32(l.options.Steps), Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-20, Step: step, GradScale: 1}.
		Update(l.scaled, l.grad.Flat, l.first, l.second)
	l.round()
	return nil
}

// round writes the weights as they are read to the model.
func (l *layer) round() {
	flat := l.model.Flat()
	for j, u := range l.units {
		if u > 0 {
			flat[j] = l.scaled[j] * u
		}
	}
	for i, linear := range l.linears {
		data := linear.Weight.Float32()
		grid := l.grids[i]
		if grid == nil {
			l.options.Precision.Round(data)
		} else {
			parallel.Range(linear.Out, 16, func(lo, hi int) {
				for o := lo; o < hi; o++ {
					for k := range linear.In {
						_, v := grid.Encode(float64(data[o*linear.In+k]), o, k)
						data[o*linear.In+k] = float32(v)
					}
				}
			})
		}
		l.options.Precision.Round(linear.Bias)
	}
	l.model.Changed()
}

// judge is the relative error over the batches that judge.
func (l *layer) judge(ctx context.Context) (float64, error) {
	sum := 0.0
	for _, i := range l.judges {
		x := l.data.Inputs[i]
		out := l.trace.ForwardStream(ctx, l.model, x, l.data.Batches[i].Starts)
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		for j, v := range l.data.Outputs[i] {
			d := float64(out[j]) - float64(v)
			sum += d * d
		}
	}
	if sum /= l.energy; math.IsNaN(sum) || math.IsInf(sum, 0) {
		return 0, fmt.Errorf("layer %d: the error of its output is %v, expected a finite number", l.data.Layer, sum)
	}
	return sum, nil
}

// replace sets the weights of m's layer.
func (l *layer) replace(m *model.Model) error {
	for i, linear := range m.BlockLinears(l.data.Layer) {
		from := l.linears[i]
		data := slices.Clone(from.Weight.Float32())
		grid := l.grids[i]
		if from.Bias != nil {
			linear.Linear.Bias = slices.Clone(from.Bias)
		}
		if grid == nil {
			linear.Linear.Weight = weight.NewDense(data, from.Out, from.In)
			continue
		}
		codes := make([]byte, len(data))
		parallel.Range(from.Out, 16, func(lo, hi int) {
			for o := lo; o < hi; o++ {
				for k := range from.In {
					codes[o*from.In+k], _ = grid.Encode(float64(data[o*from.In+k]), o, k)
				}
			}
		})
		w, err := weight.New(grid.Encoding(), codes)
		if err != nil {
			return err
		}
		linear.Linear.Weight = w
	}
	return nil
}
