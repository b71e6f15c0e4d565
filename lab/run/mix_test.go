package run

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/scenario"
)

// twoTasks writes records of two tasks; some are in both.
func twoTasks(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for i := range 60 {
		fmt.Fprintf(&text, `{"prompt": "what comes after %d? ", "response": "after %d comes %d", "of": %q}`+"\n", i/4, i/4, i/4+1, []string{"add", "count"}[i%2])
	}
	path := filepath.Join(t.TempDir(), "two.jsonl")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// byTasks is a student of two teachers on records with tasks.
func byTasks(path, taskKeys, keys string) string {
	text := fmt.Sprintf(mixed, path, keys)
	return strings.Replace(text, "max_tokens: 64", "max_tokens: 64"+taskKeys, 1)
}

// switched has the rows of the teacher of each example's task.
type switched struct {
	kd.Teacher // of the first task
	other      kd.Teacher
	examples   []kd.Example
}

func (s *switched) Read(ctx context.Context, r kd.Reading) error {
	s.examples = r.Examples
	if err := s.other.Read(ctx, r); err != nil {
		return err
	}
	return s.Teacher.Read(ctx, r)
}

func (s *switched) Rows(targets []kd.Target, vocab int) (kd.Rows, error) {
	rows, err := s.other.Rows(targets, vocab)
	if err != nil {
		return rows, err
	}
	other := slices.Clone(rows.Logits)
	if rows, err = s.Teacher.Rows(targets, vocab); err != nil {
		return rows, err
	}
	for i, t := range targets {
		if s.examples[t.Example].Task == 1 {
			copy(rows.Logits[i*vocab:(i+1)*vocab], other[i*vocab:])
		}
	}
	return rows, nil
}

// teacherOf is a trained model of a home as a teacher.
func teacherOf(t *testing.T, h *home.Home, title string) kd.Teacher {
	t.Helper()
	opened, err := folderOpener(artifactDirs(t, h, func(found string) bool { return found == title })[0])()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	m, err := opened.Model(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return kd.NewModelTeacher(m, kernels.Float32)
}

// TestTeachersByTask: with all weight on one teacher for each task, training has the bits of one
// where that teacher alone is asked about the task's examples; from a file of the rows too, where
// equal records of two tasks have rows of their own.
func TestTeachersByTask(t *testing.T) {
	h, path := newHome(t), twoTasks(t)
	const keys = `teachers: { add: first=2, count: second=1 }`
	plan := parse(t, byTasks(path, ", task_field: of", keys), scenario.Options{})
	out := mustWork(t, h, plan, Options{})
	got := titledWeights(t, h, "distil kd")
	if !said(out.Board, `two.jsonl: tasks by "of": 30 of "add", 30 of "count"`) || !said(out.Board, "kd: its teacher, add: first=2; count: second=1, is not one model in memory") {
		t.Errorf("notes %v", out.Board.Snapshot().Notes)
	}
	planned := plannedDistil(t, h, plan)
	student, err := planned.from.model(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config := planned.config(student)
	config.Teacher = &switched{Teacher: teacherOf(t, h, "train first"), other: teacherOf(t, h, "train second")}
	if _, err := kd.Train(t.Context(), config, nil); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := saveModel(t.Context(), dir, student, planned.data, struct{}{}); err != nil {
		t.Fatal(err)
	}
	if want, err := os.ReadFile(filepath.Join(dir, "model.safetensors")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other weights than where each teacher is asked about its task; %v", err)
	}
	if err := removeTitled(h, "distil kd"); err != nil {
		t.Fatal(err)
	}
	mustWork(t, h, parse(t, byTasks(path, ", task_field: of", keys+", cache: exact"), scenario.Options{}), Options{})
	if !bytes.Equal(titledWeights(t, h, "distil kd"), got) {
		t.Error("a file of the rows trains another student")
	}
}

// TestKeysOfTeachersByTask: a recipe depends on what teaches the examples of which task, and on
// nothing of how the scenario says it.
func TestKeysOfTeachersByTask(t *testing.T) {
	h, path := newHome(t), twoTasks(t)
	mustWork(t, h, parse(t, byTasks(path, "", "teacher: first"), scenario.Options{}), Options{})
	key := func(taskKeys, keys string) string {
		planned := plannedDistil(t, h, parse(t, byTasks(path, taskKeys, keys), scenario.Options{}))
		return planned.of.Key()
	}
	const of = ", task_field: of"
	for name, group := range map[string][][2]string{
		"all alike": {
			{"", `teachers: "first=1, second=0.5"`}, {of, `teachers: "first=1, second=0.5"`}, {of, `teachers: { "*": "first=2, second=1" }`},
			{of, `teachers: { add: "first=1, second=0.5", count: "first=2, second=1" }`},
		},
		"one of each": {
			{of, `teachers: { add: first=1, count: second=1 }`}, {of, `teachers: { add: first=1, "*": second=3 }`}, {of, `teachers: "add: first=1; count: second=1"`},
		},
		"the other of each":  {{of, `teachers: { add: second=1, count: first=1 }`}},
		"one, and a mixture": {{of, `teachers: { add: first=1, "*": "first=1, second=1" }`}},
		"one teacher":        {{"", "teacher: first"}, {of, `teachers: { add: first=1, count: first=1, "*": second=1 }`}},
	} {
		want := key(group[0][0], group[0][1])
		for _, c := range group[1:] {
			if got := key(c[0], c[1]); got != want {
				t.Errorf("%s: %s has another key than %s", name, c[1], group[0][1])
			}
		}
		for other, rest := range map[string][2]string{"all alike": {of, `teachers: { "*": "first=2, second=1" }`}, "one of each": {of, `teachers: { add: first=1, count: second=1 }`}} {
			if other != name && key(rest[0], rest[1]) == want {
				t.Errorf("%s has the key of %s", name, other)
			}
		}
	}
}

// TestTeachersOfRecsys: the tasks of the ranking world, which a single list is for all of.
func TestTeachersOfRecsys(t *testing.T) {
	const text = `
name: mixed
task: { kind: recsys, members: 40, candidates: 2 }
models:
  a: { load: %q }
  b: { load: %q }
  little: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 16 }
pipeline:
  - distil: { name: kd, into: little, teachers: %s, steps: 2, batch: 8 }
evaluate: { validation: 8 }
columns: [auc]
`
	model := fixedModel(t)
	for _, keys := range []string{`"a=1, b=1"`, `{ like feed: a=1, "*": b=1 }`, `"like feed: a=1; *: a=1, b=3"`} {
		_, notes := worked(t, fmt.Sprintf(text, model, model, keys))
		if !strings.Contains(notes, "kd: its teacher") {
			t.Errorf("%s: notes %s", keys, notes)
		}
	}
	for keys, want := range map[string]string{
		`{ lke feed: a=1, "*": b=1 }`:     `teachers has a list for an unknown task "lke feed": expected one of like feed, `,
		`{ share mail: a=1, "*": b=1 }`:   `has a list for task "share mail", which is held out`,
		`{ like feed: a=1, "* ": "b=1" }`: `unknown task`,
		`{ like feed: "a=1, b=1" }`:       "and has no list for \"",
	} {
		_, _, err := Check(t.Context(), newHome(t), parse(t, fmt.Sprintf(text, model, model, keys), scenario.Options{}))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "test.yaml:9:") {
			t.Errorf("%s: error %v, expected %q", keys, err, want)
		}
	}
}

// TestTasksOfTeachersThatCannotBe are refused by name: when the scenario is loaded, or when it is
// planned and the tasks are known.
func TestTasksOfTeachersThatCannotBe(t *testing.T) {
	path := twoTasks(t)
	const of = ", task_field: of"
	for _, c := range []struct{ taskKeys, keys, want string }{
		{of, `teachers: {}`, "teachers is empty"},
		{of, `teachers: { add: first=1 }`, "at least two names"},
		{of, `teachers: { add: first=1, count: first=2 }`, "at least two names"},
		{of, `teachers: { add: first=1, count: }`, `teachers of task "count" is nothing, expected weights such as FM=1`},
		{of, `teachers: { add: first=1, count: [second] }`, `teachers of task "count" is "second", and "second" is no weight of a name`},
		{of, `teachers: { add: first=1, count: second }`, `teachers of task "count" is "second", and "second" is no weight of a name`},
		{of, `teachers: { add: first=1, count: "" }`, `teachers of task "count" is "", and "" is no weight`},
		{of, `teachers: { add: first=1, "": second=1 }`, "has a task without a name"},
		{of, `teachers: { add: "first=1, first=2", count: second=1 }`, `teachers of task "add" is "first=1, first=2", and has first twice`},
		{of, `teachers: { add: first=1, count: second=0 }`, "expected a number above 0"},
		{of, `teachers: { add: first=1, count: secnd=1 }`, `did you mean "second"`},
		{of, `teachers: "add: first=1; add: second=1"`, `has task "add" twice`},
		{of, `teachers: { add: first=1, count: second=1 }, teacher: first`, "expected one of them"},
		{of, `teachers: { add: first=1, cuont: second=1 }`, `teachers has a list for an unknown task "cuont": expected one of add, count, did you mean "count"?`},
		{of, `teachers: { add: "first=1, second=1" }`, `and has no list for "count": expected one for each task, or "*" for all that are not named`},
		{"", `teachers: { add: first=1, count: second=1 }`, "expected the field's name in task.task_field"},
		{", task_field: off", `teachers: "first=1, second=1"`, `task_field is "off", and none of 60 records has it, did you mean "of"?`},
	} {
		s, err := scenario.Parse("test.yaml", []byte(byTasks(path, c.taskKeys, c.keys)), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil {
			_, _, err = Check(t.Context(), newHome(t), s.Plan())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "test.yaml:") {
			t.Errorf("%s: error %v, expected %q", c.keys, err, c.want)
		}
	}
	text := strings.Replace(onChains, "pipeline:\n", "pipeline:\n  - train: { name: second, into: little, steps: 3, batch: 4 }\n", 1)
	text = strings.Replace(text, "evaluate:", "  - distil: { name: kd, into: little, teachers: { chains: first=1, \"*\": second=1 }, steps: 1 }\nevaluate:", 1)
	if _, _, err := Check(t.Context(), newHome(t), parse(t, text, scenario.Options{})); err == nil || !strings.Contains(err.Error(), `has a list for task "chains", and the examples of this task are of one kind: expected one list for all`) {
		t.Errorf("a task without tasks: %v", err)
	}
}

// TestTeachersByTaskInTexts: a mapping and a text are one, as settings show it; overrides and the
// sweep change either.
func TestTeachersByTaskInTexts(t *testing.T) {
	path := twoTasks(t)
	const want = `add: first=1; "a: b": second=1, first=2`
	for keys, set := range map[string][]string{
		`teachers: { add: first=1, "a: b": "second=1, first=2" }`: nil,
		`teachers: 'add: first=1; "a: b": second=1, first=2'`:     nil,
		`ce: 0.1`: {`kd.teachers={ add: first=1, "a: b": "second=1, first=2" }`},
		`teachers: { add: first=9, "a: b": "second=1, first=2" }`:      {"kd.teachers.add=first=1"},
		`teachers: { add: "first=${w}", "a: b": "second=1, first=2" }`: {"sweep.w=[1, 2]"},
	} {
		s, err := scenario.Parse("test.yaml", []byte(byTasks(path, ", task_field: of", keys)), scenario.Options{Vocabulary: Vocabulary(), Set: set})
		if err != nil {
			t.Errorf("%s: %v", keys, err)
			continue
		}
		step := s.Points[0].Steps[2]
		if !slices.Contains(step.Settings(), scenario.Setting{Key: "teachers", Value: want}) || !strings.Contains(step.String(), want) {
			t.Errorf("%s: %s, settings %v", keys, step, step.Settings())
		}
		if inputs := strings.Join(step.Inputs(), " "); !strings.Contains(inputs, "first second") {
			t.Errorf("%s: inputs %s", keys, inputs)
		}
	}
}

// TestTeacherOfNoTask: "*" beside lists for all tasks is said to be of none, and only there.
func TestTeacherOfNoTask(t *testing.T) {
	for list, want := range map[string]bool{`add: first=1, count: first=1, "*": second=1`: true, `add: first=1, "*": second=1`: false} {
		plan := parse(t, byTasks(twoTasks(t), ", task_field: of", "teachers: { "+list+" }"), scenario.Options{})
		r := &Run{home: newHome(t), plan: plan, Board: lab.NewBoard(), options: Options{Now: clock()}, readOnly: true}
		t.Cleanup(r.letGo)
		w := &worker{run: r, cell: &plan.Cells[0]}
		if _, err := w.plan(t.Context()); err != nil {
			t.Fatal(err)
		}
		said := slices.ContainsFunc(r.unlogged, func(e lab.Event) bool {
			return strings.Contains(e.Text, `"*" stands for no task: each has a list of its own`)
		})
		if said != want {
			t.Errorf("%s: notes %v", list, r.unlogged)
		}
	}
}
