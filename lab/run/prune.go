package run

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"slimlab/internal/commalist"
	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/convert"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/refine"
	"slimlab/pruning"
)

// Prune removes MLP neurons and attention heads.
type Prune struct {
	Method      string      `key:"method" default:"osscar" names:"methods" doc:"how units are chosen and the remaining weights are updated"`
	MLP         string      `key:"mlp" default:"0" amount:"true" any:"removes nothing: give mlp, mlp_layers, heads, query_heads, budget or layers" doc:"MLP neurons to remove from each layer: a share such as 20% or 0.2, or a number"`
	Heads       string      `key:"heads" default:"0" amount:"true" any:"removes nothing: give mlp, mlp_layers, heads, query_heads, budget or layers" doc:"key-value heads to remove from each layer, with their queries: a share, or a number"`
	QueryHeads  string      `key:"query_heads" default:"0" amount:"true" any:"removes nothing: give mlp, mlp_layers, heads, query_heads, budget or layers" doc:"query heads to remove of every key-value head of each layer, whose keys and values stay: a share, or a number"`
	Widths      string      `key:"widths" default:"uniform" one:"uniform|budget" doc:"uniform cuts all layers alike; budget: the widths of the least error with as many parameters in all, by the model as it was"`
	Budget      string      `key:"budget" amount:"true" any:"removes nothing: give mlp, mlp_layers, heads, query_heads, budget or layers" doc:"with widths by a budget, in place of mlp and heads: what stays of the neurons' parameters, a share such as 80%, or bytes in bfloat16 such as 500MB; or the time of the neurons' products, 1.5ms, or 80% of time, by the times of each width as they are measured on this machine"`
	BudgetRows  budgetRows  `json:",omitzero" key:"budget_rows" default:"1" omit:"default" min:"1" max:"65536" doc:"of a budget of time: tokens that a product takes at once, 1 as in decode, 512 as in a prefill of so many"`
	Layers      string      `key:"layers" default:"0" amount:"true" any:"removes nothing: give mlp, mlp_layers, heads, query_heads, budget or layers" doc:"whole layers to remove, those that change the residual stream least (1 − cosine of what goes in and comes out, after ShortGPT): a share, or a number; alone in a step"`
	MLPLayers   string      `key:"mlp_layers" list:" " omit:"default" any:"removes nothing: give mlp, mlp_layers, heads, query_heads, budget or layers" doc:"MLP neurons to remove, an amount for each layer, as a list [25%, 0, 50%] or a text with spaces between, 25% 0 50%, in place of mlp"`
	Align       string      `key:"align" default:"auto" amount:"true" doc:"round the kept number of neurons up to a multiple of this; auto: the largest up to 128 that keeps at most 5% of a layer more, and that groups of a later quantization divide"`
	Refine      int         `json:",omitzero" key:"refine" default:"0" omit:"default" min:"0" max:"100000" doc:"gradient steps on each layer's output after its cuts; the best are kept"`
	RefineRate  refineRate  `json:",omitzero" key:"refine_rate" default:"0" omit:"default" min:"0" max:"1" doc:"how far the first of these steps moves a weight, relative to the root mean square of its tensor, falling to 0 in a line; 0: 0.001"`
	Intercept   bool        `key:"intercept" default:"false" doc:"solve the bias of o_proj with the weights, where the model has one: for cuts of heads"`
	Starts      string      `key:"starts" default:"both" one:"both|greedy" doc:"where OSSCAR's local search begins: both, greedy removal and magnitude, or greedy alone"`
	Step        removedStep `json:",omitzero" key:"step" default:"1" omit:"default" min:"1" max:"65536" doc:"of osscar: units that the greedy removal takes between two scorings; 1 is the most exact"`
	LocalSearch localSearch `json:",omitzero" key:"local_search" default:"30" omit:"default" min:"-1" max:"100000" doc:"of osscar: rounds of local search at most; -1: none"`
	Damping     damping     `json:",omitzero" key:"damping" default:"0.01" omit:"default" above:"0" max:"10" doc:"of methods that solve the weights that stay: what is added to the diagonal of the inputs' second moments, as a share of its mean"`
	Calibration Calibration `key:"calibration" doc:"calibration text of the method"`
}

type budgetRows int

// IsZero reports the default.
func (r budgetRows) IsZero() bool { return r <= 1 }

type refineRate float64

// IsZero reports the default.
func (r refineRate) IsZero() bool { return r == 0 }

type removedStep int

// IsZero reports the default.
func (s removedStep) IsZero() bool { return s <= 1 }

