package hardware

import (
	"fmt"
	"slices"
	"testing"
)

// judgement is the errors of kernels, by kind.
type judgement struct {
	kind string
	Spread
}

// judge predicts the measurements of an engine on its device with kernels, those of shapes that
// were never fitted, or all where the kernels are of another device.
func (s stack) judge(t *testing.T, k Kernels) (all []judgement) {
	t.Helper()
	d := device(t, s.device)
	add := func(kind string, share float64, n int, predicted, measured func(i int) float64) {
		if k.Device == s.device && share < 0.2 {
			t.Errorf("%s %s: %.0f%% of the shapes are held out, expected 20%% or more", s.folder, kind, 100*share)
		}
		all = append(all, judgement{kind, spread(n, predicted, measured)})
	}
	for cache, f := range []Format{BF16, FP8} {
		if d.Peaks.Of(f) > 0 && k.GEMM[f].Compute > 0 {
			rows := s.gemm(t, f)
			for _, part := range []struct {
				name string
				keep func(g GEMMSample) bool
			}{
				{"", func(GEMMSample) bool { return true }},
				{", n and k of 512 or more", func(g GEMMSample) bool { return min(g.N, g.K) >= 512 }},
			} {
				held := slices.DeleteFunc(slices.Clone(rows.held), func(g GEMMSample) bool { return !part.keep(g) })
				add("products in "+f.String()+part.name, rows.share(), len(held),
					func(i int) float64 { return k.GEMM[f].seconds(&d, f, f.bits()/8, held[i].M, held[i].N, held[i].K) },
					func(i int) float64 { return held[i].Seconds })
			}
		}
		for _, kind := range []string{"context", "generation"} {
			rows := s.attention(t, kind, f)
			if len(rows.held) == 0 || k.Context[cache].Compute == 0 {
				continue
			}
			batches, sizes, err := batches(rows.held)
			if err != nil {
				t.Fatal(err)
			}
			predict := func(i int) float64 { return k.Context[cache].seconds(&d, sizes[i], &batches[i]) }
			if kind == "generation" {
				predict = func(i int) float64 { return k.Decode[cache].seconds(&d, sizes[i], &batches[i]) }
			}
			add(kind+" attention, cache in "+f.String(), rows.share(), len(rows.held), predict, func(i int) float64 { return rows.held[i].Seconds })
		}
	}
	rows := s.allReduce(t)
	add("all-reduce", rows.share(), len(rows.held),
		func(i int) float64 { return k.AllReduce.seconds(&d, rows.held[i].Devices, rows.held[i].Bytes) },
		func(i int) float64 { return rows.held[i].Seconds })
	return all
}

// layers builds whole layers of measured kernels, of which one or more were never fitted, and
// returns the errors of their predicted times: prefills of one and several prompts, and decodes.
func (s stack) layers(t *testing.T, k Kernels) (prefill, decode Spread) {
	t.Helper()
	d := device(t, s.device)
	type product struct{ m, n, k float64 }
	products := map[product]float64{}
	rows := s.gemm(t, BF16)
	for _, g := range append(rows.fitted, rows.held...) {
		products[product{g.M, g.N, g.K}] = g.Seconds
	}
	judge := func(kind string, predict func(h heads, b *Batch) float64) Spread {
		var predicted, measured []float64
		rows := s.attention(t, kind, BF16)
		for _, a := range append(rows.fitted, rows.held...) {
			if a.HeadDim != 128 || a.KVHeads != 8 || kind == "context" && a.New < 64 {
				continue
			}
			m, hidden := float64(a.Sequences*a.New), float64(a.Heads*a.HeadDim)
			for _, mlp := range []float64{1024, 2048, 3072, 4096, 5120, 6144, 8192} {
				var b Batch
				for range a.Sequences {
					b.Add(a.New, a.Cached, 0)
				}
				total, guess := a.Seconds, predict(heads{float64(a.Heads), float64(a.KVHeads), float64(a.HeadDim), a.KVBytes}, &b)
				complete, unseen := true, held(fmt.Sprintf("%d/%d/%d", a.Heads, a.KVHeads, a.HeadDim))
				for _, p := range []product{{m, hidden + 16*128, hidden}, {m, hidden, hidden}, {m, 2 * mlp, hidden}, {m, hidden, mlp}} {
					seconds, ok := products[p]
					complete = complete && ok
					unseen = unseen || held(fmt.Sprintf("%.0fx%.0f", p.n, p.k))
					total += seconds
					guess += k.GEMM[BF16].seconds(&d, BF16, 2, p.m, p.n, p.k)
				}
				if complete && unseen {
					measured, predicted = append(measured, total), append(predicted, guess)
				}
			}
		}
		if len(measured) < 100 {
			t.Errorf("%s: %d layers of %s could be built, expected 100 or more", s.folder, len(measured), kind)
		}
		return spread(len(measured), func(i int) float64 { return predicted[i] }, func(i int) float64 { return measured[i] })
	}
	prefill = judge("context", func(h heads, b *Batch) float64 { return k.Context[0].seconds(&d, h, b) })
	decode = judge("generation", func(h heads, b *Batch) float64 { return k.Decode[0].seconds(&d, h, b) })
	return prefill, decode
}

// TestUnseen predicts the shapes that were never fitted, and each device from the constants of the
// other. The bands that are shipped are what nine of ten whole layers stay within.
func TestUnseen(t *testing.T) {
	stacks := map[string]map[string]stack{
		"sglang-0.5": {"h100": sglangH100, "a100": sglangA100},
		"vllm-0.24":  {"h100": vllmH100, "a100": vllmA100},
	}
	const own, other = 0.14, 0.55 // the largest medians of the errors of a kind of kernel
	for _, name := range []string{"sglang-0.5", "vllm-0.24"} {
		c := shippedCopy(t, name)
		var far Errors
		for _, k := range c.Kernels {
			for _, on := range []string{"h100", "a100"} {
				s := stacks[name][on]
				limit := own
				if k.Device != on {
					limit = other
				}
				for _, j := range s.judge(t, k) {
					t.Logf("%s of %s on %s: %s: %v", name, k.Device, on, j.kind, j.Spread)
					if !(j.P50 <= limit) {
						t.Errorf("%s of %s on %s: %s: %v, expected a P50 of %.0f%% at most", name, k.Device, on, j.kind, j.Spread, 100*limit)
					}
				}
				prefill, decode := s.layers(t, k)
				t.Logf("%s of %s on %s: whole layers: prefill %v, decode %v", name, k.Device, on, prefill, decode)
				found := Errors{prefill.P90, decode.P90}
				if k.Device != on {
					far = Errors{max(far.Prefill, found.Prefill), max(far.Decode, found.Decode)}
					continue
				}
				checkBand(t, name+" on "+on, k.Errors, found)
			}
		}
		checkBand(t, name+" on a device that was not measured", c.Far, far)
	}
}

// checkBand compares a shipped band with what was found: not narrower, and not much wider.
func checkBand(t *testing.T, what string, shipped, found Errors) {
	t.Helper()
	for _, b := range []struct {
		kind           string
		shipped, found float64
	}{{"prefill", shipped.Prefill, found.Prefill}, {"decode", shipped.Decode, found.Decode}} {
		if b.found > b.shipped || b.shipped > b.found*1.1+0.01 {
			t.Errorf("%s: the band of %s is %.3f, nine of ten layers are within %.3f", what, b.kind, b.shipped, b.found)
		}
	}
}
