package run

import (
	"fmt"
	"math/rand/v2"

	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/lab/task"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/statistics"
)

// checkSource reports a source of calibration text that the task does not have.
func (d *dataset) checkSource(source string) error {
	_, err := d.Calibration(source, 1)
	return err
}

// Calibration says which text a step calibrates on.
type Calibration struct {
	Source  string `key:"source" default:"in-domain" names:"sources" doc:"where the text is from"`
	Samples int    `key:"samples" default:"512" min:"1" max:"1000000" doc:"number of sequences, each an example of the task; prune and quantize as commands take 128 windows of a text, which are longer"`
	Mode    string `key:"mode" default:"sequential" omit:"default" names:"modes" doc:"whose inputs a layer is calibrated on"`
	Target  string `key:"target" default:"own" omit:"default" doc:"what a linear layer is to reproduce: own, its outputs for its new inputs; dense, those of the dense model; or a share of the latter such as 50%"`
	BySeed  bool   `key:"by_seed" default:"false" omit:"default" doc:"draw other sequences for each seed; false: the same ones for all"`
}

// modes are the orders in which statistics are gathered.
var modes = []scenario.Name{
	{Name: "sequential", About: "those of the model as it becomes: a layer is calibrated behind those that were changed before"},
	{Name: "parallel", About: "those of the model as it was, for all layers; they are kept in the home for other steps"},
}

// target is the share of the dense model's outputs.
func (c Calibration) target() (float64, error) {
	share, err := calibrate.ParseTarget(c.Target)
	if err != nil {
		err = fmt.Errorf("is %q, %w", c.Target, err)
	}
	return share, err
}

// check reports settings that contradict each other.
func (c Calibration) check(bad func(key, with, format string, args ...any)) {
	share, err := c.target()
	switch {
	case err != nil:
		bad("calibration.target", "", "%v", err)
	case share > 0 && c.Mode == "parallel":
		bad("calibration.target", "calibration.mode", "is %s, and in mode parallel all inputs are the dense model's: expected target own, or mode sequential", c.Target)
	}
}

// settings are those of a pass over a model with some sequences. In parallel mode its statistics
// are kept in the home.
func (c Calibration) settings(w *worker, source *artifactModel, sequences [][]int32) calibrate.Settings {
	s := calibrate.Settings{Parallel: c.Mode == "parallel"}
	s.Target, _ = c.target() // Check has read it
	if s.Parallel {
		of := w.data.recipe("statistics", statisticsVersion)
		of.Inputs["model"], of.Inputs["sequences"] = source.key, calibrate.Sum(sequences)
		kept := statistics.New(w.run.home.StatisticsFolder(), of.Key(), true)
		kept.OnDamage = func(file string) {
			w.run.note(w.cell.ID, lab.Warning, file+" is damaged: the statistics that it held are gathered again")
		}
		s.Store = kept
	}
	return s
}

// statisticsVersion is that of what gathers statistics: raise it when they become others.
const statisticsVersion = 2

// noteKept says before the work what a step in parallel mode keeps in the home, of a model of a
// shape.
func (c Calibration) noteKept(w *worker, step string, shape model.Config, reads func(site model.Site) bool) {
	if c.Mode != "parallel" {
		return
	}
	most := statistics.Most(shape, func(_ int, site model.Site) bool { return reads(site) }, false)
	each := ""
	if c.BySeed && len(w.run.plan.Scenario.Seeds) > 1 {
		each = " for each seed"
	}
	w.run.noteOnce(lab.Info, fmt.Sprintf("%s: statistics of at most %.3g MB%s are kept in %s for other steps and runs; slimlab clean removes them", step, float64(most)/1e6, each, w.run.home.StatisticsFolder()))
}

// into adds the calibration to what an artifact is made of.
func (c Calibration) into(of *recipe.Recipe, seed int) {
	of.Parameters["calibration"] = recipe.Of(c)
	if c.BySeed {
		of.Seed = uint64(seed)
	}
}

// noteFew says where there are fewer calibration sequences than a step asks for.
func (c Calibration) noteFew(w *worker, step string) {
	if w.data.TrainSize() == 0 { // a world, which draws as many as are asked for
		return
	}
	if all, err := w.data.Calibration(c.Source, 0); err == nil && len(all) < c.Samples {
		w.run.noteOnce(lab.Info, fmt.Sprintf("%s: calibration.samples is %d, and there are %d calibration examples: all are used", step, c.Samples, len(all)))
	}
}

// calibration returns the token sequences to calibrate on.
func (d *dataset) calibration(c Calibration, seed int) ([][]int32, error) {
	examples, err := d.calibrationExamples(c, seed)
	if err != nil {
		return nil, err
	}
	sequences := make([][]int32, len(examples))
	for i, e := range examples {
		sequences[i] = e.Tokens
	}
	return sequences, nil
}

// calibrationExamples draws the examples. By seed, a world goes on where the seed before ended, and
// of a file those of a permutation are taken.
func (d *dataset) calibrationExamples(c Calibration, seed int) ([]task.Example, error) {
	switch {
	case !c.BySeed:
		return d.Calibration(c.Source, c.Samples)
	case d.TrainSize() == 0:
		const draws = 64 // that are told apart: all examples before are made too
		before := c.Samples * (((seed-1)%draws + draws) % draws)
		all, err := d.Calibration(c.Source, before+c.Samples)
		if err != nil {
			return nil, err
		}
		return all[before:], nil
	}
	all, err := d.Calibration(c.Source, 0)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(uint64(seed), 0))
	chosen := make([]task.Example, 0, min(c.Samples, len(all)))
	for _, i := range rng.Perm(len(all))[:cap(chosen)] {
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
