// Package trace reads workloads from files: traces of requests as real services had them, and
// prompts of one's own.
//
// A trace has no prompts, but when requests came and how long they and their answers were;
// Mooncake's says too which prompts begin alike, in blocks. The prompts are made of tokens drawn
// from a seed, so that equal beginnings are equal and others are not. Readers are strict: a line
// that is not what the format says is an error with its number. What is left out of a workload,
// though it is in order, is counted with its reason. The package sends nothing.
package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"slimlab/serve/load"
)

// Trace is what a file says of its requests.
type Trace struct {
	Block   int      // tokens of a block; 0 of a trace without blocks
	Records []Record // by time
}

// Record is one request of a trace.
type Record struct {
	Line          int           // of the file, from 1
	At            time.Duration // from the first record on
	Input, Output int           // tokens
	// Blocks name the blocks of the prompt, of which the last may be cut off: equal names after
	// equal blocks are equal tokens. nil where nothing is known of them.
	Blocks []uint64
}

// LeftOut counts records that a workload does not have.
type LeftOut struct {
	Reason string
	Number int
}

// Replay says how a trace is replayed.
type Replay struct {
	Speed      float64       // 2 sends in half the time; 0 is 1
	From, To   time.Duration // the window of the trace's time, To excluded; 0 is its end
	Number     int           // the first so many of it; 0 is all
	Positions  int           // of the model: longer records are left out; 0 takes all
	Vocabulary int           // tokens are drawn below it
	Seed       uint64
}

// Workload makes a workload of a trace, with its times, and says what it leaves out.
func (t *Trace) Workload(r Replay) (load.Workload, load.Schedule, []LeftOut, error) {
	if r.Speed == 0 {
		r.Speed = 1
	}
	switch {
	case !(r.Speed > 0) || math.IsInf(r.Speed, 1):
		return nil, nil, nil, fmt.Errorf("trace: found a speed of %v, expected a number above 0", r.Speed)
	case r.From < 0 || r.To < 0 || r.To > 0 && r.To <= r.From:
		return nil, nil, nil, fmt.Errorf("trace: found a window from %v to %v, expected times from 0 on, the second later", r.From, r.To)
	case r.Number < 0 || r.Positions < 0:
		return nil, nil, nil, fmt.Errorf("trace: found %d requests and %d positions, expected at least 0", r.Number, r.Positions)
	case r.Vocabulary < 1 || r.Vocabulary > math.MaxInt32:
		return nil, nil, nil, fmt.Errorf("trace: found a vocabulary of %d tokens, expected 1 to %d", r.Vocabulary, math.MaxInt32)
	}
	var kept []*Record
	var times load.Schedule
	var left leftOut
	for i := range t.Records {
		record := &t.Records[i]
		reason := ""
		switch {
		case record.At < r.From:
			reason = "before the window"
		case r.To > 0 && record.At >= r.To:
			reason = "after the window"
		case record.Input < 1:
			reason = "without prompt tokens"
		case record.Output < 1:
			reason = "without answer tokens"
		case r.Positions > 0 && record.Input+record.Output > r.Positions:
			reason = fmt.Sprintf("longer than %d positions", r.Positions)
		case r.Number > 0 && len(kept) == r.Number:
			reason = fmt.Sprintf("after the first %d", r.Number)
		}
		if reason != "" {
			left.add(reason)
			continue
		}
		at := float64(record.At-r.From) / r.Speed
		if at > maxTime {
			return nil, nil, nil, fmt.Errorf("trace: line %d: at speed %v it would be sent after %.3g s, expected at most 10 years", record.Line, r.Speed, at/1e9)
		}
		kept, times = append(kept, record), append(times, time.Duration(math.Round(at)))
	}
	if len(kept) == 0 {
		return nil, nil, left, fmt.Errorf("trace: none of %d records is left (%s), expected at least 1", len(t.Records), left)
	}
	w := load.Singles{Number: len(kept), Make: func(i int) load.Request {
		return load.Request{Prompt: t.prompt(kept[i], r), MaxTokens: kept[i].Output, IgnoreEnd: true}
	}}
	return w, times, left, nil
}

