package scenario

import (
	"reflect"
	"slices"
	"strings"
)

// Resolved lists all keys that decide what the scenario does, with the values that they have after
// quick, Options.Set and ${…}, written or not: sections, models and steps by their names, as
// Options.Set takes them, then the axes of the sweep as "sweep.KEY" and the baseline. A key that
// differs over the sweep has all its values, each once, unless they are those of an axis, which
// stand there already. Seeds are left out: they are those of the run's cells.
func (s *Scenario) Resolved() []Setting {
	var all resolved
	for i := range s.Points {
		all.point(&s.Points[i])
	}
	var out []Setting
	for i, key := range all.keys {
		values := all.values[i]
		if len(values) > 1 && slices.ContainsFunc(s.Axes, func(a Axis) bool { return slices.Equal(a.Values, values) }) {
			continue
		}
		out = append(out, Setting{Key: key, Value: strings.Join(values, ", ")})
	}
	for _, a := range s.Axes {
		out = append(out, Setting{Key: "sweep." + a.Key, Value: strings.Join(a.Values, ", ")})
	}
	return append(out, Setting{Key: "baseline", Value: s.Baseline})
}

// resolved collects the values of keys over the points of a sweep.
type resolved struct {
	keys   []string
	at     map[string]int
	values [][]string // by key
}

func (r *resolved) point(p *Point) {
	if p.Task.Recsys != nil {
		r.section("task", p.Task.Recsys)
	}
	if p.Task.Reasoning != nil {
		r.section("task", p.Task.Reasoning)
	}
	if p.Task.JSONL != nil {
		r.section("task", p.Task.JSONL)
	}
	if p.Task.Ratings != nil {
		r.section("task", p.Task.Ratings)
	}
	if p.Task.Text != nil {
		r.section("task", p.Task.Text)
	}
	r.section("tokenizer", &p.Tokenizer)
	for i := range p.Models {
		r.section("models."+p.Models[i].Name, &p.Models[i])
	}
	for _, step := range p.Steps {
		r.add(step.Name+".kind", step.Kind)
		var replaced map[string]string
		if w, ok := step.Work.(Replacer); ok {
			replaced = w.Replaced()
		}
		for _, one := range step.Settings() {
			if by, is := replaced[one.Key]; is {
				one.Value = by
			}
			r.add(step.Name+"."+one.Key, one.Value)
		}
	}
	r.section("evaluate", &p.Evaluate)
	if p.Serve != nil {
		r.section("serve", p.Serve)
	}
}

func (r *resolved) section(name string, of any) {
	for _, one := range settingsOf(name+".", reflect.Indirect(reflect.ValueOf(of))) {
		r.add(one.Key, one.Value)
	}
}

func (r *resolved) add(key, value string) {
	i, known := r.at[key]
	if !known {
		if r.at == nil {
			r.at = map[string]int{}
		}
		i = len(r.keys)
		r.at[key] = i
		r.keys, r.values = append(r.keys, key), append(r.values, nil)
	}
	if !slices.Contains(r.values[i], value) {
		r.values[i] = append(r.values[i], value)
	}
}
