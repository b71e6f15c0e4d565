package run

import (
	"slices"

	"slimlab/internal/visible"
	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/rollout"
)

const (
	// samplesShown bounds how often a training shows what is written, beside its first and its last
	// step: all that is shown is a part of the run's log.
	samplesShown = 18
	// samplesAtOnce is how many answers are shown then.
	samplesAtOnce = 4
)

// keptSample is an answer of a training as it is kept with the model.
type keptSample struct {
	Step int `json:"step"`
	lab.Sample
}

// written shows a few of the answers that a training's models write, and keeps them.
type written struct {
	every int // steps, in which answers are shown once
	both  bool
	text  func(tokens []int32) string
	show  func(keptSample)
	list  []keptSample
}

// newWritten shows answers of a training of so many steps.
func (t *training) newWritten(steps int) *written {
	w := &written{every: max(1, (steps+samplesShown-1)/samplesShown), both: t.samples.Speculative > 0, text: t.data.visibleText, show: t.sample}
	if t.trial != nil { // those of the best trial are shown at the end
		w.show = func(keptSample) {}
	}
	return w
}

// add shows the answers of a step where it is the first, the last, or the first with answers of
// those up to the next multiple of every.
func (w *written) add(s *rollout.Sampler, step, total int) {
	all := s.StepSamples()
	if n := len(w.list); len(all) == 0 || n > 0 && step/w.every == w.list[n-1].Step/w.every && step < total {
		return
	}
	for _, one := range bothWriters(all, samplesAtOnce) {
		kept := keptSample{step, lab.Sample{Prompt: w.text(one.Prompt), Answer: w.text(one.Answer), Tokens: len(one.Answer), Ended: one.Ended, By: lab.ByStudent}}
		switch {
		case one.Origin == kd.OfTeacher:
			kept.By = lab.ByTeacher
		case w.both:
			kept.By = lab.ByBoth
		}
		if one.Ended { // the end token is told, not written
			kept.Answer = w.text(one.Answer[:len(one.Answer)-1])
		}
		kept.Cut()
		w.put(kept)
	}
}

// put shows an answer, and keeps it.
func (w *written) put(one keptSample) {
	w.list = append(w.list, one)
	w.show(one)
}

// bothWriters chooses at most n samples, of the teacher half where there are enough of both.
func bothWriters(all []rollout.Sample, n int) []rollout.Sample {
	of := map[kd.Origin][]rollout.Sample{}
	for _, s := range all {
		of[s.Origin] = append(of[s.Origin], s)
	}
	student, teacher := of[kd.OfStudent], of[kd.OfTeacher]
	most := min(len(teacher), max(n/2, n-len(student)))
	return slices.Concat(student[:min(len(student), n-most)], teacher[:most])
}

// visibleText is what tokens stand for together; control characters and bytes that are no UTF-8 are
// escapes.
func (d *dataset) visibleText(ids []int32) string {
	return visible.Text(string(d.tokensText(ids)))
}

func (w *worker) sample(one keptSample) {
	w.run.emit(lab.Event{Kind: lab.KindSample, Cell: w.cell.ID, Stage: w.stage, Step: one.Step, Sample: &one.Sample})
}

// showSamples emits the answers that are kept with a step's model. A model that has learned from
// sampled answers and has none says so.
func (w *worker) showSamples(name string, facts *trainFacts) {
	sampled := slices.ContainsFunc(facts.Curves, func(c keptCurve) bool { return c.Name == "ended" })
	if sampled && len(facts.Samples) == 0 {
		w.run.noteOnce(lab.Info, name+": no sample is shown: the model is of an earlier version, which kept none")
	}
	for _, one := range facts.Samples {
		w.sample(one)
	}
}
