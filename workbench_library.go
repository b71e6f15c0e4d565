package main

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"slimlab/lab/home"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
	"slimlab/scenarios"
	"slimlab/tui"
)

// library is what the workbench can run: the scenarios that ship, the files of the working
// directory, and the scenarios of earlier runs. Its methods may be called from several goroutines.
type library struct {
	home   *home.Home
	folder *scenario.Folder
	// lists what ships, once
	shipped func() ([]tui.ScenarioInfo, error)
	named   string // a file that the command line named; empty: none

	mu     sync.Mutex
	listed []store.Info                // the runs as they were listed last, the newest first
	read   map[string]tui.ScenarioInfo // by ID

	watching sync.Mutex
	others   map[string]*watched // runs of other processes, by ID
}

func newLibrary(h *home.Home, named string) *library {
	return &library{home: h, folder: scenario.OpenFolder("."), shipped: sync.OnceValues(shippedList), named: named, read: map[string]tui.ScenarioInfo{}}
}

// Library lists what can be run; no scenario is loaded for it.
func (l *library) Library(context.Context) (tui.Library, error) {
	var list tui.Library
	shipped, err := l.shipped()
	if err != nil {
		return list, err
	}
	list.Scenarios = slices.Clone(shipped)
	files, others, err := l.folder.Files()
	if err != nil {
		return list, err
	}
	if list.Folder, err = filepath.Abs("."); err != nil {
		return list, err
	}
	list.Others = others
	if l.named != "" && !slices.ContainsFunc(files, func(f scenario.FolderFile) bool { return f.File == l.named }) {
		stamp, _ := scenario.StampOf(l.named) // reading it says what is wrong
		files = append([]scenario.FolderFile{{File: l.named, Name: strings.TrimSuffix(l.named, filepath.Ext(l.named)), Stamp: stamp}}, files...)
	}
	for _, f := range files {
		list.Scenarios = append(list.Scenarios, tui.ScenarioInfo{ID: f.File, Place: tui.Own, File: f.File, Name: f.Name, Pending: true, Stamp: stampText(f.Stamp)})
	}
	list.Scenarios = append(list.Scenarios, l.earlier(list.Scenarios)...)
	return list, nil
}

// shippedList lists the scenarios that ship, the default first.
func shippedList() ([]tui.ScenarioInfo, error) {
	entries, err := scenario.List(scenarios.Files)
	if err != nil {
		return nil, err
	}
	var list []tui.ScenarioInfo
	for _, e := range entries {
		info := tui.ScenarioInfo{ID: e.Name, Name: e.Name, About: e.About, Err: e.Err, Pending: e.Err == nil}
		if e.Name == defaultScenario {
			list = slices.Insert(list, 0, info)
		} else {
			list = append(list, info)
		}
	}
	return list, nil
}

// stampText changes when a file does.
func stampText(s scenario.Stamp) string { return fmt.Sprintf("%d %d", s.Size, s.Modified.UnixNano()) }

