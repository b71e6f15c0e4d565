package convert

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"slimlab/model/checkpoint"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
)

// ggufTypes are the types that matrices of a GGUF file are written in.
var ggufTypes = []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0, gguf.Q4_0}

// Targets lists what Export writes: a Hugging Face folder in the formats that the source has, and GGUF files.
func Targets() []string {
	list := []string{"hf"}
	for _, t := range ggufTypes {
		list = append(list, "gguf-"+strings.ToLower(t.String()))
	}
	return list
}

// Export writes the checkpoint from as a target, one of Targets, to the new folder or file to.
func Export(ctx context.Context, from, to, target string, o Options) (*Result, error) {
	if target == "hf" {
		return transfer(ctx, from, to, "export", false, o)
	}
	for _, t := range ggufTypes {
		if target == "gguf-"+strings.ToLower(t.String()) {
			return exportGGUF(ctx, from, to, t, o)
		}
	}
	return nil, fmt.Errorf("target %q: expected one of %s", target, strings.Join(Targets(), ", "))
}

func exportGGUF(ctx context.Context, from, to string, t gguf.Type, o Options) (*Result, error) {
	start := time.Now()
	if !strings.HasSuffix(to, ".gguf") {
		return nil, fmt.Errorf("%s: expected a name that ends in .gguf", to)
	}
	if _, err := os.Stat(to); err == nil {
		return nil, fmt.Errorf("%s: the file is there already, expected a new one", to)
	}
	source, err := o.Open(from)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	if err := o.complete(source); err != nil {
		return nil, err
	}
	r := new(Result)
	r.Parameters.Before, r.Bytes.Before = source.Config().Parameters(), storedBytes(source)
	options := checkpoint.GGUFOptions{Type: t}
	var vocabulary tokenizer.Vocabulary
	tok, err := source.Tokenizer()
	if err != nil {
		return nil, err
	}
	if tok == nil {
		r.Warnings = append(r.Warnings, "the model has no tokenizer: llama.cpp will not load the file for text")
	} else {
		if vocabulary, err = tok.Vocabulary(); err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
		options.ChatTemplate = tok.ChatTemplate()
	}
	if r.Lines, err = source.WriteGGUF(to, vocabulary, options); err != nil {
		return nil, err
	}
	if err := compareFiles(ctx, source, to, o.Progress); err != nil {
		return nil, errors.Join(fmt.Errorf("export %s: the file does not hold what was written: %w", to, err), os.Remove(to))
	}
	return r, r.complete(to, start)
}

// compareFiles reads a written file again and holds every number against the source's, to within what the type of its tensor rounds off.
func compareFiles(ctx context.Context, source *checkpoint.Checkpoint, name string, progress Progress) error {
	written, err := checkpoint.Open(name, checkpoint.LoadOptions{})
	if err != nil {
		return err
	}
	defer written.Close()
	tensors := written.Tensors()
	for i, t := range tensors {
		if err := ctx.Err(); err != nil {
			return err
		}
		got, err := written.Float32(t.Name)
		if err != nil {
			return err
		}
		want, err := source.Float32(t.Name)
		if err != nil {
			return err
		}
		if err := withinRounding(got, want, string(t.DType)); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		progress(i+1, len(tensors), "compared "+t.Name)
	}
	return nil
}

// roundingBlock is the number of elements that share a scale in Q8_0 and Q4_0.
const roundingBlock = 32

// withinRounding holds numbers of a type against those that they were made of.
func withinRounding(got, want []float32, dtype string) error {
	if len(got) != len(want) {
		return fmt.Errorf("found %d elements, expected %d", len(got), len(want))
	}
	for first := 0; first < len(want); first += roundingBlock {
		block := want[first:min(first+roundingBlock, len(want))]
		largest := 0.0
		for _, v := range block {
			largest = max(largest, math.Abs(float64(v)))
		}
		for i, v := range block {
			off := math.Abs(float64(got[first+i]) - float64(v))
			size := math.Abs(float64(v))
			bound := 0.0
			switch dtype {
			case "F32":
			case "BF16":
				bound = size / 256
			case "F16":
				bound = max(size/2048, 0x1p-25) // numbers below 2⁻¹⁴ lose bits
			case "Q8_0": // half a step of largest/127, and what the half-precision scale rounds off
				bound = largest/254 + largest/2048 + 0x1p-24*128
			case "Q4_0": // the end of the grid that the largest number does not take is a step short
				bound = largest/8 + largest/1024 + 0x1p-24*8
			default:
				return fmt.Errorf("type %s cannot be compared", dtype)
			}
			if !(off <= bound) {
				return fmt.Errorf("element %d is %v, expected %v in %s", first+i, got[first+i], v, dtype)
			}
		}
	}
	return nil
}
