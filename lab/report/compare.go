package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/internal/texttable"
	"slimlab/lab"
	"slimlab/lab/stat"
)

// Judgement is what a comparison says of one value.
type Judgement uint8

const (
	Same    Judgement = iota // deterministic and equal in every bit
	Within                   // different, but no more than seeds and clocks differ
	Better                   // significantly
	Worse                    // significantly
	Changed                  // of a metric that has no better direction
	Unknown                  // cannot be compared; Warnings say why
)

func (j Judgement) String() string {
	return [...]string{"= same", "~ within", "+ better", "- worse", "! changed", "? unknown"}[j]
}

// MarshalJSON writes the judgement's word.
func (j Judgement) MarshalJSON() ([]byte, error) {
	_, word, _ := strings.Cut(j.String(), " ")
	return json.Marshal(word)
}

// Timings count as different only where a test says so and the medians are further apart than a
// quiet machine's clock wanders.
const (
	timingFloor = 0.05
	alpha       = 0.05
	// fewer seeds cannot reach alpha in a rank test (2/70 is the least p-value of 4 against 4):
	// their ranges are compared
	testSeeds = 4
)

// Change is one metric of one row in two runs.
type Change struct {
	Row       string
	Metric    lab.Metric
	Base, New lab.Summary
	Delta     float64 // (new − base) / |base|; NaN where base is 0
	P         float64 // of the rank test; NaN where there was none
	Judgement Judgement
	Warnings  []string
}

// Comparison is a run against another.
type Comparison struct {
	Base, New  lab.Begin
	Comparable bool     // the same scenario, all that decides its figures alike
	Timings    bool     // also each row on the same machine
	Reasons    []string // why not
	// rows of the new run in order, then its columns; then what only the base has
	Changes []Change
	Missing []string // rows that only one run has
}

// Compare sets a run against a base. Deterministic metrics are compared exactly where both ran the
// same seeds, else by their intervals over seeds; timings by a rank test over seeds (Mann–Whitney),
// or by their ranges where seeds are few, and never between machines.
func Compare(base, next *lab.View) *Comparison {
	c := &Comparison{Base: base.Begin, New: next.Begin, Comparable: true, Timings: true}
	if base.Begin.Hash != next.Begin.Hash {
		c.Comparable, c.Timings = false, false
		c.Reasons = append(c.Reasons, fmt.Sprintf("the scenarios differ: %s %.8s and %s %.8s", base.Begin.Scenario, base.Begin.Hash, next.Begin.Scenario, next.Begin.Hash))
	}
	if base.Begin.Version != next.Begin.Version {
		c.Reasons = append(c.Reasons, fmt.Sprintf("the versions differ: %s and %s", base.Begin.Version, next.Begin.Version))
	}
	for i := range next.Rows {
		r := &next.Rows[i]
		old := findRow(base, r)
		if old == nil {
			c.Missing = append(c.Missing, r.Label()+" (only in the new run)")
			continue
		}
		timed := c.sameMachine(old, r)
		for _, m := range bothColumns(base, next) {
			c.add(m, old, r, timed)
		}
	}
	for i := range base.Rows {
		if findRow(next, &base.Rows[i]) == nil {
			c.Missing = append(c.Missing, base.Rows[i].Label()+" (only in the base)")
		}
	}
	return c
}

// sameMachine reports whether both rows were measured on one machine, the same, as far as they were
// measured. If not, it notes why.
func (c *Comparison) sameMachine(base, next *lab.TableRow) bool {
	if len(base.Machines) == 0 || len(next.Machines) == 0 || len(next.Machines) == 1 && slices.Equal(base.Machines, next.Machines) {
		return true
	}
	reason := fmt.Sprintf("the machines differ, timings are not judged: %s and %s", strings.Join(base.Machines, ", "), strings.Join(next.Machines, ", "))
	if !slices.Contains(c.Reasons, reason) {
		c.Reasons = append(c.Reasons, reason)
	}
	c.Timings = false
	return false
}

func findRow(v *lab.View, like *lab.TableRow) *lab.TableRow {
	for i := range v.Rows {
		if r := &v.Rows[i]; r.Name == like.Name && slices.Equal(r.Params, like.Params) {
			return r
		}
	}
	return nil
}

// bothColumns are the new run's columns, then those that only the base has.
func bothColumns(base, next *lab.View) []lab.Metric {
	columns := next.Columns()
	for _, m := range base.Columns() {
		if !slices.ContainsFunc(columns, func(c lab.Metric) bool { return c.Key == m.Key }) {
			columns = append(columns, m)
		}
	}
	return columns
}

