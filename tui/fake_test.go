package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/tokenview"
)

// steps of the fake run: share of the FM's bytes, expected AUC, training steps.
var steps = []struct {
	name   string
	params float64
	bytes  float64
	auc    float64
	train  int
}{
	{"FM", 2_959_872, 5_919_744, 0.7712, 0},
	{"distilled", 358_000, 1_432_000, 0.7644, 300},
	{"mlp-37%", 274_000, 1_096_000, 0.7421, 0},
	{"mlp-37%-kd", 274_000, 1_096_000, 0.7631, 100},
	{"heads-50%", 233_000, 932_000, 0.7309, 0},
	{"heads-50%-kd", 233_000, 932_000, 0.7618, 100},
	{"w8a8", 233_000, 251_000, 0.7615, 0},
	{"w4a16", 233_000, 148_000, 0.7566, 0},
}

// fakeLog is the log of a run like figure1's, with the given seeds.
func fakeLog(id string, seeds int, shift float64) []lab.Event {
	begin := &lab.Begin{
		Run: id, Scenario: "figure1", About: "a ranking model becomes smaller", Hash: "3f2a", Version: "dev", Machine: "Xeon · 2 cores · avx512",
		Columns: []string{"params", "bytes", "smaller", "auc", "auc_soft", "auc_soft_delta", "auc_ceiling", "ttft_cold_p50", "ttft_cold_p99", "ttft_hot_p50", "ttft_hot_p99", "tokens_per_s", "cached"},
	}
	for _, s := range steps {
		begin.Rows = append(begin.Rows, s.name)
	}
	for seed := 1; seed <= seeds; seed++ {
		begin.Cells = append(begin.Cells, lab.Cell{ID: fmt.Sprintf("seed=%d", seed), Seed: seed})
	}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
	now := 0.0
	add := func(e lab.Event) {
		e.Time = now
		events = append(events, e)
	}
	for n, cell := range begin.Cells {
		for i, s := range steps {
			add(lab.Event{Kind: lab.KindCell, Cell: cell.ID, State: lab.Running, Stage: s.name, Total: s.train})
			for step := 1; step <= s.train; step++ {
				now += 0.02
				x := float64(step) / float64(s.train)
				add(lab.Event{Kind: lab.KindPoint, Cell: cell.ID, Name: s.name + ".loss", Step: step, Value: 0.6 + 1.5*math.Exp(-6*x) + 0.03*math.Sin(float64(step*(n+2)))})
				if step%10 == 0 {
					add(lab.Event{Kind: lab.KindCell, Cell: cell.ID, State: lab.Running, Stage: s.name, Step: step, Total: s.train})
				}
			}
			now += 0.5
			auc := s.auc + shift + 0.002*float64(n)
			fm := steps[0]
			cold := 0.004 * s.params / fm.params * (1 + 0.1*float64(i%3)) * (1 + shift)
			add(lab.Event{Kind: lab.KindRow, Cell: cell.ID, Row: s.name, Values: map[string]lab.Measure{
				"params": {Value: s.params}, "bytes": {Value: s.bytes}, "smaller": {Value: fm.bytes / s.bytes},
				"auc": {Value: auc - 0.004, Low: auc - 0.02, High: auc + 0.012, N: 1920}, "auc_soft": {Value: auc, Low: auc - 0.004, High: auc + 0.004, N: 1920},
				"auc_soft_delta": {Value: s.auc/fm.auc - 1}, "auc_ceiling": {Value: 0.7842},
				"ttft_cold_p50": {Value: cold, N: 40}, "ttft_cold_p99": {Value: 2 * cold, N: 40, Warning: "P99 of 40 samples"}, "ttft_hot_p50": {Value: cold / 5, N: 120}, "ttft_hot_p99": {Value: cold / 2, N: 120},
				"tokens_per_s": {Value: 20 / cold}, "cached": {Value: 0.6612},
			}})
		}
		add(lab.Event{Kind: lab.KindCell, Cell: cell.ID, State: lab.Done})
	}
	add(lab.Event{Kind: lab.KindNote, Level: lab.Warning, Cell: "seed=1", Text: "w4a16: 3 of 96 groups clipped"})
	add(lab.Event{Kind: lab.KindVerdict, Name: "smaller(row=w8a8) > 10", Held: true, Text: "23.6 > 10"})
	add(lab.Event{Kind: lab.KindVerdict, Name: "auc_soft(row=w4a16) > 0.76", Held: false, Text: "0.7566 is not > 0.76"})
	add(lab.Event{Kind: lab.KindEnd, State: lab.Done})
	return events
}

