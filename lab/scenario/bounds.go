package scenario

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/lab"
)

// maxName bounds a scenario's name, which is a part of the names of its runs' files.
const maxName = 96

// maxSeeds bounds the seeds of a point, as the tag of their key does.
const maxSeeds = 1000

// seeds lists the seeds of every point: as many as the file says, or the options.
func (b *builder) seeds(count int, o Options) {
	first := 1
	if o.Seeds != 0 {
		count = o.Seeds
	}
	if o.Seed != nil {
		first = *o.Seed
	}
	switch {
	case o.Seeds != 0 && (count < 1 || count > maxSeeds):
		b.bad.add(place{file: "--seeds"}, "is %d, expected 1 to %d", count, maxSeeds)
	case count < 1 || count > maxSeeds:
		// the decoder has reported it
	case first > math.MaxInt-count+1:
		b.bad.add(place{file: "--seed"}, "is %d, expected at most %d: the last of %d seeds must be a number too", first, math.MaxInt-count+1, count)
	default:
		for i := range count {
			b.scenario.Seeds = append(b.scenario.Seeds, first+i)
		}
	}
}

// maxPrompts bounds the members times the candidates of a test set or workload: all are in memory.
const maxPrompts = 1_000_000

// prompts checks how many prompts a section asks for.
func (b *builder) prompts(n *node, section string, members, candidates int) {
	if members > 0 && candidates > maxPrompts/members {
		at, wayOut := n.cause(section, "members", "candidates")
		b.bad.add(at, "%s's members times candidates is %d × %d, expected at most %d%s", section, members, candidates, maxPrompts, wayOut)
	}
}

// jsonl checks what the keys of a file's task are together.
func (b *builder) jsonl(n *node, t *JSONL) {
	if t.PromptField != "" && t.PromptField == t.ResponseField {
		at, wayOut := n.cause("task", "response_field", "prompt_field")
		b.bad.add(at, "task's response_field is %q, which is the prompt_field too, expected another%s", t.ResponseField, wayOut)
	}
}

// text checks the shares of a text.
func (b *builder) text(n *node, t *Passage) {
	if t.Validation+t.Test >= 1 {
		at, wayOut := n.cause("task", "test", "validation")
		b.bad.add(at, "task's test is %v beside a validation of %v, expected a sum below 1%s", t.Test, t.Validation, wayOut)
	}
}

// At says where in the file, or in which override, a value stands: "x.yaml:8:13". path leads to it
// from the top; a step of the pipeline is found by its name. The place of an absent value is that
// of the innermost one around it.
func (s *Scenario) At(path ...string) string {
	for n := len(path); n > 0; n-- {
		if at, ok := s.places[strings.Join(path[:n], "\x00")]; ok {
			return at.String()
		}
	}
	return s.File
}

// rememberPlaces keeps where the values are, for errors that are found later. They are the same at
// all points of the sweep.
func (b *builder) rememberPlaces(at *values) {
	b.scenario.places = map[string]place{}
	for i, key := range b.root.keys {
		n := b.root.items[i]
		if slices.Contains([]string{"task", "tokenizer", "models", "pipeline", "evaluate", "serve"}, key) {
			n = at.substitute(n, b.bad)
		}
		b.remember(key, n)
	}
}

func (b *builder) remember(path string, n *node) {
	b.scenario.places[path] = n.at
	for i, key := range n.keys {
		b.remember(path+"\x00"+key, n.items[i])
	}
	if path != "pipeline" || n.shape != list {
		return
	}
	for _, entry := range n.items {
		if name := stepName(entry); name != "" {
			b.remember(path+"\x00"+name, entry.items[0])
		}
	}
}

// find returns the value that a path of keys with points between leads to, nil where there is none.
func (n *node) find(path string) *node {
	for key := range strings.SplitSeq(path, ".") {
		n = n.get(key)
	}
	return n
}

// placeOf is the place of a value that a path of keys with points between leads to, or of the
// innermost one around it.
func (n *node) placeOf(path string) place {
	for _, key := range strings.Split(path, ".") {
		next := n.get(key)
		if next == nil {
			break
		}
		n = next
	}
	return n.at
}

// cause is the place of a fault between several keys: that of the first one, unless an override set
// another. wayOut says how an override agrees with the first one again; empty where none is at
// fault.
func (n *node) cause(section string, keys ...string) (at place, wayOut string) {
	at = n.placeOf(keys[0])
	if at.line == 0 {
		return at, ""
	}
	for _, key := range keys[1:] {
		if other := n.get(key); other != nil && other.at.line == 0 {
			return other.at, fmt.Sprintf("; or add --set %s.%s=…", section, keys[0])
		}
	}
	return at, ""
}

// unmeasured reports an expectation on what no run measures: it could never hold.
func (p *expectParser) unmeasured(v Vocabulary, e *Expectation) error {
	if v.Unmeasured == nil {
		return nil
	}
	for _, t := range slices.Concat(e.left, e.right) {
		for _, o := range t.metrics {
			for _, row := range o.names() {
				why := p.neverMeasured(v, &o, row)
				if why == "" {
					continue
				}
				p.start = max(0, strings.Index(p.text, o.text))
				if o.ranks != nil {
					return fmt.Errorf("%s of row %s is never measured: %s", o.metric, row, why)
				}
				return fmt.Errorf("%s is never measured: %s", o.text, why)
			}
		}
	}
	return nil
}

// neverMeasured says why no run measures an operand's metric of a row; "" where one does.
func (p *expectParser) neverMeasured(v Vocabulary, o *operand, row string) string {
	metric, _ := lab.MetricByKey(o.metric) // the parser has looked it up
	if _, published := p.scenario.Paper[row]; published && metric.Section == lab.Paper {
		return ""
	}
	for i := range p.scenario.Points {
		point := &p.scenario.Points[i]
		step, ok := point.Step(row)
		if !ok || !o.matches(point.Params) {
			continue
		}
		if why := v.Unmeasured(point, step, metric); why != "" {
			return why
		}
	}
	return ""
}

// matches reports whether the operand is about a point of the sweep.
func (o operand) matches(params []lab.Param) bool {
	for _, p := range params {
		if value, fixed := o.at[p.Key]; fixed && value != p.Value {
			return false
		}
	}
	return true
}
