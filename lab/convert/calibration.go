package convert

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"slimlab/internal/await"
	"slimlab/internal/plural"
	"slimlab/lab/task"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/checkpoint"
	"slimlab/pruning"
)

// Calibration is the text that statistics are taken from.
type Calibration struct {
	File string // of text or records; "" is none
	// tokens drawn evenly instead: for models without a tokenizer, whose weights are random
	// themselves
	Random  bool
	Samples int // sequences
	Length  int // tokens of one; 0 is 512, or the model's positions where they are fewer
	Seed    uint64

	plain *task.Plain // of the file
	// which characters of it have no token
	missing string
	repeats string // says that the text is a short one again and again
	overlap string // says that there are fewer windows than sequences
	fitted  bool   // the length is the model's positions, which are fewer than the default
}

// DefaultSamples is the sequences where no number is given: as many as GPTQ takes. They are windows
// of a text; the steps of a scenario have another default, of examples, of which the paper's 350 to
// 700 of its own tasks are enough.
const DefaultSamples = 128

// defaultLength is the tokens of a calibration sequence where none are given.
const defaultLength = 512

// fit chooses the length where none is given.
func (c *Calibration) fit(shape model.Config) {
	if c.given() && c.Length == 0 {
		c.Length, c.fitted = min(defaultLength, shape.MaxPositions), shape.MaxPositions < defaultLength
	}
}

// given reports whether there is any.
func (c Calibration) given() bool { return c.File != "" || c.Random }

// require reports that there is none where a method, as what names it, needs one.
func (c Calibration) require(what string) error {
	if c.given() {
		return nil
	}
	return fmt.Errorf("%s needs a calibration text, expected --calibration FILE, or --random-calibration for a model without a tokenizer", what)
}

// maxSamples bounds the sequences, as in scenarios.
const maxSamples = 1_000_000

// check reports sequences that a model of a shape cannot read.
func (c Calibration) check(shape model.Config) error {
	if c.given() && (c.Samples < 1 || c.Samples > maxSamples || c.Length < 1 || c.Length > shape.MaxPositions) {
		return fmt.Errorf("calibration: --samples %d, --length %d: expected 1 to %d sequences of 1 to %s, the model's positions", c.Samples, c.Length, maxSamples, plural.Of(shape.MaxPositions, "token"))
	}
	return nil
}

func (c Calibration) String() string {
	if !c.given() {
		return "no calibration"
	}
	source := c.File
	if c.Random {
		source = "random tokens"
	}
	return fmt.Sprintf("%d × %s of %s, seed %d", c.Samples, plural.Of(c.Length, "token"), source, c.Seed)
}

// read reads the file, once: it may be a pipe.
func (c *Calibration) read(ctx context.Context, from *checkpoint.Checkpoint) error {
	if c.File == "" {
		return nil
	}
	t, err := from.Tokenizer()
	if err != nil {
		return err
	}
	if t == nil {
		return errors.New("calibration: the model has no tokenizer, so no text can be read; random tokens can (--random-calibration)")
	}
	if c.plain, err = task.ReadPlain(ctx, c.File, 0, chatOf(t)); err != nil {
		return fmt.Errorf("calibration: %w", err)
	}
	share, err := await.Do(ctx, func() (share float64, _ error) {
		share, c.missing = t.Missing(func(yield func(place, text string) bool) { yield("", c.plain.Text) })
		return share, nil
	})
	if err == nil && share > task.MostMissing {
		err = fmt.Errorf("calibration: %s: %s: expected a text that is mostly of characters which the tokenizer knows", c.File, c.missing)
	}
	return err
}

// notes say how the file was read.
func (c *Calibration) notes() (notes []string) {
	if c.plain != nil {
		notes = slices.Clone(c.plain.Notes)
	}
	if c.missing != "" {
		notes = append(notes, c.File+": "+c.missing)
	}
	if c.fitted {
		notes = append(notes, fmt.Sprintf("calibration sequences have --length %d, the model's positions", c.Length))
	}
	return notes
}

// warnings say what is amiss with the sequences, once they are drawn.
func (c *Calibration) warnings() (warnings []string) {
	for _, text := range []string{c.repeats, c.overlap} {
		if text != "" {
			warnings = append(warnings, text)
		}
	}
	return warnings
}

// sequences draws the sequences: places of the tokenized file, which may overlap. There are none
// where there is no text.
func (c *Calibration) sequences(ctx context.Context, from *checkpoint.Checkpoint) ([]calibrate.Sequence, error) {
	if !c.given() {
		return nil, ctx.Err()
	}
	shape := from.Config()
	rng := rand.New(rand.NewPCG(c.Seed, 0))
	list := make([]calibrate.Sequence, c.Samples)
	if c.Random {
		for i := range list {
			list[i] = make(calibrate.Sequence, c.Length)
			for j := range list[i] {
				list[i][j] = rng.Int32N(int32(shape.Vocab))
			}
		}
		return list, nil
	}
	ids, err := c.tokens(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("calibration: %w", err)
	}
	if text := task.Repeats(ids); text != "" {
		c.repeats = fmt.Sprintf("calibration: %s %s", c.File, text)
	}
	if windows := len(ids) / c.Length; windows < c.Samples {
		c.overlap = fmt.Sprintf("calibration: --samples is %d, and %s has %s of %s: the sequences overlap", c.Samples, c.File, plural.Of(windows, "window"), plural.Of(c.Length, "token"))
	}
	for i := range list {
		at := 0
		if last := len(ids) - c.Length; last > 0 {
			at = rng.IntN(last + 1)
		}
		list[i] = ids[at:min(at+c.Length, len(ids))]
	}
	return list, nil
}

