package run

import (
	"context"
	"errors"
	"fmt"
	"math"

	"slimlab/internal/plural"
	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/abtest"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/model"
)

// AB compares the quality of the answers of two models by a test that may be looked at after every
// prompt. It makes no model.
type AB struct {
	A       string      `key:"a" ref:"weights" required:"true" doc:"the model in use: an earlier step or a loaded model"`
	B       string      `key:"b" ref:"weights" required:"true" doc:"the model that may replace it"`
	Quality string      `key:"quality" default:"exact" one:"exact|f1" doc:"what is compared, as in the columns exact and f1; f1 is of task jsonl"`
	Prompts int         `key:"prompts" default:"0" min:"0" max:"1000000" doc:"the first so many test problems of task reasoning, or records of task jsonl: of its test set, or of the validation set where it has none; 0 is all"`
	Tokens  int         `key:"tokens" default:"0" min:"0" max:"131072" doc:"tokens of an answer, at most; 0 is the longest right answer's"`
	Split   string      `json:",omitempty" key:"split" default:"" amount:"true" doc:"share of the prompts that goes to b, such as 1%: each is asked of one arm; default: each is asked of both, and answers are compared in pairs"`
	Level   float64     `key:"level" default:"0.05" above:"0" below:"1" doc:"probability with which the row's interval misses at any time, at most"`
	Margin  string      `json:",omitempty" key:"margin" default:"" amount:"true" doc:"change that does not matter, a share of a's quality such as 2%: better is beyond it, and equal within; default: none"`
	Paper   abPublished `json:"-" key:"paper" doc:"what was published for the same"`
}

// abPublished stands beside what is measured; 0 is none.
type abPublished struct {
	Change float64 `key:"change" default:"0" min:"-1" doc:"relative change of the quality: 0.2 is a fifth more"`
}

// abStage is the stage of one arm's answers; raise abVersion when the code that answers and judges
// gives others.
const (
	abStage   = "arm"
	abVersion = 1
)

// abArm is the artifact of having an arm answer prompts: the quality of each answer.
type abArm struct {
	Exact []bool    `json:"exact"`
	F1    []float64 `json:"f1,omitempty"`
}

// Describe says what the step does.
func (s *AB) Describe(string) string {
	if s.Split == "" {
		return fmt.Sprintf("compare the answers of %s and %s in pairs, by %s", s.A, s.B, s.Quality)
	}
	return fmt.Sprintf("compare the answers of %s and %s by %s, with %s of the prompts for %s", s.A, s.B, s.Quality, s.Split, s.B)
}

// CheckTask implements scenario.TaskChecker.
func (s *AB) CheckTask(kind string, bad func(key, format string, args ...any)) {
	switch {
	case kind == "":
		bad("a", "has no prompts to answer: the scenario needs a task, reasoning or jsonl")
	case kind != "reasoning" && kind != "jsonl":
		bad("a", "writes no answers that are checked in task %s: expected task reasoning or jsonl", kind)
	case kind == "reasoning" && s.Quality == "f1":
		bad("quality", "is f1, and an answer of task reasoning is right or wrong: expected exact")
	}
}

// Check implements scenario.Checker.
func (s *AB) Check(given func(key string) bool, bad func(key, with, format string, args ...any)) {
	if s.A == s.B {
		bad("b", "a", "is %s, as a is: expected another model", s.B)
	}
	for key, text := range map[string]string{"split": s.Split, "margin": s.Margin} {
		if !given(key) {
			continue
		}
		if _, err := parseShare(text); err != nil {
			bad(key, "", "is %q: expected a share above 0 and below 1 such as 1%% or 0.01", text)
		}
	}
}

// settings are those of the test.
func (s *AB) settings(seed int) (abtest.Settings, error) {
	of := abtest.Settings{Level: s.Level, Seed: uint64(seed)}
	var errs [2]error
	if s.Split != "" {
		of.Split, errs[0] = parseShare(s.Split)
	}
	if s.Margin != "" {
		of.Margin, errs[1] = parseShare(s.Margin)
	}
	return of, errors.Join(errs[:]...)
}

