package run

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/kd/teachercache"
	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/lab/task"
	"slimlab/pruning"
	"slimlab/quant"
)

// Shift is a kind of step that only this test knows: it adds a constant to the final norm.
type Shift struct {
	By float64 `key:"by" default:"0.5" above:"0" doc:"what is added"`
}

func (s *Shift) Describe(from string) string { return "shift " + from }

func (s *Shift) plan(ctx context.Context, w *worker, step scenario.Step) (job, error) {
	source, err := w.weights(step.From)
	if err != nil {
		return job{}, err
	}
	of := w.data.recipe(step.Kind, 1)
	of.Inputs["model"], of.Parameters = source.key, recipe.Of(s)
	return job{
		model: stepModel(step, of, source.origin, source.shape),
		build: func(dir string) error {
			m, err := source.load(ctx)
			if err != nil {
				return err
			}
			m = m.Clone()
			for i := range m.FinalNorm {
				m.FinalNorm[i] += float32(s.By)
			}
			return saveModel(ctx, dir, m, w.data, struct{}{})
		},
		measures: func(_ string, row *measured) error {
			row.values["paper"] = lab.Measure{Value: s.By}
			return nil
		},
	}, nil
}

// TestNewKindOfStepNeedsOnlyTheTable adds a kind to the table: files decode, steps describe
// themselves, the schema and the reference list it, and a run builds and measures it.
func TestNewKindOfStepNeedsOnlyTheTable(t *testing.T) {
	vocabulary := Vocabulary()
	vocabulary.Kinds = append(vocabulary.Kinds, scenario.Kind{Name: "shift", About: "shifts", New: func() scenario.Work { return &Shift{} }})
	text := `
name: toy
task: { kind: recsys, members: 20, candidates: 2 }
models: { FM: "pretrained:recsys-fm" }
pipeline:
  - baseline: { name: base, model: FM }
  - shift: { by: 0.25 }
evaluate: { validation: 4 }
columns: [auc, paper]
`
	loaded, err := scenario.Parse("toy.yaml", []byte(text), scenario.Options{Vocabulary: vocabulary})
	if err != nil {
		t.Fatal(err)
	}
	step := loaded.Points[0].Steps[1]
	if got, want := step.String(), "shift: shift base"; got != want {
		t.Errorf("description: found %q, expected %q", got, want)
	}
	if got := recipe.Of(step.Work); len(got) != 1 || got["by"] != 0.25 {
		t.Errorf("parameters of its recipe: found %v, expected by=0.25", got)
	}
	if schema := string(scenario.Schema(vocabulary)); !strings.Contains(schema, `"shift": {`) || !strings.Contains(schema, "what is added") {
		t.Error("the schema lacks the kind")
	}
	steps := vocabulary.Steps()
	if last := steps[len(steps)-1]; last.Name != "shift" || last.Keys[2] != (scenario.Key{Key: "by", Type: "number", Default: "0.5", Values: "> 0", About: "what is added"}) {
		t.Errorf("reference: found %+v", last)
	}
	if _, err := scenario.Parse("toy.yaml", []byte(strings.Replace(text, "0.25", "0", 1)), scenario.Options{Vocabulary: vocabulary}); err == nil || !strings.Contains(err.Error(), "step shift's by is 0, expected above 0") {
		t.Errorf("a value out of range: found error %v", err)
	}
	board := lab.NewBoard()
	mustWork(t, newHome(t), loaded.Plan(), Options{Sink: board.Apply})
	for _, row := range board.Snapshot().Rows {
		auc, ok := row.Metric("auc")
		if !ok || math.IsNaN(auc.Value) {
			t.Errorf("row %s has no AUC", row.Name)
		}
		if paper, _ := row.Metric("paper"); row.Name == "shift" && paper.Value != 0.25 {
			t.Errorf("the kind's own metric: found %v", paper.Value)
		}
	}
}

// TestEveryParameterHasAKey: a recipe can be written of every kind of step and of everything else
// that artifacts are named by, with each field in it or left out on purpose.
func TestEveryParameterHasAKey(t *testing.T) {
	parts := []any{
		scenario.Recsys{}, scenario.JSONL{}, scenario.Tokenizer{}, scenario.Model{}, scenario.Evaluate{}, scenario.Serve{},
		task.DefaultRecsys(), task.DefaultJSONL(""), Calibration{},
	}
	for _, kind := range Kinds() {
		parts = append(parts, kind.New())
	}
	for _, part := range parts {
		func() {
			defer func() {
				if found := recover(); found != nil {
					t.Errorf("%T: %v", part, found)
				}
			}()
			_ = recipe.Recipe{Parameters: recipe.Of(part)}.Canonical()
		}()
	}
}

