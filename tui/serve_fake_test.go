package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"slimlab/lab/endpoint"
)

// fakeEngine says what it is told to, and counts what it is asked for.
type fakeEngine struct {
	place  string
	state  endpoint.State
	err    error
	did    []string
	closed bool
}

func (f *fakeEngine) Place() string { return f.place }

func (f *fakeEngine) State(context.Context) (endpoint.State, error) { return f.state, f.err }

func (f *fakeEngine) do(what string, paused bool) (endpoint.State, error) {
	f.did = append(f.did, what)
	f.state.Paused = paused
	return f.state, f.err
}

func (f *fakeEngine) Pause(context.Context) (endpoint.State, error)  { return f.do("pause", true) }
func (f *fakeEngine) Resume(context.Context) (endpoint.State, error) { return f.do("resume", false) }

func (f *fakeEngine) Step(context.Context) (endpoint.State, error) {
	f.state.Counts.Steps++
	return f.do("step", true)
}

func (f *fakeEngine) Flush(context.Context) error {
	f.did = append(f.did, "flush")
	return f.err
}

func (f *fakeEngine) Complete(_ context.Context, prompt string, most int, write func(string)) error {
	f.did = append(f.did, fmt.Sprintf("complete %d %s", most, prompt))
	write("item 17 ")
	write("and item 4")
	return f.err
}

func (f *fakeEngine) Close() { f.closed = true }

func (f *fakeBench) Servable(context.Context) ([]Candidate, error) {
	return []Candidate{{"models/small" + f.scare, "LlamaForCausalLM, 2 layers" + f.scare}, {"pretrained:recsys-fm", "a ranking model"}}, nil
}

func (f *fakeBench) Attach(_ context.Context, target string) (Engine, error) {
	f.attached = append(f.attached, target)
	if strings.Contains(target, "nowhere") {
		return nil, errors.New("model nowhere: no such folder" + f.scare)
	}
	e := &fakeEngine{state: engineState(f.scare)}
	if strings.Contains(target, "://") {
		e.place = target
	}
	f.engine = e
	return e, nil
}

// engineState is an engine in which requests of all states are.
func engineState(scare string) endpoint.State {
	leader := 17
	s := endpoint.State{
		Model: "recsys-fm" + scare, Now: 1000, Policy: "aged-lpm", Running: 2, Waiting: 3, Following: 1, Batch: 2, BatchTokens: 513,
		RequestsLeftOut: 2, NodesLeftOut: 7,
		Requests: []endpoint.RequestState{
			{Number: 16, State: "decode", Prompt: 96, Cached: 64, Computed: 101, Prefill: 96, Generated: 6, MaxTokens: 64, Pages: 10, SharedPages: 6, Age: 0.41, TTFT: 0.0123, TPOT: 0.0041},
			{Number: 17, State: "prefill", Prompt: 2048, Computed: 512, Prefill: 2048, MaxTokens: 1, Pages: 128, SharedPages: 32, Age: 0.2, Namespace: "tenant" + scare},
			{Number: 9, State: "retracted", Prompt: 40, Computed: 0, Prefill: 48, Generated: 8, MaxTokens: 900, Retractions: 2, Age: 71},
			{Number: 18, State: "following", Following: &leader, Prompt: 2052, Prefill: 2052, MaxTokens: 1, Age: 0.19},
			{Number: 19, State: "waiting", Prompt: 12, Prefill: 12, MaxTokens: 5, NoReuse: true, Passes: 3, Age: 0.1},
		},
		Tree: []endpoint.NodeState{
			{Text: "<bos>member 12 likes item 4" + scare, Tokens: 320, Pages: 20, Locks: 2, Hits: 41, Unused: 1},
			{Depth: 1, Text: "clicks item 9", Tokens: 16, Pages: 1, Hits: 3, Unused: 12},
			{Depth: 1, Text: "skips item 31", Tokens: 64, Pages: 4, Locks: 1, Hits: 7, Unused: 2},
			{Namespace: "tenant" + scare, Text: "another beginning", Tokens: 512, Pages: 32, Locks: 1, Unused: 0},
		},
		Ended: []endpoint.EndedState{
			{Number: 15, Finish: "length", Prompt: 96, Cached: 80, Generated: 64, TTFT: 0.0121, TPOT: 0.0031, Ago: 0.4},
			{Number: 14, Finish: "score", Prompt: 128, Cached: 96, TTFT: 0.0305, Ago: 2},
			{Number: 13, Finish: "abort", Prompt: 90, Ago: 12},
			{Number: 12, Finish: "error" + scare, Prompt: 90, Ago: 100},
		},
	}
	s.Pages.All, s.Pages.Tokens, s.Pages.Free, s.Pages.Tree, s.Pages.Locked, s.Pages.Private = 2048, 16, 1848, 100, 57, 100
	s.Counts.Steps, s.Counts.Requests, s.Counts.Prompt, s.Counts.Cached, s.Counts.Computed, s.Counts.Generated, s.Counts.Retractions = 1234, 16, 9000, 7350, 60_000, 5000, 2
	return s
}

// openEngine attaches to the fake engine of a target.
func (s *script) openEngine(target string) *script {
	s.run(s.m.attach(target))
	return s
}

// attached is a workbench that watches the fake engine of a model.
func attached(t testing.TB, width, height int, o Options) *script {
	return newScript(t, width, height, o).openEngine("pretrained:recsys-fm")
}

// looks lets the screen ask again.
func (s *script) looks() *script {
	s.send(lookAtEngineMsg{s.bench.engine})
	return s
}

func (s *script) serveScreen() *serveScreen { return s.m.screens[3].(*serveScreen) }