var epoch = time.Date(2026, 11, 24, 12, 4, 5, 0, time.UTC)

// fakeBench answers from memory. A run that it starts stops after the first `live` events of the
// fake log until it is cancelled.
type fakeBench struct {
	other      *Live // a run that another process writes
	live       int
	board      *lab.Board
	done       chan struct{}
	exported   []string
	stamp      string    // of mine.yaml
	requests   []Request // that were started
	deleted    []string
	compressed []Compression
	pinned     []string
	attached   []string
	engine     *fakeEngine                  // that was attached to last
	scare      string                       // foreign text, put wherever the lab could put some
	many       int                          // scenarios and runs in place of the others
	log        func(run string) []lab.Event // of each of many runs
}

func (f *fakeBench) Library(context.Context) (Library, error) {
	list := Library{Folder: "/work", Others: 2}
	for _, s := range f.scenarios() {
		list.Scenarios = append(list.Scenarios, ScenarioInfo{ID: s.ID, Name: s.Name, Place: s.Place, File: s.File, Stamp: s.Stamp, Pending: true})
	}
	return list, nil
}

func (f *fakeBench) Scenario(_ context.Context, id string) ScenarioInfo {
	for _, s := range f.scenarios() {
		if s.ID == id {
			return s
		}
	}
	return ScenarioInfo{ID: id, Err: errors.New("gone")}
}

func (f *fakeBench) scenarios() []ScenarioInfo {
	var names []string
	if f.many > 0 {
		var list []ScenarioInfo
		for i := range f.many {
			list = append(list, ScenarioInfo{ID: fmt.Sprintf("s%03d.yaml", i), Place: Own, File: fmt.Sprintf("s%03d.yaml", i), Name: fmt.Sprintf("scenario %d", i), About: "one of many", Cells: 3, Seeds: 1, Steps: []string{"a: train", "b: quantize"}})
		}
		return list
	}
	for _, s := range steps {
		names = append(names, s.name)
	}
	return []ScenarioInfo{
		{ID: "figure1", Name: "figure1", About: "a ranking model becomes more than 10× smaller, step by step; what each step costs in AUC and gains in bytes and latency" + f.scare, Cells: 3, Seeds: 3, Rows: names,
			Steps:  []string{"FM: the model pretrained:recsys-fm as it is", "distilled: FM into student (3 layers, hidden 96), fkl, 2400 steps", "mlp-37%: prune 37.5% of MLP neurons (osscar)", "mlp-37%-kd: distil from distilled, 600 steps", "heads-50%: prune half of the KV heads (osscar)", "heads-50%-kd: distil from distilled, 600 steps", "w8a8: quantize", "w4a16: quantize (GPTQ, groups of 32)"},
			Expect: []string{"smaller(row=w8a8) > 10", "auc_soft(row=mlp-37%-kd) > auc_soft(row=mlp-37%)"}},
		{ID: "own-data", Name: "own-data", About: "SFT and distillation on your own JSONL file", Cells: 1, Seeds: 1, Rows: []string{"teacher"}, Steps: []string{"teacher: train"}},
		{ID: "smoke", Name: "smoke", About: "every stage once, as small as it goes", Cells: 2, Seeds: 1, Rows: names, Steps: names, Sweep: []string{"loss: fkl, jsd:0.5"}},
		{ID: "mine.yaml", Place: Own, File: "mine.yaml" + f.scare, Stamp: f.stamp, Name: "mine" + f.scare, Text: "name: mine\ntask:\n  train: { stps: 3 }" + f.scare, Line: 3, Err: errors.New("mine.yaml:3:5: unknown key \"stps\": expected one of steps, batch" + f.scare)},
	}
}

func (f *fakeBench) Runs(context.Context) ([]RunInfo, error) {
	if f.many > 0 {
		var list []RunInfo
		for i := range f.many {
			list = append(list, RunInfo{ID: fmt.Sprintf("20261124-1130-many-%03d", i), Scenario: fmt.Sprintf("scenario %d", i), State: lab.Done, Started: epoch.Add(-time.Duration(i) * time.Hour), Duration: time.Minute, Machine: "Xeon"})
		}
		return list, nil
	}
	return []RunInfo{
		{ID: "20261124-1130-figure1-a1", Scenario: "figure1" + f.scare, State: lab.Done, Started: epoch.Add(-34 * time.Minute), Duration: 723 * time.Second, Machine: "Xeon · 2 cores · avx512" + f.scare},
		{ID: "20261123-1822-figure1-b2", Scenario: "figure1", State: lab.Done, Started: epoch.Add(-18 * time.Hour), Duration: 53 * time.Second, Quick: true, Settings: []string{"distilled.steps=50"}, Seeds: 1, Seed: 7, Machine: "Xeon · 2 cores · avx512"},
		{ID: "20261123-1801-smoke-c3", Scenario: "smoke", State: lab.Failed, Started: epoch.Add(-18*time.Hour - 3*time.Minute), Duration: 4 * time.Second, Machine: "Xeon · 2 cores · avx512"},
		{ID: "20261122-0900-smoke-d4", Scenario: "smoke", State: lab.Damaged, Started: epoch.Add(-51 * time.Hour), Err: errors.New("record 17: checksum differs")},
	}, nil
}

