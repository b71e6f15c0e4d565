package run

import (
	"fmt"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/model/checkpoint"
)

// TestOtherFloatFormatIsNoCompression: beside a model in float32, one that keeps all parameters is
// 1× smaller, whatever it is stored in, and a footnote says so; one in bfloat16 has none.
func TestOtherFloatFormatIsNoCompression(t *testing.T) {
	for _, dtype := range []checkpoint.DType{checkpoint.F32, checkpoint.BF16, checkpoint.F16} {
		folder := savedTeacher(t)
		if err := checkpoint.Save(t.Context(), folder, readModel(t, folder), nil, checkpoint.SaveOptions{DType: dtype}); err != nil {
			t.Fatal(err)
		}
		out := mustWork(t, copyHome(t, onlyTokenizer), parse(t, fmt.Sprintf(`
name: wide
params: { none: 0 }
task: { kind: recsys, members: 40, candidates: 2 }
models: { given: { load: %q } }
pipeline:
  - baseline: { name: given, model: given }
  - prune:    { name: whole, mlp: "${none}", method: magnitude }
  - quantize: { name: int8, scheme: w8a8-rtn }
  - baseline: { name: again, model: given }
evaluate: { validation: 4 }
columns: [bytes, smaller]
`, folder), scenario.Options{}), Options{})
		values := map[string]map[string]lab.Summary{}
		for _, row := range out.Board.Snapshot().Rows {
			values[row.Name] = map[string]lab.Summary{}
			for _, key := range []string{"bytes", "smaller", "params"} {
				values[row.Name][key], _ = row.Metric(key)
			}
		}
		params := values["given"]["params"].Value
		for name, want := range map[string]float64{"given": 1, "whole": 1, "again": 1, "int8": 2 * params / values["int8"]["bytes"].Value} {
			if got := values[name]["smaller"].Value; got != want {
				t.Errorf("%s: %s is %v times smaller, expected %v", dtype, name, got, want)
			}
		}
		for _, key := range []string{"bytes", "smaller"} {
			text := strings.Join(values["given"][key].Warnings, "; ")
			if wide := strings.HasPrefix(text, "stored in 4 bytes a parameter, and counted in smaller by its "); wide != (dtype == checkpoint.F32) || !wide && text != "" {
				t.Errorf("%s: the footnote of %s is %q", dtype, key, text)
			}
			if text := values["whole"][key].Warnings; len(text) > 0 {
				t.Errorf("%s: the footnotes of a model in bfloat16 are %q", dtype, text)
			}
		}
		if got, want := values["given"]["bytes"].Value, params*float64(dtype.Size()); got != want {
			t.Errorf("%s: %v bytes, expected %v, as it is stored", dtype, got, want)
		}
	}
}
