package transform

import (
	"fmt"
	"math"
	"strconv"
)

// Smooth says which scales a smoothing has.
type Smooth struct {
	kind  string  // "", or one of the constants
	alpha float64 // of a fixed SmoothQuant
}

const (
	auto  = "auto"
	awq   = "awq"
	fixed = "alpha"
)

// ParseSmooth reads "none", a number α from 0 to 1, with which the scale of channel j is
// max|X_j|^α / max|W_j|^(1−α), "auto", which searches α for each input, or "awq", which searches r
// in mean|X_j|^r. Its error goes on from the name of what the text is of.
func ParseSmooth(text string) (Smooth, error) {
	switch alpha, err := strconv.ParseFloat(text, 64); {
	case text == "none":
		return Smooth{}, nil
	case text == auto || text == awq:
		return Smooth{kind: text}, nil
	case err == nil && alpha >= 0 && alpha <= 1:
		return Smooth{fixed, alpha}, nil
	}
	return Smooth{}, fmt.Errorf("is %s, expected none, auto, awq, or a number from 0 to 1", text)
}

// None reports whether nothing is smoothed.
func (s Smooth) None() bool { return s.kind == "" }

// String is what ParseSmooth reads.
func (s Smooth) String() string {
	switch s.kind {
	case "":
		return "none"
	case fixed:
		return strconv.FormatFloat(s.alpha, 'g', -1, 64)
	}
	return s.kind
}

// Describe names the method, such as "AWQ's scales".
func (s Smooth) Describe() string {
	switch s.kind {
	case "":
		return "no scales"
	case awq:
		return "AWQ's scales"
	case auto:
		return "SmoothQuant's scales, α searched"
	}
	return "SmoothQuant's scales, α = " + s.String()
}

// channel is what scales are made of: the largest and the mean magnitude of each channel, and the
// largest of the weights that read it.
type channel struct{ most, mean, weight []float64 }

const (
	leastSmooth = 1e-5 // of a magnitude in SmoothQuant's scales
	leastAWQ    = 1e-4 // of one of AWQ's scales, before they are brought around 1
)

// smoothQuant is SmoothQuant's scales. A channel that nothing was seen in, and one that no weight
// reads, has the scale 1.
func smoothQuant(c channel, alpha float64) []float64 {
	s := make([]float64, len(c.most))
	for j := range s {
		if s[j] = 1; c.most[j] > 0 && c.weight[j] > 0 {
			s[j] = math.Pow(max(c.most[j], leastSmooth), alpha) / math.Pow(max(c.weight[j], leastSmooth), 1-alpha)
		}
	}
	return s
}

// awqScales is AWQ's scales, brought around 1 by the root of the product of the largest and the
// smallest.
func awqScales(c channel, r float64) []float64 {
	s := make([]float64, len(c.mean))
	least, most := math.Inf(1), 0.0
	for j, v := range c.mean {
		s[j] = max(math.Pow(v, r), leastAWQ)
		least, most = min(least, s[j]), max(most, s[j])
	}
	middle := math.Sqrt(least * most)
	for j := range s {
		s[j] /= middle
	}
	return s
}

// candidate is a choice of scales; the first one of a list changes nothing and has none.
type candidate struct {
	strength float64 // α or r
	scale    []float64
}

// candidates lists the scales among which a search chooses, or the ones that are asked for behind
// none at all.
func (s Smooth) candidates(c channel) []candidate {
	list := []candidate{{}}
	switch s.kind {
	case fixed:
		list = append(list, candidate{s.alpha, smoothQuant(c, s.alpha)})
	case auto:
		for i := range 21 {
			alpha := float64(i) / 20
			list = append(list, candidate{alpha, smoothQuant(c, alpha)})
		}
	case awq:
		// r = 0 is the first one
		for i := 1; i < 20; i++ {
			r := float64(i) / 20
			list = append(list, candidate{r, awqScales(c, r)})
		}
	}
	return list
}

// Work is about how many multiply-adds in float64 the search of scales takes for a linear layer.
func (s Smooth) Work(in, out int) float64 {
	return float64(len(s.candidates(channel{}))) * float64(in) * float64(in) * float64(out) / 2
}
