package convert

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/model/checkpoint"
)

// TestSchemeOfEachLayer: each layer has the form that its scheme says, layers of none stay as they
// are, the bytes are those that were foretold, and an interrupted command goes on.
func TestSchemeOfEachLayer(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	of := func(layers string, set func(q *Quantization)) (*Result, *checkpoint.Checkpoint, MemoryEstimate) {
		t.Helper()
		q := Quantization{Calibration: Calibration{File: text, Samples: 4, Length: 32}}
		if err := q.SetLayers(layers, func(string) bool { return false }); err != nil {
			t.Fatal(err)
		}
		if set != nil {
			set(&q)
		}
		to := filepath.Join(t.TempDir(), "out")
		var stated MemoryEstimate
		r, err := Quantize(t.Context(), from, to, q, Options{Open: open, Begin: func(e MemoryEstimate, _ []Compatibility) { stated = e }})
		if err != nil {
			t.Fatal(err)
		}
		c, err := checkpoint.Open(to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return r, c, stated
	}
	before, err := checkpoint.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	layers := len(before.Config().Layers)
	for _, words := range [][]string{{"w8a8", "none"}, {"none", "w4a16-gptq-g8"}, {"w8a8", "w4a16-rtn-g16"}, {"fp8", "w8a16-rtn-gchannel"}} {
		for len(words) < layers {
			words = append(words, "none")
		}
		r, c, stated := of(strings.Join(words, ","), nil)
		for i, form := range c.Quantization() {
			want, _, _ := strings.Cut(words[i/7], "-")
			if got := form.Storage.String(); want == "none" && got != "" || want != "none" && !strings.HasPrefix(got, want) {
				t.Errorf("%q: %s is %q", words, form.Layer, got)
			}
		}
		if stated.Result != c.Bytes() {
			t.Errorf("%q: %d bytes were foretold, there are %d", words, stated.Result, c.Bytes())
		}
		rounded := 0
		for _, word := range words {
			if word != "none" {
				rounded += 7
			}
		}
		if len(r.Quantization.Linears) != rounded {
			t.Errorf("%q: %d linear layers were rounded", words, len(r.Quantization.Linears))
		}
	}
	// a layer that is refined lies between layers that stay
	of("none, w4a16-rtn-g8, none", func(q *Quantization) { q.Refine.Steps = 3 })
	if layers != 3 {
		t.Fatalf("the model has %d layers: fit the schemes above", layers)
	}
	alike := func(layers string) verbOf {
		return quantizeBy(SchemeWords{Scheme: "w8a8"}, "", func(q *Quantization) {
			if err := q.SetLayers(layers, func(string) bool { return false }); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err := goesOn(t, alike("w4a16 w8a8 none"), alike("w4a16-gptq-g32, w8a8-rtn none")); err != nil {
		t.Error(err)
	}
	if err := goesOn(t, alike("w4a16 w8a8 none"), alike("w4a16 w4a16 none")); err == nil || !strings.Contains(err.Error(), "--layers: begun with w4a16-gptq-g") {
		t.Errorf("other schemes: %v", err)
	}
}

// TestNeuronsOfEachLayer: each layer is cut by its own amount, to a multiple that divides what a
// layer keeps, and a layer of 0 stays.
func TestNeuronsOfEachLayer(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	for amounts, align := range map[string]int{"0 25% 0": 8, "50%,8,0": 8, "3 5 0": 1} {
		p := Pruning{Calibration: Calibration{File: text, Samples: 4, Length: 32}}
		if err := p.Set("osscar", Cuts{MLPLayers: amounts}); err != nil {
			t.Fatal(err)
		}
		if p.Align = align; align == 8 {
			p.Align = 0 // chosen
		}
		to := filepath.Join(t.TempDir(), "out")
		r, err := Prune(t.Context(), from, to, p, Options{Open: open})
		if err != nil {
			t.Fatal(err)
		}
		c, err := checkpoint.Open(to)
		if err != nil {
			t.Fatal(err)
		}
		before, err := checkpoint.Open(from)
		if err != nil {
			t.Fatal(err)
		}
		var was, is []int
		for i, l := range c.Config().Layers {
			was, is = append(was, before.Config().Layers[i].MLP), append(is, l.MLP)
			if l.MLP%align != 0 {
				t.Errorf("%s: layer %d has %d neurons", amounts, i, l.MLP)
			}
		}
		want := map[string]string{"0 25% 0": fmt.Sprint([]int{was[0], was[1] - 24, was[2]}), "50%,8,0": fmt.Sprint([]int{was[0] / 2, was[1] - 8, was[2]}), "3 5 0": fmt.Sprint([]int{was[0] - 3, was[1] - 5, was[2]})}[amounts]
		if got := fmt.Sprint(is); got != want {
			t.Errorf("%s of %d: %s, expected %s", amounts, was, got, want)
		}
		if r.Pruning.Neurons.After != is[0]+is[1]+is[2] {
			t.Errorf("%s: %+v", amounts, r.Pruning.Neurons)
		}
		c.Close()
		before.Close()
	}
	if err := goesOn(t, pruneBy("osscar", Cuts{MLPLayers: "25% 16 0"}, nil), pruneBy("osscar", Cuts{MLPLayers: "0.25,16,0"}, nil)); err != nil {
		t.Error(err)
	}
	if err := goesOn(t, pruneBy("osscar", Cuts{MLPLayers: "25% 16 0"}, nil), pruneBy("osscar", Cuts{MLPLayers: "16 25% 0"}, nil)); err == nil || !strings.Contains(err.Error(), "--mlp-layers: begun with 25% 16 0, now 16 25% 0") {
		t.Errorf("other amounts: %v", err)
	}
}

// TestEmptyPlaceOfALayer: a list with nothing between two commas is refused with the place.
func TestEmptyPlaceOfALayer(t *testing.T) {
	var p Pruning
	if err := p.Set("osscar", Cuts{MLPLayers: "25%,,50%"}); err == nil || !strings.Contains(err.Error(), `--mlp-layers: the list has nothing at place 2 of "25%,,50%"`) {
		t.Errorf("neurons: %v", err)
	}
	var q Quantization
	if err := q.SetLayers("w8a8,,none", func(string) bool { return false }); err == nil || !strings.Contains(err.Error(), `--layers has nothing at place 2 of "w8a8,,none"`) {
		t.Errorf("schemes: %v", err)
	}
}
