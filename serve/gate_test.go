package serve_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/host"
	"slimlab/serve/sample"
)

// gateLimit is the time that all gates may take together, retries included.
const gateLimit = time.Minute

// TestGate holds what batching gains, as ratios within one run: engine rates at 8 and 16 sequences
// against those at fewer, and one product with the head against one for each row. A machine that is
// shared can fail it: it measures once more before it says so, if the time allows.
func TestGate(t *testing.T) {
	if os.Getenv("SLIMLAB_GATE") != "1" {
		t.Skip("a measurement, which needs the machine for itself for a minute: SLIMLAB_GATE=1 runs it")
	}
	clock := newGateClock(time.Now)
	small, large := randomModel(t, "stories15m", 0), randomModel(t, "qwen2.5-0.5b", 4)
	gates := []gate{
		engineGate(t, "stories15m, 8 sequences against 1", small, 8, 1),
		engineGate(t, "stories15m, 16 sequences against 8", small, 16, 8),
		engineGate(t, "qwen2.5-0.5b with 4 layers, 8 sequences against 1", large, 8, 1),
		engineGate(t, "qwen2.5-0.5b with 4 layers, 16 sequences against 8", large, 16, 8),
		headGate("stories15m, head of 8 rows against 8 heads", small, 8),
		headGate("qwen2.5-0.5b, head of 8 rows against 8 heads", large, 8),
	}
	figures, err := measureGates(gates, clock)
	t.Logf("measured for %.0f s\n%s", clock.passed().Seconds(), strings.Join(figures, "\n"))
	if err != nil {
		t.Error(err)
	}
}

// TestGateEndsInTime: a slow machine gets no second measurement that the time does not allow, and
// no gate is measured after its end; the figures so far are kept.
func TestGateEndsInTime(t *testing.T) {
	for _, c := range []struct {
		name    string
		round   time.Duration // of either side of the ratio
		least   float64
		runs    int // of one side, over two gates
		figures int
		want    string // in the error, "" for none
	}{
		{"fast enough", time.Second, 0.9, 10, 2, ""},
		{"a ratio too low is measured twice", time.Second, 1.1, 20, 4, "a: 1.00 times the rate, expected at least 1.10\nb: 1.00 times"},
		{"no time for a second measurement", 4 * time.Second, 1.1, 8, 1, "a: 1.00 times the rate, expected at least 1.10; no time to measure once more"},
		{"no time for the second gate", 5 * time.Second, 0.9, 6, 1, "b: the gates have taken 60 s, the limit is 60 s; 1 of 2 were measured"},
		{"no time for the first", 20 * time.Second, 0.9, 2, 0, "a: the gates have taken 80 s, the limit is 60 s; 0 of 2 were measured"},
	} {
		var now time.Time
		runs := 0
		run := func() time.Duration { now = now.Add(c.round); runs++; return c.round }
		against := func() time.Duration { now = now.Add(c.round); return c.round }
		clock := newGateClock(func() time.Time { return now })
		figures, err := measureGates([]gate{{"a", c.least, run, against, 1, 1}, {"b", c.least, run, against, 1, 1}}, clock)
		if got := fmt.Sprint(err); c.want == "" && err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%s: found error %v, expected %q", c.name, err, c.want)
		}
		if runs != c.runs || len(figures) != c.figures {
			t.Errorf("%s: found %d runs and figures %q, expected %d and %d", c.name, runs, figures, c.runs, c.figures)
		}
	}
}

// gateClock measures the time since the gates began.
type gateClock struct {
	start time.Time
	now   func() time.Time
}

func newGateClock(now func() time.Time) gateClock { return gateClock{now(), now} }

func (c gateClock) passed() time.Duration { return c.now().Sub(c.start) }

// over returns an error when the time for all gates is over.
func (c gateClock) over() error {
	if passed := c.passed(); passed >= gateLimit {
		return fmt.Errorf("the gates have taken %.0f s, the limit is %.0f s", passed.Seconds(), gateLimit.Seconds())
	}
	return nil
}

// measureGates measures each gate, and once more where its ratio is too low and the time allows.
// It ends with the time. The figures are those measured so far.
func measureGates(gates []gate, clock gateClock) (figures []string, err error) {
	var lost error
	for i, g := range gates {
		start := clock.passed()
		ratio, err := g.measure(clock)
		if err != nil {
			return figures, errors.Join(lost, fmt.Errorf("%s: %w; %d of %d were measured", g.name, err, i, len(gates)))
		}
		figures = append(figures, fmt.Sprintf("%s: %.2f times the rate", g.name, ratio))
		if ratio >= g.least {
			continue
		}
		remark := ""
		if took := clock.passed() - start; clock.passed()+took > gateLimit {
			remark = "; no time to measure once more"
		} else if again, err := g.measure(clock); err != nil {
			remark = "; the second measurement did not end in time"
		} else {
			figures = append(figures, fmt.Sprintf("%s: %.2f times the rate, measured once more", g.name, again))
			ratio = again
		}
		if ratio < g.least {
			lost = errors.Join(lost, fmt.Errorf("%s: %.2f times the rate, expected at least %.2f%s", g.name, ratio, g.least, remark))
		}
	}
	return figures, lost
}

// gate is a ratio of two rates that must not fall below a bound.
type gate struct {
	name             string
	least            float64
	run, against     func() time.Duration
	amount, baseline float64 // of work, of each
}

// measure interleaves both, five times and for four seconds at least, and returns the median of the
// rounds' ratios: what slows the machine for a while slows both sides of a round. It stops when the
// time is over.
func (g gate) measure(clock gateClock) (float64, error) {
	const rounds, least = 5, 4 * time.Second
	var ratios []float64
	for start := clock.passed(); len(ratios) < rounds || clock.passed()-start < least; {
		if err := clock.over(); err != nil {
			return 0, err
		}
		run, against := g.run(), g.against()
		ratios = append(ratios, g.amount/run.Seconds()/(g.baseline/against.Seconds()))
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2], nil
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