func (f *fakeBench) Figures(_ context.Context, run string) (RunFigures, error) {
	if f.many == 0 && !strings.Contains(run, "figure1") {
		return RunFigures{}, fmt.Errorf("run %s: not found", run)
	}
	figures := RunFigures{Headline: Headline{"0.7644", "±0.0040", "AUC exp.", "distilled" + f.scare}, Models: []string{"pretrained:recsys-fm"}}
	for _, s := range steps {
		figures.Rows = append(figures.Rows, RowFigures{s.name, map[string]float64{"auc_soft": s.auc, "bytes": s.bytes}})
	}
	return figures, nil
}

func (f *fakeBench) Preview(_ context.Context, r Request) (Preview, error) {
	p := Preview{
		Name: "figure1" + f.scare, Cells: 3, Points: 1, Seeds: 3, Build: 20, Cached: 3, Loaded: 1, Bytes: 41_000_000, Free: 52_000_000_000, Folder: "/home/me/.local/share/slimlab" + f.scare,
		Duration: "less than 7m 01s: the longest run took 7m 01s for 3 cells, and 13% of the models are there" + f.scare, Keys: []string{"distilled.steps", "distilled.batch", "task.members", "seeds"},
	}
	for _, s := range r.Set {
		if key, _, _ := strings.Cut(s, "="); !slices.Contains(p.Keys, key) {
			return p, fmt.Errorf("--set %s: unknown key %q: expected one of task, distilled%s", s, key, f.scare)
		}
	}
	if r.Scenario != "figure1" {
		p.Notes = []string{"figure1, which ships, has changed since: the text of the run is used" + f.scare}
	}
	return p, nil
}

func (f *fakeBench) Candidates(context.Context) (Candidates, error) {
	return Candidates{
		Models: []Candidate{{"models/small" + f.scare, "LlamaForCausalLM, 2 layers" + f.scare}, {"models/other.gguf", "GGUF"}}, Data: []Candidate{{"texts.jsonl", "1.2MB"}},
		Ratios: []string{"0", "0.2", "0.4"}, Schemes: []string{"none", "w8a8", "w4a16", "fp8"},
	}, nil
}

func (f *fakeBench) Compress(_ context.Context, c Compression) (id string, notes []string, err error) {
	if strings.Contains(c.Model, "nowhere") {
		return "", nil, errors.New("model nowhere: no such folder" + f.scare)
	}
	f.compressed = append(f.compressed, c)
	return "mine.yaml", []string{"65 records of a sample" + f.scare}, nil
}

func (f *fakeBench) Kept(_ context.Context, run string) bool { return !slices.Contains(f.deleted, run) }

func (f *fakeBench) Delete(_ context.Context, run string) error {
	if strings.Contains(run, "smoke") {
		return fmt.Errorf("run %s is running: stop it first", run)
	}
	f.deleted = append(f.deleted, run)
	return nil
}

func (f *fakeBench) Start(_ context.Context, r Request) (*Live, error) {
	f.requests = append(f.requests, r)
	if r.Scenario != "figure1" && !strings.Contains(r.Scenario, "figure1") {
		return nil, fmt.Errorf("scenario %s: no such model", r.Scenario)
	}
	events := fakeLog("20261124-1204-figure1-e5", 3, 0)
	events[0].Begin.Quick = r.Quick
	f.board, f.done = lab.Fold(events[:f.live]), make(chan struct{})
	return &Live{RunID: "20261124-1204-figure1-e5", Board: f.board, Done: f.done, Cancel: func() {
		f.board.Apply(lab.Event{Kind: lab.KindEnd, Time: 30, State: lab.Stopped, Text: "interrupted"})
		close(f.done)
	}}, nil
}

func (f *fakeBench) Follow(_ context.Context, run string) *Live {
	if f.other == nil || f.other.RunID != run {
		return nil
	}
	return f.other
}

