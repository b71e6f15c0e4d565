package abtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"slimlab/lab/stat"
)

// Judged is what a quality of answers that are known already has come to.
type Judged struct {
	Prompts int
	N       [2]int     // answers of A and of B that count
	Mean    [2]float64 // of their quality; NaN without answers
	// Change is that of the mean of B, a share of A's: 0.2 is a fifth more. Its bounds are valid at
	// all times, and infinite or NaN before there are any.
	Change  stat.Interval
	Decided int // prompts by then; 0 is not
	Verdict Verdict
	Warning string
}

// Judge compares a quality from 0 to 1 of the answers of two arms to the same prompts, as if they
// had been asked one prompt after another. Of the settings it uses Level, Split, Seed and Margin,
// which is a share of A's quality here, below 1; the level is that of the one interval.
//
// A ratio of the means is out once a confidence sequence for the mean of b − ratio·a excludes 0
// (Fieller, Some problems in interval estimation, 1954). All sequences see the same answers, and
// the right ratio is out with at most the probability level, so the ratios that are left are an
// interval of that level at all times, and a ratio of 1 decides as Experiment does.
func Judge(s Settings, a, b []float64) (*Judged, error) {
	switch {
	case len(a) != len(b) || len(a) == 0:
		return nil, fmt.Errorf("judge: found %d answers of A and %d of B, expected as many of the same prompts", len(a), len(b))
	case s.Split < 0 || s.Split >= 1:
		return nil, fmt.Errorf("judge: found a split of %v, expected 0 to below 1", s.Split)
	case !(s.Margin >= 0 && s.Margin < 1):
		return nil, fmt.Errorf("judge: found a margin of %v, expected 0 to below 1", s.Margin)
	}
	for i := range a {
		if !(a[i] >= 0 && a[i] <= 1 && b[i] >= 0 && b[i] <= 1) {
			return nil, fmt.Errorf("judge: found the qualities %v and %v of prompt %d, expected 0 to 1", a[i], b[i], i+1)
		}
	}
	j, err := newJudge(s)
	if err != nil {
		return nil, err
	}
	draw := rand.New(rand.NewPCG(s.Seed, arms))
	for i := range a {
		switch u := draw.Float64(); {
		case s.Split == 0:
			j.pair(a[i], b[i])
		case u < s.Split:
			j.single(1, b[i])
		default:
			j.single(0, a[i])
		}
		j.decide(i + 1)
	}
	return j.judged(len(a)), nil
}

// judge is a comparison in its course.
type judge struct {
	Settings
	arms     [2]tally
	ratios   []*ratio // in ascending order
	low, top *ratio   // 1 less the margin and 1 more
	all      []*ratio // these too
	out      Judged
}

// tally is what an arm was seen to do; moves is the sum of squared distances from the mean.
type tally struct {
	n           int
	mean, moves float64
}

func (t *tally) add(x float64) {
	t.n++
	from := x - t.mean
	t.mean += from / float64(t.n)
	t.moves += from * (x - t.mean)
}

// ratio is one that the mean of B may have to that of A.
type ratio struct {
	value float64
	sequence
}

// finest is the number of ratios up to 1, at equal distances; those above 1 are their reciprocals.
const finest = 200

func newJudge(s Settings) (*judge, error) {
	j := &judge{Settings: s}
	for i := range finest + 1 {
		j.ratios = append(j.ratios, &ratio{value: float64(i) / finest})
	}
	for i := finest - 1; i > 0; i-- {
		j.ratios = append(j.ratios, &ratio{value: finest / float64(i)})
	}
	j.low, j.top = &ratio{value: 1 - s.Margin}, &ratio{value: 1 + s.Margin}
	j.all = append([]*ratio{j.low, j.top}, j.ratios...)
	for _, r := range j.all {
		var err error
		if s.Split > 0 {
			r.sequence, err = stat.NewMeanSequence(s.Level, firstLook, int(narrowest/2/min(s.Split, 1-s.Split)))
		} else {
			r.sequence, err = stat.NewBoundedSequence(s.Level, -1, 1, 3) // of the means −1, 0 and 1
		}
		if err != nil {
			return nil, err
		}
	}
	return j, nil
}

