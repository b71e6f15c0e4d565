package task

import (
	"fmt"
	"slices"

	"slimlab/internal/plural"
)

// split gives each record to training, validation or calibration by the place of its prompt, or of
// its text. Where so few prompts differ that a split which is to have records gets none, the
// prompts are cut in the order of their places instead, at least one to a split, and a note says
// so. The error says how many different prompts there are.
func (d *Records) split(all []Record) error {
	places := make([]float64, len(all))
	for i, record := range all {
		places[i] = record.place(d.cfg.SplitSeed)
	}
	distinct := slices.Clone(places)
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	below := func(bound float64) int { n, _ := slices.BinarySearch(distinct, bound); return n }
	validation := below(d.cfg.ValidationShare)
	calibration := below(d.cfg.ValidationShare+d.cfg.CalibrationShare) - validation
	least := []int{0, 0}
	for i, share := range []float64{d.cfg.ValidationShare, d.cfg.CalibrationShare} {
		if share > 0 {
			least[i] = 1
		}
	}
	if need := 1 + least[0] + least[1]; len(distinct) < need {
		return d.tooFew(len(all), len(distinct), need)
	}
	moved := validation < least[0] || calibration < least[1] || validation+calibration == len(distinct)
	validation, calibration = max(validation, least[0]), max(calibration, least[1])
	for validation+calibration >= len(distinct) { // one is left for training
		if validation-least[0] >= calibration-least[1] {
			validation--
		} else {
			calibration--
		}
	}
	for i, record := range all {
		switch at, _ := slices.BinarySearch(distinct, places[i]); {
		case at < validation:
			d.validation = append(d.validation, record)
		case at < validation+calibration:
			d.calibration = append(d.calibration, record)
		default:
			d.train = append(d.train, record)
		}
	}
	if moved {
		d.notes = append(d.notes, fmt.Sprintf("%s: %d records are few: their shares would leave a split empty, so each split has at least one; figures of so few records say little", d.name, len(all)))
	}
	return nil
}

// tooFew is the error of records that no cut gives to every split.
func (d *Records) tooFew(all, distinct, need int) error {
	splits := "training"
	for _, part := range []struct {
		name  string
		share float64
	}{{"validation", d.cfg.ValidationShare}, {"calibration", d.cfg.CalibrationShare}} {
		if part.share > 0 {
			splits += ", " + part.name
		}
	}
	advice := ""
	if d.cfg.Knobs.KeepNone != "" {
		advice = "; " + d.cfg.Knobs.KeepNone + " trains on all"
	}
	return fmt.Errorf("%s: found %s with %s, expected at least %d, one for each split (%s)%s", d.name, plural.Of(all, "record"), plural.Of(distinct, "different prompt"), need, splits, advice)
}
