package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"slimlab/kernels/matrix"
	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/statistics"
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
	t.Setenv("SLIMLAB_HOME", filepath.Join(folder, "none", "yet"))
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
		} else if args[0] == "runs" && (!strings.Contains(said, "newer: ") || strings.Contains(said, "damaged") || strings.Contains(said, "0001-")) {
			t.Errorf("runs says %s", said)
		}
	}
}

// TestRemovedRuns: rm removes logs and nothing else; clean then removes what no run uses, and with
// --keep and --older what only other runs use. What is left makes nothing anew.
func TestRemovedRuns(t *testing.T) {
	file := newHome(t)
	run := func(args ...string) string {
		t.Helper()
		output(t, exitHeld, append([]string{"run", file}, args...)...)
		runs, _ := output(t, exitHeld, "runs")
		return strings.Fields(runs)[0]
	}
	cached := func(args ...string) int {
		t.Helper()
		plan, _ := output(t, exitHeld, append([]string{"check", file}, args...)...)
		return strings.Count(plan, "cached")
	}
	first := run()
	second := run("--set", "pruned.mlp=0.25") // shares the teacher
	other := []string{"--set", "steps=2"}     // shares nothing
	third := run(other...)
	output(t, exitHeld, "eval", "pretrained:recsys-fm", "--generate", "a", "--tokens", "1")
	if stdout, _ := output(t, exitHeld, "clean"); !strings.Contains(stdout, "removed 0 folders") {
		t.Errorf("clean removes what runs use:\n%s", stdout)
	}
	for _, args := range [][]string{{"rm", "nothing"}, {"rm", first, "nothing"}, {"rm", "2"}, {"clean", "--keep", "0"}, {"clean", "--older", "x"}, {"clean", "--older", "-3d"}, {"clean", "--older", "0d"}} {
		if _, stderr := output(t, exitUsage, args...); strings.TrimSpace(stderr) == "" {
			t.Errorf("slimlab %v says nothing", args)
		}
	}
	output(t, exitHeld, "rm", first)
	if runs, _ := output(t, exitHeld, "runs"); strings.Contains(runs, first) || !strings.Contains(runs, second) {
		t.Errorf("after rm there are:\n%s", runs)
	}
	if cached() != 3 {
		t.Error("rm removes artifacts")
	}
	stdout, stderr := output(t, exitHeld, "clean")
	if !strings.Contains(stdout, "unused  quantize w8a8") || strings.Contains(stdout, "train teacher") || !strings.Contains(stderr, "--dry-run only lists them") {
		t.Errorf("clean after rm:\n%s%s", stdout, stderr)
	}
	if cached() != 1 || cached("--set", "pruned.mlp=0.25") != 3 || cached(other...) != 3 {
		t.Error("clean removes what the other runs use")
	}
	output(t, exitHeld, "clean", "--older", "1d")
	if stdout, _ = output(t, exitHeld, "clean", "--keep", "1", "--dry-run"); !strings.Contains(stdout, "would remove") || !strings.Contains(stdout, "train teacher") {
		t.Errorf("a dry run of --keep 1:\n%s", stdout)
	}
	output(t, exitHeld, "clean", "--keep", "1")
	if cached(other...) != 3 || cached("--set", "pruned.mlp=0.25") != 0 {
		t.Error("--keep 1 does not keep the newest run alone")
	}
	output(t, exitHeld, "show", second)
	output(t, exitHeld, "rm", third, "last")
	stdout, _ = output(t, exitHeld, "clean", "--format", "json")
	if !strings.Contains(stdout, `"runs": 1`) {
		t.Errorf("rm of a run named twice:\n%s", stdout)
	}
	doctor, _ := output(t, exitHeld, "doctor", "--model", "stories15m", "--decode", "1", "--repeat", "1")
	if !strings.Contains(doctor, "1 run of ") || !strings.Contains(doctor, " evaluations of ") || !strings.Contains(doctor, "; free ") {
		t.Errorf("doctor says:\n%s", doctor)
	}
}

// TestRunInProgressIsNotRemoved: nor is any other that is named beside it.
func TestRunInProgressIsNotRemoved(t *testing.T) {
	newHome(t)
	h := home.Open(os.Getenv("SLIMLAB_HOME"), "test")
	for _, id := range []string{"ended", "running"} {
		log, err := h.Logs.Create(lab.Begin{Run: id, Scenario: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if id == "ended" {
			log.Close()
		}
		defer log.Close()
	}
	said := "run running is running: stop its process first, which its log does not name; lsof or fuser finds it by the file "
	if runtime.GOOS == "linux" { // which says what process holds the lock of a log
		said = fmt.Sprintf("run running is running: process %d writes its log; stop it first", os.Getpid())
	}
	if _, stderr := output(t, exitUsage, "rm", "ended", "running"); !strings.Contains(stderr, said) {
		t.Errorf("said %q", stderr)
	}
	if runs, _ := output(t, exitHeld, "runs"); strings.Count(runs, "\n") != 2 {
		t.Errorf("there are:\n%s", runs)
	}
}

// TestCleanStatistics: clean removes kept statistics, but those that --keep-statistics and --older
// leave, which it counts; --dry-run removes none. Doctor says what they take.
func TestCleanStatistics(t *testing.T) {
	newHome(t)
	folder := filepath.Join(os.Getenv("SLIMLAB_HOME"), "statistics")
	write := func() (bytes int64) {
		stats := &calibrate.Stats{Width: 2, Tokens: 3, MaxAbs: make([]float64, 2), MeanAbs: make([]float64, 2), Mean: make([]float64, 2), Gram: matrix.NewDense(2, 2, nil)}
		for _, of := range []struct{ content, key string }{{"a model", "1"}, {"a model", "2"}, {"another model", "1"}} {
			if err := statistics.New(folder, of.content, true).Save(t.Context(), of.key, stats); err != nil {
				t.Fatal(err)
			}
		}
		list, err := statistics.List(folder)
		if err != nil || len(list) != 3 {
			t.Fatal(list, err)
		}
		for _, e := range list {
			bytes += e.Bytes
			if e.Of == "another model" { // written long ago
				if err := os.Chtimes(e.Path, time.Time{}, time.Now().Add(-72*time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
		}
		return bytes
	}
	all := bytesText(write())
	disk, err := home.Open(os.Getenv("SLIMLAB_HOME"), "test").Disk()
	if err != nil || disk.Statistics != 3 || disk.StatisticsSets != 2 || bytesText(disk.StatisticsBytes) != all {
		t.Errorf("the home holds %+v, error %v", disk, err)
	}
	for _, c := range []struct {
		args []string
		left int
		want string
	}{
		{[]string{"--dry-run"}, 3, "would remove 1 folder, " + all},
		{[]string{"--keep-statistics"}, 3, "kept statistics of 3 inputs, " + all},
		{[]string{"--keep-statistics", "--older", "1d"}, 3, "kept statistics of 3 inputs, " + all},
		{[]string{"--older", "1d"}, 2, "kept statistics of 2 inputs, "},
		{[]string{"--older", "4d"}, 3, "kept statistics of 3 inputs, " + all},
		{nil, 0, "of 3 inputs"},
	} {
		write()
		stdout, stderr, code := slimlab(t, append([]string{"clean"}, c.args...)...)
		list, err := statistics.List(folder)
		if code != exitHeld || err != nil || len(list) != c.left || !strings.Contains(stdout, c.want) {
			t.Errorf("clean %v: exit %d, %d are left, expected %d and %q: %s%s", c.args, code, len(list), c.left, c.want, stdout, stderr)
		}
	}
}
