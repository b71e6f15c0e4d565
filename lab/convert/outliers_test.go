package convert

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model/checkpoint"
	"slimlab/quant"
)

// TestOutliersLeave: a model with numbers beside its codes is copied as it is, dequantized by
// import, decoded for GGUF with a note, and refused as GPTQ with the reason.
func TestOutliersLeave(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	s, err := quant.ParseScheme("w4a16-quantease-g32")
	if err != nil {
		t.Fatal(err)
	}
	s.Outliers = quant.Outliers{Share: 0.02}
	q := Quantization{Scheme: s, Calibration: Calibration{File: text, Samples: 8, Length: 32, Seed: 3}}
	r, err := Quantize(t.Context(), from, in("with"), q, Options{Open: open})
	if err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "729 of 36864 weights (1.98%) have a number of 16 bits beside their codes") {
		t.Errorf("notes %s", notes)
	}
	for _, v := range r.Verdicts {
		if v.Loads {
			t.Errorf("%s: %s, expected that no other engine loads it", v.Engine, v)
		}
	}
	q.Scheme.Outliers = quant.Outliers{}
	without, err := Quantize(t.Context(), from, in("without"), q, Options{Open: open})
	if err != nil {
		t.Fatal(err)
	}
	if with, alone := r.Quantization.Linears[0], without.Quantization.Linears[0]; with.Error >= alone.Error || with.Format != alone.Format+"+outliers" {
		t.Errorf("with outliers %+v, without %+v", with, alone)
	}
	if r.Bytes.After <= without.Bytes.After {
		t.Errorf("%d bytes with outliers, %d without", r.Bytes.After, without.Bytes.After)
	}
	if _, err := Export(t.Context(), in("with"), in("copy"), "hf", Options{Open: open}); err != nil {
		t.Fatal(err)
	}
	sameTensors(t, in("copy"), in("with"))
	if _, err := Export(t.Context(), in("with"), in("gptq"), "hf-gptq", Options{Open: open}); err == nil || !strings.Contains(err.Error(), "has outliers beside its codes, which GPTQ's format has no place for") {
		t.Errorf("as GPTQ: %v", err)
	}
	r, err = Export(t.Context(), in("with"), in("model.gguf"), "gguf-q8_0", Options{Open: open, WithoutTokenizer: true})
	if err != nil || !strings.Contains(strings.Join(r.Notes, "\n"), "the codes of w4a16-g32+outliers weights are not kept: they were decoded") {
		t.Errorf("as GGUF: %+v, %v", r, err)
	}
	if _, err := Import(t.Context(), in("with"), in("float"), Options{Open: open, DType: checkpoint.F32}); err != nil {
		t.Fatal(err)
	}
	coded, float, block := modelIn(t, in("with")), modelIn(t, in("float")), modelIn(t, in("model.gguf"))
	for i, l := range coded.Linears() {
		want := l.Weight.Float32()
		if !slices.Equal(float.Linears()[i].Weight.Float32(), want) {
			t.Errorf("%s: imported, it is not what codes and numbers are", l.Name)
		}
		largest := float32(0)
		for _, v := range want {
			largest = max(largest, v, -v)
		}
		for at, v := range block.Linears()[i].Weight.Float32() {
			if d := v - want[at]; max(d, -d) > largest/100 {
				t.Fatalf("%s: weight %d is %v in the GGUF file, %v in the folder", l.Name, at, v, want[at])
			}
		}
	}
	q.Scheme.Outliers = quant.Outliers{Share: 0.02}
	q.Refine.Steps = 5
	if _, err := Quantize(t.Context(), from, in("refined"), q, Options{Open: open}); err == nil || !strings.Contains(err.Error(), "--outliers 2% beside --refine 5") {
		t.Errorf("refined: %v", err)
	}
}

// TestOutlierWords: flags say what the keys of a step say, by their names.
func TestOutlierWords(t *testing.T) {
	parse := func(w SchemeWords, flags ...string) (quant.Scheme, error) {
		w.Scheme = "w3a16-quantease"
		return ParseWords(w, func(flag string) bool { return slices.Contains(flags, flag) })
	}
	s, err := parse(SchemeWords{Outliers: "1%", OutliersShape: "columns"}, "outliers", "outliers-shape")
	if want := (quant.Outliers{Share: 0.01, Columns: true}); err != nil || s.Outliers != want {
		t.Errorf("%+v, %v, expected %+v", s.Outliers, err, want)
	}
	if _, err := parse(SchemeWords{Outliers: DefaultOutliers, OutliersShape: "columns"}, "outliers-shape"); err == nil || !strings.HasPrefix(err.Error(), "--outliers-shape is columns, and its outliers are 0") {
		t.Errorf("a shape alone: %v", err)
	}
}
