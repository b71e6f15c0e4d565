package quant

import (
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"slimlab/model/calibrate/refine"
)

// account is what the quantizer says of a layer beside its reports.
type account struct {
	Refined  []refine.Report
	Warnings []string
	Counts   counts // of all layers so far
}

// Account implements calibrate.Accountant.
func (q *quantizer) Account() ([]byte, error) {
	r := q.report
	said := account{r.Refined[q.refined:], r.Warnings[q.warned:], q.counts}
	q.refined, q.warned = len(r.Refined), len(r.Warnings)
	return msgpack.Marshal(said)
}

// Restore implements calibrate.Accountant.
func (q *quantizer) Restore(data []byte) error {
	var said account
	if err := msgpack.Unmarshal(data, &said); err != nil {
		return fmt.Errorf("what was said of a layer: %w", err)
	}
	r := q.report
	r.Refined, r.Warnings, q.counts = append(r.Refined, said.Refined...), append(r.Warnings, said.Warnings...), said.Counts
	return nil
}
