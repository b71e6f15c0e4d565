package loadreport

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"slimlab/internal/plural"
	"slimlab/internal/visible"
	"slimlab/serve/load"
)

// Run is what was run, and how it is judged.
type Run struct {
	Title      string  // of the report
	Target     string  // such as a model and an address
	Workload   string  // in words
	Arrivals   string  // in words
	Rate       float64 // arrivals a second that were asked for; 0 of none
	Closed     bool    // arrivals came from users who wait
	Simulated  bool    // times are those of a simulated clock
	Left       load.Left
	Notes      []string // such as what a workload leaves out
	Objectives []Objective
	Seed       uint64 // of the resamples
	Records    []load.Record
}

// Summary is what a run came to. Each request was answered, or failed, or was dropped.
type Summary struct {
	Run

	Requests, Answered, Failed, Dropped int
	Input, Cached, Output               int // tokens of answered requests
	Good                                int // answered requests that kept the objectives
	Latencies                           []Latency
	Figures                             []Figure
	Warnings                            []Warning
	Errors                              []Failure
	InFlight                            []Step
}

// Figure is a figure of the whole run.
type Figure struct {
	Definition
	Value float64
}

// Warning names what makes figures doubtful.
type Warning struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// IDs of warnings.
const (
	LateGenerator   = "late-generator"
	OverSaturated   = "over-saturated"
	FewForP99       = "few-for-p99"
	ClosedLoop      = "closed-loop"
	FailedRequests  = "failed-requests"
	DroppedRequests = "dropped-requests"
	NotSent         = "not-sent"
	EstimatedCounts = "estimated-counts"
	EvenTokens      = "even-tokens"
	CoarseChunks    = "coarse-chunks"
	ResentRequests  = "resent-requests"
	ReplacedAnswers = "replaced-answers"
)

// Failure is an error and how many requests have it.
type Failure struct {
	Text   string `json:"error"`
	Number int    `json:"requests"`
}

// lateShare is how late a generator may be, at P99, of the median TTFT.
const lateShare = 0.1

// Summarize computes the summary of a run.
func Summarize(run Run) *Summary {
	s := &Summary{Run: run, Requests: len(run.Records)}
	var ttft, tpots, e2e, serviceTTFT, serviceE2E, firstByte, lag []float64
	var gaps [][]float64
	var duration, busy time.Duration
	estimated, coarse, replaced, resent := 0, 0, 0, 0
	for i := range run.Records {
		r := &run.Records[i]
		duration = max(duration, r.End)
		if r.Dropped {
			s.Dropped++
			continue
		}
		lag = append(lag, (r.Sent - r.Scheduled).Seconds())
		busy += r.End - r.Sent
		if r.Err != nil {
			s.Failed++
			s.fails(r.Err)
			continue
		}
		s.Answered++
		s.Input, s.Cached, s.Output = s.Input+r.Prompt, s.Cached+r.Cached, s.Output+r.Tokens
		ttft, e2e = append(ttft, (r.First-r.Scheduled).Seconds()), append(e2e, (r.End-r.Scheduled).Seconds())
		serviceTTFT, serviceE2E = append(serviceTTFT, (r.First-r.Sent).Seconds()), append(serviceE2E, (r.End-r.Sent).Seconds())
		if r.FirstByte > 0 {
			firstByte = append(firstByte, (r.FirstByte - r.Sent).Seconds())
		}
		if t, ok := tpot(r); ok {
			tpots = append(tpots, t.Seconds())
		}
		if len(r.Chunks) > 1 {
			own := make([]float64, len(r.Chunks)-1)
			for k := range own {
				own[k] = (r.Chunks[k+1] - r.Chunks[k]).Seconds()
			}
			gaps = append(gaps, own)
		}
		if r.Estimated {
			estimated++
		}
		if r.Replaced > 0 {
			replaced++
		}
		if r.Resent {
			resent++
		}
		if n := len(r.Chunks); (n > 0 || r.FirstByte > 0) && r.Tokens > 2*max(n, 1) {
			coarse++
		}
		if keeps(r, run.Objectives) {
			s.Good++
		}
	}
	slices.SortStableFunc(s.Errors, func(a, b Failure) int { return cmp.Compare(b.Number, a.Number) })
	s.Latencies = []Latency{
		newLatency(TTFT, ttft, run.Seed), newLatency(TPOT, tpots, run.Seed), newPooled(ITL, gaps, run.Seed), newLatency(E2E, e2e, run.Seed),
		newLatency(ServiceTTFT, serviceTTFT, run.Seed), newLatency(ServiceE2E, serviceE2E, run.Seed),
		newLatency(FirstByte, firstByte, run.Seed), newLatency(SendLag, lag, run.Seed),
	}
	s.InFlight = concurrency(run.Records)
	g := growthOf(run.Records, s.InFlight)
	peak, even := peakOutput(run.Records)
	s.figures(duration.Seconds(), busy.Seconds(), peak, g)
	s.warn(g, estimated, coarse, replaced, resent, even)
	return s
}

