package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/lab/home"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
)

// TestShowCharts: a front and a pivot of a run, and what is refused.
func TestShowCharts(t *testing.T) {
	file := newHome(t)
	writeTo(t, file, strings.Replace(tiny, "columns: [params, bytes", "sweep: { steps: [1, 2] }\ncolumns: [bytes", 1))
	output(t, exitHeld, "run", file)
	for _, c := range []struct {
		args []string
		code int
		want string // of stdout or stderr
	}{
		{[]string{"--pareto", "bytes,auc_soft"}, exitHeld, "Pareto front of bytes (less is better) and AUC exp. (more is better)"},
		{[]string{"--pareto", "bytes, auc_soft", "--format", "csv"}, exitHeld, "bytes,bytes_low,bytes_high,auc_soft,"},
		{[]string{"--pivot", "step,steps"}, exitHeld, "AUC exp. (more is better) by step (down) and steps (across)"},
		{[]string{"--pivot", "steps,step", "--metric", "bytes", "--best", "--format", "md"}, exitHeld, "## bytes best (less is better) by steps (down) and step (across)"},
		{[]string{"--pareto", "bytes"}, exitUsage, `--pareto: found "bytes", expected two metrics, such as bytes,auc`},
		{[]string{"--pareto", "bytes,acu"}, exitUsage, `did you mean "auc"?`},
		{[]string{"--pareto", "bytes,loss"}, exitUsage, "no row has both metrics; this run has "},
		{[]string{"--pareto", "bytes,auc_soft", "--format", "junit"}, exitUsage, "--format of --pareto, --along and --bars"},
		{[]string{"--pareto", "bytes,auc_soft", "--pivot", "step,steps"}, exitUsage, "expected one of them"},
		{[]string{"--pivot", "step,stepz"}, exitUsage, `did you mean "step`},
		{[]string{"--pivot", "step,steps", "--metric", "loss"}, exitUsage, "no cell has loss"},
		{[]string{"--metric", "auc"}, exitUsage, "belong to --pivot or --along"},
		{[]string{"--along", "steps"}, exitHeld, "AUC exp. (more is better) along steps, by step"},
		{[]string{"--along", "steps", "--metric", "bytes", "--lines", "step", "--format", "csv"}, exitHeld, "steps,step,bytes,bytes_low,bytes_high,bytes_min,bytes_max,aggregate,n\n1,"},
		{[]string{"--along", "stepz"}, exitUsage, `did you mean "steps"?`},
		{[]string{"--along", "steps", "--lines", "steps"}, exitUsage, "it runs across"},
		{[]string{"--along", "steps", "--step", "nostep"}, exitUsage, "--step"},
		{[]string{"--along", "steps", "--metric", "loss"}, exitUsage, "no row that depends on it has loss"},
		{[]string{"--along", ""}, exitUsage, "--along: found nothing"},
		{[]string{"--along", "steps", "--sort", "auc"}, exitUsage, "--sort is of the table of rows"},
		{[]string{"--along", "steps", "--group", "steps"}, exitUsage, "expected --group or --along"},
		{[]string{"--curves", "all", "--format", "csv"}, exitHeld, "run,cell,series,step,value\n2"},
		{[]string{"--curves", "all", "--format", "json"}, exitHeld, `"slimlab.curves/1"`},
		{[]string{"--curves", "nocurve", "--format", "csv"}, exitUsage, "--curves: series"},
		{[]string{"--curves", "all"}, exitUsage, "--format of --curves"},
		{[]string{"--along", "steps", "--lines", "step", "--aggregate", "median", "--format", "csv"}, exitHeld, ",median,1"},
		{[]string{"--group", "step", "--best", "--format", "csv"}, exitHeld, "step,n,bytes_best,bytes_min,bytes_max,bytes_n,"},
		{[]string{"--group", "step", "--aggregate", "n,bytes=max", "--format", "csv"}, exitHeld, "step,n,bytes_min,bytes_max,bytes_n,"},
		{[]string{"--group", "step", "--best", "--aggregate", "min"}, exitUsage, "--best and --aggregate min: expected one of them"},
		{[]string{"--group", "step", "--aggregate", "avg"}, exitUsage, "expected one of mean, median, best, last, min, max, n"},
		{[]string{"--group", "step", "--aggregate", "loss=min"}, exitUsage, "--aggregate: loss is not shown here; expected one of bytes, "},
		{[]string{"--group", "step", "--aggregate", ""}, exitUsage, "--aggregate: found nothing"},
		{[]string{"--pivot", "step,steps", "--metric", "bytes", "--aggregate", "auc=min"}, exitUsage, "--aggregate: auc is not shown here"},
		{[]string{"--aggregate", "best"}, exitUsage, "belong to --group, --pivot or --along"},
		{[]string{"--lines", "step"}, exitUsage, "--lines belongs to --along"},
		{[]string{"--bars", "bytes"}, exitHeld, "bytes (less is better) by row\n\n"},
		{[]string{"--bars", "bytes", "--format", "csv"}, exitHeld, "row,steps,bytes,bytes_low,bytes_high,total\n"},
		{[]string{"--bars", "bytes", "--format", "json"}, exitHeld, `"slimlab.bars/1"`},
		{[]string{"--bars", "bytes", "--format", "svg"}, exitHeld, "<title>bytes (less is better) by row</title>"},
		{[]string{"--bars", "bytes", "--where", "steps=1"}, exitHeld, "left out: not steps=1"},
		{[]string{"--bars", "bytes,auc_soft"}, exitUsage, `bytes is of the unit "bytes" and auc_soft of "fraction"`},
		{[]string{"--bars", ""}, exitUsage, "--bars: found nothing"},
		{[]string{"--bars", "bytes", "--format", "junit"}, exitUsage, "--format of --pareto, --along and --bars"},
		{[]string{"--bars", "bytes", "--along", "steps"}, exitUsage, "expected one of them"},
		{[]string{"--bars", "bytes", "--sort", "auc"}, exitUsage, "--sort is of the table of rows"},
		{[]string{"--bars", "bytes", "--metric", "auc"}, exitUsage, "belong to --pivot or --along"},
		{[]string{"--bars", "bytes", "--group", "steps"}, exitUsage, "expected --group or --bars"},
		{[]string{"--bars", "bytes", "--baseline", "last"}, exitUsage, "expected --baseline or --bars"},
		{[]string{"--bars", "bytes", "--samples"}, exitUsage, "expected --samples or --bars"},
		{[]string{"--bars", "bytes", "--tokens", "FM"}, exitUsage, "expected --tokens or --bars"},
		{[]string{"--along", "steps", "--format", "svg"}, exitHeld, "<title>AUC exp. (more is better) along steps, by step</title>"},
		{[]string{"--pareto", "bytes,auc_soft", "--format", "svg"}, exitHeld, "<title>Pareto front of bytes"},
		{[]string{"--format", "svg"}, exitUsage, "--format svg: only --pareto, --along and --bars can be drawn"},
		{[]string{"--pivot", "step,steps", "--format", "svg"}, exitUsage, "--format svg: only --pareto, --along and --bars can be drawn"},
		{[]string{"--curves", "all", "--format", "svg"}, exitUsage, "--format svg: only --pareto, --along and --bars can be drawn"},
		{[]string{"--matrix", "--format", "svg"}, exitUsage, "--format svg: only --pareto, --along and --bars can be drawn"},
		{[]string{"--group", "steps", "--format", "svg"}, exitUsage, "--format svg: only --pareto, --along and --bars can be drawn"},
		{[]string{"--samples", "--format", "svg"}, exitUsage, "--format svg: only --pareto, --along and --bars can be drawn"},
		{[]string{"--pivot", "step,steps", "--along", "steps", "--format", "svg"}, exitUsage, "expected one of them"},
		{[]string{"--format", "svgz"}, exitUsage, `did you mean "svg"?`},
	} {
		stdout, stderr := output(t, c.code, append([]string{"show", "last"}, c.args...)...)
		if !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%v: found %q and %q, expected %q", c.args, stdout, stderr, c.want)
		}
	}
	exportsAsShown(t)
	for _, args := range [][]string{{"--pareto", "bytes,auc_soft"}, {"--pivot", "step,steps"}, {"--along", "steps"}, {"--bars", "bytes"}} {
		stdout, _ := output(t, exitHeld, append([]string{"show", "last", "--format", "json"}, args...)...)
		if !json.Valid([]byte(stdout)) {
			t.Errorf("%v: not JSON: %s", args, stdout)
		}
	}
}

