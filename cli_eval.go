package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab/eval"
	"slimlab/lab/report"
	"slimlab/lab/task"
)

// evalFlags are the flags of `slimlab eval`.
type evalFlags struct {
	against, dtype, kv, head, format string
	eval.Options
}

func (p *program) evalCommand() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval MODEL",
		Short: "measure a model, or two on the same items: perplexity, multiple choice, generation",
		Long: "eval measures a MODEL: a Hugging Face folder, a GGUF file, pretrained:NAME or run:ID/ROW. With --against it first measures the baseline on the same items,\n" +
			"and reports the paired difference with its interval. Each figure names its definition: perplexities and accuracies of the same name differ between programs.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error { return p.eval(cmd, names[0], f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.against, "against", "", "baseline model")
	flags.StringArrayVar(&f.Texts, "text", nil, "file of text or records to measure the perplexity of (repeatable)")
	flags.StringArrayVar(&f.Choices, "choice", nil, "file of multiple-choice questions: JSON objects with query, choices and gold, or as published for ARC, HellaSwag, MMLU … (repeatable)")
	flags.StringVar(&f.Prompt, "generate", "", "prompt to continue with greedy decoding")
	flags.IntVar(&f.Tokens, "tokens", 64, "with --generate: maximum tokens to generate")
	flags.IntVar(&f.Limit, "limit", 0, "measure only this many questions of each file and lines of each text, the first ones")
	flags.BoolVar(&f.Fresh, "fresh", false, "measure again instead of reusing earlier results")
	flags.StringVar(&f.dtype, "dtype", "float32", "type of unquantized weights and of the KV cache: "+strings.Join(eval.DTypes(), ", "))
	flags.StringVar(&f.head, "head", "", "number format that MODEL's head of floats, with a tied embedding, is rounded to as it is loaded: "+strings.Join(eval.Heads(), ", "))
	flags.StringVar(&f.kv, "kv", "", "KV cache of MODEL, where it is not that of --dtype; the baseline's is: "+strings.Join(eval.Caches(), ", "))
	flags.StringVar(&f.format, "format", "table", "output format: "+strings.Join(eval.Formats(), ", "))
	flags.StringVar(&f.Perplexity, "perplexity", eval.Fixed, "definition of token perplexity (fixed: windows as in the GPTQ paper; llama.cpp: as llama-perplexity): "+strings.Join(eval.Perplexities(), ", "))
	flags.IntVar(&f.Window, "window", 0, "tokens per window of a text (default: 2048, or the model's positions where they are fewer)")
	flags.IntVar(&f.Stride, "stride", 0, "tokens from the start of a fixed window to the start of the next (default: the window)")
	flags.StringVar(&f.BOS, "bos", eval.Auto, "whether a BOS precedes each text and question: "+strings.Join(eval.BeginningsOfText(), ", ")+"; auto does as the tokenizer says")
	flags.StringVar(&f.Cue, "cue", task.DefaultCue, "text between a question and a choice, before the space")
	return cmd
}

func (p *program) eval(cmd *cobra.Command, name string, f evalFlags) error {
	if err := f.check(cmd); err != nil {
		return usage(err)
	}
	type asked struct{ name, kv, head string }
	models := []asked{{name, f.kv, f.head}}
	if cmd.Flags().Changed("against") {
		models = []asked{{name: f.against}, models[0]}
	}
	var sources []eval.Source
	for _, m := range models {
		s, err := eval.NewSource(p.home, m.name, f.dtype, m.kv, m.head)
		if err != nil {
			return usage(err)
		}
		sources = append(sources, s)
	}
	progress := newProgress(p.progressTo)
	f.Version, f.Store = version(), p.home.Evaluations()
	f.Progress = func(e eval.Progress) {
		text, at := e.Model+" · "+e.What, progress.elapsed()
		if e.What == eval.Loading {
			progress.line(at, text)
			return
		}
		if e.Done > 0 {
			text += fmt.Sprintf(" · %.0f%%, %s left", 100*float64(e.Done)/float64(e.Total), report.Duration(e.Left.Seconds()))
		}
		progress.passing(at, text)
	}
	f.Unkept = func(err error) {
		progress.line(progress.elapsed(), fmt.Sprintf("warning: the figures are not kept for another time, since the home %s cannot be written: %v; SLIMLAB_HOME names another folder", p.home.Folder, err))
	}
	r, err := eval.Run(cmd.Context(), sources, f.Options)
	progress.done()
	var input eval.InputError
	switch {
	case errors.Is(err, context.Canceled):
		return failure{exitInterrupted, errors.New("interrupted; files that were measured to the end are kept, and the same command goes on from there")}
	case errors.As(err, &input):
		return usage(err)
	case err != nil:
		return broke(err)
	}
	if err := r.Write(f.format, p.stdout); err != nil {
		return broke(err)
	}
	return nil
}

// check refuses invalid flags before a model is opened.
func (f *evalFlags) check(cmd *cobra.Command) error {
	if err := checkDType(&f.dtype, eval.DTypes()); err != nil {
		return err
	}
	for _, flag := range []struct {
		name, value string
		valid       []string
	}{
		{"format", f.format, eval.Formats()},
		{"perplexity", f.Perplexity, eval.Perplexities()},
		{"bos", f.BOS, eval.BeginningsOfText()},
		{"kv", cmp.Or(f.kv, eval.Caches()[0]), eval.Caches()},
		{"head", cmp.Or(f.head, eval.Heads()[0]), eval.Heads()},
	} {
		if err := nearest.Check("--"+flag.name, flag.value, flag.valid); err != nil {
			return err
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
