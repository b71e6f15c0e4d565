package run

import (
	"fmt"

	"slimlab/lab"
)

// checkSource reports a source of calibration text that the task does not have.
func (d *dataset) checkSource(source string) error {
	_, err := d.Calibration(source, 1)
	return err
}

// Calibration says which text a step calibrates on.
type Calibration struct {
	Source  string `key:"source" default:"in-domain" names:"sources" doc:"where the text is from"`
	Samples int    `key:"samples" default:"512" min:"1" max:"1000000" doc:"number of sequences"`
}

// noteFew says where there are fewer calibration sequences than a step asks for.
func (c Calibration) noteFew(w *worker, step string) {
	if w.data.TrainSize() == 0 { // a world, which draws as many as are asked for
		return
	}
	if all, err := w.data.Calibration(c.Source, 0); err == nil && len(all) < c.Samples {
		w.run.noteOnce(lab.Info, fmt.Sprintf("%s: calibration.samples is %d, and there are %d calibration examples: all are used", step, c.Samples, len(all)))
	}
}

// calibration returns the token sequences to calibrate on.
func (d *dataset) calibration(c Calibration) ([][]int32, error) {
	examples, err := d.Calibration(c.Source, c.Samples)
	if err != nil {
		return nil, err
	}
	sequences := make([][]int32, len(examples))
	for i, e := range examples {
		sequences[i] = e.Tokens
	}
	return sequences, nil
}
