package convert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slimlab/internal/plural"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/model/tokenizer"
)

// Import writes the checkpoint from, in whatever format, as a Hugging Face folder of float tensors.
// Block formats and codes are dequantized, and adapters are merged.
//
// random:SHAPE, such as random:qwen2.5-0.5b, is a model of that shape with random weights in BF16,
// to measure with.
func Import(ctx context.Context, from, to string, o Options) (*Result, error) {
	return locked(acquireFolder, to, func(to string) (*Result, error) {
		if shape, ok := strings.CutPrefix(from, "random:"); ok {
			return random(ctx, shape, to, o)
		}
		if o.Tokenizer != "" {
			return nil, fmt.Errorf("--tokenizer %s: it is for random:SHAPE alone, since %s brings its own", o.Tokenizer, from)
		}
		return transfer{verb: "import", dense: true}.run(ctx, from, to, o)
	})
}

func random(ctx context.Context, shape, to string, o Options) (*Result, error) {
	var t *tokenizer.Tokenizer
	if o.Tokenizer != "" {
		var err error
		if t, err = tokenizer.Load(o.Tokenizer); err != nil {
			return nil, fmt.Errorf("--tokenizer %s: %w", o.Tokenizer, err)
		}
	}
	start := time.Now()
	if len(o.Adapters) > 0 {
		return nil, fmt.Errorf("--adapter %s: an adapter belongs to a model that was trained, expected a MODEL other than random:%s", o.Adapters[0], shape)
	}
	if o.DType != "" && !strings.EqualFold(string(o.DType), string(checkpoint.BF16)) {
		return nil, fmt.Errorf("--dtype %s: random weights are written in BF16 only", o.DType)
	}
	if err := checkpoint.CheckNew(to); err != nil {
		return nil, err
	}
	c, err := model.Shape(shape)
	if err != nil {
		return nil, err
	}
	if t != nil && t.Vocab() > c.Vocab {
		return nil, fmt.Errorf("--tokenizer %s has %s, expected at most the %d of %s", o.Tokenizer, plural.Of(t.Vocab(), "token"), c.Vocab, shape)
	}
	if err := writeRandom(ctx, to, c, t); err != nil {
		return nil, err
	}
	r := new(Result)
	if err := r.complete(to, start); err != nil {
		return nil, err
	}
	r.Parameters.Before, r.Bytes.Before = r.Parameters.After, r.Bytes.After
	return r, nil
}

// writeRandom writes a model and a tokenizer, which may be nil. What an earlier process left of it
// is not continued: random weights are soon made again.
func writeRandom(ctx context.Context, to string, c model.Config, t *tokenizer.Tokenizer) error {
	return whole("import", to, func(partial string) error {
		err := checkpoint.WriteRandom(ctx, partial, c, 1)
		if err == nil && t != nil {
			err = t.Save(partial)
		}
		return err
	})
}

// whole makes a folder by a verb that is not continued. Finished layers of one that is are left to
// it.
func whole(verb, to string, write func(folder string) error) error {
	if err := checkUnfinished(verb, to); err != nil {
		return err
	}
	return checkpoint.WriteWhole(to, write)
}

// transfer moves all layers to a new folder.
type transfer struct {
	verb string
	// weights of other formats are dequantized, else they stay as they are
	dense  bool
	format checkpoint.Packing // of weights of 4 bits that stay
}

func (t transfer) run(ctx context.Context, from, to string, o Options) (*Result, error) {
	start := time.Now()
	source, r, err := o.begin(from)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	if t.format == checkpoint.GPTQ && !has4Bits(source) {
		return nil, fmt.Errorf("%s: found no linear layer of 4 bits, which alone GPTQ's format is for: `slimlab quantize %s FOLDER --scheme w4a16` makes such a model", t.verb, from)
	}
	if t.format == checkpoint.GPTQ && slices.ContainsFunc(source.Quantization(), func(l checkpoint.LayerFormat) bool { return l.Storage.Outliers != "" }) {
		return nil, fmt.Errorf("%s: %s has outliers beside its codes, which GPTQ's format has no place for: expected the format hf, which keeps them for slimlab alone, or a GGUF file, whose weights are decoded and rounded again", t.verb, from)
	}
	of, err := o.recipe(ctx, t.verb, transferVersion, from)
	if err != nil {
		return nil, err
	}
	if err := o.openAdapters(ctx, from, source, of.Inputs); err != nil {
		return nil, err
	}
	defer o.merging.close()
	r.Notes = append(r.Notes, o.merging.remarks()...)
	of.Parameters["dense"], of.Parameters["packing"] = t.dense, string(t.format)
	if bytes, known := t.bytes(source, &o); known {
		if err := o.checkRoom(to, bytes+source.OtherBytes()); err != nil {
			return nil, err
		}
	}
	s, err := newStream(ctx, source, to, of, o)
	if err != nil {
		return nil, err
	}
	s.dense, s.to.Packing = t.dense, t.format
	if err = r.noteNotFinite(ctx, source); err == nil {
		err = s.copyAll(ctx)
		r.Notes = append(r.Notes, s.resumed()...)
	}
	if err == nil {
		err = s.finish(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", t.verb, err), s.to.Abandon())
	}
	return r, r.complete(to, start)
}

// bytes predicts the tensors that are written, where all of them become floats.
func (t transfer) bytes(source *checkpoint.Checkpoint, o *Options) (bytes int64, known bool) {
	shape := source.Config()
	if o.merging != nil {
		shape = o.merging.config
	}
	packed := slices.ContainsFunc(source.Quantization(), func(l checkpoint.LayerFormat) bool {
		return !l.Storage.Dense() && l.Storage.Packing != checkpoint.GGUF
	})
	return int64(o.DType.Size()) * int64(shape.Parameters()), t.dense || !packed
}

// has4Bits reports a model with a linear layer of whole numbers of 4 bits.
func has4Bits(c *checkpoint.Checkpoint) bool {
	return slices.ContainsFunc(c.Quantization(), func(l checkpoint.LayerFormat) bool {
		return !l.Storage.Format.Float && l.Storage.Format.Bits == 4
	})
}

// Shapes lists the names that random: knows.
func Shapes() []string { return model.Shapes() }
