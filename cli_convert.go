package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/convert"
	"slimlab/lab/report"
)

// convertFlags are the flags that the verbs which write a checkpoint share.
type convertFlags struct {
	dtype  string
	format string
}

func (f *convertFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dtype, "dtype", "", "element type of float tensors: f32, f16 or bf16 (default: the source's)")
	cmd.Flags().StringVar(&f.format, "format", "table", "of the report: table or json")
}

// convertOptions are the options of package convert, with progress on stderr.
func (p *program) convertOptions(f convertFlags) convert.Options {
	bar := newBar(p.stderr)
	return convert.Options{
		Open:  p.home.OpenModel,
		DType: convert.DType(f.dtype), Progress: bar.step,
		Begin: func(e convert.Estimate, verdicts []convert.Verdict) {
			fmt.Fprintf(p.stderr, "needs about %s of memory beside the program: a layer %s, statistics %s, the calibration text's stream %s\n",
				bytesText(e.Total()), bytesText(e.Layer), bytesText(e.Statistics), bytesText(e.Stream))
			for _, v := range verdicts {
				if !v.Loads && v.Engine != "llama.cpp" { // which loads an export
					fmt.Fprintf(p.stderr, "%s will not take the result: %s\n", v.Engine, v)
				}
			}
		},
	}
}

// finishConversion reports a conversion, or why it ended.
func (p *program) finishConversion(f convertFlags, to string, r *convert.Result, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return failure{exitInterrupted, fmt.Errorf("interrupted; finished layers are kept, and the same command goes on from there")}
	case writingFailed(err):
		return failure{exitBroke, err}
	case err != nil:
		return failure{exitUsage, err}
	}
	if f.format == "json" {
		e := json.NewEncoder(p.stdout)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	} else {
		err = writeResult(p.stdout, to, r)
	}
	if err != nil {
		return failure{exitBroke, err}
	}
	return nil
}

// writingFailed tells a full or broken disk from input that cannot be converted.
func writingFailed(err error) bool {
	var of *fs.PathError
	return errors.As(err, &of) && slices.Contains([]string{"write", "sync", "close", "truncate"}, of.Op)
}

func writeResult(out io.Writer, to string, r *convert.Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\n", to)
	fmt.Fprintf(w, "parameters\t%s → %s\n", countText(r.Parameters.Before), countText(r.Parameters.After))
	fmt.Fprintf(w, "bytes\t%s → %s\n", bytesText(r.Bytes.Before), bytesText(r.Bytes.After))
	for _, line := range r.Lines() {
		fmt.Fprintf(w, "result\t%s\n", line)
	}
	for _, line := range r.Warnings {
		fmt.Fprintf(w, "warning\t%s\n", line)
	}
	fmt.Fprintf(w, "time\t%s\n", report.Duration(r.Seconds))
	if r.Peak > 0 {
		fmt.Fprintf(w, "peak memory\t%s\n", bytesText(r.Peak))
	}
	for _, v := range r.Verdicts {
		fmt.Fprintf(w, "%s\t%s\n", v.Engine, v)
	}
	return w.Flush()
}

// bar is a line on stderr with the share of work that is done and the time left: rewritten on a
// terminal, else every ten seconds.
type bar struct {
	progress *progress
	start    time.Time
}

// bytesText and countText write a size as people read it.
func bytesText(n int64) string { return report.Format(lab.Bytes, float64(n)) }
func countText(n int) string   { return report.Format(lab.Count, float64(n)) }

func newBar(w io.Writer) *bar { return &bar{newProgress(w), time.Now()} }

func (b *bar) step(done, total int, text string) {
	passed := time.Since(b.start)
	left := report.Duration(passed.Seconds() / float64(done) * float64(total-done))
	const width = 20
	filled := width * done / total
	b.progress.passing(passed.Seconds(), fmt.Sprintf("%s%s %d/%d, %s left · %s", strings.Repeat("█", filled), strings.Repeat("░", width-filled), done, total, left, text))
	if done == total {
		b.progress.done()
	}
}

// conversion makes a verb of two arguments, MODEL and what is written, out of what it does with
// them.
func (p *program) conversion(use, short, long string, convertTo func(ctx context.Context, from, to string, o convert.Options) (*convert.Result, error)) *cobra.Command {
	var f convertFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := f.check(); err != nil {
				return err
			}
			r, err := convertTo(cmd.Context(), names[0], names[1], p.convertOptions(f))
			return p.finishConversion(f, names[1], r, err)
		},
	}
	f.add(cmd)
	return cmd
}

