package optimize

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
)

// fakeSizes are sizes of layers of 1000 bytes: shares and formats multiply them, and w4a16 has
// groups that the narrowest layer of it says: each halving of the group adds 20 bytes to a layer.
type fakeSizes struct{ rest int64 }

var (
	fakeShares  = map[string]float64{"0": 1, "0.1%": 1, "30%": 0.7, "50%": 0.6}
	fakeGroups  = map[string]int{"0": 128, "0.1%": 128, "30%": 32, "50%": 64}
	fakeFormats = map[string]float64{"none": 1, "w8a8": 0.51, "w4a16-g32": 0.29, "w4a16": 0.26, "w3a16": 0.2}
)

func (f fakeSizes) Layer(_ int, share, scheme string, most int) (int64, int, error) {
	if _, known := fakeFormats[scheme]; !known || fakeShares[share] == 0 {
		return 0, 0, fmt.Errorf("found %s and %s", share, scheme)
	}
	bytes, group := int64(1000*fakeShares[share]*fakeFormats[scheme]), 0
	if scheme == "w4a16" {
		group = fakeGroups[share]
		used := group
		if most > 0 {
			used = min(used, most)
		}
		bytes += int64(20 * (128/used - 1))
	}
	return bytes, group, nil
}

func (f fakeSizes) Model(shares, schemes []string) (int64, error) {
	bytes, group := f.rest, 128
	for i, scheme := range schemes {
		if scheme == "w4a16" {
			group = min(group, fakeGroups[shares[i]])
		}
	}
	for i := range shares {
		b, _, err := f.Layer(i, shares[i], schemes[i], group)
		if err != nil {
			return 0, err
		}
		bytes += b
	}
	return bytes, nil
}

// randomLayers are those of a measurement of n layers.
func randomLayers(rng *rand.Rand, n int, mlp, schemes []string) *Layers {
	l := &Layers{MLP: mlp, Schemes: schemes}
	for range n {
		var kl []float64
		var bytes []int64
		for _, share := range mlp {
			kl, bytes = append(kl, rng.Float64()), append(bytes, int64(1000*fakeShares[share]))
		}
		for _, scheme := range schemes {
			kl, bytes = append(kl, rng.Float64()), append(bytes, int64(1000*fakeFormats[scheme]))
		}
		l.KL, l.Bytes, l.Dense = append(l.KL, kl), append(l.Bytes, bytes), append(l.Dense, 1000)
	}
	return l
}

// Of a space that is as it was predicted, every model whose bytes and loss are the goals is found,
// or another that reaches them: formats that stand alone among them, and groups that follow from
// the widths of all layers.
func TestGoalsOfAnyModelAreReached(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const rest = 300
	for _, of := range [][2][]string{
		{{"30%", "50%"}, {"w3a16"}},
		{{"30%", "50%"}, {"w8a8", "w4a16", "w3a16"}},
		{{"0.1%", "50%"}, {"w8a8", "w4a16"}},
		{{"30%"}, nil},
		{nil, []string{"w3a16", "w4a16"}},
	} {
		l := randomLayers(rng, 2, of[0], of[1])
		shares, formats := append([]string{"0"}, of[0]...), append([]string{"none"}, of[1]...)
		all := 0
		each(shares, formats, func(mlp, schemes []string) {
			bytes, kl := mustSize(t, mlp, schemes), predicted(l, mlp, schemes)
			if kl == 0 {
				return
			}
			all++
			goals, err := Goals{Bytes: fmt.Sprintf("%dB", bytes), KL: fmt.Sprint(kl + 1e-9)}.Parse()
			if err != nil {
				t.Fatal(err)
			}
			s, err := l.NewSpace(t.Context(), fakeSizes{rest}, rest)
			if err != nil {
				t.Fatal(err)
			}
			list, err := s.Candidates(t.Context(), bytes, 4)
			if err != nil {
				t.Fatal(err)
			}
			names := map[string]bool{}
			for round := 0; ; round++ {
				view := &lab.View{Rows: []lab.TableRow{{Name: Base, Values: map[string]lab.Summary{"bytes": {Value: 2000 + rest}, "kl": {}}}}}
				for _, c := range list {
					size := mustSize(t, c.MLP, c.Schemes)
					if size != c.Bytes {
						t.Errorf("%s says %d bytes, it has %d", c.Name, c.Bytes, size)
					}
					view.Rows = append(view.Rows, lab.TableRow{Name: c.Name, Values: map[string]lab.Summary{"bytes": {Value: float64(size)}, "kl": {Value: predicted(l, c.MLP, c.Schemes)}}})
					names[c.Name] = true
				}
				choice := Choose(view, list, goals, false, nil)
				if choice.Chosen >= 0 {
					break
				}
				more, err := s.More(t.Context(), choice, bytes, 4)
				if err != nil || len(more) == 0 || round == 3 {
					t.Errorf("%v %v, %d bytes, KL %g: no model reaches them after %d rounds and %d models, %v", mlp, schemes, bytes, kl, round, len(list), err)
					break
				}
				list = append(list, more...)
			}
			if len(names) != len(list) {
				t.Errorf("%d names of %d models", len(names), len(list))
			}
		})
		if s, err := l.NewSpace(t.Context(), fakeSizes{rest}, rest); err != nil || slices.Index(of[0], "0.1%") < 0 && s.Combinations() != float64(all) {
			t.Errorf("%v: the space says %g models, it has %d: %v", of, s.Combinations(), all, err)
		}
	}
}

