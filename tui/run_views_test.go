package tui

import (
	"fmt"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
)

// TestChartsOfASweep: the views at the sizes that matter, without colour and in ASCII.
func TestChartsOfASweep(t *testing.T) {
	for _, one := range []struct{ name, keys string }{
		{"pareto", "P"},
		{"pivot", "H"},
		{"axis", "A"},
		{"curves", "T"},
	} {
		for _, size := range [][2]int{{80, 24}, {124, 40}, {200, 60}} {
			name := fmt.Sprintf("%s-%dx%d", one.name, size[0], size[1])
			t.Run(name, func(t *testing.T) {
				goldenScreen(t, name, newScript(t, size[0], size[1], Options{}).openSweep().keys(one.keys).screen())
			})
		}
		t.Run(one.name+"-ascii", func(t *testing.T) {
			s := newScript(t, 80, 24, Options{ASCII: true}).openSweep().keys(one.keys)
			if i := strings.IndexFunc(s.screen(), func(r rune) bool { return r >= 0x80 }); i >= 0 {
				t.Errorf("%q in an ASCII screen", s.screen()[i:min(i+8, len(s.screen()))])
			}
			goldenScreen(t, one.name+"-ascii", s.screen())
		})
	}
}

// TestParetoCursor: the cursor goes from point to point, says what it is on, and Enter opens it.
func TestParetoCursor(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openSweep().keys("P")
	s.keys("<home>")
	seen := map[string]bool{}
	for range 40 {
		lines := strings.Split(s.screen(), "\n")
		seen[strings.SplitN(lines[len(lines)-2], "·", 2)[0]] = true
		s.keys("n")
	}
	if len(seen) != 33 {
		t.Errorf("n visits %d points, expected 33", len(seen))
	}
	s.keys("d")
	s.expect("dominated hidden (d)").keys("NNNNNNNNNNNNNNNNNNNN")
	at := s.screen()
	s.keys("<right>")
	if s.screen() == at {
		t.Error("right does not go to another point")
	}
	s.keys("<enter>").expect("row", "seed").keys("<esc>").expect("against").keys("<esc>").expect("state")
}

// TestParetoScales: bytes span a decade, so their axis is logarithmic by itself, and l turns it.
func TestParetoScales(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openSweep().keys("P").expect("bytes ↓ (log)", "bytes, log")
	s.keys("l").expectNot("(log)").keys("l").expect("AUC exp. ↑ (log)").expectNot("bytes ↓ (log)")
	s.keys("lll").expect("bytes ↓ (log)")
	s.keys("yparams<enter>").expect("params ↓ (log) against bytes")
}

// TestPivotCells: a cell's rows are one detail, or a list; the axes turn.
func TestPivotCells(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openSweep().keys("H").expect("AUC exp. mean by scheme (down) and ratio (across)", "mean of up to 2 rows")
	s.keys("<enter>").expect("The rows of", "fkl", "jsd:0.5").keys("<enter>").expect("row").keys("<esc>").expect("by scheme")
	s.keys("/loss=fkl<enter>").expectNot("mean of up to").keys("<enter>").expect("quantized").keys("<esc>")
	s.keys("xscheme<enter>").expect("by ratio (down) and scheme (across)")
	s.keys("yloss<enter>").expect("by loss (down) and scheme (across)").keys("vbytes<enter>").expect("bytes mean by loss")
	s.keys("tpruned<enter>").expect("step pruned").keys("tevery<enter>").expect("every step")
	s = newScript(t, 124, 40, Options{}).openSweep().keys("HBbest<enter>").expect("AUC exp. best by scheme", "a cell is the best of up to 2 rows", "AUC exp. 0.7850", "quantized 0.125 w4a8 fkl")
	s.keys("Bn<enter>").expect("AUC exp. n by scheme", "the number measured of up to 2 rows", "lowest 2", "2 highest")
}

// TestAggregatesOnTheScreen: B chooses what a column of groups shows, or all; the head says it,
// export and command line name it, only averages have a spread, and i hides that.
func TestAggregatesOnTheScreen(t *testing.T) {
	s := newScript(t, 200, 40, Options{}).openSweep().keys(">g<enter>").expect("AUC mean", "0.7629 0.7550–0.7700")
	s.keys("i").expect("0.7629").expectNot("0.7550–0.7700").keys("i").expect("0.7550–0.7700")
	s.keys("Bbest<enter>").expect("AUC best", "bytes best").expectNot("AUC mean", "0.7550–0.7700")
	s.keys("<right><right><right><right>Bmax<enter>").expect("bytes max", "AUC best", "max bytes of ratio=0.125 = 1.00MB, of pruned")
	for _, keys := range []string{"e", "B", "Y"} { // of groups that no window has shown yet
		s := newScript(t, 80, 24, Options{}).openSweep()
		s.send(tea.WindowSizeMsg{Width: 1, Height: 1})
		s.keys("g<space><enter>" + keys)
	}
	s.keys("Bn<enter>").expect("bytes n", "n bytes of ratio=0.125 = 10 over 10 of 10 rows")
}

// TestCurvesInSmallMultiples: a chart for each series, smoothed on demand, of the marked rows.
func TestCurvesInSmallMultiples(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {124, 40}, {200, 60}} {
		name := fmt.Sprintf("multiples-%dx%d", size[0], size[1])
		t.Run(name, func(t *testing.T) {
			goldenScreen(t, name, newScript(t, size[0], size[1], Options{}).keys("jjjj<enter>Tw").screen())
		})
	}
	s := newScript(t, 124, 40, Options{}).keys("jjjj<enter>T").expect("3 series", "distilled.loss", "heads-50%-kd.loss").expectNot("smoothed")
	s.keys("w").expect("distilled.loss (smoothed 0.6)").keys("ww").expect("(smoothed 0.97)").keys("w").expectNot("smoothed")
	s.keys("Mdistilled<enter>").expect("2 series", "1 hidden (M)").expectNot("distilled.loss").keys("Mall<enter>").expect("3 series")
	s.keys("<esc>j<space>T").expect("1 series", "of the marked rows")
	newScript(t, 124, 40, Options{}).openSweep().keys("T").expect("loss:", "fkl (1)", "jsd:0.5 (1)", "colour: the axis that differs").keys("a").expect("colour: scheme").keys("aa").expect("colour: step")
}

