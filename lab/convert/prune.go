package convert

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/lab/recipe"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/checkpoint"
	"slimlab/pruning"
	"slimlab/quant/transform"
)

// Pruning is what Prune removes and how. Cuts and what else depends on the model is set by Prune.
type Pruning struct {
	pruning.Options
	pruning.LayerCut // of every layer
	Calibration      Calibration
	Gathering        Gathering
}

// Methods lists the names of pruning methods.
func Methods() []string { return pruning.Methods() }

// Set sets the method by its name, and the cuts, each a share such as "20%" or "0.2", a number, or
// "" for none.
func (p *Pruning) Set(method, mlp, heads string) (err error) {
	if p.Method, err = pruning.ParseMethod(method); err != nil {
		return err
	}
	if p.MLP, err = parseCut(mlp); err != nil {
		return fmt.Errorf("--mlp: %w", err)
	}
	if p.Heads, err = parseCut(heads); err != nil {
		return fmt.Errorf("--heads: %w", err)
	}
	if p.LayerCut == (pruning.LayerCut{}) {
		return errors.New("nothing is to be removed, expected --mlp, a share or number of neurons, or --heads, one of KV groups")
	}
	return nil
}

func parseCut(text string) (pruning.Cut, error) {
	if text == "" {
		return pruning.Cut{}, nil
	}
	if n, err := strconv.Atoi(text); err == nil && n >= 0 {
		return pruning.Cut{Count: n}, nil
	}
	share, percent := strings.CutSuffix(text, "%")
	ratio, err := strconv.ParseFloat(share, 64)
	if percent {
		ratio /= 100
	}
	if err != nil || !(ratio >= 0 && ratio < 1) {
		return pruning.Cut{}, fmt.Errorf("found %q, expected a share below 1 such as 20%% or 0.2, or a whole number", text)
	}
	return pruning.Cut{Ratio: ratio}, nil
}

// Prune writes the checkpoint from, a folder or file, without some of its neurons and heads to the
// new folder to.
//
// With Align 0 the neurons that stay are rounded up to the largest of 128, 64, 32, 16 and 8 that
// keeps at most a twentieth of a layer's more.
func Prune(ctx context.Context, from, to string, p Pruning, o Options) (*Result, error) {
	if err := errors.Join(p.Calibration.require("pruning"), p.check(), checkRefining(p.Refine, p.Calibration)); err != nil {
		return nil, err
	}
	return locked(acquireFolder, to, func(to string) (*Result, error) { return compress(ctx, from, to, &p, o) })
}

func (p *Pruning) recipe(ctx context.Context, from string, o *Options) (recipe.Recipe, error) {
	of, err := o.compression(ctx, "prune", pruneVersion, from, p.Calibration)
	maps.Copy(of.Parameters, recipe.Values{
		"method": string(p.Method), "mlp": values(p.MLP), "heads": values(p.Heads), "align": p.Align,
		"batch": p.Batch, "swaps": p.Swaps, "local_search": p.LocalSearch, "damping": p.Damping, "seed": p.Seed,
		"refine": refining(p.Refine),
	})
	return of, err
}

// check reports options that no model can be pruned with.
func (p *Pruning) check() error {
	if p.Method.Differentiates() {
		return fmt.Errorf("--method %s needs gradients of the whole model, and prune has one layer in memory at a time: expected another method, or the step prune of a scenario, which has all of it", p.Method)
	}
	if err := checkDamping(p.Damping); err != nil {
		return err
	}
	for _, f := range []struct {
		name         string
		value, least int
		meaning      string
	}{{"step", p.Batch, 0, "0, the default"}, {"local-search", p.LocalSearch, -1, "-1, none, 0, the default"}, {"align", p.Align, 0, "0, none"}} {
		if f.value < f.least {
			return fmt.Errorf("--%s %d: expected %s, or more", f.name, f.value, f.meaning)
		}
	}
	return nil
}

func values(c pruning.Cut) recipe.Values { return recipe.Values{"ratio": c.Ratio, "count": c.Count} }

func (p *Pruning) calibration() *Calibration { return &p.Calibration }

func (p *Pruning) rotated() *transform.Rotation { return nil }

func (p *Pruning) looks() bool { return false }

func (p *Pruning) gathering() *Gathering { return &p.Gathering }

