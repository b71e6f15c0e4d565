package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

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
		Short: "measure this machine: its peaks, and each kernel's share of its limit",
		Long: "doctor measures the peak rates of this machine's cores and memory and, interleaved with them, the kernels at the sizes of a language model.\n" +
			"With --model it measures the serving engine with a model of that shape and random weights instead.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.doctor(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "table", "output format: "+strings.Join(doctor.Formats(), ", "))
	flags.IntVar(&f.threads, "threads", 0, "threads of the multi-threaded measurements (default: one per logical processor)")
	flags.BoolVar(&f.quick, "quick", false, "fewer sizes and samples")
	flags.StringVar(&f.model, "model", "", "measure a whole model of this shape: "+strings.Join(doctor.Shapes(), ", "))
	flags.StringVar(&f.dtype, "dtype", "float32", "with --model: weight format: "+strings.Join(doctor.WeightFormats(), ", "))
	flags.StringVar(&f.kv, "kv", doctor.CacheFormats()[0], "with --model: KV cache format: "+strings.Join(doctor.CacheFormats(), ", "))
	flags.IntSliceVar(&f.prefill, "prefill", nil, "with --model: measure the prefill of a prompt of this many tokens (repeatable)")
	flags.IntSliceVar(&f.decode, "decode", nil, "with --model: measure the decoding of this many tokens by one sequence (repeatable)")
	flags.IntSliceVar(&f.parallel, "parallel", nil, "with --model: measure the decoding of this many concurrent sequences, each after a prompt of 64 tokens (repeatable)")
	flags.IntVar(&f.repeat, "repeat", 5, "with --model: repetitions of each test")
	return cmd
}

func (p *program) doctor(cmd *cobra.Command, f doctorFlags) error {
	if err := f.check(cmd); err != nil {
		return usage(err)
	}
	progress := newProgress(p.progressTo)
	o := doctor.Options{Version: version(), Threads: f.threads, Quick: f.quick, Progress: func(text string) {
		progress.line(progress.elapsed(), text)
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
		return usage(err)
	}
	if disk, err := p.home.Disk(); err != nil {
		r.LeftOut = append(r.LeftOut, "the home folder: "+err.Error())
	} else {
		r.Home = &disk
	}
	if err := r.Write(f.format, p.stdout); err != nil {
		return broke(err)
	}
	return nil
}

// check refuses invalid flags before anything is measured.
func (f *doctorFlags) check(cmd *cobra.Command) error {
	err := cmp.Or(
		nearest.Check("--format", f.format, doctor.Formats()),
		checkDType(&f.dtype, doctor.WeightFormats()),
		nearest.Check("--kv", f.kv, doctor.CacheFormats()),
	)
	if err != nil {
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
	return nearest.Check("--model", f.model, doctor.Shapes())
}
