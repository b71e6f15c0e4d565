package task

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"slimlab/internal/jsonread"
)

// questionForms are the forms of question files, known by the keys that all of a form's records
// have, the first that fits. The published ones are asked as lm-evaluation-harness (of August 2026)
// asks them, without examples before the question, but for these: COPA's choices follow one space,
// where it writes two; BoolQ's questions have one question mark, where it adds one to those that
// have theirs; a premise of COPA loses no last character that ends no sentence; MMLU may have other
// than four choices; a HellaSwag record without activity_label is read by its ctx. A form without
// read is refused by its name.
var questionForms = []struct {
	name  string
	keys  []string
	asked string // in a note
	read  func(object map[string]json.RawMessage) (Question, error)
}{
	{"query, choices and gold", []string{"query", "choices", "gold"}, "", readOwn},
	{"WinoGrande", []string{"sentence", "option1", "option2", "answer"}, "the sentence up to the gap with each option is read, what follows the gap is predicted; no cue", readWinoGrande},
	{"HellaSwag", []string{"ctx", "endings", "label"}, "the endings continue the context, which is cleaned of brackets; no cue", readHellaSwag},
	{"CommonsenseQA", []string{"question", "choices", "answerKey", "question_concept"}, "\"Question: \" before the question, its choices as lines A, B, C …, letters as answers", readCommonsenseQA},
	{"ARC", []string{"question", "choices", "answerKey"}, "\"Question: \" before the question, the choices' texts as answers", readARC},
	{"ARC", []string{"question", "answerKey"}, "\"Question: \" before the question, the choices' texts as answers", readNestedARC},
	{"OpenBookQA", []string{"question_stem", "choices", "answerKey"}, "the choices' texts continue the question; no cue", readOpenBookQA},
	{"PIQA", []string{"goal", "sol1", "sol2", "label"}, "\"Question: \" before the goal, the solutions as answers", readPIQA},
	{"BoolQ", []string{"passage", "question", "answer"}, "the passage, the question on a line that begins with \"Question: \", no and yes as answers", readBoolQ},
	{"BoolQ", []string{"passage", "question", "label"}, "the passage, the question on a line that begins with \"Question: \", no and yes as answers", readBoolQ},
	{"COPA", []string{"premise", "choice1", "choice2", "question", "label"}, "the choices continue the premise after because or therefore; no cue", readCOPA},
	{"MMLU", []string{"question", "choices", "answer"}, "the question with its choices as lines A, B, C …, letters as answers", readMMLU},
	{"RACE", []string{"article", "options"}, "", nil},
	{"SciQ", []string{"question", "correct_answer", "distractor1", "distractor2", "distractor3"}, "the support, the question on a line that begins with \"Question: \", the right answer last", readSciQ},
	{"SciQ", []string{"question", "correct_answer", "distractor1"}, "", nil},
	{"MMLU-Pro", []string{"question", "options", "answer_index"}, "", nil},
	{"GPQA", []string{"Question", "Correct Answer", "Incorrect Answer 1"}, "", nil},
	{"Social IQa", []string{"context", "question", "answerA", "answerB", "answerC"}, "", nil},
	{"SWAG", []string{"sent1", "sent2", "ending0", "ending1"}, "", nil},
	{"StoryCloze", []string{"input_sentence_1", "sentence_quiz1", "sentence_quiz2"}, "", nil},
	{"TruthfulQA", []string{"question", "mc1_targets"}, "", nil},
	{"AQuA or MathQA", []string{"question", "options", "correct"}, "", nil},
	{"LogiQA", []string{"context", "options"}, "", nil},
	{"SQuAD", []string{"context", "question", "answers"}, "", nil},
}

// questionForm returns the index of the form that a question with choices has; −1 is none.
func questionForm(object map[string]json.RawMessage) int {
	for i, f := range questionForms {
		if !slices.ContainsFunc(f.keys, func(key string) bool { _, ok := object[key]; return !ok }) {
			return i
		}
	}
	return -1
}

