package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/convert"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/model"
	"slimlab/model/calibrate/refine"
	"slimlab/quant"
)

// Quantize stores the weights in fewer bits.
type Quantize struct {
	Scheme      string       `key:"scheme" any:"rounds nothing: give scheme or layers" names:"schemes" doc:"number format, or a scheme's whole name, FORMAT[-asym][-METHOD[-act]][-gGROUP], which says what the keys method, order and group say"`
	Group       groupSize    `key:"group" default:"auto" also:"integer" doc:"inputs that share a scale, in formats with groups: a multiple of 8; channel, one scale for each output; or auto, the largest of 128, 64, 32, 16 and 8 that divides the inputs of all linear layers"`
	Method      string       `json:",omitempty" key:"method" one:"rtn|gptq|quantease" doc:"how codes are chosen: rtn, to nearest; gptq; or quantease, coordinate descent (default: rtn for 8 bits, gptq for fewer)"`
	Order       order        `json:",omitzero" key:"order" default:"natural" omit:"default" one:"natural|act" doc:"of gptq and quantease: the order in which inputs are quantized; act: those of the largest second moment first"`
	Damping     damping      `json:",omitzero" key:"damping" default:"0.01" omit:"default" above:"0" max:"10" doc:"of gptq: what is added to the diagonal of the inputs' second moments, as a share of its mean; raised by itself where they are singular"`
	Range       gridRange    `json:",omitzero" key:"range" default:"absmax" omit:"default" one:"absmax|mse" doc:"of integers: the range that a group's scale is fitted to; mse: the one with the least sum of |w-q|^2.4 rounded to nearest, from a fifth of all to all"`
	Sweeps      sweeps       `json:",omitzero" key:"sweeps" default:"30" omit:"default" min:"1" max:"1000" doc:"of quantease: sweeps through all inputs, from each start; an output that none changes ends before"`
	Start       descentStart `json:",omitzero" key:"start" default:"both" omit:"default" one:"w|gptq|both" doc:"of quantease: where it starts: w, the weights, with sweeps that do not round between; gptq, its codes; both, of which each output keeps the better end"`
	Outliers    outliers     `json:",omitzero" key:"outliers" default:"0" omit:"default" also:"number" doc:"of quantease, for integers: a share of the weights, such as 0.5%, that have a number of 16 bits beside their codes; no other engine reads such a model"`
	Shape       outlierShape `json:",omitzero" key:"outliers_shape" default:"entries" omit:"default" one:"entries|columns" doc:"what outliers are: entries, single weights; columns, all weights of some inputs"`
	Layers      string       `json:",omitempty" key:"layers" list:" " omit:"default" any:"rounds nothing: give scheme or layers" doc:"a scheme for each layer, as a list [w8a8, none] or a text with spaces between, w8a8 none, in place of scheme, each by its whole name; none: the layer stays as it is"`
	Refine      int          `json:",omitzero" key:"refine" default:"0" omit:"default" min:"0" max:"100000" doc:"gradient steps on each layer's output after its rounding, with the grids fixed; the best are kept"`
	RefineRate  refineRate   `json:",omitzero" key:"refine_rate" default:"0" omit:"default" min:"0" max:"1" doc:"how far the first of these steps moves a weight, relative to the step of its grid, falling to 0 in a line; 0: 2 / refine"`
	Transforms  `json:",omitzero"`
	KV          string      `json:",omitempty" key:"kv" omit:"default" names:"caches" doc:"KV cache that the row is measured with, not those of steps after it: a setting of slimlab's engine, which no saved model carries; default: bfloat16"`
	Calibration Calibration `key:"calibration" doc:"calibration text of what needs one: methods but rtn, scales, clipping"`

	scheme quant.Scheme // of these words, which Check has made of them
	// of Layers; nil where all layers have the scheme
	schemes []quant.Scheme
}

// groupSize is a number or a word. In the text that names a scenario a number is one, as it was
// when there were no words.
type groupSize string

// MarshalJSON implements json.Marshaler.
func (g groupSize) MarshalJSON() ([]byte, error) {
	if n, err := strconv.Atoi(string(g)); err == nil {
		return json.Marshal(n)
	}
	return json.Marshal(string(g))
}

type order string

