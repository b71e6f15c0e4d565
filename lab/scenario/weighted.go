package scenario

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Weight is the weight of a name in a list such as "FM=1, other=0.5".
type Weight struct {
	Name  string
	Value float64 // above 0 and finite
}

// Weighting is a list of weights for the examples of one task, or for those of all others.
type Weighting struct {
	Task    string // AllOthers is each task that has no list of its own
	Weights []Weight
}

// AllOthers stands for the tasks without a list of their own; alone, for all that there are.
const AllOthers = "*"

// ParseWeightings reads a field with the tag ref:"weighted": one list for all tasks, such as
// "FM=1, other=0.5", or a list for each, such as "like feed: FM=1; *: FM=1, other=0.5", which is
// how the decoder writes a mapping. A task's name is quoted as in Go where it has to be. At least
// two names have weights.
func ParseWeightings(text string) ([]Weighting, error) {
	if !byTask(text) {
		weights, err := parseWeights(text)
		if err == nil && len(weights) < 2 {
			err = fmt.Errorf("is %q, expected at least two names", text)
		}
		return []Weighting{{AllOthers, weights}}, err
	}
	if strings.HasPrefix(strings.TrimSpace(text), "{") { // of an override, which is a text then
		return nil, fmt.Errorf("is %s, which is no mapping: expected \"*\" and lists with commas in quotes, such as { like feed: FM=1, \"*\": \"FM=1, other=0.5\" }", text)
	}
	var all []Weighting
	var names []string
	rest := text
	for more := true; more; {
		task, after, err := cutTask(rest)
		if err != nil {
			return nil, fmt.Errorf("is %q, and %w", text, err)
		}
		var list string
		list, rest, more = strings.Cut(after, ";")
		if slices.ContainsFunc(all, func(w Weighting) bool { return w.Task == task }) {
			return nil, fmt.Errorf("is %q, and has task %q twice", text, task)
		}
		weights, err := parseWeights(list)
		if err != nil {
			return nil, fmt.Errorf("of task %q %w", task, err)
		}
		all = append(all, Weighting{task, weights})
		for _, w := range weights {
			names = append(names, w.Name)
		}
	}
	slices.Sort(names)
	if len(slices.Compact(names)) < 2 {
		return nil, fmt.Errorf("is %q, expected at least two names", text)
	}
	return all, nil
}

// byTask reports whether a text has a list for each of several tasks. No name of a model has a
// colon or a quote.
func byTask(text string) bool { return strings.ContainsAny(text, `:"`) }

// cutTask takes the name of a task and its colon from the beginning of a text.
func cutTask(text string) (task, after string, err error) {
	text = strings.TrimSpace(text)
	quoted, err := strconv.QuotedPrefix(text)
	if err == nil && text[0] == '"' {
		task, _ = strconv.Unquote(quoted)
		after, found := strings.CutPrefix(strings.TrimSpace(text[len(quoted):]), ":")
		if !found || task == "" {
			return "", "", fmt.Errorf("%s begins no list of a task: expected such as %s: FM=1", quoted, quoted)
		}
		return task, after, nil
	}
	task, after, found := strings.Cut(text, ":")
	if task = strings.TrimSpace(task); !found || task != plainTask(task) {
		return "", "", fmt.Errorf("%q is no list of a task: expected such as like feed: FM=1; *: FM=1, other=0.5", text)
	}
	return task, after, nil
}

// plainTask is a task's name as it stands before its list: quoted where it could be read as
// something else.
func plainTask(name string) string {
	if name == "" || name != strings.TrimSpace(name) || strings.ContainsAny(name, "\":;,=") || strconv.Quote(name) != `"`+name+`"` {
		return strconv.Quote(name)
	}
	return name
}

// parseWeights reads one list.
func parseWeights(text string) ([]Weight, error) {
	var all []Weight
	for part := range strings.SplitSeq(text, ",") {
		name, number, found := strings.Cut(part, "=")
		name, number = strings.TrimSpace(name), strings.TrimSpace(number)
		value, err := strconv.ParseFloat(number, 64)
		switch {
		case !found || name == "":
			return nil, fmt.Errorf("is %q, and %q is no weight of a name: expected such as FM=1, other=0.5", strings.TrimSpace(text), strings.TrimSpace(part))
		case err != nil || !(value > 0) || math.IsInf(value, 0):
			return nil, fmt.Errorf("is %q, and the weight of %s is %q: expected a number above 0", strings.TrimSpace(text), name, number)
		case slices.ContainsFunc(all, func(w Weight) bool { return w.Name == name }):
			return nil, fmt.Errorf("is %q, and has %s twice", strings.TrimSpace(text), name)
		}
		all = append(all, Weight{name, value})
	}
	return all, nil
}

// weightings writes a mapping from tasks to lists as ParseWeightings reads it. What is wrong with a
// list is reported at its place; ok is false then.
func (d *decoder) weightings(n *node, name string) (text string, ok bool) {
	var lists []string
	ok = true
	for i, task := range n.keys {
		weighted := n.items[i]
		if weighted.shape == list {
			joined, fine := d.joined(weighted, fmt.Sprintf("%s of task %q", name, task), ", ")
			if ok = ok && fine; !fine {
				continue
			}
			weighted = joined
		}
		switch weights, err := parseWeights(weighted.text); {
		case weighted.shape != scalar:
			d.bad.add(weighted.at, "%s of task %q is %s, expected weights such as FM=1, other=0.5", name, task, weighted.describe())
			ok = false
		case task == "":
			d.bad.add(n.keyAt[i], "%s has a task without a name, expected one, or %q for all that are not named", name, AllOthers)
			ok = false
		case err != nil:
			d.bad.add(weighted.at, "%s of task %q %v", name, task, err)
			ok = false
		case len(weights) > 0:
			lists = append(lists, plainTask(task)+": "+weighted.text)
		}
	}
	return strings.Join(lists, "; "), ok
}
