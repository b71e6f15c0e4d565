package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slimlab/lab"
)

// TestExportsAreWrittenInTime: however many cells end at once, the exports are written at most once
// a second; what was left out comes with the next event a second later, and at the end.
func TestExportsAreWrittenInTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out.csv")
	out, err := openOutputs(outputFlags{exports: []string{"csv=" + file}}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer out.release()
	now := time.Unix(1000, 0)
	out.now = func() time.Time { return now }
	begin := &lab.Begin{Run: "r", Scenario: "many", Rows: []string{"base"}, Columns: []string{"auc"}}
	for i := range 9 {
		begin.Cells = append(begin.Cells, lab.Cell{ID: fmt.Sprint(i), Params: []lab.Param{{Key: "x", Value: fmt.Sprint(i)}}, Seed: 1})
	}
	board := lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: begin}})
	out.begin(board)
	views := 0
	whole := out.views[0]
	out.views[0] = func() *lab.View { views++; return whole() }
	feed := func(e lab.Event) {
		board.Apply(e)
		out.event(e)
	}
	end := func(cell int) {
		id := fmt.Sprint(cell)
		feed(lab.Event{Kind: lab.KindRow, Cell: id, Row: "base", Values: map[string]lab.Measure{"auc": {Value: 0.5}}})
		feed(lab.Event{Kind: lab.KindCell, Cell: id, State: lab.Done})
	}
	expect := func(when string, writes, rows int) {
		t.Helper()
		text, err := os.ReadFile(file)
		if got := strings.Count(string(text), "done"); err != nil || views != writes || got != rows {
			t.Errorf("%s: %d writes and %d rows, expected %d and %d; %v", when, views, got, writes, rows, err)
		}
	}
	for i := range 5 {
		end(i)
	}
	expect("five cells at once", 1, 1)
	now = now.Add(exportEvery)
	feed(lab.Event{Kind: lab.KindPoint, Cell: "8", Name: "loss"})
	expect("a point a second later", 2, 5)
	now = now.Add(time.Hour)
	feed(lab.Event{Kind: lab.KindPoint, Cell: "8", Name: "loss", Step: 1})
	expect("nothing new", 2, 5)
	for i := 5; i < 9; i++ {
		end(i)
	}
	expect("four cells at once", 3, 6)
	if err := out.finish(); err != nil {
		t.Fatal(err)
	}
	expect("the end", 4, 9)
}
