package host

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"slimlab/kd"
	"slimlab/kd/kdtest"
	"slimlab/kd/remote"
	"slimlab/kernels"
	"slimlab/model"
	"slimlab/serve"
)

// endpoint answers for given tokens of a prompt, as package kd/remote asks, with what an engine
// tells of its places.
func endpoint(t *testing.T, e *serve.Engine) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Prompt   []int32   `json:"prompt"`
			TokenIDs [][]int32 `json:"prompt_logprob_token_ids"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		type entry struct {
			Logprob float64 `json:"logprob"`
		}
		answer := make([]map[string]entry, len(q.Prompt))
		asked := make([]bool, len(q.Prompt))
		for place, ids := range q.TokenIDs {
			asked[place] = len(ids) > 0
		}
		_, err := e.Do(r.Context(), serve.Request{Prompt: q.Prompt, PromptLogP: &serve.PromptLogP{Asked: asked, Each: func(row serve.PromptRow) {
			answer[row.Place] = map[string]entry{}
			for _, id := range q.TokenIDs[row.Place] {
				answer[row.Place][fmt.Sprint(id)] = entry{row.LogP(id)}
			}
		}}})
		if err != nil {
			t.Error(err)
		}
		if err := json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{"prompt_logprobs": answer}}}); err != nil {
			t.Error(err)
		}
	})
}

// TestTeacherByEngine: a student that an engine teaches, over all its tokens, gets the same
// weights, bit for bit, as one that the model in memory teaches, whose keys and values are kept in
// the same format; with prefixes that are cached and without, in small chunks and pages.
func TestTeacherByEngine(t *testing.T) {
	of, examples := kdtest.Model(t, kdtest.Vocab, 24, 2), kdtest.Examples(30, kdtest.Vocab, 3)
	trained := func(teacher kd.Teacher, o kd.Objective) []uint32 {
		t.Helper()
		student := kdtest.Model(t, kdtest.Vocab, 16, 1)
		_, err := kd.Train(t.Context(), kd.TrainConfig{
			Student: student, Teacher: teacher, Objective: o, Next: kd.Shuffle(examples, 12, 1), Steps: 3, LearningRate: 1e-3,
		}, func(kd.StepReport) {})
		if err != nil {
			t.Fatal(err)
		}
		var bits []uint32
		for _, w := range student.Flat() {
			bits = append(bits, math.Float32bits(w))
		}
		return bits
	}
	for _, format := range []kernels.KVFormat{kernels.KVFloat32, kernels.KVBFloat16} {
		local, err := of.WithKV(format)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []kd.Objective{{Divergence: kd.ForwardKL, CE: 0.1}, {Divergence: kd.ReverseKL}, {Divergence: kd.JSD, Parameter: 0.5, Temperature: 2, TimesT2: true}} {
			want := trained(kd.NewModelTeacher(local, kernels.Float32), o)
			for name, engine := range map[string]serve.Options{"cache": serve.Defaults(), "no cache": {}, "chunks": {PrefixCache: true, Chunk: 3}} {
				e, err := NewEngine(local, Options{PageSize: 2, Pages: 300}, engine)
				if err != nil {
					t.Fatal(err)
				}
				server := httptest.NewServer(endpoint(t, e))
				teacher, err := remote.Dial(t.Context(), remote.Config{URL: server.URL, Vocab: kdtest.Vocab, Positions: 64})
				if err != nil {
					t.Fatal(err)
				}
				if got := trained(teacher, o); !slices.Equal(got, want) {
					t.Errorf("%v, %s, %s: other bits than with the model", format, o.Formula(), name)
				}
				server.CloseClientConnections()
				server.Close()
				e.Close()
			}
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// TestPromptLogPIsForward: what is told of each place has the bits of the model's plain forward
// pass, whatever shares the prefix cache, the chunks and the batch.
func TestPromptLogPIsForward(t *testing.T) {
	m, err := tinyModel(t).WithKV(kernels.KVInt8)
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEngine(m, Options{PageSize: 4}, serve.Options{PrefixCache: true, Chunk: 11})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ps := prompts(rand.New(rand.NewPCG(6, 6)), 12)
	for round := range 2 {
		var rs []serve.Request
		rows := make([][]float32, len(ps))
		for i, p := range ps {
			rs = append(rs, serve.Request{Prompt: p, MaxTokens: i % 3, PromptLogP: &serve.PromptLogP{Each: func(r serve.PromptRow) {
				if r.Place != len(rows[i])/m.Vocab+1 || r.Token != p[r.Place] {
					t.Errorf("prompt %d: place %d of token %d after %d places", i, r.Place, r.Token, len(rows[i])/m.Vocab)
				}
				rows[i] = append(rows[i], r.Logits...)
			}}})
		}
		if _, err := e.DoAll(context.Background(), rs); err != nil {
			t.Fatal(err)
		}
		for i, p := range ps {
			want := make([]float32, (len(p)-1)*m.Vocab)
			m.Logits(want, m.Forward(model.Batch{Tokens: p, Starts: []int{0, len(p)}}, nil)[:(len(p)-1)*m.Hidden], len(p)-1)
			if !slices.Equal(rows[i], want) {
				t.Errorf("round %d, prompt %d: other logits than the model's", round, i)
			}
		}
	}
}