// IsZero reports the default.
func (o order) IsZero() bool { return o == "" || o == quant.DefaultOrder }

type damping float64

// IsZero reports the default.
func (d damping) IsZero() bool { return d == 0 || d == quant.DefaultDamping }

type gridRange string

// IsZero reports the default.
func (r gridRange) IsZero() bool { return r == "" || r == quant.DefaultRange }

type sweeps int

// IsZero reports the default.
func (s sweeps) IsZero() bool { return s == 0 || s == quant.DefaultSweeps }

type descentStart string

// IsZero reports the default.
func (s descentStart) IsZero() bool { return s == "" || s == quant.DefaultStart }

type outliers string

// IsZero reports the default.
func (o outliers) IsZero() bool { return o == "" || o == quant.DefaultOutliers }

type outlierShape string

// IsZero reports the default.
func (s outlierShape) IsZero() bool { return s == "" || s == quant.DefaultOutliersShape }

// quantizeVersion is that of the code below and of package quant: raise it when they compute other
// weights.
const quantizeVersion = 9

// Describe says what the step does.
func (q *Quantize) Describe(from string) string {
	text := fmt.Sprintf("quantize %s to %s", from, q.Scheme)
	if q.Layers != "" {
		text = fmt.Sprintf("quantize the layers of %s to %s", from, strings.Join(listed(q.Layers), ", "))
	}
	if q.Method != "" {
		text += " by " + q.Method
	}
	if !q.Outliers.IsZero() {
		text += fmt.Sprintf(" with outliers of %s", q.Outliers)
	}
	text += q.Transforms.describe()
	if q.KV != "" {
		text += ", KV cache in " + q.KV
	}
	return text
}

// Packs reports whether the step leaves quantized weights.
func (q *Quantize) Packs() bool { return q.Scheme != "none" || q.Layers != "" }

// Check implements scenario.Checker. A group that the scheme's name ends with is the step's. One
// that a format without groups does not use may stand in a sweep over formats.
func (q *Quantize) Check(given func(key string) bool, bad func(key, with, format string, args ...any)) {
	q.Calibration.check(bad)
	if q.Scheme == "" { // of layers
		q.Scheme = "none"
	}
	words := quant.Words{Scheme: q.Scheme, Method: q.Method, Group: string(q.Group), Order: string(q.Order), Damping: float64(q.Damping),
		Sweeps: int(q.Sweeps), Start: string(q.Start), Range: string(q.Range), Outliers: string(q.Outliers), OutliersShape: string(q.Shape)}
	named, _ := quant.ParseScheme(q.Scheme)
	scheme, err := words.Parse(func(word string) bool { return q.Layers == "" && given(word) && (word != "group" || named.HasGroups()) })
	var wrong *quant.WordError
	if errors.As(err, &wrong) {
		bad(wrong.Word, wrong.With, "%v", wrong)
		return
	}
	q.scheme = scheme
	if scheme.Outliers.Share > 0 && q.Refine > 0 {
		bad("outliers", "refine", "is %s, and refine is %d, whose steps have no numbers beside the codes: leave one of them out", q.Outliers, q.Refine)
	}
	if share, err := q.Calibration.target(); err == nil && share > 0 && !scheme.Calibrated() && q.Layers == "" {
		bad("calibration.target", "scheme", "is %s, and %s rounds each weight on its own: expected target own, or a method such as gptq", q.Calibration.Target, scheme)
	}
	q.checkLayers(given, bad)
	all := []quant.Scheme{scheme}
	if q.schemes != nil {
		all = q.schemes
	}
	q.Transforms.check(all, q.rounds(), bad)
	if q.Refine > 0 && !slices.ContainsFunc(all, rounds) {
		bad("refine", q.rounds(), "is %d, and no weight is rounded: leave it out, or give a number format", q.Refine)
	}
	if share, err := q.Calibration.target(); err == nil && share > 0 && q.schemes != nil && !q.calibratedLayers() {
		bad("calibration.target", "layers", "is %s, and all layers' schemes round each weight on its own: expected target own, or a method such as gptq", q.Calibration.Target)
	}
	if _, group, ok := quant.CutGroup(q.Scheme); ok {
		q.Group = groupSize(group)
	}
}

