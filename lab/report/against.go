package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/lab"
	"slimlab/lab/sweep"
)

// Against is how the rows of a run differ from the equal rows of another, the baseline: those of
// the same step at the same values of the axes that it depends on.
type Against struct {
	Base  lab.Begin
	Notes []string // what else differs, and rows that only the baseline has

	equal   map[string]*lab.TableRow      // the baseline's rows, by the label of the run's
	changes map[string]map[string]*Change // by label and metric
}

// NewAgainst compares a run with a baseline. resolve is that of CompareRuns.
func NewAgainst(v, base *lab.View, resolve Resolve) *Against {
	a := &Against{Base: base.Begin, equal: map[string]*lab.TableRow{}, changes: map[string]map[string]*Change{}}
	c := compare(a.align(v, base), v, resolve)
	// tables say themselves what they fold
	reasons := slices.DeleteFunc(c.Reasons, func(reason string) bool { return reason == c.repeatsNote() })
	a.Notes = append(reasons, a.Notes...)
	for i := range c.Changes {
		one := &c.Changes[i]
		if a.changes[one.Row] == nil {
			a.changes[one.Row] = map[string]*Change{}
		}
		a.changes[one.Row][one.Metric.Key] = one
	}
	for row, first := range c.repeats {
		a.changes[row] = a.changes[first]
	}
	return a
}

// align is the baseline with the rows that the run has too, called as the run calls them: a row
// that does not depend on an axis has equals in a run without it.
func (a *Against) align(v, base *lab.View) *lab.View {
	old, now := sweep.Of(base), sweep.Of(v)
	rows := map[string]*sweep.Row{}
	for i := range old.Rows {
		rows[old.Rows[i].Identity()] = &old.Rows[i]
	}
	aligned := *base
	aligned.Rows = nil
	for i := range now.Rows {
		key := now.Rows[i].Identity()
		equal := rows[key]
		if equal == nil {
			continue
		}
		delete(rows, key)
		for _, same := range now.Rows[i].Same {
			row, as := *equal.TableRow, &v.Rows[same]
			row.Name, row.Params, row.Point = as.Name, as.Params, as.Point
			aligned.Rows = append(aligned.Rows, row)
			a.equal[as.Label()] = equal.TableRow
		}
	}
	var only []string
	for i := range old.Rows {
		if r := &old.Rows[i]; rows[r.Identity()] == r && r.Done > 0 {
			only = append(only, old.FullLabel(r))
		}
	}
	if len(only) > 0 {
		more := ""
		if len(only) > mostOnly {
			more = fmt.Sprintf("; … and %d more", len(only)-mostOnly)
		}
		a.Notes = append(a.Notes, fmt.Sprintf("the baseline alone has %s: %s%s", Plural(len(only), "row"), strings.Join(only[:min(mostOnly, len(only))], "; "), more))
	}
	return &aligned
}

// mostOnly is how many rows of the baseline alone a note names.
const mostOnly = 8

// Delta is the change of a row's metric as text, "-1.30% -": the difference and the sign of its
// judgement; Missing where there is none. why says why there is none, or why it is not judged; it
// is empty where the row itself was not measured.
func (a *Against) Delta(r *lab.TableRow, m lab.Metric) (shown, why string) {
	if _, has := r.Metric(m.Key); !has {
		return Missing, ""
	}
	old := a.equal[r.Label()]
	switch one := a.changes[r.Label()][m.Key]; {
	case old == nil:
		return Missing, "the baseline has no such row"
	case one == nil || old.Done == 0:
		return Missing, "the baseline has not measured the row"
	case len(one.Base.Seeds) == 0:
		return Missing, "not measured in the baseline"
	case one.DeltaText() == Missing && math.IsNaN(one.Delta) && one.Judgement == Same:
		return Same.Sign(), ""
	case one.DeltaText() == Missing:
		return Missing + " " + one.Judgement.Sign(), "no relative difference to a baseline of " + Format(m.Unit, one.Base.Value)
	case one.Judgement == Unknown && len(one.Warnings) > 0:
		return one.DeltaText() + " " + one.Judgement.Sign(), one.Warnings[len(one.Warnings)-1]
	default:
		return one.DeltaText() + " " + one.Judgement.Sign(), ""
	}
}

// lines say what the differences are against.
func (a *Against) lines() []string {
	if a == nil {
		return nil
	}
	legend := strings.TrimPrefix(SignsLegend, "against the baseline: ")
	return append([]string{fmt.Sprintf("Δ is against the baseline %s (%s): %s", a.Base.Run, a.Base.Scenario, legend)}, a.Notes...)
}

// jsonAgainst is the change of a value.
type jsonAgainst struct {
	Base     lab.Number `json:"base"`
	Delta    lab.Number `json:"delta"`
	Low      lab.Number `json:"low"`
	High     lab.Number `json:"high"`
	P        lab.Number `json:"p"`
	Adjusted lab.Number `json:"p_adjusted"`
	Verdict  Judgement  `json:"verdict"`
	Warnings []string   `json:"warnings"`
}

type jsonBaseline struct {
	Run      string   `json:"run"`
	Scenario string   `json:"scenario"`
	Notes    []string `json:"notes"`
}

// fill adds the changes to a report's rows, which are those of v at these places.
func (a *Against) fill(out *jsonReport, v *lab.View, places []int) {
	out.Baseline = &jsonBaseline{a.Base.Run, a.Base.Scenario, orEmpty(a.Notes)}
	for k, i := range places {
		label, row := v.Rows[i].Label(), &out.Rows[k]
		row.Against = map[string]jsonAgainst{}
		for key, one := range a.changes[label] {
			if _, shown := row.Values[key]; shown {
				row.Against[key] = jsonAgainst{lab.Number(one.Base.Value), lab.Number(one.Delta), lab.Number(one.Low), lab.Number(one.High), lab.Number(one.P), lab.Number(one.Adjusted), one.Judgement, orEmpty(one.Warnings)}
			}
		}
		if a.equal[label] == nil {
			row.NoBaseline = "the baseline has no such row"
		}
	}
}

// csvCells are the baseline's value, the relative difference and the verdict.
func (a *Against) csvCells(r *lab.TableRow, key string) []string {
	one := a.changes[r.Label()][key]
	if one == nil {
		return []string{"", "", ""}
	}
	_, word, _ := strings.Cut(one.Judgement.String(), " ")
	return []string{number(one.Base.Value), number(one.Delta), word}
}
