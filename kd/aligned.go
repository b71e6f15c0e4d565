package kd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"slimlab/kernels"
)

// Vocabulary is what the tokens of a model stand for.
type Vocabulary struct {
	// the bytes of each token id within a text, any bytes; none marks a special token. Ids beyond
	// are padding, which is in no distribution
	Bytes [][]byte
	Ends  []int32 // tokens that end a text
}

// Alignment says how the student's texts are read by a teacher of another vocabulary.
type Alignment struct {
	Student, Teacher Vocabulary
	// Encode gives the teacher's tokens of a text, without any around it
	Encode func(text []byte) ([]int32, error)
	// tokens of the teacher that begin every sequence, such as its BOS. Without one the first
	// boundary of a text is not compared
	Begin []int32
	// the teacher's counterparts of special tokens of the student; an end token that is not listed
	// has the teacher's first. The others are left out of what the teacher reads
	Specials map[int32]int32
}

// The outcomes beside the 256 bytes.
const (
	endOutcome     = 256
	specialOutcome = 257
	outcomes       = 258
)

// Aligned is a model in memory whose tokens are others than the student's, as a teacher. It reads
// the text of an example in tokens of its own. Where a token of the student and one of the teacher
// begin at the same byte, both give a distribution of what follows: a byte, with the probability of
// all tokens that begin with it, the end of the text, or another special token. The divergence is
// of these; outcomes that only one of the vocabularies has are in neither distribution, as padding
// of a head is. For equal vocabularies it is at most the divergence over tokens (data-processing
// inequality), and the same where no two tokens begin with one byte.
//
// Tokens that do not begin where one of the teacher's does have no divergence, nor special ones
// without a counterpart. Where Encode gives other bytes than those of the text, as a tokenizer that
// normalises does, the text is compared up to the first such token; what is beyond the teacher's
// positions is not compared either. StepReport.Compared is the share of answer tokens that are.
//
// What the teacher says at a boundary is given its own tokens so far. One that was trained on one
// division of each text into tokens knows from where a token ended that no bytes follow which would
// have joined it: there its next byte is not that of the text alone.
type Aligned struct {
	teacher *ModelTeacher
	Alignment
	student, own []int16 // the outcome that each token begins with
	counterparts map[int32]int32

	prepared map[string]*alignment // by the tokens of the examples of the last Prepare
	key      []byte

	read  []*alignment // of the last Read
	bases []int        // first rows of the examples in its batch
	batch Reading

	groups struct {
		vocab, count int
		student, own []int32
	}
	targets    []Target
	at         []int
	logP, part []float32
}

// alignment is an example as the teacher reads it.
type alignment struct {
	tokens []int32
	// for each token of the student how many of tokens are read where it begins; 0 where none of
	// them ends there
	read     []int32
	compared []bool // read is above 0
}

// NewAligned returns a teacher of another vocabulary, or says what is wrong with the vocabularies.
// It keeps their memory.
func NewAligned(teacher *ModelTeacher, a Alignment) (*Aligned, error) {
	t := &Aligned{teacher: teacher, Alignment: a, counterparts: map[int32]int32{}, prepared: map[string]*alignment{}}
	var err error
	if t.student, err = a.Student.outcomes(); err != nil {
		return nil, fmt.Errorf("the student's vocabulary: %w", err)
	}
	if t.own, err = a.Teacher.outcomes(); err != nil {
		return nil, fmt.Errorf("the teacher's vocabulary: %w", err)
	}
	t.own = t.own[:min(len(t.own), teacher.Vocab())]
	if a.Encode == nil {
		return nil, errors.New("alignment: there is no function that encodes texts for the teacher")
	}
	for _, id := range a.Begin {
		if err := t.checkOwn(id); err != nil {
			return nil, fmt.Errorf("alignment: a sequence's first tokens: %w", err)
		}
	}
	if len(a.Teacher.Ends) > 0 {
		for _, id := range a.Student.Ends {
			t.counterparts[id] = a.Teacher.Ends[0]
		}
	}
	for id, own := range a.Specials {
		if id < 0 || int(id) >= len(t.student) || t.student[id] < endOutcome {
			return nil, fmt.Errorf("alignment: the student's token %d has a counterpart, and is no special token", id)
		}
		if err := t.checkOwn(own); err != nil {
			return nil, fmt.Errorf("alignment: counterpart of the student's token %d: %w", id, err)
		}
		t.counterparts[id] = own
	}
	if t.group(len(t.student)); t.groups.count == 0 {
		return nil, errors.New("alignment: no token of the student begins as one of the teacher's does")
	}
	return t, nil
}

