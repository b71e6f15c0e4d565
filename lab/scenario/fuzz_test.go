package scenario_test

import (
	"strconv"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// An expectation is parsed, or refused with its place; one that is parsed gives verdicts on a run
// without values, none of them held.
func FuzzExpectation(f *testing.F) {
	for _, seed := range []string{
		"auc(row=q) > 0.5", "bytes(row=q) * 2 <= -bytes(row=FM) + 3%", "auc(row=q,n=3) == auc(row=FM,n=4)",
		"auc(row=q", "1 < 2", "auc(row=q) > 1e999", "auc (row = q) - auc(row=kd) >= .5 * 2", "", "auc(row=)", "auc(row=q) > ٣",
	} {
		f.Add(seed)
	}
	base := strings.Replace(small, "steps: 10", `steps: "${n}"`, 1) + "sweep: { n: [3, 4] }\n"
	f.Fuzz(func(t *testing.T, text string) {
		s, err := scenario.Parse("x.yaml", []byte(base+"expect: [ "+strconv.QuoteToASCII(text)+" ]\n"), options())
		if err != nil {
			if !strings.Contains(err.Error(), "x.yaml:") {
				t.Fatalf("an error without its place: %v", err)
			}
			return
		}
		for _, v := range s.Verdicts(lab.NewBoard().Snapshot()) {
			if v.Held {
				t.Fatalf("%q holds on a run without values: %+v", text, v)
			}
		}
	})
}

// An override is applied or refused by its own text, whatever its key and its value; the scenario
// that comes out has work.
func FuzzOverride(f *testing.F) {
	for _, seed := range [][2]string{
		{"task.members", "40"}, {"kd.steps", "3"}, {"seeds", "2"}, {"sweep.n", "[1, 2]"}, {"n", "7"}, {"kd", "{steps: 3}"}, {"pipeline", "[]"},
		{"pipeline.q.scheme", "w4a16"}, {"models.s.hidden", "16"}, {"..", "1"}, {"name", "${n}"}, {"task.path", "C:\\x: y"}, {"expect", "- - -"},
	} {
		f.Add(seed[0], seed[1])
	}
	base := strings.Replace(small, "steps: 10", `steps: "${n}"`, 1) + "sweep: { n: [3, 4] }\n"
	f.Fuzz(func(t *testing.T, key, value string) {
		s, err := scenario.Parse("x.yaml", []byte(base), options(key+"="+value))
		if err != nil {
			if !strings.Contains(err.Error(), "--set") && !strings.Contains(err.Error(), "x.yaml") {
				t.Fatalf("an error without its place: %v", err)
			}
			return
		}
		if len(s.Plan().Cells) == 0 || len(s.Rows) == 0 {
			t.Fatalf("a scenario without work: %+v", s)
		}
	})
}

// An overlay is a mapping that quick lays over a scenario: it is merged or refused with its place.
func FuzzOverlay(f *testing.F) {
	for _, seed := range []string{"{ seeds: 1 }", "{ pipeline: { kd: { steps: 1 } } }", "{ pipeline: [] }", "{ models: { s: 3 } }", "{ quick: {} }", "[1]", "{ sweep: { n: 1 } }", "~"} {
		f.Add(seed)
	}
	base := strings.Replace(small, "steps: 10", `steps: "${n}"`, 1) + "sweep: { n: [3, 4] }\n"
	f.Fuzz(func(t *testing.T, overlay string) {
		o := options()
		o.Quick = true
		s, err := scenario.Parse("x.yaml", []byte(base+"quick: "+overlay+"\n"), o)
		if err != nil {
			if !strings.Contains(err.Error(), "x.yaml") {
				t.Fatalf("an error without its place: %v", err)
			}
			return
		}
		if len(s.Plan().Cells) == 0 || len(s.Rows) == 0 {
			t.Fatalf("a scenario without work: %+v", s)
		}
	})
}
