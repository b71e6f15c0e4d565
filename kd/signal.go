package kd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"slimlab/model"
)

// Signal is what a teacher tells a student over one batch, before any step.
type Signal struct {
	Examples   int
	Tokens     int     // prompts included
	Answers    int     // answer tokens
	Masked     int     // answer tokens of weight 0
	Compared   int     // answer tokens at which the teacher has a distribution
	Sampled    int     // examples that the student wrote
	Ended      int     // examples whose last token is an answer, and the end token that was given
	Divergence float64 // mean per answer token that is compared, in nats
	GradNorm   float64 // of the divergence alone
	// Equal says that the teacher is a model with the student's parameters, bit for bit: its
	// divergence is 0 and stays 0 until the student changes.
	Equal bool

	rows, constant, empty int // of the teacher's
}

// ErrNoSignal is in the error of a teacher that teaches nothing.
var ErrNoSignal = errors.New("the teacher teaches nothing")

// Signal measures the teacher's distributions over the batch of step 1 and changes nothing; it has
// no divergence where the objective has none. It is an error, which wraps ErrNoSignal and says why,
// when no gradient comes from a teacher that is not the student itself. end is the token that ends
// an answer; −1 is none. It is for one rank alone.
func (t *Trainer) Signal(ctx context.Context, end int32) (Signal, error) {
	spent, waited := t.spent, t.loss.spent
	s, err := t.signal(ctx, end)
	t.spent, t.loss.spent = spent, waited // which are of steps
	if err != nil {
		return s, fmt.Errorf("first batch: %w", err)
	}
	return s, nil
}

func (t *Trainer) signal(ctx context.Context, end int32) (Signal, error) {
	var s Signal
	batch, err := t.next(ctx, 1)
	if err != nil {
		return s, err
	}
	for i := range batch {
		s.add(&batch[i], end)
		if t.comparer != nil {
			for at, compared := range t.comparer.Compared(&batch[i]) {
				if compared && batch[i].Answer[at] {
					s.Compared++
				}
			}
		}
	}
	if t.comparer == nil && t.config.Objective.needsRows() {
		s.Compared = s.Answers
	}
	if t.config.Teacher == nil {
		return s, nil
	}
	s.Equal = equalModels(t)
	if !t.config.Objective.needsRows() {
		return s, nil
	}
	given, hidden := t.config.Objective, t.hidden
	seen := &seenTeacher{Teacher: t.config.Teacher, signal: &s}
	t.config.Objective.CE, t.config.Objective.Sequence, t.config.Objective.Hidden = 0, 0, HiddenLoss{}
	t.config.Teacher, t.hidden = seen, nil
	t.loss.objective, t.loss.teacher = t.config.Objective, seen
	defer func() {
		t.config.Objective, t.config.Teacher, t.hidden = given, seen.Teacher, hidden
		t.loss.objective, t.loss.teacher = given, seen.Teacher
	}()
	n := t.countOwn(batch)
	if n.answers == 0 {
		return s, fmt.Errorf("%w: %s", ErrNoSignal, s.why())
	}
	total, err := t.gradient(ctx, batch, n)
	if err != nil {
		return s, err
	}
	if n.compared() > 0 {
		s.Divergence = total.divergence / n.compared()
	}
	if s.GradNorm, err = t.gradientNorm(ctx); err != nil {
		return s, err
	}
	if !s.Equal && s.GradNorm == 0 {
		return s, fmt.Errorf("%w: %s", ErrNoSignal, s.why())
	}
	return s, nil
}

func (s *Signal) add(e *Example, end int32) {
	s.Examples++
	if last := len(e.Tokens) - 1; last >= 0 && e.Answer[last] && e.Tokens[last] == end {
		s.Ended++
	}
	s.Tokens += len(e.Tokens)
	if e.Origin == OfStudent {
		s.Sampled++
	}
	for t, answer := range e.Answer {
		if answer {
			s.Answers++
			if e.weight(t) == 0 {
				s.Masked++
			}
		}
	}
}

// why says which of the known reasons a gradient of 0 has.
func (s *Signal) why() string {
	switch {
	case s.Answers == 0:
		return fmt.Sprintf("none of the %d examples has an answer token", s.Examples)
	case s.Masked == s.Answers:
		return fmt.Sprintf("all %d answer tokens are masked, with a weight of 0", s.Answers)
	case s.Compared == 0:
		return fmt.Sprintf("none of the %d answer tokens begins where a token of the teacher does", s.Answers)
	case s.rows > 0 && s.empty == s.rows:
		return fmt.Sprintf("its lists of tokens are empty at all %d answer tokens: its answers were dropped", s.rows)
	case s.rows > 0 && s.constant == s.rows:
		return fmt.Sprintf("its log-probabilities are the same for all tokens, at all %d answer tokens", s.rows)
	}
	return fmt.Sprintf("the gradient of the divergence is 0 at all %d answer tokens", s.Answers)
}

// equalModels reports whether the teacher is a model with the student's parameters.
func equalModels(t *Trainer) bool {
	of, ok := t.config.Teacher.(*ModelTeacher)
	if !ok || of.model.Trainable() != nil {
		return false
	}
	student, teacher := t.config.Student.Parameters(), of.model.Parameters()
	return slices.EqualFunc(student, teacher, func(a, b model.Parameter) bool {
		return a.Name == b.Name && slices.Equal(a.Data, b.Data)
	})
}

// seenTeacher looks at what a teacher answers.
type seenTeacher struct {
	Teacher
	signal *Signal
}

// Rows counts rows that say nothing.
func (t *seenTeacher) Rows(targets []Target, vocab int) (Rows, error) {
	of, err := t.Teacher.Rows(targets, vocab)
	if err != nil {
		return of, err
	}
	t.signal.rows += len(targets)
	rows, width := of.Logits, vocab
	if of.Groups.Of != nil {
		rows, width = of.Groups.LogP, of.Groups.Count
	}
	for i := range targets {
		if rows != nil {
			if row := rows[i*width : (i+1)*width]; slices.Max(row) == slices.Min(row) {
				t.signal.constant++
			}
		} else if of.Starts[i] == of.Starts[i+1] {
			t.signal.empty++
		}
	}
	return of, nil
}
