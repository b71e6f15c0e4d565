package task

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
)

// Bounds of a weight above 0. Smaller ones are no float32 once they are multiplied.
const (
	leastWeight = 1e-6
	mostWeight  = 1000
)

// parseWeight reads a weight, and says what is expected of one that cannot be.
func parseWeight(text string) (float32, error) {
	w, err := strconv.ParseFloat(text, 64)
	if err != nil || !(w == 0 || w >= leastWeight && w <= mostWeight) {
		return 0, fmt.Errorf("expected 0, or a number from %v to %v", leastWeight, mostWeight)
	}
	if w == 0 { // not −0
		return 0, nil
	}
	return float32(w), nil
}

// weightField reads a member of a JSON object that is a weight; ok is false where it has none, or
// null.
func weightField(object map[string]json.RawMessage, name string) (w float32, ok bool, err error) {
	raw := object[name]
	if len(raw) == 0 || string(raw) == "null" {
		return 1, false, nil
	}
	if w, err = parseWeight(string(raw)); err != nil {
		return 0, true, fmt.Errorf("field %q is %s, %w", name, jsonread.Clip(raw), err)
	}
	return w, true, nil
}

// weighting is what a record says of the weights of its tokens' losses.
type weighting struct {
	record   float32   // of all its tokens, beside those that follow
	messages []float32 // one a message; nil is 1 for all
	// masked are the spans of the response's bytes that have no loss, rising and apart
	masked [][2]int
}

// weighting returns the record's, which it makes where there is none.
func (r *Record) weighting() *weighting {
	if r.Weights == nil {
		r.Weights = &weighting{record: 1}
	}
	return r.Weights
}

// weight is the factor of all losses of a record.
func (r *Record) weight() float32 {
	if r.Weights == nil {
		return 1
	}
	return r.Weights.record
}

// message is the weight of a message among those of its conversation.
func (r *Record) message(i int) float32 {
	if r.Weights == nil || r.Weights.messages == nil {
		return 1
	}
	return r.Weights.messages[i]
}

// learned reports whether any token of a record's answers can have a weight above 0.
func (r *Record) learned() bool {
	w := r.Weights
	switch {
	case w == nil:
		return true
	case w.record == 0:
		return false
	case w.messages != nil:
		return slices.ContainsFunc(w.messages, func(of float32) bool { return of > 0 })
	}
	return len(w.masked) != 1 || w.masked[0] != [2]int{0, len(r.Response)}
}

// readWeights reads the fields that weigh a record.
func (r *recordReader) readWeights(object map[string]json.RawMessage, record *Record) error {
	if name := r.cfg.WeightField; name != "" {
		w, has, err := weightField(object, name)
		if err != nil {
			return err
		}
		if has {
			r.weighed++
			record.weighting().record = w
		}
	}
	name := r.cfg.MaskField
	if name == "" {
		return nil
	}
	if record.Messages != nil {
		return fmt.Errorf("found a conversation, and %s is %q, which lists parts of a response: in a conversation the assistant's messages have a \"weight\"", r.cfg.Knobs.MaskField, name)
	}
	raw := object[name]
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	masked, err := parseMask(raw, record.Response)
	if err != nil {
		return fmt.Errorf("field %q %w", name, err)
	}
	r.masked++
	if len(masked) > 0 {
		record.weighting().masked = masked
	}
	return nil
}

// parseMask reads spans of characters of a response, [[from, to], …], each without its end, and
// returns the bytes that they are, spans that touch joined.
func parseMask(raw []byte, response string) (masked [][2]int, err error) {
	var spans [][]int
	if err := json.Unmarshal(raw, &spans); err != nil {
		return nil, fmt.Errorf("is %s, expected a list of spans of the response's characters, such as [[0, 12], [20, 31]]", jsonread.Clip(raw))
	}
	starts := make([]int, 0, len(response)+1) // of each character
	for at := range response {
		starts = append(starts, at)
	}
	starts = append(starts, len(response))
	last := 0
	for i, span := range spans {
		if len(span) != 2 {
			return nil, fmt.Errorf("has a span %d of %d numbers, expected 2: its first character and the one after its last", i, len(span))
		}
		from, to := span[0], span[1]
		switch {
		case from < 0 || to >= len(starts) || from > to:
			return nil, fmt.Errorf("has span %d, [%d, %d], expected 0 ≤ from ≤ to ≤ %d, the characters of the response", i, from, to, len(starts)-1)
		case from < last:
			return nil, fmt.Errorf("has span %d, [%d, %d], after one that ends at %d, expected spans in their order and apart", i, from, to, last)
		case from == to:
			continue
		}
		last = to
		if n := len(masked); n > 0 && masked[n-1][1] == starts[from] {
			masked[n-1][1] = starts[to]
		} else {
			masked = append(masked, [2]int{starts[from], starts[to]})
		}
	}
	return masked, nil
}

// dropUnlearned leaves the records out that have no loss. It is an error when none is left.
func (r *recordReader) dropUnlearned(name string, all []Record) ([]Record, error) {
	kept := make([]Record, 0, len(all))
	for i := range all {
		switch {
		case all[i].learned():
			kept = append(kept, all[i])
		case r.unlearned == 0:
			r.firstUnlearned = all[i].Line
			fallthrough
		default:
			r.unlearned++
		}
	}
	if len(kept) == 0 {
		return nil, fmt.Errorf("%s: the weights of all %d records are 0, expected an answer of a weight above 0", name, len(all))
	}
	return kept, nil
}

