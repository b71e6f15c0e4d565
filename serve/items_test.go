package serve

import (
	"context"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// itemsOf runs one request with items on a fake and returns it with its log of batches.
func itemsOf(t *testing.T, pages, pageSize int, o Options, rs ...Request) (results []Result, log string) {
	t.Helper()
	f := newFake(pages, pageSize)
	f.name = func([]int32) string { return "" }
	c, submit := start(t, f, o)
	var done []<-chan outcome
	for _, r := range rs {
		done = append(done, submit(context.Background(), r))
	}
	for steps := 0; !c.scheduler.idle(); steps++ {
		if steps > 100 {
			t.Fatalf("the requests do not end:\n%s", f.log.String())
		}
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
		if err := c.scheduler.check(); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range rs {
		o := <-done[i]
		if want := expected(r); o.err != nil || !reflect.DeepEqual(o.result.Items, want.Items) || o.result.Finish != FinishScore || o.result.Tokens != nil {
			t.Errorf("request %d: found %+v, error %v, expected %+v", i, o.result, o.err, want)
		}
		results = append(results, o.result)
	}
	return results, strings.TrimSpace(f.log.String())
}

// TestItemsInFewSteps: which tokens are computed in which steps. The prompt is computed once and
// kept, the items' pages are not.
func TestItemsInFewSteps(t *testing.T) {
	items := [][]int32{ids(20, 24), ids(30, 31), ids(40, 45)}
	for _, c := range []struct {
		name            string
		pages, pageSize int
		options         Options
		prompt          []int32
		items           [][]int32
		want            string
	}{
		{"all in the step of the prompt", 50, 4, Defaults(), ids(1, 10), items, `33ms  0-10,  10-15,  10-12,  10-16`},
		{"in several, within the budget", 50, 4, Options{PrefixCache: true, BatchTokens: 9}, ids(1, 10), items, `
19ms  0-9
37ms  9-10,  10-15,  10-12
53ms  10-16`},
		{"an item longer than the budget", 50, 4, Options{PrefixCache: true, BatchTokens: 4}, ids(1, 10), items, `
14ms  0-4
28ms  4-8
40ms  8-10
54ms  10-14
67ms  14-15,  10-12
81ms  10-14
93ms  14-16`},
		{"a chunk of one token", 50, 4, Options{PrefixCache: true, Chunk: 1}, ids(1, 2), [][]int32{{9}, {8, 7}}, `
11ms  0-1
22ms  1-2
33ms  2-3
44ms  2-3
55ms  3-4`},
		{"pages for one alone", 4, 4, Defaults(), ids(1, 10), items, `
20ms  0-10
35ms  10-15
47ms  10-12
63ms  10-16`},
		{"empty ones, which the prompt answers", 50, 4, Defaults(), ids(1, 8), [][]int32{{}, {9}, nil}, `19ms  0-8,  8-9`},
	} {
		t.Run(c.name, func(t *testing.T) {
			results, log := itemsOf(t, c.pages, c.pageSize, c.options, Request{Prompt: c.prompt, Items: c.items, Labels: []int32{1, 2}})
			if log != strings.TrimSpace(c.want) {
				t.Errorf("found\n%s\nexpected\n%s", log, c.want)
			}
			want := len(c.prompt) + len(join(c.items...))
			if r := results[0]; r.Prompt != want || r.Cached != 0 {
				t.Errorf("%d prompt tokens and %d cached, expected %d and 0", r.Prompt, r.Cached, want)
			}
		})
	}
}

// TestItemsShareTheirPrompt: a second request finds the whole pages of the first's prompt, and no
// item of it; one that comes beside the first waits for the prompt.
func TestItemsShareTheirPrompt(t *testing.T) {
	for _, c := range []struct {
		prompt []int32
		items  [][]int32
		cached int
	}{
		{ids(1, 8), [][]int32{ids(20, 29)}, 8},
		{ids(1, 10), [][]int32{ids(20, 29)}, 8},
		{ids(1, 8), [][]int32{ids(20, 29), {}}, 7}, // the last token is computed, for its logits
		{ids(1, 3), [][]int32{ids(20, 29)}, 0},
	} {
		r := Request{Prompt: c.prompt, Items: c.items, Labels: []int32{1}}
		results, log := itemsOf(t, 50, 4, Defaults(), r, r)
		if results[0].Cached != 0 || results[1].Cached != c.cached {
			t.Errorf("prompt %v, items %v: %d and %d cached tokens, expected 0 and %d\n%s", c.prompt, c.items, results[0].Cached, results[1].Cached, c.cached, log)
		}
	}
	f := newFake(50, 4)
	c, submit := start(t, f, Options{PrefixCache: true, BatchTokens: 6}) // of which the item takes two
	submit(t.Context(), Request{Prompt: ids(1, 8), Items: [][]int32{ids(20, 29)}, Labels: []int32{1}})
	for !c.scheduler.idle() {
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.now(); got.TreePages != 2 || got.FreePages != 48 || got.PromptTokens != 18 || got.ComputedTokens != 18 {
		t.Errorf("after the request: %+v, expected the 2 pages of the prompt in the tree and 18 tokens", got)
	}
}

// TestItemsBesideOthers: requests that decode get their token in every step of many items, and an
// item that is cancelled half computed leaves no page behind.
func TestItemsBesideOthers(t *testing.T) {
	f := newFake(30, 4)
	c, submit := start(t, f, Options{PrefixCache: true, BatchTokens: 12})
	came := 0
	ctx, cancel := context.WithCancel(t.Context())
	done := submit(ctx, Request{Prompt: ids(1, 6), Items: [][]int32{ids(1, 59), ids(10, 12)}, Labels: []int32{1}})
	submit(t.Context(), Request{Prompt: ids(1, 3), MaxTokens: 20, OnToken: func(Token) { came++ }})
	for step := range 4 {
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
		if came != step+1 {
			t.Fatalf("%d tokens after %d steps beside items", came, step+1)
		}
	}
	cancel()
	if err := c.step(); err != nil {
		t.Fatal(err)
	}
	if err := c.scheduler.check(); err != nil {
		t.Error(err)
	}
	if o := <-done; o.result.Finish != FinishAbort || o.err == nil || o.result.Tokens != nil {
		t.Errorf("a cancelled request: %+v", o)
	}
	if s := c.now(); s.Running != 1 {
		t.Errorf("%d requests run after one of two was cancelled", s.Running)
	}
}

// TestItemsWithPromptLogP: the prompt's own rows are told once, in order, beside the items.
func TestItemsWithPromptLogP(t *testing.T) {
	e := engine(t, newFake(50, 4), Defaults())
	for range 2 { // the second time the prompt is cached, and computed again
		var told []int
		r := Request{Prompt: ids(1, 10), Items: [][]int32{ids(20, 24), {9}}, Labels: []int32{1, 2}, PromptLogP: &PromptLogP{Each: func(p PromptRow) {
			told = append(told, p.Place)
			if want := fakeLogits(ids(1, int32(p.Place)), 60); !slices.Equal(p.Logits, want) {
				t.Errorf("place %d: %v, expected %v", p.Place, p.Logits, want)
			}
		}}}
		got, err := e.Do(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(told, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}) || !reflect.DeepEqual(got.Items, expected(r).Items) {
			t.Errorf("places %v and items %+v, expected %+v", told, got.Items, expected(r).Items)
		}
	}
}

// TestItemsThatAreNoNumbers: the first of several in a step ends the request, once.
func TestItemsThatAreNoNumbers(t *testing.T) {
	f := newFake(50, 4)
	f.spoil = func(sequence []int32, logits []float32) {
		if sequence[len(sequence)-1] == 9 {
			logits[2] = float32(math.Inf(1))
		}
	}
	for _, whole := range []bool{false, true} {
		e := engine(t, f, Defaults())
		_, err := e.Do(t.Context(), Request{Prompt: ids(1, 6), Items: [][]int32{{7}, {8, 9}, {9}}, Labels: []int32{1, 2}, LabelLogP: whole})
		if err == nil || !strings.Contains(err.Error(), "after token 9 at position 7 the logit of token 2 is +Inf") {
			t.Errorf("error %v", err)
		}
		if s, err := e.Stats(); err != nil || s.Requests != 1 || s.PrivatePages != 0 {
			t.Errorf("%+v, %v: expected one request that ended", s, err)
		}
	}
}

// TestLabelLogP: log-probabilities of labels are those among the whole vocabulary, of items and of
// a prompt alone, and their logits are those without them.
func TestLabelLogP(t *testing.T) {
	e := engine(t, newFake(100, 4), Defaults())
	r := Request{Prompt: ids(1, 9), Labels: []int32{7, 3}, Items: [][]int32{ids(20, 22), {}}}
	plain, err := e.Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	r.LabelLogP = true
	got, err := e.Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := e.Do(t.Context(), Request{Prompt: r.Prompt, Labels: r.Labels, LabelLogP: true})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(alone.LabelLogits, got.Items[1].LabelLogits) || !slices.Equal(alone.LabelLogP, got.Items[1].LabelLogP) {
		t.Errorf("the prompt alone has %+v, an empty item %+v", alone, got.Items[1])
	}
	for i, item := range got.Items {
		if !slices.Equal(item.LabelLogits, plain.Items[i].LabelLogits) || plain.Items[i].LabelLogP != nil {
			t.Errorf("item %d: logits %v, without log-probabilities %+v", i, item.LabelLogits, plain.Items[i])
		}
		sum := 0.0
		for _, v := range fakeLogits(join(r.Prompt, r.Items[i]), 60) {
			sum += math.Exp(float64(v))
		}
		for j, v := range item.LabelLogP {
			if want := float64(item.LabelLogits[j]) - math.Log(sum); math.Abs(float64(v)-want) > 1e-5 {
				t.Errorf("item %d, label %d: log-probability %v, expected %v", i, j, v, want)
			}
		}
	}
	if got.FirstToken.Before(got.Scheduled) || got.End.Sub(got.Submitted) < time.Millisecond {
		t.Errorf("times %+v", got)
	}
}

func TestItemRefusals(t *testing.T) {
	e := engine(t, newFake(4, 16), Defaults())
	labels := []int32{1}
	for want, r := range map[string]Request{
		"2 items without labels":           {Prompt: ids(1, 2), MaxTokens: 1, Items: [][]int32{{1}, {2}}},
		"3 tokens after 1 items":           {Prompt: ids(1, 2), MaxTokens: 3, Labels: labels, Items: [][]int32{{1}}},
		"token 60 at position 1 of item 1": {Prompt: ids(1, 2), Labels: labels, Items: [][]int32{{1}, {2, 60}}},
		"prompt and 255 new tokens, the":   {Prompt: ids(1, 2), Labels: labels, Items: [][]int32{{1}, make([]int32, 255)}},
	} {
		if _, err := e.Do(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, expected one with %q", err, want)
		}
	}
	if _, err := e.Do(t.Context(), Request{Prompt: make([]int32, 60), Labels: labels, Items: [][]int32{make([]int32, 4), {1}}}); err != nil {
		t.Errorf("an item that just fits: %v", err)
	}
}
