package run

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"slimlab/internal/memorypeak"
	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/loadreport"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/lab/stat"
	"slimlab/lab/task"
	"slimlab/serve"
	"slimlab/serve/host"
	"slimlab/serve/load"
)

// serveStage is the stage whose artifacts are timings and nothing else.
const serveStage = "serve"

// serving is the artifact of putting a model under a workload on one machine.
type serving struct {
	Cold     []float64 `json:"cold"` // seconds
	Hot      []float64 `json:"hot"`
	Load     []float64 `json:"load,omitempty"` // to the first token under a rate of visits
	Grew     bool      `json:"grew,omitempty"` // more came than was answered then
	TPOT     []float64 `json:"tpot,omitempty"`
	Tokens   int       `json:"tokens"`
	Cached   int       `json:"cached"`
	Answered int       `json:"answered,omitempty"`
	Seconds  float64   `json:"seconds"`
	Requests int       `json:"requests"`
	Memory   int64     `json:"memory,omitempty"` // 0 where the system does not say
	Run      string    `json:"run"`
	observed
}

// workload is what is put on an engine.
type workload interface {
	Run(ctx context.Context, e *serve.Engine) (load.Samples, error)
}

// serve measures latency and throughput while nothing else of the run computes.
func (w *worker) serve(ctx context.Context, row *measured) error {
	of, err := w.workload(ctx)
	if err != nil || of == nil {
		return err
	}
	a, err := w.run.artifact(ctx, w.servingRecipe(row, of), "serving of "+row.name, func(dir string) error {
		w.progress(0, 0, "serve")
		var s serving
		if err := w.run.alone(func() (err error) {
			s, err = w.underLoad(ctx, row, of)
			return err
		}); err != nil {
			return err
		}
		return writeFacts(dir, s)
	})
	if err != nil {
		return err
	}
	defer a.release()
	var s serving
	if err := readFacts(a.dir, &s); err != nil {
		return err
	}
	s.measures(row.values, w.timed(row, s.timing(serveStage, s.Run)))
	return nil
}

// underLoad loads a row's model anew, beside nothing else of the run, and serves it. The memory
// that both take is what the process's own rises by.
func (w *worker) underLoad(ctx context.Context, row *measured, of workload) (serving, error) {
	row.model.forget()
	end := w.run.observe(ctx)
	debug.FreeOSMemory() // what an earlier step has left would be used again, and not be counted
	before, watch := memorypeak.Now(), memorypeak.Begin()
	samples, visited, err := loadAndServe(ctx, row, of, w.cell.Point.Serve, uint64(w.cell.Seed))
	memory := watch.End() - before
	if err != nil {
		return serving{}, err
	}
	s := serving{
		Cold: seconds(samples.Cold), Hot: seconds(samples.Hot), TPOT: seconds(samples.TPOT),
		Tokens: samples.Tokens, Cached: samples.Cached, Answered: samples.Answered, Seconds: samples.Wall.Seconds(), Requests: samples.Requests,
		Memory: memory, Run: w.run.ID,
	}
	if visited != nil {
		for _, r := range visited.Records {
			s.Load = append(s.Load, (r.First - r.Scheduled).Seconds())
		}
		s.Grew = visited.Has(loadreport.OverSaturated)
	}
	s.add(end())
	return s, nil
}

// loadAndServe loads a row's model and serves it on an engine of its own, then, where the section
// has a rate, under visits at that rate.
func loadAndServe(ctx context.Context, row *measured, of workload, s *scenario.Serve, seed uint64) (load.Samples, *loadreport.Summary, error) {
	m, err := row.load(ctx)
	if err != nil {
		return load.Samples{}, nil, err
	}
	e, err := host.NewEngine(m, host.Options{}, serve.Defaults())
	if err != nil {
		return load.Samples{}, nil, err
	}
	defer e.Close()
	samples, err := of.Run(ctx, e)
	if err != nil || s.Rate == 0 {
		return samples, nil, err
	}
	visited, err := underVisits(ctx, e, of.(load.Ranking), s, seed)
	return samples, visited, err
}

// underVisits has members visit at a rate, one after another in turn, each with all of its
// candidates, and nothing cached before the first.
func underVisits(ctx context.Context, e *serve.Engine, of load.Ranking, s *scenario.Serve, seed uint64) (*loadreport.Summary, error) {
	if err := e.Flush(); err != nil {
		return nil, err
	}
	visits := load.Groups{Number: int(s.Visits), Prompts: of.Members, Labels: of.Labels}
	plan, err := load.NewPlan(visits, load.Process{Rate: s.Rate, Burstiness: 1, Seed: seed})
	if err != nil {
		return nil, err
	}
	driver := load.Driver{Plan: plan, InFlight: visits.Requests(), Precise: true}
	records, err := driver.Run(ctx, load.Embedded{Engine: e})
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.Err != nil {
			return nil, fmt.Errorf("under a rate of %g visits a second: %w", s.Rate, r.Err)
		}
	}
	return loadreport.Summarize(loadreport.Run{Records: records, Rate: s.Rate}), nil
}

