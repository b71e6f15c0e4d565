package convert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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

	widths pruning.Widths
	budget string
	rows   int           // of a budget of time
	each   []pruning.Cut // of the neurons of each layer; nil is none
	layers pruning.Cut
	keep   int // layers, where whole ones are removed
	// widths of layers, as they are and as the cuts leave them
	before, after []model.LayerConfig
	counts        []string // what shares of few units come to
}

// Methods lists the names of pruning methods.
func Methods() []string { return pruning.Methods() }

// Draws reports whether the units that a method of a name keeps are drawn from the seed.
func Draws(method string) bool { return pruning.Method(method).Draws() }

// Cuts are what is removed, in words: each a share such as "20%" or "0.2", a number, or "" for
// none. Widths is "uniform", "budget" or "" for the first, with the budget of neurons.
// Layers is how many whole layers, alone. Rows is of a budget of time; 0 is 1.
type Cuts struct {
	MLP, Heads, QueryHeads, Widths, Budget, Layers string
	Rows                                           int
	// MLPLayers is of each layer, in place of all but Layers.
	MLPLayers string
}

// Set sets the method by its name, and the cuts.
func (p *Pruning) Set(method string, cuts Cuts) (err error) {
	if p.Method, err = pruning.ParseMethod(method); err != nil {
		return err
	}
	for _, of := range []struct {
		flag, text string
		cut        *pruning.Cut
	}{{"--mlp", cuts.MLP, &p.MLP}, {"--heads", cuts.Heads, &p.Heads}, {"--query-heads", cuts.QueryHeads, &p.QueryHeads}} {
		if *of.cut, err = pruning.ParseCut(of.text); err != nil {
			return fmt.Errorf("%s: %w", of.flag, err)
		}
	}
	if p.layers, err = pruning.ParseCut(cuts.Layers); err != nil {
		return fmt.Errorf("--layers: %w", err)
	}
	if p.layers != (pruning.Cut{}) {
		for _, of := range []struct {
			flag  string
			given bool
		}{{"--method", p.Method != pruning.OSSCAR}, {"--mlp", cuts.MLP != ""}, {"--heads", cuts.Heads != ""}, {"--query-heads", cuts.QueryHeads != ""}, {"--widths", cuts.Widths != ""}, {"--budget", cuts.Budget != ""}, {"--budget-rows", cuts.Rows != 0}, {"--mlp-layers", cuts.MLPLayers != ""}} {
			if of.given {
				return besideLayers(cuts.Layers, of.flag)
			}
		}
		return nil
	}
	if cuts.MLPLayers != "" {
		return p.setEach(cuts)
	}
	p.budget, p.rows = cuts.Budget, cuts.Rows
	size, err := pruning.ParseBudget(p.budget)
	if p.budget != "" && err != nil {
		return fmt.Errorf("--budget: %w", err)
	}
	if p.rows != 0 && !size.IsTime() {
		return errors.New("--budget-rows is of a budget of time: leave it out, or give --budget such as 1.5ms")
	}
	if p.rows < 0 || p.rows > maxRows {
		return fmt.Errorf("--budget-rows %d: expected 1 to %d", p.rows, maxRows)
	}
	if p.widths, err = pruning.ParseWidths(cmp.Or(cuts.Widths, string(pruning.UniformWidths))); err != nil {
		return fmt.Errorf("--%w", err)
	}
	if p.budget != "" && cuts.Widths == "" {
		p.widths = pruning.BudgetWidths
	}
	if p.LayerCut == (pruning.LayerCut{}) && p.budget == "" {
		return errors.New("nothing is to be removed, expected --mlp, a share or number of neurons, --mlp-layers, such of each layer, --heads, one of KV groups, --query-heads, one of the query heads of each, --budget, what stays of the neurons, or --layers, how many whole layers")
	}
	return nil
}

// setEach sets cuts of the neurons of each layer.
func (p *Pruning) setEach(cuts Cuts) (err error) {
	for _, of := range []struct {
		flag  string
		given bool
	}{{"--mlp", cuts.MLP != ""}, {"--heads", cuts.Heads != ""}, {"--query-heads", cuts.QueryHeads != ""}, {"--widths", cuts.Widths != ""}, {"--budget", cuts.Budget != ""}, {"--budget-rows", cuts.Rows != 0}} {
		if of.given {
			return fmt.Errorf("--mlp-layers %s: says what goes from each layer, and %s what goes from all: expected one of them", cuts.MLPLayers, of.flag)
		}
	}
	p.widths = pruning.UniformWidths
	if p.each, err = pruning.ParseCuts(cuts.MLPLayers); err != nil {
		return fmt.Errorf("--mlp-layers: %w", err)
	}
	return nil
}

