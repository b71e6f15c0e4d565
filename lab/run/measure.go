package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/lab/stat"
	"slimlab/lab/store"
	"slimlab/lab/task"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/serve"
	"slimlab/serve/load"
)

// measured is a row in the making.
type measured struct {
	name   string
	key    string // of the model's artifact
	model  *artifactModel
	values map[string]lab.Measure
	scores *task.Scores // nil for tasks that do not rank
}

// wants reports whether the scenario's table shows any of the metrics.
func (w *worker) wants(keys ...string) bool {
	columns := w.run.plan.Scenario.Columns
	if len(columns) == 0 {
		return true
	}
	for _, k := range keys {
		if slices.Contains(columns, k) {
			return true
		}
	}
	return false
}

// measure fills a row: sizes, quality, latency, and what they are beside the baseline's.
func (w *worker) measure(ctx context.Context, s scenario.Step, m *artifactModel, dir string) error {
	row := &measured{name: s.Name, key: m.key, model: m, values: map[string]lab.Measure{}}
	if err := w.sizes(row); err != nil {
		return err
	}
	if s.Kind == "train" || s.Kind == "distil" {
		var facts trainFacts
		if err := readFacts(dir, &facts); err != nil {
			return err
		}
		row.values["train_tokens_per_s"] = lab.Measure{Value: float64(facts.Tokens) / facts.Seconds}
	}
	if paper, ok := w.run.plan.Scenario.Paper[s.Name]; ok {
		row.values["paper"] = lab.Measure{Value: paper}
	}
	if err := w.quality(ctx, row); err != nil {
		return fmt.Errorf("evaluate: %w", err)
	}
	if err := w.serve(ctx, row); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	if w.base == nil && s.Name == w.run.plan.Scenario.Baseline {
		w.base = row
		for _, e := range w.early {
			if err := w.report(e); err != nil {
				return err
			}
		}
		w.early = nil
	}
	if w.base == nil {
		w.early = append(w.early, row)
	}
	return w.report(row)
}

// report emits a row, with deltas once the baseline is known.
func (w *worker) report(row *measured) error {
	if w.base != nil {
		if err := w.compare(row); err != nil {
			return err
		}
	}
	w.run.emit(lab.Event{Kind: lab.KindRow, Cell: w.cell.ID, Row: row.name, Values: row.values, Text: row.key})
	return nil
}

func (w *worker) sizes(row *measured) error {
	config, err := checkpoint.ReadConfig(row.model.folder, ".")
	if err != nil {
		return err
	}
	bytes, err := checkpoint.StoredBytes(row.model.folder, ".")
	if err != nil {
		return err
	}
	row.values["params"] = lab.Measure{Value: float64(config.Parameters())}
	row.values["bytes"] = lab.Measure{Value: float64(bytes)}
	mlp, heads := widths(config)
	fullMLP, fullHeads := widths(row.model.origin)
	row.values["mlp_kept"] = lab.Measure{Value: mlp / fullMLP}
	row.values["heads_kept"] = lab.Measure{Value: heads / fullHeads}
	return nil
}

// widths sums a model's neurons and KV heads over its layers.
func widths(c model.Config) (mlp, heads float64) {
	for _, l := range c.Layers {
		mlp += float64(l.MLP)
		heads += float64(l.KVHeads)
	}
	return mlp, heads
}

// evaluation is the artifact of measuring a model's quality.
type evaluation struct {
	Scores []float64 `json:"scores,omitempty"`
	Loss   float64   `json:"loss,omitempty"`
	Tokens int       `json:"tokens,omitempty"`
}

// quality evaluates a model on the task, or finds the evaluation of an earlier run.
func (w *worker) quality(ctx context.Context, row *measured) error {
	validation := w.data.recsys == nil || w.wants("loss", "loss_delta")
	settings := w.cell.Point.Evaluate
	key := store.Key("evaluate", evaluateVersion, row.key, w.data.key, fmt.Sprint(settings.Validation, validation))
	dir, _, err := w.run.artifact(key, "evaluate "+row.name, func(dir string) error {
		w.progress(0, 0, "evaluate")
		m, err := row.model.load()
		if err != nil {
			return err
		}
		w.run.quiet.RLock()
		defer w.run.quiet.RUnlock()
		var e evaluation
		if w.data.recsys != nil {
			if e.Scores, err = rank(ctx, m, w.data.recsys); err != nil {
				return err
			}
		}
		if validation {
			if e.Loss, e.Tokens, err = kd.Loss(m, w.data.validation(settings.Validation)); err != nil {
				return err
			}
		}
		return writeFacts(dir, e)
	})
	if err != nil {
		return err
	}
	var e evaluation
	if err := readFacts(dir, &e); err != nil {
		return err
	}
	if validation {
		row.values["loss"] = lab.Measure{Value: e.Loss, N: e.Tokens}
	}
	if err := w.agreement(row); err != nil {
		return err
	}
	return w.ranking(row, e.Scores)
}

// rank scores the task's test prompts on an engine.
func rank(ctx context.Context, m *model.Model, r *task.Recsys) ([]float64, error) {
	e, err := serve.New(m, serve.Defaults())
	if err != nil {
		return nil, err
	}
	defer e.Close()
	scores, err := r.Evaluate(ctx, e)
	if err != nil {
		return nil, err
	}
	return scores.Score, nil
}

