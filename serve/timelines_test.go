package serve

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// turn is one request of a timeline.
type turn struct {
	name    string
	at      time.Duration // after the beginning, or after the end of the turn before it
	after   string        // the name of that turn, whose prompt and answer this prompt continues
	prompt  []int32
	tokens  int
	labels  []int32
	gone    time.Duration // if not 0, the caller leaves at that time
	arrived bool
	ctx     context.Context
	cancel  context.CancelFunc
	done    <-chan outcome
	request Request
	result  Result
}

// play runs turns on a core by the fake's clock and returns the log of batches.
func play(t *testing.T, f *fake, o Options, turns []*turn) string {
	t.Helper()
	c, submit := start(t, f, o)
	f.name = func(sequence []int32) string {
		for _, v := range turns {
			n := min(len(v.request.Prompt), len(sequence))
			if v.arrived && v.result.Finish == "" && v.ctx.Err() == nil && slices.Equal(v.request.Prompt[:n], sequence[:n]) {
				return v.name
			}
		}
		return "?"
	}
	for {
		next := time.Duration(-1) // when the next turn is due
		for _, v := range turns {
			due := v.at
			if v.after != "" {
				before := turns[slices.IndexFunc(turns, func(w *turn) bool { return w.name == v.after })]
				if before.result.End.IsZero() {
					continue
				}
				due += before.result.End.Sub(f.begun)
				v.request.Prompt = join(before.request.Prompt, before.result.Tokens, v.prompt)
			} else {
				v.request.Prompt = v.prompt
			}
			switch now := f.clock.Sub(f.begun); {
			case v.arrived:
				if v.gone > 0 && now >= v.gone {
					v.cancel()
				}
			case due <= now:
				v.request.MaxTokens, v.request.Labels, v.arrived = v.tokens, v.labels, true
				v.ctx, v.cancel = context.WithCancel(context.Background())
				v.done = submit(v.ctx, v.request)
			case next < 0 || due < next:
				next = due
			}
		}
		if c.scheduler.idle() {
			if next < 0 {
				break
			}
			f.clock = f.begun.Add(next)
			continue
		}
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
		if err := c.scheduler.check(); err != nil {
			t.Fatal(err)
		}
		for _, v := range turns {
			select {
			case o := <-v.done:
				v.result = o.result
			default:
			}
		}
	}
	for _, v := range turns {
		v.cancel()
		if want := expected(v.request); v.result.Finish != FinishAbort && !slices.Equal(v.result.Tokens, want.Tokens) {
			t.Errorf("%s: %v, alone %v", v.name, v.result.Tokens, want.Tokens)
		}
	}
	return f.log.String()
}

// milliseconds are a result's times since the beginning.
func (v *turn) milliseconds(f *fake) string {
	at := func(x time.Time) int64 { return x.Sub(f.begun).Milliseconds() }
	r := v.result
	if r.FirstToken.IsZero() {
		return fmt.Sprintf("%s: %d cached, submitted %d, scheduled %d, end %d, %s", v.name, r.Cached, at(r.Submitted), at(r.Scheduled), at(r.End), r.Finish)
	}
	return fmt.Sprintf("%s: %d cached, submitted %d, scheduled %d, first %d, end %d, %s", v.name, r.Cached, at(r.Submitted), at(r.Scheduled), at(r.FirstToken), at(r.End), r.Finish)
}

