package run

import (
	"context"
	"errors"
	"fmt"
	"math"

	"slimlab/kd"
	"slimlab/kernels"
	"slimlab/lab/task"
)

// labels is a key that came after models were trained; see Later.
type labels string

// IsZero reports the default.
func (l labels) IsZero() bool { return l == "" || l == "drawn" }

// expectedTeacher is what a task knows of its answers, as a teacher: of each answer token the
// distribution that it was drawn from. It reads tokens and no model.
type expectedTeacher struct {
	task  task.Expecting
	vocab int
	known [][]task.Expectation // of each example of the last Read
	lists kd.Lists
}

// expected is the teacher of a task that knows the probabilities of its answers.
func (d *dataset) expected() (kd.Teacher, error) {
	e, ok := d.Task.(task.Expecting)
	if !ok {
		return nil, keyError{"labels", errors.New("is expected, and the probabilities of this task's answers are not known: expected drawn, or task recsys")}
	}
	return &expectedTeacher{task: e, vocab: d.tokenizer.Vocab()}, nil
}

func (t *expectedTeacher) Vocab() int { return t.vocab }

func (t *expectedTeacher) Positions() int { return 0 }

func (t *expectedTeacher) Prepare(context.Context, []kd.Example) error { return nil }

// Read asks the task about each example.
func (t *expectedTeacher) Read(_ context.Context, r kd.Reading) error {
	t.known = t.known[:0]
	for i := range r.Examples {
		known, err := t.task.Expected(r.Examples[i].Tokens)
		if err != nil {
			return fmt.Errorf("expected labels: %w", err)
		}
		t.known = append(t.known, known)
	}
	return nil
}

// Rows lists what each target can be. A token of probability 0 is as one that is not listed: the
// rest has no mass.
func (t *expectedTeacher) Rows(targets []kd.Target, _ int) (kd.Rows, error) {
	l := &t.lists
	l.Rest, l.Temperature = kernels.RestBucket, 1
	l.Starts, l.IDs, l.TokenLogP, l.LogRest = append(l.Starts[:0], 0), l.IDs[:0], l.TokenLogP[:0], l.LogRest[:0]
	for _, target := range targets {
		known, err := t.at(target)
		if err != nil {
			return kd.Rows{}, err
		}
		for i, p := range known.P {
			if p > 0 {
				l.IDs, l.TokenLogP = append(l.IDs, known.Tokens[i]), append(l.TokenLogP, float32(math.Log(p)))
			}
		}
		l.Starts, l.LogRest = append(l.Starts, int32(len(l.IDs))), append(l.LogRest, float32(math.Inf(-1)))
	}
	return kd.Rows{Lists: *l}, nil
}

func (t *expectedTeacher) at(target kd.Target) (*task.Expectation, error) {
	known := t.known[target.Example]
	for i := range known {
		if known[i].At == target.Token {
			return &known[i], nil
		}
	}
	return nil, fmt.Errorf("expected labels: the task says nothing of the answer token at position %d of example %d of a pass", target.Token, target.Example)
}
