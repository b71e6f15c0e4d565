package convert

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"slimlab/internal/atomicfile"
	"slimlab/internal/filelock"
	"slimlab/internal/nearest"
	"slimlab/model/checkpoint"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
)

const ggufPrefix = "gguf-"

// Targets lists what Export writes: a Hugging Face folder in the formats that the source has, one
// whose 4-bit weights are in GPTQ's, and GGUF files.
func Targets() []string {
	list := []string{"hf", "hf-gptq"}
	for _, form := range checkpoint.GGUFForms() {
		list = append(list, ggufPrefix+strings.ToLower(form))
	}
	return list
}

// Export writes the checkpoint from as a target, one of Targets, to the new folder or file to. Its
// calibration text weighs the errors of GGUF's block formats; other targets take none.
func Export(ctx context.Context, from, to, target string, o Options) (*Result, error) {
	t, isGGUF := ggufTarget(target)
	if o.Calibration.given() && slices.Contains(Targets(), target) && (!isGGUF || t.Block() == 1) {
		return nil, fmt.Errorf("--calibration: %s rounds no blocks, expected a target such as gguf-q4_k_m, or no calibration", target)
	}
	if o.WithoutTokenizer && slices.Contains(Targets(), target) && !isGGUF {
		return nil, fmt.Errorf("--without-tokenizer: a Hugging Face folder holds every tokenizer, expected a GGUF target, or %s without the flag", target)
	}
	folder := func(t transfer) (*Result, error) {
		return locked(acquireFolder, to, func(to string) (*Result, error) { return t.run(ctx, from, to, o) })
	}
	switch target {
	case "hf":
		return folder(transfer{verb: "export", format: checkpoint.PackQuantized})
	case "hf-gptq":
		return folder(transfer{verb: "export " + target, format: checkpoint.GPTQ})
	}
	if isGGUF {
		return locked(filelock.AcquireFile, to, func(to string) (*Result, error) { return exportGGUF(ctx, from, to, t, o) })
	}
	return nil, nearest.Unknown("--as", target, Targets())
}

// ggufTarget is the type of most matrices of a target that is a GGUF file.
func ggufTarget(target string) (gguf.Type, bool) {
	form, ok := strings.CutPrefix(target, ggufPrefix)
	if !ok {
		return 0, false
	}
	t, err := checkpoint.GGUFForm(form)
	return t, err == nil
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
	options := checkpoint.GGUFOptions{Type: t, Room: func(bytes int64) error { return o.checkRoom(to, bytes) }}
	var vocabulary tokenizer.Vocabulary
	tok, err := source.Tokenizer()
	if err != nil {
		return nil, err
	}
	switch {
	case o.WithoutTokenizer:
		r.Warnings = append(r.Warnings, "the file has no tokenizer, as was asked for")
	case tok == nil:
		r.Warnings = append(r.Warnings, "the model has no tokenizer, and so the file has none")
	default:
		if vocabulary, err = tok.Vocabulary(); err != nil {
			return nil, fmt.Errorf("export: %w, and --without-tokenizer a file of the weights alone", err)
		}
		if moved := tok.AfterSpaces(); len(moved) > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("special tokens that are written in a text, %s, are found by readers of GGUF wherever they stand, and by tokenizer.json after a space alone: the ids of such texts differ, those of others do not", strings.Join(moved, ", ")))
		}
	}
	if options.Importance, err = o.importance(ctx, source, from, r); err != nil {
		return nil, err
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

// importance reads the calibration text, where one is given, and runs the model over it.
func (o *Options) importance(ctx context.Context, source *checkpoint.Checkpoint, from string, r *Result) (map[string][]float32, error) {
	c := o.Calibration
	if !c.given() {
		return nil, nil
	}
	c.fit(source.Config())
	if err := c.check(source.Config()); err != nil {
		return nil, err
	}
	if err := c.read(ctx, source); err != nil {
		return nil, err
	}
	if err := source.CheckFinite(ctx, from); err != nil {
		return nil, err
	}
	r.Notes = append(r.Notes, c.notes()...)
	sequences, err := c.sequences(ctx, source)
	if err != nil {
		return nil, err
	}
	r.Notes = append(r.Notes, c.warnings()...)
	list, err := importance(ctx, source, sequences, o.Progress)
	return list, Cause(ctx, source, from, err)
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
