package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestShowTokens: the tokens of a distilled row are shown in each format; rows that have none say
// why, and so do those that clean removed.
func TestShowTokens(t *testing.T) {
	file := newHome(t)
	text := strings.Replace(tiny, "  - prune:    { name: pruned, mlp: 0.5, calibration: { samples: 8 } }", "  - distil:   { name: student, into: shape, teacher: teacher, steps: 3, batch: 2 }", 1)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := slimlab(t, "run", file); code != exitHeld {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, format := range []string{"table", "csv", "json"} {
		out, errs, code := slimlab(t, "show", "last", "--tokens", "student", "--format", format)
		if code != exitHeld || !strings.Contains(out, "student") || strings.Count(out, "\n") < 10 {
			t.Errorf("%s: exit %d, %s\n%.400s", format, code, errs, out)
		}
	}
	if out, _, _ := slimlab(t, "show", "last", "--tokens", "w8a8"); !strings.Contains(out, "p: baseline teacher   q: row w8a8") {
		t.Errorf("a quantized row is not beside the baseline:\n%.400s", out)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--tokens", "teacher"}, "it is compared with no other model, as the baseline is"},
		{[]string{"--tokens", "studnt"}, `did you mean "student"?`},
		{[]string{"--tokens", ""}, "found no row"},
		{[]string{"--tokens", "student", "--sort", "auc"}, "expected --tokens or --sort"},
		{[]string{"--tokens", "student", "--format", "md"}, "expected one of table, json, csv"},
	} {
		if _, errs, code := slimlab(t, append([]string{"show", "last"}, c.args...)...); code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%q: exit %d, %q, expected %q", c.args, code, errs, c.want)
		}
	}
	if err := os.RemoveAll(filepath.Join(filepath.Dir(file), "home", "artifacts")); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := slimlab(t, "show", "last", "--tokens", "student"); code != exitBroke || !strings.Contains(errs, "slimlab clean removed them") {
		t.Errorf("without artifacts: exit %d, %q", code, errs)
	}
}
