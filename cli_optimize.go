package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/lab/convert"
	"slimlab/lab/optimize"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
	"slimlab/scenarios"
)

// optimizeFlags are the flags of `slimlab optimize`.
type optimizeFlags struct {
	goals        optimize.Goals
	task         string
	schemes, mlp []string
	kv           []string
	samples      int
	examples     int
	candidates   int
	recover      int
	time         time.Duration
	rehearse     bool
	tokenizer    bool // one is trained for a model without
	rehearsing   bool // on a twin: goals are not judged, and nothing is printed
	format       string
}

func (p *program) optimizeCommand() *cobra.Command {
	f := optimizeFlags{format: "table"}
	cmd := &cobra.Command{
		Use:   "optimize MODEL [FOLDER]",
		Short: "search for the smallest model that keeps what is asked of it",
		Long: "optimize measures what each layer of a model loses by each number format and each share of its neurons, and what the model loses by each format of the KV cache, chooses mixtures for several sizes,\n" +
			"builds them and measures them on the task: a Pareto front of bytes, bytes of the cache and divergence (KL) from the model, and in FOLDER the smallest that reaches all goals. Both parts are runs like others: they are shown by show and the workbench,\n" +
			"and after an interruption the same command goes on. Without goals the front alone is found, and nothing is saved. Where no model reaches all goals, the nearest is saved, with exit code 3: the one with the least sum,\n" +
			"over the goals that it misses, of how far it misses each, as a share of the goal's number: 44% for --bytes 40% is a tenth, +3% for --perplexity 2% a half. Numbers below 0.1% count as 0.1%.",
		Example: "  slimlab optimize pretrained:recsys-fm small --task figure1 --bytes 40% --auc -0.1%\n" +
			"  slimlab optimize ./model small --task text.txt --bytes 40% --perplexity 2% --time 30m",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := nearest.Check("--format", f.format, formats); err != nil {
				return usage(err)
			}
			folder := ""
			if len(names) > 1 {
				folder = names[1]
			}
			s, err := p.prepare(cmd.Context(), names[0], folder, f, cmd.Flags().Changed)
			if err != nil {
				return refusal(err)
			}
			defer s.release()
			if f.rehearse {
				if err := p.rehearse(cmd.Context(), s, f); err != nil {
					return err
				}
			}
			return p.optimize(cmd.Context(), s, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.task, "task", "", "what the model is for: a scenario, whose task is taken, or a file of records or text")
	flags.StringVar(&f.goals.Bytes, "bytes", "", "bytes of the tensors at most: a share of the checkpoint in bfloat16 such as 40%, or a size such as 300MB")
	flags.StringVar(&f.goals.KVBytes, "kv-bytes", "", "bytes of the KV cache at most: a share of those in bfloat16 such as 50%, or bytes a token such as 1024")
	flags.StringVar(&f.goals.AUC, "auc", "", "AUC at least, relative to the model's: -0.1% (expected AUC where the task has it)")
	flags.StringVar(&f.goals.KL, "kl", "", "divergence from the model at most, nats a prediction")
	flags.StringVar(&f.goals.Perplexity, "perplexity", "", "perplexity at most, relative to the model's: 2%")
	flags.StringVar(&f.goals.Accuracy, "accuracy", "", "accuracy at least, relative to the model's: -1%")
	flags.StringVar(&f.goals.TTFT, "ttft", "", "time to first token at most, cold, median: 20ms; the task's scenario needs a section serve")
	f.schemes, f.mlp, f.kv = []string{"w8a8", "w4a16", "w3a16"}, []string{"15%", "30%", "50%"}, []string{"bfloat16", "int8", "k8v4", "int4"}
	flags.Var(&listFlag{list: &f.schemes}, "schemes", "number formats to choose from")
	flags.Var(&listFlag{list: &f.mlp}, "mlp", "shares of a layer's MLP neurons that may go")
	flags.Var(&listFlag{list: &f.kv}, "kv", "formats of the KV cache to choose from; bfloat16 alone leaves the cache as it is")
	flags.IntVar(&f.samples, "samples", 256, fmt.Sprintf("calibration sequences, at most %d", mostSamples))
	flags.IntVar(&f.examples, "examples", 64, fmt.Sprintf("validation examples that layers are judged by, at most %d", mostSamples))
	flags.IntVar(&f.candidates, "candidates", 8, fmt.Sprintf("sizes to choose mixtures for, 0 for none, at most %d; uniform choices that come close are added", optimize.MostSizes))
	flags.IntVar(&f.recover, "recover", 0, "steps of distillation from the model after neurons were removed")
	flags.DurationVar(&f.time, "time", 0, "time for choosing and building candidates, the most promising first; then the best front so far is kept (default: no limit)")
	flags.BoolVar(&f.tokenizer, "train-tokenizer", false, "for a model without a tokenizer, such as a folder that slimlab import random:SHAPE made: train one on the task's text; figures of a model that was trained with other tokens say nothing")
	flags.BoolVar(&f.rehearse, "rehearse", false, "run everything on a random model of two layers of the same architecture first, small")
	flags.StringVar(&f.format, "format", f.format, "output format: "+strings.Join(formats, ", "))
	_ = cmd.MarkFlagRequired("task")
	return cmd
}

// sections finds the sections of the task: those of a scenario, or of a data file.
func (f *optimizeFlags) sections() (map[string]any, error) {
	if info, err := os.Stat(f.task); err == nil && !info.IsDir() && !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(f.task)) {
		path, err := filepath.Abs(f.task)
		if err != nil {
			return nil, err
		}
		kind := "text"
		if slices.Contains([]string{".jsonl", ".json", ".ndjson"}, filepath.Ext(strings.TrimSuffix(f.task, ".gz"))) {
			kind = "jsonl"
		}
		return map[string]any{"task": map[string]any{"kind": kind, "path": path}}, nil
	}
	text, err := run.ScenarioText(f.task, scenarios.Files)
	if err != nil {
		if strings.ContainsAny(f.task, "./\\") && errors.Is(err, scenario.ErrNotFound) {
			return nil, fmt.Errorf("--task %s: there is no such file, and no scenario of that name", f.task)
		}
		return nil, fmt.Errorf("--task %s: %w", f.task, err)
	}
	sections, err := optimize.SectionsOf(text)
	if err != nil {
		return nil, fmt.Errorf("--task %s: %w", f.task, err)
	}
	return sections, nil
}