func (c *Comparison) add(m lab.Metric, base, next *lab.TableRow, timed bool) {
	old, had := base.Metric(m.Key)
	now, has := next.Metric(m.Key)
	if !had && !has {
		return
	}
	one := Change{Row: next.Label(), Metric: m, Base: old, New: now, Delta: math.NaN(), P: math.NaN()}
	for _, d := range slices.Concat(old.Warnings, now.Warnings) {
		one.warn(d)
	}
	switch {
	case !had || !has:
		one.Judgement = Unknown
		one.warn("measured in one run only")
		if !had {
			one.Base.Value = math.NaN()
		} else {
			one.New.Value = math.NaN()
		}
	default:
		if old.Value != 0 {
			one.Delta = (now.Value - old.Value) / math.Abs(old.Value)
		}
		c.judge(&one, timed)
	}
	c.Changes = append(c.Changes, one)
}

func (c *Comparison) judge(one *Change, timed bool) {
	switch {
	case !c.Comparable:
		one.Judgement = Unknown
	case math.IsNaN(one.Base.Value) != math.IsNaN(one.New.Value):
		one.Judgement = one.direction()
		if math.IsNaN(one.New.Value) && one.Metric.Better != lab.Neither {
			one.Judgement = Worse
		}
	case !one.Metric.Timing:
		one.judgeExact()
	case !timed:
		one.Judgement = Unknown
	default:
		one.judgeTiming()
	}
}

// judgeExact compares seed by seed where the seeds are the same, else by intervals.
func (one *Change) judgeExact() {
	a, b := one.Base.Seeds, one.New.Seeds
	sameSeeds := slices.EqualFunc(a, b, func(x, y lab.SeedMeasure) bool { return x.Seed == y.Seed })
	if sameSeeds {
		same := slices.EqualFunc(a, b, func(x, y lab.SeedMeasure) bool {
			return math.Float64bits(x.Value) == math.Float64bits(y.Value) || math.IsNaN(x.Value) && math.IsNaN(y.Value)
		})
		if same {
			one.Judgement = Same
		} else {
			one.Judgement = one.direction()
		}
		return
	}
	one.warn("different seeds")
	if !one.Base.Interval || !one.New.Interval || overlap(one.Base, one.New) {
		one.Judgement = Within
		return
	}
	one.Judgement = one.direction()
}

func (one *Change) judgeTiming() {
	a, b := seedValues(one.Base), seedValues(one.New)
	beyond := math.Abs(one.Delta) > timingFloor
	switch few := min(len(a), len(b)); {
	case few < 2:
		one.warn("one seed: a timing cannot be judged")
		beyond = false
	case few < testSeeds:
		one.warn(fmt.Sprintf("%d seeds: ranges are compared", few))
		beyond = beyond && !overlap(one.Base, one.New)
	default:
		_, one.P = stat.MannWhitney(a, b)
		beyond = beyond && one.P < alpha
	}
	if beyond {
		one.Judgement = one.direction()
	} else {
		one.Judgement = Within
	}
}

// direction says which way the value went.
func (one *Change) direction() Judgement {
	up := one.New.Value > one.Base.Value
	switch {
	case one.Metric.Better == lab.Neither, one.New.Value == one.Base.Value:
		return Changed
	case up == (one.Metric.Better == lab.Higher):
		return Better
	}
	return Worse
}

func (one *Change) warn(text string) {
	if !slices.Contains(one.Warnings, text) {
		one.Warnings = append(one.Warnings, text)
	}
}

func overlap(a, b lab.Summary) bool { return a.Low <= b.High && b.Low <= a.High }

func seedValues(s lab.Summary) []float64 {
	var x []float64
	for _, m := range s.Seeds {
		x = append(x, m.Value)
	}
	return x
}

// Worse returns the changes for the worse: what a gate fails on.
func (c *Comparison) Worse() []Change {
	return slices.DeleteFunc(slices.Clone(c.Changes), func(one Change) bool { return one.Judgement != Worse })
}

// CompareFormats lists what Comparison.Write can write.
func CompareFormats() []string { return []string{"table", "md", "json"} }

// Write writes the comparison in one of CompareFormats.
func (c *Comparison) Write(format string, w io.Writer) error {
	switch format {
	case "table":
		return c.text(w)
	case "md":
		return c.markdown(w)
	case "json":
		return c.json(w)
	}
	return nearest.Check("comparison format", format, CompareFormats())
}

