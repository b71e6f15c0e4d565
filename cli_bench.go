package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slimlab/internal/atomicfile"
	"slimlab/internal/commalist"
	"slimlab/internal/nearest"
	"slimlab/lab/endpoint"
	"slimlab/lab/loadreport"
	"slimlab/lab/loadtest"
)

// benchFlags are the flags of `slimlab bench-serve`.
type benchFlags struct {
	loadtest.Test
	devices loadtest.Devices
	engine  loadtest.Engine
	server  loadtest.Server
	loading loadFlags
	labels  string
	goodput string
	exports []string
	explain bool
	// observe the target, fit a simulation to half of the requests and compare it with the others
	calibrate bool
}

// simulatedPrefix begins a target on simulated devices.
const simulatedPrefix = "hw:"

func (p *program) benchServeCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench-serve TARGET",
		Short: "put a workload on an engine, a server or simulated devices and measure it",
		Long: "bench-serve sends requests at their times, whatever has become of those before, and reports what their users wait: latencies count from the time for which\n" +
			"a request was scheduled. TARGET is a MODEL, for an engine in this process; the URL of an OpenAI-compatible server, such as http://127.0.0.1:8000; or\n" +
			"hw:DEVICES/SHAPE for the same engine on simulated devices, such as hw:h100x4/8b: devices " + strings.Join(loadtest.DeviceNames(), ", ") + ";\n" +
			"shapes " + strings.Join(loadtest.ShapeNames(), ", ") + ", or a MODEL.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.benchServe(cmd, args[0], &f) },
	}
	f.add(cmd)
	return cmd
}

