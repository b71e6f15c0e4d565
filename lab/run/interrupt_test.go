package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/scenario"
)

// place is the place of an event in its run: "stage/text/step".
func place(e lab.Event) string {
	if e.Kind != lab.KindCell {
		return ""
	}
	return fmt.Sprintf("%s/%s/%d", e.Stage, e.Text, e.Step)
}

// ofTraining reports an event of a training of the chain that is going on. Points of curves are no
// sign of one: those of earlier trainings are shown too.
func ofTraining(e lab.Event) bool {
	return e.Kind == lab.KindCell && e.Total > 0 && slices.Contains([]string{"teacher", "student", "healed"}, e.Stage)
}

// TestInterrupt stops a run in the middle of each kind of stage. Each next run goes on from what
// was finished, and the last ends with the same table.
func TestInterrupt(t *testing.T) {
	ref := theReference(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction("slimlab/kernels/parallel.(*worker).loop"))
	h := copyHome(t, onlyTokenizer)
	plan := parse(t, chain, scenario.Options{})
	for _, at := range []string{"data//0", "teacher//3", "student//0", "student/evaluate/0", "pruned//1", "pruned/serve/0", "healed//2", "w8a8//4", "w4a16//2", "w4a16/evaluate/0"} {
		reached := false
		out, err := workUntil(t, h, plan, Options{}, func(e lab.Event) bool {
			reached = reached || place(e) == at
			return reached
		})
		if !reached {
			t.Fatalf("%s: the run never came there: %v", at, err)
		}
		if !errors.Is(err, context.Canceled) || out.State != lab.Stopped {
			t.Fatalf("%s: run is %s, error %v; expected an interrupted one", at, out.State, err)
		}
		view := out.Board.Snapshot()
		if view.State != lab.Stopped || view.Cells[0].State != lab.Stopped || view.Errors != 0 {
			t.Errorf("%s: the board shows\n%s", at, view)
		}
		artifactDirs(t, h, everything) // nothing unfinished is left
	}
	out := mustWork(t, h, plan, Options{Sink: func(e lab.Event) {
		if ofTraining(e) {
			t.Errorf("the last run trained %s again", e.Stage)
		}
	}})
	sameFigures(t, out.Board, ref.board, 1)
	runs, err := h.Logs.List()
	if err != nil || len(runs) != 11 {
		t.Fatalf("%d runs, error %v; expected 11", len(runs), err)
	}
	states := map[lab.State]int{}
	for _, r := range runs {
		if states[r.State]++; r.Problem != nil {
			t.Errorf("run %s: problem %v", r.ID, r.Problem)
		}
	}
	if states[lab.Stopped] != 10 || states[lab.Done] != 1 {
		t.Errorf("runs by state: %v", states)
	}
}

// TestInterruptSideBySide: a stopped run stops all its cells.
func TestInterruptSideBySide(t *testing.T) {
	ref := theReference(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction("slimlab/kernels/parallel.(*worker).loop"))
	h := copyHome(t, onlyTokenizer)
	plan := parse(t, chain, scenario.Options{Seeds: 2})
	out, err := workUntil(t, h, plan, Options{Jobs: 2}, func(e lab.Event) bool { return place(e) == "pruned/serve/0" })
	if !errors.Is(err, context.Canceled) || out.State != lab.Stopped {
		t.Fatalf("run is %s, error %v", out.State, err)
	}
	out = mustWork(t, h, plan, Options{Jobs: 2})
	sameFigures(t, out.Board, ref.board, 1, 2)
}

const (
	killHome = "SLIMLAB_TEST_HOME"
	killAt   = "SLIMLAB_TEST_KILL_AT"
	killText = "SLIMLAB_TEST_SCENARIO"
	survived = "the run ended by itself:"
)

// workAndDie is the life of a process that a test starts: it works on a scenario, and kills itself
// at a place.
func workAndDie(folder, text, at string) {
	s, err := scenario.Parse("test.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
	if err != nil {
		panic(err)
	}
	r, err := Start(context.Background(), home.Open(folder, "test"), s.Plan(), Options{Now: clock(), Sink: func(e lab.Event) {
		if place(e) == at {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Kill()
			}
			panic(err)
		}
	}})
	if err != nil {
		panic(err)
	}
	_, err = r.Work(context.Background())
	fmt.Println(survived, err)
	os.Exit(1)
}

// killed works on a scenario in another process, until it kills itself at a place.
func killed(t *testing.T, h *home.Home, text, at string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), killHome+"="+h.Folder, killText+"="+text, killAt+"="+at)
	said, err := child.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || len(said) > 0 {
		t.Fatalf("%s: the process ended with %v, expected a kill: %s", at, err, said)
	}
}

func TestKill(t *testing.T) {
	ref := theReference(t)
	h := copyHome(t, onlyTokenizer)
	for _, at := range []string{"teacher//4", "pruned//1", "healed/evaluate/0", "w4a16//3"} {
		killed(t, h, chain, at)
	}
	runs, err := h.Logs.List()
	if err != nil || len(runs) != 4 {
		t.Fatalf("%d runs, error %v; expected 4", len(runs), err)
	}
	for _, r := range runs {
		if r.State != lab.Crashed || r.Problem != nil {
			t.Errorf("run %s is %s, problem %v", r.ID, r.State, r.Problem)
		}
		if _, err := h.Logs.Read(r.ID); err != nil {
			t.Error(err)
		}
	}
	out := mustWork(t, h, parse(t, chain, scenario.Options{}), Options{Sink: func(e lab.Event) {
		if ofTraining(e) {
			t.Errorf("the last run trained %s again", e.Stage)
		}
	}})
	sameFigures(t, out.Board, ref.board, 1)
}
