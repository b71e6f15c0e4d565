package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/filelock"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/lab/convert"
	"slimlab/lab/home"
	"slimlab/lab/report"
)

// dtypes are the element types that float tensors can be written in.
var dtypes = []string{"f32", "f16", "bf16"}

// convertFlags are the flags that the verbs which write a checkpoint share.
type convertFlags struct {
	dtype  string
	format string
}

func (f *convertFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dtype, "dtype", "", "element type of float tensors: "+strings.Join(dtypes, ", ")+" (default: the source's)")
	cmd.Flags().StringVar(&f.format, "format", "table", "output format: "+strings.Join(formats, ", "))
}

// check refuses an element type that is given and unknown.
func (f *convertFlags) check() error {
	if f.dtype == "" {
		return nil
	}
	return checkDType(&f.dtype, dtypes)
}

// convertOptions are the options of package convert, with progress on stderr.
func (p *program) convertOptions(f convertFlags) convert.Options {
	progress := newProgress(p.progressTo)
	return convert.Options{
		Open: p.home.OpenModel, Content: p.home.Content, DType: convert.DType(f.dtype), Progress: progress.step,
		Begin: func(e convert.MemoryEstimate, verdicts []convert.Compatibility) {
			fmt.Fprintf(p.stderr, "needs about %s of memory beside the program: a layer %s, statistics %s, the calibration text's stream %s, its inputs of a linear layer %s\n",
				bytesText(e.Total()), bytesText(e.Layer), bytesText(e.Statistics), bytesText(e.Stream), bytesText(e.Inputs))
			if e.Refining > 0 {
				fmt.Fprintf(p.stderr, "of these %s are of the gradient steps on a layer, beyond what its statistics took\n", bytesText(e.Refining))
			}
			if e.Whole > 0 {
				fmt.Fprintf(p.stderr, "of these %s are the whole model and its gradients, which the method needs; the pass that gives them takes %s, before the rest\n", bytesText(e.Whole), bytesText(e.Pass))
			}
			if e.Finished > 0 {
				progress.pace.resumed = true
				fmt.Fprintf(p.stderr, "goes on from layer %d: %s of an interrupted command %s finished\n", e.Finished, plural.Of(e.Finished, "layer"), plural.Verb(e.Finished))
			}
			if e.Time > 0 {
				fmt.Fprintf(p.stderr, "takes about %s on this machine, by the rates of its products at this moment\n", report.Clock(math.Ceil(e.Time.Seconds())))
			}
			fmt.Fprintf(p.stderr, "writes about %s of tensors\n", bytesText(e.Result))
			if e.Kept > 0 {
				fmt.Fprintf(p.stderr, "keeps statistics of at most %s in %s for later runs; --statistics none keeps none, and clean removes them\n", bytesText(e.Kept), e.Folder)
			}
			for _, v := range verdicts {
				if !v.Loads && v.Engine != "llama.cpp" { // which loads an export
					fmt.Fprintf(p.stderr, "%s will not load the result: %s\n", v.Engine, v.Why())
				}
			}
		},
		Machine: home.Machine(),
	}
}

// finishConversion reports a conversion, or why it ended.
func (p *program) finishConversion(f convertFlags, to string, r *convert.Result, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		if convert.Unfinished(to) {
			return failure{exitInterrupted, errors.New("interrupted; finished layers are kept, and the same command goes on from there")}
		}
		return failure{exitInterrupted, errors.New("interrupted; nothing was kept")}
	case writeFailed(err), convert.Broke(err), errors.Is(err, filelock.ErrLocked):
		return broke(err)
	case err != nil:
		return usage(err)
	}
	return product{"slimlab.conversion/1", r, func() string { return resultText(to, r) }}.write(p.stdout, f.format)
}

// writeFailed distinguishes a full or broken disk from input that cannot be converted.
func writeFailed(err error) bool {
	var of *fs.PathError
	return errors.As(err, &of) && slices.Contains([]string{"write", "sync", "close", "truncate"}, of.Op)
}

func resultText(to string, r *convert.Result) string {
	t := plainTable(2)
	t.Add("parameters", countText(r.Parameters.Before)+" → "+countText(r.Parameters.After))
	t.Add("bytes", bytesText(r.Bytes.Before)+" → "+bytesText(r.Bytes.After))
	for _, line := range r.Lines() {
		t.Add("result", line)
	}
	for _, line := range r.Notes {
		t.Add("note", line)
	}
	for _, line := range r.Warnings {
		t.Add("warning", line)
	}
	t.Add("time", report.Duration(r.Seconds))
	if r.Peak > 0 {
		t.Add("peak memory", bytesText(r.Peak)+" private, mapped files not counted; sampled")
	}
	for _, v := range r.Verdicts {
		t.Add(v.Engine, v.String())
	}
	return to + "\n" + t.Text()
}

