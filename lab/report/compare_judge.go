package report

import (
	"fmt"
	"math"
	"slices"
	"slimlab/lab"
	"slimlab/lab/stat"
	"strconv"
	"strings"
)

func (one *Change) judge(of pair) {
	before, after, nature := math.IsNaN(one.Base.Value), math.IsNaN(one.New.Value), NatureOf(one.Metric)
	switch {
	case nature != Clocked && one.equal():
		one.Judgement = Same
	case nature == Exact && !(before && after) && one.judgeExact(of):
	case before && after:
		one.warn("not a number in both runs")
		one.Judgement = Unknown
	case before || after:
		one.Judgement = one.direction()
	case nature != Clocked:
		one.judgeQuality(of)
	default:
		if reason := of.timings(one); reason != "" {
			one.warn(reason)
			one.Judgement = Unknown
			return
		}
		one.judgeTiming()
	}
}

// sameSeeds reports whether both runs measured the same seeds.
func (one *Change) sameSeeds() bool {
	return slices.EqualFunc(one.Base.Seeds, one.New.Seeds, func(x, y lab.SeedMeasure) bool { return x.Seed == y.Seed })
}

// overCommonSeeds is the change over the seeds that both runs have, with a note where these are not
// all.
func (one *Change) overCommonSeeds() (common Change, note string) {
	common = *one
	if one.sameSeeds() {
		return common, ""
	}
	common.Base.Seeds, common.New.Seeds = nil, nil
	var names []string
	for _, x := range one.Base.Seeds {
		at := slices.IndexFunc(one.New.Seeds, func(y lab.SeedMeasure) bool { return y.Seed == x.Seed })
		if at >= 0 {
			common.Base.Seeds, common.New.Seeds = append(common.Base.Seeds, x), append(common.New.Seeds, one.New.Seeds[at])
			names = append(names, strconv.Itoa(x.Seed))
		}
	}
	if len(names) > 0 {
		common.Base.Value, common.New.Value = stat.Mean(seedValues(common.Base)), stat.Mean(seedValues(common.New))
	}
	return common, "judged by the seeds of both runs alone: " + strings.Join(names, ", ")
}

// equal reports whether both runs measured the same seeds and each has the same value, or all seeds
// of both runs have one value, which then is that of any seed.
func (one *Change) equal() bool {
	if !one.sameSeeds() {
		return constant(slices.Concat(one.Base.Seeds, one.New.Seeds))
	}
	return slices.EqualFunc(one.Base.Seeds, one.New.Seeds, func(x, y lab.SeedMeasure) bool { return sameValue(x.Value, y.Value) })
}

const otherBits = "the same recipe, kernels and seeds, yet other bits"

// judgeQuality judges values that are not equal: of one recipe they should be, others are judged by
// the interval of the difference.
func (one *Change) judgeQuality(of pair) {
	if one.sameSeeds() && of.recipe {
		one.warn(otherBits)
		one.Judgement = one.direction()
		return
	}
	difference, p, ok := one.difference(of)
	if !ok {
		one.warn("one seed and no interval: the difference cannot be judged")
		one.Judgement = Unknown
		return
	}
	one.Low, one.High, one.P = difference.Low, difference.High, p
	before, _ := one.compared()
	scale := math.Abs(before)
	if one.Metric.Unit == lab.Percent {
		scale = 1
	}
	if difference.Low <= 0 && difference.High >= 0 || math.Abs(difference.Value) <= qualityFloor*scale {
		one.Judgement = Within
		return
	}
	one.Judgement = one.direction()
}

// difference returns new − base with its 95% interval and p-value; ok is false where nothing says
// how large chance is.
//
// The values of the seeds that both runs have are paired: over the seeds where there are two
// or more, and over the units of the test set where both logs have their influence. The first shows
// the noise of training and the second what the test sample leaves open, which is the same for all
// seeds; their variances add. With one seed the noise of training is not known, and not in the
// interval. What is not paired is judged by both intervals, as if they were independent: an
// interval that is wide rather than wrong.
func (one *Change) difference(of pair) (d stat.Interval, p float64, ok bool) {
	common, note := one.overCommonSeeds()
	errors, paired := common.paired(of)
	one.Warnings = common.Warnings
	if !paired {
		return one.unpaired()
	}
	if note != "" {
		one.compareOver(common, note)
	}
	e := stat.Estimate{Value: common.New.Value - common.Base.Value, Errors: errors}
	d = e.Interval()
	return d, e.P(), d.Bounded()
}