func (f *benchFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Kind, "workload", loadtest.Random, "what is asked: "+strings.Join(loadtest.Kinds(), ", "))
	flags.IntVar(&f.Requests, "requests", 200, "arrivals: prompts, visits of members, or sessions; of a file the first so many, 0 for all")
	flags.IntVar(&f.InputTokens, "input-tokens", 512, "tokens of a prompt, without those of its prefix; of ranking a candidate's, of chat a question's")
	flags.IntVar(&f.OutputTokens, "output-tokens", 64, "tokens of an answer; of ranking always 1")
	flags.IntVar(&f.PrefixTokens, "prefix-tokens", 0, "tokens with which the prompts of a member or a group begin; of chat those of the system prompt")
	flags.Float64Var(&f.Range, "range", 0, "lengths of random and chat are drawn evenly from this share below to as much above")
	flags.IntVar(&f.Groups, "groups", 0, "members of ranking (0: a new one each time) or groups of shared-prefix (0: 10)")
	flags.IntVar(&f.Candidates, "candidates", 1, "candidates of a visit of ranking, whose prompts come together")
	flags.BoolVar(&f.Packed, "packed", false, "the candidates of a visit are items of one request")
	flags.StringVar(&f.labels, "labels", "", "token ids that ranking scores, such as 9642,2822 (default: one token is generated)")
	flags.IntVar(&f.Turns, "turns", 4, "turns of a session of chat")
	flags.Float64Var(&f.Think, "think", 0, "seconds that a user of chat thinks between turns, on average")
	flags.Float64Var(&f.Skew, "skew", 0, "exponent of Zipf's law by which members or groups come; 0: each as often")
	flags.StringVar(&f.Order, "order", "zipf", "order of members or groups: zipf, in-turn, grouped, shuffled")
	flags.StringVar(&f.File, "file", "", "file of the workloads jsonl, mooncake and azure")
	flags.BoolVar(&f.IgnoreEnd, "ignore-eos", false, "answers to prompts of jsonl have as many tokens as are asked for, where the target can: those of other workloads always do")
	flags.Float64Var(&f.Speed, "speed", 1, "how fast a trace is replayed: 2 sends in half the time")
	flags.DurationVar(&f.From, "from", 0, "time of a trace from which it is replayed")
	flags.DurationVar(&f.To, "to", 0, "time of a trace until which it is replayed (default: its end)")
	flags.StringVar(&f.Process, "arrivals", loadtest.Poisson, "when it is asked: "+strings.Join(loadtest.Processes(), ", ")+"; a trace has times of its own")
	flags.Float64Var(&f.Rate, "rate", 1, "arrivals a second")
	flags.Float64Var(&f.RateTo, "rate-to", 0, "rate at which a ramp ends")
	flags.Float64Var(&f.Burstiness, "burstiness", 1, "shape of gamma: 1 is poisson, less comes in bursts")
	flags.IntVar(&f.Users, "users", 1, "users of closed, each with one request at a time")
	flags.DurationVar(&f.Length, "length", 0, "time after which nothing more is sent; 0s: all is sent")
	flags.IntVar(&f.InFlight, "in-flight", 1024, "requests at once, at most; another is dropped, and counted as such")
	flags.IntVar(&f.WarmUp, "warm-up", 2, "requests with other prompts before the first that counts")
	flags.Uint64Var(&f.Seed, "seed", 1, "of prompts, lengths and gaps")
	flags.StringVar(&f.goodput, "goodput", "", "what a good request keeps, such as ttft:200ms,tpot:50ms,e2el:2s")
	flags.StringArrayVar(&f.exports, "export", nil, "FORMAT=FILE: also write json (the keys of vLLM's bench serve), detailed (with every request's), jsonl (a line for each request) or html; - is stdout (repeatable)")
	flags.BoolVar(&f.explain, "definitions", false, "say below the table what each figure is")

	flags.BoolVar(&f.calibrate, "calibrate", false, "run the workload twice in turns, fit a simulation of the engine to the steps of half of it, and say how far it is from the other half")

	f.loading.add(cmd)
	flags.StringVar(&f.engine.Policy, "policy", "aged-lpm", "engine: who of the waiting requests runs next: "+strings.Join(endpoint.Policies(), ", "))
	flags.IntVar(&f.engine.Running, "max-running", 256, "engine: requests that run at once")
	flags.IntVar(&f.engine.BatchTokens, "batch-tokens", 0, "engine: tokens that a step computes, at most (default: 2048, simulated as many as the calibration was fitted for)")
	flags.IntVar(&f.engine.ChunkTokens, "chunk-tokens", 0, "engine: tokens of one prompt that a step computes, at most (default: --batch-tokens)")

	flags.StringVar(&f.server.Model, "model", "", "server: name of the model (default: the one that it serves)")
	flags.StringVar(&f.server.Key, "api-key", "", "server: key (others can see it; "+keyVariable+" hides it)")
	flags.IntVar(&f.server.Vocabulary, "vocabulary", 0, "server: tokens of prompts are drawn below this id (default: 30000)")
	flags.BoolVar(&f.server.Score, "score", false, "server: ranking asks /v1/score, for --labels")
	flags.BoolVar(&f.server.Plain, "plain", false, "server: send OpenAI's own fields alone: answers may end before their length")

	flags.StringVar(&f.devices.Calibration, "calibration", "sglang-0.4.1", "simulated: the measured engine whose efficiencies are taken: "+strings.Join(loadtest.CalibrationNames(), ", "))
	flags.StringVar(&f.devices.Weights, "weights", "fp8", "simulated: number format of the weights: bf16, fp8, int8, int4")
	flags.IntVar(&f.devices.Replicas, "replicas", 1, "simulated: engines with devices of their own, behind a router")
	flags.StringVar(&f.devices.Router, "router", "round-robin", "simulated: how a request's replica is chosen: round-robin, least-loaded, cache-aware")
	flags.IntVar(&f.devices.CacheTokens, "cache-tokens", 0, "simulated: tokens of a replica's KV cache (default: as many as its devices have room for)")
}

