package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"slimlab/lab"
)

// TestSamples: text says of each sample where it was written, by whom and how it ends, on lines
// without control characters; JSON has all that is known. A run without one says why.
func TestSamples(t *testing.T) {
	events := []lab.Event{{Kind: lab.KindBegin, Begin: &lab.Begin{Run: "r1", Rows: []string{"one", "two"}, Cells: []lab.Cell{{ID: "seed=1", Seed: 1}, {ID: "seed=2", Seed: 2}}}}}
	add := func(cell, stage string, step int, s lab.Sample) {
		events = append(events, lab.Event{Kind: lab.KindSample, Time: 2, Cell: cell, Stage: stage, Step: step, Sample: &s})
	}
	add("seed=1", "one", 1, lab.Sample{Prompt: "1+1=\n", Answer: "2\n\x1b[31m", Tokens: 3, Ended: true, By: lab.ByTeacher})
	add("seed=1", "one", 1, lab.Sample{Prompt: "what", PromptCut: 1, Answer: "日本", AnswerCut: 9, Tokens: 11, By: lab.ByStudent})
	add("seed=1", "two", 4, lab.Sample{Prompt: "p", Tokens: 1, Ended: true, By: lab.ByBoth})
	add("seed=2", "one", 7, lab.Sample{Prompt: "p", Answer: "a", Tokens: 2, Ended: true, By: lab.ByStudent})
	view := lab.Fold(events).Snapshot()
	const want = `one of seed=1
  step 1, teacher, 3 tokens, ended
    prompt  1+1=
    answer  2\n\x1b[31m
  step 1, student, 11 tokens, no end
    prompt  (1 character before) … what
    answer  日本 … (9 characters more)

two of seed=1
  step 4, student and teacher, 1 token, ended
    prompt  p
    answer  (nothing: it ends at once)

one of seed=2
  step 7, student, 2 tokens, ended
    prompt  p
    answer  a
`
	var b bytes.Buffer
	if err := WriteSamples("table", &b, view); err != nil || b.String() != want {
		t.Errorf("%v\n%s\nexpected\n%s", err, &b, want)
	}
	if i := strings.IndexFunc(b.String(), func(r rune) bool { return unicode.IsControl(r) && r != '\n' }); i >= 0 {
		t.Errorf("control character at %d", i)
	}
	b.Reset()
	if err := WriteSamples("json", &b, view); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Schema, Run, None string
		Samples           []struct {
			Cell, Stage, By, Prompt string
			Step, Tokens            int
			Time                    float64
			Ended                   bool
			PromptCut               int `json:"prompt_cut"`
		}
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil || doc.Schema != samplesSchema || doc.Run != "r1" || doc.None != "" || len(doc.Samples) != 4 {
		t.Fatalf("%v: %s", err, &b)
	}
	if s := doc.Samples[1]; s.Cell != "seed=1" || s.Stage != "one" || s.By != "student" || s.Step != 1 || s.Tokens != 11 || s.Time != 2 || s.Ended || s.PromptCut != 1 {
		t.Errorf("%+v", s)
	}
	for _, format := range SampleFormats() {
		b.Reset()
		if err := WriteSamples(format, &b, lab.Fold(events[:1]).Snapshot()); err != nil || !strings.Contains(b.String(), "none is written yet") {
			t.Errorf("%s without a sample: %v, %s", format, err, &b)
		}
	}
	if err := WriteSamples("csv", &b, view); err == nil || !strings.Contains(err.Error(), "expected one of table, json") {
		t.Errorf("csv: %v", err)
	}
}
