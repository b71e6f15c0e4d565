package report

import (
	"fmt"
	"math"
	"strings"

	"slimlab/lab"
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
	c := compare(base, v, resolve, false)
	a.Notes = c.Reasons // tables say themselves what they fold
	for i := range c.matches {
		m := &c.matches[i]
		if m.base == nil || m.next == nil {
			continue
		}
		changes := map[string]*Change{}
		for k := m.from; k < m.to; k++ {
			changes[c.Changes[k].Metric.Key] = &c.Changes[k]
		}
		for _, at := range m.of {
			label := v.Rows[at].Label()
			a.equal[label], a.changes[label] = m.base.TableRow, changes
		}
	}
	if c.Comparable {
		for _, rows := range joinSingle(c.Apart[0]) {
			a.Notes = append(a.Notes, "the baseline alone has measured "+rows)
		}
	}
	return a
}

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