// belongs lists the flags that one sort of target has.
var belongs = map[string][]string{
	"an engine in this process": {"dtype", "head", "cache-bytes", "calibrate"},
	"a server":                  {"model", "api-key", "vocabulary", "score", "plain"},
	"simulated devices":         {"calibration", "weights", "replicas", "router", "cache-tokens"},
}

// sort names the sort of a target.
func sortOfTarget(target string) string {
	switch {
	case strings.HasPrefix(target, simulatedPrefix):
		return "simulated devices"
	case strings.HasPrefix(target, "http://"), strings.HasPrefix(target, "https://"):
		return "a server"
	}
	return "an engine in this process"
}

func (f *benchFlags) check(cmd *cobra.Command, target string) error {
	changed := cmd.Flags().Changed
	own := sortOfTarget(target)
	for of, names := range belongs {
		for _, name := range names {
			if of != own && changed(name) {
				return fmt.Errorf("--%s belongs to %s, and %s is %s", name, of, target, own)
			}
		}
	}
	for _, name := range []string{"policy", "max-running", "batch-tokens", "chunk-tokens", "kv"} {
		if own == "a server" && changed(name) {
			return fmt.Errorf("--%s belongs to an engine, and %s is a server, which has its own", name, target)
		}
	}
	file := f.Kind == loadtest.JSONL || f.Kind == loadtest.Mooncake || f.Kind == loadtest.Azure
	switch err := cmp.Or(nearest.Check("--workload", f.Kind, loadtest.Kinds()), nearest.Check("--arrivals", f.Process, loadtest.Processes()), nearest.Check("--policy", f.engine.Policy, endpoint.Policies())); {
	case err != nil:
		return err
	case file != (f.File != ""):
		return fmt.Errorf("--workload %s and --file %q: the workloads jsonl, mooncake and azure have a file, and others none", f.Kind, f.File)
	case f.Requests < 0 || f.Requests == 0 && !file:
		return fmt.Errorf("--requests %d: expected at least 1", f.Requests)
	case f.InFlight < 1:
		return fmt.Errorf("--in-flight %d: expected at least 1", f.InFlight)
	case f.WarmUp < 0:
		return fmt.Errorf("--warm-up %d: expected 0 or more", f.WarmUp)
	case f.Length < 0:
		return fmt.Errorf("--length %v: expected 0s or more", f.Length)
	case f.Range < 0 || f.Range > 1:
		return fmt.Errorf("--range %v: expected 0 to 1", f.Range)
	case f.engine.Running < 1 || f.engine.BatchTokens < 0 || f.engine.ChunkTokens < 0:
		return errors.New("--max-running, --batch-tokens and --chunk-tokens: expected positive numbers")
	case f.devices.Replicas < 1:
		return fmt.Errorf("--replicas %d: expected at least 1", f.devices.Replicas)
	case f.devices.CacheTokens < 0:
		return fmt.Errorf("--cache-tokens %d: expected at least 1, or 0 for as many as there is room for", f.devices.CacheTokens)
	case f.Process == loadtest.Ramp && !changed("rate-to"):
		return errors.New("--arrivals ramp: expected --rate-to, the rate at which it ends")
	}
	for _, other := range f.idle(changed, file) {
		return fmt.Errorf("--%s", other)
	}
	if f.Kind == loadtest.Ranking {
		if changed("output-tokens") && f.OutputTokens != 1 {
			return fmt.Errorf("--output-tokens %d: an answer of workload ranking is one token", f.OutputTokens)
		}
		f.OutputTokens = 1
	}
	for _, text := range f.exports {
		form, name, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return fmt.Errorf("--export %s: expected FORMAT=FILE", text)
		}
		if err := nearest.Check("--export "+text+": format", form, []string{"json", "detailed", "jsonl", "html"}); err != nil {
			return err
		}
	}
	return f.readLabels()
}

