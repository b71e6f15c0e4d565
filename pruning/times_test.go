package pruning

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"slimlab/model"
)

// tableOf are times of all widths of a budget's halves, as a function says, in nanoseconds.
func tableOf(b Budget, c model.Config, align int, of func(part Part, kept int) int64) *Times {
	q := b.Timing(c, align)
	t := &Times{Machine: "a machine", Format: "float32", Rows: q.Rows}
	for _, h := range q.Halves {
		times := HalfTimes{Part: h.Part, Queries: h.Queries, Widths: h.Widths}
		for _, kept := range h.Widths {
			times.Nanoseconds = append(times.Nanoseconds, of(h.Part, kept))
		}
		t.Halves = append(t.Halves, times)
	}
	return t
}

// Widths under a budget of time are those of the least sum of errors by the table of times, equal
// to brute force on models of random tables, in which a narrower width may take longer; the time by
// the table is within the budget, and the error never above that of equal shares within it.
func TestWidthsUnderATime(t *testing.T) {
	shape := config("LlamaForCausalLM")
	shape.Layers = model.Uniform(4, 8, 4, 64)
	shape.Layers[2].MLP = 40
	m := newModel(t, shape)
	const tables = 12
	none, exceeded := 0, 0
	for seed := range uint64(tables) {
		rng := rand.New(rand.NewPCG(seed, 67))
		b := Budget{MLP: true, Heads: seed%3 == 0, Time: &TimeBudget{Rows: 1}}
		b.Time.Times = tableOf(b, shape, 8, func(part Part, kept int) int64 {
			return int64(kept)*100 + rng.Int64N(4000) // falls with the width, and does not
		})
		sum := func(layers []model.LayerConfig, part Part) (all int64) {
			for i, l := range layers {
				h := Half{Layer: i, Part: part}
				kept := l.MLP
				if part == Heads {
					h.Queries, kept = 2, l.KVHeads
				}
				of, ok := b.Time.Times.of(h, kept)
				if !ok {
					t.Fatalf("no time of layer %d, %s %d", i, part, kept)
				}
				all += of
			}
			return all
		}
		before := sum(shape.Layers, MLP)
		if b.Heads {
			before += sum(shape.Layers, Heads)
		}
		b.Time.Most = time.Duration(float64(before) * (0.55 + 0.3*rng.Float64()))
		if seed%2 == 0 {
			b.Time.Share = float64(b.Time.Most) / float64(before)
			b.Time.Most = 0
		}
		if b.CheckTimes(shape, 8) != nil {
			none++
			continue
		}
		pruned, r := prune(t, m, Options{Method: OSSCAR, Budget: &b, Align: 8})
		got := r.Budget
		after := sum(pruned.Layers, MLP)
		if b.Heads {
			after += sum(pruned.Layers, Heads)
		}
		if !near(got.Time.Before, float64(before)/1e6, 1e-3) || !near(got.Time.Kept, float64(after)/1e6, 1e-3) || got.Time.Kept > got.Time.Most || got.Time.Rows != 1 || got.Time.Machine != "a machine" {
			t.Errorf("seed %d: %+v, by the table %d, then %d ns", seed, got.Time, before, after)
		}
		if got.Kept != HalfParameters(shape, pruned.Layers, b.MLP, b.Heads) || got.Parameters != 0 {
			t.Errorf("seed %d: %d parameters stay, of %d", seed, got.Kept, got.Parameters)
		}
		if got.Time.Uniform > 0 && got.Error > got.Uniform*(1+1e-12) || got.Time.Uniform > got.Time.Most {
			t.Errorf("seed %d: the sum of errors is %g, by equal shares %g in %g ms", seed, got.Error, got.Uniform, got.Time.Uniform)
		}
		if got.Time.Uniform == 0 {
			exceeded++
		}
		table, err := b.Time.costs(b.Halves(shape, 8))
		if err != nil {
			t.Fatal(err)
		}
		items := make([][]choiceOf, len(got.Layers))
		halves := b.Halves(shape, 8)
		for i, l := range got.Layers {
			h := halves[slices.IndexFunc(halves, func(h Half) bool { return h.Layer == l.Layer && h.Part == l.Part })]
			for _, p := range l.Curve {
				if slices.Contains(h.Widths, p.Kept) {
					items[i] = append(items[i], choiceOf{table.of(h, p.Kept), p.Error})
				}
			}
		}
		if want, ok := bruteForce(items, table.most); !ok || !near(got.Error, want.loss, 1e-9) || got.Time.Kept != milliseconds(want.cost) {
			t.Errorf("seed %d: the sum of errors is %g in %g ms, by brute force %g in %g", seed, got.Error, got.Time.Kept, want.loss, milliseconds(want.cost))
		}
	}
	t.Logf("%d tables: no width met %d, no equal share %d", tables, none, exceeded)
	if none > tables/3 {
		t.Errorf("%d of %d budgets that no width meets", none, tables)
	}
}

