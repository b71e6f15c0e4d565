package run

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// TestPaperTablesHold: what the paper's tables of serving claim, and how near the simulated figures
// are to its own.
func TestPaperTablesHold(t *testing.T) {
	for name, claims := range map[string]int{"paper/table7": 15, "paper/table9": 15, "paper/table10": 16, "paper/table11": 16, "paper/figure4": 22, "paper/figure5": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := os.DirFS("../../scenarios")
			s, err := LoadScenario(name, files, scenario.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var fewer []string // a third of the requests: members that come at equal gaps are alike
			for _, row := range s.Rows {
				fewer = append(fewer, row+".requests=100")
			}
			if s, err = LoadScenario(name, files, scenario.Options{Set: fewer}); err != nil {
				t.Fatal(err)
			}
			h := newHome(t)
			plan := s.Plan()
			out := mustWork(t, h, plan, Options{})
			verdicts := out.Board.Snapshot().Verdicts
			if len(verdicts) != claims {
				t.Errorf("%d claims are judged, expected %d", len(verdicts), claims)
			}
			for _, v := range verdicts {
				if !v.Held {
					t.Errorf("%s: %s", v.Text, v.Reason)
				}
			}
		})
	}
}

const simulated = `
pipeline:
  - simulate: { name: one, model: 2.1b, workload: random, input_tokens: 512, output_tokens: 8, requests: 60, rate: 5, paper: { ttft_p50: 1, ttft_p99: 0.5 } }
  - simulate: { name: two, model: 8b, input_tokens: 512, requests: 60, rate: 5 }
`

// TestSimulationsNeedNoTask: a scenario of simulations alone has no task and makes no model;
// another run finds its figures, with the same bits.
func TestSimulationsNeedNoTask(t *testing.T) {
	h := newHome(t)
	plan := parse(t, simulated, scenario.Options{})
	first := mustWork(t, h, plan, Options{})
	text := figures(first.Board, 1)
	again := mustWork(t, h, parse(t, simulated, scenario.Options{}), Options{})
	if got := figures(again.Board, 1); got != text {
		t.Errorf("a second run has the figures\n%s\nexpected\n%s", got, text)
	}
	view := first.Board.Snapshot()
	one := &view.Rows[0]
	value := func(key string) lab.Measure {
		s, ok := one.Metric(key)
		if !ok || len(s.Seeds) != 1 {
			t.Fatalf("row one has no %s", key)
		}
		return s.Seeds[0].Measure
	}
	if m := value("sim_ttft_p50"); !(m.Low < m.Value && m.Value < m.High) || m.N != 60 {
		t.Errorf("TTFT P50 is %+v, expected a value with bounds", m)
	}
	if m := value("sim_ttft_p99"); !strings.Contains(m.Warning, "P99 of 60 samples") {
		t.Errorf("P99 of few samples has the warning %q", m.Warning)
	}
	if m := value("paper_ttft_p99"); !strings.Contains(m.Warning, "impossible") {
		t.Errorf("a published P99 below the P50 has the warning %q", m.Warning)
	}
	if got, want := value("ttft_p50_error").Value, value("sim_ttft_p50").Value-1; got != want {
		t.Errorf("the error is %v, expected %v", got, want)
	}
	cells, _, err := Check(t.Context(), h, plan)
	if err != nil {
		t.Fatal(err)
	}
	if s := cells[0].Steps[0]; s.State != "measured" {
		t.Errorf("after a run step %s is %q", s.Name, s.State)
	}
}

// TestSimulatedQuality: a simulation can have the quality of a step that was measured before it.
func TestSimulatedQuality(t *testing.T) {
	plan := parse(t, `
task: { kind: recsys, members: 20 }
models: { student: { load: "pretrained:recsys-student" } }
pipeline:
  - baseline: { name: full, model: student }
  - quantize: { name: small, from: full, scheme: w8a8 }
  - simulate: { name: there, quality: small, model: 8b, weights: int8, requests: 20 }
  - quantize: { name: smaller, from: full, scheme: w4a16, group: 32 }
`, scenario.Options{})
	out := mustWork(t, newHome(t), plan, Options{})
	view := out.Board.Snapshot()
	for _, key := range []string{"kl", "auc_soft_delta", "effective_bits"} {
		small, _ := view.Rows[1].Metric(key)
		there, ok := view.Rows[2].Metric(key)
		if !ok || small.Value != there.Value {
			t.Errorf("%s is %v, expected %v", key, there.Value, small.Value)
		}
	}
	if _, ok := view.Rows[2].Metric("bytes"); ok {
		t.Error("a row without a model has bytes")
	}
}

