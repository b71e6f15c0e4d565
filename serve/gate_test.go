package serve_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/host"
	"slimlab/serve/sample"
)

// TestGate holds what batching gains, as ratios within one run: engine rates at 8 and 16 sequences
// against those at fewer, and one product with the head against one for each row. A machine that is
// shared can fail it: it measures once more before it says so.
func TestGate(t *testing.T) {
	if os.Getenv("SLIMLAB_GATE") != "1" {
		t.Skip("a measurement, which needs the machine for itself for a minute: SLIMLAB_GATE=1 runs it")
	}
	start := time.Now()
	small, large := randomModel(t, "stories15m", 0), randomModel(t, "qwen2.5-0.5b", 4)
	gates := []gate{
		engineGate(t, "stories15m, 8 sequences against 1", small, 8, 1),
		engineGate(t, "stories15m, 16 sequences against 8", small, 16, 8),
		engineGate(t, "qwen2.5-0.5b with 4 layers, 8 sequences against 1", large, 8, 1),
		engineGate(t, "qwen2.5-0.5b with 4 layers, 16 sequences against 8", large, 16, 8),
		headGate("stories15m, head of 8 rows against 8 heads", small, 8),
		headGate("qwen2.5-0.5b, head of 8 rows against 8 heads", large, 8),
	}
	for _, g := range gates {
		ratio := g.measure()
		if ratio < g.least {
			t.Logf("%s: %.2f times the rate, below %.2f; measuring once more", g.name, ratio, g.least)
			ratio = g.measure()
		}
		if t.Logf("%s: %.2f times the rate", g.name, ratio); ratio < g.least {
			t.Errorf("%s: %.2f times the rate, expected at least %.2f", g.name, ratio, g.least)
		}
	}
	t.Logf("measured for %.0f s", time.Since(start).Seconds())
}

// gate is a ratio of two rates that must not fall below a bound.
type gate struct {
	name             string
	least            float64
	run, against     func() time.Duration
	amount, baseline float64 // of work, of each
}

// measure interleaves both, five times, and returns the ratio of their median rates.
func (g gate) measure() float64 {
	const rounds = 5
	var run, against []time.Duration
	for range rounds {
		run, against = append(run, g.run()), append(against, g.against())
	}
	slices.Sort(run)
	slices.Sort(against)
	return g.amount / run[rounds/2].Seconds() / (g.baseline / against[rounds/2].Seconds())
}

// engineGate compares the rates of generating with so many and with fewer sequences.
func engineGate(t *testing.T, name string, m *model.Model, many, few int) gate {
	t.Helper()
	e, err := host.NewEngine(m, host.Options{Pages: 128}, serve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	run := func(n int) func() time.Duration {
		requests := benchRequests(n, sample.Settings{})
		return func() time.Duration { return generate(t, e, requests) }
	}
	return gate{name, 0.9, run(many), run(few), float64(many), float64(few)}
}

// headGate compares one product of all rows with the head with as many products of one row.
func headGate(name string, m *model.Model, rows int) gate {
	hidden, logits := make([]float32, rows*m.Hidden), make([]float32, rows*m.Vocab)
	run := func(rows, times int) func() time.Duration {
		return func() time.Duration {
			start := time.Now()
			for i := range times {
				m.Logits(logits[i*rows*m.Vocab:][:rows*m.Vocab], hidden[i*rows*m.Hidden:][:rows*m.Hidden], rows)
			}
			return time.Since(start)
		}
	}
	return gate{name, 1.6, run(rows, 1), run(1, rows), 1, 1}
}