// TestChartsWithoutData: a run without axes or values says what is missing.
func TestChartsWithoutData(t *testing.T) {
	begin := sweepLog(2, 2, 1)[:1]
	for _, c := range []struct {
		name   string
		events []lab.Event
		keys   string
		want   string
	}{
		{"no values, Pareto", begin, "P", "nothing measured yet"},
		{"no values, pivot", begin, "H", "nothing measured yet"},
		{"no curves", begin, "T", "no curves yet"},
		{"no values, axis", begin, "A", "nothing measured yet"},
		{"one row, pivot", []lab.Event{{Kind: lab.KindBegin, Begin: &lab.Begin{Run: "r", Rows: []string{"a"}, Cells: []lab.Cell{{ID: "c"}}}}}, "H", "two axes"},
		{"one row, axis", []lab.Event{{Kind: lab.KindBegin, Begin: &lab.Begin{Run: "r", Rows: []string{"a"}, Cells: []lab.Cell{{ID: "c"}}}}}, "A", "no axis of this run"},
	} {
		s := newScript(t, 100, 30, Options{})
		s.send(watchMsg{&session{id: "r", board: lab.Fold(c.events)}})
		s.keys(c.keys).expect(c.want).keys("nN<left><right><up><down><enter>xyvtal<esc><esc><esc>")
	}
}

// TestParetoIsNeverOfTwoCosts: a run that is neither ranked nor has a loss is shown by what it
// measured of quality, and one that measured only costs waits for a choice.
func TestParetoIsNeverOfTwoCosts(t *testing.T) {
	run := func(columns string) *script {
		begin := lab.Begin{Run: "r", Rows: []string{"a"}, Cells: []lab.Cell{{ID: "c"}}, Columns: strings.Fields(columns)}
		values := map[string]lab.Measure{}
		for _, key := range begin.Columns {
			values[key] = lab.Measure{Value: 2}
		}
		s := newScript(t, 100, 30, Options{})
		s.send(watchMsg{&session{id: "r", board: lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &begin}, {Kind: lab.KindRow, Cell: "c", Row: "a", Values: values}})}})
		return s.keys("P")
	}
	run("params bytes smaller kl").expect("KL ↓ against bytes ↓")
	run("params bytes smaller").expect("no metric of quality was measured").keys("xbytes<enter>").expectNot("no metric of quality").expect("params ↓ against bytes ↓")
}

// TestChartsOfForeignText: no name leaves its place in any chart.
func TestChartsOfForeignText(t *testing.T) {
	scare := "\x1b[31m\x1b]0;x\x07\nevil\t\x7f\u202e日本" + strings.Repeat("long", 50)
	for _, size := range [][2]int{{60, 15}, {100, 30}, {200, 60}} {
		s := openScript(t, &fakeBench{live: 520, scare: scare}, size[0], size[1], Options{Scenario: "figure1"}).openSweep()
		for _, keys := range []string{"P", "n", "d", "a", "Y", "x", "<esc>", "H", "<down>", "<enter>", "<esc>", "x", "<esc>", "t", "<esc>", "Y", "A", "<right>", "a", "T", "w", "M", "<esc>", "<esc>", "M"} {
			s.keys(keys)
			if bad := strings.IndexAny(s.screen(), "\x1b\x07\t\x7f\u202e"); bad >= 0 {
				t.Fatalf("after %q: control character in\n%q", keys, s.screen())
			}
			checkSize(t, s)
		}
	}
}

// TestChartsTakeTheMouse: a click goes to a point or cell, a second one opens it, the wheel moves
// on.
func TestChartsTakeTheMouse(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openSweep().keys("P")
	x, y := s.at("quantized 0.25 w4a8 fkl")
	s.click(x-2, y).expect("[ ] quantized 0.25 w4a8 fkl ·").click(x-2, y).expect("quantized ratio=0.25 scheme=w4a8 loss=fkl", "row 15 of 33").keys("<esc>")
	s.wheel(20, 20, tea.MouseButtonWheelDown).expectNot("[ ] quantized 0.25 w4a8 fkl ·")
	s.keys("H").clickOn("0.7625").expect("[ ] scheme=w5a8 ratio=0.25 ·").clickOn("0.7625").expect("The rows of w5a8 and 0.25").keys("<esc>")
	s.keys("A")
	x, y = s.at("◆⣄")
	s.click(x, y).expect("scheme=w7a8")
}

// TestChartIsCopied: as CSV, with the command that prints the same.
func TestChartIsCopied(t *testing.T) {
	copied := ""
	s := newScript(t, 124, 40, Options{}).openSweep()
	s.m.clipboard = func(text string) tea.Cmd {
		copied = text
		return nil
	}
	s.keys("PY").expect("copied; the same: slimlab show " + sweepRun + " --pareto bytes,auc_soft")
	if !strings.HasPrefix(copied, "row,ratio,scheme,loss,bytes,") {
		t.Errorf("copied %q", copied)
	}
	s.keys("HY").expect("--pivot scheme,ratio --metric auc_soft")
	if !strings.HasPrefix(copied, "scheme,ratio,auc_soft,") {
		t.Errorf("copied %q", copied)
	}
}
