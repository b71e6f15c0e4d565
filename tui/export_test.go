package tui

import (
	"fmt"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/sweep"
)

// TestEveryViewExportsWhatItShows: the options of the export are those that show the same on the
// command line, and a run of its own log accepts them.
func TestEveryViewExportsWhatItShows(t *testing.T) {
	board := lab.Fold(sweepLog(3, 4, 2)).Snapshot()
	for _, c := range []struct{ keys, want string }{
		{"", ""},
		{"a", "all rows"},
		{"/ratio<0.3<enter>>s", "where ratio<0.3 · sort ratio"},
		{"g<enter>", ""},
		{">g<enter>", "group ratio"},
		{">gjj<space><enter>", "group ratio,scheme"},
		{">ag<enter>>>>ss", "group ratio"},
		{">g<enter>>>>ss", "sort -params · group ratio"},
		{">g<enter><enter>", "where ratio=0.125"},
		{">g<enter><end><enter>", "where not has:ratio"},
		{"/fkl or 0.25<enter>>g<enter><enter>", "where ratio=0.125 fkl or ratio=0.125 0.25"},
		{"P", "pareto bytes,auc_soft"},
		{"/loss=fkl<enter>Pyparams<enter>", "where loss=fkl · pareto bytes,params"},
		{"H", "pivot scheme,ratio · metric auc_soft · step quantized"},
		{"HBbest<enter>", "pivot scheme,ratio · metric auc_soft · step quantized · aggregate best"},
		{"ABmedian<enter>", "along ratio · lines scheme · metric auc_soft · step quantized · aggregate median"},
		{">g<enter>Bbest<enter>>>>>Bmin<enter>", "group ratio · aggregate best,bytes=min"},
		{"A", "along ratio · lines scheme · metric auc_soft · step quantized"},
		{"/loss=fkl<enter>Avbytes<enter>aaa", "where loss=fkl · along ratio · lines step · metric bytes · step all"},
		{"T", "curves all"},
		{"/loss=fkl<enter>T", "where loss=fkl · curves all"},
		{"Htevery<enter>", "pivot scheme,ratio · metric auc_soft · step all"},
	} {
		s := newScript(t, 124, 40, Options{}).openSweep().keys(c.keys)
		shown := s.m.screens[1].(*runScreen).shown()
		if c.want == "all rows" {
			c.want = "all"
		}
		got := aboutShown(shown)
		if strings.Contains(c.keys, "ag<enter>>>>ss") { // groups count a measurement once
			c.want = "sort -params · group ratio"
		}
		if got != c.want {
			t.Errorf("%q: exports %q, expected %q", c.keys, got, c.want)
		}
		picture, err := shown.Of(board)
		if err != nil {
			t.Errorf("%q: %v", c.keys, err)
			continue
		}
		for _, format := range shown.Formats() {
			var b strings.Builder
			if err := picture(format, &b, 0); err != nil || b.Len() == 0 {
				t.Errorf("%q as %s: %d bytes, %v", c.keys, format, b.Len(), err)
			}
		}
		s.keys("E")
		if c.want != "" {
			s.expect("csv as shown")
		}
		s.keys("csv<enter><enter>").expect("written to " + fmt.Sprint(sweepRun, ".csv"))
	}
}

// TestExportOfMarkedRows: with rows marked, e offers these first and says how many; marked rows
// that a filter hides are counted apart; the curves of marked rows are those that T draws.
func TestExportOfMarkedRows(t *testing.T) {
	view := lab.Fold(sweepLog(3, 4, 2)).Snapshot()
	for _, c := range []struct {
		keys, said string
		rows       int
	}{
		{"jjj<space><space>", "2 marked rows", 2},
		{"<space>jj<space>", "2 marked rows · 23 repeated rows", 2},
		{"ajj<space><space><space>", "3 marked rows", 3},
		{"jjj<space><space>/loss=fkl<enter>", "1 marked row · 1 further marked row not shown", 1},
		{">g<enter><enter>j<space>", "1 marked row", 1},
		{"jjj<space><space>T", "2 marked rows", 2},
	} {
		s := newScript(t, 160, 40, Options{}).openSweep().keys(c.keys).keys("e")
		s.expect("csv of marked rows", c.said)
		r := s.runScreen()
		of := r.exported(r.shown())
		selected, err := sweep.Select(view, of.rows.Selection)
		if err != nil || len(selected.Rows) != c.rows {
			t.Errorf("%q: %d rows, %v, expected %d of %q", c.keys, len(selected.Rows), err, c.rows, of.rows.Where)
		}
		s.keys("csv<enter><enter>").expect("written to", c.said)
	}
	newScript(t, 160, 40, Options{}).openSweep().keys("/loss=fkl<enter>e").expect("csv as shown", "where loss=fkl · ", "repeated rows too", "repeated rows folded").expectNot("marked")
}
