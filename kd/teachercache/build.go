package teachercache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"slimlab/internal/atomicfile"
	"slimlab/internal/filelock"
	"slimlab/kd"
	"slimlab/model"
)

// Job is a cache to be built.
type Job struct {
	Name     string // of the file
	Spec     Spec
	Source   Source
	Teacher  kd.Teacher   // of whole rows
	Examples []kd.Example // equal ones are kept once
	// Progress, if it is not nil, is told the examples so far after each group of them
	Progress func(done, of int)
}

// Built says what a Build did.
type Built struct {
	Stats
	Examples, Tokens int
	Resumed          int // examples that an unfinished build had left
	// Discarded says that an unfinished build of something else was thrown away
	Discarded bool
	Took      time.Duration // of this call
}

// BytesPerToken is the file's size by its rows.
func (b *Built) BytesPerToken() float64 { return float64(b.Bytes) / float64(max(1, b.Tokens)) }

// ErrBuilding is in the error of a cache that another process builds.
var ErrBuilding = errors.New("another process builds this cache")

// groupTokens is how many tokens the teacher is asked about at once.
const groupTokens = 4096

func partName(name string) string { return name + ".part" }

// Build writes a cache. When it ends early, by an error, ctx or a kill, Job.Name is as it was, and
// what is finished is in NAME.part, where the same Job goes on.
func Build(ctx context.Context, j Job) (Built, error) {
	began := time.Now()
	b, err := newBuilder(&j)
	if err == nil {
		err = b.run(ctx)
	}
	if err != nil {
		return Built{}, fmt.Errorf("cache %s: %w", j.Name, err)
	}
	b.built.Took = time.Since(began)
	return b.built, nil
}

// builder is one Build.
type builder struct {
	*Job
	examples []*kd.Example // each once
	keys     []key
	header   []byte
	built    Built
	encoder  *encoder

	file  *os.File
	at    int64 // size of what is written
	sizes []int // of the finished records
	rows  []kd.Target
}

func newBuilder(j *Job) (*builder, error) {
	j.Spec = j.Spec.filled()
	if err := j.Spec.Validate(); err != nil {
		return nil, err
	}
	if j.Source.Vocab < 1 || j.Source.Vocab > j.Teacher.Vocab() {
		return nil, fmt.Errorf("rows over %d tokens, expected 1 to the teacher's %d", j.Source.Vocab, j.Teacher.Vocab())
	}
	b := &builder{Job: j, encoder: newEncoder(j.Spec, j.Source.Vocab)}
	for i := range j.Examples {
		if err := b.check(&j.Examples[i]); err != nil {
			return nil, fmt.Errorf("example %d: %w", i, err)
		}
	}
	b.keys, b.examples, b.built.Tokens = j.Spec.distinct(j.Examples)
	order := sha256.New()
	for _, k := range b.keys {
		order.Write(k[:])
	}
	b.built.Examples = len(b.keys)
	h := Header{
		Spec: j.Spec, Source: j.Source, Shift: 1, Positions: j.Teacher.Positions(),
		Examples: len(b.keys), Tokens: b.built.Tokens, Order: hex.EncodeToString(order.Sum(nil)),
	}
	var err error
	b.header, err = h.encode()
	return b, err
}

// check reports why an example cannot be given to the teacher.
func (b *builder) check(e *kd.Example) error {
	most := b.Teacher.Positions()
	switch {
	case len(e.Answer) != len(e.Tokens):
		return fmt.Errorf("%d tokens, but %d answer marks", len(e.Tokens), len(e.Answer))
	case len(e.Answer) > 0 && e.Answer[0]:
		return fmt.Errorf("its first token is an answer token, which no logits predict")
	case most > 0 && len(e.Tokens) > most:
		return fmt.Errorf("%d tokens, but the teacher has %d positions", len(e.Tokens), most)
	}
	for i, token := range e.Tokens {
		if token < 0 || int(token) >= b.Source.Vocab {
			return fmt.Errorf("token %d at position %d is outside the vocabulary of %d", token, i, b.Source.Vocab)
		}
	}
	return nil
}

func (b *builder) run(ctx context.Context) error {
	if err := b.openPart(); err != nil {
		return err
	}
	defer b.file.Close()
	if err := b.resume(); err != nil {
		return err
	}
	for done := len(b.sizes); done < len(b.examples); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := b.group(ctx, done)
		if err != nil {
			return err
		}
		done += n
		if b.Progress != nil {
			b.Progress(done, len(b.examples))
		}
	}
	return b.finish()
}