// conversion returns a verb with two arguments: a MODEL and what is written of it.
func (p *program) conversion(use, short, long string, convertTo func(ctx context.Context, from, to string, o convert.Options) (*convert.Result, error)) *cobra.Command {
	var f convertFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := errors.Join(f.check(), nearest.Check("--format", f.format, formats)); err != nil {
				return usage(err)
			}
			if err := calibrationIdle(cmd); err != nil {
				return usage(err)
			}
			r, err := convertTo(cmd.Context(), names[0], names[1], p.convertOptions(f))
			return p.finishConversion(f, names[1], r, err)
		},
	}
	f.add(cmd)
	return cmd
}

// lengthFlag is a number of tokens; 0, which cannot be given, stands for the default.
type lengthFlag int

// Type is the word in the help.
func (*lengthFlag) Type() string { return "int" }

func (l *lengthFlag) String() string {
	if l == nil || *l == 0 {
		return ""
	}
	return strconv.Itoa(int(*l))
}

// Set takes a number from the command line.
func (l *lengthFlag) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	if n < 1 {
		return errors.New("expected a whole number of at least 1")
	}
	*l = lengthFlag(n)
	return nil
}

// addCalibration adds the flags that say what text statistics are taken from.
func addCalibration(cmd *cobra.Command, c *convert.Calibration) {
	flags := cmd.Flags()
	flags.StringVar(&c.File, "calibration", "", "calibration text: a file of text or records; - is standard input")
	flags.BoolVar(&c.Random, "random-calibration", false, "uniformly random tokens as calibration text: for models without a tokenizer")
	flags.IntVar(&c.Samples, "samples", convert.DefaultSamples, "number of calibration sequences, windows of the text; a scenario's steps take 512 examples of the task, which are shorter")
	flags.Var((*lengthFlag)(&c.Length), "length", "tokens per calibration sequence (default: 512, or the model's positions where they are fewer)")
	flags.Uint64Var(&c.Seed, "seed", 1, "random seed for choosing text windows")
	cmd.MarkFlagsMutuallyExclusive("calibration", "random-calibration")
}

// calibrationIdle refuses what says how a calibration text is read where there is none.
func calibrationIdle(cmd *cobra.Command) error {
	flags := cmd.Flags()
	if flags.Lookup("random-calibration") == nil || flags.Changed("calibration") || flags.Changed("random-calibration") {
		return nil
	}
	method := flags.Lookup("method") // of prune: the seed is that of random units too
	for _, name := range []string{"samples", "length", "seed"} {
		if name == "seed" && method != nil && convert.Draws(method.Value.String()) {
			continue
		}
		if flags.Changed(name) {
			return fmt.Errorf("--%s is of a calibration text, and there is none: give --calibration FILE, or leave it out", name)
		}
	}
	return nil
}

// gatheringFlags are the words of a convert.Gathering.
type gatheringFlags struct {
	mode, target, folder string
}

// addGathering adds the flags that say which statistics a method is given, and what follows it.
func addGathering(cmd *cobra.Command, g *gatheringFlags, r *convert.Refining) {
	flags := cmd.Flags()
	flags.StringVar(&g.mode, "mode", convert.Modes()[0], "whose inputs a layer is calibrated on: sequential, those of the model as it becomes, or parallel, those of the model as it was")
	flags.StringVar(&g.target, "target", "own", "what a linear layer is to reproduce: own, its outputs for its new inputs, dense, those of the dense model, or a share of the latter such as 50%")
	flags.StringVar(&g.folder, "statistics", "", "folder to keep statistics of inputs in for later runs, or none (default: the home's, which keeps those of the model as it was)")
	flags.IntVar(&r.Steps, "refine", 0, "gradient steps on each layer's output after its compression")
	flags.Float64Var(&r.Rate, "refine-rate", 0, "how far the first of these steps moves a weight, falling to 0 in a line: relative to the root mean square of float weights and of biases (default 0.001), to the step of its grid for a rounded weight (default 2 / the number of steps)")
}

