package run

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/stat"
	"slimlab/serve"
	"slimlab/serve/host"
	"slimlab/serve/load"
)

// serveStage is the stage whose artifacts are timings and nothing else.
const serveStage = "serve"

// serving is the artifact of putting a model under the ranking workload on one machine.
type serving struct {
	Cold     []float64 `json:"cold"` // seconds
	Hot      []float64 `json:"hot"`
	Tokens   int       `json:"tokens"`
	Cached   int       `json:"cached"`
	Seconds  float64   `json:"seconds"`
	Requests int       `json:"requests"`
	Run      string    `json:"run"`
	observed
}

// serve measures latency and throughput while nothing else of the run computes.
func (w *worker) serve(ctx context.Context, row *measured) error {
	settings := w.cell.Point.Serve
	if settings == nil {
		return nil
	}
	a, err := w.run.artifact(ctx, w.servingRecipe(row), "serving of "+row.name, func(dir string) error {
		w.progress(0, 0, "serve")
		var e *serve.Engine
		var workload load.Ranking
		if err := w.run.compute(func() error {
			m, err := row.load(ctx)
			if err != nil {
				return err
			}
			workload = load.Ranking{Members: w.data.recsys.ServeGroups(settings.Members, settings.Candidates, 0), Labels: w.data.recsys.Labels()}
			e, err = host.NewEngine(m, host.Options{}, serve.Defaults())
			return err
		}); err != nil {
			return err
		}
		defer e.Close()
		var around observed
		var report load.Samples
		if err := w.run.alone(func() (err error) {
			end := w.run.observe(ctx)
			if report, err = workload.Run(ctx, e); err == nil {
				around.add(end())
			}
			return err
		}); err != nil {
			return err
		}
		return writeFacts(dir, serving{
			Cold: seconds(report.Cold), Hot: seconds(report.Hot),
			Tokens: report.Tokens, Cached: report.Cached, Seconds: report.Wall.Seconds(), Requests: report.Requests, Run: w.run.ID, observed: around,
		})
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

// servingRecipe is all that decides a row's timings: the program and the machine too.
func (w *worker) servingRecipe(row *measured) recipe.Recipe {
	of := w.data.recipe(serveStage, serveVersion)
	of.Parameters = recipe.Of(w.cell.Point.Serve)
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
	values["tokens_per_s"] = lab.Measure{Value: float64(s.Tokens) / s.Seconds, N: s.Requests, Warning: warning}
	values["cached"] = lab.Measure{Value: float64(s.Cached) / float64(s.Tokens)}
}

func seconds(durations []time.Duration) []float64 {
	out := make([]float64, len(durations))
	for i, d := range durations {
		out[i] = d.Seconds()
	}
	return out
}