// outcomes are what each token begins with.
func (v *Vocabulary) outcomes() ([]int16, error) {
	of := make([]int16, len(v.Bytes))
	for id, b := range v.Bytes {
		of[id] = specialOutcome
		if len(b) > 0 {
			of[id] = int16(b[0])
		}
	}
	for _, id := range v.Ends {
		if id < 0 || int(id) >= len(of) {
			return nil, fmt.Errorf("end token %d of a vocabulary of %d", id, len(of))
		}
		of[id] = endOutcome
	}
	return of, nil
}

// checkOwn reports a token that the teacher lacks.
func (t *Aligned) checkOwn(id int32) error {
	if id < 0 || int(id) >= len(t.own) {
		return fmt.Errorf("token %d is outside the teacher's vocabulary of %d", id, len(t.own))
	}
	return nil
}

// group numbers the outcomes that the teacher and the first vocab tokens of the student have.
func (t *Aligned) group(vocab int) {
	g := &t.groups
	if g.student != nil && g.vocab == vocab {
		return
	}
	var has [outcomes][2]bool
	for _, o := range t.student[:vocab] {
		has[o][0] = true
	}
	for _, o := range t.own {
		has[o][1] = true
	}
	var number [outcomes]int32
	g.vocab, g.count = vocab, 0
	for o := range number {
		if number[o] = -1; has[o][0] && has[o][1] {
			number[o] = int32(g.count)
			g.count++
		}
	}
	g.student, g.own = g.student[:0], g.own[:0]
	for _, o := range t.student[:vocab] {
		g.student = append(g.student, number[o])
	}
	for _, o := range t.own {
		g.own = append(g.own, number[o])
	}
	for len(g.own) < t.teacher.Vocab() {
		g.own = append(g.own, -1)
	}
}

// Notes are what the alignment's user should know of it.
func (t *Aligned) Notes() []string {
	count := func(groups []int32, of int) (n int) {
		for _, g := range groups[:of] {
			if g < 0 {
				n++
			}
		}
		return n
	}
	t.group(len(t.student))
	student, own := count(t.groups.student, len(t.student)), count(t.groups.own, len(t.own))
	if student == 0 && own == 0 {
		return nil
	}
	note := fmt.Sprintf("%d of the student's %d tokens and %d of the teacher's %d begin as none of the other's do: their probabilities are not compared", student, len(t.student), own, len(t.own))
	if (len(t.Student.Ends) > 0) != (len(t.Teacher.Ends) > 0) {
		note += "; one of the vocabularies has no end token, so that the divergence does not teach where to end"
	}
	return []string{note}
}

// Vocab is how many tokens the student's vocabulary has.
func (t *Aligned) Vocab() int { return len(t.student) }

// Positions returns 0: how many tokens a sequence is to the teacher depends on its text.
func (t *Aligned) Positions() int { return 0 }

// CheckObjective refuses what distributions of the next byte cannot say.
func (t *Aligned) CheckObjective(o Objective) error {
	switch {
	case o.Sampled():
		return fmt.Errorf("loss %s needs the teacher's probability of the token that was drawn, and one of another vocabulary has probabilities of the next byte: choose rkl", o)
	case o.temperature() != 1:
		return fmt.Errorf("loss %s at temperature %v, expected 1: a temperature changes the distribution over tokens, and that of the next byte then depends on how texts are divided into tokens", o, o.temperature())
	}
	return nil
}

// Prepare encodes the examples' texts for the teacher.
func (t *Aligned) Prepare(ctx context.Context, examples []Example) error {
	clear(t.prepared)
	for i := range examples {
		if err := ctx.Err(); err != nil {
			return err
		}
		key := t.keyOf(&examples[i])
		if t.prepared[string(key)] != nil {
			continue
		}
		of, err := t.align(examples[i].Tokens)
		if err != nil {
			return fmt.Errorf("example %d: %w", i, err)
		}
		t.prepared[string(key)] = of
	}
	return nil
}

// keyOf is an example's tokens, valid until the next call.
func (t *Aligned) keyOf(e *Example) []byte {
	t.key = t.key[:0]
	for _, id := range e.Tokens {
		t.key = binary.LittleEndian.AppendUint32(t.key, uint32(id))
	}
	return t.key
}

// Compared says of each token of an example whether it begins where a token of the teacher does.
func (t *Aligned) Compared(e *Example) []bool {
	if of := t.prepared[string(t.keyOf(e))]; of != nil {
		return of.compared
	}
	return make([]bool, len(e.Tokens))
}