// unmeasured says why a metric is not one of this step's row.
func (s *AB) unmeasured(m lab.Metric) string {
	switch {
	case m.Section != lab.ABTest:
		return "the step makes no model: it compares two"
	case m.Key == "paper_change" && s.Paper.Change == 0:
		return "the step has no such figure in its key paper"
	}
	return ""
}

// plan finds the arms and what they are asked.
func (s *AB) plan(ctx context.Context, w *worker, step scenario.Step) (job, error) {
	settings, err := s.settings(w.cell.Seed)
	if err != nil {
		return job{}, err
	}
	ask, err := s.asking(w)
	if err != nil {
		return job{}, err
	}
	var arms [2]*measured
	var tables []recipe.Recipe
	for i, name := range []string{s.A, s.B} {
		if arms[i], err = w.arm(name); err != nil {
			return job{}, keyError{[]string{"a", "b"}[i], err}
		}
		tables = append(tables, ask.recipe(w, arms[i]))
	}
	return job{tables: tables, figures: func() (map[string]lab.Measure, error) { return s.figures(ctx, w, step, ask, arms, settings) }}, nil
}

// arm is a model as its own row is measured, with the step's KV cache.
func (w *worker) arm(name string) (*measured, error) {
	m, err := w.weights(name)
	if err != nil {
		return nil, fmt.Errorf("is %s: %w", name, err)
	}
	row := &measured{name: name, key: m.key, model: m, kv: kernels.KVBFloat16}
	if step, ok := w.cell.Point.Step(name); ok {
		if q, quantizes := step.Work.(*Quantize); quantizes {
			row.kv, err = q.kv(m.shape)
		}
	}
	return row, err
}

// asking is what both arms are asked.
type asking struct {
	prompts, tokens int
	records         *openQuestions // of task jsonl
}

// asking opens the prompts.
func (s *AB) asking(w *worker) (*asking, error) {
	ask := &asking{prompts: s.Prompts, tokens: s.Tokens}
	there, what := 0, "test problems"
	if r := w.data.reasoning; r != nil {
		there = w.cell.Point.Task.Reasoning.Problems
		if ask.tokens == 0 {
			ask.tokens = r.LongestAnswer()
		}
	} else {
		if w.data.texts {
			return nil, keyError{"a", fmt.Errorf("has no prompts to answer: the records of %s are texts without prompts, expected records with a prompt and a response", w.cell.Point.Task.JSONL.Path)}
		}
		q, cut := w.data.openQuestions(s.Prompts)
		switch {
		case len(q.prompts) == 0:
			return nil, keyError{"prompts", fmt.Errorf("finds no record that is whole: the %s were all cut to max_tokens %d, expected a larger max_tokens of the task", q.unit, w.data.cut)}
		case cut > 0:
			w.run.noteOnce(lab.Info, fmt.Sprintf("ab: answers to %d %s are compared: %d more were cut to max_tokens and have no whole response", len(q.prompts), q.unit, cut))
		}
		ask.records, there, what = q, len(q.prompts), "whole "+q.unit
		if ask.tokens > 0 {
			q.longest = ask.tokens
		}
	}
	if ask.prompts == 0 {
		ask.prompts = there
	}
	if there < ask.prompts {
		return nil, keyError{"prompts", fmt.Errorf("is %d, and there are %d %s: expected at most as many, or 0 for all", ask.prompts, there, what)}
	}
	return ask, nil
}

// recipe is all that decides the answers of an arm.
func (ask *asking) recipe(w *worker, arm *measured) recipe.Recipe {
	of := w.data.recipe(abStage, abVersion)
	of.Task = w.data.test
	arm.describe(of, "model")
	of.Parameters["prompts"], of.Parameters["tokens"] = ask.prompts, ask.tokens
	return of
}

// answer has an arm answer the prompts, or finds its answers of another step or run.
func (ask *asking) answer(ctx context.Context, w *worker, arm *measured) (*abArm, error) {
	a, err := w.run.artifact(ctx, ask.recipe(w, arm), "answers of arm "+arm.name, func(dir string) error {
		w.progress(0, 0, "answers of "+arm.name)
		return w.run.compute(func() error {
			m, err := arm.load(ctx)
			if err != nil {
				return err
			}
			of, err := ask.judge(ctx, w.data, m)
			if err != nil {
				return err
			}
			return writeFacts(dir, of)
		})
	})
	if err != nil {
		return nil, err
	}
	defer a.release()
	of := &abArm{}
	return of, readFacts(a.dir, of)
}

