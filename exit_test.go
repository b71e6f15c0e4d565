package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

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

// TestExitCodeNumbers: scripts read these numbers, which the names in the source must not change.
func TestExitCodeNumbers(t *testing.T) {
	file := newHome(t)
	writeRun(t, "small", 100)
	writeRun(t, "large", 200)
	stopped, stop := context.WithCancel(context.Background())
	stop()
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
