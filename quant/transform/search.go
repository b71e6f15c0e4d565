package transform

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"slimlab/internal/plural"
	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/weight"
	"slimlab/quant"
)

// Options say what a smoothing prepares a model for.
type Options struct {
	Plan   quant.Plan        // the formats that follow
	Scales kernels.Precision // of the scales of those formats, as in quant.Options
	Round  Rounding          // of what norms are kept in; nil is float32
	// calibration tokens that run together; 0 is the default of package calibrate
	ChunkTokens int
	// keeps the statistics of the model as it was; nil keeps none
	Store  calibrate.Store
	OnDone func(calibrate.Done[Fold]) // called after each input; may be nil
}

// Fold is what became of one input of linear layers.
type Fold struct {
	Place string `json:"place"` // "layer 0, input of q_proj, k_proj, v_proj"
	// Strength is SmoothQuant's α or AWQ's r; with Scaled false no scales were better than any.
	Strength float64 `json:"strength"`
	Scaled   bool    `json:"scaled"`
	// Left says why no scales were tried; "" where they were.
	Left string `json:"left,omitempty"`
	// Before and Error are the squared error of the outputs of the linear layers that read the
	// input, all together and relative to the squared outputs, without scales and with the chosen
	// ones: when weights are rounded to nearest, and activations as the format rounds them.
	Before float64 `json:"before"`
	Error  float64 `json:"error"`
}

// String says what was chosen and what it does to the error.
func (f Fold) String() string {
	switch {
	case f.Left != "":
		return fmt.Sprintf("%s: no scales: %s", f.Place, f.Left)
	case !f.Scaled:
		return fmt.Sprintf("%s: no scales, error of outputs %.2e", f.Place, f.Error)
	}
	return fmt.Sprintf("%s: strength %.4g, error of outputs %.2e, before %.2e", f.Place, f.Strength, f.Error, f.Before)
}

// Summary says in a line what a smoothing did to the inputs of a model.
func (s Smooth) Summary(folds []Fold) string {
	scaled, before, after, strength, left := 0, 0.0, 0.0, 0.0, ""
	for _, f := range folds {
		if f.Left != "" {
			left = "; not at some inputs: " + f.Left
		}
		before, after = before+f.Before/float64(len(folds)), after+f.Error/float64(len(folds))
		if f.Scaled {
			scaled, strength = scaled+1, strength+f.Strength
		}
	}
	text := fmt.Sprintf("%s at %d of %s", s.Describe(), scaled, plural.Of(len(folds), "input"))
	if scaled > 0 && s.kind != fixed {
		text += fmt.Sprintf(" (mean %s %.2g)", map[string]string{auto: "α", awq: "r"}[s.kind], strength/float64(scaled))
	}
	return text + fmt.Sprintf(": mean relative error of outputs, rounded to nearest, %.4g, %.4g without", after, before) + left
}

// Smoothing is the scales of a model's linear inputs.
type Smoothing struct {
	Folds  []Fold
	scales map[place][]float64
	round  Rounding
}

// place is an input of a layer.
type place struct {
	layer int
	site  model.Site
}

// sampled is the number of tokens with which the error of rounded activations is measured.
const sampled = 512

// FindSmoothing chooses the scales for all inputs of linear layers that the plan rounds, from one
// pass over the model as it is, which stays so. Layers that were finished before are taken as they
// were, so that an interrupted method finds the same scales again.
//
// Where a format keeps the activations, the error of a choice is exact on all calibration tokens,
// tr(ΔHΔᵀ) with Δ = W − Q(W·s)/s. Where it rounds them, it is that of the products in the format on
// 512 tokens, drawn from all.
func FindSmoothing(ctx context.Context, layers calibrate.Layers, s Smooth, calibration []calibrate.Sequence, o Options) (*Smoothing, error) {
	found, err := find(ctx, layers, s, calibration, o)
	if err != nil {
		return nil, fmt.Errorf("smoothing: %w", err)
	}
	return found, nil
}

func find(ctx context.Context, layers calibrate.Layers, s Smooth, calibration []calibrate.Sequence, o Options) (*Smoothing, error) {
	r, err := newReader(layers)
	if err != nil {
		return nil, err
	}
	if len(calibration) == 0 {
		return nil, fmt.Errorf("%s needs calibration sequences, found none", s.Describe())
	}
	schemes, err := o.Plan.Schemes(r.frame)
	if err != nil {
		return nil, err
	}
	m := &search{Options: o, smooth: s, frame: r.frame, schemes: map[string]quant.Scheme{}, found: &Smoothing{scales: map[place][]float64{}, round: o.Round}}
	run := calibrate.Options[Fold]{Settings: calibrate.Settings{Parallel: true, Store: o.Store}, ChunkTokens: o.ChunkTokens, OnDone: o.OnDone}
	for i, l := range r.frame.Linears() {
		m.schemes[l.Name] = schemes[i]
		if rounds(schemes[i].Format) {
			run.Sample = sampled
		}
	}
	m.found.Folds, err = calibrate.Run(ctx, r, calibration, run, m)
	return m.found, err
}

