package run

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/scenario"
	"slimlab/model/checkpoint"
	"slimlab/model/weight"
)

// TestCorruptArtifact: damage of any kind is noticed and reported, and the damaged artifact is made
// again.
func TestCorruptArtifact(t *testing.T) {
	ref := theReference(t)
	one := func(h *home.Home, recipe, file string) string {
		dirs := artifactDirs(t, h, func(r string) bool { return r == recipe })
		return filepath.Join(dirs[0], file)
	}
	flip := func(text []byte) []byte { text[len(text)/2] ^= 0x10; return text }
	truncate := func(text []byte) []byte { return text[:len(text)/2] }
	for _, c := range []struct {
		recipe, file string
		damage       func([]byte) []byte
	}{
		{"train teacher", "model.safetensors", flip},
		{"distil student", "model.safetensors", truncate},
		{"prune pruned", "slimlab.json", flip},
		{"quantize w4a16", "artifact.msgpack", truncate},
		{"evaluation of healed", "slimlab.json", truncate},
		{"serving of w8a8", "slimlab.json", flip},
		{"tokenizer", "tokenizer.json", flip},
	} {
		t.Run(c.recipe+" "+c.file, func(t *testing.T) {
			h := copyHome(t, everything)
			path := one(h, c.recipe, c.file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.damage(text), 0o644); err != nil {
				t.Fatal(err)
			}
			out := mustWork(t, h, parse(t, chain, scenario.Options{Seeds: 2}), Options{})
			sameFigures(t, out.Board, ref.board, 1, 2)
			var warnings []string
			for _, n := range out.Board.Snapshot().Notes {
				if n.Level == lab.Warning {
					warnings = append(warnings, n.Text)
				}
			}
			if len(warnings) != 1 || !strings.HasPrefix(warnings[0], c.recipe+": artifact ") || !strings.Contains(warnings[0], c.file) {
				t.Errorf("warnings %q, expected one warning of %s", warnings, c.recipe)
			}
		})
	}
}