func (s *Summary) fails(err error) {
	text := visible.Line(err.Error())
	for i := range s.Errors {
		if s.Errors[i].Text == text {
			s.Errors[i].Number++
			return
		}
	}
	if len(s.Errors) == mostErrors {
		text = "other errors"
		if last := &s.Errors[mostErrors-1]; last.Text != text {
			last.Text = text
		}
		s.Errors[mostErrors-1].Number++
		return
	}
	s.Errors = append(s.Errors, Failure{text, 1})
}

// mostErrors bounds the different errors that are kept.
const mostErrors = 20

func (s *Summary) figures(duration, busy, peak float64, g growth) {
	most := 0
	for _, step := range s.InFlight {
		most = max(most, step.N)
	}
	add := func(id string, value float64) { s.Figures = append(s.Figures, Figure{definition(id), value}) }
	ratio := func(above, below float64) float64 {
		if below == 0 {
			return 0
		}
		return above / below
	}
	add(Duration, duration)
	add(RequestRate, ratio(float64(s.Answered), duration))
	add(InputRate, ratio(float64(s.Input), duration))
	add(CachedShare, ratio(float64(s.Cached), float64(s.Input)))
	add(OutputRate, ratio(float64(s.Output), duration))
	add(TotalRate, ratio(float64(s.Input+s.Output), duration))
	if len(s.Objectives) > 0 {
		add(Goodput, ratio(float64(s.Good), duration))
		add(GoodputShare, ratio(float64(s.Good), float64(s.Requests)))
	}
	add(PeakConcurrency, float64(most))
	add(MeanConcurrency, ratio(busy, duration))
	add(PeakOutputRate, peak)
	add(ConcurrencySlope, g.concurrency)
	add(TTFTSlope, g.ttft)
}

func (s *Summary) warn(g growth, estimated, coarse, replaced, resent int, even bool) {
	add := func(id, format string, values ...any) {
		s.Warnings = append(s.Warnings, Warning{id, fmt.Sprintf(format, values...)})
	}
	lag, ttft := s.Latency(SendLag).At(99), s.Latency(TTFT).At(50)
	if lag > lateShare*ttft {
		add(LateGenerator, "the generator did not keep to its schedule: the send lag at P99 is %s, more than %.0f%% of the median TTFT, %s; the figures are not the server's alone", milliseconds(lag), 100*lateShare, milliseconds(ttft))
	}
	if s.Closed {
		add(ClosedLoop, "users waited for their answers before they asked again: a stall of the server holds them up, and is in few of the latencies (coordinated omission)")
	} else if g.grows {
		add(OverSaturated, "more came than was answered: requests in flight grew by %.0f%% of the arrivals and TTFT by %.3g s each second; the latencies are those of a run of this length and grow with it", 100*g.concurrency, g.ttft)
	} else if s.Dropped > 0 {
		add(OverSaturated, "more came than was answered: as many requests as were allowed were in flight, and others were dropped; the latencies are those of the requests that were let in")
	}
	if s.Dropped > 0 {
		add(DroppedRequests, "%s %s dropped, since as many as were allowed were in flight; they are in no latency", plural.Of(s.Dropped, "request"), plural.Words(s.Dropped, "was", "were"))
	}
	if s.Failed > 0 {
		add(FailedRequests, "%s failed; they are in no latency", plural.Of(s.Failed, "request"))
	}
	if s.Left != (load.Left{}) {
		add(NotSent, "%s and %s of sessions that had begun were not sent", plural.Of(s.Left.Arrivals, "arrival"), plural.Of(s.Left.Turns, "turn"))
	}
	if s.Answered > 0 && s.Answered < fewForP99 {
		add(FewForP99, "P99 of %s lies between the two largest", plural.Of(s.Answered, "answered request"))
	}
	if estimated > 0 {
		add(EstimatedCounts, "%s came without the server's usage: prompt tokens are those sent, output tokens the chunks, cached tokens unknown", plural.Of(estimated, "answer"))
	}
	if replaced > 0 {
		add(ReplacedAnswers, "the server did not tell which tokens it generated: in %s of sessions others stand in their place, and only the prompt before them can come from its cache", plural.Of(replaced, "prompt"))
	}
	if resent > 0 {
		add(ResentRequests, "%s went a second time, since the server had closed the first connection without a word: the time of both counts", plural.Of(resent, "request"))
	}
	if coarse > 0 {
		add(CoarseChunks, "in %s chunks held more than 2 tokens on average: TTFT and ITL are those of chunks, not of tokens", plural.Of(coarse, "answer"))
	}
	if even {
		add(EvenTokens, "the times of tokens are unknown: the peak of output tokens takes them as even between the first and the last, and ITL is left out of these")
	}
}

// Latency finds a latency by its ID.
func (s *Summary) Latency(id string) *Latency {
	for i := range s.Latencies {
		if s.Latencies[i].ID == id {
			return &s.Latencies[i]
		}
	}
	return &Latency{}
}

// Figure is a figure by its ID; NaN where the run has none.
func (s *Summary) Figure(id string) float64 {
	for _, f := range s.Figures {
		if f.ID == id {
			return f.Value
		}
	}
	return math.NaN()
}

// Has reports whether the summary has a warning.
func (s *Summary) Has(warning string) bool {
	return slices.ContainsFunc(s.Warnings, func(w Warning) bool { return w.ID == warning })
}
