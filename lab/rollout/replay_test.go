package rollout

import (
	"bytes"
	"context"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slimlab/kd"
)

func withReplay(r Replay) Options {
	o := sampledAt
	o.Fraction, o.Replay = 0, &r
	return o
}

// TestThresholdRises: φ rises by a tenth at a validation loss of the tolerance above the one at its
// last rise, not above the lowest, and no further than 1.
func TestThresholdRises(t *testing.T) {
	s := sampler(t, always(given(4)), tiny(t, 8, 1), nil, withReplay(Replay{Steps: 10, Threshold: 0.85, Tolerance: 0.125}))
	for _, c := range []struct{ loss, want float64 }{
		{math.NaN(), 0.85}, {2, 0.85}, {1, 0.85}, {1.5, 0.85}, {2.05, 0.85}, {2.125, 0.95}, {2.2, 0.95}, {2.25, 1}, {9, 1}, {math.NaN(), 1},
	} {
		s.Validated(c.loss)
		if math.Abs(s.Threshold()-c.want) > 1e-12 {
			t.Errorf("after a loss of %v the threshold is %v, want %v", c.loss, s.Threshold(), c.want)
		}
	}
}

// TestStepIsAskedAgain: the samples of a step that is drawn once more are in the buffer once.
func TestStepIsAskedAgain(t *testing.T) {
	var r replay
	r.begin(&Replay{Steps: 4, Threshold: 1})
	e := given(3)
	r.settle(1)
	r.keep(e[0])
	r.settle(1) // the draw of step 1 had failed
	r.keep(e[1])
	r.settle(2)
	r.keep(e[2])
	if len(r.buffer) != 1 || !slices.Equal(r.buffer[0].Tokens, e[1].Tokens) || len(r.pending) != 1 {
		t.Errorf("a buffer of %d, %d pending", len(r.buffer), len(r.pending))
	}
}

// TestReplayShares: fresh samples until the buffer is full, then as many fresh ones as φ·(1 −
// step/Steps), as many earlier ones as the rest of φ, and the data; the buffer keeps the newest.
func TestReplayShares(t *testing.T) {
	m := tiny(t, 8, 1)
	examples := given(200)
	s := sampler(t, always(examples), m, nil, withReplay(Replay{Steps: 8, Threshold: 0.6, Capacity: 150}))
	var fresh [][]kd.Example
	for step := 1; step <= 8; step++ {
		before := len(s.replay.buffer) + len(s.replay.pending)
		batch := next(t, s, step)
		w := s.StepStats()
		p := 0.6 * (1 - float64(step)/8)
		if before < 150 {
			p = 0.6
		}
		for what, c := range map[string]struct {
			n    int
			want float64
		}{"fresh": {w.Samples, p}, "earlier": {w.Replayed, 0.6 - p}} {
			if deviation := math.Sqrt(200 * c.want * (1 - c.want)); math.Abs(float64(c.n)-200*c.want) > 4*deviation {
				t.Errorf("step %d: %d of 200 are %s samples, want %v ± %v", step, c.n, what, 200*c.want, deviation)
			}
		}
		var ofStep []kd.Example
		ofStep = append(ofStep, s.replay.pending...)
		fresh = append(fresh, ofStep)
		samples := 0
		for _, e := range batch {
			if e.Origin == kd.OfStudent {
				samples++
			}
		}
		if len(batch) != 200 || samples != w.Samples+w.Replayed || len(ofStep) != w.Samples {
			t.Errorf("step %d: %d samples in a batch of %d, want %d and %d", step, samples, len(batch), w.Samples, w.Replayed)
		}
	}
	var all []kd.Example
	for _, list := range fresh {
		all = append(all, list...)
	}
	s.replay.settle(9)
	if got := s.replay.buffer; !reflect.DeepEqual(got, all[len(all)-150:]) {
		t.Errorf("the buffer of %d does not hold the newest 150 of %d samples", len(got), len(all))
	}
}

