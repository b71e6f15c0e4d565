package run

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/loadreport"
	"slimlab/lab/loadtest"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/serve/hardware"
)

// Simulate measures a model's engine on simulated devices. It makes no model.
type Simulate struct {
	loadtest.Devices
	loadtest.Engine
	loadtest.Workload
	loadtest.Arrivals
	SLO     string    `json:",omitempty" key:"slo" default:"" omit:"default" doc:"percentiles that have to be kept, such as ttft:p99:500ms,tpot:p50:20ms: the largest rate of arrivals at which they are is searched for, from rate on, and the row's figures are those at that rate; default: rate as it is"`
	Quality string    `json:",omitempty" key:"quality" ref:"weights" doc:"an earlier step whose quality stands in the row too: that of its scheme, measured here; default: none"`
	Paper   Published `key:"paper" doc:"figures that were published for the same"`
}

// Published are figures that stand beside simulated ones; 0 is none.
type Published struct {
	TTFT50 float64 `key:"ttft_p50" default:"0" min:"0" doc:"seconds"`
	TTFT99 float64 `key:"ttft_p99" default:"0" min:"0" doc:"seconds"`
	TPOT50 float64 `key:"tpot_p50" default:"0" min:"0" doc:"seconds"`
	Tokens float64 `key:"tokens_per_s" default:"0" min:"0" doc:"prompt and output tokens per second"`
}

// simulateStage is the stage of simulated figures, simulateVersion that of the code below and of
// packages serve, load and hardware: raise it when they give other figures for the same settings.
const (
	simulateStage   = "simulate"
	simulateVersion = 1
)

// Describe says what the step does.
func (s *Simulate) Describe(string) string {
	return fmt.Sprintf("simulate %s in %s on %s by %s: %s of workload %s, %s", s.Model, s.Weights, s.Device, s.Calibration, plural.Of(s.Requests, "arrival"), s.Kind, s.Process)
}

// Check implements scenario.Checker.
func (s *Simulate) Check(given func(key string) bool, bad func(key, with, format string, args ...any)) {
	for _, c := range []struct {
		key  string
		of   string // what the key belongs to
		uses bool
	}{
		{"candidates", "workload ranking", s.Kind == loadtest.Ranking},
		{"packed", "workload ranking", s.Kind == loadtest.Ranking},
		{"groups", "workloads ranking and shared-prefix", s.Kind == loadtest.Ranking || s.Kind == loadtest.SharedPrefix},
		{"skew", "workloads ranking and shared-prefix", s.Kind == loadtest.Ranking || s.Kind == loadtest.SharedPrefix},
		{"order", "workloads ranking and shared-prefix", s.Kind == loadtest.Ranking || s.Kind == loadtest.SharedPrefix},
		{"turns", "workload chat", s.Kind == loadtest.Chat},
		{"think", "workload chat", s.Kind == loadtest.Chat},
		{"range", "workloads random and chat", s.Kind == loadtest.Random || s.Kind == loadtest.Chat},
		{"burstiness", "arrivals gamma", s.Process == loadtest.Gamma},
		{"rate_to", "arrivals ramp", s.Process == loadtest.Ramp},
		{"users", "arrivals closed", s.Process == loadtest.Closed},
		{"rate", "arrivals over time", s.Process != loadtest.Closed && s.Process != loadtest.AtOnce},
		{"router", "several replicas", s.Replicas > 1},
	} {
		if given(c.key) && !c.uses {
			bad(c.key, "", "belongs to %s: leave it out", c.of)
		}
	}
	if s.Kind == loadtest.Random && s.PrefixTokens > 0 {
		bad("prefix_tokens", "workload", "is %d, and prompts of workload random share nothing: expected workload shared-prefix", s.PrefixTokens)
	}
	if _, err := s.Workload.Workload(1<<15, 1); err != nil {
		bad("workload", "", "cannot be made: %v", err)
	}
	if _, err := s.Arrivals.Arrivals(1); err != nil {
		bad("arrivals", "", "cannot be made: %v", err)
	}
	if s.SLO == "" {
		return
	}
	if _, err := loadtest.ParseBounds(s.SLO); err != nil {
		bad("slo", "", "is %q: %v", s.SLO, err)
	}
	if !slices.Contains([]string{loadtest.Fixed, loadtest.Poisson, loadtest.Gamma}, s.Process) {
		bad("slo", "arrivals", "has no rate that could be searched for: expected arrivals fixed, poisson or gamma")
	}
}

