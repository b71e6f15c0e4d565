package pruning

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/calibrate"
)

// bruteForce is the least loss of all choices within a budget, and the lowest cost that has it.
func bruteForce(items [][]choiceOf, budget int64) (best choiceOf, ok bool) {
	if len(items) == 0 {
		return choiceOf{}, budget >= 0
	}
	best.loss = math.Inf(1)
	for _, c := range items[0] {
		rest, fits := bruteForce(items[1:], budget-c.cost)
		if loss := c.loss + rest.loss; fits && (loss < best.loss || loss == best.loss && c.cost+rest.cost < best.cost) {
			best, ok = choiceOf{c.cost + rest.cost, loss}, true
		}
	}
	return best, ok
}

// The allocation is the best of all choices, at any budget, and fails where none fits: of costs
// that fall with the width, as parameters do, and of costs that do not, as times that were
// measured.
func TestAllocationEqualsBruteForce(t *testing.T) {
	const trials = 1000
	none := 0
	for seed := range uint64(trials) {
		rng := rand.New(rand.NewPCG(seed, 61))
		items := make([][]choiceOf, 1+rng.IntN(6))
		widest := 0
		for i := range items {
			unit := 1 + rng.IntN(5)
			n := 1 + rng.IntN(6)
			for w := n; w > 0; w-- {
				// losses that are equal at times, and do not always rise as the width falls
				cost := int64(w * unit)
				if seed%2 == 1 { // a measured time: the narrower may take longer
					cost = 1 + rng.Int64N(40)
				}
				items[i] = append(items[i], choiceOf{cost, float64(rng.IntN(16)) / 16})
			}
			widest += n * unit
		}
		budget := rng.Int64N(int64(widest) + 2)
		if seed%2 == 1 {
			budget = rng.Int64N(int64(40*len(items)) + 2)
		}
		want, fits := bruteForce(items, budget)
		chosen, ok := allocate(items, budget)
		if ok != fits {
			t.Fatalf("seed %d: %t, by brute force %t", seed, ok, fits)
		}
		if !ok {
			none++
			continue
		}
		var got choiceOf
		for i, c := range chosen {
			got.cost, got.loss = got.cost+items[i][c].cost, got.loss+items[i][c].loss
		}
		if got.cost > budget || got != want {
			t.Fatalf("seed %d: cost %d and loss %g within %d, by brute force %+v", seed, got.cost, got.loss, budget, want)
		}
	}
	t.Logf("%d allocations, for %d more nothing fits", trials-none, none)
	if none == 0 || none > trials/2 {
		t.Error("too few, or too many, that do not fit")
	}
}

// Equal shares are the largest share within the budget, each half at the widest of its widths that
// is no larger share of it than that: where the model's own width is none of them, too, and costs
// need not fall with the width.
func TestEqualShares(t *testing.T) {
	none := 0
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 62))
		m := &measurer{}
		var items [][]choiceOf
		highest := int64(0)
		for i := range 1 + rng.IntN(4) {
			h := newHalf(i, MLP, 1+rng.IntN(40), 1+rng.IntN(8), mostWidths)
			m.halves = append(m.halves, measured{Half: h, weight: 1})
			var item []choiceOf
			for _, w := range h.Widths {
				cost := int64(w)
				if seed%2 == 1 {
					cost = 1 + rng.Int64N(40)
				}
				item = append(item, choiceOf{cost, rng.Float64()})
			}
			items, highest = append(items, item), highest+40
		}
		budget := rng.Int64N(highest)
		var want choiceOf
		best := 0.0
		for _, from := range m.halves {
			for _, w := range from.Widths {
				share := float64(w) / float64(from.Before)
				var sum choiceOf
				for i, h := range m.halves {
					at := len(h.Widths) - 1
					for at > 0 && float64(h.Widths[at-1]) <= share*float64(h.Before)+1e-9 {
						at--
					}
					sum.cost, sum.loss = sum.cost+items[i][at].cost, sum.loss+items[i][at].loss
				}
				if sum.cost <= budget && share > best {
					best, want = share, sum
				}
			}
		}
		cost, loss, ok := m.uniform(items, budget)
		if ok != (best > 0) || (choiceOf{cost, loss}) != want {
			t.Fatalf("seed %d: cost %d, loss %g, %t, by a search through all shares %+v of %g", seed, cost, loss, ok, want, best)
		}
		if !ok {
			none++
		}
	}
	if none == 0 || none > 500 {
		t.Errorf("of %d budgets no share is within: too few, or too many", none)
	}
}