// set completes a Gathering.
func (f *gatheringFlags) set(g *convert.Gathering, p *program, cmd *cobra.Command) error {
	if f.folder == "" && cmd.Flags().Changed("statistics") {
		return errors.New("--statistics is empty: expected a folder, or none, which keeps no statistics; left out, the home's keeps those of the model as it was")
	}
	return g.Set(f.mode, f.target, f.folder, p.home.StatisticsFolder())
}

func (p *program) quantizeCommand() *cobra.Command {
	var smooth, rotate, layers string
	var words convert.SchemeWords
	var gathering gatheringFlags
	var q convert.Quantization
	var cmd *cobra.Command
	cmd = p.conversion("quantize MODEL FOLDER", "write a model with quantized linear layers, one layer at a time",
		"quantize works on one layer at a time: memory holds that layer, not the model. After an interruption the same command goes on from the layer that it had reached.\n"+
			"--scheme is a number format, or a scheme's whole name, FORMAT[-asym][-METHOD[-act]][-gGROUP], which says what --method, --order and --group say.\n"+
			"GPTQ and QuantEase need a calibration text; round-to-nearest uses one only to measure its error.\n"+
			"The format of the KV cache is in no saved model: eval, serve and doctor choose it, each by --kv.",
		func(ctx context.Context, from, to string, o convert.Options) (r *convert.Result, err error) {
			switch given := cmd.Flags().Changed; {
			case layers != "":
				err = q.SetLayers(layers, given)
			case !given("scheme"):
				err = fmt.Errorf("nothing is to be rounded: give --scheme, one of %s, or --layers, a scheme for each layer", strings.Join(convert.Schemes(), ", "))
			default:
				q.Scheme, err = convert.ParseWords(words, given)
			}
			if err != nil {
				return nil, err
			}
			if err := errors.Join(gathering.set(&q.Gathering, p, cmd), q.Set(smooth, rotate), q.CheckGiven(cmd.Flags().Changed)); err != nil {
				return nil, err
			}
			return convert.Quantize(ctx, from, to, q, o)
		})
	addCalibration(cmd, &q.Calibration)
	addGathering(cmd, &gathering, &q.Refine)
	flags := cmd.Flags()
	flags.StringVar(&words.Scheme, "scheme", "", "number format: "+strings.Join(convert.Schemes(), ", ")+"; or a whole name such as w4a16-asym-gptq-g64")
	flags.StringVar(&words.Method, "method", "", "how codes are chosen: "+strings.Join(convert.SchemeMethods(), ", ")+" (default: rtn for 8 bits, gptq for fewer)")
	flags.StringVar(&words.Group, "group", convert.DefaultGroup, "inputs that share a scale: a multiple of 8; channel, one scale for each output; or auto, the largest of 128, 64, 32, 16 and 8 that divides the inputs of all linear layers")
	flags.StringVar(&words.Order, "order", convert.DefaultOrder, "of gptq and quantease: order in which inputs are quantized, "+strings.Join(convert.Orders(), " or ")+", those of the largest second moment first")
	flags.StringVar(&words.Range, "range", convert.DefaultRange, "of integers: range that a group's scale is fitted to, "+strings.Join(convert.Ranges(), " or ")+", the one with the least sum of |w-q|^2.4 rounded to nearest")
	flags.IntVar(&words.Sweeps, "sweeps", convert.DefaultSweeps, "of quantease: sweeps through all inputs, from each start; an output that none changes ends before")
	flags.StringVar(&words.Start, "start", convert.DefaultStart, "of quantease: where it starts, "+strings.Join(convert.Starts(), ", ")+": of both each output keeps the better end")
	flags.StringVar(&words.Outliers, "outliers", convert.DefaultOutliers, "of quantease, for integers: share of the weights, such as 0.5%, that have a number of 16 bits beside their codes; only slimlab reads such a model")
	flags.StringVar(&words.OutliersShape, "outliers-shape", convert.DefaultOutliersShape, "outliers are single weights, or all weights of some inputs: "+strings.Join(convert.OutliersShapes(), " or "))
	flags.Float64Var(&words.Damping, "damping", convert.DefaultDamping, "of gptq: what is added to the diagonal of the inputs' second moments, as a share of its mean; raised by itself where they are singular")
	flags.StringVar(&smooth, "smooth", "none", "scales that move large channels from activations to weights before the rounding: none; a number from 0 to 1, SmoothQuant's α; auto, α of each input by search; awq, AWQ's by search")
	flags.StringVar(&rotate, "rotate", "none", "turn the float model by Hadamard matrices before the rounding: "+strings.Join(convert.Rotations(), ", ")+" (heads and the residual stream; unties a tied head)")
	flags.BoolVar(&q.Clip, "clip", false, "narrow the range of each group's scale to the one with the least output error, except for q and k (AWQ's search); for integers")
	flags.StringVar(&layers, "layers", "", "a scheme for each layer with spaces or commas between, each by its whole name, such as 'w8a8 none w4a16-g64', in place of --scheme; none: the layer stays as it is")
	return cmd
}

