package report

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"slimlab/lab"
)

// timed is a run with a latency and a training rate for each seed, taken as so many timings say.
func timed(id string, seeds int, factor float64, key string, timing lab.Timing) *lab.View {
	begin := &lab.Begin{Run: id, Scenario: "s", Hash: "h", Version: "v1", Rows: []string{"kd"}, Columns: []string{"ttft_cold_p50", "train_tokens_per_s"}}
	for seed := range seeds {
		begin.Cells = append(begin.Cells, lab.Cell{ID: fmt.Sprint("seed=", seed+1), Seed: seed + 1})
	}
	b := lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: begin}})
	for i, c := range begin.Cells {
		noise := 1 + 0.001*float64(i)
		b.Apply(lab.Event{Kind: lab.KindRow, Cell: c.ID, Row: "kd", Machine: "m", Key: key, Test: "t", Timings: []lab.Timing{timing},
			Values: map[string]lab.Measure{"ttft_cold_p50": {Value: factor * noise, N: 9}, "train_tokens_per_s": {Value: 1 / factor / noise}}})
	}
	return b.Snapshot()
}

// settingsOf derives settings from the text of a log: words key=value.
func settingsOf(b lab.Begin) (out []Setting, err error) {
	if b.Source == "unreadable" {
		return nil, errors.New("no text")
	}
	for _, word := range strings.Fields(b.Source) {
		key, value, _ := strings.Cut(word, "=")
		out = append(out, Setting{key, value})
	}
	return out, nil
}

