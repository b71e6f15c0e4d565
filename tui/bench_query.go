package tui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"slimlab/lab"
)

// query is a line of conditions on scenarios and runs, which must all hold:
//
//	text            a scenario's or run's names and state contain it, whatever the case
//	scenario:text   also id: set: (a changed setting) model: (one that was loaded, or a row's name)
//	state=done      also wait run fail stop bad
//	took>5m age<2d  how long a run took, and how long ago it began
//	metric<number   of one row that meets all of them; also > <= >= =, with suffixes: 300kB, 20ms, 3%
//	row:text        which rows count for the metrics
//	not X           the next condition must not hold
type query struct {
	conditions []queryCondition
}

type queryCondition struct {
	not         bool
	key, op     string // op: "text" for a bare word, ":" for contains, else a comparison
	text        string
	number      float64
	metric, row bool // a condition on rows
}

var queryWords = []string{"scenario", "id", "set", "model", "row", "state", "took", "age"}

// parseQuery reads a query. The empty one keeps everything.
func parseQuery(line string) (query, error) {
	var q query
	not := false
	for _, word := range strings.Fields(line) {
		if word == "not" {
			not = !not
			continue
		}
		c, err := parseQueryWord(word)
		if err != nil {
			return query{}, err
		}
		c.not, not = not, false
		q.conditions = append(q.conditions, c)
	}
	if not {
		return query{}, fmt.Errorf("not: a condition must follow")
	}
	return q, nil
}

func parseQueryWord(word string) (queryCondition, error) {
	at := strings.IndexAny(word, ":=<>")
	if at <= 0 {
		return queryCondition{op: "text", text: strings.ToLower(word)}, nil
	}
	c := queryCondition{key: word[:at], op: word[at : at+1], text: word[at+1:]}
	if c.op != "=" && c.op != ":" && strings.HasPrefix(c.text, "=") {
		c.op, c.text = c.op+"=", c.text[1:]
	}
	number := c.text // a suffix is upper or lower case
	c.text = strings.ToLower(c.text)
	ordered := c.op != "=" && c.op != ":"
	switch c.key {
	case "scenario", "id", "set", "model", "row", "state":
		if ordered {
			return c, fmt.Errorf("%s is a word: ask %s=… or %s:…", c.key, c.key, c.key)
		}
		c.row = c.key == "row"
		return c, nil
	case "took", "age":
		seconds, err := parseTime(c.text)
		if err == nil && c.op == ":" {
			err = fmt.Errorf("expected < or >")
		}
		if err != nil {
			return c, fmt.Errorf("%s: %w", c.key, err)
		}
		c.number = seconds
		return c, nil
	}
	if _, known := lab.MetricByKey(c.key); !known {
		return c, fmt.Errorf("%q is no metric and none of %s", c.key, strings.Join(queryWords, ", "))
	}
	if c.op == ":" {
		return c, fmt.Errorf("%s is a metric: ask %s<… or %s>…", c.key, c.key, c.key)
	}
	var err error
	if c.number, err = lab.ParseNumber(number); err != nil {
		return c, fmt.Errorf("%s: %w", c.key, err)
	}
	c.metric = true
	return c, nil
}

// parseTime reads a length of time in seconds: 90s, 5m, 2h, 3d, 1w.
func parseTime(s string) (float64, error) {
	for unit, seconds := range map[string]float64{"d": 24 * 3600, "w": 7 * 24 * 3600} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			x, err := strconv.ParseFloat(n, 64)
			if err != nil || math.IsNaN(x) {
				return 0, fmt.Errorf("found %q, expected a time such as 90s, 5m, 2h or 3d", s)
			}
			return x * seconds, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("found %q, expected a time such as 90s, 5m, 2h or 3d", s)
	}
	return d.Seconds(), nil
}

// keepsScenario reports whether a scenario meets the query; none meets a condition on runs.
func (q query) keepsScenario(s *ScenarioInfo) bool {
	for _, c := range q.conditions {
		holds := false
		switch {
		case c.op == "text":
			holds = contains(c.text, s.Name, s.File, s.About)
		case c.key == "scenario" && c.op == ":":
			holds = contains(c.text, s.Name, s.File)
		case c.key == "scenario":
			holds = strings.ToLower(s.Name) == c.text || strings.ToLower(s.File) == c.text
		case c.key == "state" && c.text == "bad":
			holds = s.Err != nil
		default:
			return false
		}
		if holds == c.not {
			return false
		}
	}
	return true
}

// keepsRun reports whether a run meets the query. One whose figures are not read yet meets no
// condition on rows.
func (b *benchScreen) keepsRun(r *RunInfo) bool {
	f, _ := b.figuresOf(r)
	rows := false
	for _, c := range b.query.conditions {
		if c.metric || c.row {
			rows = true
			continue
		}
		if c.holds(r, &f, b.now()) == c.not {
			return false
		}
	}
	return !rows || f.hasRow(b.query)
}

func (c queryCondition) holds(r *RunInfo, f *RunFigures, now time.Time) bool {
	state := r.State.String()
	if r.Err != nil {
		state = "bad"
	}
	switch c.key {
	case "":
		quick := ""
		if r.Quick {
			quick = "(quick)"
		}
		return contains(c.text, r.ID, r.Scenario, state, quick)
	case "took":
		return compares(r.Duration.Seconds(), c.op, c.number)
	case "age":
		return !r.Started.IsZero() && compares(now.Sub(r.Started).Seconds(), c.op, c.number)
	case "state":
		return c.matches(state)
	case "scenario":
		return c.matches(r.Scenario)
	case "id":
		return c.matches(r.ID)
	case "set":
		return c.matches(r.Settings...)
	}
	names := f.Models
	for _, row := range f.Rows {
		names = append(names[:len(names):len(names)], row.Row)
	}
	return c.matches(names...)
}

// hasRow reports whether one row meets all conditions on rows.
func (f *RunFigures) hasRow(q query) bool {
	for _, row := range f.Rows {
		all := true
		for _, c := range q.conditions {
			switch {
			case c.row:
				all = all && c.matches(row.Row) != c.not
			case c.metric:
				x, known := row.Values[c.key]
				all = all && (known && compares(x, c.op, c.number)) != c.not
			}
		}
		if all {
			return true
		}
	}
	return false
}

// matches reports whether one of the texts is, or contains, the condition's.
func (c queryCondition) matches(texts ...string) bool {
	for _, s := range texts {
		s = strings.ToLower(s)
		if c.op == ":" && strings.Contains(s, c.text) || c.op == "=" && s == c.text {
			return true
		}
	}
	return false
}

func contains(part string, texts ...string) bool {
	for _, s := range texts {
		if strings.Contains(strings.ToLower(s), part) {
			return true
		}
	}
	return false
}

func compares(x float64, op string, y float64) bool {
	switch op {
	case "<":
		return x < y
	case ">":
		return x > y
	case "<=":
		return x <= y
	case ">=":
		return x >= y
	}
	return math.Abs(x-y) <= 1e-9*math.Abs(y)
}

// setQuery takes over what was typed where it is a query.
func (b *benchScreen) setQuery() {
	q, err := parseQuery(b.filter.String())
	if b.wrong = err; err == nil {
		b.query = q
	}
}
