package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"slimlab/internal/nearest"
	"slimlab/lab/abtest"
	"slimlab/lab/endpoint"
	"slimlab/lab/eval"
	"slimlab/lab/loadtest"
	"slimlab/lab/run"
	"slimlab/tui/text"
)

// abFlags are the flags of `slimlab ab`.
type abFlags struct {
	bench    benchFlags
	settings abtest.Settings
	ofB      map[string]*string // what B has other than A, by the flag of A
	split    string
	margin   string
	stop     string
	format   string
	failing  bool
}

// otherOfB are the flags that B may have others of, with what they are.
var otherOfB = []string{"dtype", "kv", "head", "model", "weights", "policy"}

func (p *program) abCommand() *cobra.Command {
	f := abFlags{ofB: map[string]*string{}}
	cmd := &cobra.Command{
		Use:   "ab A B",
		Short: "compare two models or servers by traffic, quality and latency together",
		Long: "ab asks each prompt of A and of B, one after another in an order that is drawn, and compares their latencies and their answers pair by pair. Its intervals hold at all\n" +
			"times: they may be watched, and the test ended at a decision (--stop), with a false alarm anywhere in at most --level of experiments.\n" +
			"A and B are targets of bench-serve: a MODEL, the URL of a server, or both hw:DEVICES/SHAPE. Prompts are those of a file (--file), JSON objects with prompt, a text or\n" +
			"token ids, or messages, and response where the right answer is known; or generated. Exits with 4 with --fail-if-worse where B is worse in a metric.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return p.ab(cmd, args, &f) },
	}
	flags, b := cmd.Flags(), &f.bench
	flags.StringVar(&b.File, "file", "", "file of prompts, with responses where the right answers are known")
	flags.StringVar(&b.Kind, "workload", loadtest.Random, "what is asked without a file: "+strings.Join(generated, ", "))
	flags.IntVar(&b.Requests, "requests", 200, "prompts, or visits of ranking; of a file the first so many, 0 for all")
	flags.IntVar(&b.InputTokens, "input-tokens", 512, "tokens of a generated prompt, without those of its prefix")
	flags.IntVar(&b.OutputTokens, "output-tokens", 64, "tokens of an answer, at most, where a file's prompt does not say max_tokens; of ranking always 1")
	flags.IntVar(&b.PrefixTokens, "prefix-tokens", 0, "tokens with which the prompts of a member or a group begin")
	flags.Float64Var(&b.Range, "range", 0.2, "lengths of random are drawn evenly from this share below to as much above")
	flags.IntVar(&b.Groups, "groups", 0, "members of ranking (0: a new one each time) or groups of shared-prefix (0: 10)")
	flags.IntVar(&b.Candidates, "candidates", 1, "candidates of a visit of ranking")
	flags.StringVar(&f.split, "split", "", "share of the prompts that goes to B, such as 1%; each is asked of one arm then, and the test is unpaired")
	flags.BoolVar(&f.settings.Together, "together", false, "ask both arms at once, where they have machines of their own")
	flags.IntVar(&f.settings.WarmUp, "warm-up", 2, "requests to each arm, with other prompts, before the first that counts")
	flags.Uint64Var(&f.settings.Seed, "seed", 1, "of prompts and of the arm that is asked first")
	flags.Float64Var(&f.settings.Level, "level", 0.05, "probability of a false alarm anywhere in the report, at most")
	flags.StringVar(&f.margin, "margin", "0%", "change of a latency that does not matter, such as 2%: worse is beyond it, and equal within")
	flags.Float64Var(&f.settings.QualityMargin, "quality-margin", 0, "the same of quality, in its unit: 0.01 is a percentage point")
	flags.StringVar(&f.stop, "stop", string(abtest.AtEnd), "when to end: end (of the prompts), first (metric that is decided), all (are decided)")
	flags.StringVar(&f.format, "format", "table", "output format: table, json")
	flags.BoolVar(&f.failing, "fail-if-worse", false, "exit with 4 where B is worse in a metric")
	b.loading.add(cmd)
	flags.StringVar(&b.engine.Policy, "policy", "aged-lpm", "engine: who of the waiting requests runs next: "+strings.Join(endpoint.Policies(), ", "))
	flags.StringVar(&b.server.Model, "model", "", "server: name of the model (default: the one that it serves)")
	flags.StringVar(&b.server.Key, "api-key", "", "server: key (others can see it; "+keyVariable+" hides it)")
	flags.IntVar(&b.server.Vocabulary, "vocabulary", 0, "server: tokens of prompts are drawn below this id (default: 30000)")
	flags.BoolVar(&b.server.Plain, "plain", false, "server: send OpenAI's own fields alone: generated prompts' answers may end before their length")
	flags.BoolVar(&b.server.TokenIDs, "token-ids", false, "server: ask for the ids of answers to prompts of token ids, as vLLM knows it; without them such answers are not compared")
	flags.StringVar(&b.devices.Calibration, "calibration", "sglang-0.4.1", "simulated: the measured engine whose efficiencies are taken: "+strings.Join(loadtest.CalibrationNames(), ", "))
	flags.StringVar(&b.devices.Weights, "weights", "fp8", "simulated: number format of the weights: bf16, fp8, int8, int4")
	for _, name := range otherOfB {
		f.ofB[name] = flags.String(name+"-b", "", "the same of B, where it has another")
	}
	return cmd
}

