package convert

import (
	"context"
	"fmt"
	"strings"

	"slimlab/kernels"
	"slimlab/kernels/machine"
	"slimlab/lab/recipe"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/model/checkpoint/engines"
	"slimlab/pruning"
	"slimlab/pruning/timing"
	"slimlab/quant/transform"
)

// Opener opens what a MODEL names.
type Opener func(name string) (*checkpoint.Checkpoint, error)

// DType is an element type of float tensors: F32, F16 or BF16, in letters of either case.
type DType = checkpoint.DType

// Compatibility is what an engine would do with a checkpoint.
type Compatibility = engines.Compatibility

// Options are what every conversion takes.
type Options struct {
	Open Opener
	// Content names the content of a MODEL; nil is recipe.Checkpoint, for folders and files.
	Content func(ctx context.Context, name string) (string, error)
	// of float tensors; "" is that of the source's, or BF16 where the source has none that folders
	// hold
	DType     checkpoint.DType
	Tokenizer string // a folder whose tokenizer a random model gets; "" is none
	// folders of LoRA adapters that Import merges into the model, in this order
	Adapters []string
	merging  *merging            // of Adapters, opened
	layers   []model.LayerConfig // of the result, where it has fewer; nil for as many
	rotation *transform.Rotation
	// by which Export weighs the errors of GGUF's block formats; the zero value is none
	Calibration Calibration
	// of a file that Export writes: GGUF has no words for some tokenizers
	WithoutTokenizer bool
	// called after each step, with the number of steps done, that of all, and what the last one
	// was; may be nil
	Progress func(done, total int, text string)
	// called before the work, with the memory that it needs and the engines that would load the
	// result; may be nil
	Begin func(MemoryEstimate, []Compatibility)

	// Machine names this machine, for the times of a budget.
	Machine string
	// Timer measures the products that a budget of time chooses widths by; nil is this machine's.
	Timer pruning.Timer

	// Rates measures the products that the time of a compression is foreseen by; nil are this
	// machine's.
	Rates func(ctx context.Context, p kernels.Precision, widest int) (timing.Rates, error)

	// Free is what can still be written on the disk of a folder, in bytes, -1 where that is not
	// known; nil asks the system.
	Free func(folder string) int64
	// Memory is what memory is free, in bytes, 0 where that is not known; nil asks the system.
	Memory func() int64

	watch *recipe.Watch // of the files of what is converted
}

func (o *Options) complete(from *checkpoint.Checkpoint) error {
	if o.DType = checkpoint.DType(strings.ToUpper(string(o.DType))); o.DType == "" {
		o.DType = floatType(from)
	}
	if o.DType != checkpoint.F32 && o.DType != checkpoint.BF16 && o.DType != checkpoint.F16 {
		return fmt.Errorf("--dtype %s: expected f32, f16 or bf16", o.DType)
	}
	if o.Content == nil {
		o.Content = recipe.Checkpoint
	}
	if o.Free == nil {
		o.Free = systemFree
	}
	if o.Memory == nil {
		o.Memory = machine.FreeMemory
	}
	clock := timing.New(o.Machine)
	if o.Timer == nil {
		o.Timer = clock
	}
	if o.Rates == nil {
		o.Rates = clock.Rates
	}
	if o.Progress == nil {
		o.Progress = func(int, int, string) {}
	}
	if o.Begin == nil {
		o.Begin = func(MemoryEstimate, []engines.Compatibility) {}
	}
	return nil
}

// floatType is the element type of a checkpoint's embedding.
func floatType(from *checkpoint.Checkpoint) checkpoint.DType {
	for _, t := range from.Tensors() {
		if t.Name == embeddingName || t.Name == headName {
			switch t.DType {
			case checkpoint.F32, checkpoint.F16, checkpoint.BF16:
				return t.DType
			}
		}
	}
	return checkpoint.BF16
}

const (
	embeddingName = "model.embed_tokens.weight"
	headName      = "lm_head.weight"
)

// layerPrefix begins the names of the tensors that belong to a layer.
const layerPrefix = "model.layers."

// begin opens what is converted, completes the options by it, and begins the result.
func (o *Options) begin(from string) (*checkpoint.Checkpoint, *Result, error) {
	o.watch = recipe.NewWatch(from)
	source, err := o.Open(from)
	if err != nil {
		return nil, nil, err
	}
	err = o.complete(source)
	if err == nil && checkpoint.IsGGUF(from) {
		_, err = source.Tokenizer() // which is written last; what it lacks is said before the work
	}
	if err != nil {
		source.Close()
		return nil, nil, err
	}
	r := &Result{Notes: source.Notes()}
	r.Parameters.Before, r.Bytes.Before = source.Config().Parameters(), source.Bytes()
	return source, r, nil
}
