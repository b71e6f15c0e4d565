package run

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// A step's settings are those that the file resolves to, whoever wrote them: the file, an override,
// or nobody.
func TestSettingsOfSteps(t *testing.T) {
	const file = `name: x
task: { kind: recsys, members: 40, candidates: 4 }
models: { FM: { load: "pretrained:recsys-fm" } }
params: { rate: 2e-3 }
sweep: { scheme: [w8a8, w4a16-gptq] }
pipeline:
  - baseline: { name: FM, model: FM }
  - distil: { name: kd, into: FM, teacher: FM, steps: 30, learning_rate: "${rate}" }
  - quantize: { name: q, scheme: "${scheme}" }
`
	s, err := scenario.Parse("x.yaml", []byte(file), scenario.Options{Vocabulary: Vocabulary(), Set: []string{"rate=5e-3"}})
	if err != nil {
		t.Fatal(err)
	}
	find := func(point int, step, key string) scenario.Setting {
		one, ok := s.Points[point].Step(step)
		if !ok {
			t.Fatalf("no step %s", step)
		}
		all := one.Settings()
		i := slices.IndexFunc(all, func(s scenario.Setting) bool { return s.Key == key })
		if i < 0 {
			t.Fatalf("%s has no %s in %v", step, key, all)
		}
		return all[i]
	}
	for _, one := range []struct {
		point int
		step  string
		want  scenario.Setting
	}{
		{0, "FM", scenario.Setting{Key: "model", Value: "FM"}},
		{0, "kd", scenario.Setting{Key: "steps", Value: "30"}},
		{0, "kd", scenario.Setting{Key: "learning_rate", Value: "0.005"}},
		{0, "kd", scenario.Setting{Key: "loss", Value: "fkl", Default: true}},
		{0, "kd", scenario.Setting{Key: "clip", Value: "1", Default: true}},
		{0, "q", scenario.Setting{Key: "from", Value: "kd"}},
		{0, "q", scenario.Setting{Key: "scheme", Value: "w8a8"}},
		{1, "q", scenario.Setting{Key: "scheme", Value: "w4a16-gptq"}},
		{1, "q", scenario.Setting{Key: "calibration.source", Value: "in-domain", Default: true}},
	} {
		if got := find(one.point, one.step, one.want.Key); got != one.want {
			t.Errorf("point %d, %s: %+v, expected %+v", one.point, one.step, got, one.want)
		}
	}
}

// TestKeptStatisticsAreSaid: before a step in parallel mode the run says once what its statistics
// take in the home, at least as much as they take in the end.
func TestKeptStatisticsAreSaid(t *testing.T) {
	const file = `
task: { kind: recsys, members: 6 }
models: { FM: { load: "pretrained:recsys-student" } }
pipeline:
  - baseline: { name: FM, model: FM }
  - prune: { name: cut, from: FM, mlp: 50%, calibration: { samples: 4, mode: parallel } }
  - prune: { name: heads, from: FM, query_heads: 1, method: random, calibration: { samples: 4 } }
columns: [params]
seeds: 2
`
	h := newHome(t)
	plan := parse(t, file, scenario.Options{})
	_, planned, err := Check(t.Context(), h, plan)
	if err != nil {
		t.Fatal(err)
	}
	out := mustWork(t, h, plan, Options{})
	list, err := h.Statistics()
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	bytes := int64(0)
	for _, s := range list {
		bytes += s.Bytes
	}
	said := 0
	for _, n := range out.Board.Snapshot().Notes {
		if _, text, ok := strings.Cut(n.Text, "cut: statistics of at most "); ok {
			said++
			megabytes := 0.0
			if _, err := fmt.Sscanf(text, "%g MB", &megabytes); err != nil || megabytes*1e6 < 0.99*float64(bytes) || megabytes*1e6 > 1.05*float64(bytes) {
				t.Errorf("%s, %d bytes are kept", n.Text, bytes)
			}
			if !slices.ContainsFunc(planned, func(e lab.Event) bool { return e.Text == n.Text }) {
				t.Errorf("a check does not say %q: %v", n.Text, planned)
			}
		} else if strings.Contains(n.Text, "statistics of at most") {
			t.Errorf("a step that keeps none says %q", n.Text)
		}
	}
	if said != 1 {
		t.Errorf("said %d times, expected once: %v", said, out.Board.Snapshot().Notes)
	}
	damaged := list[0].Path
	data, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	if err := os.WriteFile(damaged, data, 0o644); err != nil {
		t.Fatal(err)
	}
	out = mustWork(t, h, parse(t, strings.Replace(file, "50%", "25%", 1), scenario.Options{}), Options{})
	if want := damaged + " is damaged: the statistics that it held are gathered again"; !slices.ContainsFunc(out.Board.Snapshot().Notes, func(n lab.Note) bool { return strings.Contains(n.Text, want) }) {
		t.Errorf("no note %q in %v", want, out.Board.Snapshot().Notes)
	}
}
