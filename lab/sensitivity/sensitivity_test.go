package sensitivity

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/calibratetest"
	"slimlab/quant"
)

// brute tries all combinations.
func brute(layers [][]Option, budget int64) float64 {
	best := math.Inf(1)
	var try func(layer int, bytes int64, cost float64)
	try = func(layer int, bytes int64, cost float64) {
		if bytes > budget {
			return
		}
		if layer == len(layers) {
			best = min(best, cost)
			return
		}
		for _, o := range layers[layer] {
			try(layer+1, bytes+o.Bytes, cost+o.Cost)
		}
	}
	try(0, 0, 0)
	return best
}

// The allocation is the best of all combinations, on 500 random problems at every kind of budget,
// and takes at most the budget.
func TestAllocateBruteForce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for trial := range 500 {
		layers := make([][]Option, 1+rng.IntN(5))
		least, most, unit := int64(0), int64(0), int64(1+rng.IntN(1000))
		for i := range layers {
			low, high := int64(math.MaxInt64), int64(0)
			for range 1 + rng.IntN(5) {
				o := Option{Bytes: unit * int64(1+rng.IntN(40)), Cost: rng.Float64()}
				layers[i] = append(layers[i], o)
				low, high = min(low, o.Bytes), max(high, o.Bytes)
			}
			least, most = least+low, most+high
		}
		for _, budget := range []int64{least, most, least + rng.Int64N(most-least+1), most + 7} {
			a, err := Allocate(t.Context(), layers, budget)
			if err != nil {
				t.Fatal(err)
			}
			want := brute(layers, budget)
			if a.Bytes > budget || math.Abs(a.Cost-want) > 1e-12 {
				t.Fatalf("trial %d, budget %d: %d bytes of cost %g, the best is %g", trial, budget, a.Bytes, a.Cost, want)
			}
			bytes, cost := int64(0), 0.0
			for i, c := range a.Choice {
				bytes, cost = bytes+layers[i][c].Bytes, cost+layers[i][c].Cost
			}
			if bytes != a.Bytes || math.Abs(cost-a.Cost) > 1e-12 {
				t.Fatalf("trial %d: the choice takes %d and costs %g, it says %d and %g", trial, bytes, cost, a.Bytes, a.Cost)
			}
		}
		if _, err := Allocate(t.Context(), layers, least-1); err == nil || !strings.Contains(err.Error(), "expected at least") {
			t.Fatalf("a budget below the least: %v", err)
		}
	}
}

// Where bytes have no large common divisor the budget still holds, and the cost is at most that of
// the best for a budget smaller by the rounding.
func TestAllocateOfAwkwardBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 50 {
		layers := make([][]Option, 4)
		most := int64(0)
		for i := range layers {
			for range 4 {
				layers[i] = append(layers[i], Option{Bytes: 1 + rng.Int64N(1e9), Cost: rng.Float64()})
			}
			most += slices.MaxFunc(layers[i], func(a, b Option) int { return int(a.Bytes - b.Bytes) }).Bytes
		}
		budget := most * 3 / 4
		a, err := Allocate(t.Context(), layers, budget)
		if err != nil {
			continue
		}
		rounding := int64(len(layers)) * ((budget + lattice - 1) / lattice)
		if a.Bytes > budget || a.Cost > brute(layers, budget-rounding)+1e-12 {
			t.Errorf("%d bytes of %d, cost %g, %g at a smaller budget", a.Bytes, budget, a.Cost, brute(layers, budget-rounding))
		}
	}
}

// One byte less than what the best allocation takes is not rounded to as much: the budget holds.
func TestAllocateOneByteShort(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for trial := range 12 {
		layers := make([][]Option, 1+rng.IntN(4))
		most := int64(0)
		for i := range layers {
			for range 2 + rng.IntN(3) {
				layers[i] = append(layers[i], Option{Bytes: 1 + rng.Int64N(1e9), Cost: rng.Float64()})
			}
			most += slices.MaxFunc(layers[i], func(a, b Option) int { return int(a.Bytes - b.Bytes) }).Bytes
		}
		for budget := most; ; {
			a, err := Allocate(t.Context(), layers, budget)
			if err != nil {
				break
			}
			if a.Bytes > budget {
				t.Fatalf("trial %d: %d bytes of %d", trial, a.Bytes, budget)
			}
			budget = a.Bytes - 1
		}
	}
}

