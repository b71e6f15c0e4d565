package calibrate

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels/matrix"
	"slimlab/model"
	"slimlab/model/weight"
)

// shrink is a Method that halves the weights it wants, and shows the statistics that it was given.
func shrink(seen *[]*Stats, wants func(l model.LinearLayer) bool) visitor {
	return visitor{wants: wants, visit: func(s *Stats, linears []model.LinearLayer) error {
		*seen = append(*seen, s)
		for _, l := range linears {
			data := slices.Clone(l.Weight.Float32())
			for i := range data {
				data[i] /= 2
			}
			l.Linear.Weight = weight.NewDense(data, l.Out, l.In)
		}
		return nil
	}}
}

func runWith(t testing.TB, m *model.Model, list []Sequence, s Settings, v visitor) {
	t.Helper()
	if _, err := Run(context.Background(), layersOf(t, m), list, Options[string]{Settings: s}, v); err != nil {
		t.Fatal(err)
	}
}

func sameStats(a, b *Stats) bool {
	return a.Layer == b.Layer && a.Site == b.Site && a.Tokens == b.Tokens && slices.Equal(a.Gram.Data, b.Gram.Data) && slices.Equal(a.Cross.Data, b.Cross.Data) &&
		slices.Equal(a.Mean, b.Mean) && slices.Equal(a.MeanAbs, b.MeanAbs) && slices.Equal(a.MaxAbs, b.MaxAbs)
}

// In parallel mode a method that changes everything sees what one sees that changes nothing, also
// where the first layer was finished before and where it wants some inputs only.
func TestParallelStatisticsAreTheDenseModels(t *testing.T) {
	m, list := tiny(t, 1), sequences(1, 12)
	dense := collect(t, m, list, 0)
	var all []*Stats
	runWith(t, m, list, Settings{Parallel: true}, shrink(&all, nil))
	if len(all) != len(dense) {
		t.Fatalf("%d inputs, want %d", len(all), len(dense))
	}
	for i := range all {
		if !sameStats(all[i], dense[i]) {
			t.Errorf("%s: other statistics than those of the dense model", all[i].Place())
		}
	}
	for _, site := range []model.Site{model.SiteQKV, model.SiteO, model.SiteGateUp, model.SiteDown} {
		var some []*Stats
		runWith(t, m, list, Settings{Parallel: true}, shrink(&some, func(l model.LinearLayer) bool { return l.Site == site }))
		if len(some) != 2 || !sameStats(some[0], dense[site]) || !sameStats(some[1], dense[4+site]) {
			t.Errorf("%s alone: other statistics", dense[site].Place())
		}
	}
	var second []*Stats
	v := shrink(&second, nil)
	if _, err := Run(context.Background(), finishedFirst{layersOf(t, m)}, list, Options[string]{Settings: Settings{Parallel: true}}, v); err != nil {
		t.Fatal(err)
	}
	for i, s := range second {
		if !sameStats(s, dense[4+i]) {
			t.Errorf("%s: other statistics behind a finished layer", s.Place())
		}
	}
}

// inputs are those of a site over all tokens, [tokens, width].
func inputs(m *model.Model, list []Sequence, layer int, want model.Site) (x []float32) {
	for _, s := range list {
		m.Forward(model.Batch{Tokens: s, Starts: []int{0, len(s)}}, func(l int, site model.Site, input []float32, _, _ int) bool {
			if l == layer && site == want {
				x = append(x, input...)
			}
			return true
		})
	}
	return x
}

// The moment across is that of the changed model's inputs with the dense one's, by float64 over
// whole forward passes; before the first change there is none.
func TestCross(t *testing.T) {
	m, list := tiny(t, 2), sequences(2, 12)
	var all []*Stats
	layers := layersOf(t, m)
	if _, err := Run(context.Background(), layers, list, Options[string]{Settings: Settings{Target: 1}}, shrink(&all, nil)); err != nil {
		t.Fatal(err)
	}
	if all[0].Cross.Data != nil || all[0].Targeted() {
		t.Error("a moment across before anything was changed")
	}
	changed := layers.Compressed()
	for _, s := range all[1:] {
		x, d := inputs(changed, list, s.Layer, s.Site), inputs(m, list, s.Layer, s.Site)
		for i := range s.Width {
			for j := range s.Width {
				sum, xx, dd := 0.0, 0.0, 0.0
				for r := range s.Tokens {
					a, b := float64(x[r*s.Width+i]), float64(d[r*s.Width+j])
					sum, xx, dd = sum+a*b, xx+a*a, dd+b*b
				}
				n := float64(s.Tokens)
				if got := s.Cross.Row(i)[j]; math.Abs(got-sum/n) > 1e-5*math.Sqrt(xx*dd)/n {
					t.Fatalf("%s: cross[%d, %d] is %g, want %g", s.Place(), i, j, got, sum/n)
				}
			}
		}
	}
	for _, s := range all[1:] {
		if !s.Targeted() {
			t.Errorf("%s: no target behind a change", s.Place())
		}
	}
	// Behind finished layers there is the same.
	var behind []*Stats
	next := finishedFrom{layersOf(t, m), changed}
	if _, err := Run(context.Background(), next, list, Options[string]{Settings: Settings{Target: 1}}, shrink(&behind, nil)); err != nil {
		t.Fatal(err)
	}
	for i, s := range behind {
		if !sameStats(s, all[4+i]) {
			t.Errorf("%s: other statistics behind a finished layer", s.Place())
		}
	}
}

