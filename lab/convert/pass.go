package convert

import (
	"fmt"

	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/refine"
	"slimlab/model/calibrate/statistics"
)

// pass is a walk of the calibration text through the layers, which a method is given statistics in.
// A compression has one or two of them, one after the other.
type pass struct {
	parallel bool    // all statistics are of the model as it was, as calibrate.Settings have it
	target   float64 // the same
	// reads reports whether the inputs of a site of a layer are gathered
	reads func(layer int, site model.Site) bool
	of    string // what the model is that the pass begins with; "" is the source
	steps int    // of gradients, on each layer behind its compression
	// doubles is what is done with a site's statistics, as Work has it
	doubles func(c model.Config, layer int, site model.Site) float64
}

// widthOf is the width of a site's inputs.
func widthOf(c model.Config, layer int, site model.Site) int {
	switch site {
	case model.SiteO:
		return c.Layers[layer].Heads * c.HeadDim
	case model.SiteDown:
		return c.Layers[layer].MLP
	}
	return c.Hidden
}

// everywhere reads all inputs.
func everywhere(int, model.Site) bool { return true }

// sitesOf are the inputs of a layer, in the order of the data.
func sitesOf() []model.Site {
	return []model.Site{model.SiteQKV, model.SiteO, model.SiteGateUp, model.SiteDown}
}

// disk bounds the bytes that the statistics of passes over a model take on disk. What two passes
// gather of the same model is kept once.
func (g *Gathering) disk(c model.Config, passes []pass) (bytes int64) {
	if g.Folder == "" {
		return 0
	}
	kept := map[string]bool{}
	for _, p := range passes {
		changed := false // by what the pass did before
		for layer := range c.Layers {
			for _, site := range sitesOf() {
				if !p.reads(layer, site) {
					continue
				}
				name := fmt.Sprint(p.of, " ", layer, " ", site, " ", changed)
				if own := changed || p.of != ""; !kept[name] && (g.All || !own) {
					kept[name] = true
					bytes += statistics.Bound(widthOf(c, layer, site), p.target > 0 && changed)
				}
				changed = !p.parallel
			}
		}
	}
	return bytes
}

// memory predicts what a pass takes.
func (p *pass) memory(c model.Config, calibration Calibration) MemoryEstimate {
	tokens := calibration.Samples * calibration.Length
	// where the model as it was is asked for, a layer of it is there beside what it becomes
	e := MemoryEstimate{Layer: layerBytes(c, calibration, p.parallel || p.target > 0 || p.steps > 0)}
	text := 4 * int64(tokens) * int64(c.Hidden)
	e.Stream = text + 4*int64(chunkSequences(calibration))*int64(calibration.Length)*int64(c.Hidden)
	var gathered int64 // of a layer at one time
	for layer := range c.Layers {
		var all, most int64
		for _, site := range sitesOf() {
			if !p.reads(layer, site) {
				continue
			}
			width := widthOf(c, layer, site)
			square, copies, block := 8*int64(width)*int64(width), int64(statisticsCopies), 4*calibrate.BlockRows*int64(width)
			if site == model.SiteO {
				copies = headCopies
			}
			if p.target > 0 {
				copies, block = copies+targetCopies, 2*block
			}
			if all += square; !p.parallel {
				all = square
			}
			most = max(most, all+(copies-1)*square+block)
			if !p.parallel && (site == model.SiteO || site == model.SiteDown) {
				e.Inputs = max(e.Inputs, calibrate.KeptInputs(tokens, width, p.target > 0))
			}
		}
		gathered = max(gathered, most)
	}
	e.Statistics = gathered
	if p.target > 0 {
		e.Stream += text
	}
	if p.steps > 0 {
		e.refine(c, calibration, p.target > 0)
	}
	return e
}

// refine adds what gradient steps on a layer take: the streams before the layer and behind it as it
// was, of two models where a target asks for them. They come when the layer's statistics have gone.
func (e *MemoryEstimate) refine(c model.Config, calibration Calibration, target bool) {
	text := 4 * int64(calibration.Samples) * int64(calibration.Length) * int64(c.Hidden)
	e.Stream += text
	outputs := text
	if target {
		e.Stream += text
		outputs += text
	}
	batch := max(calibration.Length, min(calibration.Samples, chunkSequences(calibration))*calibration.Length)
	e.Refining = max(0, refine.Bytes(c, batch)+outputs-e.Statistics)
}
