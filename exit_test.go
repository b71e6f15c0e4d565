package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"slimlab/lab"
	"slimlab/lab/store"
)

// writeRun keeps the log of a run with one row and one cell, whose model has so many bytes.
func writeRun(t *testing.T, id string, size float64) {
	t.Helper()
	begin := lab.Begin{Run: id, Scenario: "written", Hash: "h", Started: 1e9, Rows: []string{"FM"}, Columns: []string{"bytes"}, Cells: []lab.Cell{{ID: "seed=1", Seed: 1}}}
	log, err := store.Open(filepath.Join(os.Getenv("SLIMLAB_HOME"), "runs")).Create(begin)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []lab.Event{
		{Kind: lab.KindRow, Cell: "seed=1", Row: "FM", Values: map[string]lab.Measure{"bytes": {Value: size}}},
		{Kind: lab.KindCell, Cell: "seed=1", State: lab.Done},
		{Kind: lab.KindEnd, State: lab.Done},
	} {
		if err := log.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

// refusing is an output that cannot be written.
type refusing struct{}

func (refusing) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// gone is a pipe whose reader has closed it.
type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// A reader that has closed standard output is told nothing.
func TestReaderThatHasGone(t *testing.T) {
	newHome(t)
	writeRun(t, "one", 100)
	var errs bytes.Buffer
	if code := execute(t.Context(), []string{"show", "one"}, gone{}, &errs); code != exitPipe || errs.Len() != 0 {
		t.Errorf("exit %d, said %q", code, errs.String())
	}
}

// A home that is no folder, leads through a file, or is the system's, is not one without runs.
func TestHomeThatIsNoFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, home := range []string{file, filepath.Join(file, "a", "b")} {
		t.Setenv("SLIMLAB_HOME", home)
		for _, args := range [][]string{{"runs"}, {"show", "last"}, {"compare", "a", "b"}, {"watch", "last"}, {"clean", "--dry-run"}, {"rm", "x"}, {"check", "smoke"}} {
			if _, stderr, code := slimlab(t, args...); (code == exitHeld) != (args[0] == "check") || !strings.Contains(stderr, file+" is no folder; set SLIMLAB_HOME") {
				t.Errorf("SLIMLAB_HOME=%s slimlab %s: exit %d, said %q", home, strings.Join(args, " "), code, stderr)
			}
		}
	}
	if runtime.GOOS == "linux" {
		for _, home := range []string{"/proc", "/proc/nothing", "/sys/a/b"} {
			t.Setenv("SLIMLAB_HOME", home)
			for _, args := range [][]string{{"runs"}, {"clean", "--dry-run"}, {"rm", "x"}, {"show", "last"}} {
				if _, stderr, code := slimlab(t, args...); code != exitUsage || !strings.Contains(stderr, "no folder can be made in it; set SLIMLAB_HOME") {
					t.Errorf("SLIMLAB_HOME=%s slimlab %s: exit %d, said %q", home, strings.Join(args, " "), code, stderr)
				}
			}
		}
	}
	t.Setenv("SLIMLAB_HOME", filepath.Join(t.TempDir(), "new", "home"))
	if _, stderr, code := slimlab(t, "runs"); code != exitHeld {
		t.Errorf("a new home: exit %d, said %q", code, stderr)
	}
}

// TestExitCodeNumbers: scripts read these numbers, which the names in the source must not change.
func TestExitCodeNumbers(t *testing.T) {
	file := newHome(t)
	writeRun(t, "small", 100)
	writeRun(t, "large", 200)
	stopped, stop := context.WithCancel(context.Background())
	stop()
	data := filepath.Join(t.TempDir(), "text.txt")
	if err := os.WriteFile(data, []byte(strings.Repeat("member 1 likes item 2. ", 200)), 0o644); err != nil {
		t.Fatal(err)
	}
	diverging := []string{"distil", "pretrained:recsys-fm", filepath.Join(t.TempDir(), "student"), "--data", data, "--length", "16", "--batch", "1", "--steps", "8", "--warm-up", "0", "--learning-rate", "1e30", "--validation", "0"}
	for _, c := range []struct {
		what string
		args []string
		ctx  context.Context
		out  io.Writer
		code int
	}{
		{"a list", []string{"runs"}, nil, nil, 0},
		{"a smaller model", []string{"compare", "large", "small"}, nil, nil, 0},
		{"a result that cannot be written", []string{"runs"}, nil, refusing{}, 1},
		{"a training that diverges", diverging, nil, nil, 1},
		{"a reader that has gone", []string{"runs"}, nil, gone{}, 141},
		{"no such verb", []string{"frobnicate"}, nil, nil, 2},
		{"no such scenario", []string{"run", "nothing"}, nil, nil, 2},
		{"an expectation that does not hold", []string{"run", file, "--set", "expect=[\"smaller(row=w8a8) > 100\"]"}, nil, nil, 3},
		{"a larger model", []string{"compare", "small", "large"}, nil, nil, 4},
		{"no run to compare with", []string{"compare", "nothing", "small"}, nil, nil, 5},
		{"an interruption", []string{"run", file}, stopped, nil, 130},
	} {
		var printed, errs bytes.Buffer
		if c.ctx == nil {
			c.ctx = context.Background()
		}
		if c.out == nil {
			c.out = &printed
		}
		if code := execute(c.ctx, c.args, c.out, &errs); code != c.code {
			t.Errorf("%s: exit %d, expected %d\n%s%s", c.what, code, c.code, printed.String(), errs.String())
		}
	}
}

// TestExitCodesOfSeeds: whatever numbers of seeds two runs have, noise is held, a loss beyond it is
// a regression, and rows that are not there leave nothing to compare.
func TestExitCodesOfSeeds(t *testing.T) {
	newHome(t)
	units := make([]float64, 40) // of a standard error of 0.01
	for i := range units {
		units[i] = 0.01 * math.Sqrt(39.0) / 40 * float64(1-2*(i%2))
	}
	same := make([]float64, len(units))
	write := func(id, row string, seeds int, auc float64, influence []float64) {
		begin := lab.Begin{Run: id, Scenario: id, Hash: id, Started: 1e9, Rows: []string{row}, Columns: []string{"auc", "auc_delta", "bytes", "auc_ceiling"}}
		for seed := range seeds {
			begin.Cells = append(begin.Cells, lab.Cell{ID: fmt.Sprint("seed=", seed+1), Seed: seed + 1})
		}
		log, err := store.Open(filepath.Join(os.Getenv("SLIMLAB_HOME"), "runs")).Create(begin)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range begin.Cells {
			value := auc + 1e-4*float64(i%3-1)
			log.Append(lab.Event{Kind: lab.KindRow, Cell: c.ID, Row: row, Machine: id, Key: id, Test: "t", Influence: map[string]lab.Influence{"auc": lab.NewInfluence("t", "members", influence)},
				Values: map[string]lab.Measure{"auc": {Value: value, Low: value - 0.03, High: value + 0.03, N: 40}, "auc_delta": {}, "bytes": {Value: 100}, "auc_ceiling": {Value: 0.9}}})
			log.Append(lab.Event{Kind: lab.KindCell, Cell: c.ID, State: lab.Done})
		}
		log.Append(lab.Event{Kind: lab.KindEnd, State: lab.Done})
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	seeds := []int{1, 2, 3, 5}
	for _, n := range seeds {
		write(fmt.Sprint("base", n), "FM", n, 0.8, same)
		write(fmt.Sprint("noise", n), "FM", n, 0.79, units)
		write(fmt.Sprint("gain", n), "FM", n, 0.84, units)
		write(fmt.Sprint("loss", n), "FM", n, 0.76, units)
		write(fmt.Sprint("apart", n), "other", n, 0.8, units)
	}
	for _, a := range seeds {
		for _, b := range seeds {
			for next, want := range map[string]int{"noise": 0, "gain": 0, "loss": 4, "apart": 5} {
				base, next := fmt.Sprint("base", a), fmt.Sprint(next, b)
				if out, errs, code := slimlab(t, "compare", base, next); code != want || strings.Contains(out, "! changed") {
					t.Errorf("%s against %s: exit %d, expected %d: %s\n%s", next, base, code, want, errs, out)
				}
			}
		}
	}
}

// TestPatience: a verb that goes on computing after an interruption is waited for until its step
// ends, one that waits for something else is left behind.
func TestPatience(t *testing.T) {
	for _, c := range []struct {
		name string
		step func(free <-chan struct{})
		ends bool
	}{
		{"computes", func(<-chan struct{}) {
			for start := time.Now(); time.Since(start) < 2*patience; {
			}
		}, true},
		{"waits", func(free <-chan struct{}) { <-free }, false},
	} {
		ctx, interrupt := context.WithCancel(t.Context())
		free := make(chan struct{})
		defer close(free)
		root := &cobra.Command{SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error {
			interrupt()
			c.step(free)
			return ctx.Err()
		}}
		root.SetArgs(nil)
		start := time.Now()
		err, ended := new(program).execute(ctx, root)
		if took := time.Since(start); ended != c.ends || ended && !errors.Is(err, context.Canceled) || took > 4*patience {
			t.Errorf("a verb that %s: ended %t with %v after %v, expected %t", c.name, ended, err, took, c.ends)
		}
	}
}