// finishedFrom is layers of which the first comes from a model that was finished.
type finishedFrom struct {
	*InMemory
	of *model.Model
}

func (l finishedFrom) Load(ctx context.Context, layer int) (bool, error) {
	if _, err := l.InMemory.Load(ctx, layer); err != nil || layer > 0 {
		return false, err
	}
	l.Model().Blocks[0] = l.of.Blocks[0]
	return true, nil
}

// Target's weight minimises the mean squared distance to the blend of the dense outputs and its own
// with the ridge, and up to a constant its distance is the damped quadratic form: over 200 random
// problems.
func TestTargetMinimises(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for trial := range 200 {
		n, out, rows := 1+rng.IntN(7), 1+rng.IntN(3), 30
		alpha, damping := rng.Float64(), 0.01+rng.Float64()
		x, d := make([]float64, rows*n), make([]float64, rows*n)
		for i := range x {
			x[i] = rng.NormFloat64()
			d[i] = x[i] + 0.3*rng.NormFloat64()
		}
		s := &Stats{Width: n, Tokens: rows, Gram: matrix.NewDense(n, n, nil), Cross: matrix.NewDense(n, n, nil), Blend: alpha}
		for r := range rows {
			for i := range n {
				for j := range n {
					s.Gram.Row(i)[j] += x[r*n+i] * x[r*n+j] / float64(rows)
					s.Cross.Row(i)[j] += x[r*n+i] * d[r*n+j] / float64(rows)
				}
			}
		}
		mean := 0.0
		for i := range n {
			mean += s.Gram.Row(i)[i] / float64(n)
		}
		w := weight.NewDense(make([]float32, out*n), out, n)
		for i := range w.Data {
			w.Data[i] = float32(rng.NormFloat64())
		}
		best, err := s.Target(context.Background(), w, damping)
		if err != nil {
			t.Fatal(err)
		}
		objective := func(v []float64) (sum float64) {
			for o := range out {
				for r := range rows {
					y, got := 0.0, 0.0
					for i := range n {
						y += float64(w.Data[o*n+i]) * (alpha*d[r*n+i] + (1-alpha)*x[r*n+i])
						got += v[o*n+i] * x[r*n+i]
					}
					sum += (got - y) * (got - y) / float64(rows)
				}
				for i := range n {
					e := v[o*n+i] - float64(w.Data[o*n+i])
					sum += damping * mean * e * e
				}
			}
			return sum
		}
		at := make([]float64, len(best.Data))
		for i, v := range best.Data {
			at[i] = float64(v)
		}
		least := objective(at)
		delta, form := make([]float64, len(at)), 0.0
		for i := range delta {
			delta[i] = rng.NormFloat64()
		}
		moved := make([]float64, len(at))
		for i := range at {
			moved[i] = at[i] + delta[i]
		}
		for o := range out {
			for i := range n {
				for j := range n {
					h := s.Gram.Row(i)[j]
					if i == j {
						h += damping * mean
					}
					form += delta[o*n+i] * h * delta[o*n+j]
				}
			}
		}
		if got := objective(moved) - least; math.Abs(got-form) > 1e-5*(1+form) {
			t.Fatalf("trial %d: the objective rises by %g, want %g", trial, got, form)
		}
		s.Blend = 0
		if own, err := s.Target(context.Background(), w, damping); err != nil || own != w {
			t.Fatalf("without a share of the dense model: %v, %v", own, err)
		}
	}
}

