package task

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/plural"
)

// readTask reads the field that says of which task a record is: a text or a number.
func (r *recordReader) readTask(object map[string]json.RawMessage, record *Record) (err error) {
	name := r.cfg.TaskField
	if raw := object[name]; name == "" || len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	if record.Task, err = named(object, name, "a task"); err != nil {
		return err
	}
	if strings.TrimSpace(record.Task) == "" {
		return fmt.Errorf("field %q is empty, expected a text or a number that names a task, or no such field", name)
	}
	r.ofTask++
	return nil
}

// nameTasks numbers the tasks of a file's records, in the order of their names: first "" where some
// have none.
func (d *Records) nameTasks(all []Record) {
	if d.cfg.TaskField == "" {
		return
	}
	records := map[string]int{}
	for i := range all {
		if records[all[i].Task]++; records[all[i].Task] == 1 {
			d.tasks = append(d.tasks, all[i].Task)
		}
	}
	slices.Sort(d.tasks)
	var counts []string
	for _, name := range d.tasks[:min(mostTasksNoted, len(d.tasks))] {
		counts = append(counts, fmt.Sprintf("%d of %s", records[name], nameTask(name)))
	}
	if more := len(d.tasks) - len(counts); more > 0 {
		counts = append(counts, fmt.Sprintf("others of %s", plural.Of(more, "more task")))
	}
	d.notes = append(d.notes, fmt.Sprintf("%s: tasks by %q: %s", d.name, d.cfg.TaskField, strings.Join(counts, ", ")))
}

// mostTasksNoted is how many tasks a note counts.
const mostTasksNoted = 12

// nameTask is a task in texts.
func nameTask(name string) string {
	if name == "" {
		return "no task"
	}
	return fmt.Sprintf("%q", name)
}

// Tasks are the names of the records' tasks by number, "" that of records without one; nil where
// the configuration names no field.
func (d *Records) Tasks() []string { return d.tasks }
