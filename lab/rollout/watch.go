package rollout

import (
	"fmt"
	"hash/maphash"
	"time"

	"slimlab/kd"
)

// Stats are what was sampled so far.
type Stats struct {
	Samples int
	Ended   int // with an end token
	// samples whose prompt and answer were among the last sampleWindow before them
	Duplicates        int
	Tokens            int // of the answers
	Shortest, Longest int // answers, in tokens
	// examples whose prompt leaves no room for an answer: theirs are the data's
	NoRoom  int
	Seconds float64
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
)

// watch looks at what is sampled.
type watch struct {
	stats   Stats
	noRoom  int
	seed    maphash.Seed
	recent  []uint64 // hashes of the last sampleWindow samples, a ring
	counts  map[uint64]int
	last    []Sample // a ring
	endless int      // samples in a row that did not end
	atOnce  int      // samples in a row that are an end token alone
	doubt   string
	said    bool
}

func (w *watch) took(d time.Duration) { w.stats.Seconds += d.Seconds() }

// see notes a sample.
func (w *watch) see(prompt int, e *kd.Example, ended bool) {
	s, n := &w.stats, len(e.Tokens)-prompt
	if s.Samples == 0 || n < s.Shortest {
		s.Shortest = n
	}
	s.Longest, s.Tokens = max(s.Longest, n), s.Tokens+n
	w.endless++
	if ended {
		s.Ended++
		w.endless = 0
	}
	w.atOnce++
	if !ended || n > 1 {
		w.atOnce = 0
	}
	w.repeat(e.Tokens)
	one := Sample{Prompt: e.Tokens[:prompt], Answer: e.Tokens[prompt:], Ended: ended, Origin: e.Origin}
	if len(w.last) < kept {
		w.last = append(w.last, one)
	} else {
		w.last[s.Samples%kept] = one
	}
	s.Samples++
	switch {
	case w.doubt != "":
	case w.endless >= doubtWindow:
		w.doubt = fmt.Sprintf("none of the last %d samples ended within its %d tokens: the model has not learned to end, or the limit is too low", doubtWindow, n)
	case w.atOnce >= doubtWindow:
		w.doubt = fmt.Sprintf("all of the last %d samples are an end token alone", doubtWindow)
	}
}

// repeat counts a sample that is among the last.
func (w *watch) repeat(tokens []int32) {
	if w.counts == nil {
		w.seed, w.counts = maphash.MakeSeed(), map[uint64]int{}
	}
	var h maphash.Hash
	h.SetSeed(w.seed)
	for _, t := range tokens {
		maphash.WriteComparable(&h, t)
	}
	key := h.Sum64()
	if w.counts[key] > 0 {
		w.stats.Duplicates++
	}
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
}

// Stats returns what was sampled so far.
func (s *Sampler) Stats() Stats {
	stats := s.watch.stats
	stats.NoRoom = s.watch.noRoom
	return stats
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

// Doubt returns, once, what is wrong with what is sampled: that nothing ends, or all at once. It is
// "" without a doubt.
func (s *Sampler) Doubt() string {
	if s.watch.said || s.watch.doubt == "" {
		return ""
	}
	s.watch.said = true
	return s.watch.doubt
}