// each calls f with all models of two layers: mixtures, and formats that stand alone.
func each(shares, formats []string, f func(mlp, schemes []string)) {
	for _, a := range shares {
		for _, b := range shares {
			for _, c := range formats {
				for _, d := range formats {
					if c == d || !alone(c) && !alone(d) {
						f([]string{a, b}, []string{c, d})
					}
				}
			}
		}
	}
}

func mustSize(t *testing.T, mlp, schemes []string) int64 {
	t.Helper()
	bytes, err := fakeSizes{300}.Model(mlp, schemes)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// predicted is the sum of what the layers lose; a share that removes nothing loses nothing.
func predicted(l *Layers, mlp, schemes []string) (kl float64) {
	for layer := range mlp {
		if i := slices.Index(l.MLP, mlp[layer]); i >= 0 && fakeShares[mlp[layer]] < 1 {
			kl += l.KL[layer][i]
		}
		if i := slices.Index(l.Schemes, schemes[layer]); i >= 0 {
			kl += l.KL[layer][len(l.MLP)+i]
		}
	}
	return kl
}

// measured is a search's view of candidates that lose what they were predicted to, but for formats
// that lose some times as much.
func measured(l *Layers, list []Candidate, times map[string]float64) *lab.View {
	view := &lab.View{Rows: []lab.TableRow{{Name: Base, Values: map[string]lab.Summary{"bytes": {Value: 2300}, "kl": {}}}}}
	for _, c := range list {
		view.Rows = append(view.Rows, lab.TableRow{Name: c.Last(false), Values: map[string]lab.Summary{"bytes": {Value: float64(c.Bytes)}, "kl": {Value: lost(l, c.MLP, c.Schemes, times)}}})
	}
	return view
}

// lost is predicted, times what the models of a format lose more.
func lost(l *Layers, mlp, schemes []string, times map[string]float64) float64 {
	kl := predicted(l, mlp, schemes)
	for name, x := range times {
		if !slices.ContainsFunc(schemes, func(s string) bool { return s != name }) {
			kl *= x
		}
	}
	return kl
}

// Behind a model that reaches the goals smaller ones are built until the smallest of all is found,
// also where one format loses more than was predicted, and none is built twice.
func TestSmallestIsFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const rest = 300
	for _, of := range [][2][]string{
		{{"30%", "50%"}, {"w8a8", "w4a16", "w3a16"}},
		{{"30%", "50%"}, {"w8a8", "w4a16"}},
		{nil, []string{"w3a16", "w4a16"}},
	} {
		for _, times := range []map[string]float64{nil, {"w3a16": 4}} {
			l := randomLayers(rng, 2, of[0], of[1])
			shares, formats := append([]string{"0"}, of[0]...), append([]string{"none"}, of[1]...)
			each(shares, formats, func(mlp, schemes []string) {
				bound := lost(l, mlp, schemes, times) + 1e-9
				if bound < 1e-6 {
					return
				}
				smallest := int64(1 << 40)
				each(shares, formats, func(mlp, schemes []string) {
					if lost(l, mlp, schemes, times) <= bound && (mlp[0]+mlp[1] != "00" || schemes[0]+schemes[1] != "nonenone") {
						smallest = min(smallest, mustSize(t, mlp, schemes))
					}
				})
				goals, err := Goals{KL: fmt.Sprint(bound)}.Parse()
				if err != nil {
					t.Fatal(err)
				}
				s, err := l.NewSpace(t.Context(), fakeSizes{rest}, rest)
				if err != nil {
					t.Fatal(err)
				}
				list, err := s.Candidates(t.Context(), 0, 4)
				if err != nil {
					t.Fatal(err)
				}
				known := map[string]bool{}
				for range 30 {
					choice := Choose(measured(l, list, times), list, goals, false, nil)
					more, err := s.More(t.Context(), choice, 0, 4)
					if err != nil || len(more) > 4 {
						t.Fatalf("%d more: %v", len(more), err)
					}
					if len(more) == 0 {
						if found := int64(choice.Points[max(0, choice.Chosen)].Values["bytes"]); choice.Chosen < 0 || float64(found) > 1.01*float64(smallest) {
							t.Errorf("%v, times %v, KL at most %.4g: chose %d with %d bytes, the smallest has %d, after %d models", of, times, bound, choice.Chosen, found, smallest, len(list))
						}
						return
					}
					for _, c := range more {
						if known[c.key()] {
							t.Errorf("%+v again", c)
						}
						known[c.key()] = true
					}
					list = append(list, more...)
				}
				t.Errorf("%v: it does not end", of)
			})
		}
	}
}

