package run

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"slimlab/internal/plural"
	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/rollout"
	"slimlab/lab/store"
)

const (
	// saveEvery is how much work of a training can be lost.
	saveEvery = 30 * time.Second
	// saveLeast is how much work is worth a state when a training ends before its last step.
	saveLeast = 5 * time.Second

	stateFile    = "trainer.state"
	samplerFile  = "sampler.state"
	stateVersion = 1
)

// trainingState keeps the state of a training between two steps as an artifact of its own, so that
// a run that is stopped or killed goes on from there: to the same bits. It is removed with the
// training's end.
type trainingState struct {
	worker  *worker
	name    string // of the training
	of      recipe.Recipe
	trainer *kd.Trainer
	sampler *rollout.Sampler // nil where its samples depend on no earlier ones
	curves  *curves
	kept    *keptCurves
	shown   *written
	saved   time.Time // or begun
	step    int       // that is saved
	trial   bool      // of a search, which compares validation losses
	// validated is how many examples the validation curve is over; 0 is none, or not the same
	// number everywhere
	validated int
}

// stateFacts are stored beside a trainer's state.
type stateFacts struct {
	Step    int         `json:"step"`
	Seconds float64     `json:"seconds"`
	Curves  []keptCurve `json:"curves"`
	// Samples is nil in states of earlier versions.
	Samples []keptSample `json:"samples,omitempty"`
	// the sums of the points that are not complete yet
	Loss       curveValue `json:"loss"`
	Divergence curveValue `json:"divergence"`
	Hidden     curveValue `json:"hidden"`
	Steps      curveValue `json:"steps"`
	// Told is absent of states of earlier versions, in which all steps have a divergence, or none
	Told      *curveValue `json:"told,omitempty"`
	Validated int         `json:"validated,omitempty"` // as in trainFacts
	// Diverged is the error with which the next step ended: there is no state to go on from.
	Diverged string `json:"diverged,omitempty"`
}

// divergedError is the kept error of a training that diverged.
type divergedError string

func (e divergedError) Error() string { return string(e) }
func (e divergedError) Unwrap() error { return kd.ErrDiverged }

// stateRecipe names the state of the training that makes an artifact.
func stateRecipe(of recipe.Recipe) recipe.Recipe {
	return recipe.Recipe{Stage: "training-state", Version: stateVersion, Inputs: map[string]string{"training": of.Key()}}
}

func (t *training) trainingState(trainer *kd.Trainer, sampler *rollout.Sampler, c *curves, kept *keptCurves, shown *written) *trainingState {
	s := &trainingState{
		worker: t.worker, name: t.name(), trial: t.trial != nil, of: stateRecipe(t.of),
		trainer: trainer, curves: c, kept: kept, shown: shown, saved: t.run.options.Now(),
	}
	if t.samples.Replay {
		s.sampler = sampler
	}
	return s
}

func (s *trainingState) title() string { return "state of the training of " + s.name }

// restore goes on where an earlier run stood, and returns how long it had taken. A state that
// cannot be used is said, and the training begins anew.
func (s *trainingState) restore(ctx context.Context) (took time.Duration, err error) {
	w := s.worker
	if w.run.ignores(s.of) {
		return 0, nil
	}
	dir, release, err := w.run.find(ctx, s.of.Key(), s.title())
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer release()
	facts, err := s.read(dir)
	var diverged divergedError
	switch {
	case errors.As(err, &diverged) && s.trial:
		return 0, diverged
	case errors.As(err, &diverged): // by a validation that this training may not have
		return 0, nil
	case err != nil:
		w.run.note(w.cell.ID, lab.Warning, fmt.Sprintf("%s: the state of an unfinished training cannot be used, it begins anew: %v", s.name, err))
		return 0, nil
	}
	if _, ours := w.run.built.Load(s.of.Key()); !ours {
		w.run.note(w.cell.ID, lab.Info, fmt.Sprintf("%s: goes on after step %d, where an unfinished training stood", s.name, facts.Step))
	}
	s.step = facts.Step
	if facts.Validated != s.validated {
		s.validated = 0
	}
	for _, c := range facts.Curves {
		for i, step := range c.Steps {
			s.curves.point(c.Name, step, float64(c.Values[i]))
		}
	}
	for _, one := range facts.Samples {
		s.shown.put(one)
	}
	s.curves.loss, s.curves.divergence, s.curves.states, s.curves.steps = float64(facts.Loss), float64(facts.Divergence), float64(facts.Hidden), float64(facts.Steps)
	switch {
	case facts.Told != nil:
		s.curves.told = float64(*facts.Told)
	case facts.Divergence != 0 && !math.IsNaN(float64(facts.Divergence)):
		s.curves.told = float64(facts.Steps)
	default:
		s.curves.divergence = 0
	}
	return time.Duration(facts.Seconds * float64(time.Second)), nil
}

