package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// oldHome copies the home of an earlier version, and returns its scenario and its run.
func oldHome(t *testing.T) (folder, scenario, run string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "home")
	if err := os.CopyFS(folder, os.DirFS(filepath.Join("lab", "home", "testdata", "home-1"))); err != nil {
		t.Fatal(err)
	}
	unfinished, err := filepath.Glob(filepath.Join(folder, "artifacts", ".making-*"))
	if err != nil || len(unfinished) != 1 {
		t.Fatalf("unfinished folders %v, %v", unfinished, err)
	}
	killed := time.Now().Add(-time.Hour)
	if err := os.Chtimes(unfinished[0], killed, killed); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLIMLAB_HOME", folder)
	return folder, filepath.Join(folder, "tiny.yaml"), "20261128-125821-tiny-44fc"
}

// TestHomeOfAnEarlierVersion: its runs are read, its artifacts are refused by name and made anew,
// and clean removes them.
func TestHomeOfAnEarlierVersion(t *testing.T) {
	folder, file, run := oldHome(t)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"runs"}, exitHeld, run},
		{[]string{"show", run}, exitHeld, "1.23×"},
		{[]string{"show", "last", "--format", "json"}, exitHeld, `"AMD EPYC model 17 · 2 cores · ref"`},
		{[]string{"compare", run, run}, exitHeld, "w8a8"},
		{[]string{"replay", run}, exitUsage, "needs a terminal"}, // after its log was read
		{[]string{"inspect", "run:" + run + "/w8a8"}, exitUsage, "row w8a8: artifact 7d4f58a39f7f has format 0 of an earlier version, expected 2: run its scenario again; slimlab clean removes it"},
		{[]string{"check", file}, exitHeld, "to build"},
		{[]string{"clean", "--dry-run"}, exitHeld, "would remove 12 folders"},
	} {
		stdout, stderr, code := slimlab(t, c.args...)
		if code != c.code || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("slimlab %s: exit %d\n%s%s\nexpected exit %d and %q", strings.Join(c.args, " "), code, stdout, stderr, c.code, c.want)
		}
	}
	if checked, _, _ := slimlab(t, "check", file); strings.Contains(checked, "cached") {
		t.Errorf("an artifact of the earlier version is used:\n%s", checked)
	}
	if _, stderr, code := slimlab(t, "run", file); code != exitHeld {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	stdout, stderr, code := slimlab(t, "clean")
	// The run has cleared the unfinished folder.
	if code != exitHeld || !strings.Contains(stdout, "removed 11 folders") || !strings.Contains(stdout, "of an earlier version  train teacher") ||
		!strings.Contains(stdout, "damaged") || !strings.Contains(stdout, "and the logs of 2 runs") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if checked, _, _ := slimlab(t, "check", file); strings.Count(checked, "cached") != 3 {
		t.Errorf("clean has removed artifacts of this version:\n%s", checked)
	}
	if stdout, _, _ := slimlab(t, "clean", "--format", "json"); !strings.Contains(stdout, `"schema": "slimlab.clean/1"`) || !strings.Contains(stdout, `"removed": []`) {
		t.Errorf("the second clean removed something:\n%s", stdout)
	}
	if entries, err := os.ReadDir(filepath.Join(folder, "artifacts")); err != nil || len(entries) == 0 {
		t.Errorf("nothing is left: %v", err)
	}
}

// TestCleanDryRun removes nothing; without a home there is nothing to remove.
func TestCleanDryRun(t *testing.T) {
	folder, _, _ := oldHome(t)
	before, err := os.ReadDir(filepath.Join(folder, "artifacts"))
	if err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := slimlab(t, "clean", "--dry-run"); code != exitHeld {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if after, _ := os.ReadDir(filepath.Join(folder, "artifacts")); len(after) != len(before) {
		t.Errorf("%d of %d entries are left", len(after), len(before))
	}
	t.Setenv("SLIMLAB_HOME", filepath.Join(folder, "tiny.yaml", "none"))
	if stdout, _, code := slimlab(t, "clean"); code != exitHeld || !strings.HasPrefix(stdout, "removed 0 folders, 0B; kept 0, 0B, and the logs of 0 runs") {
		t.Errorf("exit %d: %s", code, stdout)
	}
}

// TestLogOfANewerVersion is listed with the reason and refused by name.
func TestLogOfANewerVersion(t *testing.T) {
	folder, _, run := oldHome(t)
	file := filepath.Join(folder, "runs", run+".runlog")
	log, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(log[8:], 99)
	if err := os.WriteFile(file, log, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"runs"}, {"show", run}, {"replay", run}} {
		stdout, stderr, _ := slimlab(t, args...)
		if said := stdout + stderr; !strings.Contains(said, run) || !strings.Contains(said, "schema version 99, expected 1 to 2: a newer slimlab wrote it") {
			t.Errorf("slimlab %s says %s", strings.Join(args, " "), said)
		} else if args[0] == "runs" && (!strings.Contains(said, "of a newer version: ") || strings.Contains(said, "damaged") || strings.Contains(said, "0001-")) {
			t.Errorf("runs says %s", said)
		}
	}
}
