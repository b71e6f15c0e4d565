package convert

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slimlab/model/checkpoint"
	"slimlab/pruning"
	"slimlab/pruning/timing/timingtest"
)

// givenTimes are products that take so many nanoseconds a unit, and twice that one layer after
// another.
func givenTimes(machine string, unit int64) timingtest.Timer {
	return timingtest.Timer{Name: machine, Unit: unit, Whole: func(neurons int) time.Duration { return time.Duration(2 * unit * int64(neurons)) }}
}

// Widths by a budget of time are those of the times that were measured as the work began, on
// another machine too, which is said; a budget that cannot be met leaves nothing.
func TestWidthsByTimes(t *testing.T) {
	from, text := source(t, checkpoint.F32) // 3 layers of 96 neurons
	dir := t.TempDir()
	tables := 0
	run := func(ctx context.Context, to, budget string, g timingtest.Timer, progress func(int, int, string)) (*Result, error) {
		g.Tables = &tables
		p := Pruning{Calibration: Calibration{File: text, Samples: 6, Length: 32, Seed: 1}}
		if err := errors.Join(p.Set("osscar", Cuts{Budget: budget, Rows: 7}), p.SetAlign("auto")); err != nil {
			t.Fatal(err)
		}
		return Prune(ctx, from, to, p, Options{Open: open, Timer: g, Progress: progress})
	}
	const budget = "0.2ms" // of 0.288: 200 neurons of 288
	here, there := givenTimes("here", 1000), givenTimes("there", 1500)
	whole, parts := filepath.Join(dir, "whole"), filepath.Join(dir, "parts")
	r, err := run(t.Context(), whole, budget, here, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := r.Pruning.Budget
	if b.Time == nil || b.Time.Before != 0.288 || b.Time.Kept != 0.2 || b.Time.Rows != 7 || b.Time.Machine != "here" || *b.Time.Passes != (pruning.PassTimes{Before: 0.576, After: 0.4}) || b.Error > b.Uniform || b.Time.Uniform > 0.2 {
		t.Errorf("budget %+v, %+v", b, b.Time)
	}
	lines := strings.Join(r.Lines(), "\n")
	for _, want := range []string{
		"products of 7 tokens in float32, by the times of each width on here: 0.288 ms as the model was, 0.2 ms with the widths that were chosen, for a budget of 0.2 ms; with equal shares 0.192 ms",
		"measured one layer after another: 0.576 ms before (2 times the table's sum), 0.4 ms after (2 times)",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("no line %q in\n%s", want, lines)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := filepath.Join(checkpoint.PartialFolder(parts), "model", "model-00002-of-00004.safetensors")
	if _, err := run(ctx, parts, budget, here, func(int, int, string) {
		if _, err := os.Stat(first); err == nil {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatalf("the interrupted work ends with %v", err)
	}
	tables = 0
	r, err = run(t.Context(), parts, budget, there, nil)
	if err != nil {
		t.Fatal(err)
	}
	if tables != 0 || !slices.ContainsFunc(r.Warnings, func(w string) bool {
		return strings.Contains(w, "by the times of another machine: here, and this one is there")
	}) {
		t.Errorf("%d tables were measured anew, warnings %q", tables, r.Warnings)
	}
	sameFiles(t, files(t, parts), files(t, whole))
	none := filepath.Join(dir, "none")
	if _, err := run(t.Context(), none, "0.02ms", here, nil); err == nil || !strings.Contains(err.Error(), "--budget: the budget is 0.02ms of 0.288ms, and with the fastest width of each layer the products take 0.024ms: expected at least 0.024ms") {
		t.Errorf("a budget that no widths meet: %v", err)
	}
	for _, folder := range []string{none, none + ".partial"} {
		if _, err := os.Stat(folder); err == nil {
			t.Errorf("%s is there", folder)
		}
	}
}