// read restores the trainer and the sampler from a folder; with an error the trainer is as it was.
func (s *trainingState) read(dir string) (facts stateFacts, err error) {
	if err := readFacts(dir, &facts); err != nil {
		return facts, err
	}
	for _, c := range facts.Curves {
		if len(c.Steps) != len(c.Values) {
			return facts, fmt.Errorf("curve %s has %s and %s", c.Name, plural.Of(len(c.Steps), "step"), plural.Of(len(c.Values), "value"))
		}
	}
	switch {
	case s.trial && facts.Validated != s.validated:
		return facts, fmt.Errorf("its validation loss is over %s, expected %d", plural.Of(facts.Validated, "example"), s.validated)
	case facts.Diverged != "":
		return facts, divergedError(facts.Diverged)
	}
	if s.sampler != nil {
		if err := readState(filepath.Join(dir, samplerFile), s.sampler.Restore); err != nil {
			return facts, err
		}
	}
	return facts, readState(filepath.Join(dir, stateFile), s.trainer.Restore)
}

func readState(name string, restore func(io.Reader) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return restore(bufio.NewReader(f))
}

func writeState(name string, save func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(save(f), f.Close())
}

// tick saves the state when it is time and returns how long that took.
func (s *trainingState) tick(took time.Duration) time.Duration {
	if s.trainer.Done() || s.worker.run.options.Now().Sub(s.saved) < saveEvery {
		return 0
	}
	start := time.Now()
	s.save(took)
	return time.Since(start)
}

// keep saves the state of a training that ends before its last step; always also says that of one
// that has taken next to no time, such as where each step waits for an endpoint that others share.
func (s *trainingState) keep(took time.Duration, always bool) {
	if step := s.trainer.Result().Last.Step; step > s.step && (always || s.worker.run.options.Now().Sub(s.saved) >= saveLeast) {
		s.save(took)
	}
}

// facts are those of the trainer's state.
func (s *trainingState) facts(took time.Duration) stateFacts {
	told := curveValue(s.curves.told)
	return stateFacts{
		Step: s.trainer.Result().Last.Step, Seconds: took.Seconds(), Curves: s.kept.list, Samples: s.shown.list,
		Loss: curveValue(s.curves.loss), Divergence: curveValue(s.curves.divergence), Hidden: curveValue(s.curves.states), Steps: curveValue(s.curves.steps), Told: &told,
		Validated: s.validated,
	}
}

// save writes the state in place of the one before. A state that cannot be written is said: the
// training goes on without.
func (s *trainingState) save(took time.Duration) {
	facts := s.facts(took)
	err := s.write(facts, func(dir string) error {
		if err := writeState(filepath.Join(dir, stateFile), s.trainer.Save); err != nil {
			return err
		}
		if s.sampler != nil {
			return writeState(filepath.Join(dir, samplerFile), s.sampler.Save)
		}
		return nil
	})
	w := s.worker
	s.saved = w.run.options.Now()
	if err != nil {
		w.run.noteOnce(lab.Warning, fmt.Sprintf("%s: the state of the training cannot be kept: a run that is stopped begins it anew: %v", s.name, err))
		return
	}
	s.step = facts.Step
}

// diverged keeps that the training ends here, so that no run of its search tries it again.
func (s *trainingState) diverged(took time.Duration, end error) {
	facts := s.facts(took)
	facts.Diverged = end.Error()
	if err := s.write(facts, func(string) error { return nil }); err != nil {
		s.worker.run.noteOnce(lab.Warning, fmt.Sprintf("%s: that it diverged cannot be kept: a run that is stopped tries it again: %v", s.name, err))
	}
}

// write makes the artifact of the state.
func (s *trainingState) write(facts stateFacts, files func(dir string) error) error {
	r := s.worker.run
	_, err := r.home.Artifacts.Replace(s.of, store.Label{Title: s.title(), Program: r.home.Version}, func(dir string) error {
		if err := files(dir); err != nil {
			return err
		}
		return writeFacts(dir, facts)
	})
	if err == nil {
		r.built.Store(s.of.Key(), true)
	}
	return err
}

// forgetState removes the state of a training that is finished.
func (r *Run) forgetState(of recipe.Recipe) {
	if err := r.home.Artifacts.Remove(stateRecipe(of).Key()); err != nil && !errors.Is(err, store.ErrNotFound) {
		r.noteOnce(lab.Info, fmt.Sprintf("the state of a finished training is left: %v", err))
	}
}