// TestSimulateSearches: at the rate that is found the bounds are kept, and a little above not.
func TestSimulateSearches(t *testing.T) {
	const text = `
pipeline:
  - simulate: { name: found, model: 2.1b, device: l40s, calibration: sglang-0.5, input_tokens: 2000, requests: 200, slo: "ttft:p99:600ms" }
  - simulate: { name: never, model: 8b, device: l40s, calibration: sglang-0.5, input_tokens: 20000, requests: 100, slo: "ttft:p99:100ms" }
`
	out := mustWork(t, newHome(t), parse(t, text, scenario.Options{}), Options{})
	view := out.Board.Snapshot()
	capacity, ok := view.Rows[0].Metric("sim_capacity")
	p99, _ := view.Rows[0].Metric("sim_ttft_p99")
	if !ok || capacity.Value <= 0 || p99.Value > 0.6 || p99.Value < 0.3 {
		t.Errorf("capacity %v with a P99 of %v", capacity.Value, p99.Value)
	}
	if m := capacity.Seeds[0].Measure; !(m.Low < m.Value && m.Value < m.High) {
		t.Errorf("the capacity has the bounds %v to %v", m.Low, m.High)
	}
	never, ok := view.Rows[1].Metric("sim_capacity")
	if !ok || never.Value != 0 || !strings.Contains(never.Seeds[0].Warning, "a request alone does not keep it") {
		t.Errorf("bounds that nothing keeps: %+v", never.Seeds)
	}
}

func TestSimulateErrors(t *testing.T) {
	step := func(keys string) string { return "pipeline:\n  - simulate: { " + keys + " }\n" }
	for text, says := range map[string]string{
		step("candidates: 4, workload: random"):                                "x.yaml:2:29: step simulate's candidates belongs to workload ranking",
		step("turns: 4"):                                                       "turns belongs to workload chat",
		step("burstiness: 0.5"):                                                "burstiness belongs to arrivals gamma",
		step("arrivals: ramp"):                                                 "cannot be made: found a ramp without rate_to",
		step("arrivals: closed, rate: 3"):                                      "rate belongs to arrivals over time",
		step("router: cache-aware"):                                            "router belongs to several replicas",
		step("output_tokens: 4"):                                               "found 4 output tokens of ranking",
		step("workload: shared-prefix, requests: 15"):                          "found 15 requests of 10 groups",
		step("workload: random, prefix_tokens: 4"):                             "prompts of workload random share nothing",
		step("slo: fast"):                                                      `slo is "fast"`,
		step(`slo: "ttft:p99:1s", arrivals: closed`):                           "has no rate that could be searched for",
		step("from: other"):                                                    "needs no model and has no key from",
		"pipeline:\n  - simulate: { name: a }\n  - prune: { mlp: 0.5 }\n":      `the key "task" is missing`,
		onePipelineOf("simulate: { name: a }", "prune: { from: a, mlp: 0.5 }"): `step "a" makes no model`,
		onePipelineOf("simulate: { name: a }") + "baseline: a\n":               "the baseline a makes no model",
	} {
		_, err := scenario.Parse("x.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, expected an error with %q", text, err, says)
		}
	}
	for keys, says := range map[string]string{
		"model: 9b":             `model shape "9b": expected one of 8b`,
		"device: h101":          `device "h101": expected one of a100`,
		"calibration: sglang":   `calibration "sglang": expected one of sglang-0.4.1`,
		"device: a100":          "a100 has no products in fp8",
		"device: h100x3":        "expected a multiple of 3",
		"device: l40sx2":        "no link",
		"model: ./nothing/here": "no such folder",
	} {
		_, err := Start(t.Context(), newHome(t), parse(t, step(keys), scenario.Options{}), Options{Now: clock()})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, expected an error with %q", keys, err, says)
		}
	}
}

// onePipelineOf is a scenario with a loaded model and further steps.
func onePipelineOf(steps ...string) string {
	text := "task: { kind: recsys, members: 6 }\nmodels: { FM: { load: \"pretrained:recsys-fm\" } }\npipeline:\n  - baseline: { name: base, model: FM }\n"
	for _, s := range steps {
		text += fmt.Sprintf("  - %s\n", s)
	}
	return text
}