// The widths of a model's layers are those of the least sum of errors, by its curves, and never
// worse than equal shares; each layer has the width, and the report the parameters that stay.
func TestWidthsUnderABudget(t *testing.T) {
	for _, c := range []struct {
		architecture string
		budget       Budget
		share        float64
		align        int
	}{
		{"LlamaForCausalLM", Budget{MLP: true}, 0.6, 8},
		{"LlamaForCausalLM", Budget{MLP: true}, 0.7, 16},
		{"Qwen2ForCausalLM", Budget{MLP: true, Heads: true}, 0.55, 16},
		{"Qwen3ForCausalLM", Budget{Heads: true}, 0.5, 1},
		{"LlamaForCausalLM", Budget{MLP: true, Importance: []float64{1, 100, 1}}, 0.6, 8},
	} {
		shape := config(c.architecture)
		shape.Layers = model.Uniform(3, 8, 4, 64)
		m := newModel(t, shape)
		down := m.Blocks[0].Down.Weight.Float32() // of the first layer a part hardly matters
		for i := range down {
			if i%64 >= 24 {
				down[i] *= 1e-3
			}
		}
		m.Changed()
		all := HalfParameters(shape, shape.Layers, c.budget.MLP, c.budget.Heads)
		b := c.budget
		b.Parameters = int(c.share * float64(all))
		var done []int
		o := Options{Method: OSSCAR, Budget: &b, Align: c.align, Measured: func(n, _ int) { done = append(done, n) }}
		pruned, r := prune(t, m, o)
		got := r.Budget
		if got.Kept > b.Parameters || got.Kept != HalfParameters(shape, pruned.Layers, b.MLP, b.Heads) || got.Error > got.Uniform*(1+1e-12) || got.Lattice != c.align || len(done) != len(got.Layers) {
			t.Errorf("%+v: %+v, measured %v", c, got, done)
		}
		items := make([][]choiceOf, len(got.Layers))
		sum := 0.0
		for i, l := range got.Layers {
			width, step, unit := pruned.Layers[l.Layer].MLP, c.align, neuronParameters(shape)
			if l.Part == Heads {
				width, step, unit = pruned.Layers[l.Layer].KVHeads, 1, groupParameters(shape, 2)
			}
			if width != l.Kept || width%step != 0 {
				t.Errorf("layer %d, %s has %d units, the report %d, in multiples of %d", l.Layer, l.Part, width, l.Kept, step)
			}
			weight := 1.0
			if b.Importance != nil {
				weight = b.Importance[l.Layer]
			}
			sum += weight * l.Error
			for _, p := range l.Curve { // all widths: there are few
				if p.Kept%step == 0 {
					items[i] = append(items[i], choiceOf{int64(p.Kept * unit), weight * p.Error})
				}
			}
		}
		if want, _ := bruteForce(items, int64(b.Parameters)); !near(got.Error, want.loss, 1e-9) || !near(got.Error, sum, 1e-9) {
			t.Errorf("%+v: the sum of errors is %g, of the layers %g, by brute force %g", c, got.Error, sum, want.loss)
		}
		if b.MLP && !b.Heads && b.Importance == nil && pruned.Layers[0].MLP >= pruned.Layers[2].MLP {
			t.Errorf("%+v: widths %+v, and most of the first layer hardly matters", c, pruned.Layers)
		}
		restore := parallel.SetThreads(1)
		again, _ := prune(t, m, o)
		restore()
		if !slices.Equal(flat(again), flat(pruned)) {
			t.Errorf("%+v: other bits with another number of threads", c)
		}
	}
}

// The layers are measured in the precision of the pass that follows, which finds their statistics.
func TestBudgetIsMeasuredInThePrecisionOfThePass(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	all := HalfParameters(m.Config, m.Layers, true, false)
	var sums []float64
	for _, p := range []kernels.Precision{kernels.Float32, kernels.BFloat16} {
		budget := Budget{MLP: true, Parameters: all * 6 / 10}
		_, r := prune(t, m, Options{Method: OSSCAR, Budget: &budget, Statistics: calibrate.Settings{Parallel: true, Precision: p}})
		sums = append(sums, r.Budget.Error)
	}
	if sums[0] == sums[1] || !near(sums[0], sums[1], 0.02) {
		t.Errorf("the sums of errors are %v: expected near ones that differ", sums)
	}
}

