package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slimlab/internal/filelock"
	"slimlab/internal/plural"
	"slimlab/lab/optimize"
	"slimlab/lab/run"
)

// search is what optimize was asked for: words that were checked, and the lock of its folder.
type search struct {
	model, folder string
	goals         []optimize.Goal
	sections      map[string]any
	schemes, mlp  []string // number formats, and shares of neurons
	kv            []string // formats of the KV cache; none where the search is not about them
	trained       bool     // the model has no tokenizer, and one is trained
	release       func()
}

// prepare checks all that can be checked before anything is measured, and locks the folder, which
// this process alone then writes. Formats of the KV cache that were not asked for and do not fit
// the model's heads are left out.
func (p *program) prepare(ctx context.Context, model, folder string, f optimizeFlags, given func(flag string) bool) (*search, error) {
	s := &search{model: model, folder: folder, kv: f.kv, release: func() {}}
	var err error
	if s.goals, err = f.goals.Parse(); err != nil {
		return nil, err
	}
	if s.sections, err = f.sections(); err != nil {
		return nil, err
	}
	if err := errors.Join(checkGoals(s.goals, s.sections), f.check()); err != nil {
		return nil, err
	}
	c, err := p.home.OpenModel(model)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	own, err := c.Tokenizer()
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", model, err)
	}
	if err := s.chooseTokenizer(own != nil, f.tokenizer); err != nil {
		return nil, err
	}
	if err := c.CheckFinite(ctx, model); err != nil {
		return nil, err
	}
	shape := c.Config()
	if s.schemes, err = p.fittingSchemes(f.schemes, func(name string) (string, error) { return run.FittingScheme(name, shape), run.CheckScheme(name, shape) }, given("schemes")); err != nil {
		return nil, err
	}
	if fit := run.CachesThatFit(f.kv, shape.HeadDim); len(fit) < len(f.kv) && !given("kv") {
		s.kv = fit
	}
	if s.mlp, err = p.fittingShares(f.mlp, func(share string) error { return run.CheckShare(share, shape) }, given("mlp")); err != nil {
		return nil, err
	}
	if len(s.schemes)+len(s.mlp) == 0 {
		return nil, fmt.Errorf("model %s: no number format of --schemes and no share of --mlp fits its shape: expected others", model)
	}
	sizes, err := run.NewSizes(shape, s.schemes)
	if err != nil {
		return nil, err
	}
	plain := 2 * int64(shape.Parameters())
	least, rest, err := optimize.Smallest(sizes, len(shape.Layers), s.schemes, s.mlp, plain)
	if err != nil {
		return nil, err
	}
	if err := optimize.CheckBytes(s.goals, least, rest, plain); err != nil {
		return nil, err
	}
	if least, plain, err = run.LeastCache(s.kv, shape); err != nil {
		return nil, err
	}
	if err := optimize.CheckCacheBytes(s.goals, least, plain); err != nil {
		return nil, err
	}
	if slices.Equal(s.kv, []string{"bfloat16"}) && f.goals.KVBytes == "" {
		s.kv = nil
	}
	if _, err := os.Stat(model); err == nil {
		if s.model, err = filepath.Abs(model); err != nil {
			return nil, broke(err)
		}
	}
	if folder == "" {
		return s, nil
	}
	if err := p.home.CheckSave(folder); err != nil {
		return nil, err
	}
	if len(s.goals) == 0 {
		fmt.Fprintf(p.stderr, "note: there is no goal, so no model is chosen and nothing is saved to %s: give goals such as --bytes 40%% --kl 0.05, or save a row of the front afterwards\n", folder)
	}
	target, err := filelock.AcquireFolder(folder)
	if err != nil {
		return nil, err
	}
	s.release = target.Release
	// another process may have written the folder meanwhile
	if err := p.home.CheckSave(folder); err != nil {
		s.release()
		return nil, err
	}
	if target.Warning != "" {
		fmt.Fprintln(p.stderr, "warning: "+target.Warning)
	}
	return s, nil
}

// chooseTokenizer refuses a model without a tokenizer, unless one is to be trained, for which the
// task's scenario or train ask.
func (s *search) chooseTokenizer(own, train bool) error {
	section, _ := s.sections["tokenizer"].(map[string]any)
	asked, _ := section["train"].(bool)
	switch {
	case own && train:
		return fmt.Errorf("--train-tokenizer: model %s has a tokenizer of its own: leave it out", s.model)
	case !own && !train && !asked:
		return fmt.Errorf("model %s: %w: give its folder the tokenizer that it was trained with (tokenizer.json), or for a model with random weights --train-tokenizer, which trains one on the task's text", s.model, run.ErrNoTokenizer)
	}
	if s.trained = !own; train {
		section = maps.Clone(section)
		if section == nil {
			section = map[string]any{}
		}
		section["train"] = true
		s.sections = maps.Clone(s.sections)
		s.sections["tokenizer"] = section
	}
	return nil
}

// fittingSchemes are the number formats that the model can have. Of those that were not asked for
// the others get one scale for each output in place of groups, or are left out, which is said.
func (p *program) fittingSchemes(names []string, fit func(name string) (fitting string, err error), given bool) (list []string, err error) {
	var changed []string
	for _, name := range names {
		fitting, err := fit(name)
		switch {
		case err == nil:
			fitting = name
		case given:
			return nil, fmt.Errorf("--schemes: %w", err)
		case fitting == "":
			changed = append(changed, name+" is left out")
		default:
			changed = append(changed, fitting+" is in the place of "+name)
		}
		if fitting != "" {
			list = append(list, fitting)
		}
	}
	if len(changed) > 0 {
		fmt.Fprintf(p.stderr, "note: no group of a number format divides all widths of the model: %s (--schemes)\n", strings.Join(changed, ", "))
	}
	return list, nil
}

// fittingShares are the shares of the neurons that can go from a model. Those that were not asked
// for are left out where they cannot, which is said.
func (p *program) fittingShares(shares []string, fit func(share string) error, given bool) (list []string, err error) {
	var out []string
	for _, share := range shares {
		err := fit(share)
		switch {
		case err == nil:
			list = append(list, share)
		case given:
			return nil, fmt.Errorf("--mlp %w", err)
		default:
			out = append(out, share)
		}
	}
	if len(out) > 0 {
		fmt.Fprintf(p.stderr, "note: the layers have too few neurons for some shares: %s left out (--mlp)\n", strings.Join(out, ", ")+" "+plural.Words(len(out), "is", "are"))
	}
	return list, nil
}