func (p *Pruning) reads(site model.Site) bool {
	return site == model.SiteO && p.Heads != (pruning.Cut{}) || site == model.SiteDown && p.MLP != (pruning.Cut{})
}

func (p *Pruning) plan(c model.Config) (model.Config, checkpoint.Storage, error) {
	if p.Align == 0 {
		p.Align = alignment(c.Layers, p.MLP)
	}
	p.Cuts = pruning.Uniform(len(c.Layers), p.LayerCut)
	if err := p.leavesOne(c.Layers); err != nil {
		return c, checkpoint.Storage{}, err
	}
	widths, err := pruning.Widths(c.Layers, p.Cuts, p.Align)
	if err == nil && slices.Equal(widths, c.Layers) {
		err = p.removesNothing(c.Layers)
	}
	c.Layers = widths
	return c, checkpoint.Storage{}, err
}

// leavesOne reports a cut after which a layer has no neuron or no head, with the flag that asks for
// it and values that would do.
func (p *Pruning) leavesOne(layers []model.LayerConfig) error {
	for i, l := range layers {
		for _, of := range []struct {
			flag, units string
			cut         pruning.Cut
			width       int
		}{{"--mlp", "neurons", p.MLP, l.MLP}, {"--heads", "KV groups", p.Heads, l.KVHeads}} {
			removed := removedOf(of.cut, of.width)
			switch {
			case removed < of.width:
			case of.width == 1:
				return fmt.Errorf("%s: layer %d has one of its %s alone, which stays: give no %s", of.flag, i, of.units, of.flag)
			default:
				return fmt.Errorf("%s: it removes %d of the %d %s of layer %d, expected at most %d, or a share below %.4g%%: at least one stays",
					of.flag, removed, of.width, of.units, i, of.width-1, 100*(float64(of.width)-0.5)/float64(of.width))
			}
		}
	}
	return nil
}

// removesNothing is the error of cuts that round to none in all layers.
func (p *Pruning) removesNothing(layers []model.LayerConfig) error {
	mlp, heads := 0, 0
	for _, l := range layers {
		mlp, heads = max(mlp, removedOf(p.MLP, l.MLP)), max(heads, l.KVHeads)
	}
	switch {
	case mlp > 0:
		return fmt.Errorf("nothing would be removed: --mlp asks for %d neurons of a layer, and what stays is rounded up to multiples of %d: give a larger --mlp or a smaller --align", mlp, p.Align)
	case p.Heads == (pruning.Cut{}):
		return errors.New("nothing would be removed: --mlp rounds to no neuron of any layer: give a larger one")
	}
	return fmt.Errorf("nothing would be removed: --heads rounds to none of at most %d KV groups of a layer: give a number of them, or %.4g%% or more", heads, 50/float64(heads))
}

// removedOf is how many of a layer's units a cut asks for.
func removedOf(c pruning.Cut, width int) int {
	return c.Count + int(math.Round(c.Ratio*float64(width)))
}

// alignment chooses the multiple that the kept neurons are rounded up to.
func alignment(layers []model.LayerConfig, cut pruning.Cut) int {
	for _, align := range []int{128, 64, 32, 16} {
		fits := true
		for _, l := range layers {
			kept := l.MLP - removedOf(cut, l.MLP)
			fits = fits && (kept+align-1)/align*align-kept <= l.MLP/20
		}
		if fits {
			return align
		}
	}
	return 8
}

func (p *Pruning) compress(ctx context.Context, s *stream, sequences []calibrate.Sequence, r *Result) error {
	o := p.Options
	o.Precision, o.ChunkTokens, o.Statistics = s.precision, chunkTokens, s.statistics
	report, err := pruning.Prune(ctx, s, sequences, o, func(d pruning.LayerDone) {
		l := d.Report
		s.progress(d.Done, d.Total, fmt.Sprintf("layer %d %s: %d of %d kept, error %.2e", l.Layer, l.Part, l.Kept, l.Before, l.Updated.Undamped))
	})
	if errors.Is(err, pruning.ErrSingular) {
		err = fmt.Errorf("%w: give more --samples or --length, or a larger --damping", err)
	}
	if err != nil {
		return err
	}
	r.Pruning, r.Warnings = report, report.Warnings
	return nil
}