// idle says which flags have no effect beside the others.
func (f *benchFlags) idle(changed func(string) bool, file bool) (all []string) {
	trace := f.Kind == loadtest.Mooncake || f.Kind == loadtest.Azure
	grouped := f.Kind == loadtest.Ranking || f.Kind == loadtest.SharedPrefix
	for _, c := range []struct {
		flag, of string
		uses     bool
	}{
		{"candidates", "workload ranking", f.Kind == loadtest.Ranking}, {"packed", "workload ranking", f.Kind == loadtest.Ranking}, {"labels", "workload ranking", f.Kind == loadtest.Ranking},
		{"groups", "workloads ranking and shared-prefix", grouped}, {"skew", "workloads ranking and shared-prefix", grouped}, {"order", "workloads ranking and shared-prefix", grouped},
		{"turns", "workload chat", f.Kind == loadtest.Chat}, {"think", "workload chat", f.Kind == loadtest.Chat},
		{"range", "workloads random and chat", f.Kind == loadtest.Random || f.Kind == loadtest.Chat},
		{"prefix-tokens", "workloads ranking, shared-prefix and chat", grouped || f.Kind == loadtest.Chat},
		{"input-tokens", "workloads without a file", !file}, {"output-tokens", "workloads other than traces", !trace},
		{"ignore-eos", "workload jsonl", f.Kind == loadtest.JSONL},
		{"speed", "traces", trace}, {"from", "traces", trace}, {"to", "traces", trace},
		{"arrivals", "workloads other than traces", !trace}, {"rate", "arrivals over time", !trace && f.Process != loadtest.Closed && f.Process != loadtest.AtOnce},
		{"rate-to", "arrivals ramp", f.Process == loadtest.Ramp}, {"burstiness", "arrivals gamma", f.Process == loadtest.Gamma}, {"users", "arrivals closed", f.Process == loadtest.Closed},
		{"router", "several --replicas", f.devices.Replicas > 1},
	} {
		if changed(c.flag) && !c.uses {
			all = append(all, fmt.Sprintf("%s belongs to %s: leave it out", c.flag, c.of))
		}
	}
	return all
}

func (f *benchFlags) readLabels() error {
	if f.labels == "" {
		if f.server.Score {
			return errors.New("--score: found no --labels, expected the token ids that are scored")
		}
		return nil
	}
	parts, err := commalist.Parts(f.labels)
	if err != nil {
		return fmt.Errorf("--labels: %w", err)
	}
	for _, part := range parts {
		var id int32
		if _, err := fmt.Sscanf(part+" ", "%d ", &id); err != nil || id < 0 {
			return fmt.Errorf("--labels %s: found %q, expected token ids such as 9642,2822", f.labels, part)
		}
		f.Labels = append(f.Labels, id)
	}
	return nil
}

func (p *program) benchServe(cmd *cobra.Command, target string, f *benchFlags) error {
	if err := f.check(cmd, target); err != nil {
		return usage(err)
	}
	objectives, err := f.objectives()
	if err != nil {
		return usage(err)
	}
	place, err := p.place(cmd, target, f)
	if err != nil {
		return usage(err)
	}
	defer place.Close()
	if f.calibrate {
		for _, note := range place.Notes { // else the report has them
			fmt.Fprintln(p.stderr, note)
		}
		return p.calibrate(cmd, place, f)
	}
	live := &loadtest.Live{}
	stop := p.showLive(live)
	run, result, err := place.Run(cmd.Context(), f.Test, live)
	stop()
	if err != nil && len(run.Records) == 0 {
		if cmd.Context().Err() != nil {
			return broke(err)
		}
		return usage(err)
	}
	run.Objectives, run.Title = objectives, "bench-serve"
	summary := loadreport.Summarize(run)
	if werr := p.writeBench(summary, f); werr != nil {
		return broke(werr)
	}
	if result != nil {
		fmt.Fprintf(p.stderr, "simulated %.1f s in %.2f s: %.0f requests a second\n", result.Duration.Seconds(), result.Wall.Seconds(), float64(len(result.Records))/result.Wall.Seconds())
	}
	return broke(err)
}

