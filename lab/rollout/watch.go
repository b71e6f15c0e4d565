package rollout

import (
	"fmt"
	"hash/maphash"
	"time"

	"slimlab/kd"
)

// Stats are what was sampled: so far, in a step, or of late.
type Stats struct {
	Samples int
	Ended   int // with an end token
	// samples that did not end because the models have no more positions, not because of the limit
	CutByPositions int
	Replayed       int // earlier samples that were used again
	// samples whose prompt and answer were among the last sampleWindow before them
	Duplicates        int
	Tokens            int // of the answers
	Shortest, Longest int // answers, in tokens
	// examples whose prompt leaves no room for an answer: theirs are the data's
	NoRoom  int
	Seconds float64
	// tokens of the student that the teacher judged, and those that stand; see Speculative
	Judged, Accepted int
}

// add counts a sample of n tokens.
func (s *Stats) add(n int, ended, short, duplicate bool) {
	if s.Samples == 0 || n < s.Shortest {
		s.Shortest = n
	}
	s.Longest, s.Tokens, s.Samples = max(s.Longest, n), s.Tokens+n, s.Samples+1
	for _, c := range [...]struct {
		is bool
		n  *int
	}{{ended, &s.Ended}, {short, &s.CutByPositions}, {duplicate, &s.Duplicates}} {
		if c.is {
			*c.n++
		}
	}
}

// EndRate is the share of samples that ended.
func (s Stats) EndRate() float64 { return float64(s.Ended) / float64(max(1, s.Samples)) }

// Length is the mean length of an answer, in tokens.
func (s Stats) Length() float64 { return float64(s.Tokens) / float64(max(1, s.Samples)) }

// TokensPerSecond is the rate at which answers were written, prompts included in the time.
func (s Stats) TokensPerSecond() float64 {
	if s.Seconds == 0 {
		return 0
	}
	return float64(s.Tokens) / s.Seconds
}

// Sample is an answer that was written.
type Sample struct {
	Step           int
	Prompt, Answer []int32
	Ended          bool
	Origin         kd.Origin
}

const (
	// sampleWindow is over how many samples duplicates are looked for.
	sampleWindow = 1024
	// doubtWindow is over how many samples a run is doubted in which none ends, or all end at once.
	doubtWindow = 64
	kept        = 16 // samples
	keptOfStep  = 4  // samples of a step, of each writer
	// mostDoubts bounds how often samples are doubted that become sound again.
	mostDoubts = 8
)

// watch looks at what is sampled.
type watch struct {
	stats   Stats
	step    int
	ofStep  Stats
	late    []seen // the last doubtWindow, a ring
	seed    maphash.Seed
	recent  []uint64 // hashes of the last sampleWindow samples, a ring
	counts  map[uint64]int
	last    []Sample // a ring
	first   []Sample // of the step
	endless int      // samples in a row that did not end
	atOnce  int      // samples in a row that are an end token alone
	doubt   doubt
	doubts  int    // so far
	news    string // of the doubt, that Doubt or Relief has not told yet
}

// doubt is what is wrong with what is sampled of late.
type doubt uint8

const (
	sound doubt = iota
	neverEnds
	endsAtOnce
)

// seen is what is known of one of the last samples.
type seen struct {
	tokens                  int
	ended, short, duplicate bool
}

// begin is called before a step's samples.
func (w *watch) begin(step int) { w.step, w.ofStep, w.first = step, Stats{}, nil }

// both are the counts that something of this step belongs to.
func (w *watch) both() [2]*Stats { return [...]*Stats{&w.stats, &w.ofStep} }

func (w *watch) took(d time.Duration) {
	for _, s := range w.both() {
		s.Seconds += d.Seconds()
	}
}

func (w *watch) judged(judged, accepted int) {
	for _, s := range w.both() {
		s.Judged, s.Accepted = s.Judged+judged, s.Accepted+accepted
	}
}

func (w *watch) noRoom() {
	for _, s := range w.both() {
		s.NoRoom++
	}
}

func (w *watch) replayed() {
	for _, s := range w.both() {
		s.Replayed++
	}
}

