package task

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"slimlab/internal/plural"
)

// JSONL is the task of an engineer's own file: to answer as its responses do.
type JSONL struct {
	*Records
	examples [4][]Example // training, validation, calibration, test
	answers  *Answers     // nil where the responses are not one of two texts
}

// NewJSONL reads a file and turns it into tokens. eos ends each response; chat writes conversations
// and may be nil.
func NewJSONL(ctx context.Context, cfg JSONLConfig, enc Encoder, eos int32, chat Chat) (*JSONL, error) {
	d, err := ReadJSONL(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return d.Tokenize(ctx, enc, eos, chat)
}

// Tokenize turns records into tokens, until ctx ends. What is read and what is answered are encoded
// by themselves, as they are when a model is asked and answers. eos ends a response and a text; a
// conversation ends as its template does. Of an example longer than MaxTokens the end is cut off;
// one that would lose all of its answer is dropped.
func (d *Records) Tokenize(ctx context.Context, enc Encoder, eos int32, chat Chat) (*JSONL, error) {
	j := &JSONL{}
	if d.Conversations() {
		eos = -1
	}
	var before []int32
	if b, ok := enc.(beginner); ok && !d.Conversations() { // which begin as their template does
		before = b.Beginning()
	}
	var counts tokenizeCounts
	for split, records := range [][]Record{d.train, d.validation, d.calibration, d.test} {
		for _, record := range records {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			c, err := d.segments(record, chat)
			if err != nil {
				return nil, err
			}
			e, ok, err := counts.example(c, enc, before, eos, d.cfg.MaxTokens)
			if failed := enc.Err(); failed != nil {
				err = failed
			}
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", d.name, record.Line, err)
			}
			if at, known := slices.BinarySearch(d.tasks, record.Task); known {
				e.Task = at
			}
			if ok {
				j.examples[split] = append(j.examples[split], e)
			}
		}
		if len(records) == 0 || len(j.examples[split]) > 0 {
			continue
		}
		name := [...]string{"training", "validation", "calibration", "test"}[split]
		if counts.unlearned > 0 {
			return nil, fmt.Errorf("%s: none of the %d examples of the %s split has a token of a weight above 0 among its first %d (%s)", d.name, len(records), name, d.cfg.MaxTokens, d.cfg.Knobs.MaxTokens)
		}
		return nil, fmt.Errorf("%s: every prompt of the %s split has %d tokens or more; %s", d.name, name, d.cfg.MaxTokens, d.cfg.keepAll(counts.longest))
	}
	of := *d
	of.notes = append(d.notes[:len(d.notes):len(d.notes)], counts.notes(d.name, d.cfg)...)
	if len(before) > 0 {
		of.notes = append(of.notes, fmt.Sprintf("%s: token %s comes before each prompt, or text, as the tokenizer has it", d.name, strings.Trim(fmt.Sprint(before), "[]")))
	}
	if missing, ok := enc.(missingNoter); ok {
		share, note := missing.Missing(d.texts(ctx, chat))
		if share > MostMissing {
			return nil, unknownText(d.name, note)
		}
		if note != "" {
			of.notes = append(of.notes, d.name+": "+note)
		}
	}
	if text := Repeats(firstTokens(j.examples[:])); text != "" {
		of.notes = append(of.notes, d.name+": "+text)
	}
	j.Records = &of
	return j, j.findAnswers(enc, before, eos)
}

// firstTokens are those of the first examples, one after the other.
func firstTokens(splits [][]Example) (tokens []int32) {
	const enough = 1 << 18
	for _, split := range splits {
		for _, e := range split {
			if len(tokens) >= enough {
				return tokens
			}
			tokens = append(tokens, e.Tokens...)
		}
	}
	return tokens
}

// beginner is an Encoder that puts tokens, such as a BOS, before every text.
type beginner interface{ Beginning() []int32 }

