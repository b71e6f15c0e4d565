package run

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"slimlab/lab/scenario"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/quant"
)

// Quantize stores the weights in fewer bits.
type Quantize struct {
	Scheme      string      `key:"scheme" required:"true" names:"schemes" doc:"number format and rounding method; the size of the groups may follow, such as w4a16-g64, in place of group"`
	Group       int         `key:"group" default:"32" min:"1" max:"65536" doc:"inputs that share a scale, in schemes with groups"`
	Calibration Calibration `key:"calibration" doc:"calibration text of GPTQ"`
}

// quantizeVersion is that of the code below and of package quant: raise it when they compute other
// weights.
const quantizeVersion = 5

var aboutSchemes = map[string]string{
	"none":                "float weights, unchanged",
	"w8a8":                "int8 weights and activations, rounded to nearest",
	"w8a8-rtn":            "the same as w8a8",
	"w8a8-gptq":           "int8 weights and activations, rounded by GPTQ",
	"w8a8-gptq-act":       "w8a8-gptq with columns in order of activation",
	"w4a16":               "int4 weights in groups, float activations, rounded by GPTQ",
	"w4a16-rtn":           "int4 weights in groups, float activations, rounded to nearest",
	"w4a16-gptq":          "the same as w4a16",
	"w4a16-gptq-act":      "w4a16-gptq with columns in order of activation",
	"w4a16-asym":          "the same as w4a16-asym-gptq",
	"w4a16-asym-rtn":      "int4 weights in groups with zero points, float activations, rounded to nearest",
	"w4a16-asym-gptq":     "int4 weights in groups with zero points, float activations, rounded by GPTQ",
	"w4a16-asym-gptq-act": "w4a16-asym-gptq with columns in order of activation",
	"w4a8":                "int4 weights in groups, int8 activations, rounded by GPTQ",
	"w4a8-rtn":            "int4 weights in groups, int8 activations, rounded to nearest",
	"w4a8-gptq":           "the same as w4a8",
	"w4a8-gptq-act":       "w4a8-gptq with columns in order of activation",
	"fp8":                 "the same as fp8-dynamic",
	"fp8-dynamic":         "FP8 (E4M3) weights with a scale per row, rounded to nearest",
}

// Describe says what the step does.
func (q *Quantize) Describe(from string) string {
	return fmt.Sprintf("quantize %s to %s", from, q.Scheme)
}

// Packs reports whether the step leaves quantized weights.
func (q *Quantize) Packs() bool { return q.Scheme != "none" }

func (q *Quantize) plan(ctx context.Context, w *worker, s scenario.Step) (job, error) {
	scheme, err := q.scheme()
	if err != nil {
		return job{}, err
	}
	source, err := w.weights(s.From)
	if err == nil {
		err = source.checkFloat("quantized")
	}
	if err == nil {
		err = q.checkShape(scheme, source.shape)
	}
	if err != nil {
		return job{}, err
	}
	of := w.data.recipe(s.Kind, quantizeVersion)
	of.Inputs["model"], of.Parameters["scheme"] = source.key, scheme.String()
	if scheme.Calibrated() { // rounding to nearest needs no data
		if err := errors.Join(w.data.checkSource(q.Calibration.Source), q.Calibration.checkMemory(w.data, source.shape)); err != nil {
			return job{}, err
		}
		q.Calibration.noteFew(w, s.Name)
		q.Calibration.into(&of, w.cell.Seed)
	}
	return job{
		model:  stepModel(s, of, source.origin, source.shape),
		build:  func(dir string) error { return q.build(ctx, w, source, scheme, dir) },
		report: func(dir string) error { return q.report(w, dir) },
	}, nil
}

// scheme is the one that is named, in groups of the step's size where it has groups.
func (q *Quantize) scheme() (quant.Scheme, error) {
	scheme, err := quant.ParseScheme(q.Scheme)
	if scheme.Format.Bits == 4 && scheme.Format.Group == 0 {
		scheme.Format.Group = q.Group
	}
	return scheme, err
}

// groupMultiple is what a group's size is a multiple of, in all kernels.
const groupMultiple = 8

// Check implements scenario.Checker. A group that the scheme's name ends with is the step's.
func (q *Quantize) Check(given func(key string) bool, bad func(key, with, format string, args ...any)) {
	q.Calibration.check(bad)
	base, ending, named := quant.CutGroup(q.Scheme)
	if !named {
		if scheme, err := q.scheme(); err == nil && scheme.Format.Group%groupMultiple != 0 {
			bad("group", "", "is %d, expected a multiple of %d such as 32, 64 or 128", q.Group, groupMultiple)
		}
		return
	}
	group, err := strconv.Atoi(ending)
	switch {
	case err != nil || group == 0 || group%groupMultiple != 0:
		bad("scheme", "", "is %s with groups of %s, expected a multiple of %d such as %s-g32, %[4]s-g64 or %[4]s-g128", q.Scheme, ending, groupMultiple, base)
	case given("group") && q.Group != group:
		bad("group", "scheme", "is %d, and its scheme %s has groups of %d: leave group out, or write scheme: %s", q.Group, q.Scheme, group, base)
	default:
		q.Group = group
	}
}

// checkShape reports a scheme that a model of a shape cannot have. Groups that do not divide its
// widths are an error with those that do.
func (q *Quantize) checkShape(scheme quant.Scheme, c model.Config) error {
	frame, err := model.Skeleton(c)
	if err != nil {
		return err
	}
	_, err = quant.Uniform(scheme).Schemes(frame)
	if err == nil || scheme.Format.Group == 0 {
		return err
	}
	var fit []string
	for _, group := range quant.Groups(frame) {
		fit = append(fit, strconv.Itoa(group))
	}
	key, value := "group", strconv.Itoa(q.Group)
	if _, _, named := quant.CutGroup(q.Scheme); named {
		key, value = "scheme", q.Scheme
	}
	if len(fit) == 0 {
		return keyError{key, fmt.Errorf("is %s: %w; no multiple of %d divides all inputs: w8a8 and fp8 need no groups", value, err, groupMultiple)}
	}
	expected := fit[len(fit)-1]
	if n := len(fit) - 1; n > 0 {
		expected = strings.Join(fit[:n], ", ") + " or " + expected
	}
	return keyError{key, fmt.Errorf("is %s: %w; expected groups of %s", value, err, expected)}
}

func (q *Quantize) build(ctx context.Context, w *worker, source *artifactModel, scheme quant.Scheme, dir string) error {
	var sequences [][]int32
	if scheme.Calibrated() {
		var err error
		if sequences, err = w.data.calibration(q.Calibration, w.cell.Seed); err != nil {
			return err
		}
	}
	m, err := source.load(ctx)
	if err != nil {
		return err
	}
	layers, err := calibrate.NewInMemory(m)
	if err != nil {
		return err
	}
	report, err := quant.Quantize(ctx, layers, quant.Uniform(scheme), sequences, quant.Options{Statistics: q.Calibration.settings(w, source, sequences)}, func(d quant.LinearDone) { w.progress(d.Done, d.Total, "") })
	if err != nil {
		return err
	}
	return saveModel(ctx, dir, layers.Compressed(), w.data, report)
}

func (q *Quantize) report(w *worker, dir string) error {
	var report quant.RoundingReport
	if err := readFacts(dir, &report); err != nil {
		return err
	}
	w.warnings(report.Warnings)
	return nil
}