func (f *fakeBench) Open(ctx context.Context, run string) (*lab.Board, error) {
	events, err := f.Events(ctx, run)
	return lab.Fold(events), err
}

func (f *fakeBench) Events(_ context.Context, run string) ([]lab.Event, error) {
	switch {
	case f.many > 0:
		return f.log(run), nil
	case run == "20261124-1130-figure1-a1":
		return frighten(tokensLog(3), f.scare), nil
	case run == "20261123-1822-figure1-b2":
		return fakeLog(run, 3, -0.01), nil
	case run == "20261123-1801-smoke-c3": // of another scenario, stopped half way
		log := fakeLog(run, 2, 0.01)
		log[0].Begin.Scenario, log[0].Begin.Hash = "smoke", "77aa"
		return log[:len(log)*2/5], nil
	case run == sweepRun:
		return frighten(sweepLog(3, 4, 2), f.scare), nil
	case run == DemoRun:
		return fakeLog(run, 1, 0), nil
	}
	return nil, fmt.Errorf("run %s: not found", run)
}

func (f *fakeBench) Export(_ context.Context, run, format, path string, shown report.Shown) error {
	if strings.HasPrefix(path, "/full") {
		return errors.New("write /full/x: no space left on device")
	}
	f.exported = append(f.exported, strings.TrimSpace(run+" "+format+" "+path+" "+aboutShown(shown)))
	return nil
}

// Settings are the temperature, which differs between runs, and the seed.
func (f *fakeBench) Settings(b lab.Begin) ([]report.Setting, error) {
	return []report.Setting{{Key: "distilled.temperature" + f.scare, Value: fmt.Sprintf("%d", len(b.Run)) + f.scare}, {Key: "distilled.steps", Value: "300"}}, nil
}

func (f *fakeBench) ExportComparison(_ context.Context, c *report.Runs, format, path string) error {
	f.exported = append(f.exported, fmt.Sprintf("%d runs %s %s", len(c.Runs), format, path))
	return nil
}

func (f *fakeBench) Pin(run string) error {
	f.pinned = append(f.pinned, run)
	return nil
}

// frighten puts foreign text into every text of a log.
func frighten(events []lab.Event, scare string) []lab.Event {
	if scare == "" {
		return events
	}
	for i := range events {
		e := &events[i]
		e.Text += scare
		if e.Begin != nil {
			for _, axes := range e.Begin.Depends {
				for k := range axes {
					axes[k] += scare
				}
			}
		}
		switch {
		case e.Begin != nil:
			e.Begin.Scenario, e.Begin.Machine = e.Begin.Scenario+scare, e.Begin.Machine+scare
			for j := range e.Begin.Rows {
				e.Begin.Rows[j] += scare
			}
			for j := range e.Begin.Cells {
				c := &e.Begin.Cells[j]
				c.ID += scare
				for k := range c.Params {
					c.Params[k].Key, c.Params[k].Value = c.Params[k].Key+scare, c.Params[k].Value+scare
				}
			}
		case e.Kind == lab.KindPoint:
			at := strings.LastIndex(e.Name, ".")
			e.Name = e.Name[:at] + scare + e.Name[at:]
		case e.Sample != nil:
			e.Sample.Prompt, e.Sample.Answer = e.Sample.Prompt+scare, e.Sample.Answer+scare
			e.Sample.Cut()
		case e.Kind == lab.KindVerdict:
			e.Name += scare
		case e.Matrix != nil:
			e.Name += scare
			m := *e.Matrix
			m.RowLabels, m.ColumnLabels = slices.Clone(m.RowLabels), slices.Clone(m.ColumnLabels)
			for j := range m.RowLabels {
				m.RowLabels[j] += scare
			}
			for j := range m.ColumnLabels {
				m.ColumnLabels[j] += scare
			}
			e.Matrix = &m
		}
		if e.Cell != "" {
			e.Cell += scare
		}
		if e.Row != "" {
			e.Row += scare
		}
		if e.Stage != "" {
			e.Stage += scare
		}
	}
	return events
}

// script drives a model with keys, as a terminal would, with a stopped clock.
type script struct {
	t     testing.TB
	m     *model
	bench *fakeBench
	quit  bool
}

func plainTheme(ascii bool) theme {
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.Ascii)
	return themeNamed(r, "dark", "", ascii)
}

func newScript(t testing.TB, width, height int, o Options) *script {
	if o.Scenario == "" {
		o.Scenario = "figure1"
	}
	o.Machine = "Xeon · 2 cores · avx512"
	f := &fakeBench{live: 520}
	return openScript(t, f, width, height, o)
}

