package scenario

import (
	"encoding/json"
	"slices"

	"slimlab/lab"
)

// depends says for each of Rows on which axes of the sweep its figures depend; nil without a sweep.
// A row depends on an axis when two points that differ in that axis alone measure different things.
func (s *Scenario) depends() [][]string {
	if len(s.Axes) == 0 {
		return nil
	}
	var depends [][]string
	for _, row := range s.Rows {
		texts := make([]string, len(s.Points))
		for i := range s.Points {
			texts[i] = s.Points[i].decides(row, s.Baseline)
		}
		axes := []string{}
		for _, axis := range s.Axes {
			if s.differs(axis.Key, texts) {
				axes = append(axes, axis.Key)
			}
		}
		depends = append(depends, axes)
	}
	return depends
}

// differs reports whether points that differ in one axis alone have different texts.
func (s *Scenario) differs(axis string, texts []string) bool {
	first := map[string]string{}
	for i, p := range s.Points {
		others := slices.DeleteFunc(slices.Clone(p.Params), func(p lab.Param) bool { return p.Key == axis })
		key := cellID(others, 0)
		text, known := first[key]
		if !known {
			first[key] = texts[i]
		} else if text != texts[i] {
			return true
		}
	}
	return false
}

// decides is the text of everything that decides the figures of a row at a point: the task, the
// measurements, and the row's step and the baseline's with all that they need.
func (p *Point) decides(row, baseline string) string {
	needed := map[string]bool{}
	var need func(name string)
	need = func(name string) {
		if needed[name] {
			return
		}
		needed[name] = true
		if s, ok := p.Step(name); ok {
			for _, input := range s.Inputs() {
				need(input)
			}
		}
	}
	need(row)
	need(baseline)
	steps := slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool { return !needed[s.Name] })
	models := slices.DeleteFunc(slices.Clone(p.Models), func(m Model) bool { return !needed[m.Name] })
	text, err := json.Marshal(Point{Task: p.Task, Tokenizer: p.Tokenizer, Models: models, Steps: steps, Evaluate: p.Evaluate, Serve: p.Serve})
	if err != nil {
		panic("scenario: " + err.Error()) // plain structs of finite numbers
	}
	return string(text)
}
