package kd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
)

// meeting joins ranks that are goroutines of one process: they meet at a barrier, and the last to
// arrive computes for all.
type meeting struct {
	mutex   sync.Mutex
	changed *sync.Cond
	size    int
	arrived []any // by rank; nil before a rank has come
	count   int
	round   int
	err     error // of a rank that left: no other rank waits for it
}

func newMeeting(size int) *meeting {
	m := &meeting{size: size, arrived: make([]any, size)}
	m.changed = sync.NewCond(&m.mutex)
	return m
}

// meet waits for all ranks and has combine called once, with what each brought.
func (m *meeting) meet(ctx context.Context, rank int, x any, combine func(all []any)) error {
	stop := context.AfterFunc(ctx, func() { m.leave(ctx.Err()) })
	defer stop()
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.err != nil {
		return m.err
	}
	m.arrived[rank] = x
	m.count++
	round := m.round
	if m.count == m.size {
		combine(m.arrived)
		clear(m.arrived)
		m.count, m.round = 0, m.round+1
		m.changed.Broadcast()
		return nil
	}
	for m.round == round && m.err == nil {
		m.changed.Wait()
	}
	if m.round != round {
		return nil
	}
	return m.err
}

func (m *meeting) leave(err error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.err == nil {
		m.err = fmt.Errorf("a rank left the group: %w", err)
	}
	m.changed.Broadcast()
}

// member is one rank of a meeting.
type member struct {
	*meeting
	rank int
}

func (m member) Rank() int { return m.rank }
func (m member) Size() int { return m.size }

func (m member) AllReduce(ctx context.Context, x []float64) error {
	return m.meet(ctx, m.rank, x, func(all []any) {
		total := append([]float64(nil), all[0].([]float64)...)
		for _, other := range all[1:] {
			for i, v := range other.([]float64) {
				total[i] += v
			}
		}
		for _, other := range all {
			copy(other.([]float64), total)
		}
	})
}

func (m member) ReduceScatter(ctx context.Context, x []float32, bounds []int) error {
	return m.meet(ctx, m.rank, x, func(all []any) {
		for owner := range all {
			for i := bounds[owner]; i < bounds[owner+1]; i++ {
				var total float32
				for _, other := range all {
					total += other.([]float32)[i]
				}
				for _, other := range all {
					other.([]float32)[i] = float32(math.NaN()) // any content
				}
				all[owner].([]float32)[i] = total
			}
		}
	})
}

func (m member) AllGather(ctx context.Context, x []float32, bounds []int) error {
	return m.meet(ctx, m.rank, x, func(all []any) {
		for owner := range all {
			for _, other := range all {
				copy(other.([]float32)[bounds[owner]:bounds[owner+1]], all[owner].([]float32)[bounds[owner]:])
			}
		}
	})
}

// unevenParts deals examples to ranks so that their numbers of answer tokens differ much: rank 0
// gets one example, the last rank the rest; with three ranks the one between gets none.
func unevenParts(examples []Example, ranks int) [][]Example {
	parts := make([][]Example, ranks)
	parts[0], parts[ranks-1] = examples[:1], examples[1:]
	return parts
}

// onRanks runs f on each rank of a group, each on its goroutine.
func onRanks(size int, f func(g Group) error) []error {
	m := newMeeting(size)
	errs := make([]error, size)
	var wait sync.WaitGroup
	for rank := range size {
		wait.Go(func() { errs[rank] = f(member{m, rank}) })
	}
	wait.Wait()
	return errs
}

func groupConfig(t *testing.T, o Objective, next Batches) TrainConfig {
	return TrainConfig{
		Student: tinyModel(t, tinyConfig(13, 8), 1), Teacher: inMemory(tinyModel(t, tinyConfig(13, 12), 2)), Objective: o,
		Next: next, Steps: 3, LearningRate: 1e-2, WeightDecay: 0.1, Clip: 0.5, chunkRows: 5, passTokens: 40,
		Validation: tinyExamples(7, 13, 4), EvalEvery: 2,
	}
}

