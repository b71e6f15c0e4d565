package run

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/pruning"
)

// Prune removes MLP neurons and attention heads.
type Prune struct {
	Method      string      `key:"method" default:"osscar" names:"methods" doc:"how units are chosen and the remaining weights are updated"`
	MLP         float64     `key:"mlp" default:"0" min:"0" below:"1" any:"removes nothing: give mlp or heads, the share to remove" doc:"share of each layer's MLP neurons to remove"`
	Heads       float64     `key:"heads" default:"0" min:"0" below:"1" any:"removes nothing: give mlp or heads, the share to remove" doc:"share of each layer's key-value heads to remove, with their queries"`
	Align       int         `key:"align" default:"1" min:"1" max:"4096" doc:"round the kept number of neurons up to a multiple of this"`
	Calibration Calibration `key:"calibration" doc:"calibration text of the method"`
}

// pruneVersion is that of the code below and of package pruning: raise it when they compute other
// weights.
const pruneVersion = 6

// aboutMethods describes the methods.
func aboutMethods() map[string]string {
	about := map[string]string{
		string(pruning.OSSCAR): "greedy and local search for the least change of the layer's output, remaining weights solved by least squares (Meng et al., 2024)",
	}
	for method, text := range map[pruning.Method]string{
		pruning.NormActivation: "keeps the units with the largest norm of weights times activations (Σ w²·E[x²], after Wanda)",
		pruning.WandaSP:        "keeps the units with the largest Σ |w|·‖x‖₂ (Wanda-sp)",
		pruning.Activation:     "keeps the units with the largest activations (Σ x² over all tokens, after Minitron)",
		pruning.FLAP:           "keeps the units whose outputs fluctuate most (Σ w²·Var(x)), adds the mean of the others to o_proj's bias where there is one (An et al., 2024)",
		pruning.Taylor:         "keeps the units that the loss depends on most to first order (|Σ w·∂L/∂w|, after LLM-Pruner)",
		pruning.MagnitudeL1:    "keeps the units with the largest L1 norm of weights",
		pruning.MagnitudeL2:    "keeps the units with the largest L2 norm of weights",
		pruning.Random:         "keeps units drawn from the seed",
	} {
		about[string(method)] = text + ", weights unchanged"
		about[string(method)+pruning.LS] = string(method) + ", remaining weights solved by least squares"
	}
	about[string(pruning.Magnitude)] = "the same as " + string(pruning.MagnitudeL2)
	about[string(pruning.Magnitude)+pruning.LS] = "the same as " + string(pruning.MagnitudeL2) + pruning.LS
	return about
}

// Describe says what the step does.
func (p *Prune) Describe(from string) string {
	var cuts []string
	if p.MLP > 0 {
		cuts = append(cuts, fmt.Sprintf("%g%% of MLP neurons", 100*p.MLP))
	}
	if p.Heads > 0 {
		cuts = append(cuts, fmt.Sprintf("%g%% of KV heads", 100*p.Heads))
	}
	return fmt.Sprintf("prune %s from %s by %s, %d %s samples", strings.Join(cuts, " and "), from, p.Method, p.Calibration.Samples, p.Calibration.Source)
}

func (p *Prune) plan(ctx context.Context, w *worker, s scenario.Step) (job, error) {
	method, err := pruning.ParseMethod(p.Method)
	if err != nil {
		return job{}, err
	}
	source, err := w.weights(s.From)
	if err == nil {
		err = source.checkFloat("pruned")
	}
	if err != nil {
		return job{}, err
	}
	shape, err := p.shape(source.shape)
	if err != nil {
		return job{}, err
	}
	if err := errors.Join(w.data.checkSource(p.Calibration.Source), p.Calibration.checkMemory(w.data, source.shape)); err != nil {
		return job{}, err
	}
	if slices.Equal(shape.Layers, source.shape.Layers) {
		w.run.noteOnce(lab.Info, fmt.Sprintf("%s: its cut rounds to nothing where the widths are multiples of %d: no unit is removed", s.Name, p.Align))
	}
	p.Calibration.noteFew(w, s.Name)
	of := w.data.recipe(s.Kind, pruneVersion)
	of.Inputs["model"], of.Parameters = source.key, recipe.Of(p)
	if method.Draws() {
		of.Seed = uint64(w.cell.Seed)
	}
	return job{
		model:  stepModel(s, of, source.origin, shape),
		build:  func(dir string) error { return p.build(ctx, w, source, method, of.Seed, dir) },
		report: func(dir string) error { return p.report(w, s.Name, dir) },
	}, nil
}

