package convert

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/plural"
	"slimlab/kernels"
	"slimlab/lab/recipe"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/checkpoint"
	"slimlab/quant"
	"slimlab/quant/transform"
)

// Schemes lists the names of number formats; those with methods are longer.
func Schemes() []string {
	var list []string
	for _, f := range quant.Forms() {
		if s := f.Scheme; s.Rounder != nil && !strings.Contains(f.Name, "-"+s.Method()) {
			list = append(list, f.Name)
		}
	}
	return list
}

// SchemeWords are a scheme as flags say it.
type SchemeWords = quant.Words

// The words that a scheme's flags can have, and their defaults.
const (
	DefaultGroup   = quant.DefaultGroup
	DefaultOrder   = quant.DefaultOrder
	DefaultDamping = quant.DefaultDamping
	DefaultSweeps  = quant.DefaultSweeps
	DefaultStart   = quant.DefaultStart
	DefaultRange   = quant.DefaultRange

	DefaultOutliers      = quant.DefaultOutliers
	DefaultOutliersShape = quant.DefaultOutliersShape
)

// SchemeMethods lists the names of rounders.
func SchemeMethods() []string { return quant.Methods() }

// Orders lists the orders in which inputs are quantized.
func Orders() []string { return quant.Orders() }

// Starts lists what QuantEase can start from.
func Starts() []string { return quant.Starts() }

// Ranges lists the ways to fit scales.
func Ranges() []string { return quant.Ranges() }

// OutliersShapes lists what the numbers beside the codes may be.
func OutliersShapes() []string { return quant.OutliersShapes() }

// ParseWords makes a scheme of flags. given says which were given.
func ParseWords(w SchemeWords, given func(flag string) bool) (quant.Scheme, error) {
	flag := func(word string) string { return strings.ReplaceAll(word, "_", "-") }
	s, err := w.Parse(func(word string) bool { return given(flag(word)) })
	var wrong *quant.WordError
	if errors.As(err, &wrong) {
		return s, fmt.Errorf("--%s %w", flag(wrong.Word), wrong)
	}
	return s, err
}

// Quantization is the scheme that Quantize gives all linear layers.
type Quantization struct {
	Scheme quant.Scheme
	Layers []quant.Scheme // of each layer, in place of Scheme; nil is none
	// may be left out for round to nearest, whose output error is then not measured
	Calibration Calibration
	Gathering   Gathering
	Refine      Refining
	// before the rounding
	Transformation

	// of each linear layer in their order, fitted to the model's shape, which frame has
	fitted []quant.Scheme
	frame  *model.Model
}

// SetLayers sets a scheme for each layer by their names. given says which flags were given.
func (q *Quantization) SetLayers(text string, given func(flag string) bool) (err error) {
	for _, flag := range []string{"scheme", "method", "group", "order", "range", "sweeps", "start", "outliers", "outliers-shape", "damping"} {
		if given(flag) {
			return fmt.Errorf("--layers says each layer's scheme by its whole name, and --%s is of all: leave one of them out", flag)
		}
	}
	if q.Layers, err = quant.ParseLayers(text); err != nil {
		return fmt.Errorf("--layers %w", err)
	}
	if !slices.ContainsFunc(q.Layers, rounds) {
		return fmt.Errorf("--layers %q rounds nothing: expected a scheme for each layer, such as 'w8a8 none'", text)
	}
	return nil
}

// rounds reports whether a scheme changes weights.
func rounds(s quant.Scheme) bool { return s.Rounder != nil }

// schemes are those that any layer has.
func (q *Quantization) schemes() []quant.Scheme {
	if q.Layers != nil {
		return q.Layers
	}
	return []quant.Scheme{q.Scheme}
}

// flag is what says the schemes.
func (q *Quantization) flag() string {
	if q.Layers != nil {
		return "--layers"
	}
	return "--scheme " + q.Scheme.String()
}

// Quantize writes the checkpoint from, a folder or file, with its linear layers in another format
// to the new folder to.
func Quantize(ctx context.Context, from, to string, q Quantization, o Options) (*Result, error) {
	if q.Layers == nil && !rounds(q.Scheme) {
		return nil, fmt.Errorf("--scheme none changes nothing, expected one of %s", strings.Join(Schemes(), ", "))
	}
	if slices.ContainsFunc(q.schemes(), quant.Scheme.Calibrated) {
		if err := q.Calibration.require(q.flag()); err != nil {
			return nil, err
		}
	}
	if q.Scheme.Outliers.Share > 0 && q.Refine.Steps > 0 {
		return nil, fmt.Errorf("--outliers %s beside --refine %d: refining has no numbers beside the codes: leave one of them out", q.Scheme.Outliers, q.Refine.Steps)
	}
	if err := errors.Join(q.Transformation.check(q.schemes(), q.flag(), q.Calibration), checkRefining(q.Refine, q.Calibration)); err != nil {
		return nil, err
	}
	if err := q.checkEffects(); err != nil {
		return nil, err
	}
	return locked(acquireFolder, to, func(to string) (*Result, error) { return compress(ctx, from, to, &q, o) })
}

