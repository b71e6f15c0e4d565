package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"pgregory.net/rapid"

	"slimlab/lab"
)

// rowLabels are the rows of the table, in their order, by step and values.
func (s *script) rowLabels() []string {
	r := s.runScreen()
	var labels []string
	r.session.read(func(v *lab.View) {
		t := r.tableNow(v)
		for _, i := range r.order {
			labels = append(labels, t.sweep.Label(t.row(i)))
		}
	})
	return labels
}

// TestSweepOnTheScreen: axes are columns, and rows that differ in none stand once.
func TestSweepOnTheScreen(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {124, 40}, {200, 60}} {
		name := fmt.Sprintf("sweep-%dx%d", size[0], size[1])
		t.Run(name, func(t *testing.T) {
			goldenScreen(t, name, newScript(t, size[0], size[1], Options{}).openSweep().screen())
		})
	}
	s := newScript(t, 124, 40, Options{}).openSweep()
	s.expect("step", "ratio", "scheme", "loss", "state", "params", "bytes", "smaller", "AUC", "AUC exp.", "63 repeated rows folded (a)").expectNot("FM ratio=")
	if n := len(s.rowLabels()); n != 33 {
		t.Errorf("%d rows, expected 33", n)
	}
	s.keys("a").expectNot("folded")
	if n := len(s.rowLabels()); n != 96 {
		t.Errorf("%d rows, expected 96", n)
	}
	s.keys("a").expect("63 repeated rows folded (a)")
}

// TestSortByAnAxis: numbers as numbers, rows without a value last in either direction.
func TestSortByAnAxis(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openSweep().keys(">s")
	labels := s.rowLabels()
	if !strings.Contains(labels[0], "0.125") || !slices.Contains(labels[30:], "FM") {
		t.Errorf("ascending %q", labels)
	}
	labels = s.keys("s").rowLabels()
	if !strings.Contains(labels[0], "0.375") || !slices.Contains(labels[30:], "FM") {
		t.Errorf("descending %q", labels)
	}
}

// TestFilterByAnAxis: numbers of an axis compare as numbers, and what is wrong is said while
// typing.
func TestFilterByAnAxis(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openSweep().keys("/ratio<0.3 loss=fkl<enter>").expect(`filter "ratio<0.3 loss=fkl": 10 of 33 rows`)
	if n := len(s.rowLabels()); n != 10 {
		t.Errorf("%d rows, expected 10", n)
	}
	s.keys("<esc>/scheme=w9").expect(`✗ scheme "w9": expected one of w4a8, w5a8, w6a8, w7a8`)
}

// TestCursorStaysOnItsRow: where rows are folded and unfolded, the cursor stays on the step.
func TestCursorStaysOnItsRow(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openSweep().keys("jjjjj<space>k")
	at := s.rowLabels()[s.runScreen().grid.Row]
	s.keys("a")
	if got := s.rowLabels()[s.runScreen().grid.Row]; got != "pruned 0.125 w4a8 jsd:0.5" {
		t.Errorf("the cursor went from %q to %q", at, got)
	}
	s.keys("a")
	if got := s.rowLabels()[s.runScreen().grid.Row]; got != at || len(s.runScreen().marks) != 1 {
		t.Errorf("the cursor went from %q to %q, with %d marks", at, got, len(s.runScreen().marks))
	}
}

// TestGroupsOnTheScreen: g chooses axes, a row a group has n, the best row and means with
// intervals, enter shows the group's rows, esc goes back.
func TestGroupsOnTheScreen(t *testing.T) {
	open := func() *script { return newScript(t, 124, 40, Options{}).openSweep().keys(">g") }
	goldenScreen(t, "group-chooser", open().screen())
	s := open().expect("▌[x] ratio", "[ ] step", "[ ] scheme").keys("<enter>")
	goldenScreen(t, "groups", s.screen())
	s.expect("4 groups of 33 rows (g)", "best AUC exp.", "ratio", "n").keys("<right><right><right><right><right>")
	s.keys("s").expect("▲")
	s.keys("<enter>").expect("group ratio=").keys("<esc>").expect("4 groups of 33 rows")
	s.keys("/step=quantized<enter>").expect("3 groups of 24 rows")
	s.keys("j<enter>").expect("8 rows (esc back)")
	if n := len(s.rowLabels()); n != 8 {
		t.Errorf("the group has %d rows, expected 8", n)
	}
	s.keys("<esc><esc><esc>").expect("63 repeated rows folded").expectNot("groups of")
	s.keys("/nothing<enter>g<enter>").expect("0 groups of 0 rows", "no row meets the filter")
}