// besideLayers is the error of a flag that does nothing where whole layers are removed.
func besideLayers(layers, flag string) error {
	return fmt.Errorf("--layers %s: whole layers are removed alone, as they are: leave %s out", layers, flag)
}

// maxRows bounds the tokens of a product that is timed.
const maxRows = 65536

// SetAlign sets the alignment from its text: a number, or auto.
func (p *Pruning) SetAlign(text string) (err error) {
	if p.Align, err = pruning.ParseAlign(text); err != nil {
		return fmt.Errorf("--align: %w", err)
	}
	return nil
}

// SetStarts sets the starts of OSSCAR's search by their name.
func (p *Pruning) SetStarts(name string) (err error) {
	if p.Starts, err = pruning.ParseStarts(name); err != nil {
		return fmt.Errorf("--starts: %w", err)
	}
	return nil
}

// Prune writes the checkpoint from, a folder or file, without some of its neurons and heads to the
// new folder to.
//
// With Align 0 the neurons that stay are rounded up to the largest of 128, 64, 32, 16 and 8 that
// keeps at most a twentieth of a layer's more, or to less where these would remove none.
func Prune(ctx context.Context, from, to string, p Pruning, o Options) (*Result, error) {
	if err := errors.Join(p.requireText(), p.check(), checkRefining(p.Refine, p.Calibration)); err != nil {
		return nil, err
	}
	if p.Method.Draws() { // one seed for all that is drawn
		p.Seed = p.Calibration.Seed
	}
	return locked(acquireFolder, to, func(to string) (*Result, error) { return compress(ctx, from, to, &p, o) })
}

// requireText reports that there is no calibration text where the method, or what is beside it,
// reads one.
func (p *Pruning) requireText() error {
	switch {
	case p.layers != (pruning.Cut{}):
		return p.Calibration.require("--layers")
	case p.Method.Reads():
		return p.Calibration.require("--method " + string(p.Method))
	case p.widths == pruning.BudgetWidths || p.budget != "":
		return p.Calibration.require("a budget, which compares the errors of layers,")
	case p.Gathering.Parallel:
		return p.Calibration.require("--mode parallel")
	case p.Gathering.All:
		return p.Calibration.require("--statistics")
	}
	return nil
}

// neurons reports whether neurons are removed.
func (p *Pruning) neurons() bool { return p.MLP != (pruning.Cut{}) || p.budget != "" || p.each != nil }

// Bounds of what a command may ask for, as of a scenario's step.
const (
	maxStep   = 65536
	maxRounds = 100_000 // of local search
)

// check reports options that no model can be pruned with.
func (p *Pruning) check() error {
	if err := checkDamping(p.Damping); err != nil {
		return err
	}
	if p.layers != (pruning.Cut{}) {
		return p.checkDepth()
	}
	for _, f := range []struct {
		name               string
		value, least, most int
		meaning            string
	}{{"step", p.Batch, 0, maxStep, "1"}, {"local-search", p.LocalSearch, -1, maxRounds, "-1, none, or 1"}, {"align", p.Align, 0, model.MaxWidth, "0, chosen by the widths,"}} {
		if f.value < f.least || f.value > f.most {
			return fmt.Errorf("--%s %d: expected %s to %d", f.name, f.value, f.meaning, f.most)
		}
	}
	if p.Method != pruning.OSSCAR {
		for _, of := range []struct {
			flag  string
			given bool
		}{{"--starts", p.Starts != pruning.BothStarts}, {"--local-search", p.LocalSearch != 0}, {"--step", p.Batch > 1}} {
			if of.given {
				return fmt.Errorf("%s is of --method osscar, and the method is %s: leave it out", of.flag, p.Method)
			}
		}
	}
	return p.checkEffects()
}

// CheckGiven refuses a 0 that is given where the field's 0 stands for the default.
func (p *Pruning) CheckGiven(given func(flag string) bool) error {
	switch {
	case given("damping") && p.Damping == 0:
		return wrongDamping(0)
	case given("step") && p.Batch == 0:
		return fmt.Errorf("--step 0: expected 1 to %d", maxStep)
	case given("local-search") && p.LocalSearch == 0:
		return fmt.Errorf("--local-search 0: expected 1 to %d, or -1 for none", maxRounds)
	case given("budget-rows") && p.rows == 0:
		return fmt.Errorf("--budget-rows 0: expected 1 to %d", maxRows)
	}
	return checkGivenRate(p.Refine, given)
}

