package teachercache

import (
	"context"
	"fmt"

	"slimlab/kd"
)

// Teacher is a kd.Teacher that reads a cache.
type Teacher struct {
	cache    *Cache
	examples []kd.Example // of the last Read
	records  []opened     // theirs
	buffers  [][]byte
	rows     []float32
	lists    kd.Lists
}

// opened is an example's record and its rows by their tokens.
type opened struct {
	record
	rowOf []int32 // of each token; −1 is none
}

// Teacher returns a teacher that reads the cache. Its rows are those that were built.
func (c *Cache) Teacher() *Teacher { return &Teacher{cache: c} }

// Vocab is the vocabulary of the rows.
func (t *Teacher) Vocab() int { return t.cache.Vocab }

// Positions are those of the teacher that the rows are of.
func (t *Teacher) Positions() int { return t.cache.Positions }

// CheckObjective is that of the cache's Spec.
func (t *Teacher) CheckObjective(o kd.Objective) error {
	if err := t.cache.Spec.CheckObjective(o); err != nil {
		return fmt.Errorf("cache %s: %w", t.cache.name, err)
	}
	return nil
}

// Prepare reports with ErrMissing the first example that the cache does not have.
func (t *Teacher) Prepare(_ context.Context, examples []kd.Example) error {
	for i := range examples {
		if _, _, err := t.find(&examples[i]); err != nil {
			return fmt.Errorf("example %d: %w", i, err)
		}
	}
	return nil
}

// find finds an example's record. One without a row has none.
func (t *Teacher) find(e *kd.Example) (_ entry, rows int, err error) {
	whole := t.cache.Whole
	if rows = rowsOf(e, whole); rows == 0 {
		return entry{}, 0, nil
	}
	k := keyOf(e, t.cache.Spec)
	at, ok := t.cache.entries[k]
	if !ok {
		by := "it was built of other examples"
		if e.Origin == kd.OfStudent {
			by = "the student wrote its answer, which no file can have"
		}
		return at, 0, fmt.Errorf("%w %s: %s; %s", ErrMissing, t.cache.name, named(e, k), by)
	}
	return at, rows, nil
}

// Read reads the records of a pass.
func (t *Teacher) Read(ctx context.Context, r kd.Reading) error {
	t.examples, t.records = r.Examples, t.records[:0]
	for len(t.buffers) < len(r.Examples) {
		t.buffers = append(t.buffers, nil)
	}
	for i := range r.Examples {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &r.Examples[i]
		at, rows, err := t.find(e)
		if err != nil {
			return err
		}
		var data []byte
		if rows > 0 {
			if data, err = t.cache.record(at); err != nil {
				return fmt.Errorf("%s: %w", t.cache.name, err)
			}
			t.buffers[i] = append(t.buffers[i][:0], data...)
			data = t.buffers[i]
		} else {
			data = make([]byte, entropyBytes)
		}
		rec, err := t.cache.open(data, rows, t.cache.Vocab)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", t.cache.name, named(e, keyOf(e, t.cache.Spec)), err)
		}
		t.records = append(t.records, opened{rec, rowNumbers(e, t.cache.Whole)})
	}
	return nil
}

// rowNumbers gives each token its row.
func rowNumbers(e *kd.Example, whole bool) []int32 {
	numbers, next := make([]int32, len(e.Tokens)), int32(0)
	for i := range numbers {
		if numbers[i] = -1; i > 0 && (whole || e.Answer[i]) {
			numbers[i] = next
			next++
		}
	}
	return numbers
}

// Rows decodes the targets' rows.
func (t *Teacher) Rows(targets []kd.Target, vocab int) (kd.Rows, error) {
	c := t.cache
	if vocab > c.Vocab || vocab < c.Vocab && c.Codec != Exact {
		return kd.Rows{}, fmt.Errorf("cache %s has rows over %d tokens, expected %d: build it for this student's vocabulary", c.name, c.Vocab, vocab)
	}
	if c.Codec == Exact && cap(t.rows) < len(targets)*vocab {
		t.rows = make([]float32, len(targets)*vocab)
	}
	l := &t.lists
	l.Starts, l.IDs, l.TokenLogP, l.Weight, l.LogRest = append(l.Starts[:0], 0), l.IDs[:0], l.TokenLogP[:0], l.Weight[:0], l.LogRest[:0]
	for i, target := range targets {
		row, err := t.row(target)
		if err != nil {
			return kd.Rows{}, err
		}
		if c.Codec == Exact {
			logits(row, t.rows[i*vocab:(i+1)*vocab])
		} else {
			c.appendTo(l, row)
		}
	}
	if c.Codec == Exact {
		return kd.Rows{Logits: t.rows[:len(targets)*vocab]}, nil
	}
	l.Rest, l.Temperature = c.rest(), c.Temperature
	return kd.Rows{Lists: *l}, nil
}

func (t *Teacher) row(target kd.Target) ([]byte, error) {
	if target.Example < len(t.records) {
		if of := &t.records[target.Example]; target.Token < len(of.rowOf) && of.rowOf[target.Token] >= 0 {
			return of.rows[of.rowOf[target.Token]], nil
		}
	}
	e := &t.examples[target.Example]
	return nil, fmt.Errorf("%w %s: the row of token %d; %s", ErrMissing, t.cache.name, target.Token, named(e, keyOf(e, t.cache.Spec)))
}

// Check that it is what training asks for.
var (
	_ kd.Teacher          = (*Teacher)(nil)
	_ kd.ObjectiveChecker = (*Teacher)(nil)
)
