package pruning

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"slimlab/model"
)

func TestParseCut(t *testing.T) {
	for text, want := range map[string]Cut{
		"": {}, "0": {}, "0%": {}, "0.0": {}, "20%": {Ratio: 0.2}, "0.2": {Ratio: 0.2}, "2e-1": {Ratio: 0.2}, "12.5%": {Ratio: 0.125}, "1": {Count: 1}, "1536": {Count: 1536},
	} {
		if got, err := ParseCut(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v, expected %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "1.0", "1.5", "100%", "-1", "-20%", "nan", "inf%", "0x1p-2", "0_1", "%", "20 %", "9999999999999999999"} {
		if got, err := ParseCut(text); err == nil || !strings.Contains(err.Error(), "such as 20% or 0.2, or a whole number") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, c := range []struct {
		cut  Cut
		want string
	}{{Cut{Ratio: 0.07}, "7% of MLP neurons"}, {Cut{Ratio: 0.375}, "37.5% of MLP neurons"}, {Cut{Count: 9}, "9 MLP neurons of each layer"}} {
		if got := c.cut.Of("MLP neurons"); got != c.want {
			t.Errorf("%+v is %q, expected %q", c.cut, got, c.want)
		}
	}
	for text, want := range map[string]int{"auto": 0, "1": 1, "4096": 4096} {
		if got, err := ParseAlign(text); err != nil || got != want {
			t.Errorf("align %q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "4097", "1.5", "Auto"} {
		if _, err := ParseAlign(text); err == nil {
			t.Errorf("align %q is no error", text)
		}
	}
	for text, want := range map[string]Starts{"both": BothStarts, "greedy": GreedyStart} {
		if got, err := ParseStarts(text); err != nil || got != want {
			t.Errorf("starts %q: %q, %v", text, got, err)
		}
	}
	if _, err := ParseStarts("gredy"); err == nil || !strings.Contains(err.Error(), `did you mean "greedy"?`) {
		t.Errorf("starts gredy: %v", err)
	}
}

// What is chosen where no alignment is given: large multiples for wide layers, whatever removes
// something for narrow ones, and a multiple of the groups of a later quantization.
func TestAlignmentThatIsChosen(t *testing.T) {
	for _, c := range []struct {
		width int
		cut   string
		group int
		want  int
	}{
		{4864, "20%", 0, 128}, {14336, "20%", 0, 128}, {384, "37.5%", 0, 128}, {384, "20%", 0, 64}, {64, "25%", 0, 16}, {100, "99", 0, 8}, {24, "25%", 0, 4}, {12, "1", 0, 1}, {4096, "1", 0, 1},
		{4864, "20%", 32, 128}, {64, "25%", 8, 16}, {64, "30%", 8, 16}, {192, "50%", 24, 24}, {64, "8", 0, 8},
	} {
		cut := must2(ParseCut(c.cut))(t)
		got, err := LayerCut{MLP: cut}.Fit(model.Uniform(2, 4, 4, c.width), 0, []int{c.group, c.group})
		if err != nil || got != c.want {
			t.Errorf("%s of %d, groups of %d: %d, %v, expected %d", c.cut, c.width, c.group, got, err, c.want)
		}
	}
}

// TestAlignmentOfEachLayer: cuts of each layer have the alignment that the same cut of all has, a
// layer without a cut has no say, and what is kept for the alignment's sake is a twentieth at most
// where any multiple does so.
func TestAlignmentOfEachLayer(t *testing.T) {
	of := func(layers []model.LayerConfig, cuts string, groups []int) int {
		t.Helper()
		p, err := Wanted{Each: must2(ParseCuts(cuts))(t), Groups: groups}.Plan(model.Config{Layers: layers})
		if err != nil {
			t.Fatalf("%s: %v", cuts, err)
		}
		return p.Align
	}
	for width, cuts := range map[int][]string{384: {"383", "37.5%", "20%", "1"}, 4864: {"20%", "50%"}, 100: {"99", "25%"}, 24: {"25%"}} {
		layers := model.Uniform(2, 4, 4, width)
		for _, text := range cuts {
			want, err := LayerCut{MLP: must2(ParseCut(text))(t)}.Fit(layers, 0, nil)
			if got := of(layers, text+" "+text, nil); err != nil || got != want {
				t.Errorf("%s of each %d: a multiple of %d, of all %d, %v", text, width, got, want, err)
			}
		}
	}
	layers := model.Uniform(3, 4, 4, 4864)
	layers[1].MLP = 100
	for cuts, want := range map[string]int{"20% 0 50%": 128, "20% 25% 0": 16, "20% 1 0": 1, "0 99 0": 8} {
		if got := of(layers, cuts, nil); got != want {
			t.Errorf("%s: a multiple of %d, expected %d", cuts, got, want)
		}
	}
	if got := of(model.Uniform(2, 4, 4, 4864), "20% 40%", []int{64, 64}); got != 128 {
		t.Errorf("with groups of 64: %d", got)
	}
}

// TestEmptyPlace: what is left empty between commas is no list of fewer cuts.
func TestEmptyPlace(t *testing.T) {
	for _, text := range []string{"25%,,50%", ",25%", "25%,", "25%, ,50%"} {
		if cuts, err := ParseCuts(text); err == nil || !strings.Contains(err.Error(), "has nothing at place ") {
			t.Errorf("%q: %v, %v", text, cuts, err)
		}
	}
	for _, text := range []string{"25% 50%", "25%, 50%", "25% ,50%", " 25%,50% "} {
		if cuts, err := ParseCuts(text); err != nil || len(cuts) != 2 {
			t.Errorf("%q: %v, %v", text, cuts, err)
		}
	}
}

// A cut that fits removes at least one unit of each kind and leaves one of every layer, in
// multiples of its alignment; a value that an error says would do, does.
func TestFitHolds(t *testing.T) {
	fits, advised := 0, 0
	rng := rand.New(rand.NewPCG(1, 51))
	for range 4000 {
		layers := make([]model.LayerConfig, 1+rng.IntN(3))
		for i := range layers {
			kv := 1 + rng.IntN(5)
			layers[i] = model.LayerConfig{Heads: kv * (1 + rng.IntN(4)), KVHeads: kv, MLP: 1 + rng.IntN(300)}
		}
		draw := func() Cut {
			switch rng.IntN(3) {
			case 0:
				return Cut{}
			case 1:
				return Cut{Count: rng.IntN(40)}
			}
			return Cut{Ratio: rng.Float64()}
		}
		cut, groups := LayerCut{MLP: draw()}, make([]int, len(layers))
		for i := range groups {
			groups[i] = []int{0, 0, 8, 24}[rng.IntN(4)]
		}
		if rng.IntN(2) == 0 {
			cut.Heads = draw()
		} else {
			cut.QueryHeads = draw()
		}
		asked := []int{0, 1, 4, 16, 48, 128}[rng.IntN(6)]
		align, err := cut.Fit(layers, asked, groups)
		var of *CutError
		if err != nil && !errors.As(err, &of) {
			t.Fatal(err)
		}
		if err != nil {
			if _, list, ok := strings.Cut(err.Error(), ", expected "); ok && of.Key == "align" && !strings.HasPrefix(list, "a larger") {
				if _, some, of := strings.Cut(list, " such as "); of {
					list = some
				}
				for _, text := range strings.Split(list, ", ") {
					advised++
					if _, err := cut.Fit(layers, must2(ParseAlign(text))(t), groups); err != nil && CommonGroup(groups...) == 0 {
						t.Fatalf("%+v of %+v: %v; %s gives %v", cut, layers, of, text, err)
					}
				}
			}
			continue
		}
		fits++
		after, err := WidthsAfter(layers, Uniform(len(layers), cut), align)
		if err != nil {
			t.Fatalf("%+v of %+v fits, and %v", cut, layers, err)
		}
		var mlp, heads bool
		for i, l := range after {
			mlp, heads = mlp || l.MLP < layers[i].MLP, heads || l.Heads < layers[i].Heads
			if l.MLP < layers[i].MLP && (l.MLP%align != 0 || groups[i] > 0 && l.MLP%groups[i] != 0) {
				t.Fatalf("%+v of %+v, align %d, groups of %d: %d neurons stay", cut, layers, align, groups[i], l.MLP)
			}
		}
		if mlp != (cut.MLP != Cut{}) || heads != (cut.Heads != Cut{} || cut.QueryHeads != Cut{}) {
			t.Fatalf("%+v of %+v, align %d: %+v", cut, layers, align, after)
		}
	}
	t.Logf("%d of 4000 fit, %d alignments were advised", fits, advised)
	if fits < 400 || advised < 100 {
		t.Error("too few to show anything")
	}
}

// TestGroupsOfSomeLayers: an alignment is asked of the layers that have groups, and no other is.
func TestGroupsOfSomeLayers(t *testing.T) {
	layers := model.Uniform(3, 4, 4, 64)
	for _, c := range []struct {
		align  int
		groups []int
		want   string // "" fits
	}{
		{8, nil, ""}, {8, []int{0, 0, 0}, ""}, {0, []int{0, 24}, ""}, {8, []int{8, 0, 4}, ""},
		{8, []int{0, 32, 0}, "layer 1 keeps 48 neurons, which groups of 32 of a later quantization do not divide"},
		{8, []int{0, 16, 32}, "layer 2 keeps 48 neurons, which groups of 32"},
	} {
		align, err := LayerCut{MLP: Cut{Ratio: 0.3}}.Fit(layers, c.align, c.groups)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("align %d, groups %v: error %v, expected %q", c.align, c.groups, err, c.want)
		}
		if common := CommonGroup(c.groups...); err == nil && c.align == 0 && align%common != 0 {
			t.Errorf("groups %v: align %d, expected a multiple of %d", c.groups, align, common)
		}
	}
	for want, groups := range map[int][]int{0: {0, 0}, 24: {8, 0, 12}, 96: {32, 24}} {
		if got := CommonGroup(groups...); got != want {
			t.Errorf("%v: %d, expected %d", groups, got, want)
		}
	}
}

// A share whose product with a width is whole but for float64's rounding removes that number.
func TestCutRounds(t *testing.T) {
	for _, c := range []struct {
		ratio float64
		width int
		want  bool
	}{{0.07, 100, false}, {0.29, 100, false}, {0.375, 256, false}, {0.2, 256, true}, {0.001, 999, true}} {
		if got := (Cut{Ratio: c.ratio}).rounds(c.width); got != c.want {
			t.Errorf("%v of %d: rounds is %v", c.ratio, c.width, got)
		}
	}
}