// earlier lists the scenarios of the runs that were listed last whose names are in no other place,
// each once, as its newest run had it.
func (l *library) earlier(here []tui.ScenarioInfo) []tui.ScenarioInfo {
	known := map[string]bool{}
	for _, s := range here {
		known[s.Name] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []tui.ScenarioInfo
	for _, r := range l.listed {
		if r.Source == "" || known[r.Scenario] || known[path.Clean(r.Scenario)] {
			continue
		}
		known[r.Scenario] = true
		list = append(list, tui.ScenarioInfo{ID: tui.RunScenario(r.ID), Place: tui.Earlier, Name: r.Scenario, About: r.About, Pending: true})
	}
	return list
}

// list reads the list of runs and keeps it.
func (l *library) list() ([]store.Info, error) {
	runs, err := l.home.Logs.List()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listed = runs
	return runs, nil
}

// past finds a run, which another process may have begun or removed since the list was read.
func (l *library) past(id string) (store.Info, error) {
	is := func(r store.Info) bool { return r.ID == id }
	l.mu.Lock()
	runs := l.listed
	l.mu.Unlock()
	if i := slices.IndexFunc(runs, is); i >= 0 {
		return runs[i], nil
	}
	runs, err := l.list()
	if err != nil {
		return store.Info{}, err
	}
	if i := slices.IndexFunc(runs, is); i >= 0 {
		return runs[i], nil
	}
	return store.Info{}, fmt.Errorf("run %s: %w", id, store.ErrNotFound)
}

// load reads the scenario of an ID under options.
func (l *library) load(id string, o scenario.Options) (*scenario.Scenario, error) {
	id, past := strings.CutPrefix(id, tui.RunScenario(""))
	if !past {
		if scenario.IsFile(id) {
			if _, err := scenario.StampOf(id); err != nil {
				return nil, err
			}
		}
		return run.LoadScenario(id, scenarios.Files, o)
	}
	r, err := l.past(id)
	if err != nil {
		return nil, err
	}
	if r.Source == "" {
		return nil, fmt.Errorf("run %s: its log has no scenario's text", id)
	}
	o.Vocabulary = run.Vocabulary()
	return scenario.Parse(r.Scenario+".yaml", []byte(r.Source), o)
}

// Scenario reads an entry of the library. A file that has not changed is not read again.
func (l *library) Scenario(_ context.Context, id string) tui.ScenarioInfo {
	now := ""
	if scenario.IsFile(id) {
		stamp, _ := scenario.StampOf(id) // a file that is gone has none, and describe says so
		now = stampText(stamp)
	}
	l.mu.Lock()
	info, known := l.read[id]
	l.mu.Unlock()
	if known && info.Stamp == now {
		return info
	}
	info = l.describe(id)
	info.Stamp = now
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read[id] = info
	return info
}

func (l *library) describe(id string) tui.ScenarioInfo {
	info := tui.ScenarioInfo{ID: id, Name: id}
	switch past, isPast := strings.CutPrefix(id, tui.RunScenario("")); {
	case isPast:
		info.Place = tui.Earlier
		if r, err := l.past(past); err == nil {
			info.Name, info.About = r.Scenario, r.About
		}
	case scenario.IsFile(id):
		info.Place, info.File, info.Name = tui.Own, id, strings.TrimSuffix(id, filepath.Ext(id))
	}
	s, err := l.load(id, scenario.Options{})
	if err != nil {
		info.Err, info.Line, info.Text = err, lineOf(info.File, err), scenario.Beginning(info.File)
		return info
	}
	info.Text = s.Source
	info.Name, info.About, info.Cells, info.Seeds, info.Rows = s.Name, s.About, len(s.Points)*len(s.Seeds), len(s.Seeds), s.Rows
	for _, a := range s.Axes {
		info.Sweep = append(info.Sweep, a.Key+": "+strings.Join(a.Values, ", "))
	}
	info.Steps = s.Overview()
	for _, e := range s.Expect {
		info.Expect = append(info.Expect, e.Text)
	}
	return info
}

var placeInFile = regexp.MustCompile(`^:(\d+):\d+`)

// lineOf finds the line of a file that an error is about; 0 where it names none.
func lineOf(file string, err error) int {
	_, rest, found := strings.Cut(err.Error(), file)
	if m := placeInFile.FindStringSubmatch(rest); found && file != "" && m != nil {
		line, _ := strconv.Atoi(m[1]) // digits
		return line
	}
	return 0
}

// changedSince says that the scenario of a past run is another one by now, where its name is one of
// a file or of a scenario that ships; "" where it is the same, or nowhere else.
func (l *library) changedSince(r store.Info) string {
	if text, err := scenario.Text(r.Scenario, scenarios.Files); err == nil {
		if !bytes.Equal(text, []byte(r.Source)) {
			return r.Scenario + ", which ships, has changed since: the text of the run is used"
		}
		return ""
	}
	files, _, err := l.folder.Files()
	if err != nil {
		return ""
	}
	for _, f := range files {
		if f.Name != path.Clean(r.Scenario) {
			continue
		}
		if s, err := l.load(f.File, scenario.Options{}); err != nil || s.Source != r.Source {
			return f.File + " has changed since: the text of the run is used"
		}
		return ""
	}
	return "no file here has this scenario: the text of the run is used"
}

func (l *library) Runs(context.Context) ([]tui.RunInfo, error) {
	runs, err := l.list()
	if err != nil {
		return nil, err
	}
	watched := l.watch(runs)
	infos := make([]tui.RunInfo, len(runs))
	for i, r := range runs {
		infos[i] = tui.RunInfo{
			ID: r.ID, Scenario: r.Scenario, State: r.State, Started: r.Started, Duration: r.Duration,
			Machine: r.Machine, Quick: r.Quick, Settings: r.Settings, Seeds: r.Seeds, Seed: r.Seed, Bytes: r.Bytes, Err: r.Problem,
		}
		if running := l.home.Logs.Running(&r); running != nil && r.Problem == nil {
			infos[i].NoDelete = running.What()
		}
		if w, ok := watched[r.ID]; ok {
			infos[i].State, infos[i].Progress, infos[i].Silence = w.state, w.far, w.silence
		}
	}
	return infos, nil
}
