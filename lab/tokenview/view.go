package tokenview

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"slimlab/internal/jsonread"
	"slimlab/internal/visible"
)

// View is what two models say of a few examples. Probabilities are those of the whole common
// vocabulary.
type View struct {
	Teacher string `json:"teacher"` // the name of the model that the student is compared with
	Student string `json:"student"`
	// the teacher is the run's baseline: the student was not distilled
	Baseline bool      `json:"baseline,omitempty"`
	Examples []Example `json:"examples"`
}

// Sides names both models: "p: teacher FM   q: student small".
func (v *View) Sides() string {
	if v.Baseline {
		return "p: baseline " + visible.Line(v.Teacher) + "   q: row " + visible.Line(v.Student)
	}
	return "p: teacher " + visible.Line(v.Teacher) + "   q: student " + visible.Line(v.Student)
}

// Example is a prompt with its answer, in tokens.
type Example struct {
	Tokens []Token `json:"tokens"`
	// Cut counts the tokens that the data have beyond these.
	Cut int `json:"cut,omitempty"`
	// what each wrote in place of the first answer, always the likeliest token; nil where that
	// answer is one token, which the likeliest ones say
	Teacher *Sample `json:"teacher,omitempty"`
	Student *Sample `json:"student,omitempty"`
}

// Token is one token of an example.
type Token struct {
	ID   int32     `json:"id"`
	Text Text      `json:"text"`
	At   *Position `json:"at,omitempty"` // what is said of it; nil of a token that is only read
}

// Position is what both say of an answer token.
type Position struct {
	KL          float64     `json:"kl"`           // KL(teacher‖student), in nats
	Teacher     float64     `json:"teacher"`      // probability of the token
	Student     float64     `json:"student"`      // the same
	TeacherRank int         `json:"teacher_rank"` // of the token, from 1: the likeliest
	StudentRank int         `json:"student_rank"`
	Top         []Candidate `json:"top"` // the likeliest of either, by the teacher's probability
}

// Candidate is a token that could stand at a position.
type Candidate struct {
	ID      int32   `json:"id"`
	Text    Text    `json:"text"`
	Teacher float64 `json:"teacher"`
	Student float64 `json:"student"`
}

// Sample is what a model wrote.
type Sample struct {
	Tokens []int32 `json:"tokens"`
	Text   Text    `json:"text"`
	Ended  bool    `json:"ended"` // with an end-of-sequence token; else it came to the most tokens
}

// Text is that of a token, which may be a part of a character. JSON has a text, or a list of bytes
// where it is no UTF-8.
type Text string

// MarshalJSON writes a text, or a list of bytes.
func (t Text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		err := e.Encode(string(t))
		return bytes.TrimSpace(b.Bytes()), err
	}
	list := make([]int, len(t))
	for i := range list {
		list[i] = int(t[i])
	}
	return json.Marshal(list)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *Text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		var list []int
		if err := json.Unmarshal(data, &list); err != nil {
			return err
		}
		b := make([]byte, len(list))
		for i, x := range list {
			if x < 0 || x > 255 {
				return fmt.Errorf("a text has the byte %d, expected 0 to 255", x)
			}
			b[i] = byte(x)
		}
		*t = Text(b)
		return nil
	}
	return json.Unmarshal(data, (*string)(t))
}

// Before is the text before the first answer token, and the number of its tokens.
func (e *Example) Before() (text string, tokens int) {
	var b strings.Builder
	for i := range e.Tokens {
		if e.Tokens[i].At != nil {
			return b.String(), i
		}
		b.WriteString(string(e.Tokens[i].Text))
	}
	return b.String(), len(e.Tokens)
}

// Answers lists the answer tokens.
func (e *Example) Answers() []*Token {
	var list []*Token
	for i := range e.Tokens {
		if e.Tokens[i].At != nil {
			list = append(list, &e.Tokens[i])
		}
	}
	return list
}

// FirstAnswer is where the first answer begins, and how many tokens it has before one that is only
// read.
func (e *Example) FirstAnswer() (begin, n int) {
	for begin < len(e.Tokens) && e.Tokens[begin].At == nil {
		begin++
	}
	for begin+n < len(e.Tokens) && e.Tokens[begin+n].At != nil {
		n++
	}
	return begin, n
}

// Apart reports whether tokens that are only read stand between answer tokens.
func (e *Example) Apart() bool {
	_, n := e.FirstAnswer()
	return n < len(e.Answers())
}

// Answer is the text of the answer tokens, with an ellipsis for what is only read between them.
func (e *Example) Answer() string {
	var b strings.Builder
	apart := false
	for i := range e.Tokens {
		t := &e.Tokens[i]
		switch {
		case t.At == nil:
			apart = b.Len() > 0
			continue
		case apart:
			b.WriteString(" …")
		}
		apart = false
		b.WriteString(string(t.Text))
	}
	return b.String()
}

// MeanKL is the mean divergence over the answer tokens.
func (e *Example) MeanKL() float64 {
	list, sum := e.Answers(), 0.0
	for _, t := range list {
		sum += t.At.KL
	}
	return sum / float64(max(1, len(list)))
}

// Likeliest lists the n likeliest tokens of the teacher, or of the student.
func (p *Position) Likeliest(n int, ofStudent bool) []Candidate {
	list := append([]Candidate(nil), p.Top...)
	if ofStudent {
		sortByStudent(list)
	}
	return list[:min(n, len(list))]
}

// viewFile holds a View within its artifact.
const viewFile = "tokens.json"

// Save writes the view into the folder of its artifact.
func (v *View) Save(folder string) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", viewFile, err)
	}
	return os.WriteFile(filepath.Join(folder, viewFile), append(text, '\n'), 0o644)
}

// Read reads a view from the folder of its artifact.
func Read(folder string) (*View, error) {
	path := filepath.Join(folder, viewFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	v, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

func decode(text []byte) (*View, error) {
	var v View
	if err := jsonread.Decode(text, &v); err != nil {
		return nil, err
	}
	return &v, nil
}
