package scenario_test

import (
	"fmt"
	"testing/fstest"

	"slimlab/lab/run"
	"slimlab/lab/scenario"
)

// Load reads a scenario strictly and expands its sweep into cells.
func ExampleLoad() {
	files := fstest.MapFS{"small.yaml": {Data: []byte(`
task: { kind: recsys }
models:
  FM: pretrained:recsys-fm
  small: { layers: 2, hidden: 64, heads: 4 }
pipeline:
  - baseline: { name: FM, model: FM }
  - distil: { name: student, into: small, teacher: FM, loss: "${loss}", steps: 100 }
  - quantize: { name: w8a8, scheme: w8a8 }
sweep: { loss: [fkl, "jsd:0.5"] }
`)}}
	s, err := scenario.Load("small", files, scenario.Options{Vocabulary: run.Vocabulary()})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, cell := range s.Plan().Cells {
		fmt.Println(cell.ID)
		for _, step := range cell.Point.Steps {
			fmt.Println(" ", step)
		}
	}
	// Output:
	// loss=fkl seed=1
	//   FM: measure FM as it is
	//   student: distil FM into small by fkl, 100 steps of 16
	//   w8a8: quantize student to w8a8
	// loss=jsd:0.5 seed=1
	//   FM: measure FM as it is
	//   student: distil FM into small by jsd:0.5, 100 steps of 16
	//   w8a8: quantize student to w8a8
}