// What the steps of a search take at most: sequences and examples, and steps of distillation.
const (
	mostSamples = 1_000_000
	mostSteps   = 100_000_000
)

// check refuses numbers that cannot be.
func (f *optimizeFlags) check() error {
	switch {
	case f.time < 0:
		return fmt.Errorf("--time %s: expected a time such as 30m, or 0 for no limit", f.time)
	case f.candidates < 0 || f.candidates > optimize.MostSizes:
		return fmt.Errorf("--candidates %d: expected a number of sizes of at most %d, or 0 for uniform choices alone", f.candidates, optimize.MostSizes)
	case f.recover < 0 || f.recover > mostSteps:
		return fmt.Errorf("--recover %d: expected a number of steps of at most %d, or 0 for none", f.recover, mostSteps)
	case f.samples < 1 || f.samples > mostSamples:
		return fmt.Errorf("--samples %d: expected 1 to %d", f.samples, mostSamples)
	case f.examples < 1 || f.examples > mostSamples:
		return fmt.Errorf("--examples %d: expected 1 to %d", f.examples, mostSamples)
	}
	if key, err := run.CheckChoices(strings.Join(f.schemes, " "), strings.Join(f.mlp, " "), strings.Join(f.kv, " ")); err != nil {
		return fmt.Errorf("--%s %w", key, err)
	}
	return nil
}