// rounds is the key that says what is rounded.
func (q *Quantize) rounds() string {
	if q.Layers != "" {
		return "layers"
	}
	return "scheme"
}

// rounds reports whether a scheme changes weights.
func rounds(s quant.Scheme) bool { return s.Rounder != nil }

// Idle implements scenario.Idler.
func (q *Quantize) Idle(given func(key string) bool, idle func(key string, because []string, format string, args ...any)) {
	if group := string(q.Group); given("group") && group != quant.AutoGroup && q.Layers == "" && !q.scheme.HasGroups() && (group != quant.ChannelGroup || !rounds(q.scheme)) {
		idle("group", []string{"scheme"}, "is %s, and its scheme is %s, which has no groups: leave it out", group, q.Scheme)
	}
	if given("calibration") && !q.readsText() {
		idle("calibration", []string{"scheme", "method", "layers", "smooth", "clip", "refine"},
			"is of methods but rtn, of smooth, clip and refine, and the step has none of them: leave it out")
	}
	idleRate(q.Refine, q.RefineRate, idle)
}

// readsText reports whether any part of the step needs calibration text.
func (q *Quantize) readsText() bool {
	return q.scheme.Calibrated() && q.schemes == nil || q.calibratedLayers() || q.calibrated() || q.Refine > 0
}

func (q *Quantize) plan(ctx context.Context, w *worker, s scenario.Step) (job, error) {
	source, err := w.weights(s.From)
	if err == nil {
		err = source.checkFloat("quantized")
	}
	if err != nil {
		return job{}, err
	}
	scheme, plan, layers, err := q.fitAll(source.shape, func() []int { return w.groupsFor(s.From, source.shape) })
	if err != nil {
		return job{}, err
	}
	turned, err := q.rotation(source.shape)
	if err != nil {
		return job{}, err
	}
	shape := turned.Config(source.shape)
	kv, err := q.kv(shape)
	if err != nil {
		return job{}, err
	}
	of := w.data.recipe(s.Kind, quantizeVersion)
	of.Inputs["model"], of.Parameters["scheme"] = source.key, scheme.String()
	if options := scheme.Options(); options != "" {
		of.Parameters["options"] = options
	}
	if layers != "" {
		of.Parameters["scheme"] = layers
	}
	if q.Refine > 0 {
		of.Parameters["refine"] = q.Refine
	}
	if q.Refine > 0 && q.RefineRate > 0 {
		of.Parameters["refine_rate"] = float64(q.RefineRate)
	}
	maps.Copy(of.Parameters, recipe.Of(q.Transforms))
	calibrated := q.readsText()
	var memory func(int64) error
	if calibrated { // rounding to nearest needs no data
		if err := errors.Join(w.data.checkSource(q.Calibration.Source), q.Calibration.checkMemory(w.data, source.shape)); err != nil {
			return job{}, err
		}
		q.Calibration.noteFew(w, s.Name)
		q.Calibration.noteKept(w, s.Name, source.shape, func(model.Site) bool { return true })
		q.Calibration.into(&of, w.cell.Seed)
		memory = q.Calibration.freeMemory(w, source.shape, convert.InPlace{Refines: q.Refine > 0})
	}
	q.note(w, s.Name, scheme)
	if kv != kernels.KVBFloat16 { // the engine's own
		w.run.noteOnce(lab.Info, fmt.Sprintf("%s is measured with a KV cache of %s: %s; it is a setting of slimlab's engine, and not in a saved model", s.Name, kv, kv.About()))
	}
	q.untied(w, s.Name, source.shape, shape)
	return job{
		model:  stepModel(s, of, source.origin, shape),
		kv:     kv,
		memory: memory,
		build:  func(dir string) error { return q.build(ctx, w, source, plan, calibrated, dir) },
		report: func(dir string) error { return q.report(w, dir) },
	}, nil
}

// kv is the format of the row's KV cache, which has to fit heads of a model's shape.
func (q *Quantize) kv(c model.Config) (kernels.KVFormat, error) {
	if q.KV == "" {
		return kernels.KVBFloat16, nil
	}
	format, err := kernels.ParseKVFormat(q.KV)
	if err == nil {
		err = format.Check(kernels.KVBlock, c.HeadDim)
	}
	if err != nil {
		return 0, keyError{"kv", fmt.Errorf("is %s: %w", q.KV, err)}
	}
	return format, nil
}

