package optimize

import (
	"maps"
	"math"

	"slimlab/lab"
	"slimlab/lab/stat"
)

// Point is a measured row of a search.
type Point struct {
	Candidate string // its name; base is the model as it is
	Row       string
	Values    map[string]float64
	// what was predicted of the candidate's last row
	PredictedKL float64
	Predicted   bool
	Misses      []Misses
	Front       bool // no other is smaller and loses less
}

// Choice is what a search found.
type Choice struct {
	Points []Point // in the order of the rows
	// index of the smallest that reaches all goals; −1 where none does
	Chosen int
	// index of the row that misses them least, where none reaches all
	Nearest int
	Loss    string // the metric that the front is of, beside bytes
}

// Choose reads the rows of a search.
func Choose(view *lab.View, candidates []Candidate, goals []Goal, recovered bool) Choice {
	c := Choice{Chosen: -1, Nearest: -1, Loss: "kl"}
	last := map[string]Candidate{}
	for _, of := range candidates {
		last[of.Last(recovered)] = of
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
			p.Candidate, p.PredictedKL, p.Predicted = of.Name, of.KL, true
		}
		if row.Name == base {
			baseline = maps.Clone(values)
			if n, ok := values["params"]; ok {
				baseline["bytes"] = 2 * n // in bfloat16, whatever it is stored in
			}
		}
		c.Points = append(c.Points, p)
	}
	least := 0.0
	for i := range c.Points {
		p := &c.Points[i]
		if p.Row == base { // it is what is to become smaller
			continue
		}
		worst := 0.0
		for _, g := range goals {
			x, ok := g.figure(p.Values, baseline)
			if !ok { // a goal that was not measured is not reached
				p.Misses = append(p.Misses, Misses{Goal: g, Unmeasured: true})
				worst = math.Inf(1)
				continue
			}
			if e := g.excess(x); e > 1e-12 {
				p.Misses = append(p.Misses, Misses{Goal: g, Value: x})
				worst = max(worst, e/max(1e-9, math.Abs(g.Bound)))
			}
		}
		if len(p.Misses) == 0 && (c.Chosen < 0 || p.Values["bytes"] < c.Points[c.Chosen].Values["bytes"]) {
			c.Chosen = i
		}
		if c.Nearest < 0 || worst < least {
			c.Nearest, least = i, worst
		}
	}
	c.front()
	return c
}

// front marks the points that no other beats in bytes and loss, of equal ones the first.
func (c *Choice) front() {
	costs := make([]stat.Costs, len(c.Points))
	for i, p := range c.Points {
		loss, ok := p.Values[c.Loss]
		if !ok {
			loss = math.NaN()
		}
		costs[i] = stat.Costs{X: p.Values["bytes"], Y: loss}
	}
	last := -1
	for _, i := range stat.Pareto(costs) {
		c.Points[i].Front = last < 0 || costs[i] != costs[last]
		last = i
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
