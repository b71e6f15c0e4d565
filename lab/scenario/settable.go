package scenario

import (
	"reflect"
	"slices"
)

// Settable lists the keys that Options.Set can change in the scenario, in the order of its file:
// params and axes by their bare names, then keys of sections and of steps.
func (s *Scenario) Settable() []string {
	keys := slices.Clone(s.params)
	for _, a := range s.Axes {
		if !slices.Contains(keys, a.Key) {
			keys = append(keys, a.Key)
		}
	}
	p := &s.Points[0]
	add := func(section string, of any) {
		for _, k := range keysOf(reflect.TypeOf(of).Elem(), "") {
			if k.Key != "kind" && k.Key != "name" {
				keys = append(keys, section+"."+k.Key)
			}
		}
	}
	if p.Task.Recsys != nil {
		add("task", p.Task.Recsys)
	}
	if p.Task.Reasoning != nil {
		add("task", p.Task.Reasoning)
	}
	if p.Task.JSONL != nil {
		add("task", p.Task.JSONL)
	}
	if p.Task.Ratings != nil {
		add("task", p.Task.Ratings)
	}
	if p.Task.Text != nil {
		add("task", p.Task.Text)
	}
	for _, step := range p.Steps {
		add(step.Name, step.Work)
	}
	add("evaluate", &p.Evaluate)
	if p.Serve != nil {
		add("serve", p.Serve)
	}
	add("tokenizer", &p.Tokenizer)
	return append(keys, "seeds", "baseline")
}