// TestForeignLog: the damaged log of another run is listed as such, and harms no run.
func TestForeignLog(t *testing.T) {
	h := copyHome(t, everything)
	const id = "20010101-000000-other-0000"
	if err := os.MkdirAll(filepath.Join(h.Folder, "runs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.Folder, "runs", id+".runlog"), []byte("no log"), 0o644); err != nil {
		t.Fatal(err)
	}
	mustWork(t, h, parse(t, chain, scenario.Options{}), Options{})
	runs, err := h.Logs.List()
	if err != nil || len(runs) != 2 {
		t.Fatalf("%d runs, error %v; expected 2", len(runs), err)
	}
	for _, r := range runs {
		if (r.Problem != nil) != (r.ID == id) {
			t.Errorf("run %s has the problem %v", r.ID, r.Problem)
		}
	}
}

// fullDisk is a log on a disk that has room for so many events.
type fullDisk struct {
	logWriter
	room int
	err  error
}

func (d *fullDisk) Append(e lab.Event) error {
	if d.room--; d.room < 0 {
		d.err = fmt.Errorf("run log: %w", syscall.ENOSPC)
	}
	if d.err != nil {
		return d.err
	}
	return d.logWriter.Append(e)
}

func (d *fullDisk) Flush() error {
	if d.err != nil {
		return d.err
	}
	return d.logWriter.Flush()
}

func (d *fullDisk) Close() error { return errors.Join(d.logWriter.Close(), d.err) }

// TestFullDisk: a log that cannot be written stops the run with one error; what was finished stays.
func TestFullDisk(t *testing.T) {
	ref := theReference(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction("slimlab/kernels/parallel.(*worker).loop"))
	h := copyHome(t, onlyTokenizer)
	plan := parse(t, chain, scenario.Options{Seeds: 2})
	o := Options{Now: clock(), Jobs: 2}
	var seen []lab.Event
	o.Sink = func(e lab.Event) { seen = append(seen, e) }
	r, err := Start(t.Context(), h, plan, o)
	if err != nil {
		t.Fatal(err)
	}
	r.log = &fullDisk{logWriter: r.log, room: 80}
	out, err := r.Work(t.Context())
	if !errors.Is(err, syscall.ENOSPC) || out.State != lab.Failed {
		t.Fatalf("run is %s, error %v; expected no space", out.State, err)
	}
	view := out.Board.Snapshot()
	if view.State != lab.Failed || view.Error != err.Error() || strings.Count(view.Error, "no space") != 1 {
		t.Errorf("the board says %s: %s", view.State, view.Error)
	}
	for _, c := range view.Cells {
		if c.State != lab.Stopped {
			t.Errorf("cell %s is %s, expected a cancelled one", c.ID, c.State)
		}
	}
	if got := lab.Fold(seen).Snapshot().String(); got != view.String() {
		t.Errorf("what the sink saw folds to\n%s\nexpected\n%s", got, view)
	}
	trained := len(artifactDirs(t, h, func(title string) bool { return title == "train teacher" }))
	if trained == 0 {
		t.Error("no teacher was finished before the disk was full, or it is gone")
	}
	out = mustWork(t, h, plan, Options{})
	sameFigures(t, out.Board, ref.board, 1, 2)
}

// TestLogWithoutEnd: all is done, and then the log's last event cannot be written.
func TestLogWithoutEnd(t *testing.T) {
	h := copyHome(t, everything)
	events := 0
	for _, room := range []int{1 << 30, -1} {
		r, err := Start(t.Context(), h, parse(t, chain, scenario.Options{}), Options{Now: clock()})
		if err != nil {
			t.Fatal(err)
		}
		if room < 0 {
			room = events - 1 // all but the end
		}
		disk := &fullDisk{logWriter: r.log, room: room}
		r.log = disk
		out, err := r.Work(t.Context())
		view := out.Board.Snapshot()
		if room == 1<<30 {
			if err != nil {
				t.Fatal(err)
			}
			events = room - disk.room
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) || out.State != lab.Failed || view.State != lab.Failed || view.Error != err.Error() {
			t.Errorf("run is %s, error %v; the board says %s: %s", out.State, err, view.State, view.Error)
		}
		if view.Cells[0].State != lab.Done {
			t.Errorf("the cell is %s, but it was done", view.Cells[0].State)
		}
	}
}

const two = `
name: two
task: { kind: recsys, members: 40, candidates: 2 }
tokenizer: { vocab: 600 }
models:
  shape: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 48 }
pipeline:
  - train:    { name: base, into: shape, steps: 3, batch: 2 }
  - quantize: { name: small, scheme: w4a16-rtn, group: "${group}" }
evaluate: { validation: 4 }
sweep: { group: [8, 16] }
columns: [bytes, auc]
expect: [ "bytes(row=base) > 0" ]
`

// oneBroken is a scenario of which the first of two cells fails, for a weight that is not a number.
func oneBroken(t *testing.T) *scenario.Plan {
	t.Helper()
	folders := []string{savedTeacher(t), savedTeacher(t)}
	m := readModel(t, folders[0])
	m.Blocks[1].Down.Weight.(*weight.Dense).Data[7] = float32(math.NaN())
	if err := checkpoint.Save(t.Context(), folders[0], m, nil, checkpoint.SaveOptions{DType: checkpoint.BF16}); err != nil {
		t.Fatal(err)
	}
	return parse(t, fmt.Sprintf(`
name: broken
task: { kind: recsys, members: 40, candidates: 2 }
models:
  shape: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 48 }
  given: { load: "${folder}" }
pipeline:
  - train:    { name: base, into: shape, steps: 3, batch: 2 }
  - quantize: { name: small, from: given, scheme: w8a8 }
evaluate: { validation: 4 }
sweep: { folder: [%q, %q] }
columns: [bytes, auc]
expect: [ "bytes(row=base) > 0", "bytes(row=small) > 1e9" ]
`, folders[0], folders[1]), scenario.Options{})
}

// TestTensorThatIsNotFiniteIsNamed: of a student and of a teacher, also of one that is asked for a
// file or writes the answers.
func TestTensorThatIsNotFiniteIsNamed(t *testing.T) {
	good, bad := savedTeacher(t), savedTeacher(t)
	m := readModel(t, bad)
	m.Blocks[1].Down.Weight.(*weight.Dense).Data[7] = float32(math.NaN())
	if err := checkpoint.Save(t.Context(), bad, m, nil, checkpoint.SaveOptions{DType: checkpoint.BF16}); err != nil {
		t.Fatal(err)
	}
	const tensor = ": tensor model.layers.1.mlp.down_proj.weight has NaN at element 7, expected finite numbers"
	for step, want := range map[string]string{
		"from: bad, teacher: good": "student bad", "from: good, teacher: bad": "teacher " + bad, "from: good, teacher: bad, cache: exact": "teacher " + bad,
	} {
		_, err := work(t, copyHome(t, onlyTokenizer), parse(t, fmt.Sprintf(`
name: broken
task: { kind: recsys, members: 40, candidates: 2 }
models: { good: { load: %q }, bad: { load: %q } }
pipeline:
  - distil: { name: kd, %s, steps: 3, batch: 2 }
evaluate: { validation: 4 }
columns: [bytes]
`, good, bad, step), scenario.Options{}), Options{})
		if err == nil || !strings.Contains(err.Error(), want+tensor) {
			t.Errorf("%s: %v, expected %q", step, err, want+tensor)
		}
	}
}

// TestEvaluationNamesTheTensor: of a model that cannot be measured, since a number of it is none,
// the tensor is named.
func TestEvaluationNamesTheTensor(t *testing.T) {
	bad := savedTeacher(t)
	m := readModel(t, bad)
	m.Blocks[1].Down.Weight.(*weight.Dense).Data[7] = float32(math.NaN())
	if err := checkpoint.Save(t.Context(), bad, m, nil, checkpoint.SaveOptions{DType: checkpoint.BF16}); err != nil {
		t.Fatal(err)
	}
	_, err := work(t, copyHome(t, onlyTokenizer), parse(t, fmt.Sprintf(`
name: broken
task: { kind: recsys, members: 40, candidates: 2 }
models: { bad: { load: %q } }
pipeline:
  - baseline: { name: base, model: bad }
evaluate: { validation: 4 }
columns: [loss]
`, bad), scenario.Options{}), Options{})
	if want := ": tensor model.layers.1.mlp.down_proj.weight has NaN at element 7"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, expected %q", err, want)
	}
}

