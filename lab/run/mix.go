package run

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/lab/task"
)

// mix is how several teachers are mixed: for all examples alike, or for those of each task.
type mix struct {
	text    string
	names   []string    // of the teachers, in the order in which the lists have them
	weights [][]float64 // of each task and teacher
	tasks   []string    // names by number, nil where all tasks have one list
	by      string      // the field of a file that tasks are from
}

// mix reads the key teachers for the data of the worker's cell. A teacher that no example has is
// left out.
func (w *worker) mix(text string) (*mix, error) {
	lists, err := scenario.ParseWeightings(text)
	if err != nil {
		return nil, err
	}
	m := &mix{text: text}
	tasks := w.data.tasks
	if len(tasks) == 0 {
		tasks = []string{""}
	}
	of := make([]*scenario.Weighting, len(tasks))
	var rest *scenario.Weighting
	for i, list := range lists {
		if list.Task == scenario.AllOthers {
			rest = &lists[i]
			continue
		}
		number, err := w.data.taskNumber(list.Task)
		if err != nil {
			return nil, err
		}
		of[number] = &lists[i]
	}
	var without []string
	unused := rest != nil
	for number := range of {
		switch {
		case of[number] != nil:
		case rest != nil:
			of[number], unused = rest, false
		default:
			without = append(without, taskInText(tasks[number]))
		}
	}
	if without != nil {
		return nil, fmt.Errorf("is %s, and has no list for %s: expected one for each task, or %q for all that are not named", text, few(without), scenario.AllOthers)
	}
	if unused {
		w.run.noteOnce(lab.Warning, fmt.Sprintf("teachers %s: %q stands for no task: each has a list of its own", text, scenario.AllOthers))
	}
	m.fill(lists, of)
	if slices.ContainsFunc(of, func(list *scenario.Weighting) bool { return list != of[0] }) {
		m.tasks, m.by = tasks, w.data.tasksBy
	}
	return m, nil
}

// fill makes the weights of the tasks' lists.
func (m *mix) fill(lists []scenario.Weighting, of []*scenario.Weighting) {
	for i := range lists {
		for _, one := range lists[i].Weights {
			if slices.Contains(of, &lists[i]) && !slices.Contains(m.names, one.Name) {
				m.names = append(m.names, one.Name)
			}
		}
	}
	for _, list := range of {
		weights := make([]float64, len(m.names))
		for _, one := range list.Weights {
			weights[slices.Index(m.names, one.Name)] = one.Value
		}
		m.weights = append(m.weights, weights)
	}
}

// mixtureVersion is raised when the distributions of a mixture change.
const mixtureVersion = 2

// decide adds to a recipe what the weights decide. They are relative; those of tasks that all agree
// are those of all.
func (m *mix) decide(of *recipe.Recipe) {
	of.Parameters["mixture"] = mixtureVersion
	all, same := recipe.Values{}, true
	var first []string
	for task, weights := range m.weights {
		var sum float64
		for _, w := range weights {
			sum += w
		}
		shares := make([]string, len(weights))
		for i, w := range weights {
			shares[i] = strconv.FormatFloat(w/sum, 'g', -1, 64)
		}
		if task == 0 {
			first = shares
		}
		if same = same && slices.Equal(shares, first); m.tasks != nil {
			all[m.tasks[task]] = shares
		}
	}
	if same {
		of.Parameters["weights"] = first
		return
	}
	of.Parameters["weights"] = all
	if m.by != "" {
		of.Parameters["task_field"] = m.by
	}
}

// byTask reports whether what teaches an example depends on its task.
func (m *mix) byTask() bool { return m != nil && m.tasks != nil }

// taskNumber finds a task of the data by its name.
func (d *dataset) taskNumber(name string) (int, error) {
	if len(d.tasks) == 0 {
		if _, file := d.Task.(*task.JSONL); file {
			return 0, fmt.Errorf("has a list for task %q, and nothing says of which task a record is: expected the field's name in task.task_field, or one list for all, such as FM=1, other=0.5", name)
		}
		return 0, fmt.Errorf("has a list for task %q, and the examples of this task are of one kind: expected one list for all, such as FM=1, other=0.5", name)
	}
	if number := slices.Index(d.tasks, name); number >= 0 && name != "" {
		return number, nil
	}
	if d.recsys != nil {
		if _, heldOut := task.TaskNames(); slices.Contains(heldOut, name) {
			return 0, fmt.Errorf("has a list for task %q, which is held out, so that no example is learned: expected those of %s", name, few(d.tasks))
		}
	}
	named := slices.DeleteFunc(slices.Clone(d.tasks), func(name string) bool { return name == "" })
	return 0, nearest.Unknown("has a list for an unknown task", name, named)
}

// taskInText is a task as errors have it.
func taskInText(task string) string {
	if task == "" {
		return "the records without a task"
	}
	return strconv.Quote(task)
}

// few lists texts, the first of many.
func few(texts []string) string {
	const most = 12
	list := strings.Join(texts[:min(most, len(texts))], ", ")
	if len(texts) > most {
		list += fmt.Sprintf(" and %d more", len(texts)-most)
	}
	return list
}