// Reuse is the share of prompt tokens that are in blocks which an earlier record has after the same
// blocks: what a prefix cache without bound would hold. It is 0 of a trace without blocks.
func (t *Trace) Reuse() float64 {
	seen := map[uint64]bool{}
	again, all := 0, 0
	for i := range t.Records {
		record := &t.Records[i]
		all += record.Input
		name, before := uint64(0), true
		for k, block := range record.Blocks {
			name = mix(name, block)
			if before = before && seen[name]; before {
				again += min(t.Block, record.Input-k*t.Block)
			}
			seen[name] = true
		}
	}
	if all == 0 {
		return 0
	}
	return float64(again) / float64(all)
}

// prompt draws the tokens of a record, block by block.
func (t *Trace) prompt(record *Record, r Replay) []int32 {
	prompt := make([]int32, 0, record.Input)
	if record.Blocks == nil {
		return load.DrawTokens(prompt, r.Seed, mix(uint64(record.Line), 1), record.Input, r.Vocabulary)
	}
	name := uint64(0)
	for _, block := range record.Blocks {
		name = mix(name, block)
		prompt = load.DrawTokens(prompt, r.Seed, name, min(t.Block, record.Input-len(prompt)), r.Vocabulary)
	}
	return prompt
}

// mix names what follows something named (the finalizer of SplitMix64, Steele, Lea and Flood 2014,
// of both).
func mix(parent, id uint64) uint64 {
	z := parent*0x9e3779b97f4a7c15 + id + 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// maxTime is 10 years in nanoseconds, maxTokens bounds a length.
const (
	maxTime   = 10 * 365 * 24 * 3600e9
	maxTokens = 1 << 24
	maxLine   = 64 << 20
)

// leftOut keeps reasons in the order in which they are met.
type leftOut []LeftOut

func (l *leftOut) add(reason string) {
	for i := range *l {
		if (*l)[i].Reason == reason {
			(*l)[i].Number++
			return
		}
	}
	*l = append(*l, LeftOut{reason, 1})
}

func (l leftOut) String() string {
	text := ""
	for i, one := range l {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d %s", one.Number, one.Reason)
	}
	return text
}

// lines calls f with each line and its number; an error has the number before it.
func lines(r io.Reader, f func(n int, line []byte) error) error {
	scan := bufio.NewScanner(r)
	scan.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 0
	for scan.Scan() {
		n++
		line := scan.Bytes()
		if n == 1 && len(line) >= 3 && string(line[:3]) == "\xef\xbb\xbf" {
			line = line[3:]
		}
		if err := f(n, line); err != nil {
			return fmt.Errorf("trace: line %d: %w", n, err)
		}
	}
	if err := scan.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("trace: line %d: found more than %d bytes", n+1, maxLine)
	} else if err != nil {
		return fmt.Errorf("trace: line %d: %w", n+1, err)
	}
	return nil
}

// add appends a record, whose time is absolute, and checks its order and lengths.
func (t *Trace) add(record Record) error {
	if record.Input < 0 || record.Output < 0 || max(record.Input, record.Output) > maxTokens {
		return fmt.Errorf("found a prompt of %d tokens and an answer of %d, expected 0 to %d", record.Input, record.Output, maxTokens)
	}
	if n := len(t.Records); n > 0 && record.At < t.Records[n-1].At {
		return fmt.Errorf("found a time %v before that of line %d, expected the records by time", t.Records[n-1].At-record.At, t.Records[n-1].Line)
	}
	t.Records = append(t.Records, record)
	return nil
}

// finish counts the times from the first record on.
func (t *Trace) finish() (*Trace, error) {
	if len(t.Records) == 0 {
		return nil, fmt.Errorf("trace: found no records")
	}
	first := t.Records[0].At
	for i := range t.Records {
		t.Records[i].At -= first
	}
	return t, nil
}
