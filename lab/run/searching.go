package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
)

// search is a planned step that trains several times and keeps the best model.
type search struct {
	*worker
	step   scenario.Step
	keys   Search
	axes   []axis
	trials []*trial
	base   *training // with the step's own settings
	of     recipe.Recipe
	// validated is how many examples the validation loss is over, once the search works
	validated int
	done      int // steps that this run has trained
	total     int // that it has to train, as far as is known
	held      []func()
	best      *trial
	cut       string // why trials were left out as the search worked
}

// searchVersion is that of the choice between trials: raise it when another is made.
const searchVersion = 1

// search plans the trials of a step.
func (w *worker) search(ctx context.Context, s scenario.Step, work trainingWork, base *training) (*search, error) {
	x := &search{worker: w, step: s, keys: work.common().Search, base: base}
	wrong := func(err error) (*search, error) { return nil, keyError{"search.over", err} }
	var err error
	if x.axes, err = axesOf(x.keys.Over, work); err != nil {
		return wrong(err)
	}
	for i, values := range x.keys.trialValues(x.axes, base.seed) {
		t := &trial{search: x, number: i + 1, settings: settingsText(x.axes, values), values: values}
		own, err := withSettings(work, x.axes, values)
		if err != nil {
			return wrong(err)
		}
		step := s
		step.Work = own
		if t.training, err = own.training(ctx, w, step); err != nil {
			return nil, err
		}
		t.training.trial = t
		x.trials = append(x.trials, t)
	}
	if n := x.keys.size(x.axes); len(x.trials) < n {
		w.run.noteOnce(lab.Info, fmt.Sprintf("%s: the search draws %s and not %d: there are no more with three digits", s.Name, plural.Of(len(x.trials), "combination"), n))
	}
	if err := x.budget(); err != nil {
		return nil, err
	}
	x.unused(work)
	x.of = base.of
	x.of.Parameters = maps.Clone(base.of.Parameters)
	for _, a := range x.axes {
		drop(x.of.Parameters, a.Key) // the trials have others
	}
	texts := make([]string, len(x.axes))
	for i := range x.axes {
		texts[i] = x.axes[i].String()
	}
	keys := maps.Clone(x.of.Parameters["search"].(recipe.Values))
	keys["over"], keys["version"], keys["validation"] = strings.Join(texts, ";"), searchVersion, w.cell.Point.Evaluate.Validation
	x.of.Parameters["search"] = keys
	return x, nil
}

// drop removes a key, or a key of a section, which it copies.
func drop(values recipe.Values, key string) {
	section, within, nested := strings.Cut(key, ".")
	if !nested {
		delete(values, key)
		return
	}
	if of, ok := values[section].(recipe.Values); ok {
		of = maps.Clone(of)
		delete(of, within)
		values[section] = of
	}
}

// unused says which settings of the step the search replaces.
func (x *search) unused(work trainingWork) {
	for _, n := range scenario.Numbers(work) {
		at := slices.IndexFunc(x.axes, func(a axis) bool { return a.Key == n.Key })
		if at >= 0 && !n.Default() && n.Value() != 0 && !slices.Contains(x.axes[at].values, n.Value()) {
			x.run.noteOnce(lab.Info, fmt.Sprintf("%s: %s %s is not used: the search goes over %s", x.step.Name, n.Key, writtenNumber(n.Value()), x.axes[at].String()))
		}
	}
}

// budget leaves out the trials that do not fit into search.steps, and says so.
func (x *search) budget() error {
	if x.keys.Steps == 0 {
		return nil
	}
	var kept, left []*trial
	sum := 0
	for _, t := range x.trials {
		steps := t.training.keys.Steps
		fits := sum+steps <= x.keys.Steps
		if x.keys.Method == halving {
			fits = halvingCost(len(kept)+1, steps) <= x.keys.Steps
		}
		if fits {
			kept, sum = append(kept, t), sum+steps
		} else {
			left = append(left, t)
		}
	}
	if len(kept) == 0 {
		return keyError{"search.steps", fmt.Errorf("is %d, and no trial has as few steps: the first has %d", x.keys.Steps, x.trials[0].training.keys.Steps)}
	}
	if len(kept) == 1 && len(left) > 0 {
		return keyError{"search.steps", fmt.Errorf("is %d, into which %s fits and no other trial: there is nothing to choose, expected at least the %d that two of them take, or no search", x.keys.Steps, kept[0].settings, x.costOfTwo(kept[0], left))}
	}
	if len(left) > 0 {
		x.run.noteOnce(lab.Warning, fmt.Sprintf("%s: the search leaves out %d of %s, which do not fit into its %s: %s", x.step.Name, len(left), plural.Of(len(x.trials), "trial"), plural.Of(x.keys.Steps, "step"), namesOf(left)))
	}
	x.trials = kept
	for i, t := range kept {
		t.number = i + 1
	}
	return nil
}

