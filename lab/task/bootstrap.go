package task

import (
	"fmt"
	"math"

	"slimlab/lab"
	"slimlab/lab/stat"
)

// replicates is the number of bootstrap resamples behind an interval.
const replicates = 400

// fewMembers is the number of members below which an interval carries a warning.
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

// table computes the AUCs of a sample in which each member occurs weight[member] times; nil is
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

// resample computes figures with 95% percentile intervals by a cluster bootstrap: members are
// drawn, each with all its cases and for all samples at once. A figure that is undefined (a
// held-out mean without cases) is the zero Measure.
func (r *Recsys) resample(samples []*sample, figures []figure) []lab.Measure {
	intervals := stat.Resample(r.cfg.Members, replicates, stream(splitBootstrap), func(count []float64) []float64 {
		tables := make([]table, len(samples))
		for i, s := range samples {
			tables[i] = s.table(count)
		}
		values := make([]float64, len(figures))
		for i, f := range figures {
			values[i] = f(tables)
		}
		return values
	})
	return measuresOf(intervals, "test members")
}

// measuresOf turns resampled figures into measures, with a warning where the units of the test set
// are few or a resample had no pair. A figure that is undefined is the zero Measure.
func measuresOf(intervals []stat.Interval, units string) []lab.Measure {
	measures := make([]lab.Measure, len(intervals))
	for i, of := range intervals {
		if math.IsNaN(of.Value) {
			continue
		}
		m := lab.Measure{Value: of.Value, N: of.N}
		if of.Lost < replicates {
			m.Low, m.High = of.Low, of.High
		}
		if of.N < fewMembers {
			m.Warning = fmt.Sprintf("%d %s", of.N, units)
		}
		if of.Lost > 0 {
			m.Warning = fmt.Sprintf("%d of %d resamples had one class only", of.Lost, replicates)
		}
		measures[i] = m
	}
	return measures
}