// addCalibration adds the flags that say what text statistics are taken from.
func addCalibration(cmd *cobra.Command, c *convert.Calibration) {
	flags := cmd.Flags()
	flags.StringVar(&c.File, "calibration", "", "a text file to take statistics from")
	flags.BoolVar(&c.Random, "random-calibration", false, "take statistics from evenly drawn tokens: for models without a tokenizer")
	flags.IntVar(&c.Samples, "samples", 128, "sequences of the calibration text")
	flags.IntVar(&c.Length, "length", 512, "tokens of a sequence")
	flags.Uint64Var(&c.Seed, "seed", 1, "of the places in the text")
	cmd.MarkFlagsMutuallyExclusive("calibration", "random-calibration")
}

func (p *program) quantizeCommand() *cobra.Command {
	var scheme string
	var q convert.Quantization
	cmd := p.conversion("quantize MODEL FOLDER", "write a model with its linear layers in fewer bits, layer by layer",
		"quantize takes the model's layers one at a time: memory holds one of them, not the model. Interrupted, the same command goes on from the layer that it was at.\n"+
			"GPTQ needs a calibration text; round to nearest only measures its error on one.",
		func(ctx context.Context, from, to string, o convert.Options) (r *convert.Result, err error) {
			if q.Scheme, err = convert.ParseScheme(scheme); err != nil {
				return nil, err
			}
			return convert.Quantize(ctx, from, to, q, o)
		})
	addCalibration(cmd, &q.Calibration)
	cmd.Flags().StringVar(&scheme, "scheme", "", "one of "+strings.Join(convert.Schemes(), ", ")+"; those of 4 bits take an ending for the group, such as -g64")
	cmd.Flags().Float64Var(&q.Damping, "damping", 0, "of GPTQ, relative to the mean of the statistics' diagonal (default 0.01)")
	_ = cmd.MarkFlagRequired("scheme")
	return cmd
}

func (p *program) pruneCommand() *cobra.Command {
	var method, mlp, heads string
	var cut convert.Pruning
	cmd := p.conversion("prune MODEL FOLDER", "write a model without some of its MLP neurons and attention heads, layer by layer",
		"prune takes the model's layers one at a time: memory holds one of them, not the model. Interrupted, the same command goes on from the layer that it was at.\n"+
			"All layers keep the same sizes, as other engines expect.",
		func(ctx context.Context, from, to string, o convert.Options) (*convert.Result, error) {
			if err := cut.Set(method, mlp, heads); err != nil {
				return nil, err
			}
			return convert.Prune(ctx, from, to, cut, o)
		})
	addCalibration(cmd, &cut.Calibration)
	flags := cmd.Flags()
	flags.StringVar(&method, "method", "osscar", "one of "+strings.Join(convert.Methods(), ", "))
	flags.StringVar(&mlp, "mlp", "", "MLP neurons of each layer to remove: a share such as 20% or 0.2, or a number")
	flags.StringVar(&heads, "heads", "", "KV groups of each layer to remove, with their query heads: a share, or a number")
	flags.IntVar(&cut.Align, "align", 0, "the neurons that stay are rounded up to a multiple of this (default: the largest up to 128 that keeps at most a twentieth of a layer more)")
	flags.IntVar(&cut.Batch, "step", 0, "neurons that are removed together between two scorings (default 1, the most exact)")
	flags.IntVar(&cut.LocalSearch, "local-search", 0, "rounds of local search at most (default 30; -1: none)")
	flags.Float64Var(&cut.Damping, "damping", 0, "relative to the mean of the statistics' diagonal (default 0.01)")
	return cmd
}

func (p *program) importCommand() *cobra.Command {
	tokenizer := ""
	cmd := p.conversion("import MODEL FOLDER", "write a model of any format as a Hugging Face folder of float tensors",
		"import reads a Hugging Face folder, a GGUF file, pretrained:NAME or run:ID/ROW and writes a Hugging Face folder of float tensors: packed and block formats are decoded.\n"+
			"random:SHAPE is a model with random weights, to measure with. The shapes: "+strings.Join(convert.Shapes(), ", ")+".",
		func(ctx context.Context, from, to string, o convert.Options) (*convert.Result, error) {
			o.Tokenizer = tokenizer
			return convert.Import(ctx, from, to, o)
		})
	cmd.Flags().StringVar(&tokenizer, "tokenizer", "", "with random:SHAPE: a folder whose tokenizer the model gets")
	return cmd
}

func (p *program) exportCommand() *cobra.Command {
	target := "hf"
	cmd := p.conversion("export MODEL TO", "write a model for another engine: a Hugging Face folder, or a GGUF file",
		"export writes a new folder, or a file whose name ends in .gguf. What was written is read again and compared.",
		func(ctx context.Context, from, to string, o convert.Options) (*convert.Result, error) {
			return convert.Export(ctx, from, to, target, o)
		})
	cmd.Flags().StringVar(&target, "as", target, "one of "+strings.Join(convert.Targets(), ", "))
	return cmd
}