func (p *program) pruneCommand() *cobra.Command {
	var method, align, starts string
	var cuts convert.Cuts
	var gathering gatheringFlags
	var cut convert.Pruning
	var cmd *cobra.Command
	cmd = p.conversion("prune MODEL FOLDER", "write a model without some of its MLP neurons and attention heads, one layer at a time",
		"prune works on one layer at a time: memory holds that layer, not the model. After an interruption the same command goes on from the layer that it had reached.\n"+
			"All layers are cut to the same sizes, as other engines expect, unless a budget chooses them.\n"+
			"Methods random, magnitude, magnitude-l1 and magnitude-l2 need no calibration text; with one the errors of layers are measured.",
		func(ctx context.Context, from, to string, o convert.Options) (*convert.Result, error) {
			if err := errors.Join(cut.Set(method, cuts), cut.SetAlign(align), cut.SetStarts(starts), gathering.set(&cut.Gathering, p, cmd), cut.CheckGiven(cmd.Flags().Changed)); err != nil {
				return nil, err
			}
			return convert.Prune(ctx, from, to, cut, o)
		})
	addCalibration(cmd, &cut.Calibration)
	addGathering(cmd, &gathering, &cut.Refine)
	flags := cmd.Flags()
	flags.Lookup("seed").Usage += ", and the units that methods random and random-ls keep"
	flags.StringVar(&method, "method", "osscar", "pruning method: "+strings.Join(convert.Methods(), ", "))
	flags.StringVar(&cuts.MLP, "mlp", "", "MLP neurons to remove from each layer: a share such as 20% or 0.2, or a number")
	flags.StringVar(&cuts.MLPLayers, "mlp-layers", "", "MLP neurons to remove, an amount for each layer with spaces or commas between, such as '25% 0 50%', in place of --mlp and what else is of all layers")
	flags.StringVar(&cuts.Heads, "heads", "", "KV groups to remove from each layer, with their query heads: a share, or a number")
	flags.StringVar(&cuts.QueryHeads, "query-heads", "", "query heads to remove from every KV group of each layer, whose keys and values stay: a share, or a number")
	flags.StringVar(&cuts.Layers, "layers", "", "whole layers to remove, alone: those that change the residual stream least; a share, or a number")
	flags.StringVar(&cuts.Widths, "widths", "", "widths of layers: uniform, or budget: those of the least error with as many parameters in all (default: uniform)")
	flags.StringVar(&cuts.Budget, "budget", "", "with widths by a budget, in place of --mlp and --heads: what stays of the neurons' parameters, a share such as 80%, or bytes in bfloat16 such as 500MB; or the time of the neurons' products, 1.5ms, or '80% of time', by the times of each width as they are measured on this machine")
	flags.IntVar(&cuts.Rows, "budget-rows", 0, "of a budget of time: tokens that a product takes at once, 1 as in decode, 512 as in a prefill of so many (default 1)")
	flags.StringVar(&align, "align", "auto", "round the remaining neurons up to a multiple of this; auto: the largest up to 128 that keeps at most 5 % more of a layer that is cut")
	flags.BoolVar(&cut.Intercept, "intercept", false, "solve o_proj's bias with the weights, for models that have one and cuts of heads")
	flags.StringVar(&starts, "starts", "both", "OSSCAR's local search begins at: both, greedy removal and magnitude, or greedy")
	flags.IntVar(&cut.Batch, "step", 0, "neurons to remove between two scorings (default 1, the most exact)")
	flags.IntVar(&cut.LocalSearch, "local-search", 0, "maximum rounds of local search (default 30; -1: none)")
	flags.Float64Var(&cut.Damping, "damping", 0, "damping as a fraction of the mean Hessian diagonal (default 0.01)")
	return cmd
}

