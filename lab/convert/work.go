package convert

import (
	"context"
	"time"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/pruning"
	"slimlab/pruning/timing"
)

// Work is what a compression computes, about, in multiply-adds.
type Work struct {
	Products float64 // in the precision of the pass, of the calibration text with a layer and with itself
	Doubles  float64 // in float64, of what is solved, searched or rounded
}

const (
	// What is no product of matrices takes a share of the time beside them: norms, copies, files,
	// ends of products. Chosen by OSSCAR and GPTQ on qwen2.5-0.5b's shape (LOG.md).
	productShare = 1.2
	doubleShare  = 1.45
)

// Time is what the work takes at rates, about.
func (w Work) Time(r timing.Rates) time.Duration {
	seconds := productShare*w.Products/r.Products + doubleShare*w.Doubles/r.Doubles
	return time.Duration(seconds * float64(time.Second))
}

// work predicts what a pass computes.
func (p *pass) work(c model.Config, calibration Calibration) (w Work) {
	tokens := float64(calibration.Samples) * float64(calibration.Length)
	streams := 1.0
	if p.target > 0 {
		streams = 2
	}
	for layer := range c.Layers {
		halves := halfWork(c, layer, calibration)
		for _, site := range sitesOf() {
			if !p.reads(layer, site) {
				continue
			}
			width := float64(widthOf(c, layer, site))
			w.Products += tokens * width * width / 2
			if p.target > 0 {
				w.Products += tokens * width * width
			}
			last := site == model.SiteO || site == model.SiteDown
			if kept := calibrate.KeptInputs(int(tokens), int(width), p.target > 0) > 0; last && !p.parallel && !kept {
				w.Products += streams * halves[site] // again, with the new weights
			}
			w.Doubles += p.doubles(c, layer, site)
		}
		layer := halves[model.SiteO] + halves[model.SiteDown]
		w.Products += streams * layer
		if p.steps > 0 {
			batch := float64(max(calibration.Length, min(calibration.Samples, chunkSequences(calibration))*calibration.Length))
			w.Products += streams*layer + 3*float64(p.steps)*layer*batch/tokens
		}
	}
	return w
}

// halfWork is what the calibration text costs in each half of a layer, by the half's last site.
func halfWork(c model.Config, layer int, calibration Calibration) map[model.Site]float64 {
	l, tokens := c.Layers[layer], float64(calibration.Samples)*float64(calibration.Length)
	heads, kv := l.Heads*c.HeadDim, l.KVHeads*c.HeadDim
	return map[model.Site]float64{
		// each token attends to half of its sequence, for its scores and for its values
		model.SiteO:    tokens * (float64(2*c.Hidden*(heads+kv)) + float64(calibration.Length*heads)),
		model.SiteDown: tokens * float64(3*c.Hidden*l.MLP),
	}
}

// work predicts what a compression of a model of a shape computes with its calibration text.
func work(c model.Config, x compression) (w Work) {
	calibration := *x.calibration()
	if !calibration.given() {
		return w
	}
	passes := x.passes()
	for i := range passes {
		of := passes[i].work(c, calibration)
		w.Products, w.Doubles = w.Products+of.Products, w.Doubles+of.Doubles
	}
	whole := 0.0
	for layer := range c.Layers {
		halves := halfWork(c, layer, calibration)
		whole += halves[model.SiteO] + halves[model.SiteDown]
	}
	if len(passes) == 0 {
		w.Products += whole
	}
	if x.differentiates() {
		head := float64(calibration.Samples) * float64(calibration.Length) * float64(c.Hidden) * float64(c.Vocab)
		w.Products += 3 * (whole + head)
	}
	return w
}

// foreseeTime predicts how long the layers take that are still to be done, 0 where no text is read.
func (o *Options) foreseeTime(ctx context.Context, c model.Config, x compression, p kernels.Precision, finished int) (time.Duration, error) {
	w := work(c, x)
	if w == (Work{}) || finished == len(c.Layers) {
		return 0, ctx.Err()
	}
	widest := c.Hidden
	for _, l := range c.Layers {
		widest = max(widest, l.MLP)
	}
	rates, err := o.Rates(ctx, p, widest)
	if err != nil {
		return 0, err
	}
	left := float64(len(c.Layers)-finished) / float64(len(c.Layers))
	return time.Duration(left * float64(w.Time(rates))), nil
}

// doubles is what a cut takes of a site.
func (p *Pruning) doubles(c model.Config, layer int, site model.Site) float64 {
	before, after := p.before[layer], p.after[layer]
	switch site {
	case model.SiteO:
		heads := before.Heads * c.HeadDim
		return p.Method.Work(heads, heads-after.Heads*c.HeadDim, c.Hidden)
	case model.SiteDown:
		return p.Method.Work(before.MLP, before.MLP-after.MLP, c.Hidden)
	}
	return 0
}

// curves is what the errors of all widths of a site take.
func curves(c model.Config, layer int, site model.Site) float64 {
	return pruning.CurveWork(widthOf(c, layer, site), c.Hidden)
}

// doubles is what rounding takes of a site.
func (q *Quantization) doubles(_ model.Config, layer int, site model.Site) (work float64) {
	for i, l := range q.frame.Linears() {
		if l.Layer == layer && l.Site == site {
			work += q.fitted[i].Work(l.In, l.Out, q.Clip)
		}
	}
	return work
}

// searches is what the search of a smoothing's scales takes of a site.
func (q *Quantization) searches(_ model.Config, layer int, site model.Site) (work float64) {
	for _, l := range q.frame.BlockLinears(layer) {
		if l.Site == site {
			work += q.Smooth.Work(l.In, l.Out)
		}
	}
	return work
}
