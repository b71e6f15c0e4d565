package main

import (
	"os"
	"strings"
	"testing"

	"slimlab/lab/home"
	"slimlab/tui"
)

// TestCommandsOfADetailWorkAsCopied: what the detail of a row copies to go on with its model runs
// as it stands, in an empty folder, for every row whose model lies in the home.
func TestCommandsOfADetailWorkAsCopied(t *testing.T) {
	file := newHome(t)
	output(t, exitHeld, "run", file)
	b := newBench(home.Open(os.Getenv("SLIMLAB_HOME"), "test"), "")
	runs, err := b.Runs(t.Context())
	if err != nil || len(runs) == 0 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	board, err := b.Open(t.Context(), runs[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	v, commands := board.Snapshot(), 0
	for i := range v.Rows {
		row := &v.Rows[i]
		info := b.Model(t.Context(), tui.ModelQuery{Begin: v.Begin, Step: row.Name, Params: row.Params, Key: row.Keys[0]})
		if info.Absent != nil {
			t.Errorf("%s: %v", row.Name, info.Absent)
			continue
		}
		for _, c := range tui.Commands(info.Model, row.Name) {
			args := words(c)
			if stdout, stderr, code := slimlab(t, args[1:]...); code != exitHeld {
				t.Errorf("%s: exit %d: %s%s", c, code, stdout, stderr)
			}
			commands++
		}
	}
	if commands < 6 {
		t.Errorf("%d commands ran, expected several for each row", commands)
	}
}

// words cuts a line as a shell does, where only single quotes are in it.
func words(line string) []string {
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 0 {
			words = append(words, strings.Fields(part)...)
		} else {
			words = append(words, part)
		}
	}
	return words
}