// cuts are what is removed from each of n layers.
func (p *Prune) cuts(n int) []pruning.LayerCut {
	return pruning.Uniform(n, pruning.LayerCut{MLP: pruning.Cut{Ratio: p.MLP}, Heads: pruning.Cut{Ratio: p.Heads}})
}

// shape is that of the pruned model. A cut that leaves nothing of a layer is an error with the
// largest that does not; so is an alignment that no number of a layer's neurons has.
func (p *Prune) shape(c model.Config) (model.Config, error) {
	for _, l := range c.Layers {
		if p.MLP > 0 && p.Align > l.MLP {
			return c, keyError{"align", fmt.Errorf("is %d, expected at most the %d MLP neurons of a layer: no number of them is a multiple", p.Align, l.MLP)}
		}
	}
	layers, err := pruning.Widths(c.Layers, p.cuts(len(c.Layers)), p.Align)
	if err == nil {
		c.Layers = layers
		return c, nil
	}
	for _, part := range []struct {
		key   string
		share float64
		width func(model.LayerConfig) int
	}{
		{"mlp", p.MLP, func(l model.LayerConfig) int { return l.MLP }},
		{"heads", p.Heads, func(l model.LayerConfig) int { return l.KVHeads }},
	} {
		narrowest := math.MaxInt
		for _, l := range c.Layers {
			narrowest = min(narrowest, part.width(l))
		}
		if most := 1 - 1/float64(narrowest); math.Round(part.share*float64(narrowest)) >= float64(narrowest) {
			return c, keyError{part.key, fmt.Errorf("is %g: %w: expected at most %g", part.share, err, math.Floor(most*1e4)/1e4)}
		}
	}
	return c, err
}

func (p *Prune) build(ctx context.Context, w *worker, source *artifactModel, method pruning.Method, seed uint64, dir string) error {
	sequences, err := w.data.calibration(p.Calibration)
	if err != nil {
		return err
	}
	m, err := source.load(ctx)
	if err != nil {
		return err
	}
	layers, err := calibrate.NewInMemory(m)
	if err != nil {
		return err
	}
	options := pruning.Options{Method: method, Cuts: p.cuts(len(m.Layers)), Align: p.Align, Seed: seed, Whole: m}
	report, err := pruning.Prune(ctx, layers, sequences, options, func(d pruning.LayerDone) { w.progress(d.Done, d.Total, "") })
	if errors.Is(err, pruning.ErrSingular) {
		err = keyError{"calibration.samples", fmt.Errorf("is %d: %w: expected more", p.Calibration.Samples, err)}
	}
	if err != nil {
		return err
	}
	return saveModel(ctx, dir, layers.Compressed(), w.data, report)
}

// report states the cut relative to neurons, heads and all parameters, since papers use each.
func (p *Prune) report(w *worker, name, dir string) error {
	var report pruning.CutReport
	if err := readFacts(dir, &report); err != nil {
		return err
	}
	w.run.note(w.cell.ID, lab.Info, fmt.Sprintf("%s: %s cut %.1f%% of MLP neurons, %.1f%% of KV heads, %.1f%% of all parameters",
		name, report.Method, report.Neurons.Cut(), report.KVGroups.Cut(), report.Parameters.Cut()))
	w.warnings(report.Warnings)
	return nil
}
