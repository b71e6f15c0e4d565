package report

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/stat"
	"slimlab/lab/sweep"
)

// Judgement is what a comparison says of one value.
type Judgement uint8

const (
	Same Judgement = iota // deterministic and equal in every bit, but for the sign of a zero
	// different, but no more than seeds, test samples, rounding and clocks differ
	Within
	Better  // significantly
	Worse   // significantly
	Changed // of a metric that has no better direction
	Unknown // cannot be compared; Warnings say why
)

func (j Judgement) String() string {
	return [...]string{"= same", "~ within", "+ better", "- worse", "! changed", "? unknown"}[j]
}

// MarshalJSON writes the judgement's word.
func (j Judgement) MarshalJSON() ([]byte, error) {
	_, word, _ := strings.Cut(j.String(), " ")
	return json.Marshal(word)
}

// Timings count as different only where a test says so and the medians are further apart than
// timings vary on an idle machine.
const (
	timingFloor = 0.05
	alpha       = 0.05
	// fewer seeds cannot reach alpha in a rank test (2/70 is the least p-value of 4 against 4):
	// their ranges are compared
	testSeeds = 4
	// Quality that differs by less is not judged: another order of the same sums does as much. It
	// is relative to the value, or in the value's own unit for relative changes.
	qualityFloor = 0.001
)

// Change is one metric of one row in two runs.
type Change struct {
	Row       string
	Metric    lab.Metric
	Base, New lab.Summary
	// Delta is (new − base) / |base| of the values that are compared; NaN where base is 0.
	Delta float64
	// Low and High are the 95% interval of new − base; NaN where there is none.
	Low, High float64
	// P is that of the rank test, or says at which level the interval would end at 0; NaN where
	// there is neither.
	P float64
	// Adjusted is P of a figure that is judged by an interval, adjusted for their number; else NaN.
	Adjusted  float64
	Judgement Judgement
	Warnings  []string
	// common says that only the seeds that both runs have are compared, over which the values are
	// over.
	common bool
	over   [2]float64
}

// compared returns the values that are compared: over all seeds of each run or, where those alone
// are judged, over the seeds that both have.
func (one *Change) compared() (base, next float64) {
	if one.common {
		return one.over[0], one.over[1]
	}
	return one.Base.Value, one.New.Value
}

// compareOver compares the values over the seeds that both runs have, and says so.
func (one *Change) compareOver(common Change, note string) {
	one.warn(note)
	one.common, one.over = true, [2]float64{common.Base.Value, common.New.Value}
}

// Comparison is a run against another.
type Comparison struct {
	Base, New  lab.Begin
	Comparable bool // they have a row in common
	// Timings says that timings are judged, as far as the seeds allow: each row on the same
	// machine, and the same prompts served. Where a timing is not judged its warnings say why.
	Timings bool
	Reasons []string // why not, and what else differs
	Nothing string   // of Reasons, why no row is in both; "" where one is
	// Settings are what Differences finds, base first; nil where it was not asked.
	Settings []Difference
	// rows of the new run in order, then its columns; then what only the base has
	Changes []Change
	Missing []string // rows that only one run measured
	Lost    []string // of them, those that the base measured
	// Apart are the same rows by step: those of the base alone, then those of the new run alone.
	Apart [2][]Apart
	// Unfinished says why each run may lack rows or seeds, base first; "" where it was done.
	Unfinished [2]string
	matches    []match
	folded     string // what is compared once
}

// unfinished says why a run may lack rows; "" where it was done.
func unfinished(v *lab.View) string {
	done := fmt.Sprintf("with %d of %s done", v.Count(lab.Done), plural.Of(len(v.Cells), "cell"))
	switch v.State {
	case lab.Done:
		return ""
	case lab.Failed, lab.Crashed:
		return v.State.String() + " " + done
	case lab.Stopped, lab.Deleted:
		return "was " + v.State.String() + " " + done
	}
	return "is " + v.State.String() + " " + done
}

