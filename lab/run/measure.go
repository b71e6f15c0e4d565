package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/report"
	"slimlab/lab/scenario"
	"slimlab/lab/task"
	"slimlab/model"
	"slimlab/model/checkpoint"
)

// measured is a row that is being measured.
type measured struct {
	name   string
	key    string // of the model's artifact
	model  *artifactModel
	kv     kernels.KVFormat // of the KV cache that the model is measured with
	values map[string]lab.Measure
	scores *task.Scores // nil for tasks other than recsys
	// scores of prompts with one of two answers; nil for tasks that have none
	answered []float64
	chose    []bool         // of questions, which are answered right; nil where none are asked
	verdicts []task.Verdict // on the answers to problems; nil for tasks that have none
	kept     *kept          // the accuracy, where no relative difference says it
	// what the units of the test set do to a value, by metric key
	influence map[string]lab.Influence
	// how the row's timings were taken
	timings []lab.Timing
	teacher *artifactModel // that the step distils from; nil: it is no distillation
	taught  *teaching      // of a distillation
	chosen  string         // by a search of the step; "" where there was none
	tokens  string         // the artifact of what the row's model says of a few answers
}

// load is the row's model, which attends to what its KV cache keeps.
func (row *measured) load(ctx context.Context) (*model.Model, error) {
	m, err := row.model.load(ctx)
	if err != nil || row.kv == kernels.KVBFloat16 {
		return m, err
	}
	return m.WithKV(row.kv)
}

// describe names the row's model in the recipe of a measurement, as role.
func (row *measured) describe(of recipe.Recipe, role string) {
	of.Inputs[role] = row.key
	if kv := row.kvName(); kv != "" {
		of.Parameters["kv of "+role] = kv
	}
}

// kvName names the row's KV cache; "" for the usual one.
func (row *measured) kvName() string {
	if row.kv == kernels.KVBFloat16 {
		return ""
	}
	return row.kv.String()
}

// is reports whether two rows are the same model with the same KV cache.
func (row *measured) is(other *measured) bool { return row.key == other.key && row.kv == other.kv }

// measure fills a row: sizes, quality, latency, and their differences from the baseline's.
func (w *worker) measure(ctx context.Context, s scenario.Step, j job, dir string) error {
	row := &measured{name: s.Name, key: j.model.key, model: j.model, kv: j.kv, values: map[string]lab.Measure{}, influence: map[string]lab.Influence{}}
	if err := w.sizes(row); err != nil {
		return err
	}
	if j.measures != nil {
		if err := j.measures(dir, row); err != nil {
			return err
		}
	}
	if paper, ok := w.run.plan.Scenario.Paper[s.Name]; ok {
		row.values["paper"] = lab.Measure{Value: paper}
	}
	if err := w.quality(ctx, row); err != nil {
		return fmt.Errorf("evaluate: %w", err)
	}
	if err := w.choices(ctx, row); err != nil {
		return fmt.Errorf("evaluate: choice: %w", err)
	}
	if err := w.answers(ctx, row); err != nil {
		return fmt.Errorf("evaluate: answers: %w", err)
	}
	if err := w.serve(ctx, row); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	if d, ok := s.Work.(*Distil); ok {
		teacher, err := d.teaching(ctx, w)
		if err != nil {
			return err
		}
		row.taught = teacher
		if row.teacher = teacher.single(); row.teacher == nil && w.cell.Point.Evaluate.Tokens > 0 {
			w.run.noteOnce(lab.Info, fmt.Sprintf("%s: its teacher, %s, is not one model in memory of the same tokens: its tokens are compared with those of %s", s.Name, teacher.name(), w.run.plan.Scenario.Baseline))
		}
	}
	if w.base == nil && s.Name == w.run.plan.Scenario.Baseline {
		w.base = row
		if doubt := task.Doubt(row.values["loss"].Value, row.model.shape.Vocab); doubt != "" {
			w.run.noteOnce(lab.Warning, s.Name+": "+doubt)
		}
		for _, e := range w.pending {
			if err := w.report(ctx, e); err != nil {
				return err
			}
		}
		w.pending = nil
	}
	if w.base == nil {
		w.pending = append(w.pending, row)
	}
	return w.report(ctx, row)
}

// report emits a row, with deltas once the baseline is known.
func (w *worker) report(ctx context.Context, row *measured) error {
	if w.base != nil {
		if err := w.agreement(ctx, row); err != nil {
			return fmt.Errorf("evaluate: %w", err)
		}
		if err := w.run.compute(func() error { return errors.Join(w.compare(row), w.flips(row), w.choiceFlips(ctx, row)) }); err != nil {
			return fmt.Errorf("evaluate: %w", err)
		}
		w.judgeFlips(row)
	}
	if err := w.tokenView(ctx, row); err != nil {
		return fmt.Errorf("evaluate: %w", err)
	}
	if w.reported == nil {
		w.reported = map[string]map[string]lab.Measure{}
	}
	w.reported[row.name] = row.values
	w.run.emit(lab.Event{Kind: lab.KindRow, Tokens: row.tokens, Chosen: row.chosen, Cell: w.cell.ID, Row: row.name, Values: row.values, Key: row.key, KV: row.kvName(), Machine: w.run.machine, Timings: row.timings, Test: w.data.testKey(w.cell.Point.Evaluate.Validation), Influence: maps.Clone(row.influence)})
	return nil
}

