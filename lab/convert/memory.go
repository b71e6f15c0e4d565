package convert

import (
	"errors"
	"fmt"
	"sort"

	"slimlab/model"
)

// ErrNoMemory is in the error of work that the machine has no memory for.
var ErrNoMemory = errors.New("too little memory is free")

// MemoryInPlace predicts what a compression takes whose model is in memory, as those of a scenario
// are: of a shape, with so many calibration sequences of a length and a target.
func MemoryInPlace(shape model.Config, samples, length int, target float64, parallel, differentiates bool) MemoryEstimate {
	calibration := Calibration{Random: true, Samples: samples, Length: max(1, length)}
	needs := estimate(shape, calibration)
	needs.gather(shape, &Gathering{Target: target, Parallel: parallel}, func(model.Site) bool { return true })
	if needs.Whole = 4 * int64(shape.Parameters()); differentiates {
		needs.differentiate(shape, calibration)
	}
	return needs
}

// foresee predicts what a compression of a model of a shape takes, and refuses what the machine has
// no memory for: the system would end the process in the middle of the work.
func (o *Options) foresee(shape model.Config, c compression) (MemoryEstimate, error) {
	calibration := *c.calibration()
	with := func(samples int) MemoryEstimate {
		calibration.Samples = samples
		needs := estimate(shape, calibration)
		if calibration.given() {
			most := *c.gathering()
			most.Parallel = most.Parallel || c.looks()
			needs.gather(shape, &most, c.reads)
		}
		if c.differentiates() {
			needs.differentiate(shape, calibration)
		}
		return needs
	}
	samples := calibration.Samples
	needs, free := with(samples), o.Memory()
	if free == 0 || needs.Total() <= free {
		return needs, nil
	}
	fits := 0
	if calibration.given() {
		fits = sort.Search(samples, func(n int) bool { return with(n+1).Total() > free })
	}
	advice := "free some, or take a machine with more"
	if fits > 0 {
		advice = fmt.Sprintf("give at most --samples %d, or a shorter --length", fits)
	}
	return needs, fmt.Errorf("%w: found %.3g GB, expected at least %.3g GB for the work: %s", ErrNoMemory, float64(free)/1e9, float64(needs.Total())/1e9, advice)
}
