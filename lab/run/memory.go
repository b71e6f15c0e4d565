package run

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"slimlab/kernels/machine"
	"slimlab/lab"
	"slimlab/lab/convert"
	"slimlab/lab/scenario"
	"slimlab/model"
)

// checkMemory reports work that needs more memory than the machine has. Without it the process
// would be ended by the system in the middle of a run.
func checkMemory(needs, has int64) error {
	if has == 0 || needs <= has {
		return nil
	}
	return fmt.Errorf("needs at least %.3g GB of memory, and this machine has %.3g GB", float64(needs)/1e9, float64(has)/1e9)
}

// checkTrainable reports a model that cannot be trained in this machine's memory: its weights,
// their gradients and the two moments of the optimizer, in float32.
func checkTrainable(name string, c model.Config) error {
	if err := checkMemory(4*4*int64(c.Parameters()), machine.Memory()); err != nil {
		return fmt.Errorf("training %s with its %d parameters %w", name, c.Parameters(), err)
	}
	return nil
}

// checkMemory reports calibration text whose activations, a layer's inputs in float32, do not fit
// in this machine's memory.
func (c Calibration) checkMemory(d *dataset, shape model.Config) error {
	needs := 4 * int64(c.Samples) * int64(d.longest) * int64(shape.Hidden)
	if err := checkMemory(needs, machine.Memory()); err != nil {
		most := machine.Memory() / (4 * int64(max(1, d.longest)) * int64(shape.Hidden))
		return keyError{"calibration.samples", fmt.Errorf("is %d, which %w: expected at most %d", c.Samples, err, most)}
	}
	return nil
}

// freeMemory returns what refuses the work of a step on a model of a shape for which too little
// memory is free, with the most samples that fit. Where the longest example might be the cause, the
// sequences are counted as they are.
func (c Calibration) freeMemory(w *worker, shape model.Config, work convert.InPlace) func(free int64) error {
	return func(free int64) error {
		target, err := c.target()
		if err != nil {
			return err
		}
		work.Target, work.Parallel, work.Length = target, c.Mode == "parallel", w.data.longest
		needs := func(samples int) int64 {
			work.Samples = samples
			return work.Memory(shape).Total()
		}
		if needs(c.Samples) <= free {
			return nil
		}
		sequences, err := w.data.calibration(c, w.cell.Seed)
		if err != nil {
			return err
		}
		tokens := 0
		for _, s := range sequences {
			tokens += len(s)
		}
		n := max(1, len(sequences))
		if work.Length = (tokens + n - 1) / n; needs(n) <= free {
			return nil
		}
		advice := "free some, take a machine with more, or use the verbs, which hold one layer at a time"
		if fits := sort.Search(n, func(i int) bool { return needs(i+1) > free }); fits > 0 {
			advice = fmt.Sprintf("expected at most %d", fits)
		}
		return keyError{"calibration.samples", fmt.Errorf("is %d: %w: found %.3g GB, and the step needs at least %.3g GB: %s", c.Samples, convert.ErrNoMemory, float64(free)/1e9, float64(needs(n))/1e9, advice)}
	}
}

// checkFree refuses a step whose work has yet to be done and finds too little memory free. A Check,
// which may be for another time or machine, warns alone.
func (r *Run) checkFree(ctx context.Context, w *worker, s scenario.Step, j job) error {
	if j.memory == nil {
		return nil
	}
	find := r.options.Memory
	if find == nil {
		find = machine.FreeMemory
	}
	free := find()
	if free == 0 {
		return ctx.Err()
	}
	err := j.memory(free)
	if err == nil || !errors.Is(err, convert.ErrNoMemory) {
		return err
	}
	if r.readOnly {
		r.noteOnce(lab.Warning, fmt.Sprintf("%s: a run would be refused now: %v", s.Name, err))
		return nil
	}
	return w.planError(s, err)
}