// checkGoals refuses goals that the task has no figure for, before anything is measured.
func checkGoals(goals []optimize.Goal, sections map[string]any) error {
	task, _ := sections["task"].(map[string]any)
	metrics := measures(task["kind"])
	if evaluate, ok := sections["evaluate"].(map[string]any); ok && evaluate["choice"] != nil {
		metrics = append(metrics, "choice_accuracy")
	}
	if sections["serve"] != nil {
		metrics = append(metrics, "ttft_cold_p50")
	}
	var has []string
	for flag, g := range map[string]optimize.Goals{"--auc": {AUC: "-1%"}, "--kv-bytes": {KVBytes: "1"}, "--kl": {KL: "1"}, "--perplexity": {Perplexity: "1%"}, "--accuracy": {Accuracy: "-1%"}, "--ttft": {TTFT: "1s"}} {
		if list, err := g.Parse(); err == nil && list[0].Measured(metrics) {
			has = append(has, flag)
		}
	}
	slices.Sort(has)
	for _, g := range goals {
		if !g.Measured(metrics) {
			return fmt.Errorf("%s: task %v has no such figure, it has %s beside --bytes", g.Flag, task["kind"], strings.Join(has, ", "))
		}
	}
	return nil
}

// measures are the columns of a task's kind.
func measures(kind any) []string {
	switch kind {
	case "recsys":
		return []string{"kl", "kl_p99", "flips", "auc", "auc_soft", "auc_soft_delta"}
	case "reasoning":
		return []string{"kl", "kl_p99", "flips", "loss", "loss_delta", "exact"}
	case "ratings":
		return []string{"kl", "kl_p99", "flips", "auc", "auc_delta"}
	}
	return []string{"kl", "kl_p99", "flips", "perplexity", "loss", "loss_delta"}
}