func (f *convertFlags) check() error {
	for _, flag := range []struct {
		name, value string
		valid       []string
	}{{"dtype", f.dtype, []string{"", "f32", "f16", "bf16"}}, {"format", f.format, []string{"table", "json"}}} {
		if !slices.Contains(flag.valid, flag.value) {
			return failure{exitUsage, fmt.Errorf("--%s %s: expected one of %s%s", flag.name, flag.value, strings.Join(flag.valid, " "), nearest.Suggest(flag.value, flag.valid))}
		}
	}
	return nil
}

func (p *program) distilCommand() *cobra.Command {
	var teacher, loss, precision string
	var d convert.Distillation
	cmd := p.conversion("distil STUDENT FOLDER", "train a model to answer as a teacher does, or alone",
		"distil trains the whole student in memory. The data are JSON lines with prompts and responses, of which the responses are learned, or text, of which every token is.\n"+
			"Student and teacher must have the same tokenizer.",
		func(ctx context.Context, from, to string, o convert.Options) (*convert.Result, error) {
			if err := d.Set(loss, precision, teacher != ""); err != nil {
				return nil, err
			}
			return convert.Distil(ctx, from, teacher, to, d, o)
		})
	flags := cmd.Flags()
	flags.StringVar(&teacher, "teacher", "", "the MODEL to learn from; without one the student learns from the data alone")
	flags.StringVar(&d.Data, "data", "", "JSON lines (.jsonl) or a text file")
	flags.StringVar(&loss, "loss", "", "fkl, rkl, jsd:BETA, or sft for none (default: fkl with a teacher, else sft)")
	flags.IntVar(&d.Steps, "steps", 100, "optimizer steps")
	flags.IntVar(&d.Batch, "batch", 8, "sequences of a step")
	flags.IntVar(&d.Length, "length", 256, "tokens of a sequence, at most")
	flags.Float64Var(&d.LearningRate, "learning-rate", 1e-4, "the highest; it ends at a tenth along a cosine")
	flags.IntVar(&d.WarmUp, "warm-up", 0, "steps over which the rate rises")
	flags.IntVar(&d.Validation, "validation", 16, "sequences that are kept from training and measured before and after")
	flags.Uint64Var(&d.Seed, "seed", 1, "of the order of the data")
	flags.StringVar(&precision, "precision", "bfloat16", "of the student's products: bfloat16 or float32")
	flags.BoolVar(&d.Recompute, "checkpoint", false, "take less memory and a third more time")
	_ = cmd.MarkFlagRequired("data")
	return cmd
}

func (p *program) inspectCommand() *cobra.Command {
	format := "table"
	cmd := &cobra.Command{
		Use:   "inspect MODEL",
		Short: "say what a model is, without reading its weights",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			if format != "table" && format != "json" {
				return failure{exitUsage, fmt.Errorf("--format %s: expected table or json", format)}
			}
			in, err := convert.Inspect(names[0], p.home.OpenModel)
			if err != nil {
				return failure{exitUsage, err}
			}
			if format == "json" {
				e := json.NewEncoder(p.stdout)
				e.SetIndent("", "  ")
				err = e.Encode(in)
			} else {
				err = writeInspection(p.stdout, in)
			}
			if err != nil {
				return failure{exitBroke, err}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "table or json")
	return cmd
}

func writeInspection(out io.Writer, in *convert.Inspection) error {
	c := in.Config
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\n", in.Name)
	fmt.Fprintf(w, "family\t%s\n", c.Architecture)
	fmt.Fprintf(w, "shape\thidden %d, %d layers, head dim %d, vocabulary %d, %d positions\n", c.Hidden, len(c.Layers), c.HeadDim, c.Vocab, c.MaxPositions)
	for _, run := range in.Widths() {
		fmt.Fprintf(w, "%s\t%d query heads, %d KV heads, %d MLP neurons\n", run.Layers, run.Widths.Heads, run.Widths.KVHeads, run.Widths.MLP)
	}
	head := "its own"
	if c.TiedHead {
		head = "the embedding"
	}
	fmt.Fprintf(w, "head\t%s\n", head)
	fmt.Fprintf(w, "parameters\t%s in %s\n", countText(in.Parameters), bytesText(in.Bytes))
	for _, part := range in.Parts {
		if part.Parameters > 0 {
			fmt.Fprintf(w, "  %s\t%s in %s\n", part.Name, countText(part.Parameters), bytesText(part.Bytes))
		}
	}
	for _, f := range in.Formats {
		fmt.Fprintf(w, "format\t%s: %d linear layers\n", f.Name, f.Layers)
	}
	tokenizer := in.Tokenizer
	if tokenizer == "" {
		tokenizer = "none"
	}
	fmt.Fprintf(w, "tokenizer\t%s\n", tokenizer)
	fmt.Fprintf(w, "opened in\t%s\n", report.Duration(in.Opened.Seconds()))
	for _, v := range in.Verdicts {
		fmt.Fprintf(w, "%s\t%s\n", v.Engine, v)
	}
	return w.Flush()
}
