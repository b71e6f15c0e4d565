package kd

import (
	"math"
	"strings"
	"testing"

	"slimlab/kernels"
)

func TestSchedule(t *testing.T) {
	c := TrainConfig{LearningRate: 2, WarmUp: 4, Steps: 14, Floor: 0.1}
	for step, want := range map[int]float64{1: 0.5, 4: 2, 9: 1.1, 14: 0.2} {
		if got := c.rate(step); math.Abs(got-want) > 1e-12 {
			t.Errorf("rate of step %d is %v, want %v", step, got, want)
		}
	}
	for step := 5; step <= 14; step++ {
		if c.rate(step) >= c.rate(step-1) {
			t.Errorf("rate does not fall at step %d", step)
		}
	}
	one := TrainConfig{LearningRate: 2, Steps: 1}
	if got := one.rate(1); got != 2 {
		t.Errorf("rate of the only step is %v", got)
	}
}

// TestSchedules: what each schedule is at its start, in its middle and at its end; none rises after
// the warm-up or leaves the range from the floor to the peak.
func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		schedule Schedule
		decay    float64
		rates    map[int]float64
	}{
		{Linear, 0, map[int]float64{2: 0.5, 4: 1, 54: 0.55, 104: 0.1}},
		{WarmupStableDecay, 0, map[int]float64{4: 1, 54: 1, 83: 1, 84: 0.9*(20.0/20.8) + 0.1, 104: 0.1}},
		{WarmupStableDecay, 0.5, map[int]float64{52: 1, 78: 0.55, 104: 0.1}},
		{WarmupStableDecay, 1, map[int]float64{4: 1, 54: 0.55, 104: 0.1}},
		{Constant, 0, map[int]float64{2: 0.5, 4: 1, 104: 1}},
	} {
		config := TrainConfig{Schedule: c.schedule, Decay: c.decay, LearningRate: 1, WarmUp: 4, Steps: 104, Floor: 0.1}
		for step, want := range c.rates {
			if got := config.rate(step); math.Abs(got-want) > 1e-9 {
				t.Errorf("%s, decay %v: rate of step %d is %v, want %v", c.schedule, c.decay, step, got, want)
			}
		}
		for step := 5; step <= 104; step++ {
			if r := config.rate(step); r > config.rate(step-1) || r < 0.1-1e-12 {
				t.Errorf("%s, decay %v: rate of step %d is %v, before it %v", c.schedule, c.decay, step, r, config.rate(step-1))
			}
		}
	}
}

// TestWeightDecayRanges: every parameter is in one range, and norms, biases and the embedding do
// not decay.
func TestWeightDecayRanges(t *testing.T) {
	c := tinyConfig(13, 8)
	c.Architecture, c.QKVBias, c.TiedHead = "Qwen2ForCausalLM", true, false
	m := tinyModel(t, c, 1)
	ranges := decayRanges(m)
	at := 0
	for _, r := range ranges {
		if r.from != at || r.to <= r.from {
			t.Fatalf("ranges %v have a gap", ranges)
		}
		at = r.to
	}
	if at != len(m.Flat()) {
		t.Fatalf("ranges end at %d of %d", at, len(m.Flat()))
	}
	at = 0
	for _, p := range m.Parameters() {
		plain := strings.Contains(p.Name, "norm") || strings.HasSuffix(p.Name, "bias") || strings.Contains(p.Name, "embed")
		for _, r := range ranges {
			if r.from <= at && at < r.to && r.decays == plain {
				t.Errorf("%s: decays %v", p.Name, r.decays)
			}
		}
		at += len(p.Data)
	}
}

// TestClipAndDecay: one step against AdamW's formula in float64.
func TestClipAndDecay(t *testing.T) {
	student := tinyModel(t, tinyConfig(13, 8), 1)
	examples := tinyExamples(4, 13, 1)
	before := append([]float32(nil), student.Flat()...)
	tr := newTestTrainer(t, Objective{}, student.Clone(), nil, 0, 0)
	if _, err := gradientOf(tr, examples); err != nil {
		t.Fatal(err)
	}
	norm := math.Sqrt(kernels.SumSquares(tr.gradients.Flat))
	const rate, decay, clip = 0.01, 0.5, 1e-6 // clipped so far that epsilon shows
	_, steps := trainTiny(t, TrainConfig{Student: student, Next: fixed(examples...), Steps: 1, WarmUp: 1, LearningRate: rate, WeightDecay: decay, Clip: clip})
	if math.Abs(steps[0].GradNorm-norm) > 1e-6*norm {
		t.Errorf("gradient norm %v, want %v", steps[0].GradNorm, norm)
	}
	for _, r := range decayRanges(student) {
		for i := r.from; i < r.to; i++ {
			g := float64(tr.gradients.Flat[i]) * clip / norm
			want := float64(before[i]) - rate*g/(math.Abs(g)+1e-8)
			if r.decays {
				want -= rate * decay * float64(before[i])
			}
			if math.Abs(float64(student.Flat()[i])-want) > 1e-6 {
				t.Fatalf("parameter %d is %v, want %v", i, student.Flat()[i], want)
			}
		}
	}
}

// TestClipBounds: a gradient of a norm above the bound is scaled to it, one below stays as it is.
func TestClipBounds(t *testing.T) {
	for _, bound := range []float64{0.1, 0.9, 1.1, 10} { // relative to the norm
		c := TrainConfig{Student: tinyModel(t, tinyConfig(13, 8), 1), Next: fixed(tinyExamples(4, 13, 1)...), Steps: 1, LearningRate: 1e-3, Clip: math.Inf(1)}
		_, steps := trainTiny(t, c)
		norm := steps[0].GradNorm
		c.Student, c.Clip = tinyModel(t, tinyConfig(13, 8), 1), bound*norm
		tr, err := NewTrainer(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := math.Sqrt(kernels.SumSquares(tr.optimizer.m)) / (1 - beta1)
		if want := min(1, bound) * norm; math.Abs(got-want) > 1e-5*want {
			t.Errorf("a gradient of norm %v clipped to %v is used with norm %v, want %v", norm, c.Clip, got, want)
		}
	}
}