// generated are the workloads of which each prompt stands for itself.
var generated = []string{loadtest.Random, loadtest.Ranking, loadtest.SharedPrefix}

// check reports the first flag that cannot be.
func (f *abFlags) check(flags *pflag.FlagSet, targets []string) (err error) {
	b, s := &f.bench, &f.settings
	b.Order, b.engine.Running, b.InFlight, b.devices.Replicas, b.devices.Router = "zipf", 256, 2, 1, "round-robin"
	sorts := []string{sortOfTarget(targets[0]), sortOfTarget(targets[1])}
	simulated := sortOfTarget(simulatedPrefix)
	for of, names := range belongs {
		for _, name := range names {
			for i, one := range []string{name, name + "-b"} {
				if flags.Changed(one) && sorts[1] != of && (i == 1 || sorts[0] != of) {
					return fmt.Errorf("--%s belongs to %s: A is %s, B %s", one, of, sorts[0], sorts[1])
				}
			}
		}
	}
	for name, of := range map[string][]string{"kv": eval.Caches(), "dtype": eval.DTypes(), "head": eval.Heads(), "policy": endpoint.Policies()} {
		if *f.ofB[name] == "" {
			continue
		}
		if sorts[1] == "a server" {
			return fmt.Errorf("--%s-b belongs to an engine, and B is a server, which has its own", name)
		}
		if sorts[1] != simulated || name == "policy" {
			if err := nearest.Check("--"+name+"-b", *f.ofB[name], of); err != nil {
				return err
			}
		}
	}
	if flags.Changed("token-ids") && sorts[0] != "a server" && sorts[1] != "a server" {
		return fmt.Errorf("--token-ids belongs to a server: A is %s, B %s", sorts[0], sorts[1])
	}
	for _, name := range []string{"kv", "policy"} {
		if flags.Changed(name) && sorts[0] == "a server" && sorts[1] == "a server" {
			return fmt.Errorf("--%s belongs to an engine, and both targets are servers, which have their own", name)
		}
	}
	for _, name := range []string{"workload", "input-tokens", "prefix-tokens", "range", "groups", "candidates"} {
		if b.File != "" && flags.Changed(name) {
			return fmt.Errorf("--%s belongs to generated prompts, and --file has its own: leave one of them out", name)
		}
	}
	switch {
	case (sorts[0] == simulated) != (sorts[1] == simulated):
		return fmt.Errorf("found %s and %s: expected two simulated targets or none, whose clocks can be compared", sorts[0], sorts[1])
	case b.Requests < 0 || b.Requests == 0 && b.File == "":
		return fmt.Errorf("--requests %d: expected at least 1", b.Requests)
	case b.OutputTokens < 1:
		return fmt.Errorf("--output-tokens %d: expected at least 1", b.OutputTokens)
	case b.Range < 0 || b.Range > 1:
		return fmt.Errorf("--range %v: expected 0 to 1", b.Range)
	case s.WarmUp < 0:
		return fmt.Errorf("--warm-up %d: expected 0 or more", s.WarmUp)
	case !(s.Level > 0 && s.Level < 1):
		return fmt.Errorf("--level %v: expected a number between 0 and 1, such as 0.05", s.Level)
	case !(s.QualityMargin >= 0):
		return fmt.Errorf("--quality-margin %v: expected 0 or more", s.QualityMargin)
	case s.Together && flags.Changed("split"):
		return errors.New("--together asks both arms for a prompt, --split one of them: leave one out")
	case sorts[0] == simulated && s.Together:
		return errors.New("--together: simulated targets have clocks of their own: leave it out")
	}
	err = cmp.Or(nearest.Check("--workload", b.Kind, generated), nearest.Check("--stop", f.stop, abtest.Stops()),
		nearest.Check("--format", f.format, formats), nearest.Check("--policy", b.engine.Policy, endpoint.Policies()))
	if err != nil {
		return err
	}
	s.Stop = abtest.Stop(f.stop)
	if s.Margin, err = percent(f.margin); err != nil {
		return fmt.Errorf("--margin %s: %w", f.margin, err)
	}
	if flags.Changed("split") {
		if s.Split, err = percent(f.split); err == nil && (s.Split <= 0 || s.Split >= 1) {
			err = errors.New("expected more than 0% and less than 100%, such as 1%")
		}
		if err != nil {
			return fmt.Errorf("--split %s: %w", f.split, err)
		}
	}
	if b.File == "" && b.Kind == loadtest.Ranking {
		if flags.Changed("output-tokens") && b.OutputTokens != 1 {
			return fmt.Errorf("--output-tokens %d: an answer of workload ranking is one token", b.OutputTokens)
		}
		b.OutputTokens = 1
	}
	return nil
}