// openPart opens the unfinished file, and keeps other processes from it.
func (b *builder) openPart() error {
	for {
		f, err := os.OpenFile(partName(b.Name), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		if err := filelock.TryLock(f); errors.Is(err, filelock.ErrLocked) {
			f.Close()
			return ErrBuilding
		}
		if filelock.Current(f) { // another may have finished it, and renamed it
			b.file = f
			return nil
		}
		f.Close()
	}
}

// resume finds the finished records of a file with the same header, and cuts off the rest.
func (b *builder) resume() error {
	info, err := b.file.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, min(info.Size(), int64(len(b.header))))
	if err := readAt(b.file, head, 0); err != nil {
		return err
	}
	b.built.Discarded = len(head) > 0 && !bytes.HasPrefix(b.header, head)
	if len(head) < len(b.header) || b.built.Discarded {
		if err := b.file.Truncate(0); err != nil {
			return err
		}
		return b.write(b.header)
	}
	b.at = int64(len(b.header))
	var data []byte
	for at := b.at; len(b.sizes) < len(b.examples); {
		chunk := make([]byte, min(1<<20, info.Size()-at))
		if err := readAt(b.file, chunk, at); err != nil {
			return err
		}
		at += int64(len(chunk))
		data = append(data, chunk...)
		for len(b.sizes) < len(b.examples) {
			payload, size := recordIn(data)
			if size == 0 {
				break
			}
			b.add(payload, size)
			data = data[size:]
		}
		if len(chunk) == 0 {
			break
		}
	}
	b.built.Resumed = len(b.sizes)
	return b.file.Truncate(b.at)
}

// add counts a record that is in the file.
func (b *builder) add(payload []byte, size int) {
	entropy, kept := entropies(payload)
	b.built.Entropy += entropy
	b.built.EntropyKept += kept
	b.sizes = append(b.sizes, size)
	b.at += int64(size)
}

func (b *builder) write(data []byte) error {
	if _, err := b.file.WriteAt(data, b.at); err != nil {
		return err
	}
	b.at += int64(len(data))
	return nil
}

// group asks the teacher about the next examples, writes their records and returns their number.
func (b *builder) group(ctx context.Context, first int) (n int, err error) {
	reading := kd.Reading{Batch: model.Batch{Starts: []int{0}}}
	for ; first+n < len(b.examples); n++ {
		e := b.examples[first+n]
		last := lastTarget(e, b.Spec.Whole)
		if n > 0 && len(reading.Batch.Tokens)+last > groupTokens {
			break
		}
		reading.Batch.Tokens = append(reading.Batch.Tokens, e.Tokens[:last]...)
		reading.Batch.Starts = append(reading.Batch.Starts, len(reading.Batch.Tokens))
		reading.Examples = append(reading.Examples, *e)
	}
	if err := b.Teacher.Prepare(ctx, reading.Examples); err != nil {
		return 0, fmt.Errorf("teacher: %w", err)
	}
	if err := b.Teacher.Read(ctx, reading); err != nil {
		return 0, fmt.Errorf("teacher: %w", err)
	}
	var data []byte
	var sizes []int
	for i := range reading.Examples {
		payload, err := b.record(&reading, i, b.keys[first+i])
		if err != nil {
			return 0, fmt.Errorf("example of %s: %w", named(&reading.Examples[i], b.keys[first+i]), err)
		}
		from := len(data)
		data = appendRecord(data, payload)
		sizes = append(sizes, len(data)-from)
	}
	if _, err := b.file.WriteAt(data, b.at); err != nil {
		return 0, err
	}
	for _, size := range sizes {
		payload, _ := recordIn(data[:size])
		b.add(payload, size)
		data = data[size:]
	}
	return n, nil
}

// record encodes an example's rows, some at a time, valid until the next call.
func (b *builder) record(r *kd.Reading, i int, k key) ([]byte, error) {
	e, vocab := &r.Examples[i], b.Source.Vocab
	b.rows = b.rows[:0]
	for t := range e.Tokens {
		if t > 0 && (b.Spec.Whole || e.Answer[t]) {
			b.rows = append(b.rows, kd.Target{Example: i, Token: t, Row: r.Batch.Starts[i] + t - 1, Label: e.Tokens[t]})
		}
	}
	b.encoder.begin()
	chunk := max(1, (1<<22)/vocab)
	for number := 0; number < len(b.rows); number += chunk {
		targets := b.rows[number:min(len(b.rows), number+chunk)]
		rows, err := b.Teacher.Rows(targets, vocab)
		if err != nil {
			return nil, fmt.Errorf("teacher: %w", err)
		}
		if rows.Logits == nil {
			return nil, fmt.Errorf("the teacher gives lists of tokens, expected whole rows")
		}
		for j, target := range targets {
			if err := b.encoder.row(rows.Logits[j*vocab:(j+1)*vocab], k, number+j); err != nil {
				return nil, fmt.Errorf("token %d: %w", target.Token, err)
			}
		}
	}
	return b.encoder.end(), nil
}

// finish writes the index and gives the file its name.
func (b *builder) finish() error {
	if n := float64(b.built.Tokens); n > 0 {
		b.built.Entropy /= n
		b.built.EntropyKept /= n
	}
	if err := b.write(appendIndex(nil, b.at, b.keys, b.sizes, b.built.Stats)); err != nil {
		return err
	}
	b.built.Bytes = b.at
	if err := errors.Join(b.file.Sync(), b.file.Close()); err != nil {
		return err
	}
	if err := os.Rename(partName(b.Name), b.Name); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(b.Name))
}