// ranking turns test scores into AUCs.
func (w *worker) ranking(row *measured, score []float64) error {
	if w.data.recsys == nil {
		return nil
	}
	scores, err := w.data.recsys.NewScores(score)
	if err != nil {
		return err
	}
	row.scores = scores
	summary, err := scores.Summary()
	if err != nil {
		return err
	}
	row.values["auc"] = summary.Hard
	row.values["auc_soft"] = summary.Soft
	row.values["auc_ceiling"] = lab.Measure{Value: summary.CeilingSoft.Value}
	if summary.HeldOutSoft.N > 0 {
		row.values["auc_heldout"] = summary.HeldOutSoft
	}
	return nil
}

// agreement compares the model's top choices with the baseline's.
func (w *worker) agreement(row *measured) error {
	if w.base == nil || !w.wants("agreement") {
		return nil
	}
	key := store.Key("agreement", evaluateVersion, w.base.key, row.key, w.data.key, fmt.Sprint(w.cell.Point.Evaluate.Validation))
	dir, _, err := w.run.artifact(key, "agreement of "+row.name, func(dir string) error {
		base, err := w.base.model.load()
		if err != nil {
			return err
		}
		m, err := row.model.load()
		if err != nil {
			return err
		}
		f, err := kd.Agreement(base, m, w.data.validation(w.cell.Point.Evaluate.Validation))
		if err != nil {
			return err
		}
		return writeFacts(dir, f)
	})
	if err != nil {
		return err
	}
	var f kd.Fidelity
	if err := readFacts(dir, &f); err != nil {
		return err
	}
	row.values["agreement"] = lab.Measure{Value: f.Top1, N: f.Tokens}
	return nil
}

// compare adds what a row's figures are beside the baseline's.
func (w *worker) compare(row *measured) error {
	ratio := func(key, of string, f func(x, base float64) float64) {
		x, ok := row.values[of]
		base, has := w.base.values[of]
		if ok && has && base.Value != 0 {
			row.values[key] = lab.Measure{Value: f(x.Value, base.Value)}
		}
	}
	ratio("smaller", "bytes", func(x, base float64) float64 { return base / x })
	ratio("params_kept", "params", func(x, base float64) float64 { return x / base })
	ratio("loss_delta", "loss", func(x, base float64) float64 { return x/base - 1 })
	if row.scores == nil || w.base.scores == nil {
		return nil
	}
	c, err := task.Compare(row.scores, w.base.scores)
	if err != nil {
		return err
	}
	row.values["auc_delta"], row.values["auc_soft_delta"] = c.HardRelative, c.SoftRelative
	return nil
}

// serving is the artifact of putting a model under the ranking workload on one machine.
type serving struct {
	Cold     []float64 `json:"cold"` // seconds
	Hot      []float64 `json:"hot"`
	Tokens   int       `json:"tokens"`
	Cached   int       `json:"cached"`
	Seconds  float64   `json:"seconds"`
	Requests int       `json:"requests"`
	Run      string    `json:"run"`
}

// serve measures latency and throughput while nothing else of the run computes.
func (w *worker) serve(ctx context.Context, row *measured) error {
	settings := w.cell.Point.Serve
	if settings == nil {
		return nil
	}
	if w.data.recsys == nil {
		return errors.New("the ranking workload needs a recsys task")
	}
	key := store.Key("serve", serveVersion, w.run.lab.Version, Machine(), row.key, w.data.key, fmt.Sprint(*settings))
	dir, made, err := w.run.artifact(key, "serve "+row.name, func(dir string) error {
		w.progress(0, 0, "serve")
		m, err := row.model.load()
		if err != nil {
			return err
		}
		e, err := serve.New(m, serve.Defaults())
		if err != nil {
			return err
		}
		defer e.Close()
		workload := load.Ranking{Members: w.data.recsys.ServeGroups(settings.Members, settings.Candidates, 0), Labels: w.data.recsys.Labels()}
		w.run.quiet.Lock()
		defer w.run.quiet.Unlock()
		report, err := workload.Run(ctx, e)
		if err != nil {
			return err
		}
		return writeFacts(dir, serving{
			Cold: seconds(report.Cold), Hot: seconds(report.Hot),
			Tokens: report.Tokens, Cached: report.Cached, Seconds: report.Wall.Seconds(), Requests: report.Requests, Run: w.run.ID,
		})
	})
	if err != nil {
		return err
	}
	var s serving
	if err := readFacts(dir, &s); err != nil {
		return err
	}
	doubt := ""
	if !made {
		doubt = "timing of run " + s.Run
	}
	latency := func(name string, samples []float64) {
		if len(samples) == 0 {
			return
		}
		p99 := doubt
		if len(samples) < 100 {
			p99 = fmt.Sprintf("P99 of %d samples", len(samples))
		}
		row.values[name+"_p50"] = lab.Measure{Value: stat.Percentile(samples, 50), N: len(samples), Doubt: doubt}
		row.values[name+"_p99"] = lab.Measure{Value: stat.Percentile(samples, 99), N: len(samples), Doubt: p99}
	}
	latency("ttft_cold", s.Cold)
	latency("ttft_hot", s.Hot)
	row.values["tokens_per_s"] = lab.Measure{Value: float64(s.Tokens) / s.Seconds, N: s.Requests, Doubt: doubt}
	row.values["cached"] = lab.Measure{Value: float64(s.Cached) / float64(s.Tokens)}
	return nil
}

func seconds(durations []time.Duration) []float64 {
	out := make([]float64, len(durations))
	for i, d := range durations {
		out[i] = d.Seconds()
	}
	return out
}
