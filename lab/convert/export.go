package convert

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"slimlab/internal/atomicfile"
	"slimlab/internal/filelock"
	"slimlab/internal/nearest"
	"slimlab/model/checkpoint"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
)

// ggufTypes are the types that matrices of a GGUF file are written in.
var ggufTypes = []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0, gguf.Q4_0, gguf.Q4_1}

// Targets lists what Export writes: a Hugging Face folder in the formats that the source has, one
// whose 4-bit weights are in GPTQ's, and GGUF files.
func Targets() []string {
	list := []string{"hf", "hf-gptq"}
	for _, t := range ggufTypes {
		list = append(list, "gguf-"+strings.ToLower(t.String()))
	}
	return list
}

// Export writes the checkpoint from as a target, one of Targets, to the new folder or file to.
func Export(ctx context.Context, from, to, target string, o Options) (*Result, error) {
	folder := func(t transfer) (*Result, error) {
		return locked(acquireFolder, to, func(to string) (*Result, error) { return t.run(ctx, from, to, o) })
	}
	switch target {
	case "hf":
		return folder(transfer{verb: "export", format: checkpoint.PackQuantized})
	case "hf-gptq":
		return folder(transfer{verb: "export " + target, format: checkpoint.GPTQ})
	}
	for _, t := range ggufTypes {
		if target == "gguf-"+strings.ToLower(t.String()) {
			return locked(filelock.AcquireFile, to, func(to string) (*Result, error) { return exportGGUF(ctx, from, to, t, o) })
		}
	}
	return nil, nearest.Unknown("--as", target, Targets())
}

func exportGGUF(ctx context.Context, from, to string, t gguf.Type, o Options) (*Result, error) {
	start := time.Now()
	if !strings.HasSuffix(to, ".gguf") {
		return nil, fmt.Errorf("%s: expected a name that ends in .gguf", to)
	}
	if _, err := os.Stat(to); err == nil {
		return nil, fmt.Errorf("%s: the file is there already, expected a new one", to)
	}
	source, r, err := o.begin(from)
	if err != nil {
		return nil, err
	}
	defer source.Close()
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
	}
	if err := atomicfile.RemoveAbandoned(to); err != nil {
		return nil, err
	}
	notes, err := writeGGUF(ctx, source, to, vocabulary, options)
	if err != nil {
		return nil, err
	}
	r.Notes = append(r.Notes, notes...)
	return r, r.complete(to, start)
}

// writeGGUF writes a checkpoint a few rows at a time, or, where its weights are packed, the model
// in memory.
func writeGGUF(ctx context.Context, source *checkpoint.Checkpoint, to string, v tokenizer.Vocabulary, o checkpoint.GGUFOptions) (notes []string, err error) {
	for _, l := range source.Quantization() {
		if strings.HasPrefix(l.Format, "w") {
			m, err := source.Model(ctx)
			if err != nil {
				return nil, err
			}
			notes, err := checkpoint.SaveGGUF(ctx, to, m, v, o)
			if o.Type.Block() > 1 {
				notes = append(notes, fmt.Sprintf("the codes of %s weights are not kept: they were decoded, and rounded again to %s", l.Format, o.Type))
			}
			return notes, err
		}
	}
	return source.WriteGGUF(ctx, to, v, o)
}
