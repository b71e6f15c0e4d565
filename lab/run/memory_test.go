package run

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/convert"
	"slimlab/lab/scenario"
)

// TestFreeMemoryIsCompared: a run is refused before its log where a step that has yet to be done
// finds too little memory free, with the samples that fit, which begin; a check warns; what is
// cached needs none.
func TestFreeMemoryIsCompared(t *testing.T) {
	for step, method := range map[string]string{"prune": "mlp: 25%", "quantize": "scheme: w4a16", "sensitivity": "schemes: w8a8-rtn, mlp: 50%, examples: 4"} {
		t.Run(step, func(t *testing.T) {
			h := newHome(t)
			text := func(samples int) string {
				return fmt.Sprintf("task: { kind: recsys, members: 6 }\nmodels: { FM: { load: \"pretrained:recsys-student\" } }\npipeline:\n  - baseline: { name: FM, model: FM }\n  - %s: { name: small, from: FM, %s, calibration: { samples: %d } }\ncolumns: [params, loss]\nseeds: 1\n", step, method, samples)
			}
			begin := func(samples int, free int64) error {
				r := &Run{home: h, plan: parse(t, text(samples), scenario.Options{}), Board: lab.NewBoard(), options: Options{Memory: func() int64 { return free }}}
				defer r.letGo()
				_, err := r.check(t.Context())
				return err
			}
			// the least memory with which 16 samples begin
			low, high := int64(1), int64(1<<40)
			for low+1 < high {
				if middle := low + (high-low)/2; begin(16, middle) != nil {
					low = middle
				} else {
					high = middle
				}
			}
			if err := begin(16, 0); err != nil {
				t.Errorf("memory that is not known: %v", err)
			}
			_, err := Start(t.Context(), h, parse(t, text(64), scenario.Options{}), Options{Memory: func() int64 { return high }})
			var input InputError
			if !errors.Is(err, convert.ErrNoMemory) || !errors.As(err, &input) || !strings.Contains(err.Error(), "calibration.samples is 64: too little memory is free: found ") {
				t.Fatalf("64 samples: %v", err)
			}
			var fits int
			if _, err := fmt.Sscanf(err.Error()[strings.LastIndex(err.Error(), "expected"):], "expected at most %d", &fits); err != nil || fits < 14 || fits > 18 {
				t.Errorf("%d samples fit, expected about 16 (%v)", fits, err)
			}
			if err := begin(fits, high); err != nil {
				t.Errorf("the %d samples that fit: %v", fits, err)
			}
			if err := begin(16, 1000); err == nil || !strings.HasSuffix(err.Error(), "which hold one layer at a time") {
				t.Errorf("no memory at all: %v", err)
			}
			warned := &Run{home: h, plan: parse(t, text(64), scenario.Options{}), Board: lab.NewBoard(), options: Options{Memory: func() int64 { return high }}, readOnly: true}
			if _, err := warned.check(t.Context()); err != nil || !strings.Contains(fmt.Sprint(warned.unlogged), "small: a run would be refused now") {
				t.Errorf("a check: %v, %v", err, warned.unlogged)
			}
			mustWork(t, h, parse(t, text(16), scenario.Options{}), Options{})
			if err := begin(16, 1000); err != nil {
				t.Errorf("all is there: %v", err)
			}
		})
	}
}

// TestFreeMemoryOfUnevenExamples: one long example among short ones does not count as the length of
// all.
func TestFreeMemoryOfUnevenExamples(t *testing.T) {
	h, file := newHome(t), writeJSONL(t, fmt.Sprintf(`{"prompt": "all of %s", "response": "many"}`, strings.Repeat("them and ", 100)))
	text := fmt.Sprintf("task: { kind: jsonl, path: %q, max_tokens: 512 }\ntokenizer: { vocab: 300 }\nmodels: { big: { layers: 1, hidden: 512, heads: 2, kv_heads: 1, head_dim: 8, mlp: 512 } }\npipeline:\n  - train: { name: teacher, into: big, steps: 1, batch: 4 }\n  - prune: { name: small, from: teacher, mlp: 25%%, calibration: { samples: 60 } }\nevaluate: { validation: 4 }\ncolumns: [loss]\nseeds: 1\n", file)
	begin := func(free int64) error {
		r := &Run{home: h, plan: parse(t, text, scenario.Options{}), Board: lab.NewBoard(), options: Options{Memory: func() int64 { return free }}}
		defer r.letGo()
		_, err := r.check(t.Context())
		return err
	}
	var found, needs float64
	refused := fmt.Sprint(begin(1000))
	if _, err := fmt.Sscanf(refused[max(0, strings.LastIndex(refused, "found ")):], "found %g GB, and the step needs at least %g GB", &found, &needs); err != nil {
		t.Fatalf("%v: %s", err, refused)
	}
	if err := begin(int64(1.01e9 * needs)); err != nil {
		t.Errorf("what was asked for is free: %v", err)
	}
	if err := begin(int64(0.98e9 * needs)); err == nil {
		t.Error("less than what was asked for suffices")
	}
}
