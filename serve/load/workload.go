package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"time"
)

// Workload is a finite list of arrivals. All of it is drawn from a seed, and an arrival's requests
// are made when they are asked for, so that none need to be kept.
type Workload interface {
	// Arrivals is how many there are.
	Arrivals() int
	// Requests is how many requests these are in all.
	Requests() int
	// Arrival makes the i-th. It is the same each time.
	Arrival(i int) Arrival
}

// Arrival is what comes at one time: a request, several that are sent together, or a session, of
// which each request is sent when the one before is answered.
type Arrival struct {
	Requests int // at least 1
	// Session says that they are sent one after another.
	Session bool
	// Make makes the k-th request. It is called once for each k, in order; before is the answer to
	// the one before in a session.
	Make func(k int, before Reply) Request
	// Think is the time from the end of the answer before until the k-th request of a session is
	// sent; nil is none.
	Think func(k int) time.Duration
}

// Singles is a workload whose arrivals are one request each.
type Singles struct {
	Number int
	Make   func(i int) Request // the same each time
}

// Arrivals is Number.
func (s Singles) Arrivals() int { return s.Number }

// Requests is Number.
func (s Singles) Requests() int { return s.Number }

// Arrival makes the i-th.
func (s Singles) Arrival(i int) Arrival { return single(func() Request { return s.Make(i) }) }

// single is an arrival of one request.
func single(make func() Request) Arrival {
	return Arrival{Requests: 1, Make: func(int, Reply) Request { return make() }}
}

// Order says in which order groups of requests that share a prefix come.
type Order int

const (
	Zipf     Order = iota // by chance, group r of 1, 2, … in proportion to r^−skew
	InTurn                // one of each group, then the next of each
	Grouped               // all of a group, then all of the next
	Shuffled              // as many of each, in an order drawn from the seed
)

// zipf draws numbers below a bound, r of 0, 1, … in proportion to (r+1)^−skew.
type zipf []float64 // sums of the weights up to each

func newZipf(n int, skew float64) zipf {
	sums := make(zipf, n)
	sum := 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -skew)
		sums[i] = sum
	}
	return sums
}

func (z zipf) draw(rng *rand.Rand) int {
	at := rng.Float64() * z[len(z)-1]
	// the sum can be rounded up to, so that none is above
	return min(sort.Search(len(z), func(i int) bool { return z[i] > at }), len(z)-1)
}

// order gives the group of each of n arrivals, per of each group.
type order struct {
	kind        Order
	seed        uint64
	groups, per int
	zipf        zipf
	shuffled    []int32
}

func newOrder(kind Order, groups, per int, skew float64, seed uint64) order {
	o := order{kind: kind, seed: seed, groups: groups, per: per}
	switch kind {
	case Zipf:
		o.zipf = newZipf(groups, skew)
	case Shuffled:
		o.shuffled = make([]int32, groups*per)
		for i := range o.shuffled {
			o.shuffled[i] = int32(i)
		}
		rng := rand.New(rand.NewPCG(seed, pickStream<<56))
		rng.Shuffle(len(o.shuffled), func(i, j int) { o.shuffled[i], o.shuffled[j] = o.shuffled[j], o.shuffled[i] })
	}
	return o
}

// at is the group of the i-th arrival.
func (o order) at(i int) int {
	switch o.kind {
	case Zipf:
		return o.zipf.draw(stream(o.seed, pickStream, i))
	case Shuffled:
		return int(o.shuffled[i]) / o.per
	case Grouped:
		return i / o.per
	}
	return i % o.groups
}

func checkOrder(kind Order, skew float64) error {
	switch {
	case kind < Zipf || kind > Shuffled:
		return fmt.Errorf("load: found order %d, expected Zipf, InTurn, Grouped or Shuffled", kind)
	case !(skew >= 0) || math.IsInf(skew, 1):
		return fmt.Errorf("load: found a skew of %v, expected a number of at least 0", skew)
	}
	return nil
}

func checkVocabulary(n int) error {
	if n < 1 || n > math.MaxInt32 {
		return fmt.Errorf("load: found a vocabulary of %d tokens, expected 1 to %d", n, math.MaxInt32)
	}
	return nil
}

// maxRequests bounds a workload, so that no product of its numbers overflows.
const maxRequests = 1 << 31

// checkCount refuses a workload of none or of too many requests, which are a product.
func checkCount(what string, counts ...int) error {
	n := 1
	for _, c := range counts {
		if c < 1 {
			return fmt.Errorf("load: found %d %s, expected at least 1", c, what)
		}
		if n > maxRequests/c {
			return fmt.Errorf("load: found more than %d %s, expected at most so many", maxRequests, what)
		}
		n *= c
	}
	return nil
}

// stream is the part-th sequence of random numbers of a stream of a seed.
func stream(seed, of uint64, part int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, of<<56|uint64(part)))
}

// drawTokens appends n tokens below the vocabulary, of the part-th sequence of a stream. A token is
// a random number of 32 bits times the vocabulary, without the bits below: its probability is off
// by less than vocabulary/2³² of itself.
func drawTokens(to []int32, seed, of uint64, part, n, vocabulary int) []int32 {
	return DrawTokens(to, seed, of<<56|uint64(part), n, vocabulary)
}

// DrawTokens appends n tokens below the vocabulary, of the sequence of a name: the same each time.
// The random numbers are SplitMix64's (Steele, Lea and Flood 2014), since most of a long workload's
// time goes here.
func DrawTokens(to []int32, seed, name uint64, n, vocabulary int) []int32 {
	state := splitMix(splitMix(seed) + name)
	from := len(to)
	to = slices.Grow(to, n)[:from+n]
	below := uint64(vocabulary)
	for i := from; i < len(to); i += 2 {
		state += golden
		x := splitMix(state)
		to[i] = int32(x >> 32 * below >> 32)
		if i+1 < len(to) {
			to[i+1] = int32(x & math.MaxUint32 * below >> 32)
		}
	}
	return to
}

// golden is 2⁶⁴ divided by the golden ratio.
const golden = 0x9e3779b97f4a7c15

// splitMix is the finalizer of SplitMix64.
func splitMix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Streams of random numbers of one seed.
const (
	gapStream = iota
	pickStream
	prefixStream
	suffixStream
	lengthStream
	promptStream
	thinkStream
	answerStream
	warmStream
	candidateStream
)