type localSearch int

// IsZero reports the default.
func (s localSearch) IsZero() bool { return s == 0 || s == defaultLocalSearch }

const defaultLocalSearch = 30

// pruneVersion is that of the code below and of package pruning: raise it when they compute other
// weights.
const pruneVersion = 10

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
	if cut, err := pruning.ParseCut(p.Layers); err == nil && cut != (pruning.Cut{}) {
		gone := plural.Of(cut.Count, "layer")
		if cut.Count == 0 {
			gone = cut.Of("layers")
		}
		return fmt.Sprintf("prune %s from %s, those that change the stream least, %d %s samples", gone, from, p.Calibration.Samples, p.Calibration.Source)
	}
	var cuts []string
	for _, of := range p.texts() {
		if cut, err := pruning.ParseCut(of.text); err == nil && cut != (pruning.Cut{}) {
			cuts = append(cuts, cut.Of(of.units))
		}
	}
	widths := ""
	switch {
	case p.MLPLayers != "":
		cuts = []string{fmt.Sprintf("%s of the MLP neurons, layer by layer,", strings.Join(listed(p.MLPLayers), " "))}
	case p.Budget != "":
		cuts, widths = []string{"MLP neurons"}, fmt.Sprintf(", widths by a budget of %s,", p.Budget)
	case p.Widths == string(pruning.BudgetWidths):
		widths = " on average, widths by error,"
	}
	return fmt.Sprintf("prune %s%s from %s by %s, %d %s samples", strings.Join(cuts, " and "), widths, from, p.Method, p.Calibration.Samples, p.Calibration.Source)
}

// cutText is what a key says of one kind of unit.
type cutText struct{ key, text, units string }

func (p *Prune) texts() []cutText {
	return []cutText{{"mlp", p.MLP, "MLP neurons"}, {"heads", p.Heads, "KV heads"}, {"query_heads", p.QueryHeads, "query heads"}}
}

// Check implements scenario.Checker.
func (p *Prune) Check(given func(key string) bool, bad func(key, with, format string, args ...any)) {
	p.Calibration.check(bad)
	if method, err := pruning.ParseMethod(p.Method); err == nil {
		if share, err := p.Calibration.target(); err == nil && share > 0 && !method.Updates() {
			bad("calibration.target", "method", "is %s, and %s leaves the weights that stay as they are: expected target own, or a method that solves them, such as osscar", p.Calibration.Target, p.Method)
		}
		if method != pruning.OSSCAR {
			for key, of := range map[string]bool{"starts": given("starts"), "step": !p.Step.IsZero(), "local_search": !p.LocalSearch.IsZero()} {
				if of {
					bad(key, "method", "is of osscar, and method is %s: leave %s out", p.Method, key)
				}
			}
		}
		if !p.Damping.IsZero() && !method.Updates() {
			bad("damping", "method", "is %g, and %s leaves the weights that stay as they are: leave damping out", float64(p.Damping), p.Method)
		}
	}
	for _, of := range p.texts() {
		if _, err := pruning.ParseCut(of.text); err != nil {
			bad(of.key, "", "is %s, expected a share below 1 such as 20%% or 0.2, or a whole number", of.text)
		}
	}
	switch cut, err := pruning.ParseCut(p.Layers); {
	case err != nil:
		bad("layers", "", "is %s, expected a share below 1 such as 20%% or 0.2, or a whole number", p.Layers)
	case cut != (pruning.Cut{}):
		for _, key := range []string{"method", "mlp", "mlp_layers", "heads", "query_heads", "budget", "widths", "align", "intercept", "starts", "step", "local_search", "damping", "refine", "refine_rate", "calibration.mode", "calibration.target"} {
			if given(key) {
				bad("layers", key, "is %s, and whole layers are removed in a step of their own: leave %s out", p.Layers, key)
			}
		}
	}
	if p.Budget != "" {
		size, err := pruning.ParseBudget(p.Budget)
		var of *pruning.BudgetError
		switch {
		case errors.As(err, &of):
			bad("budget", "", "is %s, %s", p.Budget, of.Problem)
		case p.BudgetRows > 1 && !size.IsTime():
			bad("budget_rows", "budget", "is %d, which is of a budget of time, and budget is %s: leave budget_rows out", p.BudgetRows, p.Budget)
		}
		if !given("widths") {
			p.Widths = string(pruning.BudgetWidths)
		}
		if p.Widths != string(pruning.BudgetWidths) {
			bad("budget", "widths", "is %s, and widths is %s: leave one of them out", p.Budget, p.Widths)
		}
	}
	if p.Budget == "" && p.BudgetRows > 1 {
		bad("budget_rows", "", "is %d, which is of a budget of time, and there is none: leave it out, or give budget such as 1.5ms", p.BudgetRows)
	}
	if p.MLPLayers != "" {
		p.checkLayers(given, bad)
	}
	p.checkIntercept(bad)
	if _, err := pruning.ParseAlign(p.Align); err != nil {
		bad("align", "", "is %s, expected auto or a whole number from 1 to 4096", p.Align)
	}
}