// unmeasured says why a metric of simulated rows is not one of this step's.
func (s *Simulate) unmeasured(m lab.Metric) string {
	published := map[string]float64{
		"paper_ttft_p50": s.Paper.TTFT50, "ttft_p50_error": s.Paper.TTFT50, "paper_ttft_p99": s.Paper.TTFT99,
		"paper_tpot_p50": s.Paper.TPOT50, "tpot_p50_error": s.Paper.TPOT50, "paper_tokens_per_s": s.Paper.Tokens,
	}
	switch of, known := published[m.Key]; {
	case known && of == 0:
		return "the step has no such figure in its key paper"
	case m.Section != lab.Simulation && s.Quality == "":
		return "the step makes no model: its key quality may name an earlier step"
	case m.Key == "sim_capacity" && s.SLO == "":
		return "the step searches for no rate, expected the key slo"
	case strings.Contains(m.Key, "tpot") && s.OutputTokens < 2:
		return "output_tokens is 1, and the first token of an answer has no time per token: expected at least 2"
	}
	return ""
}

// plan opens the model's shape and the devices.
func (s *Simulate) plan(ctx context.Context, w *worker, step scenario.Step) (job, error) {
	d, err := s.Deployment(w.run.home)
	if err != nil {
		return job{}, err
	}
	of := s.recipe(d, w.cell.Seed)
	for _, note := range d.Notes {
		w.run.noteOnce(lab.Info, step.Name+": "+note)
	}
	return job{tables: []recipe.Recipe{of}, figures: func() (map[string]lab.Measure, error) { return s.figures(ctx, w, step, d, of) }}, nil
}

// recipe is all that decides the figures: the constants of the devices and the calibration too.
func (s *Simulate) recipe(d *hardware.Deployment, seed int) recipe.Recipe {
	of := recipe.Recipe{Stage: simulateStage, Version: simulateVersion, Arch: recipe.Arch(), Kernels: kernels.Implementation(), Inputs: map[string]string{}, Parameters: recipe.Values{}}
	settings := *s
	settings.Paper = Published{}
	of.Parameters = recipe.Of(settings)
	of.Parameters["seed"] = seed
	text, err := json.Marshal(struct {
		Model       hardware.Model
		Device      hardware.Device
		Count       int
		Calibration hardware.Calibration
	}{d.Model, d.Device, d.Count, d.Calibration})
	if err != nil {
		panic("run: " + err.Error()) // plain structs of finite numbers
	}
	of.Parameters["constants"] = recipe.Text(string(text))
	return of
}

// figures finds the figures of an earlier run or simulates them.
func (s *Simulate) figures(ctx context.Context, w *worker, step scenario.Step, d *hardware.Deployment, of recipe.Recipe) (map[string]lab.Measure, error) {
	a, err := w.run.artifact(ctx, of, "simulation of "+step.Name, func(dir string) error {
		return w.run.compute(func() error {
			values, err := s.simulate(ctx, w, d)
			if err != nil {
				return err
			}
			return writeFacts(dir, values)
		})
	})
	if err != nil {
		return nil, err
	}
	defer a.release()
	values := map[string]lab.Measure{}
	if err := readFacts(a.dir, &values); err != nil {
		return nil, err
	}
	s.beside(values)
	if s.Quality != "" {
		of, ok := w.reported[s.Quality]
		if !ok {
			return nil, fmt.Errorf("%s: quality is that of %s, which was not measured before it: expected a step behind the baseline", step.Name, s.Quality)
		}
		for key, v := range of {
			if m, known := lab.MetricByKey(key); known && (m.Section == lab.Evaluate || key == "effective_bits") {
				values[key] = v
			}
		}
	}
	return values, nil
}

// beside adds the published figures and how far the simulated ones are from them.
func (s *Simulate) beside(values map[string]lab.Measure) {
	for _, p := range []struct {
		value             float64
		key, paper, error string
	}{
		{s.Paper.TTFT50, "sim_ttft_p50", "paper_ttft_p50", "ttft_p50_error"},
		{s.Paper.TTFT99, "sim_ttft_p99", "paper_ttft_p99", ""},
		{s.Paper.TPOT50, "sim_tpot_p50", "paper_tpot_p50", "tpot_p50_error"},
		{s.Paper.Tokens, "sim_tokens_per_s", "paper_tokens_per_s", ""},
	} {
		if p.value == 0 {
			continue
		}
		m := lab.Measure{Value: p.value}
		if p.key == "sim_ttft_p99" && s.Paper.TTFT50 > p.value {
			m.Warning = "impossible: the published P50 is larger"
		}
		values[p.paper] = m
		if of, ok := values[p.key]; ok && p.error != "" {
			values[p.error] = lab.Measure{Value: of.Value/p.value - 1, Warning: of.Warning}
		}
	}
}