// findForm returns the index of the form that a question is read in.
func findForm(object map[string]json.RawMessage) (int, error) {
	if i := questionForm(object); i >= 0 {
		if f := questionForms[i]; f.read == nil {
			return 0, fmt.Errorf("found a question of the form of %s, which is not read: write query, choices and gold, the index of the right choice from 0", f.name)
		}
		return i, nil
	}
	for _, key := range []string{"query", "gold"} {
		if _, ok := object[key]; ok {
			return 0, nil // whose own errors name what is missing
		}
	}
	return 0, fmt.Errorf("found the fields %s, expected query, choices and gold, or those of %s", quoteAll(fieldNames(object)), readForms())
}

// readForms lists the published forms that are read.
func readForms() string {
	var names []string
	for _, f := range questionForms[1:] {
		if f.read != nil && !slices.Contains(names, f.name) {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ", ")
}

// fieldReader reads the fields of an object. After the first error it reads nothing.
type fieldReader struct {
	object map[string]json.RawMessage
	err    error
}

func (r *fieldReader) text(name string) (text string) {
	if r.err == nil {
		text, r.err = textField(r.object, name)
	}
	return text
}

func (r *fieldReader) texts(name string) (texts []string) {
	if r.err == nil {
		texts, r.err = textsField(r.object, name)
	}
	return texts
}

// has reports whether a field holds a text.
func (r *fieldReader) has(name string) bool {
	raw := r.object[name]
	return len(raw) > 0 && raw[0] == '"'
}

// index reads the index of one of n choices: a whole number from first on, as a number or a text,
// or a letter from A on where first is 0.
func (r *fieldReader) index(name string, first, n int) int {
	text, raw := r.answer(name)
	if r.err != nil {
		return 0
	}
	if i, err := strconv.Atoi(text); err == nil && i >= first && i < first+n {
		return i - first
	}
	if letter, size := utf8.DecodeRuneInString(text); first == 0 && size == len(text) && letter >= 'A' && int(letter-'A') < n {
		return int(letter - 'A')
	}
	r.err = fmt.Errorf("field %q is %s, expected the index of a choice, a whole number from %d to %d", name, jsonread.Clip(raw), first, first+n-1)
	return 0
}

// labelled reads the index of the choice whose label a field holds, as a text or a number.
func (r *fieldReader) labelled(name string, labels []string) int {
	text, raw := r.answer(name)
	if r.err != nil {
		return 0
	}
	i := slices.Index(labels, text)
	if i < 0 {
		// some records of OpenBookQA have a space before it
		i = slices.Index(labels, strings.TrimLeft(text, " "))
	}
	if i < 0 {
		r.err = fmt.Errorf("field %q is %s, expected one of the choices' labels %q", name, jsonread.Clip(raw), labels)
	}
	return max(0, i)
}

// answer reads which choice is right, as a text, from a text or another value. A set that keeps its
// answers back has nothing or −1 there.
func (r *fieldReader) answer(name string) (text string, raw json.RawMessage) {
	if r.err != nil {
		return "", nil
	}
	raw, ok := r.object[name]
	if !ok {
		r.err = missingField(r.object, name)
		return "", nil
	}
	text = string(raw)
	if raw[0] == '"' {
		text = r.text(name)
	}
	if r.err == nil && (text == "" || text == "-1") {
		r.err = fmt.Errorf("field %q is %s: a set without its answers, expected which choice is right", name, jsonread.Clip(raw))
	}
	return text, raw
}

func readOwn(object map[string]json.RawMessage) (Question, error) {
	r := fieldReader{object: object}
	q := Question{Query: r.text("query"), Choices: r.texts("choices")}
	if r.err != nil {
		return q, r.err
	}
	raw, ok := object["gold"]
	if !ok {
		return q, missingField(object, "gold")
	}
	if err := json.Unmarshal(raw, &q.Gold); err != nil || string(raw) == "null" {
		return q, fmt.Errorf("field \"gold\" is %s, expected the index of a choice, a whole number from 0", jsonread.Clip(raw))
	}
	if n := len(q.Choices); n > 0 && (q.Gold < 0 || q.Gold >= n) {
		return q, fmt.Errorf("field \"gold\" is %d, expected 0 to %d: there are %d choices", q.Gold, n-1, n)
	}
	return q, nil
}

func readWinoGrande(object map[string]json.RawMessage) (Question, error) {
	r := fieldReader{object: object}
	sentence := r.text("sentence")
	before, after, found := strings.Cut(sentence, "_")
	after = strings.TrimSpace(after)
	if r.err == nil && (!found || after == "") {
		return Question{}, errors.New("field \"sentence\" has no gap, a _ with text behind it")
	}
	q := Question{Query: sentence, Choices: []string{after, after}, Contexts: []string{before + r.text("option1"), before + r.text("option2")}}
	q.Gold = r.index("answer", 1, 2)
	return q, r.err
}

var inBrackets = regexp.MustCompile(`\[.*?\]`)

// cleaned takes WikiHow's marks out of a text of HellaSwag.
func cleaned(text string) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), " [title]", ". ")
	return strings.ReplaceAll(inBrackets.ReplaceAllString(text, ""), "  ", " ")
}

