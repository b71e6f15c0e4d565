package tui

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
)

// TestQuery: which runs a query keeps; what is none says why.
func TestQuery(t *testing.T) {
	run := RunInfo{ID: "20261124-figure1-a1", Scenario: "figure1", State: lab.Done, Started: epoch.Add(-3 * time.Hour), Duration: 400 * time.Second, Quick: true, Settings: []string{"distilled.steps=50", "loss=fkl"}}
	b := newBenchScreen(&workbench{now: func() time.Time { return epoch }})
	b.figures[b.figuresKey(&run)] = RunFigures{Models: []string{"pretrained:recsys-fm"}, Rows: []RowFigures{
		{"FM", map[string]float64{"auc": 0.85, "bytes": 5.8e6}}, {"w8a8", map[string]float64{"auc": 0.84, "auc_delta": -0.01, "bytes": 0.3e6}},
	}}
	for line, want := range map[string]bool{
		"": true, "figure": true, "FIGURE": true, "smoke": false, "not smoke": true, "quick": true, "done": true, "scenario:fig": true, "scenario=figure1": true, "scenario=figure": false,
		"state=done": true, "state=failed": false, "state:run": false, "set:steps": true, "set:batch": false, "set:loss=fkl": true, "steps=50": true, "distilled.steps=50": true, "steps=5": false, "eps=50": false, "loss=fkl": true, "steps!=50": false, "batch=2": false, "model:recsys": true, "model:w8": true, "model:llama": false, "id:a1": true,
		"took>5m": true, "took<5m": false, "took>=400s": true, "age<1d": true, "age<2h": false, "age>1w": false,
		"auc>0.8": true, "auc>0.9": false, "auc_delta>-0.2": true, "auc_delta>-0.5%": false, "bytes<1MB": true, "auc>0.845 bytes<1MB": false, "auc>0.83 bytes<1MB": true,
		"row:fm bytes<1MB": false, "row:w8a8 bytes<1MB": true, "not auc>0.9": true, "model:recsys auc_delta>-0.2 state=done": true, "loss<9": false, "not not figure": true,
		"state!=done": false, "scenario!=smoke": true, "auc!=0.85 row:fm": false, "smoke or done": true, "smoke or failed": false, "smoke or figure auc>0.9": false, "auc>0.9 or auc>0.8 state=done": true, `"figure1"`: true, `"figure 1"`: false,
	} {
		q, err := parseQuery(line)
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		if b.query = q; b.keepsRun(&run) != want {
			t.Errorf("%q keeps the run: %t, expected %t", line, !want, want)
		}
	}
	for _, line := range []string{"not", "or", "a or", "or a", `"a`, "not or a", "auc<", "auc<much", "aucc<1", "took>long", "took:5m", "age=x", "state<done", "state=fail", "state!=run", "auc:0.8", "age<nand", "aucc=1", "modle=x"} {
		if _, err := parseQuery(line); err == nil {
			t.Errorf("%q was taken for a query", line)
		}
	}
	s := newScript(t, 100, 30, Options{}).keys("/auc_sof>0.7<enter>")
	s.expect("no metric and none of") // a wrong query is not kept
	s.keys("<esc>")
	if screen := s.screen(); strings.Contains(screen, "no metric") || strings.Contains(screen, "(0 of") {
		t.Errorf("after esc the wrong query counts:\n%s", screen)
	}
	own := ScenarioInfo{Name: "mine", File: "mine.yaml", About: "losses", Err: errors.New("bad")}
	for line, want := range map[string]bool{"": true, "mine": true, "yaml loss": true, "not mine": false, "scenario:min": true, "scenario=mine.yaml": true, "state=bad": true, "auc>0.1": false, "not auc>0.1": false} {
		if q, err := parseQuery(line); err != nil || q.keepsScenario(&own) != want {
			t.Errorf("%q keeps the scenario: expected %t (%v)", line, want, err)
		}
	}
}