// fields are a change's texts: row, metric, base, new, delta, judgement.
func (one *Change) fields() [6]string {
	scale := ScaleOf(one.Metric.Unit, one.Base.Value, one.New.Value)
	delta := Missing
	switch {
	case one.Metric.Unit == lab.Percent && !math.IsNaN(one.New.Value-one.Base.Value):
		// a difference of deltas, in points
		delta = strings.TrimSuffix(scale.Format(one.New.Value-one.Base.Value), "%") + " pt"
	case !math.IsNaN(one.Delta):
		delta = Format(lab.Percent, one.Delta)
	}
	if !math.IsNaN(one.P) {
		delta += fmt.Sprintf(" (p=%.3f n=%d)", one.P, min(len(one.Base.Seeds), len(one.New.Seeds)))
	}
	return [6]string{one.Row, one.Metric.Label, scale.Summary(one.Base), scale.Summary(one.New), delta, one.Judgement.String()}
}

var compareHead = [6]string{"step", "metric", "base", "new", "Δ", "verdict"}

// heading is what both runs are, and why they cannot be compared where they cannot.
func (c *Comparison) heading() []string {
	lines := []string{fmt.Sprintf("base %s (%s) against new %s (%s)", c.Base.Run, c.Base.Scenario, c.New.Run, c.New.Scenario)}
	if !c.Comparable {
		lines = append(lines, "NOT COMPARABLE")
	}
	lines = append(lines, c.Reasons...)
	for _, row := range c.Missing {
		lines = append(lines, "row "+row)
	}
	return lines
}

// footnotes numbers the warnings of all changes in order of appearance.
func (c *Comparison) footnotes() (notes []string, of [][]int) {
	t := &table{}
	for _, one := range c.Changes {
		var numbers []int
		for _, d := range one.Warnings {
			numbers = append(numbers, t.note(d))
		}
		slices.Sort(numbers)
		of = append(of, numbers)
	}
	return t.notes, of
}

// table returns the changes with their footnotes; escape is applied to every cell.
func (c *Comparison) table(of [][]int, escape func(string) string) *texttable.Table {
	t := &texttable.Table{}
	for k, head := range compareHead {
		t.Columns = append(t.Columns, texttable.Column{Head: head, Right: k >= 2 && k <= 4})
	}
	for i := range c.Changes {
		fields := c.Changes[i].fields()
		for k := range fields {
			fields[k] = escape(fields[k])
		}
		fields[5] += marks(of[i])
		t.Add(fields[:]...)
	}
	return t
}

func (c *Comparison) text(w io.Writer) error {
	notes, of := c.footnotes()
	var b strings.Builder
	b.WriteString(strings.Join(c.heading(), "\n") + "\n\n")
	b.WriteString(c.table(of, func(s string) string { return s }).Text())
	for i, note := range notes {
		fmt.Fprintf(&b, "%s %s\n", marks([]int{i + 1}), note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *Comparison) markdown(w io.Writer) error {
	var b strings.Builder
	for i, line := range c.heading() {
		if i == 0 {
			b.WriteString("## ")
		}
		b.WriteString(texttable.Escape(line) + "\n\n")
	}
	notes, of := c.footnotes()
	b.WriteString(c.table(of, texttable.Escape).Markdown())
	markdownList(&b, "", notes, func(i int, note string) string { return marks([]int{i + 1}) + " " + note })
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *Comparison) json(w io.Writer) error {
	type change struct {
		Row      string      `json:"row"`
		Metric   string      `json:"metric"`
		Base     jsonSummary `json:"base"`
		New      jsonSummary `json:"new"`
		Delta    lab.Number  `json:"delta"`
		P        lab.Number  `json:"p"`
		Verdict  Judgement   `json:"verdict"`
		Warnings []string    `json:"warnings"`
	}
	out := struct {
		Base       string   `json:"base"`
		New        string   `json:"new"`
		Comparable bool     `json:"comparable"`
		Timings    bool     `json:"timings"`
		Reasons    []string `json:"reasons"`
		Missing    []string `json:"missing"`
		Changes    []change `json:"changes"`
	}{c.Base.Run, c.New.Run, c.Comparable, c.Timings, orEmpty(c.Reasons), orEmpty(c.Missing), []change{}}
	for _, one := range c.Changes {
		out.Changes = append(out.Changes, change{one.Row, one.Metric.Key, newJSONSummary(one.Base), newJSONSummary(one.New),
			lab.Number(one.Delta), lab.Number(one.P), one.Judgement, orEmpty(one.Warnings)})
	}
	return jsondoc.Write(w, "slimlab.comparison/2", out)
}
