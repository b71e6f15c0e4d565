package convert

import (
	"errors"
	"fmt"
	"sort"

	"slimlab/model"
)

// ErrNoMemory is in the error of work that the machine has no memory for.
var ErrNoMemory = errors.New("too little memory is free")

// InPlace is a compression whose model is in memory, as those of a scenario are.
type InPlace struct {
	Samples, Length int // calibration sequences, and the tokens of one
	Target          float64
	Parallel        bool
	Differentiates  bool // by gradients of the whole model
	Refines         bool // with gradient steps on each layer
	Depth           bool // of whole layers, which asks for no statistics
}

// Memory predicts what it takes, of a model of a shape.
func (p InPlace) Memory(shape model.Config) MemoryEstimate {
	calibration := Calibration{Random: true, Samples: p.Samples, Length: max(1, p.Length)}
	var passes []pass
	if !p.Depth {
		steps := 0
		if p.Refines {
			steps = 1
		}
		passes = []pass{{parallel: p.Parallel, target: p.Target, reads: everywhere, steps: steps}}
	}
	needs := estimate(shape, calibration, passes)
	if needs.Whole = 4 * int64(shape.Parameters()); p.Differentiates {
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
		needs := estimate(shape, calibration, c.passes())
		if c.differentiates() {
			needs.differentiate(shape, calibration)
		}
		return needs
	}
	samples := calibration.Samples
	needs, free := with(samples), o.Memory()
	if needs.Kept = c.gathering().disk(shape, c.passes()); needs.Kept > 0 {
		needs.Folder = c.gathering().Folder
	}
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
