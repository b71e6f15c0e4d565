package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/host"
)

func engine(t *testing.T) *serve.Engine {
	t.Helper()
	m, err := model.New(model.Config{
		Architecture: "LlamaForCausalLM", Vocab: 50, Hidden: 16, HeadDim: 8, MaxPositions: 128,
		Layers: model.Uniform(2, 2, 1, 24), RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(1, 1)))
	m.Changed()
	e, err := host.NewEngine(m, host.Options{PageSize: 4}, serve.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// members draws prompts of prefix+2 tokens that share a prefix for each member.
func members(n, candidates, prefix int) (groups [][][]int32) {
	rng := rand.New(rand.NewPCG(2, 2))
	draw := func(n int) []int32 {
		s := make([]int32, n)
		for i := range s {
			s[i] = int32(rng.IntN(50))
		}
		return s
	}
	for range n {
		stem := draw(prefix)
		var group [][]int32
		for range candidates {
			group = append(group, append(append([]int32(nil), stem...), draw(2)...))
		}
		groups = append(groups, group)
	}
	return groups
}

func TestRankingCountsColdAndHot(t *testing.T) {
	r := Ranking{Members: members(5, 4, 40), Labels: []int32{1, 2}}
	report, err := r.Run(context.Background(), engine(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Cold) != 5 || len(report.Hot) != 15 || report.Requests != 20 {
		t.Errorf("%d cold and %d hot of %d requests, want 5, 15 and 20", len(report.Cold), len(report.Hot), report.Requests)
	}
	if report.Tokens != 5*4*42 {
		t.Errorf("%d tokens, want %d", report.Tokens, 5*4*42)
	}
	// The cache is flushed before the throughput pass, so each member's first candidate finds
	// nothing and the others its prefix.
	if report.Cached != 5*3*40 {
		t.Errorf("%d cached tokens, want %d", report.Cached, 5*3*40)
	}
	for _, d := range append(report.Cold, report.Hot...) {
		if d <= 0 {
			t.Errorf("a TTFT of %v", d)
		}
	}
	if report.Wall <= 0 {
		t.Errorf("a wall time of %v", report.Wall)
	}
}

// TestPrompts: every prompt has a latency with nothing cached, every answer all of its tokens, and
// what is served together shares prefixes.
func TestPrompts(t *testing.T) {
	var prompts [][]int32
	for _, group := range members(3, 4, 40) {
		prompts = append(prompts, group...)
	}
	for _, answer := range []int{1, 5} {
		report, err := Prompts{prompts, answer}.Run(context.Background(), engine(t))
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Cold) != 12 || len(report.Hot) != 0 || report.Requests != 12 || report.Tokens != 12*42 || report.Answered != 12*answer {
			t.Errorf("%d cold and %d hot of %d requests, %d tokens and %d answered, expected 12, 0, 12, %d and %d", len(report.Cold), len(report.Hot), report.Requests, report.Tokens, report.Answered, 12*42, 12*answer)
		}
		if want := map[int]int{1: 0, 5: 12}[answer]; len(report.TPOT) != want {
			t.Errorf("answers of %d tokens: %d have a time per token, expected %d", answer, len(report.TPOT), want)
		}
		if report.Cached != 3*3*40 {
			t.Errorf("%d cached tokens, expected %d", report.Cached, 3*3*40)
		}
		for _, d := range append(append(report.Cold, report.TPOT...), report.Wall) {
			if d <= 0 {
				t.Errorf("a time of %v", d)
			}
		}
	}
}

// TestPromptsAreColdOneByOne: latencies neither find nor leave a prefix.
func TestPromptsAreColdOneByOne(t *testing.T) {
	e := engine(t)
	prompt := members(1, 1, 40)[0][0]
	if _, err := (Prompts{[][]int32{prompt, prompt}, 2}).Run(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	stats, err := e.Stats()
	if err != nil {
		t.Fatal(err)
	}
	// of a warm-up, two latencies and two in the throughput pass only the last finds the prompt
	if stats.Requests != 5 || stats.Hits != 1 {
		t.Errorf("%d requests, of which %d found a prefix, expected 5 and 1", stats.Requests, stats.Hits)
	}
}

func TestPromptsErrors(t *testing.T) {
	e := engine(t)
	if _, err := (Prompts{Answer: 1}).Run(context.Background(), e); err == nil || !strings.Contains(err.Error(), "no prompts") {
		t.Errorf("a workload without prompts: %v", err)
	}
	if _, err := (Prompts{[][]int32{{1}}, 200}).Run(context.Background(), e); err == nil || !strings.Contains(err.Error(), "128 positions") {
		t.Errorf("answers beyond the positions: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (Prompts{[][]int32{{1}}, 2}).Run(ctx, e); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled workload: %v", err)
	}
}

func TestRankingErrors(t *testing.T) {
	e := engine(t)
	if _, err := (Ranking{}).Run(context.Background(), e); err == nil || !strings.Contains(err.Error(), "no members") {
		t.Errorf("a workload without members: %v", err)
	}
	if _, err := (Ranking{Members: [][][]int32{{}}}).Run(context.Background(), e); err == nil || !strings.Contains(err.Error(), "member 0 has no candidates") {
		t.Errorf("a member without candidates: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (Ranking{Members: members(2, 2, 8), Labels: []int32{1}}).Run(ctx, e); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled workload: %v", err)
	}
}