// costOfTwo is the least number of steps that a trial takes together with one of others.
func (x *search) costOfTwo(first *trial, others []*trial) int {
	if x.keys.Method == halving {
		return halvingCost(2, first.training.keys.Steps)
	}
	least := slices.MinFunc(others, func(a, b *trial) int { return cmp.Compare(a.training.keys.Steps, b.training.keys.Steps) })
	return first.training.keys.Steps + least.training.keys.Steps
}

func namesOf(trials []*trial) string {
	const shown = 6
	if n := len(trials); n > shown {
		return namesOf(trials[:shown-1]) + fmt.Sprintf("; and %d more", n-shown+1)
	}
	names := make([]string, len(trials))
	for i, t := range trials {
		names[i] = t.settings
	}
	return strings.Join(names, "; ")
}

// cost is the number of steps of all trials.
func (x *search) cost() int {
	if x.keys.Method == halving {
		return halvingCost(len(x.trials), x.base.keys.Steps)
	}
	sum := 0
	for _, t := range x.trials {
		sum += t.training.keys.Steps
	}
	return sum
}

// job is the search as the work of its step.
func (x *search) job(ctx context.Context) job {
	model := stepModel(x.step, x.of, x.base.from.origin, x.base.from.shape)
	j := job{
		model: model, measures: x.measure, trials: len(x.trials),
		prepare: func() error { return x.work(ctx) }, prepares: x.base.prepares,
		build:  func(dir string) error { return x.copy(ctx, dir) },
		built:  x.forget,
		report: x.say,
		reused: func(dir string) error { return x.showCurves(x.step.Name, dir) },
	}
	weights := int64(model.shape.Parameters())
	if x.keys.Method == halving {
		// parameters, their moments and the best of each unfinished training, in float32
		j.bytes = 4 * 4 * weights * int64(len(x.trials))
		return j
	}
	j.bytes = 2 * weights * int64(len(x.trials)-1)
	if x.keys.Seconds == 0 {
		for _, t := range x.trials {
			j.makes = append(j.makes, t.training.of.Key())
		}
	}
	return j
}

// measure adds to a row how fast the best trial was, and what it was.
func (x *search) measure(dir string, row *measured) error {
	facts, err := readSearch(dir)
	if err != nil {
		return err
	}
	row.chosen = facts.Trials[0].Settings
	return x.base.measures(dir, row)
}

// work trains the trials and finds the best. What earlier runs have trained is found.
func (x *search) work(ctx context.Context) error {
	x.validated = len(x.base.data.validation(x.cell.Point.Evaluate.Validation))
	x.total = x.cost()
	find := x.whole
	if x.keys.Method == halving {
		find = x.halve
	}
	err := find(ctx)
	if err == nil && x.best == nil {
		err = x.allDiverged()
	}
	if err != nil {
		x.letGo()
		return fmt.Errorf("search: %w", err)
	}
	return nil
}

// letGo releases the models of the trials.
func (x *search) letGo() {
	for _, release := range x.held {
		release()
	}
	x.held = nil
}

// whole trains all trials to their ends.
func (x *search) whole(ctx context.Context) error {
	for i, t := range x.trials {
		if i > 0 && x.late() {
			x.cut = fmt.Sprintf("%d of %s %s not begun: %s", len(x.trials)-i, plural.Of(len(x.trials), "trial"), plural.Words(len(x.trials)-i, "was", "were"), namesOf(x.trials[i:]))
			break
		}
		if err := t.train(ctx, 0); err != nil {
			return fmt.Errorf("trial %d, %s: %w", t.number, t.settings, err)
		}
		t.rung = t.steps
	}
	if ranked := ranking(x.trials, false); len(ranked) > 0 && ranked[0].diverged == "" && ranked[0].rung > 0 {
		x.best = ranked[0]
	}
	return nil
}

