package tui

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// query is a line of conditions on scenarios and runs, typed as filters of rows are:
//
//	text            a scenario's or run's names and state contain it, whatever the case
//	scenario:text   also id: set: (a changed setting) model: (one that was loaded, or
//	                a row's name); = and != ask for the whole
//	samples=32      a changed setting, by its key or the last part of it
//	state=done      also running silent failed stopped crashed damaged newer, and bad
//	                of a scenario that cannot be read
//	took>5m age<2d  how long a run took, and how long ago it began
//	metric<number   of one row that meets all of them; also > <= >= = !=, with
//	                suffixes: 300kB, 20ms, 3%
//	row:text        which rows count for the metrics
//	not X           the condition X must not hold
//	A B, A or B     both hold; one of both holds, where A and B may be several
//	"…"             a text with spaces
type query struct {
	any [][]queryCondition // all of one of them must hold; none: everything is kept
}

type queryCondition struct {
	not         bool
	key, op     string // op: "text" for a bare word, ":" for contains, else a comparison
	text        string
	number      float64
	metric, row bool // a condition on rows
}

// settingOf is the key of a condition on a setting that is written as it is listed: samples=32.
const settingOf = "a setting"

// queryNames are the keys that a condition can have.
func queryNames() []string {
	names := slices.Clone(queryWords)
	for _, m := range lab.Metrics() {
		names = append(names, m.Key)
	}
	return names
}

var queryWords = []string{"scenario", "id", "set", "model", "row", "state", "took", "age"}

// listStates are those that a line of the list can have: a run's, and that of a broken scenario.
var listStates = []string{
	lab.Running.String(), lab.Silent.String(), lab.Done.String(), lab.Failed.String(), lab.Stopped.String(), lab.Crashed.String(),
	lab.Damaged.String(), lab.Newer.String(), badScenario,
}

const badScenario = "bad"

// parseQuery reads a query. The empty one keeps everything.
func parseQuery(line string) (query, error) {
	words, err := sweep.Words(line)
	if err != nil {
		return query{}, err
	}
	var q query
	var all []queryCondition
	not := false
	for _, w := range words {
		switch {
		case w.Text == "not" && !w.Quoted:
			not = !not
			continue
		case w.Text == "or" && !w.Quoted:
			if not || len(all) == 0 {
				return query{}, errors.New("or: expected a condition before it")
			}
			q.any, all = append(q.any, all), nil
			continue
		}
		c := queryCondition{op: "text", text: strings.ToLower(w.Text)}
		if !w.Quoted {
			if c, err = parseQueryWord(w.Text); err != nil {
				return query{}, err
			}
		}
		if c.op == "!=" {
			c.op, not = "=", !not
		}
		c.not, not = not, false
		all = append(all, c)
	}
	switch {
	case not:
		return query{}, errors.New("not: expected a condition behind it")
	case len(all) == 0 && len(q.any) > 0:
		return query{}, errors.New("or: expected a condition behind it")
	case len(all) > 0:
		q.any = append(q.any, all)
	}
	return q, nil
}

func parseQueryWord(word string) (queryCondition, error) {
	at := strings.IndexAny(word, ":=<>!")
	if at <= 0 || word[at] == '!' && !strings.HasPrefix(word[at:], "!=") {
		return queryCondition{op: "text", text: strings.ToLower(word)}, nil
	}
	c := queryCondition{key: word[:at], op: word[at : at+1], text: word[at+1:]}
	if strings.Contains("<>!", c.op) && strings.HasPrefix(c.text, "=") {
		c.op, c.text = c.op+"=", c.text[1:]
	}
	number := c.text // a suffix is upper or lower case
	c.text = strings.ToLower(c.text)
	ordered := c.op[0] == '<' || c.op[0] == '>'
	switch c.key {
	case "scenario", "id", "set", "model", "row", "state":
		if ordered {
			return c, fmt.Errorf("%s is a word: ask %s=… or %s:…", c.key, c.key, c.key)
		}
		c.row = c.key == "row"
		if c.key == "state" && c.op != ":" {
			return c, nearest.Check("state", c.text, listStates)
		}
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
	metric, known := lab.MetricByKey(c.key)
	// as the list shows a setting, whose key a metric may have too: loss=fkl
	setting := queryCondition{key: settingOf, op: c.op, text: strings.ToLower(c.key) + "=" + c.text}
	equals := c.op == "=" || c.op == "!="
	if !known && equals && nearest.Suggest(c.key, queryNames()) == "" {
		return setting, nil
	}
	if !known {
		return c, fmt.Errorf("%q is no metric and none of %s", c.key, strings.Join(queryWords, ", "))
	}
	if c.op == ":" {
		return c, fmt.Errorf("%s is a metric: ask %s<… or %s>…", c.key, c.key, c.key)
	}
	var err error
	if c.number, err = metric.Unit.ParseNumber(number); err != nil && equals {
		return setting, nil
	}
	if err != nil {
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
	return q.keeps(func(all []queryCondition) bool {
		for _, c := range all {
			holds, asks := c.holdsFor(s)
			if !asks || holds == c.not {
				return false
			}
		}
		return true
	})
}

// keeps reports whether one of the alternatives is met.
func (q query) keeps(meets func(all []queryCondition) bool) bool {
	return len(q.any) == 0 || slices.ContainsFunc(q.any, meets)
}

// holdsFor reports whether a condition holds for a scenario, and whether it asks for something that
// a scenario has.
func (c queryCondition) holdsFor(s *ScenarioInfo) (holds, asks bool) {
	switch {
	case c.op == "text":
		return contains(c.text, s.Name, s.File, s.About), true
	case c.key == "scenario":
		return c.matches(s.Name, s.File), true
	case c.key == "state" && c.text == badScenario:
		return s.Err != nil, true
	}
	return false, false
}

// keepsRun reports whether a run meets the query. One whose figures are not read yet meets no
// condition on rows.
func (b *benchScreen) keepsRun(r *RunInfo) bool {
	f, _ := b.figuresOf(r)
	return b.query.keeps(func(all []queryCondition) bool {
		rows := false
		for _, c := range all {
			if c.metric || c.row {
				rows = true
			} else if c.holds(r, &f, b.now()) == c.not {
				return false
			}
		}
		return !rows || f.hasRow(all)
	})
}

func (c queryCondition) holds(r *RunInfo, f *RunFigures, now time.Time) bool {
	state := r.State.String()
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
	case settingOf: // the list leaves the first parts of a key out
		return slices.ContainsFunc(r.Settings, func(s string) bool {
			s = strings.ToLower(s)
			return s == c.text || strings.HasSuffix(s, "."+c.text)
		})
	}
	names := f.Models
	for _, row := range f.Rows {
		names = append(names[:len(names):len(names)], row.Row)
	}
	return c.matches(names...)
}

// hasRow reports whether one row meets all conditions on rows.
func (f *RunFigures) hasRow(conditions []queryCondition) bool {
	for _, row := range f.Rows {
		all := true
		for _, c := range conditions {
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
