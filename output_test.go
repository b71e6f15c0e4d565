package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// printingVerbs are command lines of every verb that prints, on a home with two runs of a scenario.
// Those of jsonVerbs print a document with --format json.
func printingVerbs(t *testing.T) (all, jsonVerbs [][]string) {
	t.Helper()
	file := newHome(t)
	for range 2 {
		output(t, exitHeld, "run", file)
	}
	runs, _ := output(t, exitHeld, "runs")
	ids := regexp.MustCompile(`(?m)^\S+`).FindAllString(runs, -1)
	text := filepath.Join(t.TempDir(), "text.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("the member clicked the item. ", 200)), 0o644); err != nil {
		t.Fatal(err)
	}
	const fm = "pretrained:recsys-fm"
	calibration := []string{"--calibration", text, "--samples", "4", "--length", "32"}
	folder := func(name string) string { return filepath.Join(t.TempDir(), name) }
	jsonVerbs = [][]string{
		{"reference"}, {"show", "last"}, {"compare", ids[1], ids[0]}, {"inspect", fm},
		{"import", fm, folder("import")}, {"export", fm, folder("export")},
		append([]string{"prune", fm, folder("prune"), "--mlp", "20%", "--local-search", "-1", "--step", "64"}, calibration...),
		append([]string{"quantize", fm, folder("quantize"), "--scheme", "w4a16"}, calibration...),
		{"distil", fm, folder("distil"), "--data", text, "--steps", "1", "--length", "16", "--validation", "2"},
		{"eval", fm, "--text", text, "--window", "32"},
		{"doctor", "--model", "stories15m", "--decode", "1", "--repeat", "1"},
	}
	return append([][]string{
		{"run", file}, {"run", file, "--export", "csv=-"}, {"run", file, "--events", "-"}, {"check", file}, {"scenarios"}, {"scenarios", "smoke"},
		{"schema"}, {"runs"}, {"tokenize", fm}, {"tokenize", fm, "--decode"}, {"--help"}, {"--version"}, {"run", "--help"},
	}, jsonVerbs...), jsonVerbs
}

// TestFailedWrites: output that cannot be written is exit 1 and one line on stderr, in every verb;
// a reader that has closed its pipe is told nothing.
func TestFailedWrites(t *testing.T) {
	verbs, _ := printingVerbs(t)
	closed := func() *os.File {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		return w
	}
	full := func() *os.File {
		f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("this system has no /dev/full")
		}
		return f
	}
	for _, args := range verbs {
		for stdout, want := range map[*os.File]error{closed(): syscall.EPIPE, full(): syscall.ENOSPC} {
			stdin(t, "1 2 3")
			if args[0] == "import" || args[0] == "export" || args[0] == "prune" || args[0] == "quantize" || args[0] == "distil" {
				os.RemoveAll(args[2])
			}
			var errs bytes.Buffer
			code := execute(context.Background(), args, stdout, &errs)
			last := strings.TrimSpace(errs.String()[strings.LastIndex(strings.TrimSpace(errs.String()), "\n")+1:])
			switch {
			case want == syscall.EPIPE && (code != exitPipe || strings.Contains(last, want.Error())):
				t.Errorf("slimlab %s: exit %d, said %q, expected exit 141 and nothing", strings.Join(args, " "), code, last)
			case want == syscall.ENOSPC && (code != exitBroke || !strings.Contains(last, want.Error())):
				t.Errorf("slimlab %s: exit %d, said %q, expected exit 1 and %q", strings.Join(args, " "), code, last, want)
			}
			stdout.Close()
		}
	}
}

// TestJSONDocuments: every --format json is an object whose first key is its schema, and whose keys
// are in snake_case.
func TestJSONDocuments(t *testing.T) {
	_, verbs := printingVerbs(t)
	for _, args := range verbs {
		text, _ := output(t, exitHeld, append(args, "--format", "json")...)
		if !regexp.MustCompile(`^\{\n  "schema": "slimlab\.[a-z]+/[1-9]",?\n`).MatchString(text) || !json.Valid([]byte(text)) {
			t.Errorf("slimlab %s: found %.80s, expected an object with its schema first", args[0], text)
		}
		for _, key := range regexp.MustCompile(`(?m)^ *"([^"]*)": `).FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`).MatchString(key[1]) {
				t.Errorf("slimlab %s: key %q is not in snake_case", args[0], key[1])
			}
		}
	}
}