func readHellaSwag(object map[string]json.RawMessage) (Question, error) {
	r := fieldReader{object: object}
	context := r.text("ctx")
	if r.has("ctx_a") && r.has("ctx_b") {
		context = r.text("ctx_a") + " " + capitalized(r.text("ctx_b"))
	}
	if r.has("activity_label") {
		context = r.text("activity_label") + ": " + context
	}
	q := Question{Query: cleaned(context), Choices: r.texts("endings"), Bare: true}
	for i := range q.Choices {
		q.Choices[i] = cleaned(q.Choices[i])
	}
	q.Gold = r.index("label", 0, len(q.Choices))
	return q, r.err
}

// capitalized is a text with its first letter large and the others small, as Python does it.
func capitalized(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return text
	}
	return string(unicode.ToTitle(first)) + strings.ToLower(text[size:])
}

// labels reads choices with labels: {"text": […], "label": […]}, or a list of {"text", "label"}.
func (r *fieldReader) labels(raw json.RawMessage) (texts, labels []string) {
	if r.err != nil {
		return nil, nil
	}
	var list []struct{ Text, Label *string }
	if json.Unmarshal(raw, &list) == nil {
		for i, one := range list {
			if one.Text == nil || one.Label == nil {
				r.err = fmt.Errorf("field \"choices\", item %d: expected text and label", i)
				return nil, nil
			}
			texts, labels = append(texts, *one.Text), append(labels, *one.Label)
		}
		return texts, labels
	}
	inner, err := readObject(raw)
	if err != nil {
		r.err = fmt.Errorf("field \"choices\": %w", err)
		return nil, nil
	}
	of := fieldReader{object: inner}
	texts, labels = of.texts("text"), of.texts("label")
	if r.err = of.err; r.err == nil && len(texts) != len(labels) {
		r.err = fmt.Errorf("field \"choices\" has %d texts and %d labels, expected as many", len(texts), len(labels))
	}
	return texts, labels
}

func readARC(object map[string]json.RawMessage) (Question, error) {
	r := fieldReader{object: object}
	return r.arc("Question: "+r.text("question"), object["choices"])
}

// readNestedARC reads the question that its authors published: an object with stem and choices.
func readNestedARC(object map[string]json.RawMessage) (Question, error) {
	inner, err := readObject(object["question"])
	if err != nil {
		return Question{}, fmt.Errorf("field \"question\": %w", err)
	}
	of := fieldReader{object: inner}
	r := fieldReader{object: object}
	query := of.text("stem")
	if r.err = of.err; r.err == nil && inner["choices"] == nil {
		r.err = missingField(inner, "choices")
	}
	return r.arc("Question: "+query, inner["choices"])
}