// Compare sets a run against a base, row by row.
//
// Figures without a clock of one recipe, arithmetic included, must agree in every bit; others are
// compared by the 95% interval of their difference (see difference), and are better or worse where
// that is so among all figures that are compared so, at a false discovery rate of 5%. What is
// counted, such as bytes, is compared exactly at the seeds that both runs have (see NatureOf).
// Timings are compared by a rank test over seeds (Mann–Whitney), or by their ranges where seeds are
// few, and never between machines or scenarios.
//
// Compare knows no settings; CompareRuns judges timings of two scenarios too, where resolve shows
// that what differs is neither the machine nor what is served.
func Compare(base, next *lab.View) *Comparison { return compare(base, next, nil, false) }

// compare is Compare. listed says that the settings that differ stand beside the comparison, so
// that no reason has to name them.
func compare(base, next *lab.View, resolve Resolve, listed bool) *Comparison {
	c := &Comparison{Base: base.Begin, New: next.Begin, Timings: true}
	for i, name := range []string{"base", "new run"} {
		if reason := unfinished([]*lab.View{base, next}[i]); reason != "" {
			c.Unfinished[i] = fmt.Sprintf("the %s %s", name, reason)
			c.Reasons = append(c.Reasons, c.Unfinished[i])
		}
	}
	timings := scenarioTimings(base.Begin, next.Begin, resolve)
	c.Timings = timings == ""
	switch differ := base.Begin.Hash != next.Begin.Hash; {
	case listed:
	case timings != "" && !differ:
		c.Reasons = append(c.Reasons, "timings are "+timings)
	case timings != "":
		c.Reasons = append(c.Reasons, "the scenarios differ, timings are not judged: "+scenarioDifference(base.Begin, next.Begin))
	case differ:
		c.Reasons = append(c.Reasons, "the scenarios differ: "+scenarioDifference(base.Begin, next.Begin))
	}
	if base.Begin.Version != next.Begin.Version && !listed {
		c.Reasons = append(c.Reasons, fmt.Sprintf("the versions differ: %s and %s", base.Begin.Version, next.Begin.Version))
	}
	old, now := sweep.Of(base), sweep.Of(next)
	settle(old, now)
	settle(now, old)
	c.matches, c.folded = matchRows(old, now), foldedNote(old, now)
	for i := range c.matches {
		m := &c.matches[i]
		m.from = len(c.Changes)
		if before, after := m.measured(); before && after {
			c.Comparable = true
			of := pair{base: m.base.TableRow, next: m.next.TableRow, machine: c.sameMachine(m.base.TableRow, m.next.TableRow), sameScenario: base.Begin.Hash == next.Begin.Hash, scenario: timings,
				recipe: sameRecipe(base, next, m.base.TableRow, m.next.TableRow), test: sameTest(base, next, m.base.TableRow, m.next.TableRow), model: named(m.base.Keys) && slices.Equal(m.base.Keys, m.next.Keys)}
			for _, metric := range bothColumns(base, next) {
				c.add(m.name, metric, of)
			}
		}
		m.to = len(c.Changes)
	}
	c.setApart(old, now)
	if listed && timings != "" && slices.ContainsFunc(c.Changes, func(one Change) bool { return one.Metric.Timing }) {
		c.Reasons = append(c.Reasons, "timings are "+timings)
	}
	if !c.Comparable {
		c.Nothing = nothingShared(old, now, c.matches)
		c.Reasons = append(c.Reasons, c.Nothing)
	}
	c.adjust()
	return c
}

// setApart notes the rows that only one run has measured.
func (c *Comparison) setApart(base, next *sweep.Table) {
	inBase, inNext := map[*sweep.Row]bool{}, map[*sweep.Row]bool{} // those that both have measured
	for i := range c.matches {
		if m := &c.matches[i]; m.base != nil && m.next != nil && m.base.Done > 0 && m.next.Done > 0 {
			inBase[m.base], inNext[m.next] = true, true
		}
	}
	for i := range c.matches {
		m := &c.matches[i]
		switch before, after := m.measured(); {
		case after && !inNext[m.next]:
			c.Missing = appendNew(c.Missing, next.FullLabel(m.next)+" (only in the new run)")
		case before && !inBase[m.base]:
			label := base.FullLabel(m.base)
			c.Missing, c.Lost = appendNew(c.Missing, label+" (only in the base)"), appendNew(c.Lost, label)
		}
	}
	c.Apart[0] = apartRows(base, func(r *sweep.Row) bool { return !inBase[r] })
	c.Apart[1] = apartRows(next, func(r *sweep.Row) bool { return !inNext[r] })
}