// simulate runs the workload on devices as the calibration says, and on some that are as much
// faster and slower as it errs, which give the bounds.
func (s *Simulate) simulate(ctx context.Context, w *worker, d *hardware.Deployment) (map[string]lab.Measure, error) {
	errs := d.Step(&hardware.Batch{}).Relative
	if s.SLO != "" {
		return s.capacity(ctx, w, d, errs)
	}
	values, err := s.once(ctx, w, d, 1)
	if err != nil || errs == 0 {
		return values, err
	}
	for _, slowness := range []float64{1 / (1 + errs), 1 + errs} {
		others, err := s.once(ctx, w, d, slowness)
		if err != nil {
			return nil, err
		}
		for key, v := range values {
			of, ok := others[key]
			if !ok {
				continue
			}
			other := of.Value
			if v.Low == 0 && v.High == 0 {
				v.Low, v.High = v.Value, v.Value
			}
			v.Low, v.High = min(v.Low, other), max(v.High, other)
			values[key] = v
		}
	}
	return values, nil
}

// search finds the largest rate at which the bounds are kept.
func (s *Simulate) search(ctx context.Context, w *worker, d *hardware.Deployment, slowness float64) (*loadtest.Capacity, error) {
	bounds, err := loadtest.ParseBounds(s.SLO)
	if err != nil {
		return nil, err
	}
	return loadtest.FindCapacity(ctx, s.Rate, s.Together(), []uint64{uint64(w.cell.Seed)}, bounds, func(ctx context.Context, rate float64, seed uint64) (*loadreport.Summary, error) {
		at := *s
		at.Rate = rate
		result, err := at.test(w, d, slowness).Run(ctx)
		if err != nil {
			return nil, err
		}
		return loadreport.Summarize(loadreport.Run{Records: result.Records, Left: result.Left, Rate: rate, Simulated: true}), nil
	}, func(p loadtest.Probe) { w.progress(0, 0, fmt.Sprintf("%.4g arrivals a second", p.Rate)) })
}

// capacity is the largest rate with its bounds, and the figures at that rate, which have none: at a
// rate that devices just serve, slower ones do not.
func (s *Simulate) capacity(ctx context.Context, w *worker, d *hardware.Deployment, errs float64) (map[string]lab.Measure, error) {
	c, err := s.search(ctx, w, d, 1)
	if err != nil {
		return nil, err
	}
	m := lab.Measure{Value: c.Rate}
	if c.Never != "" {
		m.Warning = "a request alone does not keep it: " + c.Never
	}
	values := map[string]lab.Measure{}
	if c.Rate > 0 {
		at := *s
		at.Rate = c.Rate
		if values, err = at.once(ctx, w, d, 1); err != nil {
			return nil, err
		}
	}
	if errs > 0 {
		slow, err := s.search(ctx, w, d, 1+errs)
		if err != nil {
			return nil, err
		}
		fast, err := s.search(ctx, w, d, 1/(1+errs))
		if err != nil {
			return nil, err
		}
		m.Low, m.High = min(slow.Rate, c.Rate), max(fast.Rate, c.Rate)
	}
	values["sim_capacity"] = m
	return values, nil
}

func (s *Simulate) test(w *worker, d *hardware.Deployment, slowness float64) loadtest.Simulated {
	return loadtest.Simulated{Devices: s.Devices, Engine: s.Engine, Workload: s.Workload, Arrivals: s.Arrivals, Deployment: d, Slowness: slowness, Seed: uint64(w.cell.Seed)}
}

func (s *Simulate) once(ctx context.Context, w *worker, d *hardware.Deployment, slowness float64) (map[string]lab.Measure, error) {
	test := s.test(w, d, slowness)
	test.Progress = func(done, of int) { w.progress(done, of, "simulate") }
	result, err := test.Run(ctx)
	if err != nil {
		return nil, err
	}
	return result.Measures(), nil
}
