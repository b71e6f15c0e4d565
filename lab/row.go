package lab

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"slimlab/lab/stat"
)

// TableRow is one line of the live table: one step's model at one point of the sweep, over all
// seeds.
type TableRow struct {
	Name    string  // the step whose model was measured
	Params  []Param // the sweep's axes; empty without a sweep
	Point   int     // index of the sweep point: rows with the same Point belong together
	State   State
	Cells   []string           // ids of the cells that the row aggregates, in the plan's order
	Of      int                // cells that will report
	Done    int                // cells that have reported at least one value
	Changed int                // View.RowsChanged when the row last changed; 0: never
	Values  map[string]Summary // by metric key
	// Machines are where the cells measured the row, in order of seed, each once.
	Machines []string
	// Keys are the artifacts of the cells' models, and Tests what they were measured on, in order
	// of seed; "" where a log does not say.
	Keys, Tests []string
	// Tokens are the artifacts of what the cells' models say at each token of a few answers, in
	// order of seed; "" where there is none.
	Tokens []string
	// KV is the format of the KV cache that the row was measured with; "" for the usual one.
	KV string
	// Timings say how the timings of the row were taken, in order of seed.
	Timings []SeedTiming
	// Chosen is what searches of the row's step have chosen, in order of seed.
	Chosen []SeedChosen
	seeds  []seedValues // what each cell reported, in order of seed
	// a cell has reported since the row was summed up; with which metrics
	stale        bool
	staleMetrics map[string]bool
}

type seedValues struct {
	cell      string
	seed      int
	machine   string
	key       string
	test      string
	tokens    string
	chosen    string
	timings   []Timing
	values    map[string]Measure
	influence map[string]*Influence
}

// Summary is a metric of a row over the seeds that have reported it.
type Summary struct {
	// Value is the mean over seeds, or the median where the metric is a timing.
	Value float64
	// Low and High bound the value where Interval is true. One seed: the 95% interval of its
	// measure. More: the 95% interval of the mean from the variance over seeds (Student's t) and
	// that of the test sample (the seeds' own intervals); for a timing the lowest and the highest
	// seed.
	// Bounds beyond the range of the metric are cut to it, with a warning.
	Low, High float64
	Interval  bool
	below     float64 // what Low was cut by
	above     float64
	Seeds     []SeedMeasure // in order of seed
	Of        int           // seeds that the plan has
	Warnings  []string      // why to take the value with care, each once
}

// HalfWidth is the longer side of the interval, 0 without one.
func (s *Summary) HalfWidth() float64 {
	if !s.Interval {
		return 0
	}
	return max(s.High-s.Value, s.Value-s.Low)
}

// Sides are the widths of the interval below and above the value before it was cut to the metric's
// range: what a comparison adds up.
func (s *Summary) Sides() (below, above float64) {
	return s.Value - s.Low + s.below, s.High - s.Value + s.above
}

// Cut reports whether a bound of the interval was cut to the metric's range.
func (s *Summary) Cut() bool { return s.below > 0 || s.above > 0 }

// cutTo cuts the interval to a range in which the value lies.
func (s *Summary) cutTo(low, high float64) {
	if !s.Interval || !(low <= s.Value && s.Value <= high) {
		return
	}
	if s.Low < low {
		s.below, s.Low = low-s.Low, low
		s.warn(fmt.Sprintf("interval cut at %g, the lowest value there is", low))
	}
	if s.High > high {
		s.above, s.High = s.High-high, high
		s.warn(fmt.Sprintf("interval cut at %g, the highest value there is", high))
	}
}

// SeedMeasure is what one seed measured.
type SeedMeasure struct {
	Seed int
	Measure
	Influence *Influence // of the test set's units; nil where the log has none
}

// SeedTiming is how one seed's timings were taken.
type SeedTiming struct {
	Seed int
	Timing
}

// SeedChosen is what a search has chosen in one seed.
type SeedChosen struct {
	Seed     int    `json:"seed"`
	Settings string `json:"settings"` // "learning_rate=0.002 ce=0"
}

// Metric returns the row's summary of a metric; ok is false when no seed has reported it.
func (r *TableRow) Metric(key string) (s Summary, ok bool) {
	s, ok = r.Values[key]
	return s, ok
}

// Label names the row among all: its step, then the sweep's axes ("w8a8 loss=fkl").
func (r *TableRow) Label() string {
	label := r.Name
	for _, p := range r.Params {
		label += " " + p.Key + "=" + p.Value
	}
	return label
}

// Param returns the row's value on an axis of the sweep.
func (r *TableRow) Param(key string) (value string, ok bool) {
	for _, p := range r.Params {
		if p.Key == key {
			return p.Value, true
		}
	}
	return "", false
}

func (r *TableRow) reported(cell *Cell) bool {
	_, known := r.seed(cell)
	return known
}

// seed finds what a cell reported, or where that belongs.
func (r *TableRow) seed(cell *Cell) (at int, known bool) {
	return slices.BinarySearchFunc(r.seeds, cell, func(s seedValues, c *Cell) int {
		return cmp.Or(cmp.Compare(s.seed, c.Seed), cmp.Compare(s.cell, c.ID))
	})
}

// merge adds the values of a cell's row event; a metric that is reported again replaces its value.
func (r *TableRow) merge(cell Cell, machine string, e Event) {
	at, known := r.seed(&cell)
	if !known {
		r.seeds = slices.Insert(r.seeds, at, seedValues{cell: cell.ID, seed: cell.Seed, values: map[string]Measure{}, influence: map[string]*Influence{}})
		r.Done++
	}
	r.seeds[at].machine, r.seeds[at].key, r.seeds[at].test = machine, e.Key, e.Test
	r.seeds[at].timings, r.seeds[at].tokens, r.seeds[at].chosen = e.Timings, e.Tokens, e.Chosen
	r.KV = e.KV // of the step, whose cells have no other
	r.seeds[at].take(e)
	if r.stale = true; r.staleMetrics == nil {
		r.staleMetrics = map[string]bool{}
	}
	for key := range e.Values {
		r.staleMetrics[key] = true
	}
}

