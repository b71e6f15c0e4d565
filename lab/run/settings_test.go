package run

import (
	"slices"
	"testing"

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