// CheckGiven refuses a 0 that is given where the field's 0 stands for the default.
func (q *Quantization) CheckGiven(given func(flag string) bool) error {
	return checkGivenRate(q.Refine, given)
}

// checkEffects refuses flags of statistics where there are none, or nothing reads them.
func (q *Quantization) checkEffects() error {
	g := q.Gathering
	if g.Target > 0 && !slices.ContainsFunc(q.schemes(), quant.Scheme.Calibrated) {
		return fmt.Errorf("--target %s: %s rounds each weight on its own: expected --target own, or a method such as gptq", targetWord(g.Target), strings.TrimPrefix(q.flag(), "--scheme "))
	}
	for _, of := range []struct {
		flag  string
		given bool
	}{{"--mode parallel", g.Parallel}, {"--statistics", g.All}} {
		if of.given && !q.Calibration.given() {
			return q.Calibration.require(of.flag)
		}
	}
	return nil
}

// targetWord is a share of the dense model's outputs as --target has it.
func targetWord(share float64) string {
	switch share {
	case 0:
		return "own"
	case 1:
		return "dense"
	}
	return strconv.FormatFloat(share, 'g', -1, 64)
}

func (q *Quantization) recipe(ctx context.Context, from string, o *Options) (recipe.Recipe, error) {
	of, err := o.compression(ctx, "quantize", quantizeVersion, from, q.Calibration)
	maps.Copy(of.Parameters, q.words())
	maps.Copy(of.Parameters, q.Transformation.values())
	if q.Calibration.given() {
		maps.Copy(of.Parameters, q.Gathering.values())
		maps.Copy(of.Parameters, refining(q.Refine, q.defaultRate()))
	}
	return of, err
}

// defaultRate is the rate of steps where none is given: a number, or a word where floats move by
// another one than weights on a grid. Biases are the floats of a quantized layer.
func (q *Quantization) defaultRate() string {
	if c := q.frame.Config; q.Refine.Steps == 0 || c.QKVBias || c.OBias {
		return twoRates
	}
	return strconv.FormatFloat(2/float64(q.Refine.Steps), 'g', -1, 64)
}

// twoRates is the word for two default rates.
const twoRates = "default"

// words are the scheme as flags have it, with the size of groups that was chosen.
func (q *Quantization) words() recipe.Values {
	if q.Layers != nil {
		var each []string
		for i, l := range q.frame.Linears() {
			if l.Site == model.SiteO { // one linear layer of each layer
				each = append(each, q.fitted[i].String())
			}
		}
		return recipe.Values{"layers": strings.Join(each, " ")}
	}
	w := q.fitted[0].Words()
	v := recipe.Values{"scheme": w.Scheme}
	for key, word := range map[string]string{"method": w.Method, "group": w.Group, "order": w.Order, "start": w.Start, "range": w.Range, "outliers": w.Outliers, "outliers_shape": w.OutliersShape} {
		if word != "" {
			v[key] = word
		}
	}
	if w.Damping != 0 {
		v["damping"] = w.Damping
	}
	if w.Sweeps != 0 {
		v["sweeps"] = w.Sweeps
	}
	return v
}

func (q *Quantization) result(_, after model.Config, _ checkpoint.Storage, dtype checkpoint.DType) (bytes int64, sure bool) {
	return written(after, dtype, func(linear int) (checkpoint.Storage, quant.Outliers) {
		return storageOf(q.fitted[linear]), q.fitted[linear].Outliers
	}), true
}

// storageOf is how a folder stores a linear layer of a scheme.
func storageOf(s quant.Scheme) checkpoint.Storage {
	storage := checkpoint.StorageOf(s.Format, checkpoint.PackQuantized)
	switch o := s.Outliers; {
	case o.Columns:
		storage.Outliers = checkpoint.OutlierColumns
	case o.Share > 0:
		storage.Outliers = checkpoint.OutlierEntries
	}
	return storage
}

func (q *Quantization) calibration() *Calibration { return &q.Calibration }

func (q *Quantization) gathering() *Gathering { return &q.Gathering }

// changes implements compression.
func (q *Quantization) changes(layer int, _ model.Site) bool {
	return q.Layers == nil || rounds(q.Layers[layer])
}

// passes implements compression: scales of a smoothing are found in a pass of its own.
func (q *Quantization) passes() []pass {
	if !q.Calibration.given() {
		return nil
	}
	last := pass{parallel: q.Gathering.Parallel, target: q.Gathering.Target, reads: q.changes, steps: q.Refine.Steps, doubles: q.doubles}
	if q.rotation != nil {
		last.of = "rotated"
	}
	if q.Smooth.None() {
		return []pass{last}
	}
	first := pass{parallel: true, reads: everywhere, of: last.of, doubles: q.searches}
	last.of += " smoothed"
	return []pass{first, last}
}