func readOpenBookQA(object map[string]json.RawMessage) (Question, error) {
	r := fieldReader{object: object}
	q, err := r.arc(r.text("question_stem"), object["choices"])
	q.Bare = true
	return q, err
}

func (r *fieldReader) arc(query string, choices json.RawMessage) (q Question, err error) {
	var labels []string
	q.Query = query
	q.Choices, labels = r.labels(choices)
	q.Gold = r.labelled("answerKey", labels)
	return q, r.err
}

// lettered asks for the letter of a choice, of which there is a line each.
func (q Question) lettered() (Question, error) {
	if len(q.Choices) > 26 {
		return q, fmt.Errorf("field \"choices\" has %d, expected at most the 26 that letters name", len(q.Choices))
	}
	letters := make([]string, len(q.Choices))
	for i, text := range q.Choices {
		letters[i] = string(rune('A' + i))
		q.Query += "\n" + letters[i] + ". " + text
	}
	q.Choices = letters
	return q, nil
}

func readCommonsenseQA(object map[string]json.RawMessage) (Question, error) {
	r := fieldReader{object: object}
	q, err := r.arc("Question: "+strings.TrimSpace(r.text("question")), object["choices"])
	if err != nil {
		return q, err
	}
	return q.lettered()
}

func readSciQ(object map[string]json.RawMessage) (Question, error) {
	r := fieldReader{object: object}
	q := Question{Choices: []string{r.text("distractor1"), r.text("distractor2"), r.text("distractor3"), r.text("correct_answer")}, Gold: 3}
	support := ""
	if r.has("support") {
		support = strings.TrimLeftFunc(r.text("support"), isSpace)
	}
	q.Query = support + "\nQuestion: " + r.text("question")
	return q, r.err
}

func readPIQA(object map[string]json.RawMessage) (Question, error) {
	r := fieldReader{object: object}
	q := Question{Query: "Question: " + r.text("goal"), Choices: []string{r.text("sol1"), r.text("sol2")}, Gold: r.index("label", 0, 2)}
	return q, r.err
}

func readBoolQ(object map[string]json.RawMessage) (Question, error) {
	r := fieldReader{object: object}
	q := Question{Query: r.text("passage") + "\nQuestion: " + strings.TrimSuffix(r.text("question"), "?") + "?", Choices: []string{"no", "yes"}}
	switch answer := string(object["answer"]); {
	case answer == "true":
		q.Gold = 1
	case answer == "false":
	case answer != "":
		return q, fmt.Errorf("field \"answer\" is %s, expected true or false", jsonread.Clip(object["answer"]))
	default:
		q.Gold = r.index("label", 0, 2)
	}
	return q, r.err
}

func readCOPA(object map[string]json.RawMessage) (Question, error) {
	r := fieldReader{object: object}
	premise := strings.TrimRight(strings.TrimSpace(r.text("premise")), ".!?")
	joined := map[string]string{"cause": " because", "effect": " therefore"}[r.text("question")]
	if r.err == nil && joined == "" {
		return Question{}, fmt.Errorf("field \"question\" is %s, expected cause or effect", jsonread.Clip(object["question"]))
	}
	q := Question{Query: premise + joined, Bare: true, Choices: []string{uncapitalized(r.text("choice1")), uncapitalized(r.text("choice2"))}}
	q.Gold = r.index("label", 0, 2)
	return q, r.err
}

func uncapitalized(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return text
	}
	return string(unicode.ToLower(first)) + text[size:]
}

func readMMLU(object map[string]json.RawMessage) (Question, error) {
	r := fieldReader{object: object}
	q := Question{Choices: r.texts("choices"), Query: strings.TrimSpace(r.text("question"))}
	if r.has("subject") {
		q.Query = "The following are multiple choice questions (with answers) about " + strings.ReplaceAll(r.text("subject"), "_", " ") + ".\n\n" + q.Query
	}
	if r.err == nil && len(q.Choices) <= 26 {
		q.Gold = r.index("answer", 0, len(q.Choices))
	}
	if r.err != nil {
		return q, r.err
	}
	return q.lettered()
}
