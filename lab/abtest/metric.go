package abtest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"slimlab/lab/stat"
	"slimlab/lab/task"
	"slimlab/serve/load"
)

// Keys of metrics.
const (
	TTFT  = "ttft"
	TPOT  = "tpot"
	E2E   = "e2e"
	Exact = "exact_match"
	F1    = "token_f1"
	LogP  = "reference_logp"
	Agree = "same_answer"
)

// metric is one figure that is compared.
type metric struct {
	key, label string
	latency    bool // of which the logarithms are compared
	bounded    bool // from 0 to 1
	better     int  // 1: more, −1: less, 0: no arm can be the better
	of         func(o *outcome) float64
	both       func(a, b *outcome) float64 // of a figure of both arms together
}

// outcome is what an arm has made of a prompt.
type outcome struct {
	ttft, tpot, e2e float64 // seconds; NaN is unknown
	tokens          int
	match           task.Match
	logP            float64
	told            bool   // what the answer was
	text            string // of the answer, tokens as numbers
	err             error
}

// metrics are those of prompts and arms. Of a split no two answers can be compared.
func metrics(answers, referenced, logP, split bool) []metric {
	list := []metric{
		{key: TTFT, label: "TTFT", latency: true, better: -1, of: func(o *outcome) float64 { return o.ttft }},
		{key: TPOT, label: "TPOT", latency: true, better: -1, of: func(o *outcome) float64 { return o.tpot }},
		{key: E2E, label: "E2E", latency: true, better: -1, of: func(o *outcome) float64 { return o.e2e }},
	}
	switch {
	case answers && referenced:
		list = append(list,
			metric{key: Exact, label: "exact match", bounded: true, better: 1, of: func(o *outcome) float64 { return o.quality(share(o.match.Exact)) }},
			metric{key: F1, label: "token F1", bounded: true, better: 1, of: func(o *outcome) float64 { return o.quality(o.match.F1) }})
	case answers && !split:
		list = append(list, metric{key: Agree, label: "same answer", bounded: true, both: func(a, b *outcome) float64 { return a.quality(b.quality(share(a.text == b.text))) }})
	}
	if referenced && logP {
		list = append(list, metric{key: LogP, label: "log P of reference", better: 1, of: func(o *outcome) float64 { return o.logP }})
	}
	return list
}

// quality is a figure of the answer, NaN where the arm has not told it.
func (o *outcome) quality(x float64) float64 {
	if !o.told {
		return math.NaN()
	}
	return x
}

func share(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// unknown is an outcome of which nothing is known but its error.
func unknown(err error) outcome {
	return outcome{ttft: math.NaN(), tpot: math.NaN(), e2e: math.NaN(), logP: math.NaN(), err: err}
}

// newOutcome is the outcome of an answer that was asked for at a time.
func newOutcome(p *Prompt, asked time.Time, answer load.Answer, err error) outcome {
	o := unknown(err)
	if err != nil {
		return o
	}
	end := answer.End
	if end.IsZero() {
		end = time.Now()
	}
	o.take(answer.First.Sub(asked), end.Sub(asked), answer.Count)
	if o.text, o.told = answer.Text, true; p.Request.Prompt != nil {
		o.text, o.told = numbers(answer.Tokens), answer.Tokens != nil || answer.Count == 0 && !answer.Estimated
	}
	if p.Referenced() {
		right := p.Text
		if right == "" {
			right = numbers(p.Tokens)
		}
		o.match = task.NewMatch(o.text, right)
	}
	return o
}

// take takes the times of an answer of so many tokens.
func (o *outcome) take(first, end time.Duration, tokens int) {
	o.ttft, o.e2e, o.tokens = first.Seconds(), end.Seconds(), tokens
	if tokens > 1 {
		o.tpot = (end - first).Seconds() / float64(tokens-1)
	}
}

// numbers writes token ids as words.
func numbers(ids []int32) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = strconv.Itoa(int(id))
	}
	return strings.Join(words, " ")
}

// sequence is an interval that may be looked at at all times.
type sequence interface {
	Add(float64)
	Interval() stat.Interval
}

// The asymptotic sequences begin after so many values, and are narrowest at so many: with these, in
// simulations, those of normal, heavy-tailed, tied and skewed differences keep their level.
const (
	firstLook  = 20
	splitLook  = 100 // of each arm of a split, whose values have no pair that takes their spread away
	narrowest  = 500
	gridOfMean = 2001 // of differences from −1 to 1: a step is 0.001
)

