package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/stat"
)

// Resolve derives the settings of a run from its log.
type Resolve func(lab.Begin) ([]Setting, error)

// served are the sections that decide what a served model is asked.
var served = []string{"task", "tokenizer", "serve"}

// scenarioTimings says why timings of two scenarios cannot be compared; "" where all settings that
// differ are those of models, steps and their evaluation: the same prompts are served.
func scenarioTimings(base, next lab.Begin, resolve Resolve) string {
	if base.Hash == next.Hash {
		return pointTimings(base, next, resolve)
	}
	const reason = "not judged: the scenarios differ, "
	if resolve == nil {
		return reason + "and in which settings is not known"
	}
	settings, notes := Differences([]lab.Begin{base, next}, resolve)
	if len(notes) > 0 {
		return reason + "and in which settings is not known"
	}
	for _, d := range settings {
		if !besideServing(d.Key, slices.Concat(base.Rows, next.Rows)) {
			return reason + "also in " + d.Key
		}
	}
	return ""
}

// pointTimings says why timings of two rows of one scenario cannot be compared: at their points of
// the sweep something else is served.
func pointTimings(base, next lab.Begin, resolve Resolve) string {
	if resolve == nil || len(base.Cells) == 0 || len(next.Cells) == 0 || slices.Equal(base.Cells[0].Params, next.Cells[0].Params) {
		return ""
	}
	settings, _ := Differences([]lab.Begin{base, next}, resolve)
	for _, d := range settings {
		if section, _, _ := strings.Cut(d.Key, "."); slices.Contains(served, section) {
			return "not judged: the rows differ in " + d.Key
		}
	}
	return ""
}

// besideServing reports whether a setting is known to change neither what is served nor where. The
// machine is compared row by row. A loaded model may bring another tokenizer.
func besideServing(key string, steps []string) bool {
	section, _, inner := strings.Cut(key, ".")
	switch {
	case !inner:
		return slices.Contains([]string{"step", "scenario", "quick", "seeds", "version", "machine", "hash", "baseline"}, key)
	case slices.Contains(served, section):
		return false
	case section == "models":
		return !strings.HasSuffix(key, ".load")
	}
	return section == "evaluate" || section == "sweep" || slices.Contains(steps, section)
}

// timings says why a timing of a row is not judged; "" where it is: on one machine, and for one
// scenario or where the scenarios differ in nothing that serving hangs on, both were taken on a
// steady machine and each run has seeds enough for a test.
func (of *pair) timings(one *Change) string {
	switch few := min(len(one.Base.Seeds), len(one.New.Seeds)); {
	case !of.machine:
		return "not judged: the machines differ"
	case of.scenario != "":
		return of.scenario
	case of.sameScenario:
		return ""
	case one.Metric.Section != lab.Serving && !of.model:
		return "not judged: the scenarios differ, and the models are trained by other settings"
	case few < testSeeds:
		return fmt.Sprintf("not judged: the scenarios differ, and %s are too few for a test, which needs %d", plural.Of(few, "seed"), testSeeds)
	case !steady(of.base, one.Base) || !steady(of.next, one.New):
		return "not judged: the scenarios differ, and the machine was not seen to be steady throughout"
	}
	return ""
}

// steady reports whether all timings of a row were taken on a machine that was steady, with nothing
// beside them, and at least one for each seed.
func steady(row *lab.TableRow, of lab.Summary) bool {
	for _, s := range of.Seeds {
		if !slices.ContainsFunc(row.Timings, func(t lab.SeedTiming) bool { return t.Seed == s.Seed }) {
			return false
		}
	}
	return !slices.ContainsFunc(row.Timings, func(t lab.SeedTiming) bool { return t.Machine != "steady" || t.Others > 0 || t.Beside })
}

func (one *Change) judgeTiming() {
	a, b := seedValues(one.Base), seedValues(one.New)
	beyond := math.Abs(one.New.Value-one.Base.Value) > timingFloor*math.Abs(one.Base.Value)
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