// texts gives what is encoded of the records, after the lines of these, until ctx ends.
func (d *Records) texts(ctx context.Context, chat Chat) iter.Seq2[string, string] {
	return func(yield func(place, text string) bool) {
		for _, record := range slices.Concat(d.train, d.validation, d.calibration, d.test) {
			c, err := d.segments(record, chat)
			if err != nil || ctx.Err() != nil {
				return // Tokenize has said what is wrong
			}
			for _, s := range c.segments {
				if !yield(fmt.Sprintf("line %d", record.Line), s.text) {
					return
				}
			}
		}
	}
}

// tokenizeCounts counts what becomes of records as they are turned into tokens.
type tokenizeCounts struct {
	all, cut, dropped int
	longest           int // tokens of an example that was cut or dropped
	lastOnly, open    int // conversations
	// examples whose answers have no weight above 0, which are dropped, and those of the others
	// with weights
	unlearned, weighted int
	answers, masked     int // answer tokens, and those of weight 0
}

// example turns a record into tokens; ok is false where it is dropped.
func (n *tokenizeCounts) example(c conversation, enc Encoder, before []int32, eos int32, most int) (e Example, ok bool, err error) {
	begin := -1 // of the first answer
	weighted := c.weighted()
	for i, s := range c.segments {
		ids := enc.Encode(s.text)
		// the text may hold it
		if i == 0 && !(len(ids) >= len(before) && slices.Equal(ids[:len(before)], before)) {
			e = Example{Tokens: slices.Clone(before), Answer: make([]bool, len(before))}
		}
		if s.answer && begin < 0 {
			begin = len(e.Tokens)
		}
		e.Tokens = append(e.Tokens, ids...)
		for range ids {
			e.Answer = append(e.Answer, s.answer)
		}
		if weighted {
			e.weigh(s.weight)
			if err := s.mask(ids, enc, e.Weights[len(e.Weights)-len(ids):]); err != nil {
				return e, false, err
			}
		}
	}
	if eos >= 0 {
		e.Tokens, e.Answer = append(e.Tokens, eos), append(e.Answer, true)
		if weighted {
			e.weigh(c.segments[len(c.segments)-1].weight)
		}
	}
	n.all++
	if c.lastOnly {
		n.lastOnly++
	}
	if c.open {
		n.open++
	}
	if len(e.Tokens) < 2 {
		n.dropped++
		return e, false, nil
	}
	e.Answer[0] = false // which has nothing to be predicted from
	cut := len(e.Tokens) > most
	if cut {
		n.longest = max(n.longest, len(e.Tokens))
		if begin >= most {
			n.dropped++
			return e, false, nil
		}
		e.Tokens, e.Answer = e.Tokens[:most:most], e.Answer[:most:most]
		if weighted {
			e.Weights = e.Weights[:most:most]
		}
	}
	if weighted && !e.learned() {
		n.unlearned++
		return e, false, nil
	}
	if cut {
		n.cut++
	}
	n.count(&e)
	return e, true, nil
}

// weighted reports whether any token's weight may be other than 1.
func (c *conversation) weighted() bool {
	return slices.ContainsFunc(c.segments, func(s segment) bool { return s.weight != 1 || len(s.masked) > 0 })
}

// weigh gives the tokens that have no weight yet one.
func (e *Example) weigh(w float32) {
	for len(e.Weights) < len(e.Tokens) {
		e.Weights = append(e.Weights, w)
	}
}

// learned reports whether an answer token has a weight above 0.
func (e *Example) learned() bool {
	for t, answer := range e.Answer {
		if answer && (e.Weights == nil || e.Weights[t] > 0) {
			return true
		}
	}
	return false
}

// count counts the answer tokens of an example that is kept.
func (n *tokenizeCounts) count(e *Example) {
	if e.Weights != nil {
		n.weighted++
	}
	for t, answer := range e.Answer {
		if answer {
			n.answers++
			if e.Weights != nil && e.Weights[t] == 0 {
				n.masked++
			}
		}
	}
}