// rounds reports whether a format rounds activations to fewer than 16 bits.
func rounds(f weight.Format) bool { return f.Activations != weight.Kept }

// search is the calibrate.Method of FindSmoothing.
type search struct {
	Options
	smooth  Smooth
	frame   *model.Model
	schemes map[string]quant.Scheme
	found   *Smoothing
}

// Wants implements calibrate.Method: of the linear layers that read an input one stands for all.
func (m *search) Wants(l model.LinearLayer) bool {
	for _, other := range m.frame.BlockLinears(l.Layer) {
		if other.Site == l.Site && m.schemes[other.Name].Rounder != nil {
			return other.Name == l.Name
		}
	}
	return false
}

// Compress implements calibrate.Method: it finds scales and changes nothing.
func (m *search) Compress(ctx context.Context, s *calibrate.Stats, _ []model.LinearLayer, report func(Fold)) error {
	p, err := m.problem(s)
	if err != nil {
		return err
	}
	total, err := p.outputs(ctx)
	if err != nil {
		return err
	}
	best, least := candidate{}, 0.0
	fold := Fold{Place: s.Place(), Left: m.left(s)}
	candidates := m.smooth.candidates(p.channels)
	if fold.Left != "" {
		candidates = candidates[:1]
	}
	for i, c := range candidates {
		if c.scale != nil && p.norm != nil {
			c.scale = hold(p.norm, c.scale, m.Round)
		}
		e, err := p.error(ctx, c.scale, m.Scales)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Place(), err)
		}
		if i == 0 {
			fold.Before = e
		}
		if i == 0 || e < least || m.smooth.kind == fixed {
			best, least = c, e
		}
	}
	if err := ctx.Err(); err != nil { // errors may be wrong
		return err
	}
	if fold.Error = least; total > 0 {
		fold.Before, fold.Error = fold.Before/total, fold.Error/total
	}
	if best.scale != nil {
		if err := check(best.scale, m.frame, s.Layer, s.Site); err != nil {
			return fmt.Errorf("%s: %w", s.Place(), err)
		}
		fold.Strength, fold.Scaled = best.strength, true
		m.found.scales[place{s.Layer, s.Site}] = best.scale
	}
	report(fold)
	return nil
}

// left says why an input can have no scales: those that go into the rows of a linear layer, v_proj
// or up_proj, would change how it is rounded where rows share a scale, which no error here counts.
func (m *search) left(s *calibrate.Stats) string {
	writer := map[model.Site]int{model.SiteO: 2, model.SiteDown: 5}
	i, ok := writer[s.Site]
	if !ok {
		return ""
	}
	l := m.frame.BlockLinears(s.Layer)[i]
	if f := m.schemes[l.Name].Format; f.Tensor || f.Block != [2]int{} || f.Scales == weight.E4M3 {
		return fmt.Sprintf("rows of what writes the input share scales in %s", f)
	}
	return ""
}

// problem is one input, the linear layers that read it, and what is known of it.
type problem struct {
	stats    *calibrate.Stats
	widths   model.LayerConfig
	headDim  int
	norm     []float32 // before the input; nil where it comes from a linear layer
	channels channel
	readers  []reading // that are rounded
}

// reading is a linear layer that reads an input.
type reading struct {
	name   string
	weight *weight.Dense
	scheme quant.Scheme
	sample []float32 // outputs [tokens, out] of the sampled inputs
}

func (m *search) problem(s *calibrate.Stats) (*problem, error) {
	p := &problem{stats: s, widths: m.frame.Layers[s.Layer], headDim: m.frame.HeadDim}
	switch b := &m.frame.Blocks[s.Layer]; s.Site {
	case model.SiteQKV:
		p.norm = b.AttentionNorm
	case model.SiteGateUp:
		p.norm = b.MLPNorm
	}
	largest := make([]float64, s.Width)
	for _, l := range m.frame.BlockLinears(s.Layer) {
		if l.Site != s.Site {
			continue
		}
		d, err := calibrate.Dense(l)
		if err != nil {
			return nil, err
		}
		for o := range d.Out {
			for i, v := range d.Data[o*d.In : (o+1)*d.In] {
				largest[i] = max(largest[i], math.Abs(float64(v)))
			}
		}
		if scheme := m.schemes[l.Name]; scheme.Rounder != nil {
			p.readers = append(p.readers, reading{name: l.Name, weight: d, scheme: scheme})
		}
	}
	p.channels = channel{s.MaxAbs, s.MeanAbs, largest}
	if s.Site == model.SiteO {
		p.channels = p.channels.share(p.widths, p.headDim)
	}
	return p, nil
}