// checkIntercept reports an intercept that no layer of any model would have.
func (p *Prune) checkIntercept(bad func(key, with, format string, args ...any)) {
	method, err := pruning.ParseMethod(p.Method)
	if err != nil || !p.Intercept {
		return
	}
	share, _ := p.Calibration.target()
	mlp, _ := pruning.ParseCut(p.MLP)
	switch {
	case mlp != (pruning.Cut{}):
		bad("intercept", "mlp", interceptOfNeurons)
	case p.MLPLayers != "":
		bad("intercept", "mlp_layers", interceptOfNeurons)
	case p.Budget != "":
		bad("intercept", "budget", interceptOfNeurons)
	case !method.Updates():
		bad("intercept", "method", "is true, and %s leaves the weights that stay as they are: expected a method that solves them, such as osscar", p.Method)
	case share > 0:
		bad("intercept", "calibration.target", "is true, and target is %s: the mean of the dense model's outputs is not known; expected target own, or no intercept", p.Calibration.Target)
	}
}

const interceptOfNeurons = "is true, and down_proj, which reads the neurons, has no bias in the models that are written: expected cuts of heads alone, or no intercept"

// Idle implements scenario.Idler.
func (p *Prune) Idle(given func(key string) bool, idle func(key string, because []string, format string, args ...any)) {
	if cut, err := p.cut(); err == nil && cut.MLP == (pruning.Cut{}) && p.MLPLayers == "" && p.Budget == "" && given("align") {
		idle("align", []string{"mlp", "mlp_layers", "budget"}, "is %s, and no neurons are removed, whose number it rounds: leave it out", p.Align)
	}
	idleRate(p.Refine, p.RefineRate, idle)
	p.idleCuts(given, idle)
}

// idleCuts reports cuts of 0 of a step that removes nothing.
func (p *Prune) idleCuts(given func(key string) bool, idle func(key string, because []string, format string, args ...any)) {
	if layers, err := pruning.ParseCut(p.Layers); err != nil || layers != (pruning.Cut{}) || p.MLPLayers != "" || p.Budget != "" {
		return
	}
	if cut, err := p.cut(); err != nil || cut != (pruning.LayerCut{}) {
		return
	}
	keys := []string{"mlp", "heads", "query_heads", "layers"}
	for i, value := range []string{p.MLP, p.Heads, p.QueryHeads, p.Layers} {
		if given(keys[i]) {
			idle(keys[i], keys, "is %s, and the step removes nothing else: give a share such as 20%% or a number, or leave the step out", value)
			return
		}
	}
}

// idleRate reports a rate of steps that there are none of.
func idleRate(steps int, rate refineRate, idle func(key string, because []string, format string, args ...any)) {
	if steps == 0 && rate > 0 {
		idle("refine_rate", []string{"refine"}, "is %g, which is of the steps of refine, and there are none: leave it out, or give refine such as 50", float64(rate))
	}
}

// checkLayers reports amounts for each layer that cannot be, or stand beside those of all layers.
func (p *Prune) checkLayers(given func(key string) bool, bad func(key, with, format string, args ...any)) {
	some := false
	amounts, err := commalist.Parts(p.MLPLayers)
	if err != nil {
		bad("mlp_layers", "", "%v", err)
	}
	for _, text := range amounts {
		cut, err := pruning.ParseCut(text)
		if err != nil {
			bad("mlp_layers", "", "has %s, expected a share below 1 such as 20%% or 0.2, or a whole number, for each layer", text)
		}
		some = some || cut != (pruning.Cut{})
	}
	if !some {
		bad("mlp_layers", "", "is %q, and removes nothing", p.MLPLayers)
	}
	for _, key := range []string{"mlp", "heads", "query_heads", "budget", "widths"} {
		if given(key) {
			bad("mlp_layers", key, "says what goes from each layer, and %s what goes from all: expected one of them", key)
		}
	}
}