// Budgets that nothing meets, and that all do, are refused with the nearest that can be.
func TestBudgetRefusals(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM")) // 2 layers of 64 neurons of 96 parameters
	for _, c := range []struct {
		budget Budget
		want   string
	}{
		{Budget{MLP: true, Parameters: 2*8*96 - 1}, "with one unit of each layer there are 1536: expected at least 12.5%"},
		{Budget{MLP: true, Parameters: 2 * 64 * 96}, "nothing would be removed"},
		{Budget{MLP: true, Parameters: 6000, Importance: []float64{1}}, "importance of 1 layer, expected one for each of the model's 2"},
		{Budget{MLP: true, Parameters: 2 * 8 * 96}, ""},
	} {
		pruned, _, err := inMemory(t.Context(), m, sequences(10, 50), Options{Method: Magnitude, Budget: &c.budget, Align: 8}, nil)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, expected %q", c.budget, err, c.want)
		}
		if err == nil && (pruned.Layers[0].MLP != 8 || pruned.Layers[1].MLP != 8) {
			t.Errorf("%+v: widths %+v", c.budget, pruned.Layers)
		}
	}
	if _, _, err := inMemory(t.Context(), m, nil, Options{Method: OSSCAR, Budget: &Budget{MLP: true, Parameters: 6000}}, nil); err == nil {
		t.Error("no calibration is no error")
	}
	long := []calibrate.Sequence{make(calibrate.Sequence, 4000)}
	if _, _, err := inMemory(t.Context(), m, long, Options{Method: OSSCAR, Budget: &Budget{MLP: true, Parameters: 6000}}, nil); err == nil || !strings.Contains(err.Error(), "has 4000 tokens") {
		t.Errorf("a sequence that is too long: %v", err)
	}
}

func TestParseBudget(t *testing.T) {
	for text, want := range map[string]BudgetSize{
		"80%": {Share: 0.8}, "0.8": {Share: 0.8}, "500MB": {Bytes: 5e8}, "1.5GB": {Bytes: 15e8}, "12KB": {Bytes: 12000}, "12 kB": {Bytes: 12000}, "1mb": {Bytes: 1e6}, "300kB": {Bytes: 3e5}, "2MiB": {Bytes: 2 << 20}, "1.5 gib": {Bytes: 3 << 29}, "5TB": {Bytes: 5e12},
		"12ms": {Time: 12 * time.Millisecond}, "1.5ms": {Time: 1500 * time.Microsecond}, "0.2 s": {Time: 200 * time.Millisecond}, "250us": {Time: 250 * time.Microsecond}, "250µs": {Time: 250 * time.Microsecond},
		"80% of time": {ShareOfTime: 0.8}, "0.8 of time": {ShareOfTime: 0.8},
	} {
		if got, err := ParseBudget(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "1", "100%", "0%", "MB", "-1MB", "nanMB", "5000", "5PB", "500 B", "0x1GB", "1e9TB", "ms", "0ms", "-2ms", "nanms", "infs", "12m", "5000s", "1e-9us", "of time", "120% of time", "0 of time", "3 of time"} {
		if got, err := ParseBudget(text); err == nil {
			t.Errorf("%q is no error: %+v", text, got)
		}
	}
	for text, want := range map[string]string{
		"1B":           `found "1B", in which B may be bytes or billions of parameters: expected a share`,
		"80":           `found "80", a number without a unit: expected a share that stays, above 0 and below 1, such as 80%`,
		"500M":         `found "500M", and a number of parameters is no budget; they take 2 bytes each: expected`,
		"1e6 params":   `and a number of parameters is no budget`,
		"12 quarters":  `found "12 quarters", expected a share`,
		"5000s":        `found "5000s", expected a time from 0.001us to below 1000s`,
		"1e-9us":       `found "1e-9us", expected a time from`,
		"-2ms":         `found "-2ms", expected a share`,
		"0.0001kB":     `found "0.0001kB", expected bytes from 0.001kB to 1000TB`,
		"5000TB":       `found "5000TB", expected bytes from`,
		"half":         `found "half", expected a share`,
		"12k":          `bytes such as 500MB (kB, MB, GB or TB, of 1000, or KiB, MiB, GiB or TiB, of 1024), a time such as 1.5ms (us, ms or s)`,
		"a 3 and of B": `found "a 3 and of B", expected a share`,
	} {
		if _, err := ParseBudget(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, expected %q", text, err, want)
		}
	}
}

// A layer of thousands of widths is chosen from at most mostWidths of them, all multiples of the
// alignment.
func TestWidthsOfAWideLayer(t *testing.T) {
	for _, c := range []struct{ before, align, most int }{{14336, 1, mostWidths}, {14336, 128, mostWidths}, {14336, 128, mostTimed}, {1000, 7, mostWidths}, {5, 1, mostWidths}, {10, 8, mostTimed}, {8, 8, mostTimed}} {
		h := newHalf(0, MLP, c.before, c.align, c.most)
		all := h.Widths
		if len(all) > c.most+1 || len(all) == 0 || (all[0] == c.before) != (c.before%c.align == 0) || slices.ContainsFunc(all, func(w int) bool { return w%c.align != 0 || w < 1 || w > c.before }) {
			t.Errorf("%+v: %d widths, %v", c, len(all), all)
		}
	}
}