// TestTimingsWhereSettingsDiffer: they are judged where nothing that serving hangs on differs and
// both machines were steady; where they are not, a footnote says why.
func TestTimingsWhereSettingsDiffer(t *testing.T) {
	steady := lab.Timing{Stage: "serve", Machine: "steady"}
	type sides struct {
		base, next string // settings
		key        string // of the new models
		seeds      int    // of the new run
		timing     lab.Timing
		change     func(v *lab.View)
	}
	for name, c := range map[string]struct {
		sides
		serving, training Judgement
		says              string // of the serving step's
	}{
		"steps of training":             {sides{base: "kd.steps=10", next: "kd.steps=20"}, Worse, Unknown, ""},
		"a shape":                       {sides{base: "models.student.hidden=32", next: "models.student.hidden=64"}, Worse, Unknown, ""},
		"how it is evaluated":           {sides{base: "evaluate.validation=1", next: "evaluate.validation=2", key: "k"}, Worse, Worse, ""},
		"a further value of axes":       {sides{base: "sweep.loss=a", next: "sweep.loss=a,b", key: "k"}, Worse, Worse, ""},
		"nothing that decides":          {sides{base: "kd.steps=10", next: "kd.steps=10", key: "k"}, Worse, Worse, ""},
		"what is served":                {sides{base: "serve.members=10", next: "serve.members=20"}, Unknown, Unknown, "also in serve.members"},
		"only one serves so":            {sides{base: "serve.members=10", next: ""}, Unknown, Unknown, "also in serve.members"},
		"whose prompts":                 {sides{base: "task.members=10", next: "task.members=20"}, Unknown, Unknown, "also in task.members"},
		"their tokens":                  {sides{base: "tokenizer.size=10", next: "tokenizer.size=20"}, Unknown, Unknown, "also in tokenizer.size"},
		"a loaded model":                {sides{base: "models.FM.load=a", next: "models.FM.load=b"}, Unknown, Unknown, "also in models.FM.load"},
		"a section of later":            {sides{base: "threads.n=10", next: "threads.n=20"}, Unknown, Unknown, "also in threads.n"},
		"a key of later":                {sides{base: "threads=10", next: "threads=20"}, Unknown, Unknown, "also in threads"},
		"steps, and what is served":     {sides{base: "kd.steps=1 serve.members=10", next: "kd.steps=2 serve.members=20"}, Unknown, Unknown, "also in serve.members"},
		"a log without a text":          {sides{base: "kd.steps=1", next: "unreadable"}, Unknown, Unknown, "is not known"},
		"seeds too few":                 {sides{base: "kd.steps=1", next: "kd.steps=2", seeds: 3}, Unknown, Unknown, "3 seeds are too few for a test, which needs 4"},
		"more seeds":                    {sides{base: "kd.steps=1", next: "kd.steps=2", seeds: 5}, Worse, Unknown, ""},
		"a shared machine":              {sides{base: "kd.steps=1", next: "kd.steps=2", timing: lab.Timing{Machine: "shared"}}, Unknown, Unknown, "steady"},
		"nobody looked":                 {sides{base: "kd.steps=1", next: "kd.steps=2", timing: lab.Timing{Stage: "serve"}}, Unknown, Unknown, "steady"},
		"another process":               {sides{base: "kd.steps=1", next: "kd.steps=2", timing: lab.Timing{Machine: "steady", Others: 1}}, Unknown, Unknown, "steady"},
		"beside other cells":            {sides{base: "kd.steps=1", next: "kd.steps=2", timing: lab.Timing{Machine: "steady", Beside: true}}, Unknown, Unknown, "steady"},
		"a seed without a word":         {sides{base: "kd.steps=1", next: "kd.steps=2", change: func(v *lab.View) { v.Rows[0].Timings = v.Rows[0].Timings[1:] }}, Unknown, Unknown, "steady"},
		"another machine":               {sides{base: "kd.steps=1", next: "kd.steps=2", change: func(v *lab.View) { v.Rows[0].Machines = []string{"n"} }}, Unknown, Unknown, "the machines differ"},
		"another machine, one scenario": {sides{base: "", next: "", change: func(v *lab.View) { v.Rows[0].Machines, v.Begin.Hash = []string{"n"}, "h" }}, Unknown, Unknown, "the machines differ"},
		"one scenario, nobody looked":   {sides{base: "", next: "", timing: lab.Timing{Stage: "serve"}, change: func(v *lab.View) { v.Begin.Hash = "h" }}, Worse, Worse, ""},
	} {
		if c.seeds == 0 {
			c.seeds = 4
		}
		if c.timing.Stage == "" && c.timing.Machine == "" {
			c.timing = steady
		}
		if c.key == "" {
			c.key = "l"
		}
		base, next := timed("b", 4, 1, "k", steady), timed("n", c.seeds, 1.2, c.key, c.timing)
		base.Begin.Source, next.Begin.Source, next.Begin.Hash = c.base, c.next, "other"
		if c.change != nil {
			c.change(next)
		}
		for _, turned := range []bool{false, true} { // the new run is the faster one
			views, worse := []*lab.View{base, next}, Worse
			if turned {
				views, worse = []*lab.View{next, base}, Better
			}
			against := CompareRuns(views, 0, settingsOf).Against[1]
			for i, want := range []Judgement{c.serving, c.training} {
				if want == Worse {
					want = worse
				}
				one := against.Changes[i]
				words := strings.Join(one.Warnings, "; ")
				if one.Judgement != want || (want == Unknown) != strings.Contains(words, "not judged: ") || i == 0 && !strings.Contains(words, c.says) {
					t.Errorf("%s: %s is %s %q, expected %s %q", name, one.Metric.Key, one.Judgement, words, want, c.says)
				}
			}
			for _, one := range Compare(views[0], views[1]).Changes { // without settings
				if base.Begin.Hash != next.Begin.Hash && one.Judgement != Unknown {
					t.Errorf("%s: without settings %s is %s", name, one.Metric.Key, one.Judgement)
				}
			}
		}
	}
}

// TestStepsOfEitherRun: a step that one of the runs alone has is a step.
func TestStepsOfEitherRun(t *testing.T) {
	for _, rows := range [][2][]string{{{"kd", "extra"}, {"kd"}}, {{"kd"}, {"kd", "extra"}}} {
		base, next := lab.Begin{Hash: "a", Rows: rows[0], Source: "extra.rate=1"}, lab.Begin{Hash: "b", Rows: rows[1], Source: "extra.rate=2"}
		if reason := scenarioTimings(base, next, settingsOf); reason != "" {
			t.Errorf("rows %q: %s", rows, reason)
		}
	}
}