func (p *program) optimize(ctx context.Context, s *search, f optimizeFlags) error {
	goals, sections, model, folder := s.goals, s.sections, s.model, s.folder
	mark, said := "", map[string]bool{}
	if f.rehearsing {
		mark = "rehearsal · "
	}
	sizes, err := s.sizes(p)
	if err != nil {
		return broke(err)
	}
	setting := optimize.Setting{Model: model, Sections: sections, Schemes: s.schemes, MLP: s.mlp, KV: s.kv, Samples: f.samples, Examples: f.examples, Recover: f.recover, Align: sizes.Align(), Goals: goals}
	first, err := p.searchRun(ctx, setting.Sensitivity(), mark, said)
	if err != nil {
		return err
	}
	view := first.Board.Snapshot()
	layers, err := optimize.ReadLayers(view.Cells[0].Matrices)
	if err != nil {
		return broke(err)
	}
	parameters := 0.0
	for _, row := range view.Rows {
		parameters = max(parameters, row.Values["params"].Value)
	}
	rest := int64(2 * parameters)
	for _, bytes := range layers.Dense {
		rest -= bytes
	}
	limited, cancel := ctx, context.CancelFunc(func() {})
	if f.time > 0 {
		limited, cancel = context.WithTimeout(ctx, f.time)
	}
	defer cancel()
	most := optimize.Most(goals, "bytes", 2*parameters)
	var candidates []optimize.Candidate
	space, err := layers.NewSpace(limited, sizes, rest)
	if err == nil {
		candidates, err = space.Candidates(limited, most, f.candidates)
	}
	switch {
	case ctx.Err() != nil:
		return failure{exitInterrupted, fmt.Errorf("interrupted; what was finished is kept, and the same command goes on from there (run %s)", first.ID)}
	case limited.Err() != nil:
		return f.withoutTime("begun")
	case err != nil:
		return broke(err)
	}
	caches := optimize.ReadCaches(view.Cells[0].Matrices)
	withCaches := func(list []optimize.Candidate) []optimize.Candidate {
		if caches == nil {
			return list
		}
		return caches.With(list, optimize.Most(goals, "kv_bytes_per_token", float64(caches.Plain)))
	}
	candidates = withCaches(candidates)
	if len(candidates) == 0 {
		return usage(errors.New("there is nothing to build: --schemes and --mlp leave the model as it is"))
	}
	if f.rehearsing {
		candidates = optimize.Cover(candidates)
	}
	kind, _ := sections["task"].(map[string]any)
	second, err := p.searchRun(limited, setting.Build(candidates, measures(kind["kind"])), mark, said)
	if second == nil && limited.Err() != nil && ctx.Err() == nil {
		return f.withoutTime("begun")
	}
	if second == nil || err != nil && (ctx.Err() != nil || limited.Err() == nil) {
		return err
	}
	choice := optimize.Choose(second.Board.Snapshot(), candidates, goals, f.recover > 0, s.kv)
	if err != nil && len(choice.Points) < 2 { // no more than the model as it is
		return f.withoutTime("measured; what was finished is kept")
	}
	for round := 0; err == nil && round < moreRounds && len(goals) > 0 && f.candidates > 0 && !f.rehearsing; round++ {
		more, bad := space.More(limited, choice, most, f.candidates)
		if len(more) == 0 && bad == nil {
			break
		}
		var third *run.Run
		if err = bad; err == nil {
			fmt.Fprintln(p.stderr, roundText(choice, len(more)))
			more = slices.Concat(candidates, withCaches(more))
			third, err = p.searchRun(limited, setting.Build(more, measures(kind["kind"])), mark, said)
		}
		if err != nil && (ctx.Err() != nil || limited.Err() == nil) {
			return err
		}
		if third == nil {
			break
		}
		if next := optimize.Choose(third.Board.Snapshot(), more, goals, f.recover > 0, s.kv); len(next.Points) > len(choice.Points) {
			second, choice, candidates = third, next, more
		}
	}
	result := searchResult{Choice: choice, Sensitivity: first.ID, Run: second.ID, Goals: flagsOfGoals(goals), TimeOver: err != nil, Built: len(choice.Points), Space: space.Describe(), kv: s.kv, uniform: f.candidates == 0, trained: s.trained, unsaved: folder != "" && len(goals) == 0}
	saved := choice.Chosen
	if saved < 0 {
		saved = choice.Nearest
	}
	if folder != "" && saved >= 0 {
		if err := p.home.SaveRow(second.ID, choice.Points[saved].Row, folder); err != nil {
			return broke(err)
		}
		if !s.trained { // its token ids are of the model's tokenizer
			if err := p.copySampling(model, folder); err != nil {
				return broke(err)
			}
		}
		result.Saved, result.Folder = choice.Points[saved].Row, folder
		of, err := convert.Inspect(folder, p.home.OpenModel)
		if err != nil {
			return broke(err)
		}
		result.Verdicts = of.Verdicts
		if err := os.WriteFile(filepath.Join(folder, "README.md"), []byte(result.card(model, saved)), 0o644); err != nil {
			return broke(err)
		}
	}
	if f.rehearsing {
		return nil
	}
	if err := (product{"slimlab.optimization/2", result, result.text}).write(p.stdout, f.format); err != nil {
		return err
	}
	if len(goals) > 0 && choice.Chosen < 0 {
		return failure{exitExpectation, errors.New("no model that was built reaches all goals: " + misses(choice))}
	}
	return nil
}

// moreRounds is how often more models are chosen by what was measured of those before.
const moreRounds = 3

// roundText says what more models are built for.
func roundText(c optimize.Choice, n int) string {
	if c.Chosen < 0 {
		return fmt.Sprintf("none of the models so far reaches all goals: %s more to build, with the least predicted loss within the bytes, or nearest above them", plural.Of(n, "model"))
	}
	return fmt.Sprintf("%s is the smallest so far that reaches all goals: %s more to build, smaller ones", c.Points[c.Chosen].Row, plural.Of(n, "model"))
}