// workload is that of the cell's point; nil where it has none.
func (w *worker) workload(ctx context.Context) (workload, error) {
	s := w.cell.Point.Serve
	switch {
	case s == nil:
		return nil, nil
	case s.Workload == scenario.RankingWorkload:
		return load.Ranking{Members: w.data.recsys.ServeGroups(s.Members, s.Candidates, 0), Labels: w.data.recsys.Labels()}, nil
	}
	positions, err := w.servedPositions(ctx)
	if err != nil {
		return nil, err
	}
	p, long := load.Prompts{Answer: int(s.AnswerTokens)}, 0
	for _, e := range w.data.Validation(0) {
		if len(p.Prompts) == int(s.Prompts) {
			break
		}
		prompt := w.data.prompt(e)
		if len(prompt)+p.Answer > positions {
			long++
			continue
		}
		p.Prompts = append(p.Prompts, prompt)
	}
	if len(p.Prompts) == 0 {
		return nil, fmt.Errorf("%s: serve's answer_tokens is %d, and no prompt leaves room for them in the %d positions of the models: expected less", w.run.plan.Scenario.At("serve", "answer_tokens"), p.Answer, positions)
	}
	if long > 0 {
		w.run.noteOnce(lab.Info, fmt.Sprintf("serve: %s %s left out: with %s there are more than the %s of the models", plural.Of(long, "prompt"), plural.Verb(long), plural.Of(p.Answer, "answer token"), plural.Of(positions, "position")))
	}
	if n := len(p.Prompts); n < int(s.Prompts) {
		w.run.noteOnce(lab.Info, fmt.Sprintf("serve: prompts is %d, and the validation examples give %d", s.Prompts, n))
	}
	return p, nil
}

// prompt is what a model is asked by an example: what comes before its last answer, or of a text
// the first half.
func (d *dataset) prompt(e task.Example) []int32 {
	if d.texts {
		return e.Tokens[:(len(e.Tokens)+1)/2]
	}
	prompt, _ := e.Turn()
	return prompt
}

// servedPositions is how many positions every model of the cell's point has.
func (w *worker) servedPositions(ctx context.Context) (int, error) {
	positions, err := w.run.loadedPositions(ctx, w.cell.Point)
	fresh := slices.ContainsFunc(w.cell.Point.Models, func(m scenario.Model) bool { return m.Fresh() })
	if fresh && (positions == 0 || w.data.positions < positions) {
		positions = w.data.positions
	}
	return positions, err
}

// servingRecipe is all that decides a row's timings: the program and the machine too.
func (w *worker) servingRecipe(row *measured, served workload) recipe.Recipe {
	of := w.data.recipe(serveStage, serveVersion)
	of.Parameters = recipe.Of(w.cell.Point.Serve)
	if prompts, ok := served.(load.Prompts); ok {
		of.Parameters["served prompts"] = recipe.Text(fmt.Sprint(prompts.Prompts))
	}
	row.describe(of, "model")
	of.Parameters["program"], of.Parameters["machine"] = w.run.home.Version, w.run.machine
	return of
}

// fewForP99 is the number of samples below which a P99 lies between the two largest of them.
const fewForP99 = 100

// An outlier is a sample of more than outlierOfNext times the next smaller one, or more than
// outlierOfMedian times the median.
const (
	outlierOfNext   = 2
	outlierOfMedian = 3
)

// besideOutlier reports whether the P99 of samples rests on an outlier: the larger of the two that
// it lies between is one. An outlier above these two does not move it.
func besideOutlier(samples []float64) bool {
	sorted := slices.Sorted(slices.Values(samples))
	at := int(math.Ceil(0.99 * float64(len(sorted)-1)))
	if at < 1 {
		return false
	}
	upper := sorted[at]
	return upper > outlierOfNext*sorted[at-1] || upper > outlierOfMedian*stat.Median(sorted)
}

// measures adds what was served to a row's values; warning is that of its timings.
func (s *serving) measures(values map[string]lab.Measure, warning string) {
	latency := func(name string, samples []float64) {
		if len(samples) == 0 {
			return
		}
		p99 := warning
		also := func(reason string) { p99 = strings.TrimPrefix(p99+"; ", "; ") + reason }
		if len(samples) < fewForP99 {
			also(fmt.Sprintf("P99 of %d samples", len(samples)))
		}
		if besideOutlier(samples) {
			also("P99 beside an outlier")
		}
		values[name+"_p50"] = lab.Measure{Value: stat.Percentile(samples, 50), N: len(samples), Warning: warning}
		values[name+"_p99"] = lab.Measure{Value: stat.Percentile(samples, 99), N: len(samples), Warning: p99}
	}
	latency("ttft_cold", s.Cold)
	latency("ttft_hot", s.Hot)
	latency("tpot", s.TPOT)
	if quiet := warning; s.Grew {
		warning = strings.TrimPrefix(quiet+"; more came than was answered", "; ")
		latency("ttft_load", s.Load)
		warning = quiet
	} else {
		latency("ttft_load", s.Load)
	}
	if s.Answered == 0 { // prompts whose labels are scored: an item each
		values["items_per_s"] = lab.Measure{Value: float64(s.Requests) / s.Seconds, N: s.Requests, Warning: warning}
	}
	values["tokens_per_s"] = lab.Measure{Value: float64(s.Tokens+s.Answered) / s.Seconds, N: s.Requests, Warning: warning}
	if s.Memory > 0 {
		values["memory_peak"] = lab.Measure{Value: float64(s.Memory), Warning: warning}
	}
	values["cached"] = lab.Measure{Value: float64(s.Cached) / float64(s.Tokens)}
}

func seconds(durations []time.Duration) []float64 {
	out := make([]float64, len(durations))
	for i, d := range durations {
		out[i] = d.Seconds()
	}
	return out
}
