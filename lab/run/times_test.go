package run

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"slimlab/lab/doctor"
	"slimlab/lab/scenario"
	"slimlab/model/checkpoint"
	"slimlab/pruning/timing/timingtest"
)

// givenTimes are products of a thousand nanoseconds a neuron, slower by this many times.
func givenTimes(machine string, tables *int, slower int64) timingtest.Timer {
	return timingtest.Timer{Name: machine, Unit: 1000 * (1 + slower), Tables: tables, Whole: func(int) time.Duration { return time.Millisecond }}
}

// timed prunes a model by a budget of time.
const timed = `
name: timed
task: { kind: recsys, members: 6, candidates: 1 }
models: { fixed: { load: %q } }
pipeline:
  - baseline: { name: base, model: fixed }
  - prune:    { name: fast, from: fixed, budget: %s, budget_rows: 512, method: magnitude, calibration: { samples: 6 } }
evaluate: { validation: 4 }
columns: [bytes]
`

// A budget of time is met by times that are measured once a machine and kept; a later run has the
// same model and measures nothing, one on another machine measures its own and says so, and a
// budget that cannot be met ends the run before its first step.
func TestBudgetOfTime(t *testing.T) {
	h, from := newHome(t), fixedModel(t) // 2 layers of 64 neurons
	tables, slower := 0, int64(0)
	observe := func(context.Context) func() (doctor.MachineState, int) {
		return func() (doctor.MachineState, int) { return doctor.MachineState{}, 0 }
	}
	notes := func(budget, machine string) (string, error) {
		tables = 0
		plan := parse(t, fmt.Sprintf(timed, from, budget), scenario.Options{})
		out, err := work(t, h, plan, Options{Jobs: 1, Now: clock(), Observe: observe, Timer: givenTimes(machine, &tables, slower)})
		text := ""
		for _, e := range out.Board.Snapshot().Notes {
			text += e.Text + "\n"
		}
		return text, err
	}
	text, err := notes("0.1ms", "here")
	if err != nil {
		t.Fatal(err)
	}
	const line = "fast: products of 512 tokens in float32, by the times of each width on here: 0.128 ms as the model was, 0.096 ms with the widths that were chosen, for a budget of 0.1 ms"
	for _, want := range []string{line, "fast: measured one layer after another: 1 ms before (7.81 times the table's sum), 1 ms after (10.4 times)", "of the neurons 9216 parameters stay"} {
		if !strings.Contains(text, want) {
			t.Errorf("no note %q in\n%s", want, text)
		}
	}
	if tables != 1 {
		t.Errorf("%d tables were measured, expected 1", tables)
	}
	dirs := artifactDirs(t, h, func(title string) bool { return title == "prune fast" })
	if len(dirs) != 1 {
		t.Fatalf("%d artifacts", len(dirs))
	}
	c, err := checkpoint.Open(dirs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sum := 0
	for _, l := range c.Config().Layers {
		sum += l.MLP
		if l.MLP%8 != 0 {
			t.Errorf("widths %+v", c.Config().Layers)
		}
	}
	if sum != 96 {
		t.Errorf("%d neurons stay, expected 96", sum)
	}
	if text, err = notes("0.1ms", "here"); err != nil || tables != 0 || !strings.Contains(text, line) {
		t.Errorf("again: %d tables, %v, notes\n%s", tables, err, text)
	}
	text, err = notes("0.1ms", "there")
	if want := "fast: its widths were chosen before by the times of another machine, here; they are chosen anew by those of this one, there"; err != nil || tables != 1 || !strings.Contains(text, want) {
		t.Errorf("there: %d tables, %v, no note %q in\n%s", tables, err, want, text)
	}
	_, err = notes("0.01ms", "here")
	if want := "step fast's budget is 0.01ms: the budget is 0.01ms of 0.128ms, and with the fastest width of each layer the products take 0.016ms: expected at least 0.016ms"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, expected %q", err, want)
	}
	if text, err = notes("75% of time", "here"); err != nil || tables != 0 || !strings.Contains(text, "for a budget of 0.096 ms") {
		t.Errorf("a share: %d tables, %v, notes\n%s", tables, err, text)
	}
	// another program measures its own times, and a model of earlier ones says so
	h.Version, slower = "another", 1
	const earlier = "fast: its widths were chosen before by other times of this machine"
	if text, err = notes("50% of time", "here"); err != nil || tables != 1 || strings.Contains(text, earlier) {
		t.Errorf("another program: %d tables, %v, notes\n%s", tables, err, text)
	}
	if text, err = notes("75% of time", "here"); err != nil || tables != 0 || !strings.Contains(text, earlier) {
		t.Errorf("a model of earlier times: %d tables, %v, no note %q in\n%s", tables, err, earlier, text)
	}
}
