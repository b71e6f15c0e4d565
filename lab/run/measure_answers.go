package run

import (
	"context"
	"fmt"
	"slices"

	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/task"
	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/host"
)

// answerMetrics are of answers that a model writes to the prompts of records.
var answerMetrics = []string{"exact", "f1"}

// matchVersion is that of having a model answer prompts, and of comparing with the responses.
const matchVersion = 1

// matched is the artifact of having a model answer the prompts of records.
type matched struct {
	Matches []task.Match `json:"matches"`
}

// openQuestions are prompts of records with the answers that their responses are.
type openQuestions struct {
	prompts [][]int32
	answers []string
	longest int    // tokens of an answer
	unit    string // "test records"
}

// openQuestions takes the first records of the test set, or of the validation set where there is
// none; nil where the scenario asks for no answers. Records that were cut have no whole response
// and are left out.
func (w *worker) openQuestions() (*openQuestions, error) {
	n := w.cell.Point.Evaluate.Answers
	if n == 0 {
		return nil, nil
	}
	at := w.run.plan.Scenario.At("evaluate", "answers")
	if w.data.texts {
		return nil, fmt.Errorf("%s: evaluate's answers is %d, and the records of %s are texts without prompts: expected records with a prompt and a response, or leave it out", at, n, w.cell.Point.Task.JSONL.Path)
	}
	q, cut := w.data.openQuestions(n)
	if len(q.prompts) == 0 {
		return nil, fmt.Errorf("%s: evaluate's answers is %d, and the %s were all cut to max_tokens %d, so that no response is whole: expected a larger max_tokens of the task", at, n, q.unit, w.data.cut)
	}
	if cut > 0 {
		w.run.noteOnce(lab.Info, fmt.Sprintf("exact and F1 are of %d %s: %d more were cut to max_tokens and have no whole response", len(q.prompts), q.unit, cut))
	}
	return q, nil
}

// openQuestions takes the first n records, 0 for all, and says how many were cut.
func (d *dataset) openQuestions(n int) (q *openQuestions, cut int) {
	q = &openQuestions{unit: "test records"}
	examples := d.testExamples
	if len(examples) == 0 {
		examples, q.unit = d.Validation(0), "validation records"
	}
	if n > 0 {
		examples = examples[:min(n, len(examples))]
	}
	for _, e := range examples {
		prompt, answer := e.Turn()
		if len(e.Tokens) >= d.cut && answer[len(answer)-1] != d.eos {
			cut++
			continue
		}
		q.prompts, q.answers = append(q.prompts, prompt), append(q.answers, d.said(answer))
		q.longest = max(q.longest, len(answer))
	}
	return q, cut
}

// said is the text of an answer's tokens up to the first special one, which ends it.
func (d *dataset) said(answer []int32) string {
	if end := slices.IndexFunc(answer, func(id int32) bool { return id == d.eos || d.tokenizer.Special(id) }); end >= 0 {
		answer = answer[:end]
	}
	return d.tokenizer.Decode(answer)
}

// answers has a row's model answer the prompts of records, or finds what it answered in an earlier
// run.
func (w *worker) answers(ctx context.Context, row *measured) error {
	q, err := w.openQuestions()
	if err != nil || q == nil || !w.run.plan.Scenario.Asks(answerMetrics...) {
		return err
	}
	a, err := w.run.artifact(ctx, w.answersRecipe(row), "answers of "+row.name, func(dir string) error {
		w.progress(0, 0, "answers")
		return w.run.compute(func() error {
			m, err := row.load(ctx)
			if err != nil {
				return err
			}
			matches, err := w.data.match(ctx, m, q)
			if err != nil {
				return err
			}
			return writeFacts(dir, matched{matches})
		})
	})
	if err != nil {
		return err
	}
	defer a.release()
	var of matched
	if err := readFacts(a.dir, &of); err != nil {
		return err
	}
	f, test := task.Matches(of.Matches, q.unit), w.answersTest()
	row.values["exact"], row.influence["exact"] = f.Exact.Measure, lab.NewInfluence(test, "records", f.Exact.Influence)
	row.values["f1"], row.influence["f1"] = f.F1.Measure, lab.NewInfluence(test, "records", f.F1.Influence)
	return nil
}

// match generates an answer to each prompt, greedily and at most as long as the longest response,
// and compares it with the response.
func (d *dataset) match(ctx context.Context, m *model.Model, q *openQuestions) ([]task.Match, error) {
	e, err := host.NewEngine(m, host.Options{}, serve.Defaults())
	if err != nil {
		return nil, err
	}
	defer e.Close()
	requests := make([]serve.Request, len(q.prompts))
	for i, prompt := range q.prompts {
		requests[i] = serve.Request{Prompt: prompt, MaxTokens: min(q.longest, m.MaxPositions-len(prompt))}
		if d.eos >= 0 {
			requests[i].Stop = []int32{d.eos}
		}
	}
	results, err := e.DoAll(ctx, requests)
	if err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	matches := make([]task.Match, len(results))
	for i, result := range results {
		matches[i] = task.NewMatch(d.said(result.Tokens), q.answers[i])
	}
	return matches, nil
}

// answersTest names the records that are answered.
func (w *worker) answersTest() string {
	return recipe.Recipe{Stage: "answers test", Task: w.data.test, Parameters: recipe.Values{"answers": w.cell.Point.Evaluate.Answers}}.Key()
}

// answersRecipe is all that decides how a row's answers agree with the responses.
func (w *worker) answersRecipe(row *measured) recipe.Recipe {
	of := w.data.recipe("answers", matchVersion)
	of.Task = w.data.test
	row.describe(of, "model")
	of.Parameters["answers"] = w.cell.Point.Evaluate.Answers
	return of
}