// TestTimelines plays whole conversations by a simulated clock: what is computed when, and what the
// results say of it.
func TestTimelines(t *testing.T) {
	for _, c := range []struct {
		name            string
		pages, pageSize int
		options         Options
		turns           []*turn
		want            string
	}{
		{
			name: "a conversation finds its earlier turns, answers included", pages: 50, pageSize: 4, options: Defaults(),
			turns: []*turn{
				{name: "one", prompt: ids(1, 8), tokens: 5},
				{name: "two", after: "one", at: 100 * time.Millisecond, prompt: ids(20, 22), tokens: 2},
				{name: "three", after: "two", at: 50 * time.Millisecond, prompt: ids(30, 34), tokens: 1},
			},
			want: `
18ms one 0-8
29ms one 8-9
40ms one 9-10
51ms one 10-11
62ms one 11-12
176ms two 12-16
187ms two 16-17
253ms three 17-23
one: 0 cached, submitted 0, scheduled 0, first 18, end 62, length
two: 12 cached, submitted 162, scheduled 162, first 176, end 187, length
three: 17 cached, submitted 237, scheduled 237, first 253, end 253, length`,
		},
		{
			name: "a long prompt is computed in chunks beside those that decode", pages: 50, pageSize: 4, options: Options{PrefixCache: true, BatchTokens: 8},
			turns: []*turn{
				{name: "short", prompt: ids(1, 3), tokens: 4},
				{name: "long", at: 5 * time.Millisecond, prompt: ids(10, 29), tokens: 2},
				{name: "late", at: 40 * time.Millisecond, prompt: ids(40, 41), labels: []int32{1}},
			},
			want: `
13ms short 0-3
31ms short 3-4, long 0-7
49ms short 4-5, long 7-14
67ms short 5-6, long 14-20, late 0-1
79ms long 20-21, late 1-2
short: 0 cached, submitted 0, scheduled 0, first 13, end 67, length
long: 0 cached, submitted 13, scheduled 13, first 67, end 79, length
late: 0 cached, submitted 49, scheduled 49, first 79, end 79, score`,
		},
		{
			name: "candidates wait for the prefix that the first computes", pages: 50, pageSize: 4, options: Options{PrefixCache: true, BatchTokens: 6},
			turns: []*turn{
				{name: "a", prompt: join(ids(1, 8), ids(50, 51)), labels: []int32{1}},
				{name: "b", prompt: join(ids(1, 8), ids(52, 53)), labels: []int32{1}},
				{name: "c", prompt: join(ids(1, 4), ids(54, 55)), labels: []int32{1}},
				{name: "d", prompt: ids(30, 31), labels: []int32{1}},
			},
			want: `
16ms a 0-6
32ms a 6-10, c 4-6
46ms b 8-10, d 0-2
a: 0 cached, submitted 0, scheduled 0, first 32, end 32, score
b: 8 cached, submitted 0, scheduled 32, first 46, end 46, score
c: 4 cached, submitted 0, scheduled 16, first 32, end 32, score
d: 0 cached, submitted 0, scheduled 32, first 46, end 46, score`,
		},
		{
			// The log names both by their prompt.
			name: "the same prompt does not wait for a page that ends with it", pages: 50, pageSize: 4, options: Options{PrefixCache: true, BatchTokens: 8, Chunk: 4},
			turns: []*turn{
				{name: "a", prompt: ids(1, 8), labels: []int32{1}},
				{name: "b", prompt: ids(1, 8), labels: []int32{1}},
			},
			want: `
14ms a 0-4
32ms a 4-8, a 4-8
a: 0 cached, submitted 0, scheduled 0, first 32, end 32, score
b: 4 cached, submitted 0, scheduled 14, first 32, end 32, score`,
		},
		{
			name: "no more requests run at once than the options say", pages: 50, pageSize: 4, options: Options{PrefixCache: true, Running: 2},
			turns: []*turn{
				{name: "a", prompt: ids(1, 2), tokens: 2},
				{name: "b", prompt: ids(10, 11), tokens: 1},
				{name: "c", prompt: ids(20, 21), tokens: 1},
			},
			want: `
14ms a 0-2, b 0-2
27ms a 2-3, c 0-2
a: 0 cached, submitted 0, scheduled 0, first 14, end 27, length
b: 0 cached, submitted 0, scheduled 0, first 14, end 14, length
c: 0 cached, submitted 0, scheduled 14, first 27, end 27, length`,
		},
		{
			name: "when the caller of the first leaves, the next computes the prefix", pages: 50, pageSize: 4, options: Options{PrefixCache: true, BatchTokens: 4},
			turns: []*turn{
				{name: "a", prompt: join(ids(1, 12), ids(50, 51)), labels: []int32{1}, gone: time.Millisecond},
				{name: "b", prompt: join(ids(1, 12), ids(52, 53)), labels: []int32{1}},
			},
			want: `
14ms a 0-4
28ms b 4-8
42ms b 8-12
54ms b 12-14
a: 0 cached, submitted 0, scheduled 0, end 14, abort
b: 4 cached, submitted 0, scheduled 14, first 54, end 54, score`,
		},
		{
			name: "what does not fit waits, and is not overtaken", pages: 5, pageSize: 4, options: Defaults(),
			turns: []*turn{
				{name: "first", prompt: ids(1, 9), tokens: 2},
				{name: "big", prompt: ids(20, 33), tokens: 2},
				{name: "small", prompt: ids(40, 41), tokens: 1},
			},
			want: `
19ms first 0-9
30ms first 9-10
56ms big 0-14, small 0-2
67ms big 14-15
first: 0 cached, submitted 0, scheduled 0, first 19, end 30, length
big: 0 cached, submitted 0, scheduled 30, first 56, end 67, length
small: 0 cached, submitted 0, scheduled 30, first 56, end 56, length`,
		},
		{
			name: "where pages run out, the answer that is shorter waits, and goes on", pages: 6, pageSize: 4, options: Options{PrefixCache: true, Reserve: 0.01},
			turns: []*turn{
				{name: "first", prompt: ids(1, 6), tokens: 9},
				{name: "second", at: 20 * time.Millisecond, prompt: ids(20, 27), tokens: 8},
				{name: "late", at: 40 * time.Millisecond, prompt: ids(40, 41), tokens: 1},
			},
			want: `
16ms first 0-6
27ms first 6-7
46ms first 7-8, second 0-8
58ms first 8-9, second 8-9
70ms first 9-10, second 9-10
82ms first 10-11, second 10-11
94ms first 11-12, second 11-12
105ms first 12-13
116ms first 13-14
133ms second 8-13, late 0-2
144ms second 13-14
155ms second 14-15
first: 0 cached, submitted 0, scheduled 0, first 16, end 116, length
second: 0 cached, submitted 27, scheduled 27, first 46, end 155, length
late: 0 cached, submitted 46, scheduled 116, first 133, end 133, length`,
		},
		{
			name: "without a prefix cache each computes its own", pages: 50, pageSize: 4, options: Options{},
			turns: []*turn{
				{name: "a", prompt: join(ids(1, 8), ids(50, 50)), labels: []int32{1}},
				{name: "b", prompt: join(ids(1, 8), ids(52, 52)), labels: []int32{1}},
			},
			want: `
28ms a 0-9, b 0-9
a: 0 cached, submitted 0, scheduled 0, first 28, end 28, score
b: 0 cached, submitted 0, scheduled 0, first 28, end 28, score`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(c.pages, c.pageSize)
			got := "\n" + play(t, f, c.options, c.turns)
			for _, v := range c.turns {
				got += v.milliseconds(f) + "\n"
			}
			if got = strings.TrimRight(got, "\n"); got != c.want {
				t.Errorf("got%s\nwant%s", got, c.want)
			}
		})
	}
}