func (p *program) importCommand() *cobra.Command {
	tokenizer := ""
	var adapters []string
	cmd := p.conversion("import MODEL FOLDER", "write a model of any format as a Hugging Face folder of float tensors",
		"import reads a Hugging Face folder, a GGUF file, pretrained:NAME or run:ID/ROW and writes a Hugging Face folder of float tensors: packed and block formats are decoded.\n"+
			"--adapter merges a LoRA adapter, a folder with adapter_config.json and adapter_model.safetensors, into the model: W + s·B·A in float32.\n"+
			"random:SHAPE is a model with random weights, to measure with. The shapes: "+strings.Join(convert.Shapes(), ", ")+".",
		func(ctx context.Context, from, to string, o convert.Options) (*convert.Result, error) {
			o.Tokenizer, o.Adapters = tokenizer, adapters
			return convert.Import(ctx, from, to, o)
		})
	cmd.Flags().StringArrayVar(&adapters, "adapter", nil, "folder of a LoRA adapter to merge; several are merged in this order")
	cmd.Flags().StringVar(&tokenizer, "tokenizer", "", "with random:SHAPE: folder of the tokenizer to add")
	return cmd
}

func (p *program) exportCommand() *cobra.Command {
	target := "hf"
	var calibration convert.Calibration
	without := false
	cmd := p.conversion("export MODEL TO", "write a model for another engine: as a Hugging Face folder or a GGUF file",
		"export writes a new folder, or a file with the extension .gguf, then reads it again and compares.\n"+
			"A calibration text weighs the errors of GGUF's block formats by how large the inputs of each weight are.",
		func(ctx context.Context, from, to string, o convert.Options) (*convert.Result, error) {
			o.Calibration, o.WithoutTokenizer = calibration, without
			return convert.Export(ctx, from, to, target, o)
		})
	addCalibration(cmd, &calibration)
	cmd.Flags().BoolVar(&without, "without-tokenizer", false, "with a GGUF target: leave the tokenizer out, where GGUF has no words for it")
	cmd.Flags().StringVar(&target, "as", target, "target format: "+strings.Join(convert.Targets(), ", "))
	return cmd
}

func (p *program) distilCommand() *cobra.Command {
	var teacher, loss, precision string
	var d convert.Distillation
	cmd := p.conversion("distil STUDENT FOLDER", "train a student model on a teacher's outputs, or on the data alone",
		"distil trains the whole student in memory. The data are records with prompts and responses (the loss counts response tokens), conversations (the assistant's answers),\n"+
			"or a text (every token). Student and teacher must have the same tokens.",
		func(ctx context.Context, from, to string, o convert.Options) (*convert.Result, error) {
			if err := d.Set(loss, precision, teacher != ""); err != nil {
				return nil, err
			}
			return convert.Distil(ctx, from, teacher, to, d, o)
		})
	flags := cmd.Flags()
	flags.StringVar(&teacher, "teacher", "", "teacher model; without one the student learns from the data alone")
	flags.StringVar(&d.Data, "data", "", "training data: a file of records (JSON lines or a JSON array) or a text; - is standard input")
	flags.StringVar(&d.PromptField, "prompt-field", "", "field of a record that holds the prompt (default: found among the usual names)")
	flags.StringVar(&d.ResponseField, "response-field", "", "field of a record that holds the response (default: found likewise)")
	flags.StringVar(&d.WeightField, "weight-field", "", "field of a record that is the factor of its loss, 0 to 1000; messages have theirs under weight (default: none)")
	flags.StringVar(&d.MaskField, "mask-field", "", "field of a record that lists the spans of its response that are not learned, [[from, to], ...] in characters (default: none)")
	flags.StringVar(&loss, "loss", "", "divergence: fkl, rkl or jsd:BETA; sft: none (default: fkl with a teacher, else sft)")
	flags.IntVar(&d.Steps, "steps", 100, "optimizer steps")
	flags.IntVar(&d.Batch, "batch", 8, "sequences per step")
	flags.Var((*lengthFlag)(&d.Length), "length", "maximum tokens per sequence (default: 256, or the models' positions where they are fewer)")
	flags.Float64Var(&d.LearningRate, "learning-rate", 1e-4, "peak learning rate, cosine decay to 10 %")
	flags.IntVar(&d.WarmUp, "warm-up", 0, "steps of linear learning-rate warm-up")
	flags.IntVar(&d.Validation, "validation", 16, "held-out sequences, measured before and after training")
	flags.Uint64Var(&d.Seed, "seed", 1, "random seed for shuffling the data")
	flags.StringVar(&precision, "precision", "bfloat16", "precision of the student's matrix products: bfloat16 or float32")
	flags.BoolVar(&d.Recompute, "checkpoint", false, "gradient checkpointing: less memory, a third more time")
	_ = cmd.MarkFlagRequired("data")
	return cmd
}
