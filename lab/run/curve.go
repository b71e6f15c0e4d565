package run

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"slimlab/internal/plural"
	"slimlab/kd"
	"slimlab/lab"
)

// keptCurve is a curve of a training as it is kept with the model, all its points as they were
// emitted.
type keptCurve struct {
	Name   string       `json:"name"` // "loss", "divergence", "validation", "ended", "length" or "repeated"
	Steps  []int        `json:"steps"`
	Values []curveValue `json:"values"`
}

// curveValue is a value that JSON carries bit for bit: what is not finite is a text.
type curveValue float64

func (x curveValue) MarshalJSON() ([]byte, error) {
	text := strconv.FormatFloat(float64(x), 'g', -1, 64)
	if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
		return json.Marshal(text)
	}
	return []byte(text), nil
}

func (x *curveValue) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	value, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return fmt.Errorf("a curve has the value %s, expected a number", text)
	}
	*x = curveValue(value)
	return nil
}

// keptCurves collects the points of a training, in order of the curves' first points.
type keptCurves struct{ list []keptCurve }

func (k *keptCurves) add(name string, step int, value float64) {
	at := slices.IndexFunc(k.list, func(c keptCurve) bool { return c.Name == name })
	if at < 0 {
		at = len(k.list)
		k.list = append(k.list, keptCurve{Name: name})
	}
	c := &k.list[at]
	c.Steps, c.Values = append(c.Steps, step), append(c.Values, curveValue(value))
}

// showCurves emits the curves and the samples that are kept with a step's model, as its training
// had emitted them.
func (w *worker) showCurves(name, dir string) error {
	var facts trainFacts
	if err := readFacts(dir, &facts); err != nil {
		return err
	}
	if len(facts.Curves) == 0 {
		text := name + ": no curve is shown: the model is of an earlier version, which kept none"
		if facts.Run != "" {
			text += ", and of run " + facts.Run
		}
		w.run.noteOnce(lab.Info, text)
		return nil
	}
	for _, c := range facts.Curves {
		if len(c.Steps) != len(c.Values) {
			return fmt.Errorf("%s: curve %s has %s and %s", dir, c.Name, plural.Of(len(c.Steps), "step"), plural.Of(len(c.Values), "value"))
		}
		for i, step := range c.Steps {
			w.point(c.Name, step, float64(c.Values[i]))
		}
	}
	w.showSamples(name, &facts)
	return nil
}

// curves makes the points of a training's curves from its steps.
type curves struct {
	every  int  // steps, of which a point is the mean
	hidden bool // there is a loss of hidden states
	point  func(series string, step int, value float64)
	// sums since the last point: a point of one step would be all noise of its batch
	loss, divergence, states, steps float64
	told                            float64 // steps that have a divergence
}

func (c *curves) add(s kd.StepReport) {
	c.loss, c.states, c.steps = c.loss+s.Loss, c.states+s.Hidden, c.steps+1
	if !math.IsNaN(s.Divergence) { // nothing is compared in a step of labels or of states alone
		c.divergence, c.told = c.divergence+s.Divergence, c.told+1
	}
	if s.Step%c.every == 0 || s.Step == s.Total {
		c.point("loss", s.Step, c.loss/c.steps)
		if c.told > 0 {
			c.point("divergence", s.Step, c.divergence/c.told)
		}
		if c.hidden {
			c.point("hidden", s.Step, c.states/c.steps)
		}
		c.loss, c.divergence, c.states, c.steps, c.told = 0, 0, 0, 0, 0
	}
	if !math.IsNaN(s.Validation) {
		c.point("validation", s.Step, s.Validation)
	}
}

// pointsPerCurve bounds what a curve adds to a run's log, and says over how many steps a point is
// the mean.
const pointsPerCurve = 200