// sizes predicts the bytes of what is built.
func (s *search) sizes(p *program) (*run.Sizes, error) {
	c, err := p.home.OpenModel(s.model)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return run.NewSizes(c.Config(), s.schemes)
}

// withoutTime is the error of a time that was over before a candidate was there to choose.
func (f *optimizeFlags) withoutTime(was string) error {
	return broke(fmt.Errorf("--time %s was over before the first candidate was %s: give more", f.time, was))
}

func flagsOfGoals(goals []optimize.Goal) []string {
	list := []string{}
	for _, g := range goals {
		list = append(list, g.Flag)
	}
	return list
}

// misses says what the nearest row misses.
func misses(c optimize.Choice) string {
	if c.Nearest < 0 {
		return "nothing was measured"
	}
	var list []string
	for _, m := range c.Points[c.Nearest].Misses {
		list = append(list, m.String())
	}
	return fmt.Sprintf("the nearest, %s, has %s", c.Points[c.Nearest].Row, strings.Join(list, ", "))
}

// searchFile names the scenarios that a search writes for itself.
const searchFile = "optimize.yaml"

// searchKey begins an error about a key of a scenario of a search.
var searchKey = regexp.MustCompile(`^step \S+ (calibration'?s?[ .]samples|examples|schemes|mlp|kv|steps) `)

// taskKeys are words of errors that say what a key of the section task could be.
var taskKeys = regexp.MustCompile(`--set task\.|\b(prompt|response|task|group|weight|mask)_field\b|\bmax_tokens\b`)

// ofTask says where the keys of a task are written that an error names: optimize has no flags for
// them.
func ofTask(err error) error {
	if err == nil || !taskKeys.MatchString(err.Error()) {
		return err
	}
	return fmt.Errorf("%w (optimize has the task's keys from a scenario: write them into its section task, and give the file as --task FILE.yaml)", err)
}

// ofSearch is an error in the words of the command: without its place in a file that the user does
// not have, and with the flag that a key is from.
func ofSearch(err error) error {
	place, text, found := strings.Cut(err.Error(), ": ")
	if !found || !strings.HasPrefix(place, searchFile+":") {
		return err
	}
	if key := searchKey.FindStringSubmatch(text); key != nil {
		flag := key[1]
		switch {
		case strings.HasSuffix(flag, "samples"):
			flag = "samples"
		case flag == "steps":
			flag = "recover"
		}
		text = "--" + flag + " " + strings.TrimPrefix(text, key[0])
	}
	return errors.New(text)
}

// searchRun runs a scenario of a search with progress, each line of which begins with mark, and
// prints no table. What another run of the search said is not said again (said).
func (p *program) searchRun(ctx context.Context, text []byte, mark string, said map[string]bool) (*run.Run, error) {
	s, err := scenario.Parse(searchFile, text, scenario.Options{Vocabulary: run.Vocabulary()})
	if err != nil {
		return nil, usage(ofSearch(err))
	}
	progress := newProgress(p.progressTo)
	progress.mark, progress.said = mark, said
	r, err := run.Start(ctx, p.home, s.Plan(), run.Options{Sink: progress.event})
	if err != nil {
		var input run.InputError
		if errors.As(err, &input) {
			return nil, usage(ofTask(ofSearch(err)))
		}
		return nil, broke(ofSearch(err))
	}
	progress.of(r.Board)
	progress.earlier = earlierOf(p.home, r.Board)
	_, err = r.Work(ctx)
	progress.done()
	switch {
	case errors.Is(err, context.Canceled):
		return r, failure{exitInterrupted, fmt.Errorf("interrupted; what was finished is kept, and the same command goes on from there (run %s)", r.ID)}
	case errors.As(err, new(run.InputError)):
		return r, usage(ofTask(fmt.Errorf("run %s: %w", r.ID, err)))
	case err != nil:
		return r, broke(fmt.Errorf("run %s: %w", r.ID, err))
	}
	return r, nil
}
