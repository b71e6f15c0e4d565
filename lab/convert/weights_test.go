package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model/checkpoint"
)

// TestDistilByWeights: weights and masks of records reach the training: those of 1 give the weights
// and the validation losses of records without, others give others, and a text has none.
func TestDistilByWeights(t *testing.T) {
	folder, text := source(t, checkpoint.F32)
	dir := t.TempDir()
	distil := func(name string, extra func(i int) string, weight, mask string) (*Result, string, error) {
		data := text
		if extra != nil {
			var b strings.Builder
			for i := range 40 {
				fmt.Fprintf(&b, "{\"prompt\": \"say %d\", \"response\": \"it is %d\"%s}\n", i, i, extra(i))
			}
			data = filepath.Join(dir, name+".jsonl")
			if err := os.WriteFile(data, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		d := Distillation{Data: data, WeightField: weight, MaskField: mask, Steps: 3, Batch: 4, Length: 48, LearningRate: 1e-2, Validation: 4, Seed: 1}
		if err := d.Set("", "float32", false); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, name)
		r, err := Distil(t.Context(), folder, "", to, d, Options{Open: open})
		return r, to, err
	}
	one := func(int) string { return `, "w": 1, "m": []` }
	plain, to, err := distil("plain", one, "", "")
	if err != nil {
		t.Fatal(err)
	}
	want := logits(t, to)
	for _, c := range []struct {
		name  string
		extra func(i int) string
		same  bool
	}{
		{"ones", one, true},
		{"weights", func(i int) string { return fmt.Sprintf(`, "w": %d`, 1+i%3*50) + `, "m": []` }, false},
		{"masks", func(i int) string { return `, "w": 1, "m": [[0, 5]]` }, false},
	} {
		r, to, err := distil(c.name, c.extra, "w", "m")
		if err != nil {
			t.Fatal(err)
		}
		before, after := *r.Distillation.Before == *plain.Distillation.Before, *r.Distillation.After == *plain.Distillation.After
		if same := slices.Equal(logits(t, to), want); same != c.same || before != c.same || after != c.same {
			t.Errorf("%s: the same model: %t, loss before: %t, after: %t; expected %t", c.name, same, before, after, c.same)
		}
		if noted := strings.Contains(strings.Join(r.Notes, "\n"), "have weights other than 1"); noted == c.same {
			t.Errorf("%s: notes %q", c.name, r.Notes)
		}
	}
	for name, c := range map[string]struct {
		extra        func(int) string
		weight, mask string
		want         string
	}{
		"text":    {nil, "w", "", "expected records for --weight-field and --mask-field"},
		"unknown": {one, "ww", "", `--weight-field is "ww", and none of 40 records has it, did you mean "w"?`},
		"both":    {one, "m", "m", `--weight-field and --mask-field are both "m"`},
	} {
		if _, _, err := distil(name, c.extra, c.weight, c.mask); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, expected %q", name, err, c.want)
		}
	}
}