// TestRanksMatchOneRank: two and three ranks with uneven parts of a batch have the losses and the
// gradient of one rank with the whole batch, and all ranks end with the same bits. A mean of the
// ranks' means is something else.
func TestRanksMatchOneRank(t *testing.T) {
	examples := tinyExamples(9, 13, 3)
	for _, o := range objectives() {
		whole, err := NewTrainer(groupConfig(t, o, fixed(examples...)))
		if err != nil {
			t.Fatal(err)
		}
		want, err := gradientOf(whole, examples)
		if err != nil {
			t.Fatal(err)
		}
		gradient := append([]float32(nil), whole.gradients.Flat...)
		var reports []StepReport
		for !whole.Done() {
			report, err := whole.Step(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			reports = append(reports, report)
		}
		for _, size := range []int{2, 3} {
			parts := unevenParts(examples, size)
			trainers := make([]*Trainer, size)
			for rank, err := range onRanks(size, func(g Group) error {
				c := groupConfig(t, o, fixed(parts[g.Rank()]...))
				c.Group = g
				tr, err := NewTrainer(c)
				if err != nil {
					return err
				}
				trainers[g.Rank()] = tr
				got, err := gradientOf(tr, parts[g.Rank()])
				if err != nil {
					return err
				}
				if math.Abs(got.loss-want.loss) > 1e-6*(1+want.loss) || math.Abs(got.ce-want.ce) > 1e-5*(1+want.ce) {
					t.Errorf("%s: rank %d of %d: losses %+v, one rank has %+v", o.Formula(), g.Rank(), size, got, want)
				}
				if _, err := tr.gradientNorm(context.Background()); err != nil {
					return err
				}
				from, to := tr.shard()
				if diff := largestDifference(tr.gradients.Flat[from:to], gradient[from:to]); !(diff <= 1e-5*largest(gradient)) {
					t.Errorf("%s: rank %d of %d: gradient differs by %v of %v", o.Formula(), g.Rank(), size, diff, largest(gradient))
				}
				for i := 0; !tr.Done(); i++ {
					report, err := tr.Step(context.Background())
					if err != nil {
						return err
					}
					close := func(a, b float64) bool {
						return math.Abs(a-b) <= 1e-3*(1+math.Abs(b)) || math.IsNaN(a) && math.IsNaN(b)
					}
					if w := reports[i]; !close(report.Loss, w.Loss) || !close(report.GradNorm, w.GradNorm) || !close(report.CE, w.CE) ||
						!close(report.Divergence, w.Divergence) || !close(report.Validation, w.Validation) || report.Tokens != w.Tokens {
						t.Errorf("%s: rank %d of %d: report %+v, one rank has %+v", o.Formula(), g.Rank(), size, report, w)
					}
				}
				return nil
			}) {
				if err != nil {
					t.Fatalf("rank %d of %d: %v", rank, size, err)
				}
			}
			for _, tr := range trainers[1:] {
				if !sameBits(tr.flat, trainers[0].flat) {
					t.Errorf("%s: the %d ranks end with different weights", o.Formula(), size)
				}
			}
		}
	}
	var means float64
	for _, part := range unevenParts(examples, 2) {
		mean, err := gradientOf(newTestTrainer(t, Objective{}, tinyModel(t, tinyConfig(13, 8), 1), nil, 0, 0), part)
		if err != nil {
			t.Fatal(err)
		}
		means += mean.loss / 2
	}
	loss, _, err := Loss(t.Context(), tinyModel(t, tinyConfig(13, 8), 1), examples)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(means-loss) < 1e-2 {
		t.Errorf("the mean of means %v is the loss %v: uneven parts were not tested", means, loss)
	}
}

// TestOneRankEndsAll: an error of one rank, before or within its passes, and a cancelled context of
// one, end the step on all; none waits, and no weight has changed.
func TestOneRankEndsAll(t *testing.T) {
	examples := tinyExamples(9, 13, 3)
	broken := errors.New("the disk is gone")
	for _, c := range []struct {
		name  string
		want  string // in the error of the rank that fails
		other string // in that of the others
		run   func(ctx context.Context, cancel context.CancelFunc, part []Example) ([]Example, error)
	}{
		{"source", "step 2 of 3: batch: the disk is gone", "step 2 of 3: 1 of the other 2 ranks failed", func(context.Context, context.CancelFunc, []Example) ([]Example, error) {
			return nil, broken
		}},
		{"example", "step 2 of 3: example 0: token 99", "step 2 of 3: 1 of the other 2 ranks failed", func(context.Context, context.CancelFunc, []Example) ([]Example, error) {
			return []Example{{Tokens: []int32{1, 99}, Answer: []bool{false, true}}}, nil
		}},
		{"cancelled in the source", "stopped after step 1 of 3: context canceled", "step 2 of 3: ", func(ctx context.Context, cancel context.CancelFunc, _ []Example) ([]Example, error) {
			cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		{"cancelled before the passes", "stopped after step 1 of 3: context canceled", "step 2 of 3: ", func(_ context.Context, cancel context.CancelFunc, part []Example) ([]Example, error) {
			cancel()
			return part, nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			parts := unevenParts(examples, 3)
			weights := make([][2][]float32, 3)
			errs := onRanks(3, func(g Group) error {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				rank := g.Rank()
				config := groupConfig(t, Objective{Divergence: ForwardKL}, func(ctx context.Context, step int) ([]Example, error) {
					if step == 2 && rank == 2 {
						return c.run(ctx, cancel, parts[rank])
					}
					return parts[rank], nil
				})
				config.Group = g
				tr, err := NewTrainer(config)
				if err != nil {
					return err
				}
				if _, err := tr.Step(ctx); err != nil {
					return err
				}
				weights[rank][0] = append([]float32(nil), tr.flat...)
				_, err = tr.Step(ctx)
				weights[rank][1] = tr.flat
				return err
			})
			for rank, err := range errs {
				want := c.other
				if rank == 2 {
					want = c.want
				}
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("rank %d: error %v, want one that says %q", rank, err, want)
				}
				if !sameBits(weights[rank][0], weights[rank][1]) {
					t.Errorf("rank %d: the failed step changed the weights", rank)
				}
			}
		})
	}
}

func TestShardBounds(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 100, 1000, 12345} {
		for shards := 1; shards <= 5; shards++ {
			bounds := shardBounds(n, shards)
			if len(bounds) != shards+1 || bounds[0] != 0 || bounds[shards] != n {
				t.Fatalf("%d elements in %d shards: %v", n, shards, bounds)
			}
			for i := range shards {
				if size := bounds[i+1] - bounds[i]; size < 0 || size > n/shards+32 {
					t.Errorf("%d elements in %d shards: shard %d has %d", n, shards, i, size)
				}
				if bounds[i]%16 != 0 {
					t.Errorf("%d elements in %d shards: shard %d begins at %d, within a cache line", n, shards, i, bounds[i])
				}
			}
		}
	}
}
