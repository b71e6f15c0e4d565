package task

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// ofTasks writes records with a field "of", by its JSON; "" is none.
func ofTasks(tasks ...string) string {
	var text strings.Builder
	for i, task := range tasks {
		if task != "" {
			task = `, "of": ` + task
		}
		fmt.Fprintf(&text, `{"prompt": "p%d", "response": "r"%s}`+"\n", i, task)
	}
	return text.String()
}

// TestTasksOfRecords: tasks are numbered in the order of their names, whatever that of the records;
// those without one come first. They change no example.
func TestTasksOfRecords(t *testing.T) {
	var tasks []string
	for range 20 {
		tasks = append(tasks, `"b"`, `7`, "", `"a"`, "null")
	}
	path := writeFile(t, ofTasks(tasks...))
	plain, err := NewJSONL(t.Context(), DefaultJSONL(path), byteEncoder{}, endOfText, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultJSONL(path)
	cfg.TaskField = "of"
	j, err := NewJSONL(t.Context(), cfg, byteEncoder{}, endOfText, nil)
	if err != nil || !slices.Equal(j.Tasks(), []string{"", "7", "a", "b"}) || plain.Tasks() != nil {
		t.Fatalf("tasks %q, without a field %q, %v", j.Tasks(), plain.Tasks(), err)
	}
	seen := map[int]int{}
	for i := range j.TrainSize() {
		e, same := j.Train(1, i), plain.Train(1, i)
		if !slices.Equal(e.Tokens, same.Tokens) || same.Task != 0 {
			t.Errorf("example %d: %v, without a field %v", i, e, same)
		}
		var number int
		if _, err := fmt.Sscanf(string(runes(e.Tokens)), "p%d", &number); err != nil {
			t.Fatal(err)
		}
		if want := []int{3, 1, 0, 2, 0}[number%5]; e.Task != want {
			t.Errorf("record %d is of task %d, expected %d", number, e.Task, want)
		}
		seen[e.Task]++
	}
	if len(seen) != 4 {
		t.Errorf("examples by task: %v", seen)
	}
	if want := `tasks by "of": 40 of no task, 20 of "7", 20 of "a", 20 of "b"`; !slices.ContainsFunc(j.Notes(), func(n string) bool { return strings.HasSuffix(n, want) }) {
		t.Errorf("notes %q", j.Notes())
	}
	if slices.ContainsFunc(j.Notes(), func(n string) bool { return strings.Contains(n, "not read") }) {
		t.Errorf("the field is said not to be read: %q", j.Notes())
	}
}

// TestManyTasksOfRecords are counted in a note of a few.
func TestManyTasksOfRecords(t *testing.T) {
	var tasks []string
	for i := range 30 {
		tasks = append(tasks, fmt.Sprint(10+i))
	}
	cfg := DefaultJSONL(writeFile(t, ofTasks(tasks...)))
	cfg.TaskField = "of"
	d, err := ReadJSONL(t.Context(), cfg)
	if err != nil || !slices.ContainsFunc(d.Notes(), func(n string) bool { return strings.HasSuffix(n, `1 of "21", others of 18 more tasks`) }) {
		t.Errorf("notes %q, %v", d.Notes(), err)
	}
}

// TestTasksThatCannotBe are errors of their line, or of the field that no record has.
func TestTasksThatCannotBe(t *testing.T) {
	for task, want := range map[string]string{
		`[1]`:  `:4: field "of" is [1], expected a text or a number that names a task`,
		`true`: `:4: field "of" is true, expected a text or a number`,
		`" "`:  `:4: field "of" is empty, expected a text or a number that names a task, or no such field`,
	} {
		cfg := DefaultJSONL(writeFile(t, ofTasks("1", "", "2", task, "3")))
		cfg.TaskField = "of"
		if _, err := ReadJSONL(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", task, err, want)
		}
	}
	cfg := DefaultJSONL(writeFile(t, ofTasks("1", "2", "3")))
	cfg.TaskField = "off"
	if _, err := ReadJSONL(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), `task_field is "off", and none of 3 records has it, did you mean "of"?`) {
		t.Errorf("a field that no record has: %v", err)
	}
}
