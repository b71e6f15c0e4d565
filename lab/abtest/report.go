package abtest

import (
	"fmt"
	"math"
	"strings"

	"slimlab/internal/plural"
	"slimlab/internal/texttable"
	"slimlab/lab"
	"slimlab/lab/report"
)

// Verdict is what is said of B.
type Verdict string

const (
	Better    Verdict = "better"
	Worse     Verdict = "worse"
	Equal     Verdict = "equal within the margin"
	Undecided Verdict = "no difference shown"
	NoJudge   Verdict = "no arm is judged" // of agreement
)

// Report is what an experiment has come to, with what is exported of it.
type Report struct {
	A         string   `json:"a"`
	B         string   `json:"b"`
	Paired    bool     `json:"paired"`           // each prompt went to both arms
	Share     float64  `json:"share_of_traffic"` // of B
	Level     float64  `json:"level"`            // of the whole report
	LevelEach float64  `json:"level_each"`       // of each interval
	Seed      uint64   `json:"seed"`
	Prompts   int      `json:"prompts"`
	Asked     int      `json:"asked"`
	Pairs     int      `json:"pairs,omitempty"` // prompts that both have answered
	Stopped   bool     `json:"stopped"`         // before the end of the prompts, by a decision
	Arms      [2]Side  `json:"arms"`
	Metrics   []Row    `json:"metrics"`
	Notes     []string `json:"notes,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
}

// Side is how the requests to an arm ended.
type Side struct {
	Requests int    `json:"requests"`
	Failed   int    `json:"failed"`
	Failure  string `json:"first_failure,omitempty"`
	Tokens   int    `json:"answer_tokens"`
}

// Row is one metric. Of latencies, A and B are geometric means and the change is that of their
// ratio, a share of A; of others they are means and the change is their difference.
type Row struct {
	Key     string     `json:"metric"`
	Label   string     `json:"label"`
	Unit    string     `json:"unit"`
	A       lab.Number `json:"a"`
	B       lab.Number `json:"b"`
	Change  lab.Number `json:"change"`
	Low     lab.Number `json:"low"` // with High the interval, NaN before there is one
	High    lab.Number `json:"high"`
	N       int        `json:"n"`          // pairs, or requests of a split
	Decided int        `json:"decided_at"` // so many; 0 is not
	Verdict Verdict    `json:"verdict"`
	Warning string     `json:"warning,omitempty"`
	Latency bool       `json:"relative"` // the change is a share of A
}

// Worse lists the metrics of which B is worse.
func (r *Report) Worse() (labels []string) {
	for _, m := range r.Metrics {
		if m.Verdict == Worse {
			labels = append(labels, m.Label)
		}
	}
	return labels
}

// logMargin is the margin of a latency's logarithm: a share m below is not as far as m above, and
// the nearer counts.
func logMargin(share float64) float64 { return math.Log1p(share) }

// row is what a metric has come to.
func (s *series) row() Row {
	i := s.interval()
	unit := "share"
	switch {
	case s.latency:
		unit = "s"
	case s.key == LogP:
		unit = "nats"
	}
	a, b, change, low, high := s.mean[0], s.mean[1], i.Value, i.Low, i.High
	if s.latency {
		a, b, change, low, high = math.Exp(a), math.Exp(b), math.Expm1(change), math.Expm1(low), math.Expm1(high)
	}
	if !i.Bounded() {
		low, high = math.NaN(), math.NaN()
	}
	if s.n[0] == 0 {
		a = math.NaN()
	}
	if s.n[1] == 0 {
		b = math.NaN()
	}
	if s.both != nil {
		i.Warning = "" // the share of equal answers is not a change
	}
	if s.taken == 0 {
		change, low, high = math.NaN(), math.NaN(), math.NaN()
		i.Warning = "no value is known of both arms"
	}
	verdict := s.verdict
	switch {
	case s.better == 0:
		verdict = NoJudge
	case verdict == "":
		verdict = Undecided
	case verdict != Equal && i.Low <= 0 && i.High >= 0:
		i.Warning = fmt.Sprintf("decided at %d, and the interval has come to cover no change since: the difference is not steady", s.decided)
	}
	return Row{
		Key: s.key, Label: s.label, Unit: unit, A: lab.Number(a), B: lab.Number(b), Change: lab.Number(change), Low: lab.Number(low), High: lab.Number(high),
		N: s.taken, Decided: s.decided, Verdict: verdict, Warning: i.Warning, Latency: s.latency,
	}
}

// finish completes the report.
func (e *Experiment) finish() {
	r := &e.report
	for _, s := range e.series {
		row := s.row()
		r.Metrics = append(r.Metrics, row)
		if row.Warning != "" {
			r.Warnings = append(r.Warnings, row.Label+": "+row.Warning)
		}
	}
	for i, name := range []string{r.A, r.B} {
		side := r.Arms[i]
		if side.Failed > 0 {
			what := "which are left out"
			if r.Paired {
				what = "whose prompts are no pairs"
			}
			r.Warnings = append(r.Warnings, fmt.Sprintf("%s of %d of arm %s (%s) failed, %s; the first: %s", plural.Of(side.Failed, "request"), side.Requests, [2]string{"A", "B"}[i], name, what, side.Failure))
		}
	}
	answered := func(side Side) float64 { return float64(side.Tokens) / float64(max(1, side.Requests-side.Failed)) }
	if a, b := answered(r.Arms[0]), answered(r.Arms[1]); math.Abs(a-b) > 0.05*max(a, b) {
		r.Warnings = append(r.Warnings, fmt.Sprintf("answers have %.3g tokens of A and %.3g of B on average: E2E compares answers of different lengths", a, b))
	}
}

// Text is the report for people: the table has the paper's columns (Table 6), a metric, its change
// and the share of traffic, with the interval and what it took.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "A  %s\nB  %s\n", r.A, r.B)
	switch {
	case r.Paired:
		fmt.Fprintf(&b, "%s of %s, each asked of both", plural.Of(r.Pairs, "pair"), plural.Of(r.Prompts, "prompt"))
	default:
		fmt.Fprintf(&b, "%s of %s, %d to A and %d to B", plural.Of(r.Asked, "request"), plural.Of(r.Prompts, "prompt"), r.Arms[0].Requests, r.Arms[1].Requests)
	}
	if r.Stopped {
		b.WriteString(", ended by a decision")
	}
	fmt.Fprintf(&b, ", seed %d\n\n", r.Seed)
	at := "pairs"
	if !r.Paired {
		at = "requests"
	}
	t := texttable.New(1, "metric", "A", "B", "change of B", "interval", "decided at", "verdict on B", "share of traffic")
	t.Columns[6].Right = false
	for _, m := range r.Metrics {
		decided := "–"
		if m.Decided > 0 {
			decided = fmt.Sprintf("%d %s", m.Decided, at)
		}
		interval := m.change(m.Low) + " to " + m.change(m.High)
		if !finite(float64(m.Low)) {
			interval = report.Missing
		}
		verdict := string(m.Verdict)
		if m.Decided == 0 && m.N > 0 && m.Verdict == Undecided {
			verdict += fmt.Sprintf(" in %d %s", m.N, at)
		}
		t.Add(m.Label, m.value(m.A), m.value(m.B), m.change(m.Change), interval, decided, verdict, fmt.Sprintf("%g%%", 100*r.Share))
	}
	b.WriteString(t.Text())
	fmt.Fprintf(&b, "\nwith probability %g none of the intervals misses at any time: each has the level %.2g. Latencies are geometric means.\n", 1-r.Level, r.LevelEach)
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// value writes the figure of an arm.
func (m *Row) value(x lab.Number) string {
	switch v := float64(x); {
	case math.IsNaN(v):
		return report.Missing
	case m.Latency:
		return report.Format(lab.Seconds, v)
	default:
		return fmt.Sprintf("%.4f", v)
	}
}

// change writes a change: of latencies in %, of shares in percentage points.
func (m *Row) change(x lab.Number) string {
	switch v := float64(x); {
	case !finite(v):
		return report.Missing
	case m.Latency:
		return fmt.Sprintf("%+.2f%%", 100*v)
	case m.Key == Agree:
		return fmt.Sprintf("%.1f%%", 100*v)
	case m.Unit == "share":
		return fmt.Sprintf("%+.2f pp", 100*v)
	default:
		return fmt.Sprintf("%+.4f", v)
	}
}