// TestExportOfWhatIsShown: e offers the rows and columns of the screen where they are not the run's
// own; y copies axes as columns.
func TestExportOfWhatIsShown(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openSweep().keys("e").expectNot("as shown").keys("<esc>")
	s.keys("/ratio<0.3<enter>>ssCj<space><enter>e").expect("where ratio<0.3 · sort -ratio · columns step,ratio,loss")
	s.keys("csv shown<enter><enter>").expect("written to")
	if got := strings.Join(s.bench.exported, ";"); !strings.Contains(got, "csv "+sweepRun+".csv where ratio<0.3 · sort -ratio") {
		t.Errorf("exported %q", got)
	}
	var copied string
	s.m.clipboard = func(text string) tea.Cmd {
		copied = text
		return nil
	}
	s.keys("zy")
	if want := "step\tratio\tloss\tstate\tparams\t"; !strings.HasPrefix(copied, want) || !strings.Contains(copied, "\npruned\t0.125\tfkl\tdone\t500000\t") {
		t.Errorf("copied %q, expected it to begin with %q", copied, want)
	}
}

// TestColumnsOfTheScreen: C hides, shows and moves columns, keeps that for the scenario, and goes
// back to the scenario's own.
func TestColumnsOfTheScreen(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openSweep().keys("Cj<space>jjj<space>jj>>")
	goldenScreen(t, "columns", s.screen())
	head := func() string {
		for line := range strings.SplitSeq(s.screen(), "\n") {
			if strings.Contains(line, "step ") {
				return strings.Join(strings.Fields(strings.NewReplacer("▸", " ", "1›", " ").Replace(line)), " ")
			}
		}
		return ""
	}
	if got, want := s.keys("<enter>"), "step ratio loss state bytes AUC AUC exp. smaller TTFT cold P50 tok/s loss curve"; head() != want {
		t.Errorf("the columns are %q, expected %q\n%s", head(), want, got.screen())
	}
	first := head()
	s.openSweep()
	if head() != first {
		t.Errorf("opened again, the columns are %q, expected %q", head(), first)
	}
	s.keys("Cr<enter>")
	if got, want := head(), "step ratio scheme loss state params bytes smaller AUC AUC exp. TTFT cold P50 tok/s"; got != want {
		t.Errorf("after a reset %q, expected %q", got, want)
	}
	if s.keys("C<space><esc>"); !strings.Contains(head(), "ratio") {
		t.Errorf("cancelled, the columns are %q", head())
	}
}

// TestForeignTextOfASweep: names and values of axes cannot leave their place, however long.
func TestForeignTextOfASweep(t *testing.T) {
	scare := "\x1b[31m\x1b]0;x\x07\nevil\t\x7f\u202e日本" + strings.Repeat("long", 50)
	s := openScript(t, &fakeBench{live: 520, scare: scare}, 200, 40, Options{Scenario: "figure1"}).openSweep()
	if got := len(s.runScreen().order); got != 33 {
		t.Fatalf("%d rows, expected 33", got)
	}
	s.expect("params") // which long names leave room for
	for _, keys := range []string{"", "a", "a<right><right>", "/zzz<enter>", "<esc>", "g", "<space>", "<enter>", "j", "<enter>", "<esc><esc>", "C", "<enter>", "<enter>", "<esc>", "e", "<esc>", "?"} {
		s.keys(keys)
		if bad := strings.IndexAny(s.screen(), "\x1b\x07\t\x7f\u202e"); bad >= 0 {
			t.Fatalf("after %q: control character in\n%q", keys, s.screen())
		}
		checkSize(t, s)
	}
}

// TestAnyKeysOnASweep: exact frames at any size, no panic.
func TestAnyKeysOnASweep(t *testing.T) {
	keys := append(strings.Split("s z M m l i [ ] v . x j k g G n a C K J r < > y e", " "), "<enter>", "<enter>", "<esc>", "<up>", "<down>", "<left>", "<right>", "<space>", "<pgdown>", "<end>",
		"/ratio<0.3<enter>", "/step=quantized or FM<enter>", "/nothing<enter>", "g<space><enter>", "g<down><space><enter>", "C<space><enter>", "B<down><enter>")
	rapid.Check(t, func(rt *rapid.T) {
		s := newScript(t, 100, 30, Options{}).openSweep()
		for range 40 {
			if rapid.IntRange(0, 5).Draw(rt, "resize") == 0 {
				s.send(tea.WindowSizeMsg{Width: rapid.IntRange(1, 250).Draw(rt, "width"), Height: rapid.IntRange(1, 80).Draw(rt, "height")})
			}
			s.keys(rapid.SampledFrom(keys).Draw(rt, "key"))
			checkSize(t, s)
		}
	})
}

// BenchmarkSweepFrame is a frame of a sweep of 10⁴ rows at rest.
func BenchmarkSweepFrame(b *testing.B) { benchmarkSweepFrame(b, false) }

// BenchmarkSweepFrameAnew is a frame after an event.
func BenchmarkSweepFrameAnew(b *testing.B) { benchmarkSweepFrame(b, true) }

func benchmarkSweepFrame(b *testing.B, anew bool) {
	s := newScript(b, 200, 60, Options{})
	events := sweepLog(25, 10, 10)
	board := lab.Fold(events)
	s.send(watchMsg{&session{id: sweepRun, board: board}})
	b.ReportAllocs()
	for b.Loop() {
		s.m.dirty = true
		if anew {
			s.runScreen().last = nil
		}
		s.m.View()
	}
}
