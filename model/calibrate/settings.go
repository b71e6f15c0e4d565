package calibrate

import (
	"errors"
	"fmt"

	"slimlab/kernels"
	"slimlab/model"
)

// Settings say which statistics a pass gathers. The zero value is the sequential order with the
// method's own input as target, nothing kept.
type Settings struct {
	// Parallel gathers all statistics from the model as it was: they do not depend on what the
	// method does. The sequential order has those of the model as it has become.
	Parallel bool
	// Target is the share of the dense model's outputs in what a linear layer is to reproduce, from
	// 0, what the layer as it was makes of the input that it gets now, to 1, what it made of the
	// input in the dense model. Parallel has no other input, and no target.
	Target float64
	// Precision is what the model's float32 weights and the inputs of linear layers are
	// rounded to as they are multiplied with each other, and the inputs with themselves for
	// the Gram matrices: bfloat16 where the model's files hold that, so that the statistics
	// are of what its products read. The sums are float32 and float64 in either.
	Precision kernels.Precision
	// Sample is the number of tokens, drawn from all, whose inputs are given as they are. They are
	// not kept: with a sample everything is gathered anew.
	Sample int
	// Store keeps statistics for later passes; nil keeps none.
	Store Store
	// Describe says all that the method does to a linear layer of the model as it was, beside what
	// it makes of the statistics. A Store needs it in the sequential order.
	Describe func(l model.LinearLayer) string
}

func (s *Settings) check() error {
	switch {
	case !(s.Target >= 0 && s.Target <= 1):
		return fmt.Errorf("target %g: expected a share of the dense model's outputs, 0 to 1", s.Target)
	case s.Parallel && s.Target > 0:
		return fmt.Errorf("target %g in parallel mode: all inputs are the dense model's there, expected target 0 or the sequential mode", s.Target)
	case s.Store != nil && !s.Parallel && s.Describe == nil:
		return errors.New("a store of statistics in the sequential order needs a description of the method")
	}
	return nil
}

// Options say how a pass runs and what is called as it goes on.
type Options[R any] struct {
	Settings
	ChunkTokens int           // whole sequences run together up to this many tokens; 0 is 2048
	OnDone      func(Done[R]) // called after each linear layer; may be nil
}

// Done says how far a pass is, and what it has just done.
type Done[R any] struct {
	Done, Total int // linear layers that the method wants; those of finished layers count as done
	Report      R
}
