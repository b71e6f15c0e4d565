package tui

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/lab"
	"slimlab/lab/report"
)

// filter is a line of conditions that a row must all meet:
//
//	text         the row's label contains it, whatever the case
//	key=value    state, row, or an axis of the sweep equals value; or a metric equals a number
//	key<num      a metric is less; also > <= >=; numbers may have the suffixes of the table: 300kB, 20ms, 3%
//	has:key      the metric was measured
//	not X        the next condition must not hold
type filter struct {
	line       string
	conditions []condition
}

type condition struct {
	not   bool
	key   string
	op    string // "text", "has", "=", "<", ">", "<=", ">="
	value string
	num   float64
	word  bool // compares text
}

// parseFilter reads a filter; axes are the keys of the sweep. The empty filter keeps every row.
func parseFilter(line string, axes []string) (filter, error) {
	f := filter{line: line}
	not := false
	for _, word := range strings.Fields(line) {
		if word == "not" {
			not = !not
			continue
		}
		c, err := parseCondition(word, axes)
		if err != nil {
			return filter{}, err
		}
		c.not = not
		not = false
		f.conditions = append(f.conditions, c)
	}
	if not {
		return filter{}, fmt.Errorf("not: a condition must follow")
	}
	return f, nil
}

func parseCondition(word string, axes []string) (condition, error) {
	if key, ok := strings.CutPrefix(word, "has:"); ok {
		if _, known := lab.MetricByKey(key); !known {
			return condition{}, fmt.Errorf("has: %q is no metric", key)
		}
		return condition{op: "has", key: key}, nil
	}
	at := strings.IndexAny(word, "=<>")
	if at <= 0 {
		return condition{op: "text", value: strings.ToLower(word)}, nil
	}
	c := condition{key: word[:at], op: word[at : at+1], value: word[at+1:]}
	if c.op != "=" && strings.HasPrefix(c.value, "=") {
		c.op, c.value = c.op+"=", c.value[1:]
	}
	words := append([]string{"state", "row"}, axes...)
	if slices.Contains(words, c.key) && c.op == "=" { // an axis may be called like a metric
		c.value, c.word = strings.ToLower(c.value), true
		return c, nil
	}
	if _, known := lab.MetricByKey(c.key); !known {
		if slices.Contains(words, c.key) {
			return c, fmt.Errorf("%s is a word: only %s=… can be asked", c.key, c.key)
		}
		return c, fmt.Errorf("%q is no metric and none of %s", c.key, strings.Join(words, ", "))
	}
	num, err := report.Parse(c.value)
	if err != nil {
		return c, fmt.Errorf("%s: %w", c.key, err)
	}
	c.num = num
	return c, nil
}

// keeps says whether the row meets every condition.
func (f filter) keeps(r *lab.TableRow) bool {
	for _, c := range f.conditions {
		if c.holds(r) == c.not {
			return false
		}
	}
	return true
}

func (c condition) holds(r *lab.TableRow) bool {
	switch {
	case c.op == "text":
		return strings.Contains(strings.ToLower(r.Label()), c.value)
	case c.word && c.key == "state":
		return r.State.String() == c.value
	case c.word && c.key == "row":
		return strings.ToLower(r.Name) == c.value
	case c.word:
		value, _ := r.Param(c.key)
		return strings.ToLower(value) == c.value
	}
	s, ok := r.Metric(c.key)
	if !ok {
		return false
	}
	switch c.op {
	case "has":
		return true
	case "<":
		return s.Value < c.num
	case ">":
		return s.Value > c.num
	case "<=":
		return s.Value <= c.num
	case ">=":
		return s.Value >= c.num
	}
	return math.Abs(s.Value-c.num) <= 1e-9*math.Abs(c.num)
}