// checkDepth refuses flags that do nothing where whole layers are removed.
func (p *Pruning) checkDepth() error {
	for _, of := range []struct {
		flag  string
		given bool
	}{
		{"--align", p.Align != 0}, {"--intercept", p.Intercept}, {"--starts", p.Starts != pruning.BothStarts}, {"--step", p.Batch != 0}, {"--local-search", p.LocalSearch != 0},
		{"--damping", p.Damping != 0}, {"--refine", p.Refine.Steps != 0}, {"--mode", p.Gathering.Parallel}, {"--target", p.Gathering.Target > 0}, {"--statistics", p.Gathering.All},
	} {
		if of.given {
			return besideLayers(cutText(p.layers), of.flag)
		}
	}
	return nil
}

// checkEffects refuses flags that do nothing beside the method or the cuts.
func (p *Pruning) checkEffects() error {
	switch {
	case p.Align != 0 && !p.neurons():
		return fmt.Errorf("--align %d: no neurons are removed, whose number it rounds: leave it out", p.Align)
	case p.Intercept && p.neurons():
		return errors.New("--intercept: down_proj, which reads the neurons, has no bias in the models that are written: expected cuts of heads alone, or no --intercept")
	}
	if p.Method.Updates() {
		if p.Intercept && p.Gathering.Target > 0 {
			return fmt.Errorf("--intercept with --target %s: the mean of the dense model's outputs is not known: expected --target own, or no --intercept", targetWord(p.Gathering.Target))
		}
		return nil
	}
	for _, of := range []struct {
		flag  string
		given bool
	}{{"--target", p.Gathering.Target > 0}, {"--damping", p.Damping != 0}, {"--intercept", p.Intercept}} {
		if of.given {
			return fmt.Errorf("%s is of methods that solve the weights that stay, and %s leaves them as they are: leave it out, or give such as --method osscar", of.flag, p.Method)
		}
	}
	return nil
}

func (p *Pruning) result(before, after model.Config, _ checkpoint.Storage, dtype checkpoint.DType) (bytes int64, sure bool) {
	parameters := after.Parameters()
	if b := p.Budget; b != nil && b.Time == nil {
		parameters = before.Parameters() - pruning.HalfParameters(before, before.Layers, b.MLP, b.Heads) + b.Parameters
	}
	return int64(dtype.Size()) * int64(parameters), p.Budget == nil || p.Budget.Time == nil
}

func (p *Pruning) calibration() *Calibration { return &p.Calibration }

func (p *Pruning) rotated() *transform.Rotation { return nil }

func (p *Pruning) differentiates() bool { return p.keep == 0 && p.Method.Differentiates() }

func (p *Pruning) gathering() *Gathering { return &p.Gathering }

// passes implements compression: a budget is chosen in a pass of its own.
func (p *Pruning) passes() []pass {
	if p.keep > 0 || !p.Calibration.given() {
		return nil
	}
	list := []pass{{parallel: p.Gathering.Parallel, target: p.Gathering.Target, reads: p.cuts, steps: p.Refine.Steps, doubles: p.doubles}}
	if b := p.Budget; b != nil {
		measured := func(_ int, site model.Site) bool {
			return site == model.SiteO && b.Heads || site == model.SiteDown && b.MLP
		}
		list = []pass{{parallel: true, reads: measured, doubles: curves}, {parallel: p.Gathering.Parallel, target: p.Gathering.Target, reads: measured, steps: p.Refine.Steps, doubles: p.doubles}}
	}
	return list
}

// changes implements compression: cuts change all of a half of a layer.
func (p *Pruning) changes(layer int, site model.Site) bool {
	if site == model.SiteQKV || site == model.SiteO {
		return p.keep == 0 && (p.cuts(layer, model.SiteO) || p.Budget != nil && p.Budget.Heads)
	}
	return p.keep == 0 && (p.cuts(layer, model.SiteDown) || p.Budget != nil && p.Budget.MLP)
}

// cuts reports whether units that a site reads are removed of a layer.
func (p *Pruning) cuts(layer int, site model.Site) bool {
	before, after := p.before[layer], p.after[layer]
	return site == model.SiteO && after.Heads < before.Heads || site == model.SiteDown && after.MLP < before.MLP
}

