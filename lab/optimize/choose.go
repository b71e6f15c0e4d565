package optimize

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"slimlab/lab"
)

// Point is a measured row of a search.
type Point struct {
	Candidate string             `json:"candidate"` // its name; Base is the model as it is
	Row       string             `json:"row"`
	Done      string             `json:"done,omitempty"` // what was done to the layers and the cache, in words
	Values    map[string]float64 `json:"values"`
	// what was predicted of the candidate's last row
	PredictedKL float64  `json:"predicted_kl,omitzero"`
	Predicted   bool     `json:"predicted"`
	Cache       Cache    `json:"cache,omitzero"` // that it was measured with, where the search is about caches
	Misses      []Misses `json:"misses,omitempty"`
	Front       bool     `json:"front"` // no other is smaller and loses less
	// The cache is none that the search was asked for: a row on the way to a candidate, which is
	// not chosen and has no part in the front.
	OnTheWay bool `json:"on_the_way,omitempty"`

	of Candidate // whose layers it has
}

// OtherCache reports whether the point was measured with another KV cache than the usual one.
func (p *Point) OtherCache() bool { return p.Cache.Name != "" && p.Cache.Name != plainCache }

// Choice is what a search found.
type Choice struct {
	Points []Point `json:"points"` // in the order of the rows
	// index of the smallest that reaches all goals; −1 where none does, or there are none
	Chosen int `json:"chosen"`
	// index of the row with the least sum of what it misses the goals by, each as a share of the
	// goal's number (Goal.share); of equal ones the smaller. −1 where there are no goals
	Nearest int    `json:"nearest"`
	Loss    string `json:"loss"` // the metric that the front is of, beside bytes
}

// Choose reads the rows of a search among some formats of the KV cache; none where it is not about
// them.
func Choose(view *lab.View, candidates []Candidate, goals []Goal, recovered bool, caches []string) Choice {
	c := Choice{Chosen: -1, Nearest: -1, Loss: "kl"}
	last, before := map[string]Candidate{}, map[string]Candidate{}
	for _, of := range candidates {
		last[of.Last(recovered)] = of
		for row, of := range of.before() {
			before[row] = of
		}
	}
	var baseline map[string]float64
	for _, row := range view.Rows {
		values := map[string]float64{}
		for key, summary := range row.Values {
			values[key] = summary.Value
		}
		if len(values) == 0 {
			continue
		}
		p := Point{Candidate: row.Name, Row: row.Name, Values: values}
		if of, ok := last[row.Name]; ok {
			p.of, p.Candidate, p.PredictedKL, p.Predicted, p.Cache = of, of.Name, of.KL, true, of.Cache
		} else if of, ok := before[row.Name]; ok {
			p.of, p.Cache = of, of.Cache
			p.OnTheWay = of.Cache.Name != "" && !slices.Contains(caches, of.Cache.Name)
		}
		if len(p.of.MLP) > 0 {
			p.Done = p.of.Describe()
		}
		if row.Name == Base {
			baseline = maps.Clone(values)
			if n, ok := values["params"]; ok {
				baseline["bytes"] = 2 * n // in bfloat16, whatever it is stored in
			}
		}
		c.Points = append(c.Points, p)
	}
	least, cached := 0.0, bounds(goals, cacheBytes)
	for i := range c.Points {
		p := &c.Points[i]
		if p.Row == Base { // it is what is to become smaller
			continue
		}
		missed := 0.0
		for _, g := range goals {
			x, ok := g.figure(p.Values, baseline)
			if !ok { // a goal that was not measured is not reached
				p.Misses = append(p.Misses, Misses{Goal: g, Unmeasured: true})
				missed = math.Inf(1)
				continue
			}
			if e := g.excess(x); e > 1e-12 {
				p.Misses = append(p.Misses, Misses{Goal: g, Value: x})
				missed += g.share(e)
			}
		}
		if len(goals) == 0 || p.OnTheWay {
			continue
		}
		if len(p.Misses) == 0 && (c.Chosen < 0 || smaller(p.Values, c.Points[c.Chosen].Values, cached)) {
			c.Chosen = i
		}
		if c.Nearest < 0 || missed < least || missed == least && smaller(p.Values, c.Points[c.Nearest].Values, cached) {
			c.Nearest, least = i, missed
		}
	}
	c.front()
	return c
}

// smaller orders rows by bytes, of equal ones by the divergence, then by the bytes of the KV cache;
// where a goal is about the cache by its bytes first.
func smaller(a, b map[string]float64, cached bool) bool {
	bytes, cache, kl := cmp.Compare(a["bytes"], b["bytes"]), cmp.Compare(a[cacheBytes], b[cacheBytes]), cmp.Compare(a["kl"], b["kl"])
	if cached {
		return cmp.Or(bytes, cache, kl) < 0
	}
	return cmp.Or(bytes, kl, cache) < 0
}

// front marks the points that no other beats in bytes, bytes of the KV cache where they are
// measured, and loss; of equal ones the first.
func (c *Choice) front() {
	figures := func(i int) (list [3]float64, ok bool) {
		loss, ok := c.Points[i].Values[c.Loss]
		ok = ok && !c.Points[i].OnTheWay
		return [3]float64{c.Points[i].Values["bytes"], c.Points[i].Values[cacheBytes], loss}, ok && !math.IsNaN(loss)
	}
	for i := range c.Points {
		own, ok := figures(i)
		for j := range c.Points {
			other, measured := figures(j)
			if measured && (other == own && j < i || other != own && other[0] <= own[0] && other[1] <= own[1] && other[2] <= own[2]) {
				ok = false
			}
		}
		c.Points[i].Front = ok
	}
}

// Additivity is the mean over candidates of the true KL divided by the predicted one, and the
// number of them; without recovery alone it says how additive the layers' losses are.
func (c *Choice) Additivity() (ratio float64, n int) {
	for _, p := range c.Points {
		if kl, ok := p.Values["kl"]; ok && p.Predicted && p.PredictedKL > 0 {
			ratio += kl / p.PredictedKL
			n++
		}
	}
	if n > 0 {
		ratio /= float64(n)
	}
	return ratio, n
}

// loses reports whether the point misses a goal that is no size.
func (p *Point) loses() bool {
	return slices.ContainsFunc(p.Misses, func(m Misses) bool { return !sized(m.Goal.Metrics[0]) })
}

// over is the smallest point that misses the goal of bytes alone; −1 where there is none.
func (c *Choice) over() int {
	least := -1
	for i, p := range c.Points {
		if p.Row == Base || p.OnTheWay || len(p.Misses) != 1 || p.Misses[0].Goal.Metrics[0] != "bytes" {
			continue
		}
		if least < 0 || p.Values["bytes"] < c.Points[least].Values["bytes"] {
			least = i
		}
	}
	return least
}