func (w *worker) sizes(row *measured) error {
	c, err := row.model.open()
	if err != nil {
		return err
	}
	defer c.Close()
	config := c.Config()
	row.values["params"] = lab.Measure{Value: float64(config.Parameters())}
	row.values["bytes"] = lab.Measure{Value: float64(c.Bytes()), Warning: wideNote(float64(c.Bytes()), float64(config.Parameters()))}
	row.values["effective_bits"] = lab.Measure{Value: effectiveBits(c)}
	mlp, heads := widths(config)
	fullMLP, fullHeads := widths(row.model.origin)
	row.values["mlp_kept"] = lab.Measure{Value: mlp / fullMLP}
	if slices.ContainsFunc(w.cell.Point.Steps, namesKV) {
		row.values["kv_bytes_per_token"] = lab.Measure{Value: float64(model.PositionBytes(config, row.kv))}
	}
	row.values["heads_kept"] = lab.Measure{Value: heads / fullHeads}
	return nil
}

// wider is the share above 2 bytes a parameter from which a footnote says that a model is stored
// wider: the padding of a tensor is not.
const wider = 0.01

// plainBytes is what the row's model takes where no parameter has more than the 2 bytes of
// bfloat16: a model that was stored in float32 has not become smaller by another float format.
func (row *measured) plainBytes() float64 {
	return min(row.values["bytes"].Value, 2*row.values["params"].Value)
}

// wideNote is the footnote of a model whose parameters are stored in more than 2 bytes; "" for
// others.
func wideNote(bytes, params float64) string {
	if bytes <= 2*params*(1+wider) {
		return ""
	}
	return fmt.Sprintf("stored in %.3g bytes a parameter, and counted in smaller by its %s in bfloat16", bytes/params, report.Format(lab.Bytes, 2*params))
}

// effectiveBits is what a weight of the blocks' linear layers takes as it is stored, with its share
// of scales, zero points and orders; biases are left out.
func effectiveBits(c *checkpoint.Checkpoint) float64 {
	linear := map[string]bool{}
	for _, l := range c.Quantization() {
		linear[l.Layer] = strings.Contains(l.Layer, ".layers.")
	}
	var bytes, weights int64
	for _, t := range c.Tensors() {
		if at := strings.LastIndex(t.Name, "."); at > 0 && linear[t.Name[:at]] && t.Name[at:] != ".bias" {
			bytes += t.Bytes()
		}
	}
	config := c.Config()
	for _, l := range config.Layers {
		q, kv := l.Heads*config.HeadDim, l.KVHeads*config.HeadDim
		weights += int64(config.Hidden) * int64(2*q+2*kv+3*l.MLP)
	}
	return 8 * float64(bytes) / float64(weights)
}

// widths sums a model's neurons and KV heads over its layers.
func widths(c model.Config) (mlp, heads float64) {
	for _, l := range c.Layers {
		mlp += float64(l.MLP)
		heads += float64(l.KVHeads)
	}
	return mlp, heads
}

// compare adds what a row's figures are beside the baseline's.
func (w *worker) compare(row *measured) error {
	ratio := func(key, of string, f func(x, base float64) float64) {
		x, ok := row.values[of]
		base, has := w.base.values[of]
		if ok && has && base.Value != 0 {
			row.values[key] = lab.Measure{Value: f(x.Value, base.Value), N: x.N}
		}
	}
	if base := w.base.plainBytes(); base > 0 {
		row.values["smaller"] = lab.Measure{Value: base / row.plainBytes(), Warning: row.values["bytes"].Warning}
	}
	ratio("params_kept", "params", func(x, base float64) float64 { return x / base })
	ratio("loss_delta", "loss", func(x, base float64) float64 { return x/base - 1 })
	row.relate("loss_delta", "loss", w.base)
	if !row.is(w.base) {
		row.interval("loss_delta")
	}
	if err := w.compareAnswers(row); err != nil {
		return err
	}
	if row.scores == nil || w.base.scores == nil {
		return nil
	}
	c, err := task.Compare(row.scores, w.base.scores)
	if err != nil {
		return err
	}
	row.values["auc_delta"], row.values["auc_soft_delta"] = c.HardRelative, c.SoftRelative
	row.relate("auc_delta", "auc", w.base)
	row.relate("auc_soft_delta", "auc_soft", w.base)
	return nil
}
