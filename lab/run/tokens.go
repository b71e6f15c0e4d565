package run

import (
	"context"
	"fmt"
	"strings"

	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/tokenview"
	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/host"
)

// Bounds of what is kept of an example.
const (
	tokensTop    = 10  // likeliest tokens of each model
	tokensLength = 256 // answer tokens
)

// tokenView keeps what a row's model says at each answer token of a few validation examples, beside
// its teacher, or the baseline where the step distils from none. What cannot be compared is noted,
// and loses no row.
func (w *worker) tokenView(ctx context.Context, row *measured) error {
	n := int(w.cell.Point.Evaluate.Tokens)
	teacher := row.teacher
	if teacher == nil && w.base != nil && w.base != row {
		teacher = w.base.model
	}
	if n == 0 || teacher == nil || row.tokens != "" {
		return nil
	}
	of := w.data.recipe("tokens", tokensVersion)
	if of.Inputs["teacher"] = teacher.key; row.teacher == nil {
		w.base.describe(of, "teacher")
	}
	row.describe(of, "model")
	of.Parameters["examples"] = n
	// the view names its models, which another scenario may call otherwise
	of.Parameters["names"] = []string{teacher.name, row.name}
	of.Parameters["baseline"] = row.teacher == nil
	a, err := w.run.artifact(ctx, of, "tokens of "+row.name, func(dir string) error {
		w.progress(0, 0, "tokens")
		return w.run.compute(func() error {
			v, err := w.compareTokens(ctx, teacher, row, w.data.validation(n))
			if err != nil {
				return err
			}
			return v.Save(dir)
		})
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		w.run.noteOnce(lab.Warning, fmt.Sprintf("%s: its tokens are not compared with those of %s: %v", row.name, teacher.name, err))
		return nil
	}
	a.release()
	row.tokens = of.Key()
	return nil
}

// compareTokens makes the view of a row's model on examples.
func (w *worker) compareTokens(ctx context.Context, teacher *artifactModel, row *measured, examples []kd.Example) (*tokenview.View, error) {
	load := teacher.load
	if row.teacher == nil {
		load = w.base.load
	}
	p, err := load(ctx)
	if err != nil {
		return nil, err
	}
	q, err := row.load(ctx)
	if err != nil {
		return nil, err
	}
	v := &tokenview.View{Teacher: teacher.name, Student: row.name, Baseline: row.teacher == nil}
	var prompts [][]int32 // of answers of more than one token
	var longest []int
	for _, e := range examples {
		e, cut := firstAnswers(e, tokensLength)
		one, err := w.data.tokenExample(ctx, p, q, e)
		if err != nil {
			return nil, err
		}
		one.Cut = cut
		v.Examples = append(v.Examples, one)
		if begin, n := one.FirstAnswer(); n > 1 {
			prompts, longest = append(prompts, e.Tokens[:begin]), append(longest, 2*n)
		}
	}
	if len(prompts) == 0 {
		return v, nil
	}
	for i, m := range []*model.Model{p, q} {
		samples, err := w.data.greedy(ctx, m, prompts, longest)
		if err != nil {
			return nil, err
		}
		for k := range v.Examples {
			e := &v.Examples[k]
			if _, n := e.FirstAnswer(); n < 2 {
				continue
			}
			if i == 0 {
				e.Teacher = &samples[0]
			} else {
				e.Student = &samples[0]
			}
			samples = samples[1:]
		}
	}
	return v, nil
}

// firstAnswers cuts an example after its n-th answer token with a loss and counts the tokens that
// go.
func firstAnswers(e kd.Example, n int) (kd.Example, int) {
	for t := range e.Answer {
		if !e.Learned(t) {
			continue
		}
		if n--; n == 0 {
			cut := len(e.Tokens) - t - 1
			e.Tokens, e.Answer = e.Tokens[:t+1], e.Answer[:t+1]
			if e.Weights != nil {
				e.Weights = e.Weights[:t+1]
			}
			return e, cut
		}
	}
	return e, 0
}

// tokenExample compares two models on one example.
func (d *dataset) tokenExample(ctx context.Context, p, q *model.Model, e kd.Example) (tokenview.Example, error) {
	positions, err := kd.Positions(ctx, p, q, e, tokensTop)
	if err != nil {
		return tokenview.Example{}, err
	}
	one := tokenview.Example{Tokens: make([]tokenview.Token, len(e.Tokens))}
	for t, id := range e.Tokens {
		one.Tokens[t] = tokenview.Token{ID: id, Text: d.tokenText(id)}
	}
	for _, at := range positions {
		kept := &tokenview.Position{
			KL: at.ForwardKL, Teacher: at.Label.Teacher, Student: at.Label.Student,
			TeacherRank: at.Rank[0], StudentRank: at.Rank[1],
		}
		for _, c := range at.Top {
			kept.Top = append(kept.Top, tokenview.Candidate{ID: c.Token, Text: d.tokenText(c.Token), Teacher: c.Teacher, Student: c.Student})
		}
		one.Tokens[at.Token].At = kept
	}
	return one, nil
}

// tokenText is what a token stands for within a text; its spelling where that is nothing, its
// number where the tokenizer has no such token.
func (d *dataset) tokenText(id int32) tokenview.Text {
	text := d.tokenizer.Text(id)
	if text == "" {
		text = d.tokenizer.Token(id)
	}
	if text == "" {
		text = fmt.Sprintf("<%d>", id)
	}
	return tokenview.Text(text)
}

// tokensText is what tokens stand for together.
func (d *dataset) tokensText(ids []int32) tokenview.Text {
	var text strings.Builder
	for _, id := range ids {
		text.WriteString(string(d.tokenText(id)))
	}
	return tokenview.Text(text.String())
}

// greedy has a model answer prompts by its likeliest tokens, each by up to longest, or as many as
// its positions allow.
func (d *dataset) greedy(ctx context.Context, m *model.Model, prompts [][]int32, longest []int) ([]tokenview.Sample, error) {
	requests := make([]serve.Request, len(prompts))
	for i, prompt := range prompts {
		most := max(1, min(max(longest[i], 16), m.MaxPositions-len(prompt)))
		requests[i] = serve.Request{Prompt: prompt, MaxTokens: most}
		if d.eos >= 0 {
			requests[i].Stop = []int32{d.eos}
		}
	}
	e, err := host.NewEngine(m, host.Options{Pages: host.PagesFor(requests)}, serve.Defaults())
	if err != nil {
		return nil, err
	}
	defer e.Close()
	results, err := e.DoAll(ctx, requests)
	if err != nil {
		return nil, err
	}
	samples := make([]tokenview.Sample, len(results))
	for i, r := range results {
		samples[i] = tokenview.Sample{Tokens: r.Tokens, Text: d.tokensText(r.Tokens), Ended: r.Finish == serve.FinishStop}
	}
	return samples, nil
}