func (f *benchFlags) objectives() ([]loadreport.Objective, error) {
	if f.goodput == "" {
		return nil, nil
	}
	return loadreport.ParseObjectives(f.goodput)
}

// place opens the target.
func (p *program) place(cmd *cobra.Command, target string, f *benchFlags) (*loadtest.Place, error) {
	ctx := cmd.Context()
	switch sortOfTarget(target) {
	case "simulated devices":
		device, model, ok := strings.Cut(strings.TrimPrefix(target, simulatedPrefix), "/")
		if !ok || device == "" || model == "" {
			return nil, fmt.Errorf("target %s: expected hw:DEVICES/SHAPE, such as hw:h100x4/8b", target)
		}
		f.devices.Device, f.devices.Model = device, model
		f.devices.KV = cmp.Or(f.loading.KV, "bf16")
		f.engine.PrefixCache = true
		return loadtest.On(p.home, f.devices, f.engine)
	case "a server":
		f.server.URL, f.server.InFlight = target, f.InFlight
		f.server.Key = cmp.Or(f.server.Key, os.Getenv(keyVariable))
		return loadtest.At(ctx, f.server)
	}
	if err := f.loading.check(cmd); err != nil {
		return nil, err
	}
	release, err := p.home.Hold(ctx, target)
	if err != nil {
		return nil, err
	}
	o := f.loading.Options
	o.Policy, o.Running, o.BatchTokens, o.Chunk = f.engine.Policy, f.engine.Running, f.engine.BatchTokens, f.engine.ChunkTokens
	var steps *loadtest.Steps
	if f.calibrate {
		steps = &loadtest.Steps{}
		o.OnStep = steps.Add
	}
	e, err := endpoint.Open(ctx, p.home, target, o)
	if err != nil {
		release()
		return nil, err
	}
	place := loadtest.Here(e)
	place.KeepSteps(steps)
	place.OnClose(func() { e.Close(); release() })
	return place, nil
}

// showLive prints a line of the live table each second until stop is called.
func (p *program) showLive(live *loadtest.Live) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				width := stderrWidth()
				if n%20 == 0 {
					fmt.Fprintln(p.stderr, live.Head(width))
				}
				fmt.Fprintln(p.stderr, live.Line(now, width))
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// calibrate prints how far a simulation of the target is from it.
func (p *program) calibrate(cmd *cobra.Command, place *loadtest.Place, f *benchFlags) error {
	live := &loadtest.Live{}
	stop := p.showLive(live)
	engine := f.engine
	engine.PrefixCache, engine.BatchTokens = true, cmp.Or(engine.BatchTokens, 2048)
	c, err := place.Calibrate(cmd.Context(), f.Test, engine, live)
	stop()
	if err != nil {
		if cmd.Context().Err() != nil {
			return broke(err)
		}
		return usage(err)
	}
	return broke(c.Text(p.stdout))
}

// writeBench writes the report and the exports.
func (p *program) writeBench(s *loadreport.Summary, f *benchFlags) error {
	taken := false
	for _, text := range f.exports {
		form, name, _ := strings.Cut(text, "=")
		write := func(w io.Writer) error {
			switch form {
			case "jsonl":
				return loadreport.Requests(w, s.Records)
			case "html":
				return loadreport.HTML(w, s)
			}
			return loadreport.JSON(w, s, form == "detailed", time.Now())
		}
		if isStdout(name) {
			taken = true
			if err := write(p.stdout); err != nil {
				return err
			}
			continue
		}
		if err := atomicfile.Write(name, write); err != nil {
			return fmt.Errorf("--export %s: %w", text, err)
		}
	}
	if taken {
		return nil
	}
	return loadreport.Text(p.stdout, s, f.explain)
}
