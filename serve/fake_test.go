package serve

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"slimlab/kernels"
)

// fake is an executor without a model. Its pages hold the tokens themselves, and its logits are
// drawn from a hash of all tokens of the sequence as its pages hold them: whatever is in the
// wrong page, or missing, changes the answer. Its clock moves by stepTime for each batch and by
// tokenTime for each token.
type fake struct {
	shape Shape
	pages [][]int32
	clock time.Time
	begun time.Time

	name func(first []int32) string // of a sequence by its beginning, for the log
	log  strings.Builder            // of batches
	fail error
	each int // rows that were given to Each

	largest, most int // batch in tokens, and in rows of logits that are returned

	spoil func(sequence []int32, logits []float32) // changes logits; may be nil
}

const (
	stepTime  = 10 * time.Millisecond
	tokenTime = time.Millisecond
)

var fakeSeed = maphash.MakeSeed()

func newFake(pages, pageSize int) *fake {
	f := &fake{shape: Shape{Vocabulary: 60, Positions: 256, Pages: pages, PageSize: pageSize}, begun: time.Unix(1_000_000, 0)}
	f.clock = f.begun
	for range pages {
		f.pages = append(f.pages, make([]int32, pageSize))
	}
	return f
}

func (f *fake) Shape() Shape   { return f.shape }
func (f *fake) Now() time.Time { return f.clock }

// since is the clock in milliseconds.
func (f *fake) since() int64 { return f.clock.Sub(f.begun).Milliseconds() }

func (f *fake) Extend(batch []Segment) ([][]float32, error) {
	if f.fail != nil {
		return nil, f.fail
	}
	logits := make([][]float32, len(batch))
	f.clock = f.clock.Add(stepTime)
	var parts []string
	tokens, rows := 0, 0
	for _, forks := range []bool{false, true} {
		for _, s := range batch {
			if (s.Fork != nil) == forks {
				f.store(s)
			}
		}
	}
	for i, s := range batch {
		if s.Each != nil && (s.From < 0 || s.From > len(s.Tokens)) {
			return nil, fmt.Errorf("segment %d asks for the rows from token %d on, it has %d", i, s.From, len(s.Tokens))
		}
		f.clock = f.clock.Add(time.Duration(len(s.Tokens)) * tokenTime)
		end := s.Start + len(s.Tokens)
		if tokens += len(s.Tokens); s.Logits {
			rows += max(1, s.Rows)
		}
		sequence := make([]int32, end)
		for p := range sequence {
			sequence[p] = f.pages[s.Pages[p/f.shape.PageSize]][p%f.shape.PageSize]
		}
		if f.name != nil {
			parts = append(parts, fmt.Sprintf("%s %d-%d", f.name(sequence), s.Start, end))
		}
		after := func(end int) []float32 {
			whole := fakeLogits(sequence[:end], f.shape.Vocabulary)
			if f.spoil != nil {
				f.spoil(sequence[:end], whole)
			}
			return whole
		}
		if s.States {
			for j := s.From; j < len(s.Tokens); j++ {
				s.Each(j, after(s.Start + j + 1)[:f.shape.Hidden])
			}
		} else if s.Each != nil {
			f.each += len(s.Tokens) - s.From
			for j := s.From; j < len(s.Tokens); j += 3 {
				var rows []float32
				for row := j; row < min(j+3, len(s.Tokens)); row++ {
					rows = append(rows, after(s.Start+row+1)...)
				}
				s.Each(j, rows)
			}
		}
		switch {
		case s.Logits:
			for row := end - max(1, s.Rows); row < end; row++ {
				logits[i] = append(logits[i], after(row+1)...)
			}
		case len(s.Labels) > 0:
			whole := after(end)
			for _, l := range s.Labels {
				logits[i] = append(logits[i], whole[l])
			}
		}
	}
	f.largest, f.most = max(f.largest, tokens), max(f.most, rows)
	if f.name != nil {
		fmt.Fprintf(&f.log, "%dms %s\n", f.since(), strings.Join(parts, ", "))
	}
	return logits, nil
}

// instant is a fake whose logits are all alike, for tests of what is computed when.
type instant struct{ *fake }

func (f *instant) Extend(batch []Segment) ([][]float32, error) {
	logits := make([][]float32, len(batch))
	f.clock = f.clock.Add(stepTime)
	for i, s := range batch {
		f.clock = f.clock.Add(time.Duration(len(s.Tokens)) * tokenTime)
		switch {
		case s.Logits:
			logits[i] = make([]float32, f.shape.Vocabulary)
		case len(s.Labels) > 0:
			logits[i] = make([]float32, len(s.Labels))
		}
	}
	return logits, nil
}

// Begin begins a pass, which takes a step for each token of the prompt.
func (f *fake) Begin(prompt []int32, items [][]int32) (Pass, error) {
	if f.fail != nil {
		return nil, f.fail
	}
	if len(items) == 0 {
		items = [][]int32{nil}
	}
	return &fakePass{f, prompt, items, len(prompt)}, nil
}

type fakePass struct {
	f      *fake
	prompt []int32
	items  [][]int32
	left   int
}

func (p *fakePass) Step() bool {
	p.f.clock = p.f.clock.Add(tokenTime)
	p.left--
	return p.left == 0
}

func (p *fakePass) Logits(labels []int32) (rows [][]float32) {
	for _, item := range p.items {
		sequence := slices.Concat(p.prompt, item)
		row := fakeLogits(sequence, p.f.shape.Vocabulary)
		if p.f.spoil != nil {
			p.f.spoil(sequence, row)
		}
		if len(labels) > 0 {
			row = labelRow(Request{Labels: labels}, row)
		}
		rows = append(rows, row)
	}
	return rows
}

// CopyPages copies pages, one after another.
func (f *fake) CopyPages(copies []kernels.PageCopy) {
	for _, c := range copies {
		copy(f.pages[c.To], f.pages[c.From])
	}
}

// store writes a segment's tokens to its pages; one that forks inside a page takes that page first.
func (f *fake) store(s Segment) {
	size := f.shape.PageSize
	if at := s.Start / size; s.Fork != nil && s.Start%size > 0 {
		copy(f.pages[s.Pages[at]], f.pages[s.Fork[at]])
	}
	for j, token := range s.Tokens {
		f.pages[s.Pages[(s.Start+j)/size]][(s.Start+j)%size] = token
	}
}

// fakeLogits are those after a sequence.
func fakeLogits(sequence []int32, vocabulary int) []float32 {
	logits := make([]float32, vocabulary)
	for i := range logits {
		h := maphash.Comparable(fakeSeed, [2]uint64{uint64(i), hashOf(sequence)})
		logits[i] = float32(h>>40) / (1 << 22)
	}
	return logits
}

func hashOf(sequence []int32) (h uint64) {
	for _, t := range sequence {
		h = maphash.Comparable(fakeSeed, [2]uint64{h, uint64(t)})
	}
	return h
}

var errBroken = errors.New("the device is broken")

// into delivers what becomes of a request to a channel.
func into(done chan<- outcome) func(outcome) { return func(o outcome) { done <- o } }