func (p *Pruning) plan(c model.Config) (model.Config, checkpoint.Storage, error) {
	if p.layers != (pruning.Cut{}) {
		keep, err := p.layers.KeptLayers(len(c.Layers))
		if err != nil {
			return c, checkpoint.Storage{}, fmt.Errorf("--layers: %w", err)
		}
		p.keep = keep
		if text := p.layers.CountOfLayers(len(c.Layers)); text != "" {
			p.counts = []string{text}
		}
		c.Layers = slices.Clone(c.Layers[:keep]) // which ones is known when they have been measured
		return c, checkpoint.Storage{}, nil
	}
	if p.Intercept && !c.OBias {
		return c, checkpoint.Storage{}, errors.New("--intercept: o_proj of this model has no bias (its config has no attention_bias): expected a model that has one, or no --intercept")
	}
	planned, err := pruning.Wanted{LayerCut: p.LayerCut, Each: p.each, Widths: p.widths, Budget: p.budget, Rows: p.rows, Align: p.Align}.Plan(c)
	var of *pruning.CutError
	if errors.As(err, &of) {
		err = fmt.Errorf("--%s: %w", strings.ReplaceAll(of.Key, "_", "-"), err)
	}
	if err != nil {
		return c, checkpoint.Storage{}, err
	}
	p.Align, p.Cuts, p.Budget = planned.Align, planned.Cuts, planned.Budget
	p.counts = p.Counts(c.Layers)
	p.before, p.after = c.Layers, planned.Layers
	c.Layers = planned.Layers
	return c, checkpoint.Storage{}, nil
}

// measuredNote says what a calibration text is used for beside a method that needs none.
func (p *Pruning) measuredNote() string {
	note := fmt.Sprintf("--method %s needs no calibration text: the errors of layers are measured on it", p.Method)
	if !p.Method.Draws() {
		note += ", and units that are zero in all of it go first"
	}
	return note
}

// compressDepth writes the layers that stay.
func (p *Pruning) compressDepth(ctx context.Context, s *stream, sequences []calibrate.Sequence, r *Result) error {
	n := len(s.model.Blocks)
	report, err := pruning.ChooseLayers(ctx, s, sequences, p.keep, func(done, _ int) { s.progress(done, n+p.keep, "importance of a layer") })
	if err != nil {
		return err
	}
	small, err := model.Skeleton(report.Shape(s.model.Config))
	if err != nil {
		return err
	}
	for to, from := range report.Kept {
		if err := s.Source(ctx, s.model, from); err != nil {
			return err
		}
		small.Blocks[to], s.model.Blocks[from] = s.model.Blocks[from], model.Block{}
		r.Warnings = append(r.Warnings, pruning.TooLarge(small, to)...)
		if !s.to.Finished(to) {
			if err := s.to.Block(ctx, small, to); err != nil {
				return err
			}
		}
		small.Blocks[to] = model.Block{}
		s.progress(n+to+1, n+p.keep, fmt.Sprintf("layer %d is layer %d", from, to))
	}
	r.Depth = report
	return nil
}

func (p *Pruning) compress(ctx context.Context, s *stream, sequences []calibrate.Sequence, r *Result) error {
	r.Notes = append(r.Notes, p.counts...)
	if p.keep > 0 {
		return p.compressDepth(ctx, s, sequences, r)
	}
	before := s.model.Config
	before.Layers = slices.Clone(before.Layers) // which change
	if err := p.time(ctx, s, r); err != nil {
		return err
	}
	o := p.Options
	o.Precision, o.ChunkTokens, o.Statistics = s.precision, chunkTokens, s.statistics
	o.Measured = func(done, total int) { s.progress(done, total, "errors of each width of a layer") }
	if o.Method.Differentiates() {
		var err error
		if o.Whole, err = s.from.Model(ctx); err != nil {
			return err
		}
		s.progress(0, len(s.model.Blocks), "gradients of the whole model")
	}
	report, err := pruning.Prune(ctx, s, sequences, o, func(d pruning.LayerDone) {
		l := d.Report
		text := fmt.Sprintf("layer %d %s: %d of %d kept", l.Layer, l.Part, l.Kept, l.Before)
		if len(sequences) > 0 {
			text += fmt.Sprintf(", error %.2e", l.Updated.Undamped)
		}
		s.progress(d.Done, d.Total, text)
	})
	if errors.Is(err, pruning.ErrSingular) {
		err = fmt.Errorf("%w: give more --samples or --length, or a larger --damping", err)
	}
	if err != nil {
		return err
	}
	r.Pruning, r.Warnings = report, append(r.Warnings, report.Warnings...)
	r.noteUnimproved(p.Refine, report.Refined)
	if len(sequences) > 0 && !p.Method.Reads() && p.Budget == nil && o.Refine.Steps == 0 {
		r.Notes = append(r.Notes, p.measuredNote())
	}
	if t := p.Budget; t != nil && t.Time != nil {
		s.progress(0, 1, "times of both models' products")
		passes, err := pruning.PassesOf(ctx, s.timer, t.Timing(before, p.Align), before.Layers, s.model.Layers)
		if err != nil {
			return err
		}
		report.Budget.Time.Passes = &passes
	}
	return nil
}
