package rollout

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"slimlab/serve"
	"slimlab/serve/host"
)

// far writes answers with an engine of its own, and changes them.
type far struct {
	engine *serve.Engine
	change func([]serve.Result) []serve.Result
	asked  int
}

func (f *far) Write(ctx context.Context, requests []serve.Request) ([]serve.Result, error) {
	f.asked += len(requests)
	results, err := f.engine.DoAll(ctx, requests)
	if f.change != nil {
		results = f.change(results)
	}
	return results, err
}

// TestWriterStandsForATeacher: the examples of a writer that has the teacher's model are those of
// the teacher in memory; the student's own are not asked of it.
func TestWriterStandsForATeacher(t *testing.T) {
	student, teacher := tiny(t, 8, 1), tiny(t, 12, 2)
	o := Options{Fraction: 0.8, Teacher: 0.6, Temperature: 1, MaxTokens: 6, End: []int32{3}, Seed: 4}
	near := sampler(t, prompts(16), student, teacher, o)
	engine, err := host.NewEngine(teacher, host.Options{}, serve.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	writer := &far{engine: engine}
	o.Writer = writer
	by := sampler(t, prompts(16), student, nil, o)
	for step := 1; step <= 4; step++ {
		want := next(t, near, step)
		if got := next(t, by, step); !reflect.DeepEqual(got, want) {
			t.Fatalf("step %d: %v, expected %v", step, got, want)
		}
	}
	if n := near.Stats().Samples; writer.asked == 0 || writer.asked >= n {
		t.Errorf("the writer was asked for %d of %d answers", writer.asked, n)
	}
}

// TestWritersAnswersThatCannotBe are errors before anything is trained on them.
func TestWritersAnswersThatCannotBe(t *testing.T) {
	model := tiny(t, 8, 1)
	engine, err := host.NewEngine(model, host.Options{}, serve.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	for want, change := range map[string]func([]serve.Result) []serve.Result{
		"gave 3 answers to 4 requests": func(r []serve.Result) []serve.Result { return r[1:] },
		"has 7 tokens, expected 1 to 6": func(r []serve.Result) []serve.Result {
			r[2] = serve.Result{Tokens: make([]int32, 6), Finish: serve.FinishStop, Stopped: 3}
			return r
		},
		"has 0 tokens": func(r []serve.Result) []serve.Result {
			r[3] = serve.Result{Finish: serve.FinishLength}
			return r
		},
		fmt.Sprintf("token %d, and the student knows %d", vocab, vocab): func(r []serve.Result) []serve.Result {
			r[0] = serve.Result{Tokens: []int32{1, vocab}, Finish: serve.FinishLength}
			return r
		},
		"token -1": func(r []serve.Result) []serve.Result {
			r[0] = serve.Result{Tokens: []int32{1}, Finish: serve.FinishStop, Stopped: -1}
			return r
		},
	} {
		s := sampler(t, prompts(4), model, nil, Options{Fraction: 1, Teacher: 1, Temperature: 1, MaxTokens: 6, Writer: &far{engine: engine, change: change}})
		if _, err := s.Next(t.Context(), 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, expected %q", err, want)
		}
	}
}
