package tui

import (
	"fmt"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
)

// oneCellLog is the log of one cell whose rows are candidates: equal ones, the baseline without a
// divergence, bytes over more than a power of ten.
func oneCellLog() []lab.Event {
	begin := &lab.Begin{Run: "r", Scenario: "candidates", Columns: []string{"bytes", "auc_soft_delta", "kl", "loss"}, Cells: []lab.Cell{{ID: "seed=1", Seed: 1}}}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
	for _, c := range []struct {
		row              string
		bytes, delta, kl float64
	}{
		{"FM", 6e6, 0, -1}, {"layers", 6e6, 0, -1}, {"small", 7.7e5, -0.0016, 0.0037}, {"small-again", 7.7e5, -0.0016, 0.0037},
		{"w8a8", 3.3e5, -0.0081, 0.006}, {"w4a16", 2.2e5, -0.0085, 0.009}, {"w4a16-rtn", 2.2e5, -0.02, 0.02}, {"worse", 9e5, -0.03, 0.03},
	} {
		begin.Rows = append(begin.Rows, c.row)
		values := map[string]lab.Measure{"bytes": {Value: c.bytes}, "auc_soft_delta": {Value: c.delta}, "loss": {Value: 0.47 - c.delta}}
		if c.kl >= 0 {
			values["kl"] = lab.Measure{Value: c.kl}
		}
		events = append(events, lab.Event{Kind: lab.KindRow, Cell: "seed=1", Row: c.row, Values: values})
	}
	return append(events, lab.Event{Kind: lab.KindEnd, Time: 9, State: lab.Done})
}

// TestFrontOfOneCell: the rows of one cell are candidates of bytes against any metric of quality,
// on a logarithmic axis of bytes; equal rows are one point; names and figures of the front are
// listed.
func TestFrontOfOneCell(t *testing.T) {
	s := newScript(t, 124, 40, Options{})
	s.send(watchMsg{&session{id: "r", board: lab.Fold(oneCellLog())}})
	s.keys("P").expect("loss ↓ against bytes ↓ (log)", "front of 4 of 8 rows", "2 dominated", "2 rows equal others in both: counted once")
	s.keys("yauc_soft_delta<enter>").expect("Δ exp. ↑ against bytes ↓ (log)", "front of 4 of 8 rows", "the front    bytes  Δ exp.", "w4a16      0.220MB  -0.85%", "FM         6.000MB   0.00%").expectNot("layers     6.000MB")
	s.keys("ykl<enter>").expect("KL ↓ against bytes ↓", "front of 3 of 6 rows", "2 rows lack KL", "small      770kB  0.0037")
	s.keys("<home>").expect("[ ] w4a16 · bytes 220kB · KL 0.0090 · on the front").keys("<end>").expect("[ ] worse").keys("N").expect("[ ] small · bytes 770kB · KL 0.0037 · on the front · equal: small-again")
	x, y := s.at("w8a8       330kB")
	s.click(x, y).expect("[ ] w8a8 · bytes 330kB").click(x, y).expect("row 5 of 8").keys("<esc>")
	// the row under the cursor of the table is another's equal: the cursor is on that one
	s.keys("<esc><home>jjj").expect("▸step").keys("P").expect("[ ] small · bytes 770kB", "equal: small-again").keys("d").expect("2 dominated hidden").keys("xauc_soft_delta<enter>yloss<enter>").expect("loss ↓ against Δ exp. ↑")
	for _, size := range [][2]int{{60, 15}, {80, 24}, {99, 25}, {100, 25}, {240, 60}} {
		s.send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		checkSize(t, s)
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			if has, want := strings.Contains(s.screen(), "    the front "), size[1] >= 24; has != want {
				t.Errorf("the list is there: %v\n%s", has, s.screen())
			}
		})
	}
}