// exportsAsShown: what the workbench exports of a screen are the bytes that `show` prints with the
// options that say what the screen shows.
func exportsAsShown(t *testing.T) {
	b := newBench(home.Open(os.Getenv("SLIMLAB_HOME"), "test"), "")
	runs, err := b.Runs(t.Context())
	if err != nil || len(runs) == 0 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	for _, shown := range []report.Shown{
		{},
		{Selection: sweep.Selection{Where: "steps=1", Sort: "-bytes", Columns: "bytes,auc_soft", All: true}},
		{Group: "step,steps", Selection: sweep.Selection{Where: "auc_soft>0", Sort: "-auc_soft"}},
		{Group: "step", Aggregate: "best,bytes=n"},
		{Pareto: "bytes,auc_soft", Selection: sweep.Selection{Where: "steps=2"}},
		{Pivot: "step,steps", Metric: "bytes", Step: "all", Aggregate: "best"},
		{Along: "steps", Lines: "step", Metric: "auc_soft", Step: "all"},
		{Bars: "bytes", Selection: sweep.Selection{Where: "steps=2"}},
	} {
		for _, format := range []string{"md", "csv", "json"} {
			path := filepath.Join(t.TempDir(), "out")
			if err := b.Export(t.Context(), runs[0].ID, format, path, shown); err != nil {
				t.Errorf("%v as %s: %v", shown.Options(), format, err)
				continue
			}
			got, _ := os.ReadFile(path)
			want, _ := output(t, exitHeld, append([]string{"show", runs[0].ID, "--format", format}, shown.Options()...)...)
			if string(got) != want {
				t.Errorf("%v as %s: exported\n%s\nshow prints\n%s", shown.Options(), format, got, want)
			}
		}
	}
}