func FuzzQuery(f *testing.F) {
	for _, line := range []string{"", "x not y", "auc<0.3 state=done", "took>=5m age<2d", "not not a:b", "=<>:", "row:w8 bytes<1MB"} {
		f.Add(line)
	}
	run := RunInfo{ID: "a", Started: epoch}
	f.Fuzz(func(t *testing.T, line string) {
		b := newBenchScreen(&workbench{now: func() time.Time { return epoch }})
		b.filter = newInput(line)
		b.setQuery()
		kept := b.keepsRun(&run)
		if strings.TrimSpace(line) == "" && (b.wrong != nil || !kept) {
			t.Errorf("the empty query: %v", b.wrong)
		}
	})
}

// TestSplitSettings: a setting goes on to the next word with a key, so that values can have spaces.
func TestSplitSettings(t *testing.T) {
	for line, want := range map[string][]string{
		"": nil, "  ": nil, "a=1": {"a=1"}, "a=1  b.c=2": {"a=1", "b.c=2"}, "ratio=[0.1, 0.2] steps=5": {"ratio=[0.1, 0.2]", "steps=5"},
		"task.path=my file.jsonl x=": {"task.path=my file.jsonl", "x="}, "word": {"word"}, "word a=1": {"word", "a=1"}, "mlp-37%.steps=3": {"mlp-37%.steps=3"},
	} {
		if got := splitSettings(line); !slices.Equal(got, want) {
			t.Errorf("%q: %q, expected %q", line, got, want)
		}
	}
}

// TestEditorCommand: the line is given to editors that take one, and a file is never taken for a
// flag.
func TestEditorCommand(t *testing.T) {
	for _, c := range []struct {
		editor, file string
		line         int
		want         string
	}{
		{"vi", "a.yaml", 3, "vi +3 a.yaml"}, {"/usr/bin/nano -w", "a b.yaml", 7, "/usr/bin/nano -w +7 a b.yaml"}, {"code -w", "a.yaml", 3, "code -w -g a.yaml:3"}, {"hx", "a.yaml", 2, "hx a.yaml:2"},
		{"own-editor", "a.yaml", 3, "own-editor a.yaml"}, {"vi", "-a.yaml", 0, "vi ./-a.yaml"},
	} {
		if got := strings.Join(editorCommand(c.editor, c.file, c.line).Args, " "); got != c.want {
			t.Errorf("%q, expected %q", got, c.want)
		}
	}
}

// TestSheetStartsWhatItShows: the sheet's fields are the request; an error keeps it open.
func TestSheetStartsWhatItShows(t *testing.T) {
	s := newScript(t, 100, 30, Options{})
	s.keys("rdistilled.steps=50 seeds=2<down>3<down>7<down><space><enter>").expect("[2 Run]")
	if got := s.bench.requests[0]; !slices.Equal(got.Set, []string{"distilled.steps=50", "seeds=2"}) || got.Seeds != 3 || got.Seed != 7 || !got.Quick || got.Retime || got.Fresh {
		t.Errorf("started %+v", got)
	}
	s = newScript(t, 100, 30, Options{})
	s.keys("rdistiled.steps=50<enter>").expect("unknown key", "Run figure1")
	if len(s.bench.requests) > 0 {
		t.Error("a run with a wrong setting was started")
	}
	s.keys("<ctrl+u>dis<tab>").expect("distilled.").keys("st<tab>").expect("distilled.steps=")
	s.keys("<down>x<enter>").expect("expected a whole number of at least 1")
	s.keys("<esc>").expect("[1 Bench]").expectNot("Run figure1")
	s.keys("r<up><space><up><space><enter>").expect("choose one of the two")
	if len(s.bench.requests) > 0 {
		t.Error("a run that contradicts itself was started")
	}
}

// TestRepeatAndDelete: R starts the run's own scenario with its settings; D asks, and says what
// stands against it.
func TestRepeatAndDelete(t *testing.T) {
	s := newScript(t, 100, 30, Options{})
	s.keys("jjjjjR").expect("has changed since").keys("<enter>")
	if got := s.bench.requests[0]; got.Scenario != RunScenario("20261123-1822-figure1-b2") || !slices.Equal(got.Set, []string{"distilled.steps=50"}) || got.Seed != 7 || !got.Quick {
		t.Errorf("started %+v", got)
	}
	s = newScript(t, 100, 30, Options{})
	s.keys("jjjjDn").expectNot("Delete the log")
	s.keys("Dy").expect("is deleted")
	s.keys("jjDy").expect("is running: stop it first")
	if got := strings.Join(s.bench.deleted, " "); got != "20261124-1130-figure1-a1" {
		t.Errorf("deleted %q", got)
	}
}