// share gives query heads that read one value one channel: the largest of their magnitudes, and the
// mean of their means.
func (c channel) share(widths model.LayerConfig, headDim int) channel {
	n, group := widths.KVHeads*headDim, float64(widths.Heads/widths.KVHeads)
	all := channel{make([]float64, n), make([]float64, n), make([]float64, n)}
	for i, of := range shared(widths, headDim) {
		all.most[of] = max(all.most[of], c.most[i])
		all.mean[of] += c.mean[i] / group
		all.weight[of] = max(all.weight[of], c.weight[i])
	}
	return all
}

// outputs is the squared outputs of the readers, summed over the tokens of the error.
func (p *problem) outputs(ctx context.Context) (sum float64, err error) {
	for i := range p.readers {
		r := &p.readers[i]
		if rounds(r.scheme.Format) {
			rows := len(p.stats.Sample) / p.stats.Width
			r.sample = make([]float32, rows*r.weight.Out)
			weight.NewDense(r.weight.Data, r.weight.Out, r.weight.In).MulT(r.sample, p.stats.Sample, rows)
			for _, v := range r.sample {
				sum += float64(v) * float64(v) / float64(rows)
			}
			continue
		}
		sum += quant.Energy(ctx, p.stats.Gram, r.weight.Out, func(row []float64, o int) {
			for j, v := range r.weight.Data[o*r.weight.In : (o+1)*r.weight.In] {
				row[j] = float64(v)
			}
		})
	}
	return sum, ctx.Err()
}

// error is the mean squared error, over tokens, of the readers' outputs with scales; nil is none.
func (p *problem) error(ctx context.Context, scales []float64, precision kernels.Precision) (sum float64, err error) {
	s := ones64(p.stats.Width)
	if scales != nil {
		s = spread(scales, p.stats.Site, p.widths, p.headDim)
	}
	var sample []float32 // divided by s
	for i := range p.readers {
		r := &p.readers[i]
		w := linear[float32]{out: r.weight.Out, in: r.weight.In, weight: append([]float32(nil), r.weight.Data...)}
		w.multiplyInputs(s)
		scaled := weight.NewDense(w.weight, w.out, w.in)
		grid, err := quant.NewGrid(r.scheme.Format, scaled, precision)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", r.name, err)
		}
		rounding, err := quant.Nearest{}.Round(ctx, scaled, grid, &quant.Moments{Stats: p.stats})
		if err != nil {
			return 0, err
		}
		if !rounds(r.scheme.Format) {
			sum += quant.Energy(ctx, p.stats.Gram, w.out, func(row []float64, o int) {
				for j := range row {
					row[j] = float64(r.weight.Data[o*w.in+j]) - grid.Decode(rounding.Codes[o*w.in+j], o, j)/s[j]
				}
			})
			continue
		}
		rounded, err := weight.New(grid.Encoding(), rounding.Codes)
		if err != nil {
			return 0, err
		}
		if sample == nil {
			sample = make([]float32, len(p.stats.Sample))
			for j, v := range p.stats.Sample {
				sample[j] = float32(float64(v) / s[j%len(s)])
			}
		}
		rows := len(sample) / w.in
		y := make([]float32, rows*w.out)
		rounded.MulT(y, sample, rows)
		for j, v := range y {
			d := float64(v) - float64(r.sample[j])
			sum += d * d / float64(rows)
		}
	}
	return sum, ctx.Err()
}

func ones64(n int) []float64 {
	x := make([]float64, n)
	ones(x)
	return x
}

// Layers are those of inner, smoothed as they are read. Layers that were finished before come as
// they were left.
func (s *Smoothing) Layers(inner calibrate.Layers) calibrate.Layers {
	return &changing{Layers: inner, change: func(b *block[float32], layer int) {
		for site := range model.SiteDown + 1 {
			if scales := s.at(layer, site); scales != nil {
				b.scale(site, scales, s.round)
			}
		}
	}}
}

// at is the scales of an input; nil is none.
func (s *Smoothing) at(layer int, site model.Site) []float64 { return s.scales[place{layer, site}] }

// Sum names the scales: two smoothings with the same sum change a model alike.
func (s *Smoothing) Sum() string {
	h := sha256.New()
	for layer := 0; len(s.scales) > 0 && layer <= s.last(); layer++ {
		for site := range model.SiteDown + 1 {
			fmt.Fprintf(h, "%d %d\n", layer, site)
			for _, v := range s.at(layer, site) {
				h.Write(binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)))
			}
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// last is the last layer that has scales.
func (s *Smoothing) last() (layer int) {
	for p := range s.scales {
		layer = max(layer, p.layer)
	}
	return layer
}
