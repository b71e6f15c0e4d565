package run

import (
	"context"
	"errors"
	"fmt"

	"slimlab/lab"
	"slimlab/lab/convert"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/model/calibrate"
	"slimlab/pruning"
)

// planDepth plans a step that removes whole layers.
func (p *Prune) planDepth(ctx context.Context, w *worker, s scenario.Step, source *artifactModel, cut pruning.Cut) (job, error) {
	keep, err := cut.KeptLayers(len(source.shape.Layers))
	if err != nil {
		return job{}, keyError{"layers", fmt.Errorf("is %s: %w", p.Layers, err)}
	}
	if err := errors.Join(w.data.checkSource(p.Calibration.Source), p.Calibration.checkMemory(w.data, source.shape)); err != nil {
		return job{}, err
	}
	if text := cut.CountOfLayers(len(source.shape.Layers)); text != "" {
		w.run.noteOnce(lab.Info, s.Name+": "+text)
	}
	p.Calibration.noteFew(w, s.Name)
	of := w.data.recipe(s.Kind, pruneVersion)
	of.Inputs["model"], of.Parameters = source.key, recipe.Values{"layers": keep}
	p.Calibration.into(&of, w.cell.Seed)
	return job{
		// which layers stay is known when they have been measured
		model:  stepModel(s, of, source.origin, withLayers(source.shape, source.shape.Layers[:keep])),
		memory: p.Calibration.freeMemory(w, source.shape, convert.InPlace{Depth: true}),
		build:  func(dir string) error { return p.buildDepth(ctx, w, source, keep, dir) },
		report: func(dir string) error { return p.reportDepth(w, s.Name, dir) },
	}, nil
}

func (p *Prune) buildDepth(ctx context.Context, w *worker, source *artifactModel, keep int, dir string) error {
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
	report, err := pruning.ChooseLayers(ctx, layers, sequences, keep, func(done, total int) { w.progress(done, total, "") })
	if err != nil {
		return err
	}
	small, err := report.Apply(m)
	if err != nil {
		return err
	}
	return saveModel(ctx, dir, small, w.data, report)
}

// reportDepth says which layers went.
func (p *Prune) reportDepth(w *worker, name, dir string) error {
	var report pruning.DepthReport
	if err := readFacts(dir, &report); err != nil {
		return err
	}
	w.run.note(w.cell.ID, lab.Info, name+": "+report.Summary())
	return nil
}