// notes say what was cut, dropped and left out, and how it would not be.
func (n *tokenizeCounts) notes(name string, cfg JSONLConfig) (notes []string) {
	knob := cfg.Knobs.MaxTokens
	if n.cut > 0 {
		notes = append(notes, fmt.Sprintf("%s: %d of %s %s cut to %s %d", name, n.cut, plural.Of(n.all, "example"), plural.Words(n.cut, "was", "were"), knob, cfg.MaxTokens))
	}
	if n.dropped > 0 {
		notes = append(notes, fmt.Sprintf("%s: %d of %s %s dropped: %s %s %d or more", name, n.dropped, plural.Of(n.all, "example"), plural.Words(n.dropped, "was", "were"), plural.Words(n.dropped, "its prompt alone has", "their prompts alone have"), knob, cfg.MaxTokens))
	}
	if n.cut+n.dropped > 0 {
		notes = append(notes, fmt.Sprintf("%s: %s", name, cfg.keepAll(n.longest)))
	}
	if n.weighted > 0 {
		notes = append(notes, fmt.Sprintf("%s: %d of %s %s weights other than 1; %d of %s %s weight 0", name, n.weighted, plural.Of(n.all-n.dropped-n.unlearned, "example"), plural.Words(n.weighted, "has", "have"),
			n.masked, plural.Of(n.answers, "answer token"), plural.Words(n.masked, "has", "have")))
	}
	if n.unlearned > 0 {
		notes = append(notes, fmt.Sprintf("%s: %d of %s %s dropped: all %s answer tokens have weight 0", name, n.unlearned, plural.Of(n.all, "example"), plural.Words(n.unlearned, "was", "were"), plural.Words(n.unlearned, "its", "their")))
	}
	if n.lastOnly > 0 {
		notes = append(notes, fmt.Sprintf("%s: of %s only the last answer is learned: the chat template writes earlier answers otherwise as the conversation goes on", name, plural.Of(n.lastOnly, "conversation")))
	}
	if n.open > 0 {
		notes = append(notes, fmt.Sprintf("%s: %s %s with messages that the assistant does not answer, which are left out", name, plural.Of(n.open, "conversation"), plural.Words(n.open, "ends", "end")))
	}
	return notes
}

// keepAll says how examples of up to longest tokens are kept whole, where the models' positions
// allow it.
func (c JSONLConfig) keepAll(longest int) string {
	switch {
	case c.MostTokens == 0 || longest <= c.MostTokens:
		return fmt.Sprintf("the longest example has %s; %s %d keeps all", plural.Of(longest, "token"), c.Knobs.MaxTokens, longest)
	case c.MaxTokens < c.MostTokens:
		return fmt.Sprintf("the longest example has %s; %s %d, the positions of the models, keeps the most", plural.Of(longest, "token"), c.Knobs.MaxTokens, c.MostTokens)
	}
	return fmt.Sprintf("the longest example has %s, and the models have %s", plural.Of(longest, "token"), plural.Of(c.MostTokens, "position"))
}

// Train returns the i-th example of an endless pass over the training records, each epoch in
// another order.
func (j *JSONL) Train(seed uint64, i int) Example {
	return j.examples[0][shuffled(seed, i, len(j.examples[0]))]
}

// TrainSize is the number of training examples.
func (j *JSONL) TrainSize() int { return len(j.examples[0]) }

// Validation returns the first n validation examples, all for n ≤ 0.
func (j *JSONL) Validation(n int) []Example { return firstOf(j.examples[1], n) }

// Calibration returns the first n calibration examples, all for n ≤ 0. InDomain is the only source.
func (j *JSONL) Calibration(source string, n int) ([]Example, error) {
	if source != InDomain {
		return nil, fmt.Errorf("jsonl: calibration source %q: a file of records has only %q", source, InDomain)
	}
	return firstOf(j.examples[2], n), nil
}

func firstOf(examples []Example, n int) []Example {
	if n <= 0 || n > len(examples) {
		n = len(examples)
	}
	return examples[:n:n]
}