// note says what follows from the scheme and the shape that the step's keys do not say.
func (q *Quantize) note(w *worker, step string, scheme quant.Scheme) {
	if q.schemes == nil && scheme.HasGroups() && q.scheme.Format.Group == 0 && !scheme.Channel {
		w.run.noteOnce(lab.Info, fmt.Sprintf("%s: group is auto: groups of %d, which divide the inputs of all linear layers", step, scheme.Format.Group))
	}
	if text := scheme.Stored(); text != "" {
		w.run.noteOnce(lab.Info, step+": "+text)
	}
}

// fitAll is the step's scheme for a model of a shape, and what its layers get: see planLayers. An
// error names the groups that would do.
func (q *Quantize) fitAll(c model.Config, groups func() []int) (scheme quant.Scheme, plan quant.Plan, layers string, err error) {
	if q.schemes == nil {
		if scheme, err = q.fit(c, groups); err != nil {
			return scheme, nil, "", err
		}
	}
	plan, layers, err = q.planLayers(c, scheme, groups)
	return scheme, plan, layers, err
}

// fit is the step's scheme for a model of a shape, with the size of an automatic group. Groups that
// do not divide its widths are an error with those that would.
func (q *Quantize) fit(c model.Config, groups func() []int) (quant.Scheme, error) {
	frame, err := model.Skeleton(c)
	if err != nil {
		return quant.Scheme{}, err
	}
	schemes, err := quant.Uniform(q.scheme).Schemes(frame)
	if err == nil {
		return schemes[0], nil
	}
	if !q.scheme.HasGroups() || q.scheme.Channel {
		return quant.Scheme{}, keyError{"scheme", fmt.Errorf("is %s: %w; expected a scheme that fits, such as %s", q.Scheme, err, strings.Join(quant.Fitting(frame), ", "))}
	}
	key, value := "group", string(q.Group)
	if _, _, named := quant.CutGroup(q.Scheme); named {
		key, value = "scheme", q.Scheme
	}
	return quant.Scheme{}, keyError{key, fmt.Errorf("is %s: %w; %s", value, err, expectedGroups(groups()))}
}

// expectedGroups says which groups a model can have, given those that divide its widths.
func expectedGroups(groups []int) string {
	fit := groupWords(groups)
	if len(fit) == 1 {
		return fmt.Sprintf("no multiple of %d divides all inputs: expected channel, or w8a8 or fp8, which need no groups", groupMultiple)
	}
	return "expected groups of " + strings.Join(fit[:len(fit)-1], ", ") + " or " + fit[len(fit)-1]
}

// groupWords are sizes of groups, and the word for one scale for each output, which fits all.
func groupWords(groups []int) (fit []string) {
	for _, group := range groups {
		fit = append(fit, strconv.Itoa(group))
	}
	return append(fit, quant.ChannelGroup)
}

// groupMultiple is what a group's size is a multiple of, in all kernels.
const groupMultiple = 8

func (q *Quantize) build(ctx context.Context, w *worker, source *artifactModel, plan quant.Plan, calibrated bool, dir string) error {
	var sequences [][]int32
	if calibrated {
		var err error
		if sequences, err = w.data.calibration(q.Calibration, w.cell.Seed); err != nil {
			return err
		}
	}
	m, err := source.load(ctx)
	if err != nil {
		return err
	}
	m, facts, err := q.quantize(ctx, w, m, plan, q.refining(), sequences, q.Calibration.settings(w, source, sequences))
	if err != nil {
		return source.cause(ctx, err)
	}
	return saveModel(ctx, dir, m, w.data, facts)
}

// refining are the steps on each layer's output.
func (q *Quantize) refining() refine.Options {
	return refine.Options{Steps: q.Refine, Rate: float64(q.RefineRate)}
}

func (q *Quantize) report(w *worker, dir string) error {
	var facts rounded
	if err := readFacts(dir, &facts); err != nil {
		return err
	}
	w.warnings(facts.Warnings)
	q.noteScales(w, &facts)
	w.noteUnimproved(w.stage, q.refining(), facts.Refined)
	for _, text := range facts.Notes {
		w.run.note(w.cell.ID, lab.Info, w.stage+": "+text)
	}
	return nil
}
