package run

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/report"
	"slimlab/lab/scenario"
)

// mixed is a student of two teachers.
const mixed = `
name: mixed
` + onSums + `  - train: { name: first, into: big, steps: 12, batch: 4, learning_rate: 1e-2 }
  - train: { name: second, into: big, steps: 5, batch: 4, learning_rate: 2e-2, seed: 9 }
  - distil: { name: kd, into: small, steps: 6, batch: 4, learning_rate: 1e-2, %s }
evaluate: { validation: 4 }
columns: [loss, kl]
`

// TestMixtureOfTeachers: a student of several has the weights of a training with kd.Mixture, and
// those of a training from a file of their rows; its recipe names each teacher and its share.
func TestMixtureOfTeachers(t *testing.T) {
	data := sums(t)
	of := func(keys string) *scenario.Plan { return parse(t, fmt.Sprintf(mixed, data, keys), scenario.Options{}) }
	h := newHome(t)
	plan := of("teachers: \"first=1, second=0.5\"")
	out := mustWork(t, h, plan, Options{})
	got := titledWeights(t, h, "distil kd")
	if !said(out.Board, "kd: its teacher, first=1, second=0.5, is not one model in memory") {
		t.Errorf("notes %v", out.Board.Snapshot().Notes)
	}

	planned := plannedDistil(t, h, plan)
	var teachers []kd.Teacher
	for _, title := range []string{"train first", "train second"} {
		m, err := folderOpener(artifactDirs(t, h, func(found string) bool { return found == title })[0])()
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		teacher, err := m.Model(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		teachers = append(teachers, kd.NewModelTeacher(teacher, kernels.Float32))
	}
	student, err := planned.from.model(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config := planned.config(student)
	if config.Teacher, err = kd.NewMixture(teachers, [][]float64{{1, 0.5}}); err != nil {
		t.Fatal(err)
	}
	if _, err := kd.Train(t.Context(), config, nil); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := saveModel(t.Context(), dir, student, planned.data, struct{}{}); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("other weights than a mixture trains; %v", err)
	}

	recipes := map[string]string{}
	for _, keys := range []string{
		"teacher: first", "teacher: second", "teachers: \"first=1, second=0.5\"", "teachers: \"first=1, second=1\"", "teachers: \"second=0.5, first=1\"", "teachers: \"first=1, second=0.5\", cache: exact",
	} {
		p := plannedDistil(t, h, of(keys))
		if other, twice := recipes[p.of.Key()]; twice {
			t.Errorf("%s has the recipe of %s", keys, other)
		}
		recipes[p.of.Key()] = keys
	}
	if a, b := plannedDistil(t, h, of("teachers: \"first=2, second=1\"")), planned; a.of.Key() != b.of.Key() {
		t.Error("the recipe depends on the weights' sum")
	}
	if text := string(planned.of.Canonical()); !strings.Contains(text, `"teacher1":"`+planned.teaching.models[0].key) || !strings.Contains(text, `"teacher2":"`+planned.teaching.models[1].key) ||
		!strings.Contains(text, `"weights":["0.6666666666666666","0.3333333333333333"]`) {
		t.Errorf("recipe %s", text)
	}

	if err := removeTitled(h, "distil kd"); err != nil {
		t.Fatal(err)
	}
	mustWork(t, h, of("teachers: \"first=1, second=0.5\", cache: exact"), Options{})
	if !bytes.Equal(titledWeights(t, h, "distil kd"), got) {
		t.Error("a file of the mixture's rows trains another student")
	}
	if r, ok := plan.Cells[0].Point.Steps[2].Work.(*Distil); !ok || len(recipe.Of(r)) == 0 || recipe.Of(r)["teachers"] != nil {
		t.Error("the recipe has the teachers' names")
	}
}

// TestTeachersThatCannotBe are refused when the scenario is loaded, by their names.
func TestTeachersThatCannotBe(t *testing.T) {
	data := sums(t)
	for keys, want := range map[string]string{
		"ce: 0.1":                                                 "step kd has no teacher: expected teacher, teachers or remote",
		`teachers: ""`:                                            "teachers is empty",
		`teachers: "first=1"`:                                     "expected at least two names",
		`teachers: "first=1, secnd=1"`:                            `did you mean "second"`,
		`teachers: "first=1, big=1"`:                              `model "big" is a shape without weights`,
		`teachers: "first=1, kd=1"`:                               "refers to itself",
		`teachers: "first=1, second=0"`:                           "expected a number above 0",
		`teachers: [first, second]`:                               `teachers is "first, second", and "first" is no weight`,
		`teachers: "first, second"`:                               "no weight of a name",
		`teachers: "first=1, second=1", teacher: first`:           "expected one of them",
		`teachers: "first=1, second=1", remote: "http://host/v1"`: "expected one of them",
		`teachers: "first=1, second=1", samples: { fraction: 1, teacher: 1 }`:     "expected one teacher, or answers of the student alone",
		`teachers: "first=1, second=1", samples: { fraction: 1, speculative: 5 }`: "expected one teacher, or answers of the student alone",
		`teachers: "first=1, second=1", samples: { fraction: 1 }, cache: exact`:   "samples are written during the training",
	} {
		_, err := scenario.Parse("test.yaml", []byte(fmt.Sprintf(mixed, data, keys)), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "test.yaml:") {
			t.Errorf("%s: error %v, expected %q", keys, err, want)
		}
	}
	s, err := scenario.Parse("test.yaml", []byte(fmt.Sprintf(mixed, data, `teachers: "first=1, second=1", samples: { fraction: 1 }`)), scenario.Options{Vocabulary: Vocabulary()})
	if err != nil {
		t.Fatal(err)
	}
	if inputs := strings.Join(s.Points[0].Steps[2].Inputs(), " "); !strings.Contains(inputs, "first second") {
		t.Errorf("inputs %s", inputs)
	}
}

// TestHeadsOfSeveralTeachers: unlike ones are named.
func TestHeadsOfSeveralTeachers(t *testing.T) {
	a, b := &artifactModel{name: "a"}, &artifactModel{name: "b"}
	a.shape.Vocab, b.shape.Vocab = 512, 600
	for _, of := range []struct {
		models []*artifactModel
		said   bool
	}{{[]*artifactModel{a, b}, true}, {[]*artifactModel{a, a}, false}, {[]*artifactModel{b}, false}, {nil, false}} {
		r := &Run{Board: lab.NewBoard(), options: Options{Now: clock()}, readOnly: true}
		w := &worker{run: r}
		w.noteHeads("kd", &teaching{models: of.models})
		is := slices.ContainsFunc(r.unlogged, func(e lab.Event) bool {
			return strings.Contains(e.Text, "kd: the teachers' heads have unlike numbers of tokens (a 512, b 600)")
		})
		if is != of.said {
			t.Errorf("%d models: said %v, expected %v", len(of.models), is, of.said)
		}
	}
}

// TestComparedWithTheBaseline: KL and agreement are with the baseline, which a row whose teacher is
// another one says at both, and no other row.
func TestComparedWithTheBaseline(t *testing.T) {
	s, data := serveFixed(t), sums(t)
	text := strings.Replace(fmt.Sprintf(remoteSteps, data, s.folder, s.url, "", ""), "columns: [loss, kl]", "columns: [loss, kl, agreement]", 1)
	text = strings.Replace(text, "evaluate:", `  - distil: { name: mixed, into: small, teachers: "big=1, near=2", steps: 2, batch: 4 }
  - distil: { name: pupil, into: small, teacher: near, steps: 2, batch: 4 }
  - train: { name: sft, into: small, steps: 2, batch: 4 }
evaluate:`, 1)
	out := mustWork(t, newHome(t), parse(t, text, scenario.Options{}), Options{Sleep: noWait})
	want := map[string]string{
		"base": "", "near": "", "sft": "",
		"far":   "compared with base, not with its teacher tiny at " + s.url + "/v1",
		"mixed": "=1, near=2", "pupil": "compared with base, not with its teacher near",
	}
	for _, row := range out.Board.Snapshot().Rows {
		for _, key := range []string{"loss", "kl", "agreement"} {
			of := want[row.Name]
			if key == "loss" {
				of = ""
			}
			m, ok := row.Metric(key)
			others := slices.DeleteFunc(slices.Clone(m.Warnings), func(w string) bool { return w == "4 validation examples" })
			if got := strings.Join(others, "; "); !ok || (got == "") != (of == "") || !strings.HasSuffix(got, of) || got != "" && !strings.HasPrefix(got, "compared with base, not with its teacher ") {
				t.Errorf("%s of %s: %q, expected %q", key, row.Name, m.Warnings, of)
			}
		}
	}
	var table strings.Builder
	if err := report.Text(&table, out.Board.Snapshot(), 120); err != nil || !strings.Contains(table.String(), " compared with base, not with its teacher near\n") {
		t.Errorf("the table lacks the footnote: %v\n%s", err, &table)
	}
}