// see notes a sample; short says that it did not end for want of positions.
func (w *watch) see(prompt int, e *kd.Example, ended, short bool) {
	n := len(e.Tokens) - prompt
	w.endless++
	if ended {
		w.endless = 0
	}
	w.atOnce++
	if !ended || n > 1 {
		w.atOnce = 0
	}
	of := seen{n, ended, short, w.repeat(e.Tokens)}
	one := Sample{Step: w.step, Prompt: e.Tokens[:prompt], Answer: e.Tokens[prompt:], Ended: ended, Origin: e.Origin}
	w.last, w.late = put(w.last, kept, w.stats.Samples, one), put(w.late, doubtWindow, w.stats.Samples, of)
	same := 0
	for _, s := range w.first {
		if s.Origin == one.Origin {
			same++
		}
	}
	if same < keptOfStep {
		w.first = append(w.first, one)
	}
	for _, s := range w.both() {
		s.add(n, ended, short, of.duplicate)
	}
	w.judge(n)
}

// judge begins a doubt after doubtWindow samples of one kind, and ends it when half of as many are
// of another. n is the length of the last.
func (w *watch) judge(n int) {
	switch {
	case w.doubt != sound:
		if w.others() >= doubtWindow/2 {
			told := w.news == ""
			w.doubt, w.news = sound, ""
			if told {
				w.news = fmt.Sprintf("%d of the last %d samples end again, and not at once", w.others(), doubtWindow)
			}
		}
	case w.doubts == mostDoubts:
	case w.endless >= doubtWindow:
		w.begins(neverEnds, fmt.Sprintf("none of the last %d samples ended within its %d tokens: the model has not learned to end, or the limit is too low", doubtWindow, n))
	case w.atOnce >= doubtWindow:
		w.begins(endsAtOnce, fmt.Sprintf("all of the last %d samples are an end token alone", doubtWindow))
	}
}

func (w *watch) begins(d doubt, news string) { w.doubt, w.doubts, w.news = d, w.doubts+1, news }

// others counts the late samples that end and have more than an end token.
func (w *watch) others() (n int) {
	for _, s := range w.late {
		if s.ended && s.tokens > 1 {
			n++
		}
	}
	return n
}

// put puts the i-th of all elements into a ring.
func put[T any](ring []T, size, i int, x T) []T {
	if len(ring) < size {
		return append(ring, x)
	}
	ring[i%size] = x
	return ring
}

// repeat reports whether a sample is among the last.
func (w *watch) repeat(tokens []int32) (duplicate bool) {
	if w.counts == nil {
		w.seed, w.counts = maphash.MakeSeed(), map[uint64]int{}
	}
	var h maphash.Hash
	h.SetSeed(w.seed)
	for _, t := range tokens {
		maphash.WriteComparable(&h, t)
	}
	key := h.Sum64()
	duplicate = w.counts[key] > 0
	if len(w.recent) < sampleWindow {
		w.recent = append(w.recent, key)
	} else {
		at := w.stats.Samples % sampleWindow
		if old := w.recent[at]; w.counts[old] > 1 {
			w.counts[old]--
		} else {
			delete(w.counts, old)
		}
		w.recent[at] = key
	}
	w.counts[key]++
	return duplicate
}

// Stats returns what was sampled so far.
func (s *Sampler) Stats() Stats { return s.watch.stats }

// StepStats returns what was sampled in the last step.
func (s *Sampler) StepStats() Stats { return s.watch.ofStep }

// Late returns the counts of the last 64 samples.
func (s *Sampler) Late() (late Stats) {
	for _, one := range s.watch.late {
		late.add(one.tokens, one.ended, one.short, one.duplicate)
	}
	return late
}

// Last returns the newest samples, the oldest of them first.
func (s *Sampler) Last() []Sample {
	w := &s.watch
	if len(w.last) < kept {
		return w.last
	}
	at := w.stats.Samples % kept
	return append(append([]Sample{}, w.last[at:]...), w.last[:at]...)
}

// StepSamples returns the first samples of the last step, up to 4 of each writer, in the order in
// which they were written.
func (s *Sampler) StepSamples() []Sample { return s.watch.first }

// Doubt returns, once each time that it begins, what is wrong with what is sampled: that nothing
// ends, or all at once. It is "" without a doubt. A training is doubted 8 times at most.
func (s *Sampler) Doubt() string { return s.watch.tell(s.watch.doubt != sound) }

// Relief returns, once each time, that a doubt is over: half of the last 64 samples end, and not at
// once. It is "" else.
func (s *Sampler) Relief() string { return s.watch.tell(s.watch.doubt == sound) }

// tell returns news that have not been told, where they are asked for.
func (w *watch) tell(asked bool) string {
	if !asked {
		return ""
	}
	news := w.news
	w.news = ""
	return news
}
