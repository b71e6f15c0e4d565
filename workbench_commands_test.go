package main

import (
	"crypto/sha256"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/tui"
)

// TestCommandsOfADetailWorkAsCopied: what the detail of a row copies to go on with its model runs
// as it stands, in an empty folder, for every row whose model lies in the home: of a run of a file,
// and of every kind of step that the scenario smoke has.
func TestCommandsOfADetailWorkAsCopied(t *testing.T) {
	file := newHome(t)
	for _, scenario := range []string{file, "smoke"} {
		t.Run(filepath.Base(scenario), func(t *testing.T) {
			slimlab(t, "run", scenario, "--quick")
			b, v := lastRun(t)
			t.Chdir(t.TempDir())
			commands := map[string]bool{}
			for i := range v.Rows {
				row := &v.Rows[i]
				info := modelOf(t, b, v, row)
				if info.Absent != nil {
					t.Errorf("%s: %v", row.Label(), info.Absent)
					continue
				}
				for _, c := range tui.Commands(info.Model, strings.Join(strings.Fields(row.Label()), "-")) {
					commands[c] = true
				}
			}
			if len(commands) < 6 {
				t.Errorf("%d commands, expected several for each row", len(commands))
			}
			for _, c := range slices.Sorted(maps.Keys(commands)) {
				if stdout, stderr, code := slimlab(t, words(c)[1:]...); code != exitHeld {
					t.Errorf("%s: exit %d: %s%s", c, code, stdout, stderr)
				}
			}
		})
	}
}

// TestDetailOfAModelThatIsGone: a row whose artifact was deleted, is half there, or is damaged says
// so, and offers no command.
func TestDetailOfAModelThatIsGone(t *testing.T) {
	output(t, exitHeld, "run", newHome(t))
	b, v := lastRun(t)
	row := &v.Rows[len(v.Rows)-1]
	folder := modelOf(t, b, v, row).Model
	const newer = "\x81\xa6format\x63" // 99
	sum := sha256.Sum256([]byte(newer))
	for _, c := range []struct {
		name, want string
		damage     func() error
	}{
		{"no weights", "model.safetensors", func() error { return os.Remove(filepath.Join(folder, "model.safetensors")) }},
		{"no config", "without a model", func() error { return os.Remove(filepath.Join(folder, "config.json")) }},
		{"newer", "of a newer version", func() error {
			return os.WriteFile(filepath.Join(folder, "artifact.msgpack"), append([]byte(newer), sum[:]...), 0o600)
		}},
		{"no metadata", "is damaged", func() error { return os.Remove(filepath.Join(folder, "artifact.msgpack")) }},
		{"deleted", "slimlab clean removed it", func() error { return os.RemoveAll(folder) }},
	} {
		if err := c.damage(); err != nil {
			t.Fatal(err)
		}
		info := modelOf(t, b, v, row)
		if info.Absent == nil || !strings.Contains(info.Absent.Error(), c.want) || info.Model != "" {
			t.Errorf("%s: %v with the model %q, expected %q and none", c.name, info.Absent, info.Model, c.want)
		}
	}
}

// lastRun opens the newest run of the home.
func lastRun(t *testing.T) (*bench, *lab.View) {
	b := newBench(home.Open(os.Getenv("SLIMLAB_HOME"), "test"), "")
	runs, err := b.Runs(t.Context())
	if err != nil || len(runs) == 0 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	board, err := b.Open(t.Context(), runs[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return b, board.Snapshot()
}

// modelOf is what the detail of a row reads of its model.
func modelOf(t *testing.T, b *bench, v *lab.View, row *lab.TableRow) tui.ModelInfo {
	return b.Model(t.Context(), tui.ModelQuery{Begin: v.Begin, Step: row.Name, Params: row.Params, Key: row.Keys[0]})
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