// Budgets that no width meets, or the model as it is, are refused with the nearest that does; one
// of what is named is met.
func TestTimeRefusals(t *testing.T) {
	shape := config("LlamaForCausalLM") // 2 layers of 64 neurons
	of := func(most time.Duration, share float64) Budget {
		b := Budget{MLP: true, Time: &TimeBudget{Most: most, Share: share, Rows: 1}}
		// the narrowest is not the fastest
		b.Time.Times = tableOf(b, shape, 8, func(_ Part, kept int) int64 { return map[bool]int64{true: 60500, false: int64(kept) * 1000}[kept == 8] })
		b.Time.Times.Halves[0].Nanoseconds[len(b.Time.Times.Halves[0].Widths)-2] = 12345 // of 16 neurons
		return b
	}
	for _, c := range []struct {
		budget Budget
		want   string
	}{
		{of(24*time.Microsecond, 0), "the budget is 0.024ms of 0.128ms, and with the fastest width of each layer the products take 0.0247ms: expected at least 0.0247ms"},
		{of(0, 0.1), "expected at least 0.0247ms, or 19.3% of time"},
		{of(128*time.Microsecond, 0), "the budget is 0.128ms, and the products of the model take 0.128ms as it is: nothing would be removed, expected less"},
		{of(24700*time.Nanosecond, 0), ""},
		{of(0, 0.193), ""},
		{Budget{MLP: true, Time: &TimeBudget{Most: 1, Rows: 1}}, "a budget of time without times"},
		{Budget{MLP: true, Time: &TimeBudget{Rows: 1}}, "expected a time above 0"},
		{Budget{MLP: true, Time: &TimeBudget{Most: 1}}, "for 0 rows"},
	} {
		pruned, _, err := inMemory(t.Context(), newModel(t, shape), sequences(10, 50), Options{Method: Magnitude, Budget: &c.budget, Align: 8}, nil)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, expected %q", c.budget.Time, err, c.want)
		}
		if err == nil && (pruned.Layers[0].MLP != 16 || pruned.Layers[1].MLP != 16) {
			t.Errorf("%+v: widths %+v", c.budget.Time, pruned.Layers)
		}
	}
	b := of(24700*time.Nanosecond, 0)
	other := config("LlamaForCausalLM")
	other.Layers[1].MLP = 72
	if err := b.Fits(shape, 8, b.Time.Times); err != nil {
		t.Errorf("its own times: %v", err)
	}
	if err := b.Fits(other, 8, b.Time.Times); err == nil || !strings.Contains(err.Error(), "none of layer 1's mlp of width 72") {
		t.Errorf("times of other widths: %v", err)
	}
	b.Time.Rows = 2
	if err := b.Fits(shape, 8, b.Time.Times); err == nil || !strings.Contains(err.Error(), "of 1 row, expected 2") {
		t.Errorf("times of other rows: %v", err)
	}
}

// Times are rounded so that their sums are few, and by less than a measurement is sure of.
func TestResolutionOfTimes(t *testing.T) {
	for _, c := range []struct{ sum, want int64 }{{1, 1}, {sums, 1}, {sums + 1, 2}, {3 * sums, 5}, {6 * sums, 10}, {40e6, 2000}} {
		if got := resolution(c.sum); got != c.want {
			t.Errorf("%d ns: rounded to %d, expected %d", c.sum, got, c.want)
		}
	}
}