// TestOneCellFails: the others go on; the error names the cell, the step and the tensor. What the
// others measured is judged.
func TestOneCellFails(t *testing.T) {
	h := copyHome(t, onlyTokenizer)
	plan := oneBroken(t)
	out, err := work(t, h, plan, Options{Jobs: 2})
	want := "cell " + plan.Cells[0].ID + ": step small: quantization: model.layers.1.mlp.down_proj: weight [0, 7] is NaN, expected a finite number"
	if err == nil || err.Error() != want || out.State != lab.Failed {
		t.Errorf("run is %s, error\n%v\nexpected\n%s", out.State, err, want)
	}
	view := out.Board.Snapshot()
	if view.Cells[0].State != lab.Failed || view.Cells[1].State != lab.Done || view.Errors != 1 {
		t.Errorf("the board shows\n%s", view)
	}
	words := ""
	for _, x := range view.Verdicts {
		words += x.Word() + "; "
	}
	if words != "held; held; not judged; not held; " || len(out.Failed) != 1 || out.Unjudged != 1 {
		t.Errorf("verdicts %s%d not held, %d not judged", words, len(out.Failed), out.Unjudged)
	}
	if reason := view.Verdicts[2].Reason; !strings.Contains(reason, "was not measured; cell "+plan.Cells[0].ID+" failed: step small: quantization") {
		t.Errorf("not judged for the reason %q", reason)
	}
	if n := len(artifactDirs(t, h, func(title string) bool { return title == "train base" })); n != 1 {
		t.Errorf("the base was made %d times, expected once for both cells", n)
	}
}

// TestPanic: a panic is the failure of its cell, reported in one line with its place.
func TestPanic(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction("slimlab/kernels/parallel.(*worker).loop"))
	h := copyHome(t, onlyTokenizer)
	thrown := false
	out, err := work(t, h, parse(t, two, scenario.Options{}), Options{Jobs: 1, Sink: func(e lab.Event) {
		if e.Cell == "group=8 seed=1" && place(e) == "base//2" {
			thrown = true
			panic("something broke")
		}
	}})
	if !thrown || err == nil || out.State != lab.Failed {
		t.Fatalf("run is %s, error %v", out.State, err)
	}
	text := err.Error()
	if !strings.HasPrefix(text, "cell group=8 seed=1: step base: panic: something broke (damage_test.go:") || !strings.Contains(text, "training.go:") || strings.Contains(text, "\n") {
		t.Errorf("the error is %q", text)
	}
	view := out.Board.Snapshot()
	if view.Cells[0].State != lab.Failed || view.Cells[1].State != lab.Done {
		t.Errorf("the board shows\n%s", view)
	}
	artifactDirs(t, h, everything) // nothing unfinished is left
}

// TestFailureAndInterrupt: an interrupted run is reported as interrupted, whatever failed before.
func TestFailureAndInterrupt(t *testing.T) {
	h := copyHome(t, onlyTokenizer)
	out, err := workUntil(t, h, oneBroken(t), Options{Jobs: 1}, func(e lab.Event) bool { return e.Kind == lab.KindNote && e.Level == lab.Error })
	if !errors.Is(err, context.Canceled) || out.State != lab.Stopped {
		t.Errorf("run is %s, error %v", out.State, err)
	}
	if view := out.Board.Snapshot(); view.Cells[0].State != lab.Failed || view.Cells[1].State != lab.NotRun {
		t.Errorf("the board shows\n%s", view)
	}
}
