package task

import (
	"fmt"
	"math"
	"slices"

	"slimlab/lab"
)

// replicates is the number of bootstrap resamples behind an interval.
const replicates = 400

// fewMembers is where a bootstrap over members begins to be trusted.
const fewMembers = 50

// kind of an AUC: on drawn labels, or expected under the known probabilities.
type kind int

const (
	hard kind = iota
	soft
)

// table is the AUC of each task, [kind][task]; NaN where there is none.
type table [2][tasks]float64

// mean averages over the in-domain or the held-out tasks that have cases.
func (t table) mean(k kind, heldOut bool) float64 {
	from, to := 0, inDomainTasks
	if heldOut {
		from, to = inDomainTasks, tasks
	}
	sum := 0.0
	for _, auc := range t[k][from:to] {
		sum += auc / float64(to-from)
	}
	return sum
}

// sample is one set of scores, sorted once for all resamples.
type sample struct {
	cases [tasks][]int // the cases of each task
	rank  [2][tasks]*ranking
	group []int // member of each case
}

func (r *Recsys) newSample(score []float64) (*sample, error) {
	s := &sample{group: make([]int, len(r.cases))}
	var scores, truth, click [tasks][]float64
	for i, c := range r.cases {
		s.group[i] = c.Group
		s.cases[c.Task] = append(s.cases[c.Task], i)
		scores[c.Task] = append(scores[c.Task], score[i])
		truth[c.Task] = append(truth[c.Task], c.Truth)
		label := 0.0
		if c.Click {
			label = 1
		}
		click[c.Task] = append(click[c.Task], label)
	}
	for t := range tasks {
		var err error
		if s.rank[hard][t], err = newRanking(scores[t], click[t]); err != nil {
			return nil, fmt.Errorf("recsys: task %q: %w", TaskName(t), err)
		}
		if s.rank[soft][t], err = newRanking(scores[t], truth[t]); err != nil {
			return nil, fmt.Errorf("recsys: task %q: %w", TaskName(t), err)
		}
	}
	return s, nil
}

// table computes the AUCs with each member standing weight[member] times in the sample; nil is
// once.
func (s *sample) table(weight []float64) (t table) {
	for k := range t {
		for task := range tasks {
			t[k][task] = s.rank[k][task].auc(func(i int) float64 {
				if weight == nil {
					return 1
				}
				return weight[s.group[s.cases[task][i]]]
			})
		}
	}
	return t
}

// figure is a number computed from the tables of one or more samples over the same cases.
type figure func([]table) float64

// resample computes figures with 95% percentile intervals from a cluster bootstrap (Efron,
// Tibshirani 1993): members are drawn with replacement, each with all its cases and, where there
// are several samples, for all of them at once. A figure that is undefined (a held-out mean without
// cases) is the zero Measure.
func (r *Recsys) resample(samples []*sample, figures []figure) []lab.Measure {
	tables := func(weight []float64) []table {
		all := make([]table, len(samples))
		for i, s := range samples {
			all[i] = s.table(weight)
		}
		return all
	}
	values := make([][]float64, len(figures))
	rng := stream(splitBootstrap)
	weight := make([]float64, r.cfg.Members)
	for range replicates {
		clear(weight)
		for range weight {
			weight[rng.IntN(len(weight))]++
		}
		all := tables(weight)
		for i, f := range figures {
			if v := f(all); !math.IsNaN(v) {
				values[i] = append(values[i], v)
			}
		}
	}
	measures := make([]lab.Measure, len(figures))
	whole := tables(nil)
	for i, f := range figures {
		v := f(whole)
		if math.IsNaN(v) {
			continue
		}
		m := lab.Measure{Value: v, N: r.cfg.Members}
		slices.Sort(values[i])
		if n := len(values[i]); n > 0 {
			m.Low, m.High = quantile(values[i], 0.025), quantile(values[i], 0.975)
		}
		if r.cfg.Members < fewMembers {
			m.Warning = fmt.Sprintf("%d test members", r.cfg.Members)
		}
		if lost := replicates - len(values[i]); lost > 0 {
			m.Warning = fmt.Sprintf("%d of %d resamples had one class only", lost, replicates)
		}
		measures[i] = m
	}
	return measures
}

// quantile interpolates linearly between the sorted values.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below+1 == len(sorted) {
		return sorted[below]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}
