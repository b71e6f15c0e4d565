package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab/doctor"
)

// doctorFlags are the flags of `slimlab doctor`.
type doctorFlags struct {
	format  string
	threads int
	quick   bool

	model, dtype, kv          string
	prefill, decode, parallel []int
	repeat                    int
}

func (p *program) doctorCommand() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "measure this machine: its peaks, and each kernel's share of its own limit",
		Long: "doctor measures what the cores and the memory of this machine give at most, and beside that the kernels on the sizes of a language model.\n" +
			"With --model it measures the serving engine with a model of that shape and random weights instead.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.doctor(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "table", "one of "+strings.Join(doctor.Formats(), ", "))
	flags.IntVar(&f.threads, "threads", 0, "threads to measure with, beside one (default: one for each logical processor)")
	flags.BoolVar(&f.quick, "quick", false, "fewer sizes and samples")
	flags.StringVar(&f.model, "model", "", "measure a whole model of a shape: "+strings.Join(doctor.Shapes(), ", "))
	flags.StringVar(&f.dtype, "dtype", "float32", "with --model: the format of its weights, one of "+strings.Join(doctor.WeightFormats(), ", "))
	flags.StringVar(&f.kv, "kv", doctor.CacheFormats()[0], "with --model: the format of its keys and values, one of "+strings.Join(doctor.CacheFormats(), ", "))
	flags.IntSliceVar(&f.prefill, "prefill", nil, "with --model: read a prompt of so many tokens (repeatable)")
	flags.IntSliceVar(&f.decode, "decode", nil, "with --model: write so many tokens, one at a time, from nothing (repeatable)")
	flags.IntSliceVar(&f.parallel, "parallel", nil, "with --model: write so many sequences at once, each after a prompt of 64 tokens (repeatable)")
	flags.IntVar(&f.repeat, "repeat", 5, "with --model: repetitions of each test")
	return cmd
}

func (p *program) doctor(cmd *cobra.Command, f doctorFlags) error {
	if err := f.check(cmd); err != nil {
		return failure{exitUsage, err}
	}
	start, progress := time.Now(), newProgress(p.stderr)
	o := doctor.Options{Version: version, Threads: f.threads, Quick: f.quick, Progress: func(text string) {
		progress.line(time.Since(start).Seconds(), text)
	}}
	var r *doctor.Diagnosis
	var err error
	if f.model != "" {
		r, err = doctor.ExamineModel(cmd.Context(), o, doctor.ModelOptions{
			Shape: f.model, Format: f.dtype, Cache: f.kv, Prefill: f.prefill, Decode: f.decode, Parallel: f.parallel, Repeat: f.repeat,
		})
	} else {
		r, err = doctor.Examine(cmd.Context(), o)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return failure{exitInterrupted, errors.New("interrupted")}
	case err != nil:
		return failure{exitUsage, err}
	}
	if err := r.Write(f.format, p.stdout); err != nil {
		return failure{exitBroke, err}
	}
	return nil
}

// check reports a flag that cannot be, before anything is measured.
func (f *doctorFlags) check(cmd *cobra.Command) error {
	oneOf := func(flag, value string, valid []string) error {
		if slices.Contains(valid, value) {
			return nil
		}
		return fmt.Errorf("--%s %s: expected one of %s%s", flag, value, strings.Join(valid, ", "), nearest.Suggest(value, valid))
	}
	if err := oneOf("format", f.format, doctor.Formats()); err != nil {
		return err
	}
	if err := oneOf("dtype", f.dtype, doctor.WeightFormats()); err != nil {
		return err
	}
	if err := oneOf("kv", f.kv, doctor.CacheFormats()); err != nil {
		return err
	}
	if cmd.Flags().Changed("threads") && (f.threads < 1 || f.threads > runtime.NumCPU()) {
		return fmt.Errorf("--threads %d: expected 1 to %d, the logical processors of this machine", f.threads, runtime.NumCPU())
	}
	if !cmd.Flags().Changed("model") {
		for _, flag := range []string{"dtype", "kv", "prefill", "decode", "parallel", "repeat"} {
			if cmd.Flags().Changed(flag) {
				return fmt.Errorf("--%s needs --model, one of %s", flag, strings.Join(doctor.Shapes(), ", "))
			}
		}
		return nil
	}
	if f.repeat < 1 {
		return fmt.Errorf("--repeat %d: expected at least 1", f.repeat)
	}
	return oneOf("model", f.model, doctor.Shapes())
}