// openScript opens the workbench on a bench, without the commands that wait: ticks and ends are
// sent by hand.
func openScript(t testing.TB, f *fakeBench, width, height int, o Options) *script {
	s := &script{t: t, bench: f, m: newModel(context.Background(), f, o, plainTheme(o.ASCII), func() time.Time { return epoch })}
	s.m.tickLater = func(time.Duration) tea.Cmd { return nil }
	s.m.lookLater = func() tea.Cmd { return nil }
	s.m.awaitEnd = func(*session) tea.Cmd { return nil }
	s.serveScreen().later = func(Engine, time.Duration) tea.Cmd { return nil }
	s.run(s.m.Init())
	s.send(tea.WindowSizeMsg{Width: width, Height: height})
	return s
}

func (s *script) send(msg tea.Msg) {
	_, cmd := s.m.Update(msg)
	s.m.View()
	s.run(cmd)
}

// run does what a command does.
func (s *script) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.QuitMsg:
		s.quit = true
	case tea.BatchMsg:
		for _, c := range msg {
			s.run(c)
		}
	default:
		s.send(msg)
	}
}

var namedKeys = map[string]tea.KeyMsg{
	"enter": {Type: tea.KeyEnter}, "esc": {Type: tea.KeyEsc}, "tab": {Type: tea.KeyTab}, "up": {Type: tea.KeyUp}, "down": {Type: tea.KeyDown},
	"left": {Type: tea.KeyLeft}, "right": {Type: tea.KeyRight}, "space": {Type: tea.KeySpace, Runes: []rune(" ")}, "pgdown": {Type: tea.KeyPgDown}, "pgup": {Type: tea.KeyPgUp},
	"home": {Type: tea.KeyHome}, "end": {Type: tea.KeyEnd}, "backspace": {Type: tea.KeyBackspace}, "ctrl+c": {Type: tea.KeyCtrlC}, "ctrl+u": {Type: tea.KeyCtrlU}, "ctrl+w": {Type: tea.KeyCtrlW},
	"shift+tab": {Type: tea.KeyShiftTab}, "delete": {Type: tea.KeyDelete}, "f1": {Type: tea.KeyF1}, "f2": {Type: tea.KeyF2}, "f3": {Type: tea.KeyF3}, "f4": {Type: tea.KeyF4},
}

// keys sends keys written as text, named ones in angle brackets: "jj<enter>/kd<enter>".
func (s *script) keys(line string) *script {
	for line != "" {
		if name, rest, ok := strings.Cut(line[1:], ">"); ok && line[0] == '<' {
			if k, known := namedKeys[name]; known {
				s.send(k)
				line = rest
				continue
			}
		}
		r := []rune(line)[0]
		s.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}})
		line = line[len(string(r)):]
	}
	return s
}

func (s *script) screen() string { return s.m.View() }

func (f *fakeBench) Model(_ context.Context, q ModelQuery) ModelInfo {
	if q.Step == "FM" {
		return ModelInfo{Does: "FM: measure FM as it is" + f.scare, Settings: []Setting{{"model", "FM", false}}, Absent: errors.New("its model is not in this home" + f.scare)}
	}
	return ModelInfo{
		Does:     q.Step + ": distil FM into student by fkl, 2400 steps of 16" + f.scare,
		Stages:   stagesOfFake(q.Step, f.scare),
		Settings: []Setting{{"into", "student" + f.scare, false}, {"teacher", "FM", false}, {"steps", "2400", false}, {"loss", "fkl", true}, {"clip", "1", true}, {"precision", "float32", true}},
		Model:    "/home/me/slimlab/artifacts/0123456789abcdef" + f.scare, Bytes: 1_433_210,
		Shape:   []string{"LlamaForCausalLM, 358k parameters in 1.432MB" + f.scare},
		Engines: []string{"transformers loads", "vLLM loads", "SGLang loads", "llama.cpp does not load: it reads GGUF. Instead: slimlab export" + f.scare},
	}
}

// Tokens answers "kept" and what begins with it.
func (f *fakeBench) Tokens(_ context.Context, key string) (*tokenview.View, error) {
	if !strings.HasPrefix(key, "kept") {
		return nil, errors.New("its tokens are not in this home" + f.scare)
	}
	return tokensView(f.scare), nil
}

// stagesOfFake are the trainings up to a step of the fake run.
func stagesOfFake(step, scare string) (stages []string) {
	for _, s := range steps {
		if s.train > 0 {
			stages = append(stages, s.name+scare)
		}
		if s.name+scare == step {
			break
		}
	}
	return stages
}
