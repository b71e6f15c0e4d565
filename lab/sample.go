package lab

import (
	"fmt"
	"unicode/utf8"
)

// Writer says who wrote a sample.
type Writer string

const (
	ByStudent Writer = "student" // the model that is trained
	ByTeacher Writer = "teacher"
	ByBoth    Writer = "both" // the student, of whose tokens the teacher has replaced some
)

// Sample is an answer that a model wrote during a training. Its texts have no control characters
// but line ends and tabs, and are cut where they are long.
type Sample struct {
	Prompt string `msgpack:"p" json:"prompt"` // its end, where it is cut
	Answer string `msgpack:"a" json:"answer"` // its beginning, where it is cut
	// characters that are cut from each
	PromptCut int    `msgpack:"x,omitempty" json:"prompt_cut,omitempty"`
	AnswerCut int    `msgpack:"y,omitempty" json:"answer_cut,omitempty"`
	Tokens    int    `msgpack:"n" json:"tokens"` // of the answer, its end token included
	Ended     bool   `msgpack:"e,omitempty" json:"ended"`
	By        Writer `msgpack:"b" json:"by"`
}

// Bounds of a sample's texts, in characters.
const (
	SamplePrompt = 200
	SampleAnswer = 400
)

// Cut cuts the sample's texts to their bounds: a prompt keeps its end, which the answer follows.
func (s *Sample) Cut() {
	if n := utf8.RuneCountInString(s.Prompt); n > SamplePrompt {
		s.Prompt, s.PromptCut = string([]rune(s.Prompt)[n-SamplePrompt:]), s.PromptCut+n-SamplePrompt
	}
	if n := utf8.RuneCountInString(s.Answer); n > SampleAnswer {
		s.Answer, s.AnswerCut = string([]rune(s.Answer)[:SampleAnswer]), s.AnswerCut+n-SampleAnswer
	}
}

// Check reports a sample that is none, or whose texts are longer than their bounds.
func (s *Sample) Check() error {
	switch prompt, answer := utf8.RuneCountInString(s.Prompt), utf8.RuneCountInString(s.Answer); {
	case prompt > SamplePrompt || answer > SampleAnswer:
		return fmt.Errorf("a sample of %d and %d characters, expected up to %d and %d", prompt, answer, SamplePrompt, SampleAnswer)
	case s.PromptCut < 0 || s.AnswerCut < 0 || s.Tokens < 0:
		return fmt.Errorf("a sample of %d tokens, %d and %d characters cut, expected no number below 0", s.Tokens, s.PromptCut, s.AnswerCut)
	case s.By != ByStudent && s.By != ByTeacher && s.By != ByBoth:
		return fmt.Errorf("a sample by %q, expected %s, %s or %s", s.By, ByStudent, ByTeacher, ByBoth)
	}
	return nil
}

// NoSamples says why a run has no sample.
func (v *View) NoSamples() string {
	sampled := false
	for i := range v.Cells {
		for j := range v.Cells[i].Series {
			sampled = sampled || CurveOf(v.Cells[i].Series[j].Name).Key == "ended"
		}
	}
	switch {
	case sampled:
		return "an earlier version trained its models, which kept none"
	case !v.State.Over():
		return "none is written yet; steps that distil write some, with samples: { fraction: 1 }"
	}
	return "none of its steps learns from sampled answers, as one that distils does with samples: { fraction: 1 }"
}
