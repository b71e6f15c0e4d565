package scenario

import (
	"fmt"
	"strings"
)

// String says in one line what the step does.
func (s Step) String() string {
	return s.Name + ": " + s.does()
}

func (s Step) does() string {
	switch w := s.Work.(type) {
	case *Baseline:
		return "measure " + w.Model + " as it is"
	case *Train:
		return fmt.Sprintf("train %s on labels, %d steps of %d", s.subject(w.Into), w.Steps, w.Batch)
	case *Distil:
		return fmt.Sprintf("distil %s into %s by %s, %d steps of %d", w.Teacher, s.subject(w.Into), w.Loss, w.Steps, w.Batch)
	case *Prune:
		var cuts []string
		if w.MLP > 0 {
			cuts = append(cuts, fmt.Sprintf("%g%% of MLP neurons", 100*w.MLP))
		}
		if w.Heads > 0 {
			cuts = append(cuts, fmt.Sprintf("%g%% of KV heads", 100*w.Heads))
		}
		return fmt.Sprintf("prune %s from %s by %s, %d %s samples", strings.Join(cuts, " and "), s.From, w.Method, w.Calibration.Samples, w.Calibration.Source)
	case *Quantize:
		return fmt.Sprintf("quantize %s to %s", s.From, w.Scheme)
	}
	return s.Kind
}

// subject names what is trained: a fresh shape or the step before.
func (s Step) subject(into string) string {
	if into != "" {
		return into
	}
	return s.From
}
