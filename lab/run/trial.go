package run

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"slimlab/kd"
	"slimlab/lab/store"
)

// trial is one training of a search.
type trial struct {
	search   *search
	number   int    // from 1
	settings string // "learning_rate=0.002 ce=0"
	values   []float64
	training *training

	from, until int // the part that is being trained
	// what is known of it
	steps     int
	seconds   float64
	curves    []keptCurve
	diverged  string // the error with which it ended
	completed bool   // it came to its end
	// rung is the step up to which it was compared with others; 0 where it was not
	rung int
}

// begin says from which step the training goes on.
func (t *trial) begin(step int) {
	s := t.search
	s.total -= max(0, step-t.from) // an earlier run has trained these
	t.from = max(t.from, step)
}

// show reports how far the search is.
func (t *trial) show(step int, text string) {
	s := t.search
	s.progress(s.done+max(0, step-t.from), s.total, t.text(text))
}

// text names the trial before what is said of it.
func (t *trial) text(text string) string {
	of := fmt.Sprintf("trial %d of %d: %s", t.number, len(t.search.trials), t.settings)
	if t.until < t.training.keys.Steps {
		of += fmt.Sprintf(", to step %d", t.until)
	}
	if text != "" {
		of += "; " + text
	}
	return of
}

// part begins a part of the trial, and returns what counts it as done.
func (t *trial) part(before, until int) (end func()) {
	t.from, t.until = before, until
	return func() {
		s := t.search
		reached := min(max(t.steps, t.from), until)
		s.done += reached - t.from
		s.total -= until - reached // it stopped early, or was there
	}
}

// title names the artifact of the trial.
func (t *trial) title() string { return t.search.step.Kind + " " + t.training.name() }

// serves reports whether a trained model has the validation losses that the search compares.
func (t *trial) serves(dir string) bool {
	var facts trainFacts
	return readFacts(dir, &facts) == nil && facts.Validated == t.search.validated && !math.IsNaN(t.scoreOf(facts.Curves, math.MaxInt))
}

// train trains the trial to its end, or finds its model. The artifact is in use until the search
// ends.
func (t *trial) train(ctx context.Context, before int) error {
	r := t.search.run
	defer t.part(before, t.training.keys.Steps)()
	here := false
	a, err := r.artifactThat(ctx, t.training.of, t.title(), t.serves, func(dir string) error {
		here = true
		if err := t.training.prepare(ctx); err != nil {
			return err
		}
		return r.compute(func() error { return t.training.build(ctx, dir) })
	})
	if ended, err := t.ended(ctx, err); ended || err != nil {
		return err
	}
	t.search.held = append(t.search.held, a.release)
	if err := t.read(a.dir); err != nil {
		return err
	}
	if !here {
		t.begin(t.steps)
	}
	return nil
}

// advance trains the trial to a step before its end, or finds that it was there already.
func (t *trial) advance(ctx context.Context, before, until int) error {
	r, key := t.search.run, t.training.of.Key()
	defer t.part(before, until)()
	defer r.building.lock(key)()
	done, err := r.makesAlone(ctx, key, t.title())
	if err != nil {
		return err
	}
	defer done()
	a, err := r.foundThat(ctx, t.training.of, t.title(), t.serves)
	if err == nil {
		defer a.release()
		if err := t.read(a.dir); err != nil {
			return err
		}
		t.begin(min(t.steps, until))
		return nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	known, err := t.state(ctx)
	if err != nil {
		return err
	}
	if known && t.steps >= until {
		t.begin(until)
		return nil
	}
	if err := t.training.prepare(ctx); err != nil {
		return err
	}
	err = r.compute(func() error { return t.training.advance(ctx, until) })
	if ended, err := t.ended(ctx, err); ended || err != nil {
		return err
	}
	if known, err = t.state(ctx); err == nil && !known {
		err = fmt.Errorf("the state of trial %d is gone: another process has removed it", t.number)
	}
	return err
}

// read takes over what a trained model knows of its training.
func (t *trial) read(dir string) error {
	var facts trainFacts
	if err := readFacts(dir, &facts); err != nil {
		return err
	}
	t.seconds, t.curves, t.completed = facts.Seconds, facts.Curves, true
	if validation := curveNamed(facts.Curves, "validation"); validation != nil {
		t.steps = validation.Steps[len(validation.Steps)-1] // after the last step there is one
	}
	return nil
}

// state takes over what the state of the unfinished training knows; false where there is none.
func (t *trial) state(ctx context.Context) (known bool, err error) {
	r, of := t.search.run, stateRecipe(t.training.of)
	if r.ignores(of) {
		return false, nil
	}
	dir, release, err := r.find(ctx, of.Key(), "state of the training of "+t.training.name())
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer release()
	var facts stateFacts
	if err := readFacts(dir, &facts); err != nil || facts.Validated != t.search.validated {
		return false, nil // the training says what is wrong with it
	}
	t.steps, t.seconds, t.curves, t.diverged = facts.Step, facts.Seconds, facts.Curves, facts.Diverged
	return true, nil
}

// ended reports whether the training has diverged, and keeps that. Any other error is returned.
func (t *trial) ended(ctx context.Context, failed error) (bool, error) {
	if failed == nil {
		return false, nil
	}
	if ctx.Err() != nil || !errors.Is(failed, kd.ErrDiverged) {
		return false, failed
	}
	if _, err := t.state(ctx); err != nil {
		return false, err
	}
	t.diverged = failed.Error() // also where it could not be kept
	return true, nil
}

// score is the validation loss after so many steps: with keep_best the lowest until then, else the
// last. It is NaN where there is none.
func (t *trial) score(steps int) float64 { return t.scoreOf(t.curves, steps) }

func (t *trial) scoreOf(curves []keptCurve, steps int) float64 {
	score := math.NaN()
	validation := curveNamed(curves, "validation")
	if validation == nil || len(validation.Steps) != len(validation.Values) {
		return score
	}
	for i, step := range validation.Steps {
		x := float64(validation.Values[i])
		if step <= steps && (!t.training.keys.KeepBest || !(score <= x)) {
			score = x
		}
	}
	return score
}

func curveNamed(curves []keptCurve, name string) *keptCurve {
	at := slices.IndexFunc(curves, func(c keptCurve) bool { return c.Name == name })
	if at < 0 {
		return nil
	}
	return &curves[at]
}
