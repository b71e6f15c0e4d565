package task

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"slimlab/internal/jsonread"
	"slimlab/internal/plural"
	"slimlab/lab/datafile"
)

// takeTest takes the records of the test share out: those whose prompts have the last places.
func (d *Records) takeTest(all []Record) (rest []Record, err error) {
	if d.cfg.TestShare == 0 {
		return all, nil
	}
	for _, r := range all {
		if r.place(d.cfg.SplitSeed) >= 1-d.cfg.TestShare {
			d.test = append(d.test, r)
		} else {
			rest = append(rest, r)
		}
	}
	if len(d.test) == 0 || len(rest) == 0 {
		return nil, fmt.Errorf("%s: %d of %d records fall to the test share of %v, expected some and not all: take another share, or a file of test records", d.name, len(d.test), len(all), d.cfg.TestShare)
	}
	return rest, nil
}

// readTest reads the file of test records, whose fields are those of the training file.
func (d *Records) readTest(ctx context.Context) error {
	file, err := datafile.Open(ctx, d.cfg.TestPath)
	if err != nil {
		return err
	}
	defer file.Close()
	file.HeldOut()
	reader := recordReader{cfg: d.cfg, use: d.use}
	reader.cfg.Limit = 0
	all, err := reader.readRecords(file)
	if err != nil {
		return err
	}
	if d.test, err = reader.dropUnlearned(file.Name(), all); err != nil {
		return err
	}
	if d.testContent, err = file.Sum(); err != nil {
		return err
	}
	if (d.test[0].Messages != nil) != d.Conversations() {
		return fmt.Errorf("%s: found records of another form than those of %s", file.Name(), d.name)
	}
	known := map[string]bool{}
	for _, r := range d.train {
		known[r.subject()] = true
	}
	seen := 0
	for _, r := range d.test {
		if known[r.subject()] {
			seen++
		}
	}
	d.notes = append(d.notes, file.Notes()...)
	d.notes = append(d.notes, fmt.Sprintf("%s: %s", file.Name(), plural.Of(len(d.test), "test record")))
	d.notes = append(d.notes, reader.weightNotes(file.Name(), len(all))...)
	if seen > 0 {
		d.notes = append(d.notes, fmt.Sprintf("%s: %s %s among those of training too, so that a model may know their answers", file.Name(), plural.Words(seen, "the prompt of 1 test record", fmt.Sprintf("the prompts of %d test records", seen)), plural.Verb(seen)))
	}
	return nil
}

// TestContent is the hexadecimal SHA-256 of the file of test records, "" where there is none.
func (d *Records) TestContent() string { return d.testContent }

// subject is what a record is split by: its prompt, or its text.
func (r Record) subject() string {
	if r.Whole {
		return r.Response
	}
	return r.Prompt + string(r.Messages)
}

func (r Record) place(seed uint64) float64 { return place(r.subject(), seed) }

// named reads the name of something, such as "a group": a text or a number.
func named(object map[string]json.RawMessage, name, of string) (string, error) {
	raw, ok := object[name]
	switch {
	case !ok:
		return "", missingField(object, name)
	case raw[0] == '"':
		return textField(object, name)
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		return string(raw), nil
	}
	return "", fmt.Errorf("field %q is %s, expected a text or a number that names %s", name, jsonread.Clip(raw), of)
}

// Test returns the test examples.
func (j *JSONL) Test() []Example { return firstOf(j.examples[3], 0) }

// Answers is the test set, or the validation set where there is none, as prompts with one of two
// answers; nil where the file's responses are not one of two texts.
func (j *JSONL) Answers() *Answers { return j.answers }

// responses are the different responses of the records, at most three, in the order of texts.
func (d *Records) responses() (texts []string) {
	for _, r := range slices.Concat(d.train, d.validation, d.calibration, d.test) {
		if r.Whole || r.Messages != nil {
			return nil
		}
		if !slices.Contains(texts, r.Response) {
			if texts = append(texts, r.Response); len(texts) > 2 {
				break
			}
		}
	}
	slices.Sort(texts)
	return texts
}

// findAnswers makes the test set of a file whose responses are one of two texts. A prompt goes on
// to the first token in which the two differ, which is what its score is of.
func (j *JSONL) findAnswers(enc Encoder, before []int32, eos int32) error {
	texts := j.responses()
	if len(texts) != 2 {
		if j.cfg.GroupField != "" {
			j.notes = append(j.notes, fmt.Sprintf("%s: group_field %s is not used: the responses are not one of two texts, so nothing is ranked", j.name, j.cfg.GroupField))
		}
		return nil
	}
	var answers [2][]int32
	for i, text := range texts {
		c, err := j.segments(Record{Response: text}, nil)
		if err != nil {
			return err
		}
		answers[i] = append(enc.Encode(c.segments[1].text), eos)
	}
	same := 0
	for same < min(len(answers[0]), len(answers[1])) && answers[0][same] == answers[1][same] {
		same++
	}
	if same == min(len(answers[0]), len(answers[1])) {
		j.notes = append(j.notes, fmt.Sprintf("%s: the responses %.40q and %.40q are the same tokens up to the end of one: nothing is ranked", j.name, texts[0], texts[1]))
		return nil
	}
	records, what := j.test, "test"
	if len(records) == 0 {
		records, what = j.validation, "validation"
	}
	a := &Answers{Labels: [2]int32{answers[0][same], answers[1][same]}, Unit: "prompts", Grouped: j.cfg.GroupField != ""}
	groups, long := map[string]int{}, 0
	for i, r := range records {
		c, err := j.segments(r, nil)
		if err != nil {
			return err
		}
		var none tokenizeCounts
		e, _, err := none.example(conversation{segments: c.segments[:1]}, enc, before, -1, 1<<30)
		if err != nil {
			return err
		}
		prompt := append(e.Tokens, answers[0][:same]...)
		if len(prompt) == 0 || len(prompt) >= j.cfg.MaxTokens {
			long++
			continue
		}
		of := fmt.Sprint(i)
		if a.Grouped {
			of = r.Group
		}
		at, known := groups[of]
		if !known {
			at = len(groups)
			groups[of] = at
		}
		a.Prompts, a.Yes, a.Group = append(a.Prompts, prompt), append(a.Yes, r.Response == texts[0]), append(a.Group, at)
	}
	if err := enc.Err(); err != nil {
		return fmt.Errorf("%s: %w", j.name, err)
	}
	if a.Groups = len(groups); a.Grouped {
		a.Unit = "groups"
	}
	if !a.both() {
		j.notes = append(j.notes, fmt.Sprintf("%s: the %d %s records that fit have one answer only, so they have no AUC", j.name, len(a.Yes), what))
		return nil
	}
	note := fmt.Sprintf("%s: the responses are %.40q or %.40q: AUC is of %d %s records", j.name, texts[0], texts[1], len(a.Yes), what)
	if a.Grouped {
		note += fmt.Sprintf(" in %s by %s", plural.Of(a.Groups, "group"), j.cfg.GroupField)
	}
	if long > 0 {
		note += fmt.Sprintf("; %d more do not fit and are left out", long)
	}
	j.notes = append(j.notes, note)
	j.answers = a
	return nil
}
