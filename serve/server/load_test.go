package server

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"slimlab/serve/load"
	loadopenai "slimlab/serve/load/openai"
)

// loaded runs a workload on a server over HTTP.
func loaded(t *testing.T, x *stressed, o loadopenai.Options, w load.Workload, err error) []load.Record {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	o.URL, o.InFlight = x.url, 16
	target, err := loadopenai.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Close)
	if target.Model() != "tiny" {
		t.Errorf("the model is %q", target.Model())
	}
	plan, err := load.NewPlan(w, load.Process{Rate: 200, Burstiness: 1, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	records, err := load.Driver{Plan: plan, InFlight: 16}.Run(t.Context(), target)
	if err != nil || len(records) != w.Requests() {
		t.Fatalf("%d records of %d requests, %v", len(records), w.Requests(), err)
	}
	for i, r := range records {
		times := []time.Duration{r.Scheduled, r.Sent, r.FirstByte, r.First, r.End}
		if r.Err != nil || r.Estimated || !slices.IsSorted(times) || !slices.IsSorted(r.Chunks) {
			t.Fatalf("request %d: %+v", i, r)
		}
	}
	return records
}

// The load's client over HTTP and the server agree on every workload: what was asked, cached and
// answered.
func TestLoadOverHTTP(t *testing.T) {
	x := startStress(t)
	shared, err := load.SharedPrefix{Groups: 2, Each: 5, System: 60, Question: 4, Output: 12, Order: load.InTurn, Vocabulary: 300}.Workload()
	cached := 0
	for i, r := range loaded(t, x, loadopenai.Options{}, shared, err) {
		if r.Prompt != 64 || r.Tokens != 12 || len(r.Chunks) > 12 {
			t.Errorf("request %d: %+v", i, r)
		}
		cached += r.Cached
	}
	if cached != 8*60 {
		t.Errorf("%d tokens were cached, expected those of 8 system prompts of 60", cached)
	}
	visits := load.Visits{Members: load.Members{Members: 3, Candidates: 4, Prefix: 40, Suffix: 4, Vocabulary: 300, Seed: 2}, Visits: 3, Order: load.InTurn, Labels: []int32{5, 6}}
	for _, test := range []struct {
		name                   string
		packed, score          bool
		requests, input, token int
	}{{"one token", false, false, 12, 44, 1}, {"scores", false, true, 12, 44, 0}, {"packed scores", true, true, 3, 4 * 44, 0}} {
		visits.Packed = test.packed
		w, err := visits.Workload()
		records := loaded(t, x, loadopenai.Options{Score: test.score}, w, err)
		if len(records) != test.requests {
			t.Errorf("%s: %d requests", test.name, len(records))
		}
		for i, r := range records {
			if r.Prompt != test.input || r.Tokens != test.token {
				t.Errorf("%s, request %d: %+v", test.name, i, r)
			}
		}
	}
	chats := load.Sessions{Number: 2, Turns: 3, System: 8, Question: load.Lengths{Mean: 6}, Output: load.Lengths{Mean: 5}, Vocabulary: 300, Decode: x.tokenizer.DecodeText}
	w, err := chats.Workload()
	before := map[int]load.Record{}
	for i, r := range loaded(t, x, loadopenai.Options{}, w, err) {
		if last, has := before[r.Arrival]; has && (r.Prompt <= last.Prompt || r.Cached == 0 || r.Scheduled < last.End) {
			t.Errorf("request %d, turn %d: %+v after %+v", i, r.Turn, r, last)
		}
		before[r.Arrival] = r
	}
}

// Another client measures what ours does: OpenAI's own, whose chunks are stamped as they come, one
// request after another by each in turn.
func TestAnotherClientMeasuresTheSame(t *testing.T) {
	x := startStress(t)
	ours, err := loadopenai.New(t.Context(), loadopenai.Options{URL: x.url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ours.Close)
	client := openai.NewClient(option.WithBaseURL(x.url+"/v1"), option.WithAPIKey("key"), option.WithMaxRetries(0), option.WithHTTPClient(x.client))
	members := people
	members.Prefix = 200
	const rounds, tokens = 60, 40
	measured := map[string][]time.Duration{}
	add := func(who string, sent, first, end time.Time) {
		measured[who+" TTFT"] = append(measured[who+" TTFT"], first.Sub(sent))
		measured[who+" E2E"] = append(measured[who+" E2E"], end.Sub(sent))
	}
	for i := range rounds {
		request := load.Request{Prompt: members.Prompt(load.Pick{Member: i}), MaxTokens: tokens, IgnoreEnd: true}
		sent := time.Now()
		answer, err := ours.Send(t.Context(), request)
		if err != nil || answer.Count != tokens {
			t.Fatalf("%+v, %v", answer, err)
		}
		add("ours", sent, answer.First, answer.End)
		request.Prompt = members.Prompt(load.Pick{Member: i, Candidate: 1})
		request.Prompt[0] = (request.Prompt[0] + 1) % 300 // nothing of it is cached either
		sent = time.Now()
		first, end, err := otherClient(t.Context(), &client, request)
		if err != nil {
			t.Fatal(err)
		}
		add("theirs", sent, first, end)
	}
	for _, of := range []string{" TTFT", " E2E"} {
		a, b := middle(measured["ours"+of]), middle(measured["theirs"+of])
		t.Logf("median%s of %d requests: %v by ours, %v by OpenAI's client", of, rounds, a, b)
		// tests beside this one use the machine too
		if ratio := a.Seconds() / b.Seconds(); ratio < 0.5 || ratio > 2 {
			t.Errorf("median%s: %v by ours, %v by OpenAI's client", of, a, b)
		}
	}
}

func middle(x []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(x))[len(x)/2]
}

func otherClient(ctx context.Context, client *openai.Client, r load.Request) (first, end time.Time, err error) {
	ids := make([]int64, len(r.Prompt))
	for i, id := range r.Prompt {
		ids[i] = int64(id)
	}
	stream := client.Completions.NewStreaming(ctx, openai.CompletionNewParams{
		Model: "tiny", Prompt: openai.CompletionNewParamsPromptUnion{OfArrayOfTokens: ids}, MaxTokens: openai.Int(int64(r.MaxTokens)), Temperature: openai.Float(0),
	}, option.WithJSONSet("ignore_eos", true))
	for stream.Next() {
		if len(stream.Current().Choices) == 0 {
			continue
		}
		if end = time.Now(); first.IsZero() {
			first = end
		}
	}
	if err := stream.Err(); err != nil {
		return first, end, fmt.Errorf("OpenAI's client: %w", err)
	}
	return first, end, nil
}