// pair takes the qualities of a prompt that both arms were asked. What the sequence of a ratio is
// given is b − ratio·a, brought to −1 to 1.
func (j *judge) pair(a, b float64) {
	j.arms[0].add(a)
	j.arms[1].add(b)
	for _, r := range j.all {
		r.Add((b - r.value*a) / max(1, r.value))
	}
}

// single takes the quality of a prompt that one arm was asked; see series.single, of which this is
// the same for b − ratio·a.
func (j *judge) single(arm int, x float64) {
	a, b := &j.arms[0], &j.arms[1]
	if a.n > 0 && b.n > 0 {
		for _, r := range j.all {
			d := b.mean - r.value*a.mean
			if arm == 1 {
				d += (x - b.mean) / j.Split
			} else {
				d -= r.value * (x - a.mean) / (1 - j.Split)
			}
			r.Add(d)
		}
	}
	j.arms[arm].add(x)
}

// side is 1 where the mean of B is more than the ratio says, −1 where it is less, and 0 where that
// is open.
func (j *judge) side(r *ratio) int {
	if of, ok := r.sequence.(*stat.MeanSequence); ok {
		if j.early() {
			return 0
		}
		wider := 0.0
		for _, t := range j.arms {
			wider = max(wider, t.moves/float64(t.n-1))
		}
		of.AtLeast(wider * (1/j.Split + r.value*r.value/(1-j.Split)))
	}
	switch i := r.Interval(); {
	case i.Low == i.High: // all values are the same, which says nothing of their mean
	case i.Low >= 0:
		return 1
	case i.High <= 0:
		return -1
	}
	return 0
}

// early reports whether an arm of a split has been asked too little for an interval.
func (j *judge) early() bool { return j.Split > 0 && min(j.arms[0].n, j.arms[1].n) < splitLook }

// decide keeps the first decision.
func (j *judge) decide(prompts int) {
	if j.out.Decided > 0 {
		return
	}
	low, top := j.side(j.low), j.side(j.top)
	switch {
	case top > 0:
		j.out.Verdict = Better
	case low < 0:
		j.out.Verdict = Worse
	case j.Margin > 0 && low > 0 && top < 0:
		j.out.Verdict = Equal
	default:
		j.out.Verdict = Undecided
		return
	}
	j.out.Decided = prompts
}

// judged is what the comparison has come to.
func (j *judge) judged(prompts int) *Judged {
	out := &j.out
	out.Prompts = prompts
	for i, t := range j.arms {
		out.N[i], out.Mean[i] = t.n, t.mean
		if t.n == 0 {
			out.Mean[i] = math.NaN()
		}
	}
	c := &out.Change
	c.Value, c.N, c.Low, c.High = out.Mean[1]/out.Mean[0]-1, prompts, -1, math.Inf(1)
	if math.IsInf(c.Value, 0) {
		c.Value = math.NaN()
	}
	if j.early() {
		c.Low, c.High = math.Inf(-1), math.Inf(1)
		out.Warning = fmt.Sprintf("no interval before both arms have answered %d prompts: A has answered %d and B %d", splitLook, out.N[0], out.N[1])
		return out
	}
	for _, r := range j.ratios {
		if j.side(r) <= 0 {
			break
		}
		c.Low = r.value - 1
	}
	for _, r := range slices.Backward(j.ratios) {
		if j.side(r) >= 0 {
			break
		}
		c.High = r.value - 1
	}
	switch {
	case out.Decided > 0 && out.Verdict != Equal && c.Low <= 0 && c.High >= 0:
		out.Warning = fmt.Sprintf("decided at %d, and the interval has come to cover no change since: the difference is not steady", out.Decided)
	case math.IsInf(c.High, 1):
		out.Warning = fmt.Sprintf("no upper bound: a ratio of %d is not excluded", finest)
	}
	return out
}