// leastAdvised is the shortest length that is advised: statistics of fewer tokens, each with little
// before it, say nothing of the texts that a model reads.
const leastAdvised = 32

// tokens tokenizes the file that was read.
func (c *Calibration) tokens(ctx context.Context, from *checkpoint.Checkpoint) ([]int32, error) {
	t, err := from.Tokenizer()
	if err != nil {
		return nil, err
	}
	ids, err := encodeText(ctx, t, c.plain.Text)
	if err != nil {
		return nil, err
	}
	if err := task.CheckDifferent(ids); err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	if len(ids) < c.Length {
		advice := "give a longer text"
		if len(ids) >= leastAdvised {
			advice += fmt.Sprintf(", or --length %d", len(ids))
		}
		return nil, fmt.Errorf("%s has %s, expected at least the %d of a sequence: %s", c.File, plural.Of(len(ids), "token"), c.Length, advice)
	}
	if err := t.CheckIDs(ids, from.Config().Vocab); err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	return ids, nil
}

// MemoryEstimate is what pruning or quantizing takes of memory, in bytes.
type MemoryEstimate struct {
	// one layer in float32, beside its form for products, and what some of the text becomes in it
	Layer      int64
	Statistics int64  // of the widest input, with what is computed from them
	Stream     int64  // the residual stream of the calibration text
	Inputs     int64  // what a linear layer reads of the whole text, from one pass to the next
	Refining   int64  // gradient steps on a layer, beyond its statistics, which are gone by then
	Whole      int64  // the whole model and its gradients, where a method needs them
	Pass       int64  // the pass that gives the gradients; it is over before the rest begins
	Kept       int64  // on disk: statistics that later runs find, at most
	Folder     string // which they are kept in
	Result     int64  // on disk: the tensors that are written
	// layers that an interrupted command has finished: no memory, but where the work goes on
	Finished int
	Time     time.Duration // that the other layers take, about, by the machine's rates; 0 where no text is read
}

// wholeCopies is the number of float32 copies of a model's parameters that its gradients take: the
// weights, their form for products forward and backward, and the gradients.
const wholeCopies = 4

// differentiate adds what gradients of a model take.
func (e *MemoryEstimate) differentiate(c model.Config, calibration Calibration) {
	e.Whole = wholeCopies * 4 * int64(c.Parameters())
	if calibration.given() {
		e.Pass = pruning.GradientBytes(c, calibration.Samples, calibration.Length)
	}
}

// Total is all that is memory at one time.
func (e MemoryEstimate) Total() int64 { return e.Whole + max(e.Pass, e.working()) }

// working is the memory while layers are compressed.
func (e MemoryEstimate) working() int64 {
	return e.Layer + e.Statistics + e.Stream + e.Inputs + e.Refining
}

// statisticsCopies is the number of matrices of the size of the statistics that OSSCAR and GPTQ
// hold at most: the sums, which become the damped mean, the products of the last block, a tableau
// in two parts or a factor, and one of work. Pruning of heads holds headCopies: for its tableau of
// one part it has the weight, the products of the weight's rows, and those of the right-hand side.
// A target has targetCopies more: the moment across and its products.
const (
	statisticsCopies = 5
	headCopies       = 6
	targetCopies     = 2
)

// layerCopies is the number of float32 copies of a layer: the weights, and their form for products.
// Where the layer as it was is held beside what it becomes there is half as much more.
const layerCopies = 2

// ioBytes are buffers of what is read and written.
const ioBytes = 2 << 20

// layerBytes is what the largest layer takes, with what a part of the text becomes in it: some of
// its whole sequences.
func layerBytes(c model.Config, calibration Calibration, twice bool) (most int64) {
	for _, l := range c.Layers {
		heads, kv := l.Heads*c.HeadDim, l.KVHeads*c.HeadDim
		weights := 2*int64(c.Hidden)*int64(heads+kv) + 3*int64(c.Hidden)*int64(l.MLP)
		bytes := layerCopies * 4 * weights
		if twice {
			bytes += bytes / 2
		}
		if calibration.given() {
			tokens := max(calibrate.PieceTokens, calibration.Length)
			bytes += 4 * int64(tokens) * int64(2*c.Hidden+2*heads+2*kv+3*l.MLP)
		}
		most = max(most, bytes+ioBytes)
	}
	return most
}

// estimate predicts the memory of passes over a model of a shape: that of the one which takes most.
// A text that no pass reads moves through the layers, to see how they change it.
func estimate(c model.Config, calibration Calibration, passes []pass) (most MemoryEstimate) {
	most.Layer = layerBytes(c, calibration, false)
	if !calibration.given() {
		return most
	}
	if len(passes) == 0 {
		most.Stream = 4 * int64(calibration.Samples+1) * int64(calibration.Length) * int64(c.Hidden)
	}
	for _, p := range passes {
		if e := p.memory(c, calibration); e.working() > most.working() {
			most = e
		}
	}
	return most
}

// chunkSequences is how many sequences run through a layer at once.
func chunkSequences(c Calibration) int { return max(1, chunkTokens/c.Length) }

// chunkTokens run through a layer at once.
const chunkTokens = 2048