// align encodes a sequence of the student's for the teacher. The text between two special tokens is
// encoded by itself.
func (t *Aligned) align(tokens []int32) (*alignment, error) {
	of := &alignment{tokens: slices.Clone(t.Begin), read: make([]int32, len(tokens)), compared: make([]bool, len(tokens))}
	whole := true // the text before this token is what the teacher has read
	for i := 0; i < len(tokens); {
		id := tokens[i]
		if id < 0 || int(id) >= len(t.student) {
			return nil, fmt.Errorf("token %d at position %d is outside the student's vocabulary of %d", id, i, len(t.student))
		}
		if t.student[id] < endOutcome {
			n, same, err := t.alignText(of, tokens, i)
			if err != nil {
				return nil, err
			}
			i, whole = n, same
			continue
		}
		if own, ok := t.counterparts[id]; ok {
			if whole {
				of.read[i] = int32(len(of.tokens))
			}
			of.tokens, whole = append(of.tokens, own), true
		}
		i++
	}
	for i, n := range of.read {
		if int(n) > t.teacher.Positions() {
			of.read[i] = 0
		}
		of.compared[i] = of.read[i] > 0
	}
	return of, nil
}

// alignText encodes the text that begins at a token and ends before the next special one, which it
// returns, and whether the teacher's tokens spell that text.
func (t *Aligned) alignText(of *alignment, tokens []int32, from int) (next int, whole bool, err error) {
	var text []byte
	for next = from; next < len(tokens); next++ {
		id := tokens[next]
		if id < 0 || int(id) >= len(t.student) || t.student[id] >= endOutcome {
			break
		}
		text = append(text, t.Student.Bytes[id]...)
	}
	own, err := t.Encode(text)
	if err != nil {
		return 0, false, fmt.Errorf("the teacher's tokens of its text: %w", err)
	}
	for _, id := range own {
		if err := t.checkOwn(id); err != nil {
			return 0, false, fmt.Errorf("the teacher's tokens of its text: %w", err)
		}
	}
	before := int32(len(of.tokens))
	of.tokens, whole = append(of.tokens, own...), true
	var at, read int // bytes and tokens of the teacher's
	readTo := func(offset int) bool {
		for whole && read < len(own) && at < offset {
			b := t.Teacher.Bytes[own[read]]
			if whole = t.own[own[read]] < endOutcome && bytes.HasPrefix(text[at:], b); whole {
				at, read = at+len(b), read+1
			}
		}
		return whole && at == offset
	}
	offset := 0
	for i := from; i < next; i++ {
		if readTo(offset) {
			of.read[i] = before + int32(read)
		}
		offset += len(t.Student.Bytes[tokens[i]])
	}
	return next, readTo(offset) && read == len(own), nil
}

// Read runs the model on the examples' texts, each up to the last boundary that a pass may ask for.
func (t *Aligned) Read(ctx context.Context, r Reading) error {
	t.read, t.bases = t.read[:0], t.bases[:0]
	b := &t.batch.Batch
	b.Tokens, b.Starts = b.Tokens[:0], append(b.Starts[:0], 0)
	for i := range r.Examples {
		of := t.prepared[string(t.keyOf(&r.Examples[i]))]
		if of == nil {
			return fmt.Errorf("example %d of a pass was not prepared", i)
		}
		last := r.Batch.Starts[i+1] - r.Batch.Starts[i] // is predicted and not read
		need := slices.Max(of.read[:last+1])
		t.read, t.bases = append(t.read, of), append(t.bases, len(b.Tokens))
		b.Tokens = append(b.Tokens, of.tokens[:need]...)
		b.Starts = append(b.Starts, len(b.Tokens))
	}
	return t.teacher.Read(ctx, t.batch)
}

// Rows returns the teacher's distributions of what follows; those at tokens that are not compared
// are unknown. Logits exist for as many rows at a time as a chunk of the teacher's vocabulary has.
func (t *Aligned) Rows(targets []Target, vocab int) (Rows, error) {
	t.group(vocab)
	g := &t.groups
	logP := sized(&t.logP, len(targets)*g.count)
	for i := range logP {
		logP[i] = float32(math.Inf(-1))
	}
	t.targets, t.at = t.targets[:0], t.at[:0]
	for i, target := range targets {
		if n := t.read[target.Example].read[target.Token]; n > 0 {
			target.Row = t.bases[target.Example] + int(n) - 1
			t.targets, t.at = append(t.targets, target), append(t.at, i)
		}
	}
	own := t.teacher.Vocab()
	for from := 0; from < len(t.targets); {
		n := min(chunkRows(own), len(t.targets)-from)
		of, err := t.teacher.Rows(t.targets[from:from+n], own)
		if err != nil {
			return Rows{}, err
		}
		part := sized(&t.part, n*g.count)
		kernels.GroupLogSoftmax(part, of.Logits, g.own, n, own, g.count)
		for j, i := range t.at[from : from+n] {
			copy(logP[i*g.count:(i+1)*g.count], part[j*g.count:])
		}
		from += n
	}
	return Rows{Groups: Groups{Of: g.student, Count: g.count, LogP: logP}}, nil
}

// Check that it is what training asks for.
var (
	_ Teacher          = (*Aligned)(nil)
	_ ObjectiveChecker = (*Aligned)(nil)
	_ Comparer         = (*Aligned)(nil)
)