// paired returns the errors of the difference over seeds and over test units; ok is false where it
// is paired over neither.
func (one *Change) paired(of pair) (errors []stat.Error, ok bool) {
	n := len(one.Base.Seeds)
	if !one.sameSeeds() || n == 0 {
		return nil, false
	}
	units, why := one.testUnits()
	var over []string
	if n > 1 && (of.test || units != nil) {
		errors, over = append(errors, one.seedErrors()...), append(over, fmt.Sprintf("%d seeds", n))
	}
	if units != nil {
		of := one.New.Seeds[0].Influence
		errors, over = append(errors, stat.SumError(units)), append(over, fmt.Sprintf("the test's %d %s", of.Units, of.Unit))
	}
	switch {
	case len(over) == 0:
		one.warn(why)
		return nil, false
	case units == nil:
		one.warn("paired over " + over[0])
		one.warn(why)
	case n == 1 && !of.model:
		one.warn("paired over " + over[0] + "; one seed: what other seeds would give is not known")
	default:
		one.warn("paired over " + strings.Join(over, " and "))
	}
	return errors, true
}

// pairedSeeds is the number of seeds from which the spread of their differences is known well
// enough.
const pairedSeeds = 4

// seedErrors are what the noise of training leaves open. Few differences of seeds say little of
// their own spread, with one degree of freedom for two: up to 3 seeds the spread of each run
// counts, which has twice as many, and is too large rather than too small where a seed moves both
// runs alike.
func (one *Change) seedErrors() []stat.Error {
	base, next := seedValues(one.Base), seedValues(one.New)
	if len(base) < pairedSeeds {
		return []stat.Error{stat.MeanError(base), stat.MeanError(next)}
	}
	differences := make([]float64, len(base))
	for i := range differences {
		differences[i] = next[i] - base[i]
	}
	return []stat.Error{stat.MeanError(differences)}
}

// testUnits returns the influence of each unit of the test set on the difference, the mean over
// seeds; nil, and why, where the runs were not measured on the same units or a log has none.
func (one *Change) testUnits() (units []float64, why string) {
	n := float64(len(one.New.Seeds))
	for i := range one.New.Seeds {
		a, b := one.Base.Seeds[i].Influence, one.New.Seeds[i].Influence
		switch {
		case a == nil || b == nil:
			return nil, "a log of an earlier version does not hold what to pair over the test set"
		case a.Test != b.Test || a.Units != b.Units || a.Test != one.New.Seeds[0].Influence.Test || a.Units != one.New.Seeds[0].Influence.Units:
			return nil, "the test sets differ"
		case a.Units < 2:
			return nil, ""
		}
		before, after := a.Values(), b.Values()
		if units == nil {
			units = make([]float64, len(after))
		}
		for k := range units {
			units[k] += (after[k] - before[k]) / n
		}
	}
	return units, ""
}

// unpaired judges by both intervals.
func (one *Change) unpaired() (d stat.Interval, p float64, ok bool) {
	a, b := one.Base, one.New
	if !a.Interval || !b.Interval {
		return d, math.NaN(), false
	}
	if len(a.Seeds) == 1 || len(b.Seeds) == 1 {
		one.warn("one seed: judged by the intervals of the test samples")
	} else {
		one.warn("different seeds or test samples: judged by both intervals")
	}
	d.Value = b.Value - a.Value
	side := func(ofNew, ofBase float64) stat.Estimate { // half-widths on one side
		return stat.Estimate{Value: d.Value, Errors: []stat.Error{stat.ErrorOf(ofNew, len(b.Seeds)), stat.ErrorOf(ofBase, len(a.Seeds))}}
	}
	belowA, aboveA := a.Sides()
	belowB, aboveB := b.Sides()
	below, above := side(belowB, aboveA), side(aboveB, belowA)
	d.Low, d.High = d.Value-below.Half(), d.Value+above.Half()
	if d.Value < 0 {
		return d, above.P(), d.Bounded() // the side on which 0 is
	}
	return d, below.P(), d.Bounded()
}

// direction says which way the value went. To be a number is better than not to be one.
func (one *Change) direction() Judgement {
	a, b := one.compared()
	switch {
	case one.Metric.Better == lab.Neither, a == b:
		return Changed
	case math.IsNaN(b):
		return Worse
	case math.IsNaN(a), (b > a) == (one.Metric.Better == lab.Higher):
		return Better
	}
	return Worse
}

func (one *Change) warn(text string) {
	if text != "" && !slices.Contains(one.Warnings, text) {
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