// TestVocabularyIsAcceptedByItsParsers checks each listed name against the code that reads it, and
// that each has a description.
func TestVocabularyIsAcceptedByItsParsers(t *testing.T) {
	parsers := map[string]func(name string) error{
		"caches":  func(name string) error { _, err := kernels.ParseKVFormat(name); return err },
		"losses":  func(name string) error { _, err := kd.ParseObjective(name); return err },
		"methods": func(name string) error { _, err := pruning.ParseMethod(name); return err },
		"schemes": func(name string) error { _, err := quant.ParseScheme(name); return err },
		"codecs": func(name string) error {
			if (Cache{Codec: name}).IsZero() {
				return nil
			}
			_, err := teachercache.ParseCodec(name)
			return err
		},
	}
	lists := Vocabulary().Names
	if got, want := slices.Sorted(maps.Keys(lists)), []string{"caches", "codecs", "losses", "methods", "modes", "pretrained", "schemes", "sources", "workloads"}; !slices.Equal(got, want) {
		t.Errorf("found lists %v, expected %v", got, want)
	}
	for list, names := range lists {
		for _, n := range names {
			name := n.Name
			switch {
			case n.Unbounded:
				name += ":2"
			case n.Parameter != "":
				name += ":0.5"
			}
			if parse := parsers[list]; parse != nil {
				if err := parse(name); err != nil {
					t.Errorf("%s: %v", list, err)
				}
			}
			if n.About == "" {
				t.Errorf("%s: %s has no description", list, n.Name)
			}
		}
	}
}

// TestDefaultsOfTheReference checks that each default of the reference is what a step gets from a
// file that is silent: writing all of them out changes nothing.
func TestDefaultsOfTheReference(t *testing.T) {
	required := map[string]string{"model": "FM", "teacher": "FM", "steps": "3", "scheme": "w8a8", "mlp": "0.5", "a": "FM", "b": "first"}
	// keys that are refused without another value of another key
	dependent := map[string][]string{"simulate": {"router", "range", "turns", "think", "rate_to", "burstiness", "users"}}
	tasks := map[string]string{"ab": "reasoning, world: 1, steps: 3"}
	for _, kind := range Vocabulary().Steps() {
		var silent, explicit []string
		for _, k := range kind.Keys {
			value, needed := required[k.Key]
			switch {
			case slices.Contains(dependent[kind.Name], k.Key):
			case needed && (k.Required || k.Key == "mlp" || k.Key == "teacher" || k.Key == "scheme"):
				silent, explicit = append(silent, k.Key+": "+value), append(explicit, k.Key+": "+value)
			case k.Default != "" && !strings.Contains(k.Key, "."):
				explicit = append(explicit, k.Key+": "+k.Default)
			}
		}
		load := func(keys []string) string {
			text := "task: { kind: " + cmp.Or(tasks[kind.Name], "recsys") + " }\nmodels: { FM: \"pretrained:recsys-fm\" }\npipeline:\n  - baseline: { name: first, model: FM }\n  - " + kind.Name + ": { " + strings.Join(keys, ", ") + " }\n"
			s, err := scenario.Parse("x.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
			if err != nil {
				t.Fatalf("%s: %v", kind.Name, err)
			}
			return s.Hash()
		}
		if load(silent) != load(explicit) {
			t.Errorf("%s: the defaults {%s} differ from those of a file without them", kind.Name, strings.Join(explicit, ", "))
		}
	}
}

// TestDistilKeysReachTheObjective checks the keys that set the fields of the objective.
func TestDistilKeysReachTheObjective(t *testing.T) {
	o, err := (&Distil{Loss: "jsd:0.3", CE: 0.2, Temperature: 2, TimesT2: true, SequenceLoss: "mixture", Training: Training{Sequence: 0.1}}).objective()
	want := kd.Objective{Divergence: kd.JSD, Parameter: 0.3, CE: 0.2, Sequence: 0.1, Temperature: 2, TimesT2: true, SequenceLoss: kd.SequenceMixture}
	if err != nil || !reflect.DeepEqual(o, want) {
		t.Errorf("found %+v, %v, expected %+v", o, err, want)
	}
}

// TestKeepBestEvaluatesOnTheWay: keep_best needs validation losses, also of tasks that have none
// unless asked.
func TestKeepBestEvaluatesOnTheWay(t *testing.T) {
	board := lab.NewBoard()
	mustWork(t, newHome(t), parse(t, `
task: { kind: recsys, members: 20, candidates: 2 }
tokenizer: { vocab: 600 }
models: { s: { layers: 1, hidden: 16, heads: 2 } }
pipeline:
  - train: { into: s, steps: 3, batch: 2, keep_best: true }
evaluate: { validation: 4 }
columns: [auc]
`, scenario.Options{}), Options{Sink: board.Apply})
	if series := board.Snapshot().Cells[0].Find("train.validation"); series == nil || len(series.Points()) == 0 {
		t.Error("found no validation loss")
	}
}

// TestNewKeysKeepOldRunsComparable: keys that came after runs were logged change the text by which
// runs are compared only where they are set.
func TestNewKeysKeepOldRunsComparable(t *testing.T) {
	for _, c := range []struct {
		work Distil
		said int
	}{
		{Distil{SequenceLoss: "ce"}, 0},
		{Distil{SequenceLoss: "mixture"}, 1},
		{Distil{SequenceLoss: "ce", TimesT2: true, Training: Training{KeepBest: true}}, 2},
	} {
		text, err := json.Marshal(c.work)
		if err != nil {
			t.Fatal(err)
		}
		said := 0
		for _, key := range []string{"TimesT2", "SequenceLoss", "KeepBest"} {
			said += strings.Count(string(text), key)
		}
		if said != c.said {
			t.Errorf("%s: %d of the new keys, expected %d", text, said, c.said)
		}
	}
}
