package trace

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"slimlab/internal/shareddata"
	"slimlab/serve/load"
)

const mooncake = `{"timestamp": 0, "input_length": 700, "output_length": 5, "hash_ids": [0, 1]}
{"timestamp": 1500.5, "input_length": 1024, "output_length": 6, "hash_ids": [0, 2]}
{"timestamp": 3000, "input_length": 520, "output_length": 7, "hash_ids": [0, 1]}
{"timestamp": 3000, "input_length": 1024, "output_length": 7, "hash_ids": [3, 1]}
`

const azure = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:03.9799600,4808,10\r\n2023-11-16 18:17:04.0319600,0,8\r\n2023-11-16 18:17:05.9799600,110,0\n2023-11-16 18:17:06.9799600,7,3"

func read(t *testing.T, text string, from func(*strings.Reader) (*Trace, error)) *Trace {
	t.Helper()
	trace, err := from(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

func fromMooncake(r *strings.Reader) (*Trace, error) { return ReadMooncake(r) }
func fromAzure(r *strings.Reader) (*Trace, error)    { return ReadAzure(r) }

func requests(w load.Workload) (all []load.Request) {
	for i := range w.Arrivals() {
		all = append(all, w.Arrival(i).Make(0, load.Reply{}))
	}
	return all
}

// Equal ids after equal ids are equal tokens, and no others are.
func TestBlocksAreSharedAfterTheSameParent(t *testing.T) {
	w, times, left, err := read(t, mooncake, fromMooncake).Workload(Replay{Vocabulary: 50_000, Seed: 1})
	if err != nil || left != nil {
		t.Fatal(err, left)
	}
	if want := (load.Schedule{0, 1500500 * time.Microsecond, 3 * time.Second, 3 * time.Second}); !slices.Equal(times, want) {
		t.Errorf("times %v, expected %v", times, want)
	}
	all := requests(w)
	a, b, c, d := all[0].Prompt, all[1].Prompt, all[2].Prompt, all[3].Prompt
	if len(a) != 700 || len(b) != 1024 || len(c) != 520 || len(d) != 1024 || all[1].MaxTokens != 6 || !all[1].IgnoreEnd {
		t.Fatalf("lengths %d, %d, %d, %d", len(a), len(b), len(c), len(d))
	}
	if !slices.Equal(a[:512], b[:512]) || !slices.Equal(a[:520], c) {
		t.Error("equal blocks have other tokens")
	}
	if slices.Equal(a[512:530], b[512:530]) || slices.Equal(a[:16], d[:16]) || slices.Equal(a[512:530], d[512:530]) {
		t.Error("blocks with other names or other parents have the same tokens")
	}
	again, _, _, _ := read(t, mooncake, fromMooncake).Workload(Replay{Vocabulary: 50_000, Seed: 2})
	if slices.Equal(requests(again)[0].Prompt, a) {
		t.Error("another seed draws the same tokens")
	}
}

func TestReplay(t *testing.T) {
	ms := time.Millisecond
	for _, test := range []struct {
		Replay
		times load.Schedule
		left  []LeftOut
	}{
		{Replay{Speed: 2}, load.Schedule{0, 1500 * ms}, []LeftOut{{"without prompt tokens", 1}, {"without answer tokens", 1}}},
		{Replay{From: 1500 * ms}, load.Schedule{1500 * ms}, []LeftOut{{"before the window", 2}, {"without answer tokens", 1}}},
		{Replay{To: 3 * time.Second}, load.Schedule{0}, []LeftOut{{"without prompt tokens", 1}, {"without answer tokens", 1}, {"after the window", 1}}},
		{Replay{Number: 1}, load.Schedule{0}, []LeftOut{{"without prompt tokens", 1}, {"without answer tokens", 1}, {"after the first 1", 1}}},
		{Replay{Positions: 100}, load.Schedule{3 * time.Second}, []LeftOut{{"longer than 100 positions", 1}, {"without prompt tokens", 1}, {"without answer tokens", 1}}},
	} {
		test.Vocabulary = 100
		w, times, left, err := read(t, azure, fromAzure).Workload(test.Replay)
		if err != nil || !slices.Equal(times, test.times) || !reflect.DeepEqual(left, test.left) || w.Requests() != len(times) {
			t.Errorf("%+v: times %v, left out %v, %v", test.Replay, times, left, err)
		}
	}
	for says, r := range map[string]Replay{
		"speed of NaN": {Speed: math.NaN(), Vocabulary: 9}, "speed of -1": {Speed: -1, Vocabulary: 9}, "window from 2s to 1s": {From: 2 * time.Second, To: time.Second, Vocabulary: 9},
		"-1 requests": {Number: -1, Vocabulary: 9}, "vocabulary of 0": {}, "none of 4 records is left (4 before the window)": {From: time.Hour, Vocabulary: 9},
		"line 5: at speed 1e-12": {Speed: 1e-12, Vocabulary: 9},
	} {
		if _, _, _, err := read(t, azure, fromAzure).Workload(r); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, expected an error with %q", r, err, says)
		}
	}
}

func TestReadersNameTheLine(t *testing.T) {
	good := strings.SplitN(mooncake, "\n", 2)[0] + "\n"
	for _, test := range []struct{ text, says string }{
		{"", "no records"},
		{good + "\n", "line 2: found an empty line"},
		{good + "{\n", "line 2: "},
		{good + `{"timestamp": 0, "input_length": 5, "output_length": 1}`, "line 2: found no timestamp, input_length, output_length or hash_ids"},
		{good + `{"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": [1], "x": 1}`, `line 2: found the key "x"`},
		{good + `{"timestamp": 0, "input_length": 513, "output_length": 1, "hash_ids": [1]}`, "line 2: found 1 hash_ids of 513 tokens, expected 2"},
		{good + `{"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": [null]}`, "line 2: found null"},
		{good + `{"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": [-1]}`, "line 2: "},
		{good + `{"timestamp": 0, "input_length": -5, "output_length": 1, "hash_ids": []}`, "line 2: found a prompt of -5 tokens"},
		{good + `{"timestamp": 0, "input_length": 5, "output_length": 99999999999, "hash_ids": [1]}`, "line 2: found a prompt of 5 tokens and an answer of 99999999999"},
		{good + `{"timestamp": -1, "input_length": 5, "output_length": 1, "hash_ids": [1]}`, "line 2: found a timestamp of -1"},
		{good + `{"timestamp": 1e300, "input_length": 5, "output_length": 1, "hash_ids": [1]}`, "line 2: found a timestamp of 1e+300"},
		{strings.Replace(good, `"timestamp": 0`, `"timestamp": 7`, 1) + good, "line 2: found a time 7ms before that of line 1"},
	} {
		if _, err := ReadMooncake(strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: %v, expected an error with %q", test.text, err, test.says)
		}
	}
	head := azureHead + "\n"
	for _, test := range []struct{ text, says string }{
		{"", "empty file"}, {head, "no records"}, {"a,b,c\n", `line 1: found "a,b,c"`}, {head + "\n", "line 2: found 1 columns"},
		{head + "2023-11-16 18:17:03,1,2,3\n", "line 2: found 4 columns"}, {head + "yesterday,1,2\n", `line 2: found the time "yesterday"`},
		{head + "2023-11-16 18:17:03,one,2\n", `line 2: found "one"`}, {head + "2023-11-16 18:17:03,1,-2\n", "line 2: found a prompt of 1 tokens and an answer of -2"},
		{head + "2023-11-16 18:17:03,1,2\n2023-11-16 18:17:02,1,2\n", "line 3: found a time 1s before that of line 2"},
		{head + "2023-11-16 18:17:03,1,2\n2223-11-16 18:17:02,1,2\n", "line 3: found a time "},
	} {
		if _, err := ReadAzure(strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: %v, expected an error with %q", test.text, err, test.says)
		}
	}
	zoned := read(t, head+"2024-05-10 00:00:00.009930+00:00,1,2\n2024-05-10 02:00:00.009930+01:00,1,2\n", fromAzure)
	if zoned.Records[1].At != time.Hour {
		t.Errorf("a time with a zone: %v", zoned.Records[1].At)
	}
}

const prompts = `{"prompt": "a text", "max_tokens": 7}

{"prompt": [1, 2, 3]}
{"messages": [{"role": "user", "content": "hello"}], "max_tokens": null}
`

func TestPrompts(t *testing.T) {
	p, err := ReadPrompts(strings.NewReader(prompts))
	if err != nil {
		t.Fatal(err)
	}
	w, left, err := p.Workload(Chosen{MaxTokens: 4, IgnoreEnd: true, Vocabulary: 4})
	want := []load.Request{
		{Text: "a text", MaxTokens: 7, IgnoreEnd: true}, {Prompt: []int32{1, 2, 3}, MaxTokens: 4, IgnoreEnd: true},
		{Messages: []load.Message{{Role: "user", Content: "hello"}}, MaxTokens: 4, IgnoreEnd: true},
	}
	if err != nil || !reflect.DeepEqual(requests(w), want) || !reflect.DeepEqual(left, []LeftOut{{"blank lines", 1}}) {
		t.Errorf("%+v, left out %v, %v", requests(w), left, err)
	}
	w, left, err = p.Workload(Chosen{MaxTokens: 4, Positions: 6, Number: 1})
	if err != nil || w.Requests() != 1 || !reflect.DeepEqual(left, []LeftOut{{"blank lines", 1}, {"longer than 6 positions", 1}, {"after the first 1", 1}}) {
		t.Errorf("%d requests, left out %v, %v", w.Requests(), left, err)
	}
	for says, c := range map[string]Chosen{"line 3: found no max_tokens": {}, "line 3: prompt[2] is 3": {MaxTokens: 1, Vocabulary: 3}, "-1 prompts": {Number: -1}} {
		if _, _, err := p.Workload(c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, expected an error with %q", c, err, says)
		}
	}
	for text, says := range map[string]string{
		"": "no prompts", "\n\n": "no prompts", "[]": "line 1: ", `{"prompt": ""}`: "empty prompt", `{"prompt": []}`: "empty prompt", `{"prompt": [1, null]}`: "null in prompt",
		`{"prompt": [-1]}`: "prompt[0] is -1", `{"prompt": [1.5]}`: "prompt[0]", `{"prompt": 5}`: "found the prompt 5", `{}`: "or neither", `{"prompt": "a", "messages": []}`: "found prompt and messages",
		`{"messages": []}`: "no messages", `{"messages": [{"content": "x"}]}`: "messages[0] has no role", `{"prompt": "a", "max_tokens": 0}`: "found max_tokens 0", `{"prompt": "a", "n": 2}`: `the key "n"`,
	} {
		if _, err := ReadPrompts(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, expected an error with %q", text, err, says)
		}
	}
}

// The real traces are read whole, and Mooncake's prompts share what its ids say.
func TestRealTraces(t *testing.T) {
	open := func(name string) *os.File {
		f, err := os.Open(shareddata.Path(t, "traces", name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	trace, err := ReadAzure(open("azure_2023_code.csv"))
	if err != nil || len(trace.Records) != 8819 {
		t.Fatalf("Azure's: %v", err)
	}
	trace, err = ReadMooncake(open("mooncake_conversation.jsonl"))
	if err != nil || len(trace.Records) != 12031 {
		t.Fatalf("Mooncake's: %v", err)
	}
	w, times, left, err := trace.Workload(Replay{Vocabulary: 32_000, Positions: 32_768, Number: 400, To: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d requests over %v, left out %v", w.Requests(), times[len(times)-1], left)
	// the share of full blocks that came before, by ids and by tokens
	ids, tokens := map[string]bool{}, map[string]bool{}
	byIDs, byTokens, all := 0, 0, 0
	n := 0
	for i := range trace.Records {
		record := &trace.Records[i]
		if n == w.Requests() || record.Input+record.Output > 32_768 {
			continue
		}
		prompt := w.Arrival(n).Make(0, load.Reply{}).Prompt
		n++
		if len(prompt) != record.Input {
			t.Fatalf("line %d: %d tokens, expected %d", record.Line, len(prompt), record.Input)
		}
		for b := range record.Input / 512 {
			all++
			// ids are of whole prefixes already: what comes before is in them
			id, text := fmt.Sprint(record.Blocks[:b+1]), fmt.Sprint(prompt[b*512:(b+1)*512])
			if ids[id] {
				byIDs++
			}
			if tokens[text] {
				byTokens++
			}
			ids[id], tokens[text] = true, true
		}
	}
	if byIDs != byTokens || byIDs == 0 {
		t.Errorf("of %d blocks %d came before by their ids, and %d by their tokens", all, byIDs, byTokens)
	}
}

func FuzzReadMooncake(f *testing.F) {
	f.Add(mooncake)
	f.Fuzz(func(t *testing.T, text string) {
		check(t, func() (*Trace, error) { return ReadMooncake(strings.NewReader(text)) })
	})
}

func FuzzReadAzure(f *testing.F) {
	f.Add(azure)
	f.Fuzz(func(t *testing.T, text string) {
		check(t, func() (*Trace, error) { return ReadAzure(strings.NewReader(text)) })
	})
}

// check holds what every trace that is read promises.
func check(t *testing.T, read func() (*Trace, error)) {
	trace, err := read()
	if err != nil {
		if !strings.HasPrefix(err.Error(), "trace: ") {
			t.Errorf("an error %q", err)
		}
		return
	}
	if trace.Records[0].At != 0 {
		t.Errorf("the first record comes at %v", trace.Records[0].At)
	}
	w, times, left, err := trace.Workload(Replay{Vocabulary: 7, Positions: 4096})
	if err != nil {
		return
	}
	n := w.Arrivals()
	for _, l := range left {
		n += l.Number
	}
	if n != len(trace.Records) || !slices.IsSorted(times) || len(times) != w.Arrivals() {
		t.Errorf("%d records, %d with those left out, %d times", len(trace.Records), n, len(times))
	}
	for i := range min(w.Arrivals(), 3) {
		r := w.Arrival(i).Make(0, load.Reply{})
		if len(r.Prompt) < 1 || len(r.Prompt)+r.MaxTokens > 4096 || slices.Max(r.Prompt) >= 7 {
			t.Errorf("request %d: %d tokens and %d", i, len(r.Prompt), r.MaxTokens)
		}
	}
}

func FuzzReadPrompts(f *testing.F) {
	for _, line := range strings.Split(prompts, "\n") {
		f.Add(line)
	}
	f.Add(prompts)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ReadPrompts(strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "trace: ") {
				t.Errorf("an error %q", err)
			}
			return
		}
		w, _, err := p.Workload(Chosen{MaxTokens: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range requests(w) {
			of := 0
			for _, has := range []bool{len(r.Prompt) > 0, r.Text != "", len(r.Messages) > 0} {
				if has {
					of++
				}
			}
			if of != 1 || r.MaxTokens < 1 {
				t.Errorf("%+v", r)
			}
		}
	})
}
