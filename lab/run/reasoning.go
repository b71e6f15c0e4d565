package run

import (
	"context"
	"fmt"

	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/task"
	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/host"
)

// judge generates an answer to each of the first n test problems, greedily and of at most so many
// tokens, and judges them.
func (d *dataset) judge(ctx context.Context, m *model.Model, n, tokens int) ([]task.Verdict, error) {
	e, err := host.NewEngine(m, host.Options{}, serve.Defaults())
	if err != nil {
		return nil, err
	}
	defer e.Close()
	prompts := d.reasoning.TestPrompts()[:n]
	requests := make([]serve.Request, len(prompts))
	for i, prompt := range prompts {
		requests[i] = serve.Request{Prompt: prompt, MaxTokens: min(tokens, m.MaxPositions-len(prompt)), Stop: []int32{d.eos}}
	}
	results, err := e.DoAll(ctx, requests)
	if err != nil {
		return nil, fmt.Errorf("reasoning: generate: %w", err)
	}
	verdicts := make([]task.Verdict, len(results))
	for i, result := range results {
		verdicts[i] = d.reasoning.Judge(i, d.tokenizer.Decode(result.Tokens), result.Finish == serve.FinishStop)
	}
	return verdicts, nil
}

// reasoned turns verdicts on the test problems into figures.
func (w *worker) reasoned(row *measured, verdicts []task.Verdict) error {
	summary, err := w.data.reasoning.Summary(verdicts)
	if err != nil {
		return err
	}
	floor, tokens := w.data.reasoning.Floor(w.cell.Point.Evaluate.Validation)
	row.values["loss_floor"] = lab.Measure{Value: floor, N: tokens}
	row.values["exact"], row.values["ended"] = summary.Exact, summary.Ended
	test := w.data.problemsTest()
	row.influence["exact"] = lab.NewInfluence(test, "problems", shareInfluence(verdicts, summary.Exact.Value, func(v task.Verdict) bool { return v.Right }))
	row.influence["ended"] = lab.NewInfluence(test, "problems", shareInfluence(verdicts, summary.Ended.Value, func(v task.Verdict) bool { return v.Ended }))
	return nil
}

// shareInfluence is that of each verdict on the share of those for which is holds.
func shareInfluence(verdicts []task.Verdict, share float64, is func(task.Verdict) bool) []float64 {
	of := make([]float64, len(verdicts))
	for i, v := range verdicts {
		of[i] = -share / float64(len(verdicts))
		if is(v) {
			of[i] += 1 / float64(len(verdicts))
		}
	}
	return of
}

// problemsTest names the test problems.
func (d *dataset) problemsTest() string {
	return recipe.Recipe{Stage: "problems test", Task: d.test}.Key()
}