// checkWeightFields reports a field that is to be read as two things.
func (c JSONLConfig) checkWeightFields() error {
	fields := []struct{ knob, field string }{
		{c.Knobs.PromptField, c.PromptField}, {c.Knobs.ResponseField, c.ResponseField}, {c.Knobs.WeightField, c.WeightField}, {c.Knobs.MaskField, c.MaskField},
	}
	for i, of := range fields {
		for _, other := range fields[:i] {
			if of.field != "" && of.field == other.field {
				return fmt.Errorf("jsonl: %s and %s are both %q", other.knob, of.knob, of.field)
			}
		}
	}
	return nil
}

// checkWeights reports a field of tasks or weights that no record has.
func (r *recordReader) checkWeights(name string, records int) error {
	for _, f := range []struct {
		knob, field string
		has         int
	}{{r.cfg.Knobs.TaskField, r.cfg.TaskField, r.ofTask}, {r.cfg.Knobs.WeightField, r.cfg.WeightField, r.weighed}, {r.cfg.Knobs.MaskField, r.cfg.MaskField, r.masked}} {
		if f.field == "" || f.has > 0 {
			continue
		}
		return fmt.Errorf("%s: %s is %q, and none of %d records has it%s", name, f.knob, f.field, records, nearest.Suggest(f.field, r.otherNames()))
	}
	return nil
}

// weightNotes say what the weights of records are of, and which records have none.
func (r *recordReader) weightNotes(name string, records int) (notes []string) {
	note := func(format string, args ...any) { notes = append(notes, name+": "+fmt.Sprintf(format, args...)) }
	if r.unlearned > 0 {
		note("%d of %s %s left out, the first in line %d: the weights of their answers are all 0", r.unlearned, plural.Of(records, "record"), plural.Verb(r.unlearned), r.firstUnlearned)
	}
	if n := records - r.weighed; r.cfg.WeightField != "" && n > 0 {
		note("%d of %s %s no %q: their weight is 1", n, plural.Of(records, "record"), plural.Words(n, "has", "have"), r.cfg.WeightField)
	}
	if r.otherRoles > 0 {
		note("%s of other roles than the assistant's %s weight 1, the first in line %d: they are read, and not learned", plural.Of(r.otherRoles, "message"), plural.Words(r.otherRoles, "has", "have"), r.firstOtherRole)
	}
	return notes
}

// mask sets the weights of a segment's tokens to 0 where all their bytes are masked. A token
// without bytes, such as the space that a tokenizer puts before a text, has a weight of 0 within a
// span.
func (s *segment) mask(ids []int32, enc Encoder, weights []float32) error {
	if len(s.masked) == 0 {
		return nil
	}
	of, ok := enc.(speller)
	if !ok {
		return fmt.Errorf("the tokenizer does not say which text its tokens stand for, so none can be masked")
	}
	if text := of.Decode(ids); text != s.text {
		return fmt.Errorf("the tokenizer changes the response, so none of its tokens can be masked: it reads %q as %q", clipAround(s.text, text), clipAround(text, s.text))
	}
	end := len(s.text)
	for i := len(ids) - 1; i >= 0; i-- {
		begin := max(0, end-len(of.Text(ids[i])))
		if i == 0 {
			begin = 0 // what is removed from the beginning of a text is of its first tokens
		}
		if slices.ContainsFunc(s.masked, func(span [2]int) bool { return span[0] <= begin && end <= span[1] }) {
			weights[i] = 0
		}
		end = begin
	}
	return nil
}

// speller is an Encoder that says which text its tokens stand for. A token always has the same,
// but at the beginning of a text, from which some may be removed.
type speller interface {
	Decode(ids []int32) string
	Text(id int32) string
}

// clipAround is the part of a text where it begins to differ from another.
func clipAround(text, other string) string {
	at := 0
	for at < min(len(text), len(other)) && text[at] == other[at] {
		at++
	}
	text = strings.ToValidUTF8(text[max(0, at-10):], "")
	if n := 30; len(text) > n {
		text = strings.ToValidUTF8(text[:n], "") + "…"
	}
	return text
}

// TaskWeights are factors of the losses of the in-domain tasks of Recsys, by their numbers.
type TaskWeights [inDomainTasks]float32

// ParseTaskWeights reads factors by name, such as "like feed=2, share feed=0.5"; a task that is not
// named has 1.
func ParseTaskWeights(text string) (weights TaskWeights, err error) {
	names, heldOut := TaskNames()
	for task := range weights {
		weights[task] = 1
	}
	var given TaskWeights
	for part := range strings.SplitSeq(text, ",") {
		name, value, found := strings.Cut(part, "=")
		name = strings.Join(strings.Fields(name), " ")
		if !found || name == "" {
			return weights, fmt.Errorf("found %q, expected weights such as %q", strings.TrimSpace(part), names[0]+"=2, "+names[2]+"=0.5")
		}
		task := slices.Index(names, name)
		if task < 0 {
			if slices.Contains(heldOut, name) {
				return weights, fmt.Errorf("task %q is held out, so it has no loss, expected one of %s", name, quoteAll(names))
			}
			return weights, nearest.Check("task", name, names)
		}
		if given[task]++; given[task] > 1 {
			return weights, fmt.Errorf("task %q has two weights, expected one", name)
		}
		if weights[task], err = parseWeight(strings.TrimSpace(value)); err != nil {
			return weights, fmt.Errorf("the weight of task %q is %q, %w", name, strings.TrimSpace(value), err)
		}
	}
	if weights == (TaskWeights{}) {
		return weights, fmt.Errorf("all weights are 0, expected one above")
	}
	return weights, nil
}