// TestReplayGoesOn: a source whose state was saved, between any two steps, and restored gives the
// same examples afterwards; and so does one that is asked for a step twice.
func TestReplayGoesOn(t *testing.T) {
	m := tiny(t, 8, 1)
	examples := given(20)
	for i := range examples[:5] {
		examples[i].Weights, examples[i].Task = make([]float32, len(examples[i].Tokens)), i
	}
	o := withReplay(Replay{Steps: 9, Threshold: 0.7, Capacity: 30, Rise: 0.2})
	losses := []float64{0, 2, 2.5, 2.4, 2.55, 2.8, 1, 3}
	through := func(s *Sampler, from, to int, again bool) (all [][]kd.Example) {
		for step := from; step <= to; step++ {
			if again {
				next(t, s, step)
			}
			all = append(all, slices.Clone(next(t, s, step)))
			s.Validated(losses[step])
		}
		return all
	}
	whole := sampler(t, always(examples), m, nil, o)
	want := through(whole, 1, 7, false)
	if got := through(sampler(t, always(examples), m, nil, o), 1, 7, true); !reflect.DeepEqual(got, want) {
		t.Error("steps that are asked for twice change later ones")
	}
	for at := 0; at < 7; at++ {
		first := sampler(t, always(examples), m, nil, o)
		through(first, 1, at, false)
		var state bytes.Buffer
		if err := first.Save(&state); err != nil {
			t.Fatal(err)
		}
		second := sampler(t, always(examples), m, nil, o)
		if err := second.Restore(&state); err != nil {
			t.Fatal(err)
		}
		if second.Threshold() != first.Threshold() || second.Buffered() != first.Buffered() {
			t.Errorf("after step %d: threshold %v and %d samples, saved were %v and %d", at, second.Threshold(), second.Buffered(), first.Threshold(), first.Buffered())
		}
		if got := through(second, at+1, 7, false); !reflect.DeepEqual(got, want[at:]) {
			t.Errorf("restored after step %d it gives other examples", at)
		}
	}
}

// savedState is the state of a source after some steps of replay.
func savedState(t testing.TB, s *Sampler) []byte {
	for step := 1; step <= 3; step++ {
		if _, err := s.Next(context.Background(), step); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := s.Save(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestDamagedStates: a state that is cut, changed or another source's is an error, and the source
// is as before.
func TestDamagedStates(t *testing.T) {
	m := tiny(t, 8, 1)
	o := withReplay(Replay{Steps: 9, Threshold: 0.9, Capacity: 30})
	saved := savedState(t, sampler(t, always(given(8)), m, nil, o))
	s := sampler(t, always(given(8)), m, nil, o)
	for n := range saved {
		if err := s.Restore(bytes.NewReader(saved[:n])); err == nil || !strings.Contains(err.Error(), "cut short") {
			t.Fatalf("the first %d of %d bytes: error %v", n, len(saved), err)
		}
		damaged := bytes.Clone(saved)
		damaged[n] ^= 4
		if err := s.Restore(bytes.NewReader(damaged)); err == nil {
			t.Fatalf("byte %d of %d is changed, and there is no error", n, len(saved))
		}
	}
	if s.Buffered() != 0 || s.Threshold() != 0.9 {
		t.Errorf("%d samples and threshold %v after errors", s.Buffered(), s.Threshold())
	}
	small := o
	small.Replay = &Replay{Steps: 9, Capacity: 3}
	if err := sampler(t, always(nil), m, nil, small).Restore(bytes.NewReader(saved)); err == nil || !strings.Contains(err.Error(), "expected at most the 3 of the buffer") {
		t.Errorf("error %v of a smaller buffer", err)
	}
	if err := sampler(t, always(nil), m, nil, sampledAt).Restore(bytes.NewReader(saved)); err == nil || !strings.Contains(err.Error(), "has no replay") {
		t.Errorf("error %v without replay", err)
	}
}

func FuzzRestore(f *testing.F) {
	with := func(steps int) *Sampler { // no engine is needed
		s := &Sampler{options: withReplay(Replay{Steps: 9, Threshold: 0.9, Capacity: 30}), positions: 64}
		s.replay.begin(s.options.Replay)
		for step := 1; step <= steps; step++ {
			s.replay.settle(step)
			for i, e := range given(4) {
				e.Origin, e.SampledLogP = kd.OfStudent, make([]float32, len(e.Tokens))
				if i%2 == 0 {
					e.Weights = e.SampledLogP
				}
				for t := range e.Answer {
					e.Answer[t] = t >= slices.Index(e.Answer, true)
				}
				s.replay.keep(e)
			}
		}
		return s
	}
	for steps := range 3 {
		var b bytes.Buffer
		if err := with(steps).Save(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte(stateMark))
	s := with(0)
	f.Fuzz(func(t *testing.T, state []byte) {
		if err := s.Restore(bytes.NewReader(state)); err != nil {
			return
		}
		var again bytes.Buffer
		if err := s.Save(&again); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(state, again.Bytes()) {
			t.Errorf("a state of %d bytes is saved as another one", len(state))
		}
	})
}
