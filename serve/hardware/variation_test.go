package hardware

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"slimlab/serve"
)

// TestVariationDraws: a step takes what one of the measured steps most like it took, of equal ones
// each as often, however many there are; what is unlike it is not drawn.
func TestVariationDraws(t *testing.T) {
	l := &Linear{Step: 1e-3, Token: 1e-4}
	sample := func(tokens int, idle, ratio float64) Sample {
		s := Sample{Idle: idle}
		s.Batch.Add(tokens, 0, 1)
		s.Seconds = ratio * (1e-3 + 1e-4*float64(tokens))
		return s
	}
	var samples []Sample
	for i := range 100 {
		ratio := 1 + float64(i%2) // half of the steps take twice as long
		samples = append(samples, sample(1, 0, ratio), sample(100, 0, 4), sample(100, 0.5, 8+ratio))
	}
	v, draw := NewVariation(l, samples), rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		tokens int
		idle   float64
		want   map[float64]float64
	}{
		{1, 0, map[float64]float64{1: 0.5, 2: 0.5}},
		{1, 1e-6, map[float64]float64{1: 0.5, 2: 0.5}},
		{100, 0, map[float64]float64{4: 1}},
		{100, 0.4, map[float64]float64{9: 0.5, 10: 0.5}},
		{500, 100, map[float64]float64{9: 0.5, 10: 0.5}},
	} {
		const times = 4000
		got := map[float64]int{}
		for range times {
			got[math.Round(v.draw(1e-3+1e-4*float64(c.tokens), c.idle, draw)*1e6)/1e6]++
		}
		if len(got) != len(c.want) {
			t.Errorf("%d tokens after %v s: drew %v, expected %v", c.tokens, c.idle, got, c.want)
		}
		for ratio, share := range c.want {
			if x := float64(got[ratio]) / times; math.Abs(x-share) > 0.04 {
				t.Errorf("%d tokens after %v s: %v in %v of draws, expected %v", c.tokens, c.idle, ratio, x, share)
			}
		}
	}
	if low, mid, high := v.Share(0), v.Share(0.5), v.Share(1); math.Abs(low-1) > 1e-9 || math.Abs(mid-4) > 1e-9 || math.Abs(high-10) > 1e-9 {
		t.Errorf("shares are %v, %v, %v, expected 1, 4, 10", low, mid, high)
	}
	// of steps that all differ each of the nearest is drawn, and no other
	var spread []Sample
	for i := range 200 {
		spread = append(spread, sample(100*(i+1), 0, float64(i)))
	}
	far, seen := NewVariation(l, spread), map[float64]bool{}
	for range 4000 {
		ratio := math.Round(far.draw(1e-3+1e-4*10000, 0, draw)*1e6) / 1e6
		if seen[ratio] = true; math.Abs(ratio-99) > alike {
			t.Fatalf("drew the multiple of step %v, expected one near 99", ratio)
		}
	}
	if len(seen) != alike {
		t.Errorf("%d steps were drawn, expected the %d nearest", len(seen), alike)
	}
	few := NewVariation(l, samples[:3])
	if x := few.draw(1e-3, 0, draw); x != 1 && x != 4 && math.Abs(x-9) > 1e-9 {
		t.Errorf("of three steps one of %v was drawn", x)
	}
	if none := NewVariation(l, nil); none.draw(1, 1, draw) != 1 || none.Share(0.5) != 1 {
		t.Error("without measured steps a step does not take what is predicted")
	}
}

// TestExecutorVaries: a step after a pause takes what measured steps after pauses took, one that
// follows another what such steps took; what it was spent on adds up to that.
func TestExecutorVaries(t *testing.T) {
	l := &Linear{Step: 1e-3, Token: 1e-3, Row: 1e-3}
	var samples []Sample
	for i := range 100 {
		one := Sample{Idle: 0.5 * float64(i%2)}
		one.Batch.Add(8, 0, 1)
		one.Seconds = 10e-3 * (2 + float64(i%2))
		samples = append(samples, one)
	}
	d := Observed(Model{Vocab: 10}, 1000, *l, NewVariation(l, samples), Host{})
	e := NewExecutor(d, 0, time.Unix(0, 0))
	e.vary = rand.New(rand.NewPCG(1, 1))
	batch := []serve.Segment{{Tokens: make([]int32, 8), Logits: true}}
	for i, c := range []struct{ pause, want time.Duration }{
		{0, 20 * time.Millisecond}, {0, 20 * time.Millisecond}, {400 * time.Millisecond, 30 * time.Millisecond}, {0, 20 * time.Millisecond},
	} {
		e.Wait(e.Now().Add(c.pause))
		begun := e.Now()
		if _, err := e.Extend(batch); err != nil {
			t.Fatal(err)
		}
		if took := e.Now().Sub(begun).Round(time.Microsecond); took != c.want {
			t.Errorf("step %d took %v, expected %v", i, took, c.want)
		}
	}
	if spent := e.Spent(); math.Abs(spent.Total()-0.09) > 1e-6 || math.Abs(spent.GEMM-0.072) > 1e-6 {
		t.Errorf("spent %+v, expected 90 ms, of which 72 on products", spent)
	}
}