// series is a metric in the course of an experiment.
type series struct {
	metric
	sequence
	margin  float64
	mean    [2]float64 // of the arms' values, of latencies of the logarithms
	n       [2]int
	moves   [2]float64 // sums of squared distances from the means
	verdict Verdict
	decided int // pairs by then, of a split requests
	taken   int // values that the sequence was given
	split   bool
}

// newSeries begins a metric; of a split, the rarer arm is the one that has to be seen often.
func newSeries(m metric, level, margin, split float64) (*series, error) {
	s := &series{metric: m, margin: margin, split: split > 0}
	var err error
	switch {
	case m.both != nil:
		s.sequence, err = stat.NewBoundedSequence(level, 0, 1, gridOfMean)
	case m.bounded && !s.split:
		s.sequence, err = stat.NewBoundedSequence(level, -1, 1, gridOfMean)
	case s.split:
		s.sequence, err = stat.NewMeanSequence(level, firstLook, int(narrowest/2/min(split, 1-split)))
	default:
		s.sequence, err = stat.NewMeanSequence(level, firstLook, narrowest)
	}
	return s, err
}

// value is that of an arm, of latencies its logarithm; ok says that it is known.
func (s *series) value(o *outcome) (x float64, ok bool) {
	x = s.of(o)
	if s.latency {
		x = math.Log(x)
	}
	return x, !math.IsNaN(x) && !math.IsInf(x, 0)
}

// count adds a value to an arm's mean.
func (s *series) count(arm int, x float64) {
	s.n[arm]++
	from := x - s.mean[arm]
	s.mean[arm] += from / float64(s.n[arm])
	s.moves[arm] += from * (x - s.mean[arm])
}

// pair takes the outcomes of a prompt that both arms have answered.
func (s *series) pair(a, b *outcome, number int) {
	if s.both != nil {
		if x := s.both(a, b); !math.IsNaN(x) {
			s.Add(x)
			s.taken++
		}
		return
	}
	x, okA := s.value(a)
	y, okB := s.value(b)
	if !okA || !okB {
		return
	}
	s.count(0, x)
	s.count(1, y)
	s.Add(y - x)
	s.taken++
	s.decide(number)
}

// single takes the outcome of a request that went to one arm, to B with the probability toB: what
// the sequence is given has the difference of the arms' means as its mean, whatever is expected of
// each arm from the requests before (the doubly robust estimator of Waudby-Smith et al. 2021,
// without covariates). Its variance is no less than if both arms had that of the wider one: of an
// arm that few have come to, rare stalls may still be to come.
func (s *series) single(arm int, o *outcome, toB float64, number int) {
	x, ok := s.value(o)
	if !ok {
		return
	}
	if s.n[0] > 0 && s.n[1] > 0 {
		d := s.mean[1] - s.mean[0]
		if arm == 1 {
			d += (x - s.mean[1]) / toB
		} else {
			d -= (x - s.mean[0]) / (1 - toB)
		}
		s.Add(d)
		s.taken++
	}
	s.count(arm, x)
	if of, ok := s.sequence.(*stat.MeanSequence); ok {
		wider := 0.0
		for i, n := range s.n {
			if n > 1 {
				wider = max(wider, s.moves[i]/float64(n-1))
			}
		}
		of.AtLeast(wider / (toB * (1 - toB)))
	}
	s.decide(number)
}

// interval is that of the change; nothing is known of a split before both arms were seen.
func (s *series) interval() stat.Interval {
	i := s.Interval()
	if s.split && min(s.n[0], s.n[1]) < splitLook {
		i.Low, i.High = math.Inf(-1), math.Inf(1)
		i.Warning = fmt.Sprintf("no interval before both arms have answered %d requests", splitLook)
	}
	return i
}

// decide keeps the first decision.
func (s *series) decide(number int) {
	if s.better == 0 || s.verdict != "" {
		return
	}
	i := s.interval()
	switch {
	case i.Low > s.margin:
		s.verdict = sign(s.better)
	case i.High < -s.margin:
		s.verdict = sign(-s.better)
	case s.margin > 0 && i.Low > -s.margin && i.High < s.margin:
		s.verdict = Equal
	default:
		return
	}
	s.decided = number
}

func sign(better int) Verdict {
	if better > 0 {
		return Better
	}
	return Worse
}

// open reports whether the metric can still be decided.
func (s *series) open() bool { return s.better != 0 && s.verdict == "" }