// percent reads a share such as 1% or 0.01, of at least 0.
func percent(text string) (float64, error) {
	number, inPercent := strings.CutSuffix(text, "%")
	var x float64
	if _, err := fmt.Sscanf(number+" ", "%g ", &x); err != nil || !(x >= 0 && x < 1e6) || strings.ContainsAny(number, " \t") {
		return 0, errors.New("expected a share of at least 0, such as 1% or 0.01")
	}
	if inPercent {
		x /= 100
	}
	return x, nil
}

// openArm opens a side of the experiment.
func (p *program) openArm(cmd *cobra.Command, target string, f benchFlags) (*loadtest.Place, *abtest.Arm, error) {
	place, err := p.place(cmd, target, &f)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", target, err)
	}
	for _, note := range place.Notes {
		fmt.Fprintf(p.stderr, "%s: %s\n", target, note)
	}
	if sortOfTarget(target) == "an engine in this process" {
		tokens, err := p.home.Tokenizer(target)
		if err != nil {
			place.Close()
			return nil, nil, fmt.Errorf("%s: %w", target, err)
		}
		checked := func(ids []int32) ([]int32, error) { return ids, tokens.CheckIDs(ids, place.Vocabulary) }
		place.ReadTexts(
			func(text string) ([]int32, error) { return checked(tokens.EncodeSpecial(text)) },
			func(messages []byte) ([]int32, error) {
				text, err := run.Chat(tokens, messages)
				if err != nil {
					return nil, err
				}
				return checked(tokens.Encode(text))
			},
			tokens.DecodeText,
		)
	}
	return place, abtest.NewArm(place, target, cmp.Or(f.server.Key, os.Getenv(keyVariable))), nil
}

func (p *program) ab(cmd *cobra.Command, targets []string, f *abFlags) error {
	if err := f.check(cmd.Flags(), targets); err != nil {
		return usage(err)
	}
	ctx := cmd.Context()
	placeA, a, err := p.openArm(cmd, targets[0], f.bench)
	if err != nil {
		return usage(err)
	}
	defer placeA.Close()
	placeB, b, err := p.openArm(cmd, targets[1], f.benchOfB())
	if err != nil {
		return usage(err)
	}
	defer placeB.Close()
	e := abtest.Experiment{Settings: f.settings, A: a, B: b, Live: &abtest.Live{}}
	if f.bench.File == "" {
		for _, of := range []*loadtest.Place{placeA, placeB} {
			if err := f.bench.Fits(of.Positions); err != nil {
				return usage(fmt.Errorf("%s: %w", of.Name, err))
			}
		}
	}
	if err := p.abPrompts(ctx, &e, f, min(placeA.Vocabulary, placeB.Vocabulary)); err != nil {
		return usage(err)
	}
	if placeA.Name == placeB.Name && sortOfTarget(targets[0]) == "a server" {
		fmt.Fprintln(p.stderr, "note: A and B are one model of one server: who is asked second finds the prompt cached, as often A as B")
	}
	stop := p.showLines(e.Live.Line)
	report, err := e.Run(ctx)
	stop()
	if report == nil || err != nil && report.Asked == 0 {
		if ctx.Err() != nil {
			return broke(err)
		}
		return usage(err)
	}
	written := product{schema: "slimlab.ab/1", document: report, text: report.Text}.write(p.stdout, f.format)
	switch worse := report.Worse(); {
	case written != nil:
		return written
	case err != nil:
		return broke(err)
	case f.failing && len(worse) > 0:
		return failure{exitRegression, fmt.Errorf("arm B is worse: %s", strings.Join(worse, ", "))}
	}
	return nil
}

// benchOfB are the flags with those of B in their places.
func (f *abFlags) benchOfB() benchFlags {
	b := f.bench
	for name, to := range map[string]*string{
		"dtype": &b.loading.DType, "kv": &b.loading.KV, "head": &b.loading.Head, "model": &b.server.Model, "weights": &b.devices.Weights, "policy": &b.engine.Policy,
	} {
		*to = cmp.Or(*f.ofB[name], *to)
	}
	return b
}

// abPrompts reads or makes the prompts.
func (p *program) abPrompts(ctx context.Context, e *abtest.Experiment, f *abFlags, vocabulary int) (err error) {
	if f.bench.File == "" {
		e.Prompts, err = abtest.Generate(f.bench.Workload, vocabulary, f.settings.Seed)
		return err
	}
	var notes []string
	e.Prompts, notes, err = abtest.ReadPrompts(ctx, f.bench.File, f.bench.Requests, f.bench.OutputTokens)
	for _, note := range notes {
		fmt.Fprintln(p.stderr, note)
	}
	return err
}

// showLines prints a line each second, where there is one, until stop is called.
func (p *program) showLines(line func() string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				now := line()
				if now == "" {
					continue
				}
				lines := []string{now}
				if width := stderrWidth(); width > 0 {
					lines = text.Wrap(now, width)
				}
				fmt.Fprintln(p.stderr, strings.Join(lines, "\n"))
			}
		}
	}()
	return func() { cancel(); <-ended }
}
