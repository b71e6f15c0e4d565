package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab/eval"
	"slimlab/lab/report"
	"slimlab/lab/task"
)

// evalFlags are the flags of `slimlab eval`.
type evalFlags struct {
	against, dtype, format string
	eval.Options
}

func (p *program) evalCommand() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval MODEL",
		Short: "perplexity, multiple choice and a continuation of a model, or of two beside each other",
		Long: "eval measures a MODEL: a Hugging Face folder, a GGUF file, pretrained:NAME or run:ID/ROW. With --against it measures another one on the same items first, and tells the\n" +
			"difference with a paired interval. Each figure names its definition: perplexities and accuracies of the same name differ between programs.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error { return p.eval(cmd, names[0], f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.against, "against", "", "the MODEL to compare with: the table's before")
	flags.StringArrayVar(&f.Texts, "text", nil, "a file whose perplexity is measured (repeatable)")
	flags.StringArrayVar(&f.Choices, "choice", nil, "a file of multiple-choice questions: a JSON object a line with query, choices and gold (repeatable)")
	flags.StringVar(&f.Prompt, "generate", "", "a prompt to continue, always by the likeliest token")
	flags.IntVar(&f.Tokens, "tokens", 64, "with --generate: tokens to write at most")
	flags.IntVar(&f.Limit, "limit", 0, "measure only the first so many questions of each file and lines of each text")
	flags.BoolVar(&f.Fresh, "fresh", false, "measure anew what was measured before")
	flags.StringVar(&f.dtype, "dtype", "float32", "what weights that are not quantized are multiplied in, keys and values too: one of "+strings.Join(eval.DTypes(), ", "))
	flags.StringVar(&f.format, "format", "table", "one of "+strings.Join(eval.Formats(), ", "))
	flags.StringVar(&f.Perplexity, "perplexity", eval.Fixed, "the definition of token perplexity: fixed windows as in GPTQ's paper, or those of llama.cpp; one of "+strings.Join(eval.Perplexities(), ", "))
	flags.IntVar(&f.Window, "window", 0, "tokens of a text's windows (default: 2048, or the model's positions where they are fewer)")
	flags.IntVar(&f.Stride, "stride", 0, "tokens from one fixed window to the next (default: the window)")
	flags.StringVar(&f.BOS, "bos", eval.Auto, "put a BOS before each text and question: one of "+strings.Join(eval.BeginningsOfText(), ", ")+"; auto does as the tokenizer says")
	flags.StringVar(&f.Cue, "cue", task.DefaultCue, "what stands between a question and a choice, before the space")
	return cmd
}

func (p *program) eval(cmd *cobra.Command, name string, f evalFlags) error {
	if err := f.check(cmd); err != nil {
		return failure{exitUsage, err}
	}
	names := []string{name}
	if cmd.Flags().Changed("against") {
		names = []string{f.against, name}
	}
	var sources []eval.Source
	for _, name := range names {
		s, err := eval.NewSource(p.home, name, f.dtype)
		if err != nil {
			return failure{exitUsage, err}
		}
		sources = append(sources, s)
	}
	start, progress := time.Now(), newProgress(p.stderr)
	f.Version, f.Store = version, p.home.Evaluations()
	f.Progress = func(e eval.Progress) {
		text, at := e.Model+" · "+e.What, time.Since(start).Seconds()
		if e.What == eval.Loading {
			progress.line(at, text)
			return
		}
		if e.Done > 0 {
			text += fmt.Sprintf(" · %.0f%%, %s left", 100*float64(e.Done)/float64(e.Total), report.Duration(e.Left.Seconds()))
		}
		progress.passing(at, text)
	}
	r, err := eval.Run(cmd.Context(), sources, f.Options)
	progress.done()
	var input eval.InputError
	switch {
	case errors.Is(err, context.Canceled):
		return failure{exitInterrupted, errors.New("interrupted; files that were measured to the end are kept, and the same command goes on from there")}
	case errors.As(err, &input):
		return failure{exitUsage, err}
	case err != nil:
		return failure{exitBroke, err}
	}
	if err := r.Write(f.format, p.stdout); err != nil {
		return failure{exitBroke, err}
	}
	return nil
}

// check tells of a flag that cannot be before a model is looked at.
func (f *evalFlags) check(cmd *cobra.Command) error {
	for _, flag := range []struct {
		name, value string
		valid       []string
	}{
		{"dtype", f.dtype, eval.DTypes()},
		{"format", f.format, eval.Formats()},
		{"perplexity", f.Perplexity, eval.Perplexities()},
		{"bos", f.BOS, eval.BeginningsOfText()},
	} {
		if !slices.Contains(flag.valid, flag.value) {
			return fmt.Errorf("--%s %s: expected one of %s%s", flag.name, flag.value, strings.Join(flag.valid, ", "), nearest.Suggest(flag.value, flag.valid))
		}
	}
	for _, flag := range []struct {
		name         string
		value, least int
	}{{"tokens", f.Tokens, 1}, {"limit", f.Limit, 1}, {"window", f.Window, 4}, {"stride", f.Stride, 1}} {
		if cmd.Flags().Changed(flag.name) && flag.value < flag.least {
			return fmt.Errorf("--%s %d: expected at least %d", flag.name, flag.value, flag.least)
		}
	}
	if !cmd.Flags().Changed("generate") {
		if cmd.Flags().Changed("tokens") {
			return errors.New("--tokens needs --generate")
		}
		f.Tokens = 0
	}
	if len(f.Texts)+len(f.Choices)+f.Tokens == 0 {
		return errors.New("nothing to measure, expected --text FILE, --choice FILE or --generate PROMPT")
	}
	return nil
}