// sumUp fills what the row says of all its seeds, where a cell has reported since. Metrics that no
// cell has reported since are as they were.
func (r *TableRow) sumUp() {
	if !r.stale {
		return
	}
	// a snapshot may have the old lists
	r.Machines, r.Keys, r.Tests, r.Tokens, r.Timings, r.Chosen = nil, nil, nil, nil, nil, nil
	for _, s := range r.seeds {
		for _, timing := range s.timings {
			r.Timings = append(r.Timings, SeedTiming{s.seed, timing})
		}
		r.Keys, r.Tests = append(r.Keys, s.key), append(r.Tests, s.test)
		r.Tokens = append(r.Tokens, s.tokens)
		if s.chosen != "" {
			r.Chosen = append(r.Chosen, SeedChosen{s.seed, s.chosen})
		}
		if s.machine != "" && !slices.Contains(r.Machines, s.machine) {
			r.Machines = append(r.Machines, s.machine)
		}
	}
	for key := range r.staleMetrics {
		r.Values[key] = r.summarize(key)
	}
	r.stale, r.staleMetrics = false, nil
}

// take keeps the values of a row event, each with its influence or none.
func (s *seedValues) take(e Event) {
	maps.Copy(s.values, e.Values)
	for key := range e.Values {
		delete(s.influence, key)
		if o, ok := e.Influence[key]; ok {
			s.influence[key] = &o
		}
	}
}

func (r *TableRow) summarize(key string) Summary {
	s := Summary{Of: r.Of}
	for _, seed := range r.seeds {
		if m, ok := seed.values[key]; ok {
			s.Seeds = append(s.Seeds, SeedMeasure{seed.seed, m, seed.influence[key]})
		}
	}
	metric, known := MetricByKey(key)
	s.fold(known && metric.Timing)
	if known {
		s.cutTo(metric.Unit.Range())
	}
	return s
}

// fold fills the summary from its seeds.
func (s *Summary) fold(timing bool) {
	values := make([]float64, len(s.Seeds))
	for i, m := range s.Seeds {
		values[i] = m.Value
		for _, reason := range m.Reasons() {
			s.warn(reason)
		}
	}
	n := len(values)
	switch {
	case slices.ContainsFunc(values, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }):
		s.Value = math.NaN()
		s.warn("not finite")
	case n == 1:
		s.Value = values[0]
		s.Low, s.High, s.Interval = s.ownInterval()
	case timing:
		s.Value, s.Low, s.High, s.Interval = stat.Median(values), slices.Min(values), slices.Max(values), true
		s.warn(fmt.Sprintf("timing: median and range of %d seeds", n))
	default:
		mean := stat.MeanInterval(values)
		if n < 5 && mean.High > mean.Low {
			s.warn(fmt.Sprintf("n=%d seeds", n))
		}
		if low, high, ok := s.ownInterval(); ok {
			mean = stat.AddVariance(mean, low, high)
		}
		s.Value, s.Low, s.High, s.Interval = mean.Value, mean.Low, mean.High, mean.Bounded()
	}
	if n < s.Of {
		s.warn(fmt.Sprintf("%d of %d seeds so far", n, s.Of))
	}
}

// ownInterval is the mean of the seeds' own intervals: the uncertainty of the test sample, which
// more seeds on the same sample do not reduce. ok is false where a seed has no interval, or one
// whose bounds are not finite.
func (s *Summary) ownInterval() (low, high float64, ok bool) {
	n := float64(len(s.Seeds))
	for _, m := range s.Seeds {
		if m.Low == 0 && m.High == 0 || !(stat.Interval{Low: m.Low, High: m.High}).Bounded() {
			return 0, 0, false
		}
		low, high = low+m.Low/n, high+m.High/n
	}
	return low, high, true
}

// warningSeparator is between the reasons of a Measure.Warning.
const warningSeparator = "; "

// Reasons are those of the measure's warning.
func (m *Measure) Reasons() []string {
	if m.Warning == "" {
		return nil
	}
	return strings.Split(m.Warning, warningSeparator)
}

func (s *Summary) warn(text string) {
	if text != "" && !slices.Contains(s.Warnings, text) {
		s.Warnings = append(s.Warnings, text)
	}
}

// SeedNumbers are the seeds that have reported, in the order of Keys and Tokens.
func (r *TableRow) SeedNumbers() []int {
	seeds := make([]int, len(r.seeds))
	for i := range r.seeds {
		seeds[i] = r.seeds[i].seed
	}
	return seeds
}

// NoTokens says why a row has no Tokens.
func (v *View) NoTokens(row *TableRow) string {
	switch {
	case row.Done == 0 && !v.State.Over():
		return "it has not been measured yet"
	case row.Done == 0:
		return "it was not measured: run the scenario again"
	}
	for i := range v.Rows {
		if slices.ContainsFunc(v.Rows[i].Tokens, func(key string) bool { return key != "" }) {
			return fmt.Sprintf("it is compared with no other model, as the baseline is; take another row, such as %s", v.Rows[i].Name)
		}
	}
	return "no row of the run has any: there is the baseline alone, or evaluate.tokens is 0, or the run is of an earlier version; run the scenario with evaluate.tokens of 4"
}