// Each allocation of a front is as good as that of its budget alone, and their number costs little:
// a thousand of a large model are chosen at once. A context that has ended stops it.
func TestFrontOfManySizes(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	layers := make([][]Option, 32)
	for i := range layers {
		for size := range 12 {
			layers[i] = append(layers[i], Option{Bytes: int64(size+2) * 1e7, Cost: rng.Float64() / float64(size+1)})
		}
	}
	front, err := Front(t.Context(), layers, 1000)
	if err != nil || len(front) < 100 {
		t.Fatalf("%d allocations, %v", len(front), err)
	}
	for i := 0; i < len(front); i += 40 {
		if a, err := Allocate(t.Context(), layers, front[i].Bytes); err != nil || math.Abs(a.Cost-front[i].Cost) > 1e-12 {
			t.Errorf("%d bytes cost %g, the best are %g: %v", front[i].Bytes, front[i].Cost, a.Cost, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if front, err := Front(ended, layers, 1000); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %d allocations, %v", len(front), err)
	}
	if a, err := Allocate(ended, layers, 1e9); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %+v, %v", a, err)
	}
}

func TestFrontFalls(t *testing.T) {
	layers := [][]Option{{{10, 0}, {5, 1}, {2, 3}}, {{10, 0}, {5, 2}, {2, 2.5}}}
	front, err := Front(t.Context(), layers, 20)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(front); i++ {
		if front[i].Bytes <= front[i-1].Bytes || front[i].Cost >= front[i-1].Cost {
			t.Errorf("%+v after %+v", front[i], front[i-1])
		}
	}
	if front[0].Bytes != 4 || front[len(front)-1].Cost != 0 {
		t.Errorf("the front is %+v", front)
	}
}

func tiny(t *testing.T) *model.Model {
	t.Helper()
	m, err := model.New(model.Config{Architecture: "Qwen2ForCausalLM", Vocab: 40, Hidden: 32, HeadDim: 8, Layers: model.Uniform(3, 4, 2, 48),
		MaxPositions: 64, RopeTheta: 1e4, NormEps: 1e-6, TiedHead: true, QKVBias: true, BOS: -1, EOS: -1})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(1, 1)))
	return m
}

func examples(n int) (list []kd.Example) {
	for i, s := range calibratetest.Sequences(n, 40) {
		e := kd.Example{Tokens: s, Answer: make([]bool, len(s))}
		for j := range s {
			e.Answer[j] = j > 0 && (i+j)%3 == 0
		}
		list = append(list, e)
	}
	return list
}

// Each number is what the whole model with that one layer replaced has, by package kd's own
// measure, and a choice that changes nothing costs nothing.
func TestMeasure(t *testing.T) {
	m := tiny(t)
	list, held := calibratetest.Sequences(20, 40), examples(9)
	w4, err := quant.ParseScheme("w4a16-rtn-g16")
	if err != nil {
		t.Fatal(err)
	}
	choices := []Choice{{Name: "mlp", MLP: 0.5}, {Name: "w4", Scheme: w4}, {Name: "none"}}
	calls := 0
	table, err := Measure(context.Background(), m, list, held, choices, Options{Progress: func(done, total int, _ string) {
		if calls++; done > total || total != 9 {
			t.Errorf("%d of %d", done, total)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if calls < 9 || table.Tokens != calibrate.Tokens(list) || !slices.Equal(table.Choices, []string{"mlp", "w4", "none"}) {
		t.Errorf("%d calls, %d tokens, choices %v", calls, table.Tokens, table.Choices)
	}
	for i, c := range choices {
		compressed, err := compress(context.Background(), m, list, c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for layer := range m.Blocks {
			mixed, err := model.Skeleton(m.Config)
			if err != nil {
				t.Fatal(err)
			}
			mixed.Embedding, mixed.Head, mixed.FinalNorm = m.Embedding, m.Head, m.FinalNorm
			copy(mixed.Blocks, m.Blocks)
			mixed.Blocks[layer], mixed.Layers[layer] = compressed.Blocks[layer], compressed.Layers[layer]
			want, err := kd.Agreement(context.Background(), m, mixed, held)
			if err != nil {
				t.Fatal(err)
			}
			if table.Predictions != want.Tokens {
				t.Errorf("%d predictions, want %d", table.Predictions, want.Tokens)
			}
			if got := table.KL[layer][i]; math.Abs(got-want.ForwardKL) > 1e-6*(1+want.ForwardKL) {
				t.Errorf("%s, layer %d: KL %g, want %g", c.Name, layer, got, want.ForwardKL)
			}
			if c.Name == "none" && (table.KL[layer][i] > 1e-6 || table.Error[layer][i] != 0 || table.Bytes[layer][i] != table.DenseBytes[layer]) {
				t.Errorf("layer %d unchanged: KL %g, error %g, %d of %d bytes", layer, table.KL[layer][i], table.Error[layer][i], table.Bytes[layer][i], table.DenseBytes[layer])
			}
			if c.Name != "none" && (table.Error[layer][i] <= 0 || table.Bytes[layer][i] >= table.DenseBytes[layer]) {
				t.Errorf("%s, layer %d: error %g, %d bytes", c.Name, layer, table.Error[layer][i], table.Bytes[layer][i])
			}
		}
	}
	if got, want := table.Bytes[0][0], int64(2*(2*32*(4+2)*8+3*32*24)); got != want {
		t.Errorf("half the neurons leave %d bytes, want %d", got, want)
	}
}

func TestMeasureErrors(t *testing.T) {
	m, list := tiny(t), calibratetest.Sequences(3, 40)
	if _, err := Measure(context.Background(), m, list, []kd.Example{{Tokens: []int32{1, 2}, Answer: []bool{false, false}}}, nil, Options{}); err == nil || !strings.Contains(err.Error(), "no answer token") {
		t.Errorf("no targets: %v", err)
	}
	if _, err := Measure(context.Background(), m, list, []kd.Example{{Tokens: make([]int32, 65), Answer: make([]bool, 65)}}, nil, Options{}); err == nil || !strings.Contains(err.Error(), "at most 64") {
		t.Errorf("too long: %v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Measure(ended, m, list, examples(2), nil, Options{}); err != context.Canceled {
		t.Errorf("ended: %v", err)
	}
}