// halve trains the trials to the first rung, the better half of them to the next, and so on
// (successive halving: Jamieson and Talwalkar, 2016). Where the one that is left diverges, the best
// of the others goes on.
func (x *search) halve(ctx context.Context) error {
	alive, before := x.trials, 0
	steps := rungs(len(x.trials), x.base.keys.Steps)
	for _, until := range steps[:len(steps)-1] {
		var reached []*trial
		for i, t := range alive {
			if x.late() && (before > 0 || len(reached) > 0) {
				x.cut = fmt.Sprintf("%d of %s %s not trained to step %d: %s", len(alive)-i, plural.Of(len(alive), "trial"), plural.Words(len(alive)-i, "was", "were"), until, namesOf(alive[i:]))
				break
			}
			if err := t.advance(ctx, before, until); err != nil {
				return fmt.Errorf("trial %d, %s: %w", t.number, t.settings, err)
			}
			if t.diverged == "" {
				t.rung = until
				reached = append(reached, t)
			}
		}
		if x.cut != "" {
			break
		}
		reached = ranking(reached, true)
		alive, before = reached[:min(len(reached), half(len(alive)))], until
	}
	for {
		candidates := slices.DeleteFunc(ranking(x.trials, true), func(t *trial) bool { return t.diverged != "" || t.rung == 0 && len(x.trials) > 1 })
		if len(candidates) == 0 {
			return nil
		}
		t := candidates[0]
		x.total = max(x.total, x.done+t.training.keys.Steps-t.rung)
		if err := t.train(ctx, t.rung); err != nil {
			return fmt.Errorf("trial %d, %s: %w", t.number, t.settings, err)
		}
		if t.diverged == "" {
			t.rung, x.best = t.training.keys.Steps, t
			return nil
		}
	}
}

// late reports whether the time of the search is spent.
func (x *search) late() bool {
	spent := 0.0
	for _, t := range x.trials {
		spent += t.seconds
	}
	return x.keys.Seconds > 0 && spent >= x.keys.Seconds
}

// ranking orders trials, the best first, equal ones by their numbers: those that came further, if
// that counts, by their validation loss, then those that diverged, then those that were not
// trained.
func ranking(trials []*trial, further bool) []*trial {
	class := func(t *trial) int {
		switch {
		case t.diverged != "":
			return 1
		case t.rung == 0:
			return 2
		}
		return 0
	}
	ranked := slices.Clone(trials)
	slices.SortStableFunc(ranked, func(a, b *trial) int {
		if c := cmp.Compare(class(a), class(b)); c != 0 || class(a) > 0 {
			return cmp.Or(c, cmp.Compare(a.number, b.number))
		}
		if c := cmp.Compare(b.rung, a.rung); further && c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(a.score(a.rung), b.score(b.rung)), cmp.Compare(a.number, b.number))
	})
	return ranked
}

func (x *search) allDiverged() error {
	texts := make([]string, 0, len(x.trials))
	for _, t := range x.trials {
		if t.diverged != "" {
			texts = append(texts, fmt.Sprintf("%s: %s", t.settings, strings.TrimPrefix(t.diverged, "train: ")))
		}
	}
	return fmt.Errorf("all %d trials diverged: expected a lower learning rate among them: %s", len(texts), strings.Join(texts, "; "))
}

// copy makes the search's artifact of the best trial's, whose files it shares.
func (x *search) copy(ctx context.Context, dir string) error {
	defer x.letGo()
	from, release, err := x.run.find(ctx, x.best.training.of.Key(), x.best.title())
	if err != nil {
		return err
	}
	defer release()
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !recipe.ModelFile(e) {
			continue
		}
		if err := linkFile(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	facts := searchFacts{Search: x.table()}
	if err := readFacts(from, &facts.trainFacts); err != nil {
		return err
	}
	if err := writeFacts(dir, facts); err != nil {
		return err
	}
	return x.showCurves(x.step.Name, dir)
}

// linkFile gives a file a second name, or copies it where the file system has no links.
func linkFile(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// forget removes the states of the trials once the search is done.
func (x *search) forget() {
	for _, t := range x.trials {
		x.run.forgetState(t.training.of)
	}
}
