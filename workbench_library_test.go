package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slimlab/lab/home"
	"slimlab/tui"
)

// TestLibrary: what ships, the files of the folder, broken ones with their line, and the scenarios
// of earlier runs whose files are gone; other YAML files are counted. A file that changes is read
// again.
func TestLibrary(t *testing.T) {
	file := newHome(t)
	folder := t.TempDir()
	t.Chdir(folder)
	if _, stderr, code := slimlab(t, "run", file, "--set", "steps=2"); code != exitHeld {
		t.Fatal(stderr)
	}
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	own := strings.Replace(tiny, "name: tiny", "name: own", 1)
	write("own.yaml", own)
	write("broken.yml", strings.Replace(own, "steps: 3", "stps: 3", 1))
	write("compose.yaml", "services: {}\n")
	if err := os.Mkdir("folder.yaml", 0o755); err != nil {
		t.Fatal(err)
	}
	h := home.Open(os.Getenv("SLIMLAB_HOME"), "test")
	b := newBench(h, "")
	if _, err := b.Runs(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := b.Library(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ids := map[tui.Place][]string{}
	for _, s := range list.Scenarios {
		ids[s.Place] = append(ids[s.Place], s.Name)
	}
	if got := fmt.Sprint(ids[tui.Own], ids[tui.Earlier], list.Others); got != "[own own] [tiny] 1" {
		t.Errorf("found %s", got)
	}
	if broken := b.Scenario(t.Context(), "broken.yml"); broken.Err == nil || broken.Line == 0 {
		t.Errorf("broken.yml: %v at line %d", broken.Err, broken.Line)
	}
	earlier := list.Scenarios[len(list.Scenarios)-1]
	if s := b.Scenario(t.Context(), earlier.ID); s.Err != nil || s.Name != "tiny" || len(s.Rows) != 3 {
		t.Errorf("the earlier scenario: %+v", s)
	}
	if s := b.Scenario(t.Context(), "own.yaml"); s.Err != nil || s.About != "for tests of the command line" {
		t.Errorf("own.yaml: %+v", s)
	}
	write("own.yaml", strings.Replace(own, "for tests", "again for tests", 1))
	if s := b.Scenario(t.Context(), "own.yaml"); s.About != "again for tests of the command line" {
		t.Errorf("after a change: %+v", s)
	}
}

// TestPreviewAndRepeat: a preview counts cells and what is cached, refuses what Start would, and a
// past run is run again with its text and its settings when its file is gone.
func TestPreviewAndRepeat(t *testing.T) {
	file := newHome(t)
	t.Chdir(filepath.Dir(file))
	b := newBench(home.Open(os.Getenv("SLIMLAB_HOME"), "test"), "")
	p, err := b.Preview(t.Context(), tui.Request{Scenario: "tiny.yaml", Seeds: 2})
	if err != nil || p.Cells != 2 || p.Build != 6 || p.Cached != 0 || p.Bytes == 0 || p.Duration != "" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := b.Preview(t.Context(), tui.Request{Scenario: "tiny.yaml", Set: []string{"stps=2"}}); err == nil || !strings.Contains(err.Error(), "did you mean") {
		t.Errorf("a wrong key: %v", err)
	}
	live, err := b.Start(t.Context(), tui.Request{Scenario: "tiny.yaml", Set: []string{"steps=2"}, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), live.RunID); err == nil {
		select {
		case <-live.Done: // it was quick
			t.Skip("the run ended before it could be refused")
		default:
			t.Error("a run in progress was deleted")
		}
	}
	<-live.Done
	if err := os.Remove("tiny.yaml"); err != nil {
		t.Fatal(err)
	}
	runs, err := b.Runs(t.Context())
	if err != nil || len(runs) != 1 || runs[0].Seed != 5 || fmt.Sprint(runs[0].Settings) != "[steps=2]" {
		t.Fatalf("%+v, %v", runs, err)
	}
	r := runs[0]
	p, err = b.Preview(t.Context(), tui.Request{Scenario: tui.RunScenario(r.ID), Set: r.Settings, Seeds: r.Seeds, Seed: r.Seed})
	if err != nil || p.Build != 0 || p.Cached != 3 || p.Duration == "" || len(p.Notes) == 0 {
		t.Errorf("%+v, %v", p, err)
	}
	f, err := b.Figures(t.Context(), r.ID)
	if err != nil || len(f.Rows) != 3 || !strings.Contains(f.Headline.String(), "AUC exp.") || strings.Contains(f.Headline.String(), "teacher") {
		t.Errorf("%+v, %v", f, err)
	}
	if err := b.Delete(t.Context(), r.ID); err != nil {
		t.Error(err)
	}
}

// TestManyFilesAreListedAtOnce: the list of a folder of 500 scenarios loads none of them, and the
// second one opens no file.
func TestManyFilesAreListedAtOnce(t *testing.T) {
	newHome(t)
	t.Chdir(t.TempDir())
	for i := range 500 {
		if err := os.WriteFile(fmt.Sprintf("s%03d-%s.yaml", i, strings.Repeat("x", 180)), []byte(tiny), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := newBench(home.Open(os.Getenv("SLIMLAB_HOME"), "test"), "")
	for range 2 {
		start := time.Now()
		list, err := b.Library(t.Context())
		if err != nil || len(list.Scenarios) < 500 {
			t.Fatalf("%d scenarios, %v", len(list.Scenarios), err)
		}
		t.Logf("listed in %v", time.Since(start))
		if len(b.read) > 0 {
			t.Error("scenarios were loaded for the list")
		}
	}
}
