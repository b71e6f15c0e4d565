package run

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
)

// chain is every kind of stage once, as small as it goes.
const chain = `
name: chain
task: { kind: recsys, members: 40, candidates: 2 }
tokenizer: { vocab: 600 }
models:
  teacher-shape: { layers: 2, hidden: 32, heads: 4, kv_heads: 2, head_dim: 8, mlp: 64 }
  student-shape: { layers: 1, hidden: 16, heads: 2, kv_heads: 2, head_dim: 8, mlp: 32 }
pipeline:
  - train:    { name: teacher, into: teacher-shape, steps: 6, batch: 4, learning_rate: 3e-3 }
  - distil:   { name: student, into: student-shape, teacher: teacher, steps: 6, batch: 4, learning_rate: 3e-3 }
  - prune:    { name: pruned, mlp: 0.25, align: 8, heads: 0.5, calibration: { samples: 12 } }
  - distil:   { name: healed, teacher: teacher, steps: 3, batch: 4 }
  - quantize: { name: w8a8, from: healed, scheme: w8a8 }
  - quantize: { name: w4a16, from: healed, scheme: w4a16-gptq, group: 8, calibration: { samples: 12 } }
evaluate: { validation: 8 }
serve: { members: 3, candidates: 3 }
`

// newHome opens a home of its own.
func newHome(t testing.TB) *home.Home {
	t.Helper()
	return openHome(t, t.TempDir())
}

func openHome(t testing.TB, folder string) *home.Home {
	t.Helper()
	return home.Open(folder, "test")
}

// parse makes a plan of a scenario's text.
func parse(t testing.TB, text string, o scenario.Options) *scenario.Plan {
	t.Helper()
	o.Vocabulary = Vocabulary()
	s, err := scenario.Parse("test.yaml", []byte(text), o)
	if err != nil {
		t.Fatal(err)
	}
	return s.Plan()
}

// clock leaps at each look, so that no event is held back because it comes too soon after another.
func clock() func() time.Time {
	var looks atomic.Int64
	return func() time.Time { return time.Unix(1e9, 0).Add(time.Duration(looks.Add(1)) * 200 * time.Millisecond) }
}

// work runs a plan to its end.
func work(t testing.TB, h *home.Home, plan *scenario.Plan, o Options) (Outcome, error) {
	t.Helper()
	return workUntil(t, h, plan, o, func(lab.Event) bool { return false })
}

// workUntil runs a plan and interrupts it at the first event that stop is true of.
func workUntil(t testing.TB, h *home.Home, plan *scenario.Plan, o Options, stop func(lab.Event) bool) (Outcome, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sink := o.Sink
	o.Sink = func(e lab.Event) {
		if sink != nil {
			sink(e)
		}
		if stop(e) {
			cancel()
		}
	}
	if o.Now == nil {
		o.Now = clock()
	}
	r, err := Start(t.Context(), h, plan, o)
	if err != nil {
		t.Fatal(err)
	}
	return r.Work(ctx)
}

