package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestShowMatrix: the matrices of a step sensitivity are shown in each format, all or by name; a
// run without one says why.
func TestShowMatrix(t *testing.T) {
	file := newHome(t)
	const text = `name: layered
task: { kind: recsys, members: 6 }
models: { FM: { load: "pretrained:recsys-student" } }
pipeline:
  - baseline: { name: FM, model: FM }
  - sensitivity: { name: layers, from: FM, schemes: w8a8-rtn w4a16-rtn-g16, mlp: 50%, examples: 4, calibration: { samples: 6 } }
columns: [params, loss]
seeds: 1
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, _ = output(t, exitHeld, "run", file)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"last", "--matrix"}, exitHeld, "output error (less is better) of step layers\n\n"},
		{[]string{"--matrix", "last"}, exitHeld, "KL (less is better) of step layers\n\n"},
		{[]string{"last", "--matrix", "KL", "--format", "csv"}, exitHeld, "run,cell,step,matrix,row,column,value\n"},
		{[]string{"last", "--matrix=output error", "--format", "md"}, exitHeld, "|  | mlp 50% | w8a8-rtn | w4a16-rtn-g16 |\n| --- | ---: | ---: | ---: |\n| layer 0 | "},
		{[]string{"last"}, exitHeld, "layers.KL  3 rows × 3 columns"},
		{[]string{"last", "--matrix", "LK"}, exitUsage, `--matrix: matrix "LK": expected one of KL, all, layer bytes, layers.KL, layers.layer bytes, layers.output error, output error`},
		{[]string{"last", "KL"}, exitUsage, "expected show RUN"},
		{[]string{"last", "--matrix="}, exitUsage, "--matrix: found nothing"},
		{[]string{"last", "--matrix", "--format", "junit"}, exitUsage, "--format of --matrix"},
		{[]string{"last", "--matrix", "--sort", "auc"}, exitUsage, "--sort is of the table of rows"},
		{[]string{"last", "--matrix", "--curves", "all"}, exitUsage, "expected one of them"},
		{[]string{"last", "--matrix", "--samples"}, exitUsage, "expected --samples or --matrix"},
		{[]string{"last", "--matrix", "--group", "step"}, exitUsage, "expected --group or --matrix"},
		{[]string{"demo", "--matrix"}, exitUsage, "has no matrix: none of its steps measures its layers one by one, as a step sensitivity does"},
	} {
		out, errs, code := slimlab(t, append([]string{"show"}, c.args...)...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%q: exit %d\n%s%s\nexpected exit %d and %q", c.args, code, out, errs, c.code, c.want)
		}
	}
	out, _ := output(t, exitHeld, "show", "last", "--matrix", "layers.KL", "--format", "json")
	var doc struct {
		Schema   string
		Matrices []struct {
			Cell, Step, Name, Unit, Better string
			Rows, Columns                  []string
			Values                         [][]float64
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Schema != "slimlab.matrices/1" || len(doc.Matrices) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	if m := doc.Matrices[0]; m.Step != "layers" || m.Name != "KL" || m.Unit != "nats" || m.Better != "lower" || len(m.Rows) != 3 || m.Columns[0] != "mlp 50%" || len(m.Values) != 3 || !(m.Values[2][2] > 0) {
		t.Errorf("%+v", m)
	}
}
