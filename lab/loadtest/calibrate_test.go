package loadtest

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"slimlab/serve/hardware"
)

// observed is an observation of a machine that is known: its requests are those of a simulation,
// whose steps are changed at random by a share, and slower after a pause by a factor.
func observed(t *testing.T, l hardware.Linear, h hardware.Host, noise, slow float64) *observation {
	t.Helper()
	test := Test{
		Workload: Workload{Kind: SharedPrefix, Requests: 480, Groups: 8, PrefixTokens: 300, InputTokens: 60, OutputTokens: 12, Order: "zipf"},
		Arrivals: Arrivals{Process: Poisson, Rate: 12}, InFlight: 1000, Seed: 3,
	}
	place := &Place{Vocabulary: 1000, Positions: 4096, Tokens: 4096, Shape: &hardware.Model{Vocab: 1000}}
	r, err := test.Ready(place.Vocabulary, place.Positions)
	if err != nil {
		t.Fatal(err)
	}
	o := &observation{
		place: place, test: test, workload: r.Workload, arrivals: r.Workload.Arrivals(),
		engine: Engine{Policy: "aged-lpm", BatchTokens: 2048, Running: 256, PrefixCache: true},
	}
	rng := rand.New(rand.NewPCG(5, 5))
	by := func() float64 { return math.Exp(noise * rng.NormFloat64()) }
	var steps []hardware.Sample
	machine := hardware.Observed(*place.Shape, place.Tokens, l, nil, h)
	for range 1600 {
		var one hardware.Sample
		for range 1 + rng.IntN(6) {
			one.Batch.Add(1, 1+rng.IntN(400), 1)
		}
		if rng.IntN(3) == 0 {
			one.Batch.Add(2+rng.IntN(350), rng.IntN(300), 1)
		}
		times := machine.Step(&one.Batch)
		if one.Seconds = times.Total() * by(); rng.IntN(3) == 0 {
			one.Idle = 0.1 + rng.Float64()
			one.Seconds *= slow
		}
		steps = append(steps, one)
	}
	all, err := o.replay(t.Context(), l, hardware.NewVariation(&l, steps), h)
	if err != nil {
		t.Fatal(err)
	}
	copy(o.real[:], all[:])
	for i, one := range steps {
		o.steps[i%parts] = append(o.steps[i%parts], one)
	}
	return o
}

// TestCalibrateFindsAMachine: a simulation that was fitted to the steps of half of the requests of
// a machine predicts the others: all but exactly where nothing else moves them, and within the
// spread of two runs where something does.
func TestCalibrateFindsAMachine(t *testing.T) {
	l, h := hardware.Linear{Step: 0.004, Token: 60e-6, Pair: 2e-8, Context: 1e-7, Row: 0.0005}, hardware.Host{Fixed: 0.002}
	for _, of := range [][2]float64{{0, 1}, {0.1, 1}, {0, 3}, {0.3, 2}} {
		noise, slow := of[0], of[1]
		c, err := observed(t, l, h, noise, slow).fit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Errors) != 3 || c.Runs != 2 || c.Fitted != 240 || c.Steps != 800 {
			t.Fatalf("%+v", c)
		}
		for _, e := range c.Errors {
			t.Logf("noise %g, %g times as slow after pauses, %s: bias %+.2f%%, MAPE %.2f%%, P50 %.4g and %.4g, simulated %.4g, P99 %.4g and %.4g, simulated %.4g", noise, slow, e.Metric, 100*e.Bias, 100*e.MAPE, e.Real50, e.Again50, e.Sim50, e.Real99, e.Again99, e.Sim99)
			exact := noise == 0 && slow == 1
			if !e.Within50 || !e.Within99 || math.Abs(e.Bias) > 0.08 || exact && (math.Abs(e.Bias) > 0.001 || e.MAPE > 0.002) {
				t.Errorf("noise %g, slow %g: %+v", noise, slow, e)
			}
		}
	}
}

func TestCalibrateErrors(t *testing.T) {
	known := &hardware.Model{Vocab: 100}
	open := Test{Workload: Workload{Kind: Random, Requests: 40, InputTokens: 8, OutputTokens: 2, Order: "zipf"}, Arrivals: Arrivals{Process: Poisson, Rate: 9}}
	chat, closed, few := open, open, open
	chat.Kind, chat.Turns = Chat, 2
	closed.Process, closed.Users = Closed, 2
	few.Requests = 31
	for says, c := range map[string]struct {
		place Place
		test  Test
	}{
		"found simulated devices": {Place{simulated: &Simulated{}}, open},
		"are unknown":             {Place{}, open},
		"no chat":                 {Place{Vocabulary: 100, Shape: known, steps: &Steps{}}, chat},
		"by a process":            {Place{Vocabulary: 100, Shape: known, steps: &Steps{}}, closed},
		"expected 32 or more":     {Place{Vocabulary: 100, Shape: known, steps: &Steps{}}, few},
	} {
		if _, err := c.place.Calibrate(t.Context(), c.test, Engine{}, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, expected an error with %q", err, says)
		}
	}
}

func TestNear(t *testing.T) {
	for _, c := range []struct {
		x, real, again, share float64
		want                  bool
	}{
		{1.04, 1, 0, 0.05, true}, {1.06, 1, 0, 0.05, false}, {0.94, 1, 0, 0.05, false}, {1.3, 1, 1.5, 0.05, true}, {1.3, 1.5, 1, 0.05, true},
		{1.57, 1, 1.5, 0.05, true}, {1.6, 1, 1.5, 0.05, false},
	} {
		if got := near(c.x, c.real, c.again, c.share); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}
