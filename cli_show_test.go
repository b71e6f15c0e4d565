package main

import (
	"strings"
	"testing"
)

// TestShowSelects: rows, their order and the columns are those that the options ask for, in every
// format with rows; what cannot be asked for is a bad command line.
func TestShowSelects(t *testing.T) {
	t.Setenv("SLIMLAB_HOME", t.TempDir())
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"--where", "w8 or step=FM", "--columns", "bytes,state"}, exitHeld, []string{"2 of 8 rows: where w8 or step=FM", "step     bytes  state"}},
		{[]string{"--where", "-kd", "--sort", "-bytes", "--columns", "bytes", "--format", "csv"}, exitHeld, []string{"row,bytes,bytes_low,bytes_high,warnings\nmlp-37%-kd,"}},
		{[]string{"--where", "bytes<300kB", "--format", "json"}, exitHeld, []string{`"where": "bytes<300kB"`}},
		{[]string{"--where", "bytes<300kB", "--format", "md"}, exitHeld, []string{"where bytes&lt;300kB"}},
		{[]string{"--where", "bites<3"}, exitUsage, []string{`--where: key "bites"`, `did you mean "bytes"?`}},
		{[]string{"--sort", "bites"}, exitUsage, []string{`--sort: key "bites"`}},
		{[]string{"--columns", "bites"}, exitUsage, []string{`--columns: key "bites"`}},
		{[]string{"--group", "step", "--where", "w8 or step=FM"}, exitHeld, []string{"step  n  best AUC exp.", "2 of 8 rows", "spread of the rows over their settings, not an error of measurement"}},
		{[]string{"--group", "step", "--format", "json"}, exitHeld, []string{`"slimlab.groups/2"`}},
		{[]string{"--group", "ratio"}, exitUsage, []string{`--group: key "ratio"`}},
		{[]string{"--group", ""}, exitUsage, []string{"--group: found no key; expected step or an axis of the sweep"}},
		{[]string{"--group", "step", "--pareto", "bytes,auc"}, exitUsage, []string{"--pareto: expected --group or --pareto, not both"}},
		{[]string{"--group", "step", "--all"}, exitUsage, []string{"--all: groups count each measurement once"}},
		{[]string{"--baseline", "demo", "--columns", "bytes"}, exitHeld, []string{"step             bytes        Δ", "0.00% =", "Δ is against the baseline 20261129-123355-figure1-78d6 (figure1): = same"}},
		{[]string{"--baseline", "demo", "--where", "w8", "--format", "csv"}, exitHeld, []string{"bytes_base,bytes_delta,bytes_verdict", "w8a8,"}},
		{[]string{"--baseline", "demo", "--format", "json"}, exitHeld, []string{`"against": {`, `"verdict": "same"`}},
		{[]string{"--baseline", "none"}, exitUsage, []string{`run "none": not found`, "`slimlab runs` lists what there is"}},
		{[]string{"--baseline", "demo", "--pivot", "step,state"}, exitUsage, []string{"--baseline: only a table of rows has differences; expected --baseline or --pivot, not both"}},
		{[]string{"--baseline", "demo", "--format", "junit"}, exitUsage, []string{"--baseline: junit files hold expectations and no rows"}},
		{[]string{"--sort", "bytes", "--format", "junit"}, exitUsage, []string{"--sort: junit files hold expectations and no rows"}},
	} {
		out, errs, code := slimlab(t, append([]string{"show", "demo"}, c.args...)...)
		for _, want := range c.want {
			if code != c.code || !strings.Contains(out+errs, want) {
				t.Errorf("%q: exit %d\n%s%s\nexpected exit %d and %q", c.args, code, out, errs, c.code, want)
			}
		}
	}
}
