package run

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
)

// TestRetime: each timing of serving is measured in this run, and every other artifact stays the
// file that it was. Figures of quality stay too.
func TestRetime(t *testing.T) {
	ref := theReference(t)
	h := copyHome(t, everything)
	isServing := func(title string) bool { return strings.HasPrefix(title, "serving of ") }
	file := func(dir string) os.FileInfo {
		info, err := os.Stat(filepath.Join(dir, recipe.FileName))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	before := map[string]os.FileInfo{}
	for _, dir := range artifactDirs(t, h, everything) {
		before[dir] = file(dir)
	}
	served := 0
	out := mustWork(t, h, parse(t, chain, scenario.Options{}), Options{Retime: true, Sink: func(e lab.Event) {
		switch {
		case e.Text == "evaluate" || e.Kind == lab.KindCell && e.Total > 0:
			t.Errorf("stage %s was worked on again: %+v", e.Stage, e)
		case e.Text == "serve":
			served++
		}
	}})
	sameFigures(t, out.Board, ref.board, 1)
	view := out.Board.Snapshot()
	if served != len(view.Rows) {
		t.Errorf("%d rows were served, expected %d", served, len(view.Rows))
	}
	replaced := 0
	isOf := map[string]bool{}
	for _, dir := range artifactDirs(t, h, isServing) {
		isOf[dir] = true
	}
	for _, dir := range artifactDirs(t, h, everything) {
		switch same := os.SameFile(before[dir], file(dir)); {
		case isOf[dir] && !same:
			replaced++
		case !isOf[dir] && !same:
			t.Errorf("artifact %.12s was made again", filepath.Base(dir))
		}
	}
	if replaced != len(view.Rows) { // the other seed's stay
		t.Errorf("%d servings were measured again, expected %d", replaced, len(view.Rows))
	}
	for i := range view.Rows {
		for _, m := range lab.Metrics() {
			s, _ := view.Rows[i].Metric(m.Key)
			marked := strings.Contains(strings.Join(s.Warnings, "; "), "timing of run "+ref.run)
			if trained := m.Key == "train_tokens_per_s" && len(s.Seeds) > 0; marked != trained {
				t.Errorf("row %s: %s says %q", view.Rows[i].Name, m.Key, s.Warnings)
			}
		}
	}
	notes := 0
	for _, n := range view.Notes {
		if strings.Contains(n.Text, "training speeds are not measured again") {
			notes++
		}
	}
	if notes != 1 {
		t.Errorf("%d notes on training speeds, expected one: %v", notes, view.Notes)
	}
}

// TestRetimeMakesWhatIsAbsent: what no earlier run has finished is trained, as ever.
func TestRetimeMakesWhatIsAbsent(t *testing.T) {
	ref := theReference(t)
	h := copyHome(t, func(title string) bool { return !strings.Contains(title, "student") })
	out := mustWork(t, h, parse(t, chain, scenario.Options{}), Options{Retime: true})
	sameFigures(t, out.Board, ref.board, 1)
}

// TestRetimeWithoutServing: a run that has nothing to time says so.
func TestRetimeWithoutServing(t *testing.T) {
	h := copyHome(t, everything)
	text := strings.Replace(chain, "serve: { members: 3, candidates: 3 }\n", "", 1)
	out := mustWork(t, h, parse(t, text, scenario.Options{}), Options{Retime: true})
	for _, n := range out.Board.Snapshot().Notes {
		if strings.Contains(n.Text, "no section serve") {
			return
		}
	}
	t.Error("it does not say that no timing is measured again")
}
