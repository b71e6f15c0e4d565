package loadreport

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"slimlab/internal/visible"
	"slimlab/serve/load"
)

// Objective is a bound of a latency that a good request keeps (SLO).
type Objective struct {
	ID     string // TTFT, TPOT or E2E
	Within time.Duration
}

// ParseObjectives reads bounds such as ttft:200ms,tpot:50ms,e2el:2s.
func ParseObjectives(text string) ([]Objective, error) {
	var list []Objective
	for _, part := range strings.Split(text, ",") {
		id, bound, found := strings.Cut(strings.TrimSpace(part), ":")
		within, err := time.ParseDuration(bound)
		switch {
		case !found || !slices.Contains([]string{TTFT, TPOT, E2E}, id):
			return nil, fmt.Errorf("goodput: found %q, expected a latency (ttft, tpot, e2el) and its bound, such as ttft:200ms", visible.Line(part))
		case err != nil || within <= 0:
			return nil, fmt.Errorf("goodput: found the bound %q of %s, expected a time such as 200ms", visible.Line(bound), id)
		case slices.ContainsFunc(list, func(o Objective) bool { return o.ID == id }):
			return nil, fmt.Errorf("goodput: found two bounds of %s, expected one", id)
		}
		list = append(list, Objective{id, within})
	}
	return list, nil
}

// String is the objective as ParseObjectives reads it.
func (o Objective) String() string { return o.ID + ":" + o.Within.String() }

// keeps reports whether an answered request keeps all objectives.
func keeps(r *load.Record, all []Objective) bool {
	for _, o := range all {
		var took time.Duration
		switch o.ID {
		case TTFT:
			took = r.First - r.Scheduled
		case TPOT:
			took, _ = tpot(r)
		case E2E:
			took = r.End - r.Scheduled
		}
		if took > o.Within {
			return false
		}
	}
	return true
}

// tpot is the time per output token of an answer of several.
func tpot(r *load.Record) (time.Duration, bool) {
	if r.Tokens < 2 {
		return 0, false
	}
	return (r.End - r.First) / time.Duration(r.Tokens-1), true
}