func (q *Quantization) plan(c model.Config) (model.Config, checkpoint.Storage, error) {
	c, err := q.open(c)
	if err != nil {
		return c, checkpoint.Storage{}, err
	}
	if q.frame, err = model.Skeleton(c); err != nil {
		return c, checkpoint.Storage{}, err
	}
	if q.Layers != nil {
		return q.planLayers(c)
	}
	frame := q.frame
	if q.fitted, err = quant.Uniform(q.Scheme).Schemes(frame); err != nil {
		expected := "a scheme that fits, such as " + strings.Join(quant.Fitting(frame), ", ")
		if q.Scheme.HasGroups() && !q.Scheme.Channel {
			expected = expectedGroups(frame)
		}
		return c, checkpoint.Storage{}, fmt.Errorf("--scheme %s: %w: expected %s", q.Scheme, err, expected)
	}
	return c, storageOf(q.fitted[0]), nil
}

// planLayers is plan of a scheme for each layer; the form is that of most linear layers.
func (q *Quantization) planLayers(c model.Config) (model.Config, checkpoint.Storage, error) {
	var most checkpoint.Storage
	if len(q.Layers) != len(c.Layers) {
		return c, most, fmt.Errorf("--layers has %s, expected one for each of %s", plural.Of(len(q.Layers), "scheme"), plural.Of(len(c.Layers), "layer"))
	}
	var err error
	if q.fitted, err = quant.OfLayers(q.Layers).Schemes(q.frame); err != nil {
		return c, most, fmt.Errorf("--layers: %w: expected %s", err, strings.ReplaceAll(expectedGroups(q.frame), "--group", "groups of"))
	}
	count := map[checkpoint.Storage]int{}
	for _, s := range q.fitted {
		storage := storageOf(s)
		if count[storage]++; count[storage] > count[most] {
			most = storage
		}
	}
	return c, most, nil
}

// expectedGroups says which groups a model can have.
func expectedGroups(m *model.Model) string {
	var fit []string
	for _, group := range quant.Groups(m) {
		fit = append(fit, strconv.Itoa(group))
	}
	if len(fit) == 0 {
		return "--group " + quant.ChannelGroup + ", or a scheme without groups, such as w8a8: no multiple of 8 divides all inputs"
	}
	return "--group " + strings.Join(fit, ", ") + " or " + quant.ChannelGroup
}

func (q *Quantization) compress(ctx context.Context, s *stream, sequences []calibrate.Sequence, r *Result) error {
	o := quant.Options{ChunkTokens: chunkTokens, Clip: q.Clip, Refine: q.Refine}
	// files of 16 bits hold scales of 16 bits, as other engines want them
	if s.dtype != checkpoint.F32 {
		o.Scales = kernels.BFloat16
	}
	plan := quant.Fixed(q.frame, q.fitted)
	layers, err := q.layers(ctx, s, transform.Options{Plan: plan, Scales: o.Scales}, sequences, r)
	if err != nil {
		return err
	}
	o.Statistics = s.statistics
	report, err := quant.Quantize(ctx, layers, plan, sequences, o, func(d quant.LinearDone) {
		l := d.Report
		text := fmt.Sprintf("%s: error of weights %.2e", l.Name, l.WeightError)
		if len(sequences) > 0 {
			text = fmt.Sprintf("%s: error of outputs %.2e", l.Name, l.Error)
		}
		s.progress(d.Done, d.Total, text)
	})
	if err != nil {
		return err
	}
	r.Quantization, r.Warnings = report, append(r.Warnings, report.Warnings...)
	if q.Layers == nil && q.Scheme.HasGroups() && q.Scheme.Format.Group == 0 && !q.Scheme.Channel {
		r.Notes = append(r.Notes, fmt.Sprintf("--group auto: groups of %d, which divide the inputs of all linear layers", q.fitted[0].Format.Group))
	}
	for _, s := range q.fitted {
		if text := s.Stored(); text != "" && !slices.Contains(r.Notes, text) {
			r.Notes = append(r.Notes, text)
		}
	}
	r.Notes = append(r.Notes, report.Notes...)
	r.noteUnimproved(q.Refine, report.Refined)
	return nil
}

// mostDamping is where the statistics are nearly gone: quantization tries no more either.
const mostDamping = quant.MostDamping

// checkDamping refuses a flag --damping that is no share of the mean diagonal.
func checkDamping(damping float64) error {
	if !(damping >= 0 && damping <= mostDamping) {
		return wrongDamping(damping)
	}
	return nil
}

// wrongDamping says it in the words of quantize.
func wrongDamping(damping float64) error {
	return fmt.Errorf("--damping is %g, expected a share of the mean diagonal of the statistics, above 0 and at most %d", damping, mostDamping)
}