func mustWork(t testing.TB, h *home.Home, plan *scenario.Plan, o Options) Outcome {
	t.Helper()
	out, err := work(t, h, plan, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// figures writes one seed's deterministic part of a table, bit for bit.
func figures(b *lab.Board, seed int) string {
	var text strings.Builder
	view := b.Snapshot()
	for i := range view.Rows {
		row := &view.Rows[i]
		fmt.Fprintln(&text, row.Label(), row.State)
		for _, metric := range lab.Metrics() {
			s, _ := row.Metric(metric.Key)
			for _, m := range s.Seeds {
				if m.Seed == seed && !metric.Timing {
					fmt.Fprintf(&text, "  %s %.6g [%x %x %x]\n", metric.Key, m.Value, math.Float64bits(m.Value), math.Float64bits(m.Low), math.Float64bits(m.High))
				}
			}
		}
	}
	return text.String()
}

func sameFigures(t *testing.T, got, want *lab.Board, seeds ...int) {
	t.Helper()
	for _, seed := range seeds {
		if g, w := figures(got, seed), figures(want, seed); g != w {
			t.Errorf("seed %d: figures are\n%s\nexpected\n%s", seed, g, w)
		}
	}
}

// reference is the chain's run with two seeds from nothing to its end, cell after cell. Other runs
// are compared with it.
type reference struct {
	home   string
	run    string
	board  *lab.Board
	events []lab.Event
}

var makeReference = sync.OnceValues(func() (*reference, error) {
	ref := &reference{home: filepath.Join(scratch, "reference")}
	s, err := scenario.Parse("test.yaml", []byte(chain), scenario.Options{Vocabulary: Vocabulary(), Seeds: 2})
	if err != nil {
		return nil, err
	}
	r, err := Start(context.Background(), home.Open(ref.home, "test"), s.Plan(), Options{Jobs: 1, Now: clock(), Sink: func(e lab.Event) { ref.events = append(ref.events, e) }})
	if err != nil {
		return nil, err
	}
	ref.run, ref.board = r.ID, r.Board
	_, err = r.Work(context.Background())
	return ref, err
})

func theReference(t testing.TB) *reference {
	t.Helper()
	ref, err := makeReference()
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// copyHome opens a copy of the reference's home, with those artifacts that keep is true of.
func copyHome(t testing.TB, keep func(title string) bool) *home.Home {
	t.Helper()
	ref := theReference(t)
	folder := t.TempDir()
	for _, dir := range artifactDirs(t, openHome(t, ref.home), keep) {
		if err := os.CopyFS(filepath.Join(folder, "artifacts", filepath.Base(dir)), os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
	return openHome(t, folder)
}

// copyRuns adds the logs of the reference's home.
func copyRuns(t testing.TB, h *home.Home) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(h.Folder, "runs"), os.DirFS(filepath.Join(theReference(t).home, "runs"))); err != nil {
		t.Fatal(err)
	}
}

func onlyTokenizer(title string) bool { return title == "tokenizer" }
func everything(string) bool          { return true }

// artifactDirs lists the folders of the artifacts whose titles keep is true of.
func artifactDirs(t testing.TB, h *home.Home, keep func(title string) bool) (dirs []string) {
	t.Helper()
	entries, err := h.Artifacts.Entries()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Condition != store.Complete {
			t.Fatalf("%s is %s", e.Name, e.Condition)
		}
		if keep(e.Title) {
			dirs = append(dirs, filepath.Join(h.Folder, "artifacts", e.Name))
		}
	}
	return dirs
}

// scratch is a folder for what all tests share.
var scratch string

func TestMain(m *testing.M) {
	if home := os.Getenv(killHome); home != "" {
		workAndDie(home, os.Getenv(killText), os.Getenv(killAt))
	}
	var err error
	if scratch, err = os.MkdirTemp("", "run-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

func TestPipeline(t *testing.T) {
	ref := theReference(t)
	view := ref.board.Snapshot()
	if view.State != lab.Done || view.Errors != 0 {
		t.Fatalf("run is %s: %s", view.State, view)
	}
	value := func(row, key string) float64 {
		for i := range view.Rows {
			if view.Rows[i].Name == row {
				s, ok := view.Rows[i].Metric(key)
				if !ok || len(s.Seeds) != 2 {
					t.Errorf("row %s: %s of %d seeds, expected 2", row, key, len(s.Seeds))
				}
				return s.Value
			}
		}
		t.Fatalf("no row %s", row)
		return 0
	}
	trained := map[string]bool{"teacher": true, "student": true, "healed": true}
	for _, row := range view.Begin.Rows {
		for _, m := range lab.Metrics() {
			// of other tasks, or a rise of memory: so small a model may show none where
			// garbage is collected meanwhile
			of := m.Section == lab.Simulation || m.Section == lab.ABTest || strings.HasPrefix(m.Key, "ttft_load") || m.Key == "memory_peak" || m.Key == "loss_test" || strings.HasPrefix(m.Key, "auc") && !slices.Contains(ranked["recsys"], m.Key) || slices.Contains(reasoned, m.Key) || m.Key == "perplexity" || slices.Contains(choiceMetrics, m.Key) || slices.Contains([]string{"accuracy", "f1", "tpot_p50", "tpot_p99"}, m.Key)
			if of || m.Key == "paper" || m.Key == "cache_bytes_per_token" || m.Key == "kv_bytes_per_token" || m.Key == "train_tokens_per_s" && !trained[row] {
				continue
			}
			if x := value(row, m.Key); math.IsNaN(x) || math.IsInf(x, 0) {
				t.Errorf("row %s: %s is %v", row, m.Key, x)
			}
		}
		if x := value(row, "smaller"); x != value("teacher", "bytes")/value(row, "bytes") {
			t.Errorf("row %s: %v times smaller", row, x)
		}
		if x := value(row, "cached"); x <= 0.3 || x >= 1 {
			t.Errorf("row %s: %v of the prompts cached", row, x)
		}
	}
	for key, want := range map[string]float64{"auc_delta": 0, "auc_soft_delta": 0, "loss_delta": 0, "smaller": 1, "params_kept": 1, "agreement": 1, "mlp_kept": 1, "heads_kept": 1, "kl": 0, "kl_p99": 0, "flips": 0, "mcnemar": 1, "effective_bits": 16} {
		if x := value("teacher", key); x != want {
			t.Errorf("the baseline's %s is %v, expected %v", key, x, want)
		}
	}
	for _, key := range []string{"params", "bytes"} {
		if !(value("teacher", key) > value("student", key) && value("student", key) > value("pruned", key)) || value("pruned", key) != value("healed", key) {
			t.Errorf("%s do not shrink step by step", key)
		}
	}
	if value("w8a8", "bytes") >= value("healed", "bytes") || value("w4a16", "bytes") >= value("w8a8", "bytes") || value("w8a8", "params") != value("healed", "params") {
		t.Error("quantization does not shrink the bytes, or changes the parameters")
	}
	// what is no block's linear layer is the same of all three: their bytes, scales counted, are
	// the rest of those of the checkpoint
	weights := (value("healed", "bytes") - value("w8a8", "bytes")) * 8 / (16 - value("w8a8", "effective_bits"))
	rest := value("healed", "bytes") - 2*weights
	if x := value("w4a16", "bytes") - value("w4a16", "effective_bits")/8*weights; math.Abs(x-rest) > 1e-6*rest {
		t.Errorf("w4a16 takes %v bytes beside its linear layers, expected %v", x, rest)
	}
	for row, bits := range map[string]float64{"w8a8": 8, "w4a16": 4} {
		if x := value(row, "effective_bits"); !(x > bits && x < 2.5*bits) {
			t.Errorf("row %s: %v bits a weight with its scales, expected more than %v", row, x, bits)
		}
	}
	for _, row := range []string{"student", "pruned", "w4a16"} {
		for _, key := range []string{"kl", "agreement", "flips"} {
			for _, r := range view.Rows {
				if s, ok := r.Metric(key); ok && r.Name == row && !(s.Seeds[0].Low < s.Seeds[0].High && s.Seeds[0].Low <= s.Seeds[0].Value && s.Seeds[0].Value <= s.Seeds[0].High) {
					t.Errorf("row %s: %s is %+v, expected an interval around it", row, key, s.Seeds[0].Measure)
				}
			}
		}
		if lost, won, all := value(row, "flips_lost"), value(row, "flips_won"), value(row, "flips"); math.Abs(lost+won-all) > 1e-12 {
			t.Errorf("row %s: %v lost and %v won of %v flips, expected their sum", row, lost, won, all)
		}
		if value(row, "kl_p99") < value(row, "kl") {
			t.Errorf("row %s: P99 of KL is below the mean", row)
		}
	}
	if value("pruned", "mlp_kept") != 0.75 || value("w4a16", "mlp_kept") != 0.75 || value("pruned", "heads_kept") != 0.5 {
		t.Error("the widths are not those that pruning was asked for")
	}
}

// TestLogIsTheBoard: what is on disk folds to what was seen live.
func TestLogIsTheBoard(t *testing.T) {
	ref := theReference(t)
	run, err := openHome(t, ref.home).Logs.Read(ref.run)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := lab.Fold(run.Events).Snapshot().String(), ref.board.Snapshot().String(); got != want {
		t.Errorf("the log folds to\n%s\nexpected\n%s", got, want)
	}
	if got, want := lab.Fold(ref.events).Snapshot().String(), ref.board.Snapshot().String(); got != want {
		t.Errorf("what the sink saw folds to\n%s\nexpected\n%s", got, want)
	}
}

func TestAgainFindsAll(t *testing.T) {
	ref := theReference(t)
	h := copyHome(t, everything)
	before := artifactDirs(t, h, everything)
	o := Options{Sink: func(e lab.Event) {
		if e.Kind == lab.KindCell && e.Total > 0 || e.Text == "evaluate" || e.Text == "serve" {
			t.Errorf("stage %s was worked on again: %+v", e.Stage, e)
		}
	}}
	out := mustWork(t, h, parse(t, chain, scenario.Options{Seeds: 2}), o)
	sameFigures(t, out.Board, ref.board, 1, 2)
	if after := artifactDirs(t, h, everything); len(after) != len(before) {
		t.Errorf("%d artifacts, expected the %d of the first run", len(after), len(before))
	}
	view := out.Board.Snapshot()
	for _, key := range []string{"ttft_cold_p50", "tokens_per_s", "train_tokens_per_s"} {
		if s, _ := view.Rows[0].Metric(key); len(s.Warnings) == 0 || !strings.Contains(strings.Join(s.Warnings, "; "), ref.run) {
			t.Errorf("%s does not say that it is of run %s: %q", key, ref.run, s.Warnings)
		}
	}
	if len(view.Notes) == 0 || !strings.Contains(view.Notes[0].Text, "25.0% of MLP neurons") {
		t.Errorf("the second run does not report what pruning did: %v", view.Notes)
	}
}

// TestElsewhere: another home, cells side by side, from nothing.
func TestElsewhere(t *testing.T) {
	ref := theReference(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	h := newHome(t)
	out := mustWork(t, h, parse(t, chain, scenario.Options{Seeds: 2}), Options{Jobs: 2})
	sameFigures(t, out.Board, ref.board, 1, 2)
	if n, of := len(artifactDirs(t, h, everything)), len(artifactDirs(t, openHome(t, ref.home), everything)); n != of {
		t.Errorf("%d artifacts, the reference made %d", n, of)
	}
}

// TestFresh: what is there is made again, once, and comes out the same.
func TestFresh(t *testing.T) {
	ref := theReference(t)
	h := copyHome(t, everything)
	trained := map[string]int{}
	out := mustWork(t, h, parse(t, chain, scenario.Options{}), Options{Fresh: true, Sink: func(e lab.Event) {
		if e.Kind == lab.KindCell && e.Step == e.Total && e.Total > 0 {
			trained[e.Stage]++
		}
	}})
	sameFigures(t, out.Board, ref.board, 1)
	if want := map[string]int{"teacher": 1, "student": 1, "pruned": 1, "healed": 1, "w8a8": 1, "w4a16": 1}; !maps.Equal(trained, want) {
		t.Errorf("stages worked on: %v, expected %v", trained, want)
	}
}
