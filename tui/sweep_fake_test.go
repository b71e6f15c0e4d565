package tui

import (
	"fmt"
	"slices"

	"slimlab/lab"
)

// sweepRun is the run of a sweep that the fake bench has beside those that it lists.
const sweepRun = "20261120-0800-sweep-f6"

var sweepSteps = []struct {
	name    string
	depends []string
}{
	{"FM", nil},
	{"distilled", []string{"loss"}},
	{"pruned", []string{"ratio", "loss"}},
	{"quantized", []string{"ratio", "scheme", "loss"}},
}

// sweepLog is the log of a sweep of ratios × schemes × losses, of one seed.
func sweepLog(ratios, schemes, losses int) []lab.Event {
	begin := &lab.Begin{Run: sweepRun, Scenario: "sweep", About: "ratio × scheme × loss", Columns: []string{"params", "bytes", "smaller", "auc", "auc_soft", "ttft_cold_p50", "tokens_per_s"}}
	for _, s := range sweepSteps {
		begin.Rows, begin.Depends = append(begin.Rows, s.name), append(begin.Depends, slices.Clone(s.depends))
	}
	for r := range ratios {
		for s := range schemes {
			for l := range losses {
				params := []lab.Param{{Key: "ratio", Value: fmt.Sprint(float64(r+1) / 8)}, {Key: "scheme", Value: fmt.Sprintf("w%da%d", 4+s, 8)}, {Key: "loss", Value: []string{"fkl", "jsd:0.5"}[l%2]}}
				if l > 1 {
					params[2].Value = fmt.Sprint("loss", l)
				}
				begin.Cells = append(begin.Cells, lab.Cell{ID: fmt.Sprintf("ratio=%s scheme=%s loss=%s", params[0].Value, params[1].Value, params[2].Value), Seed: 1, Params: params})
			}
		}
	}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
	for n, cell := range begin.Cells {
		now := float64(n + 1)
		events = append(events, lab.Event{Kind: lab.KindCell, Time: now - 1, Cell: cell.ID, State: lab.Running, Stage: "quantized"},
			lab.Event{Kind: lab.KindPoint, Time: now - 0.5, Cell: cell.ID, Name: "distilled.loss", Step: 1, Value: 1})
		r, s, l := n/schemes/losses, n/losses%schemes, n%losses
		for i, step := range sweepSteps {
			loss := [...]float64{0, 0.01 * float64(l+1), 0.01*float64(l+1) + 0.02*float64(r+1), 0.01*float64(l+1) + 0.02*float64(r+1) + 0.005/float64(s+1)}[i]
			size := [...]float64{6e6, 1e6, 1e6 - 1e5*float64(r), (1e6 - 1e5*float64(r)) * float64(4+s) / 16}[i]
			events = append(events, lab.Event{Kind: lab.KindRow, Time: now, Cell: cell.ID, Row: step.name, Values: map[string]lab.Measure{
				"params": {Value: size / 2}, "bytes": {Value: size}, "smaller": {Value: 6e6 / size},
				"auc": {Value: 0.8 - loss, Low: 0.79 - loss, High: 0.81 - loss}, "auc_soft": {Value: 0.82 - loss},
				"ttft_cold_p50": {Value: 1e-9 * size}, "tokens_per_s": {Value: 1e10 / size},
			}})
		}
		events = append(events, lab.Event{Kind: lab.KindCell, Time: now, Cell: cell.ID, State: lab.Done})
	}
	return append(events, lab.Event{Kind: lab.KindEnd, Time: float64(len(begin.Cells)), State: lab.Done})
}

// openSweep shows the sweep on the Run screen.
func (s *script) openSweep() *script {
	s.run(s.m.openRun(sweepRun, false))
	return s
}
