package run

import (
	"context"
	"slices"
	"strings"
	"testing"

	"slimlab/lab/doctor"
	"slimlab/lab/scenario"
)

// TestObserved: how the machine was while a timing was taken is kept with it, and each report of
// the timing says it, also when another run uses it. On a steady machine nothing is said.
func TestObserved(t *testing.T) {
	const serving, training = "ttft_cold_p50", "train_tokens_per_s"
	for _, c := range []struct {
		name   string
		state  doctor.MachineState
		others int
		want   []string
	}{
		{"steady", doctor.MachineState{Verdict: doctor.Steady}, 0, nil},
		{"shared", doctor.MachineState{Verdict: doctor.Shared, Findings: []string{"2 threads deliver the work of 1.0"}}, 0, []string{"timed on a shared machine"}},
		{"throttled", doctor.MachineState{Verdict: doctor.Throttled, Findings: []string{"the clock is 2.80 GHz"}}, 0, []string{"timed on a throttled machine"}},
		{"another process", doctor.MachineState{Verdict: doctor.Steady}, 2, []string{"timed beside another slimlab process"}},
		{"both", doctor.MachineState{Verdict: doctor.Shared}, 1, []string{"timed on a shared machine", "timed beside another slimlab process"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := copyHome(t, onlyTokenizer)
			begun, ended := 0, 0
			o := Options{Jobs: 1, Observe: func(context.Context) func() (doctor.MachineState, int) {
				begun++
				return func() (doctor.MachineState, int) {
					ended++
					return c.state, c.others
				}
			}}
			plan := parse(t, onWorld, scenario.Options{})
			first := mustWork(t, h, plan, o)
			if begun != 2 || ended != 2 {
				t.Errorf("%d observations begun and %d ended, expected one of the training and one of the serving", begun, ended)
			}
			again := mustWork(t, h, plan, o)
			if begun != 2 {
				t.Error("a timing of an earlier run was observed again")
			}
			for _, run := range []struct {
				out  Outcome
				want []string
			}{{first, c.want}, {again, append([]string{"timing of run " + first.Run}, c.want...)}} {
				row := run.out.Board.Snapshot().Rows[0]
				for _, key := range []string{serving, training} {
					if s, _ := row.Metric(key); !slices.Equal(s.Warnings, run.want) {
						t.Errorf("%s says %q, expected %q", key, s.Warnings, run.want)
					}
				}
				if s, _ := row.Metric("bytes"); len(s.Warnings) != 0 {
					t.Errorf("bytes says %q", s.Warnings)
				}
				if len(row.Timings) != 2 {
					t.Fatalf("timings %+v, expected two", row.Timings)
				}
				for i, stage := range []string{"train", "serve"} {
					got := row.Timings[i]
					if got.Stage != stage || got.Run != first.Run || got.Machine != string(c.state.Verdict) || !slices.Equal(got.Findings, c.state.Findings) || got.Others != c.others || got.Beside {
						t.Errorf("%s: recorded %+v", stage, got)
					}
				}
			}
		})
	}
}

// TestTrainedBesideAnotherCell: a training during which another cell computes says so, and does not
// take that cell for a stranger.
func TestTrainedBesideAnotherCell(t *testing.T) {
	h := copyHome(t, onlyTokenizer)
	text := strings.Replace(onWorld, "steps: 3", "steps: 60", 1)
	out := mustWork(t, h, parse(t, text, scenario.Options{Seeds: 2}), Options{Jobs: 2, Observe: func(context.Context) func() (doctor.MachineState, int) {
		return func() (doctor.MachineState, int) { return doctor.MachineState{Verdict: doctor.Shared}, 0 }
	}})
	row := out.Board.Snapshot().Rows[0]
	beside := 0
	for _, timing := range row.Timings {
		if timing.Beside {
			beside++
			if timing.Stage != "train" || timing.Warning(timing.Run) != "timed beside other cells of the run" {
				t.Errorf("recorded %+v: %q", timing, timing.Warning(timing.Run))
			}
		}
	}
	if beside == 0 {
		t.Errorf("no training says that it was timed beside another: %+v", row.Timings)
	}
}

// TestOldTimings: what earlier versions kept with a timing says nothing of the machine.
func TestOldTimings(t *testing.T) {
	if w := (&observed{}).timing("serve", "r1"); w.Warning("r1") != "" || w.Warning("r2") != "timing of run r1" {
		t.Errorf("%q, %q", w.Warning("r1"), w.Warning("r2"))
	}
}