// cut is what is removed from every layer. The keys have been checked.
func (p *Prune) cut() (pruning.LayerCut, error) {
	var cut pruning.LayerCut
	var errs []error
	for i, of := range p.texts() {
		one, err := pruning.ParseCut(of.text)
		*[]*pruning.Cut{&cut.MLP, &cut.Heads, &cut.QueryHeads}[i] = one
		errs = append(errs, err)
	}
	return cut, errors.Join(errs...)
}

func (p *Prune) plan(ctx context.Context, w *worker, s scenario.Step) (job, error) {
	options, err := p.options()
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
	if layers, err := pruning.ParseCut(p.Layers); err != nil || layers != (pruning.Cut{}) {
		return p.planDepth(ctx, w, s, source, layers)
	}
	planned, cut, err := p.fit(source.shape, &options, w.groupsAfter(s.Name, p, source.shape))
	if err != nil {
		return job{}, err
	}
	if p.Intercept && !source.shape.OBias {
		return job{}, keyError{"intercept", errors.New("is true, and o_proj of this model has no bias (its config has no attention_bias): expected a model that has one, or no intercept")}
	}
	if err := errors.Join(w.data.checkSource(p.Calibration.Source), p.Calibration.checkMemory(w.data, source.shape)); err != nil {
		return job{}, err
	}
	if cut == (pruning.LayerCut{}) && p.MLPLayers == "" {
		w.run.noteOnce(lab.Info, s.Name+": its cut is 0: no unit is removed")
	}
	for _, text := range cut.Counts(source.shape.Layers) {
		w.run.noteOnce(lab.Info, s.Name+": "+text)
	}
	if (cut.MLP != (pruning.Cut{}) || p.MLPLayers != "") && p.Align == alignAuto && options.Align > 1 {
		w.run.noteOnce(lab.Info, fmt.Sprintf("%s: align is auto: the neurons that stay are a multiple of %d", s.Name, options.Align))
	}
	of := w.data.recipe(s.Kind, pruneVersion)
	of.Inputs["model"], of.Parameters = source.key, p.parameters(cut, options)
	var before, prepare func() error
	times := w.budgetTimes(s, source.shape, &options)
	switch {
	case times != nil:
		w.run.noteOnce(lab.Info, s.Name+": the widths are chosen when the step is done; until then the plan counts with those that the model has")
		of.Parameters["machine"], of.Parameters["times"] = w.run.timer().Machine(), timesVersion
		prepare = func() error { return times.measure(ctx) }
		before = func() error { return times.early(ctx, of) }
	case planned.Budget != nil:
		w.run.noteOnce(lab.Info, s.Name+": the widths are chosen when the step is done; until then the plan counts with equal ones")
	}
	p.Calibration.noteFew(w, s.Name)
	p.Calibration.noteKept(w, s.Name, source.shape, func(site model.Site) bool {
		return site == model.SiteO && (cut.Heads != (pruning.Cut{}) || cut.QueryHeads != (pruning.Cut{})) || site == model.SiteDown && (cut.MLP != (pruning.Cut{}) || p.MLPLayers != "")
	})
	p.Calibration.into(&of, w.cell.Seed)
	if options.Method.Draws() {
		of.Seed = uint64(w.cell.Seed)
		options.Seed = of.Seed
	}
	return job{
		model:   stepModel(s, of, source.origin, withLayers(source.shape, planned.Layers)),
		memory:  p.Calibration.freeMemory(w, source.shape, convert.InPlace{Differentiates: options.Method.Differentiates(), Refines: p.Refine > 0}),
		before:  before,
		prepare: prepare,
		build:   func(dir string) error { return p.build(ctx, w, source, options, dir) },
		report:  func(dir string) error { return p.report(ctx, w, s.Name, source.shape, times, dir) },
	}, nil
}

// alignAuto has the alignment chosen.
const alignAuto = "auto"

// options are those of the keys that need no model.
func (p *Prune) options() (o pruning.Options, err error) {
	var errs [3]error
	o.Method, errs[0] = pruning.ParseMethod(p.Method)
	o.Align, errs[1] = pruning.ParseAlign(p.Align)
	o.Starts, errs[2] = pruning.ParseStarts(p.Starts)
	o.Intercept, o.Damping = p.Intercept, float64(p.Damping)
	o.Batch, o.LocalSearch = int(p.Step), int(p.LocalSearch)
	o.Refine = refine.Options{Steps: p.Refine, Rate: float64(p.RefineRate)}
	return o, errors.Join(errs[:]...)
}

