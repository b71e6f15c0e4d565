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