// adjust takes back what is better or worse by an interval of its own, but not among so many: one
// in twenty of them would be by chance.
func (c *Comparison) adjust() {
	p := make([]float64, len(c.Changes))
	judged := 0
	for i, one := range c.Changes {
		p[i] = math.NaN()
		if !one.Metric.Timing && !math.IsNaN(one.P) {
			p[i] = one.P
			judged++
		}
	}
	for i, adjusted := range stat.FalseDiscovery(p) {
		one := &c.Changes[i]
		one.Adjusted = adjusted
		if adjusted > alpha && (one.Judgement == Better || one.Judgement == Worse) {
			one.Judgement = Within
			one.warn(fmt.Sprintf("the interval leaves out 0, as those of some of %d figures do by chance (false discovery rate above 5%%)", judged))
		}
	}
}

// scenarioDifference names both scenarios and the settings that only one of the runs had.
func scenarioDifference(base, next lab.Begin) string {
	text := fmt.Sprintf("%s %.8s and %s %.8s", base.Scenario, base.Hash, next.Scenario, next.Hash)
	only := func(of, other lab.Begin) string {
		settings := slices.DeleteFunc(slices.Clone(of.Settings), func(s string) bool { return slices.Contains(other.Settings, s) })
		if of.Quick && !other.Quick {
			settings = append([]string{"quick"}, settings...)
		}
		if len(settings) == 0 {
			return "none"
		}
		return strings.Join(settings, " ")
	}
	if a, b := only(base, next), only(next, base); a != "none" || b != "none" {
		text += fmt.Sprintf("; settings of the base alone: %s, of the new run alone: %s", a, b)
	}
	return text
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

// pair is one row of both runs.
type pair struct {
	base, next *lab.TableRow
	machine    bool // both were measured on one
	// sameScenario says that all settings are equal, and scenario why timings of these two cannot
	// be compared; "" where they can.
	sameScenario bool
	scenario     string
	recipe       bool // all that decides a figure's bits is the same
	test         bool // measured on the same test sample
	model        bool // of the same model: nothing was trained again
}

// sameRecipe reports whether the models of both rows are the same artifacts, measured by the same
// arithmetic and with the same KV cache. Logs that name no artifacts are compared by scenario,
// version and machine.
func sameRecipe(base, next *lab.View, a, b *lab.TableRow) bool {
	if a.KV != b.KV || len(a.Machines) != 1 || !slices.Equal(a.Machines, b.Machines) || base.Begin.Version != next.Begin.Version {
		return false
	}
	if !named(a.Keys) || !named(b.Keys) {
		return base.Begin.Hash == next.Begin.Hash
	}
	return slices.Equal(a.Keys, b.Keys) && sameTest(base, next, a, b)
}

// sameTest reports whether both rows were measured on the same samples: those of each seed, or one
// sample at all seeds, however many either run has. Logs that do not name them are compared by
// scenario.
func sameTest(base, next *lab.View, a, b *lab.TableRow) bool {
	if !named(a.Tests) || !named(b.Tests) {
		return base.Begin.Hash == next.Begin.Hash
	}
	other := func(test string) bool { return test != a.Tests[0] }
	return slices.Equal(a.Tests, b.Tests) || !slices.ContainsFunc(slices.Concat(a.Tests, b.Tests), other)
}

// named reports whether a log names what each seed used.
func named(names []string) bool { return len(names) > 0 && !slices.Contains(names, "") }

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

func (c *Comparison) add(row string, m lab.Metric, of pair) {
	old, had := of.base.Metric(m.Key)
	now, has := of.next.Metric(m.Key)
	if !had && !has {
		return
	}
	one := Change{Row: row, Metric: m, Base: old, New: now, Delta: math.NaN(), Low: math.NaN(), High: math.NaN(), P: math.NaN(), Adjusted: math.NaN()}
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
		one.judge(of)
		if before, after := one.compared(); before != 0 {
			one.Delta = (after - before) / math.Abs(before)
		}
	}
	c.Changes = append(c.Changes, one)
}

// Worse returns the changes for the worse: what a gate fails on.
func (c *Comparison) Worse() []Change {
	return slices.DeleteFunc(slices.Clone(c.Changes), func(one Change) bool { return one.Judgement != Worse })
}