// judge generates the answers of a model, greedily, and judges them.
func (ask *asking) judge(ctx context.Context, d *dataset, m *model.Model) (*abArm, error) {
	of := &abArm{}
	if ask.records == nil {
		verdicts, err := d.judge(ctx, m, ask.prompts, ask.tokens)
		for _, v := range verdicts {
			of.Exact = append(of.Exact, v.Right)
		}
		return of, err
	}
	matches, err := d.match(ctx, m, ask.records)
	for _, match := range matches {
		of.Exact, of.F1 = append(of.Exact, match.Exact), append(of.F1, match.F1)
	}
	return of, err
}

// values are the qualities of the answers, from 0 to 1.
func (of *abArm) values(quality string) []float64 {
	if quality == "f1" {
		return of.F1
	}
	values := make([]float64, len(of.Exact))
	for i, right := range of.Exact {
		if right {
			values[i] = 1
		}
	}
	return values
}

// figures compares the answers of both arms.
func (s *AB) figures(ctx context.Context, w *worker, step scenario.Step, ask *asking, arms [2]*measured, settings abtest.Settings) (map[string]lab.Measure, error) {
	var of [2][]float64
	for i, arm := range arms {
		answers, err := ask.answer(ctx, w, arm)
		if err != nil {
			return nil, err
		}
		of[i] = answers.values(s.Quality)
	}
	var judged *abtest.Judged
	if err := w.run.compute(func() (err error) {
		judged, err = abtest.Judge(settings, of[0], of[1])
		return err
	}); err != nil {
		return nil, err
	}
	w.run.note(w.cell.ID, lab.Info, step.Name+": "+s.verdict(judged))
	return s.measures(judged), nil
}

// verdict says in words what is decided.
func (s *AB) verdict(j *abtest.Judged) string {
	text := fmt.Sprintf("%s beside %s: %s", s.B, s.A, j.Verdict)
	if j.Decided > 0 {
		text += fmt.Sprintf(", decided at %d of %s", j.Decided, plural.Of(j.Prompts, "prompt"))
	} else {
		text += fmt.Sprintf(" in %s", plural.Of(j.Prompts, "prompt"))
	}
	if s.Split != "" {
		text += fmt.Sprintf(", of which %s went to %s", plural.Of(j.N[1], "prompt"), s.B)
	}
	return text
}

// measures are the row's values. What is not known has none.
func (s *AB) measures(j *abtest.Judged) map[string]lab.Measure {
	values := map[string]lab.Measure{"ab_prompts": {Value: float64(j.Prompts)}}
	for i, key := range []string{"ab_quality_a", "ab_quality_b"} {
		if j.N[i] > 0 {
			values[key] = lab.Measure{Value: j.Mean[i], N: j.N[i]}
		}
	}
	if c := j.Change; !math.IsNaN(c.Value) {
		m := lab.Measure{Value: c.Value, N: c.N, Warning: j.Warning}
		if c.Bounded() {
			m.Low, m.High = c.Low, c.High
		}
		if j.Decided == 0 && m.Warning == "" {
			m.Warning = string(abtest.Undecided)
		}
		values["ab_change"] = m
		// the bounds by themselves too: they lie at unequal distances, which ± does not write
		for key, bound := range map[string]float64{"ab_low": c.Low, "ab_high": c.High} {
			if !math.IsInf(bound, 0) {
				values[key] = lab.Measure{Value: bound, N: c.N}
			}
		}
	}
	if j.Decided > 0 {
		values["ab_decided"] = lab.Measure{Value: float64(j.Decided), Warning: unlessBetter(j.Verdict)}
	}
	if s.Paper.Change != 0 {
		values["paper_change"] = lab.Measure{Value: s.Paper.Change}
	}
	return values
}

// unlessBetter is the footnote of a decision that is not for B.
func unlessBetter(v abtest.Verdict) string {
	if v == abtest.Better {
		return ""
	}
	return "the verdict on B is: " + string(v)
}
