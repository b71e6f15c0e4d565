package report

import (
	"bytes"
	"strings"
	"testing"

	"slimlab/lab/sweep"
)

// TestShownPivotAndItsErrors: the first axis of --pivot goes down and the second across, and what
// --aggregate cannot be is an error that names it.
func TestShownPivotAndItsErrors(t *testing.T) {
	for _, c := range []struct {
		shown Shown
		want  string // the beginning of a line of the csv, or of the error
	}{
		{Shown{Pivot: "scheme,ratio", Metric: "auc"}, "\nscheme,ratio,"},
		{Shown{Pivot: "ratio,scheme", Metric: "auc"}, "\nratio,scheme,"},
		{Shown{Pivot: "ratio,scheme", Metric: "auc", Aggregate: "most"}, "--aggregate: "},
		{Shown{Pivot: "ratio,scheme", Metric: "auc", Aggregate: "bytes=min"}, "--aggregate: "},
		{Shown{Along: "ratio", Metric: "mlp_kept", Aggregate: "best"}, "--aggregate: mlp_kept has no better direction"},
		{Shown{Pivot: "ratio", Metric: "auc"}, `--pivot: found "ratio"`},
		{Shown{Pivot: "ratio,ration", Metric: "auc"}, `--pivot`},
	} {
		var b bytes.Buffer
		picture, err := c.shown.Of(sweepView())
		if err == nil {
			err = picture("csv", &b, 0)
		}
		got := "\n" + b.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%v: %q, expected it to begin with %q", c.shown.Options(), got, c.want)
		}
	}
	one := Shown{Pivot: "ratio,scheme", Selection: sweep.Selection{Where: "scheme=w8a8"}}
	if _, err := one.Of(sweepView()); err != nil && !strings.Contains(err.Error(), "--pivot") {
		t.Errorf("a pivot of one column: %v", err)
	}
}
