package pruning

import (
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"slimlab/model/calibrate/refine"
)

// account is what the pruner says of a layer beside its reports.
type account struct {
	Refined              []refine.Report
	Warnings             []string
	Silent, SilentInputs int // of all layers so far
}

// Account implements calibrate.Accountant.
func (p *pruner) Account() ([]byte, error) {
	r := p.report
	said := account{r.Refined[p.refined:], r.Warnings[p.warned:], p.silent, p.silentInputs}
	p.refined, p.warned = len(r.Refined), len(r.Warnings)
	return msgpack.Marshal(said)
}

// Restore implements calibrate.Accountant.
func (p *pruner) Restore(data []byte) error {
	var said account
	if err := msgpack.Unmarshal(data, &said); err != nil {
		return fmt.Errorf("what was said of a layer: %w", err)
	}
	r := p.report
	r.Refined, r.Warnings = append(r.Refined, said.Refined...), append(r.Warnings, said.Warnings...)
	p.silent, p.silentInputs = said.Silent, said.SilentInputs
	return nil
}