// parameters are those of the recipe: cuts and alignment as they are, however they were written,
// and keys that came later where they have another value than their default.
func (p *Prune) parameters(cut pruning.LayerCut, o pruning.Options) recipe.Values {
	amount := func(c pruning.Cut) any {
		if c.Count > 0 {
			return c.Count
		}
		return c.Ratio
	}
	values := recipe.Values{"method": p.Method, "mlp": amount(cut.MLP), "heads": amount(cut.Heads), "align": o.Align, "calibration": recipe.Of(p.Calibration)}
	if cut.QueryHeads != (pruning.Cut{}) {
		values["query_heads"] = amount(cut.QueryHeads)
	}
	if p.MLPLayers != "" {
		values["mlp_layers"] = strings.Join(listed(p.MLPLayers), " ")
	}
	if o.Budget != nil {
		values["budget"] = o.Budget.Parameters
	}
	if o.Budget != nil && o.Budget.Time != nil {
		delete(values, "budget")
		values["budget_ns"], values["budget_of_time"], values["budget_rows"] = int64(o.Budget.Time.Most), o.Budget.Time.Share, o.Budget.Time.Rows
	}
	if p.Refine > 0 {
		values["refine"] = p.Refine
	}
	if p.Refine > 0 && p.RefineRate > 0 {
		values["refine_rate"] = float64(p.RefineRate)
	}
	if p.Intercept {
		values["intercept"] = true
	}
	if o.Starts != pruning.BothStarts {
		values["starts"] = p.Starts
	}
	for key, of := range map[string]struct {
		stands bool
		value  any
	}{"step": {p.Step.IsZero(), int(p.Step)}, "local_search": {p.LocalSearch.IsZero(), int(p.LocalSearch)}, "damping": {p.Damping.IsZero(), float64(p.Damping)}} {
		if !of.stands {
			values[key] = of.value
		}
	}
	return values
}

// withLayers is a shape with other layers.
func withLayers(c model.Config, layers []model.LayerConfig) model.Config {
	c.Layers = layers
	return c
}

func (p *Prune) build(ctx context.Context, w *worker, source *artifactModel, options pruning.Options, dir string) error {
	sequences, err := w.data.calibration(p.Calibration, w.cell.Seed)
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
	options.Whole, options.Statistics = m, p.Calibration.settings(w, source, sequences)
	report, err := pruning.Prune(ctx, layers, sequences, options, func(d pruning.LayerDone) { w.progress(d.Done, d.Total, "") })
	if errors.Is(err, pruning.ErrSingular) {
		err = keyError{"calibration.samples", fmt.Errorf("is %d: %w: expected more", p.Calibration.Samples, err)}
	}
	if err != nil {
		return source.cause(ctx, err)
	}
	return saveModel(ctx, dir, layers.Compressed(), w.data, report)
}

// report states the cut relative to the units that were cut and to all parameters, since papers use
// each.
func (p *Prune) report(ctx context.Context, w *worker, name string, before model.Config, times *widthTimes, dir string) error {
	var report pruning.CutReport
	if err := readFacts(dir, &report); err != nil {
		return err
	}
	var cuts []string
	for _, of := range []struct {
		units string
		pruning.Count
	}{{"MLP neurons", report.Neurons}, {"KV heads", report.KVGroups}, {"query heads", report.QueryHeads}} {
		if of.Before > of.After {
			cuts = append(cuts, fmt.Sprintf("%.1f%% of %s", of.Cut(), of.units))
		}
	}
	cuts = append(cuts, fmt.Sprintf("%.1f%% of all parameters", report.Parameters.Cut()))
	w.run.note(w.cell.ID, lab.Info, fmt.Sprintf("%s: %s cut %s", name, report.Method, strings.Join(cuts, ", ")))
	if b := report.Budget; b != nil && b.Time != nil {
		if err := errors.Join(times.noteEarlier(ctx, b.Time), w.reportTimes(ctx, name, before, times.options.Budget, b)); err != nil {
			return err
		}
	} else if b != nil {
		w.run.note(w.cell.ID, lab.Info, fmt.Sprintf("%s: %s; %d of %s stay", name, b.Errors(), b.Kept, plural.Of(b.Parameters, "parameter")))
	}
	w.noteUnimproved(name, refine.Options{Steps: p.Refine, Rate: float64(p.RefineRate)}, report.Refined)
	w.warnings(report.Warnings)
	return nil
}

// noteUnimproved notes the layers in which no step of refining was kept.
func (w *worker) noteUnimproved(name string, o refine.Options, reports []refine.Report) {
	if text := o.Unimproved(reports, "refine_rate"); text != "" {
		w.run.note(w.cell.ID, lab.Info, name+": refine: "+text)
	}
}