// TestChangedFileIsReadAgain: what was read of a file stays until its stamp changes.
func TestChangedFileIsReadAgain(t *testing.T) {
	s := newScript(t, 100, 30, Options{}).keys("jjj").expect("mine.yaml:3:5")
	bench := s.m.screens[0].(*benchScreen)
	at := len(bench.library.Scenarios) - 1
	bench.library.Scenarios[at].Err = errors.New("as it was read")
	s.send(lookMsg{})
	s.expect("as it was read")
	s.bench.stamp = "changed"
	s.send(lookMsg{})
	s.expect("mine.yaml:3:5")
}

// TestRunsOfOthersAppear: the list is read again while it is looked at, and the cursor stays on its
// line.
func TestRunsOfOthersAppear(t *testing.T) {
	s := newScript(t, 100, 30, Options{}).keys("jjjjj").expect("runs (4)")
	bench := s.m.screens[0].(*benchScreen)
	at := bench.selection().run.ID
	bench.setRuns(bench.runs[1:]) // as it was before another program began the first
	s.send(tea.WindowSizeMsg{Width: 100, Height: 30})
	s.expect("runs (3)")
	s.send(lookMsg{})
	s.expect("runs (4)")
	if r := bench.selection().run; r == nil || r.ID != at {
		t.Errorf("the cursor left the run %s", at)
	}
}

// TestCompressInThreeSteps: a model, data, points; a typed path is taken as it is, and an error
// stands on the form.
func TestCompressInThreeSteps(t *testing.T) {
	s := newScript(t, 100, 30, Options{})
	s.keys("n").expect("1 of 3", "models/small").keys("<enter>").expect("2 of 3").keys("<enter>").expect("3 of 3")
	s.keys("<ctrl+u>0,0.5<down><ctrl+u>w8a8").expect("2 ratios × 1 scheme.").keys("<enter>")
	if len(s.bench.compressed) != 1 {
		t.Fatal("nothing was written")
	}
	if c := s.bench.compressed[0]; c.Model != "models/small" || c.Data != "texts.jsonl" || !slices.Equal(c.Ratios, []string{"0", "0.5"}) || !slices.Equal(c.Schemes, []string{"w8a8"}) {
		t.Errorf("wrote %+v", c)
	}
	s = newScript(t, 100, 30, Options{}).keys("n<enter><enter><ctrl+u>0,,0.5<enter>").expect("✗ ratios has nothing at place 2 of")
	if len(s.bench.compressed) != 0 {
		t.Error("a list with an empty place was written")
	}
	newScript(t, 100, 30, Options{}).keys("n/some/nowhere<enter><enter><enter>").expect("3 of 3", "no such folder")
}

// TestBenchIsReadAgainOnEntry: coming back from another screen, the list is what is there, not what
// was there; a run that this program deletes is gone at once.
func TestBenchIsReadAgainOnEntry(t *testing.T) {
	s := newScript(t, 100, 30, Options{}).keys("jjjjj").expect("runs (4)")
	bench := s.m.screens[0].(*benchScreen)
	for _, way := range []string{"2", "2<esc>", "3<tab>", "2<shift+tab>"} {
		s.keys("2")
		bench.setRuns(bench.runs[1:]) // as it was before another program began the first
		if s.keys(way + "1").expect("[1 Bench]"); len(bench.runs) != 4 {
			t.Errorf("%s: %d runs are listed, expected 4", way, len(bench.runs))
		}
	}
	s.send(goneMsg{&session{id: bench.runs[0].ID}})
	if len(bench.runs) != 3 {
		t.Errorf("%d runs are listed after one was deleted by another program, expected 3", len(bench.runs))
	}
}