// A goal of bytes that is just missed is approached from above: the nearest is the smallest that
// reaches the other goals.
func TestNearestIsFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 9))
	of := [2][]string{{"30%", "50%"}, {"w8a8", "w4a16", "w3a16"}}
	l := randomLayers(rng, 2, of[0], of[1])
	shares, formats := append([]string{"0"}, of[0]...), append([]string{"none"}, of[1]...)
	each(shares, formats, func(mlp, schemes []string) {
		bound := predicted(l, mlp, schemes) + 1e-9
		if bound < 1e-6 {
			return
		}
		smallest := int64(1 << 40)
		each(shares, formats, func(mlp, schemes []string) {
			if kl := predicted(l, mlp, schemes); kl > 0 && kl <= bound {
				smallest = min(smallest, mustSize(t, mlp, schemes))
			}
		})
		bytes := smallest - 1
		goals, err := Goals{Bytes: fmt.Sprintf("%dB", bytes), KL: fmt.Sprint(bound)}.Parse()
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.NewSpace(t.Context(), fakeSizes{300}, 300)
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.Candidates(t.Context(), bytes, 8)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			choice := Choose(measured(l, list, nil), list, goals, false, nil)
			more, err := s.More(t.Context(), choice, bytes, 8)
			if err != nil {
				t.Fatal(err)
			}
			if list = append(list, more...); len(more) > 0 {
				continue
			}
			if found := int64(choice.Points[max(0, choice.Nearest)].Values["bytes"]); choice.Chosen >= 0 || float64(found) > 1.01*float64(smallest) {
				t.Errorf("KL at most %.4g: the nearest has %d bytes, expected %d", bound, found, smallest)
			}
			return
		}
		t.Error("it does not end")
	})
}

// What misses the bytes alone is the smallest row that may be chosen and reaches all other goals.
func TestOver(t *testing.T) {
	bytes, kl := Misses{Goal: Goal{Metrics: []string{"bytes"}}}, Misses{Goal: Goal{Metrics: []string{"kl"}}}
	of := func(size float64, misses ...Misses) Point {
		return Point{Row: fmt.Sprint(size), Values: map[string]float64{"bytes": size}, Misses: misses}
	}
	onTheWay := of(300, bytes)
	onTheWay.OnTheWay = true
	c := Choice{Points: []Point{{Row: Base, Values: map[string]float64{"bytes": 100}, Misses: []Misses{bytes}}, of(500, bytes), of(400, bytes), of(350, bytes, kl), of(200, kl), onTheWay, of(600, bytes)}}
	if over := c.over(); over != 2 {
		t.Errorf("point %d", over)
	}
	if over := (&Choice{Points: c.Points[3:5]}).over(); over != -1 {
		t.Errorf("point %d misses the bytes alone", over)
	}
}

// The least bytes of a space are those of its smallest model.
func TestSmallest(t *testing.T) {
	for _, of := range [][2][]string{
		{{"30%", "50%"}, {"w8a8", "w4a16", "w3a16"}},
		{{"30%", "50%"}, {"w4a16"}},
		{{"30%", "50%"}, {"w3a16", "w8a8"}},
		{{"30%"}, {"w8a8"}},
		{{"0.1%"}, {"w4a16-g32"}},
		{{"50%"}, nil},
	} {
		smallest := int64(1 << 40)
		each(append([]string{"0"}, of[0]...), append([]string{"none"}, of[1]...), func(mlp, schemes []string) {
			smallest = min(smallest, mustSize(t, mlp, schemes))
		})
		if least, rest, err := Smallest(fakeSizes{300}, 2, of[1], of[0], 2300); err != nil || least != smallest || rest != 300 {
			t.Errorf("%v: %d and %d, expected %d and 300: %v", of, least, rest, smallest, err)
		}
	}
}

func TestSpaceIsDescribed(t *testing.T) {
	for want, of := range map[string][2][]string{
		"each layer with all of its neurons or without 30%, 50%; each layer in bfloat16, w8a8, or all layers in w3a16: 44 models": {{"30%", "50%"}, {"w8a8", "w3a16"}},
		"each layer with all of its neurons; each layer in bfloat16, w8a8: 3 models":                                              {nil, {"w8a8"}},
		"each layer with all of its neurons or without 50%; each layer in bfloat16: 3 models":                                     {{"50%"}, nil},
	} {
		s, err := randomLayers(rand.New(rand.NewPCG(7, 8)), 2, of[0], of[1]).NewSpace(t.Context(), fakeSizes{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Describe(); got != want {
			t.Errorf("found %q, expected %q", got, want)
		}
	}
	s, err := randomLayers(rand.New(rand.NewPCG(7, 8)), 20, []string{"50%"}, []string{"w8a8"}).NewSpace(t.Context(), fakeSizes{}, 0)
	if err != nil || !strings.HasSuffix(s.Describe(), ": about 1e+12 models") {
		t.Errorf("%q, %v", s.Describe(), err)
	}
}
