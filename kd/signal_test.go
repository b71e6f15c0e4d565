package kd

import (
	"errors"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
)

// constantTeacher answers with one log-probability for all tokens; emptyTeacher with lists that
// hold none.
type constantTeacher struct{ Teacher }

func (t constantTeacher) Rows(targets []Target, vocab int) (Rows, error) {
	logits := make([]float32, len(targets)*vocab)
	for i := range logits {
		logits[i] = 3
	}
	return Rows{Logits: logits}, nil
}

type emptyTeacher struct{ Teacher }

func (t emptyTeacher) Rows(targets []Target, _ int) (Rows, error) {
	return Rows{Lists: Lists{Starts: make([]int32, len(targets)+1), Rest: kernels.RestSampled, Temperature: 1}}, nil
}

// TestSignal: what a teacher tells over the first batch; a teacher that tells nothing is an error
// that says why, but for the student's equal, whose divergence is exactly 0. The training goes on
// as if it had not been measured.
func TestSignal(t *testing.T) {
	student, teacher := tinyModel(t, tinyConfig(13, 8), 1), tinyModel(t, tinyConfig(13, 12), 2)
	uniform := student.Clone()
	clear(uniform.FinalNorm)
	uniform.Changed()
	examples := tinyExamples(5, 13, 6)
	masked, unanswered := tinyExamples(5, 13, 6), tinyExamples(5, 13, 6)
	for i := range masked {
		masked[i].Weights = make([]float32, len(masked[i].Tokens))
		unanswered[i].Answer = make([]bool, len(unanswered[i].Tokens))
	}
	for _, c := range []struct {
		what     string
		student  *model.Model
		teacher  Teacher
		examples []Example
		want     string
	}{
		{"a teacher", student, inMemory(teacher), examples, ""},
		{"the student's equal", student, inMemory(student.Clone()), examples, ""},
		{"a student that is as constant", uniform, constantTeacher{inMemory(teacher)}, examples, "the same for all tokens, at all"},
		{"dropped answers", student, emptyTeacher{inMemory(teacher)}, examples, "its answers were dropped"},
		{"masks", student, inMemory(teacher), masked, "answer tokens are masked"},
		{"no answers", student, inMemory(teacher), unanswered, "none of the 5 examples has an answer token"},
	} {
		o := Objective{Divergence: ForwardKL, CE: 0.1, Sequence: 0.05}
		config := TrainConfig{Student: c.student.Clone(), Teacher: c.teacher, Objective: o, Next: fixed(c.examples...), Steps: 1, LearningRate: 1e-3}
		tr, err := NewTrainer(config)
		if err != nil {
			t.Fatal(err)
		}
		s, err := tr.Signal(t.Context(), examples[0].Tokens[len(examples[0].Tokens)-1])
		if tr.Spent() != (Spent{}) {
			t.Errorf("%s: the steps have spent %v before the first", c.what, tr.Spent())
		}
		if c.want == "" {
			if err != nil || s.Equal != (c.what == "the student's equal") || (s.Divergence == 0) != s.Equal || (s.GradNorm == 0) != s.Equal {
				t.Errorf("%s: %+v, %v", c.what, s, err)
			}
			if s.Examples != 5 || s.Answers == 0 || s.Tokens <= s.Answers {
				t.Errorf("%s: %+v", c.what, s)
			}
		} else if !errors.Is(err, ErrNoSignal) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.what, err, c.want)
			continue
		}
		if c.what == "no answers" {
			continue
		}
		plain := config
		plain.Student = c.student.Clone()
		if _, err := Train(t.Context(), plain, nil); err != nil && c.want == "" {
			t.Fatal(err)
		}
		if _, err := tr.Step(t.Context()); err != nil && c.want == "" {
			t.Fatal(err)
		}
		if !sameBits(plain.Student.Flat(), config.Student.Flat()) {
			t.Errorf("%s: measuring changes the training", c.what)
		}
	}
}