// A channel that was never active keeps its weight, and statistics that are singular are an error.
func TestTargetOfDeadChannels(t *testing.T) {
	gram, cross := matrix.NewDense(2, 2, []float64{1, 0, 0, 0}), matrix.NewDense(2, 2, []float64{0.5, 0, 0, 0})
	s := &Stats{Width: 2, Tokens: 5, Gram: gram, Cross: cross, Blend: 1}
	w, err := s.Target(context.Background(), weight.NewDense([]float32{2, 3}, 1, 2), 0)
	if err != nil || !slices.Equal(w.Data, []float32{1, 3}) {
		t.Errorf("%v, %v", w, err)
	}
	s.Gram = matrix.NewDense(2, 2, []float64{1, 1, 1, 1})
	if _, err := s.Target(context.Background(), w, 0); err == nil {
		t.Error("no error of singular statistics")
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		s    Settings
		want string
	}{
		{Settings{Target: 1.5}, "target 1.5: expected a share"},
		{Settings{Target: math.NaN()}, "target NaN"},
		{Settings{Target: 1, Parallel: true}, "target 1 in parallel mode"},
		{Settings{Store: kept{}}, "needs a description"},
	} {
		_, err := Run(context.Background(), layersOf(t, tiny(t, 1)), nil, Options[string]{Settings: c.s}, visitor{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

// kept is a Store.
type kept map[string]*Stats

func (m kept) Has(key string) bool                                { return m[key] != nil }
func (m kept) Keeps(bool) bool                                    { return true }
func (m kept) Load(_ context.Context, key string) (*Stats, error) { s := *m[key]; return &s, nil }
func (m kept) Save(_ context.Context, key string, s *Stats) error {
	of := *s
	of.Gram.Data = slices.Clone(s.Gram.Data)
	m[key] = &of
	return nil
}

// countedMemory counts what is saved and read.
type countedMemory struct {
	kept
	saved, loaded int
}

func (m *countedMemory) Load(ctx context.Context, key string) (*Stats, error) {
	m.loaded++
	return m.kept.Load(ctx, key)
}

func (m *countedMemory) Save(ctx context.Context, key string, s *Stats) error {
	m.saved++
	return m.kept.Save(ctx, key, s)
}

// In parallel mode a second pass, of another method, finds all statistics and runs nothing of the
// model: it has no weights here.
func TestParallelPassFindsAllStatistics(t *testing.T) {
	m, list := tiny(t, 3), sequences(3, 12)
	store := &countedMemory{kept: kept{}}
	var first, second []*Stats
	runWith(t, m, list, Settings{Parallel: true, Store: store}, shrink(&first, nil))
	if store.saved != 8 || store.loaded != 0 {
		t.Errorf("%d saved, %d loaded", store.saved, store.loaded)
	}
	v := visitor{visit: func(s *Stats, _ []model.LinearLayer) error { second = append(second, s); return nil }}
	for _, l := range m.Linears() {
		l.Linear.Weight = weight.NewDense(nil, l.Out, l.In)
	}
	runWith(t, m, list, Settings{Parallel: true, Store: store}, v)
	if store.saved != 8 || store.loaded != 8 {
		t.Errorf("%d saved, %d loaded", store.saved, store.loaded)
	}
	for i := range second {
		if !sameStats(first[i], second[i]) {
			t.Errorf("%s: other statistics", first[i].Place())
		}
	}
}

// In the sequential order what lies before the first difference is found, what lies behind it is
// gathered, and both are the statistics of a pass that keeps none.
func TestSequentialPassFindsWhatLiesBeforeTheDifference(t *testing.T) {
	for _, target := range []float64{0, 0.5} {
		m, list := tiny(t, 4), sequences(4, 12)
		store := &countedMemory{kept: kept{}}
		all := func(model.LinearLayer) bool { return true }
		settings := func(from string) Settings {
			return Settings{Target: target, Store: store, Describe: func(l model.LinearLayer) string {
				if l.Name == from {
					return "another"
				}
				return "half"
			}}
		}
		var kept, again, plain, other []*Stats
		runWith(t, m, list, Settings{Target: target}, shrink(&plain, all))
		runWith(t, m, list, settings(""), shrink(&kept, all))
		runWith(t, m, list, settings(""), shrink(&again, all))
		if store.saved != 8 || store.loaded != 8 {
			t.Errorf("target %g: %d saved, %d loaded", target, store.saved, store.loaded)
		}
		for i := range plain {
			if !sameStats(plain[i], kept[i]) || !sameStats(plain[i], again[i]) {
				t.Errorf("target %g, %s: other statistics", target, plain[i].Place())
			}
		}
		store.saved, store.loaded = 0, 0
		runWith(t, m, list, settings("model.layers.0.mlp.down_proj"), shrink(&other, all))
		if store.loaded != 4 || store.saved != 4 {
			t.Errorf("target %g, another at the end of the first layer: %d saved, %d loaded, expected 4 and 4", target, store.saved, store.loaded)
		}
		for i := range other {
			if !sameStats(plain[i], other[i]) {
				t.Errorf("target %g, %s: other statistics behind a difference in words", target, plain[i].Place())
			}
		}
	}
}

// TestTargetsInWords: a share is written in percent too, as every other one.
func TestTargetsInWords(t *testing.T) {
	for text, want := range map[string]float64{"": 0, "own": 0, "dense": 1, "0.5": 0.5, "50%": 0.5, "100%": 1, "0%": 0, "1": 1} {
		if got, err := ParseTarget(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"%", "101%", "-1%", "2", "nan", "half", "50 %", "50%%"} {
		if got, err := ParseTarget(text); err == nil || !strings.Contains(err.Error(), "such as 50% or 0.5") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
