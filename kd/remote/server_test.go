package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"slimlab/kd"
	"slimlab/kd/kdtest"
	"slimlab/model"
)

// endpoint is a server of a model's log-probabilities, in float64.
type endpoint struct {
	model *model.Model
	given bool // it takes prompt_logprob_token_ids
	// before, if it is not nil, answers the n-th call itself, from 1, where it returns true
	before func(n int, w http.ResponseWriter, r *http.Request) bool

	mutex    sync.Mutex
	calls    int
	at, most int // calls at a time
}

func (s *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	s.calls++
	n := s.calls
	s.at++
	s.most = max(s.most, s.at)
	s.mutex.Unlock()
	defer func() {
		s.mutex.Lock()
		s.at--
		s.mutex.Unlock()
	}()
	if s.before != nil && s.before(n, w, r) {
		return
	}
	var q struct {
		Prompt    []int32   `json:"prompt"`
		MaxTokens int       `json:"max_tokens"`
		TokenIDs  [][]int32 `json:"prompt_logprob_token_ids"`
		TopK      int       `json:"prompt_logprobs"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.URL.Path != "/v1/completions" {
		http.Error(w, "no such call", http.StatusNotFound)
		return
	}
	if !s.given && q.MaxTokens == 0 {
		http.Error(w, `{"error": "max_tokens must be at least 1, got 0"}`, http.StatusBadRequest)
		return
	}
	type entry struct {
		Logprob float64 `json:"logprob"`
		Rank    int     `json:"rank"`
		Decoded string  `json:"decoded_token"`
	}
	answer := make([]map[string]entry, len(q.Prompt))
	hidden := s.model.Forward(model.Batch{Tokens: q.Prompt, Starts: []int{0, len(q.Prompt)}}, nil)
	logits := make([]float32, s.model.Vocab)
	for t := 1; t < len(q.Prompt); t++ {
		s.model.Logits(logits, hidden[(t-1)*s.model.Hidden:t*s.model.Hidden], 1)
		logP := logProbabilities(logits)
		var ids []int32
		if q.TokenIDs != nil && s.given {
			ids = append(ids, q.TokenIDs[t]...)
		}
		if q.TopK > 0 {
			order := make([]int32, len(logits))
			for i := range order {
				order[i] = int32(i)
			}
			slices.SortFunc(order, func(a, b int32) int { return int(math.Copysign(1, float64(logits[b]-logits[a]))) })
			ids = append(append(ids, order[:min(q.TopK, len(order))]...), q.Prompt[t])
		}
		if len(ids) > 0 {
			answer[t] = map[string]entry{}
		}
		for _, id := range ids {
			answer[t][fmt.Sprint(id)] = entry{logP[id], 1, "a\"}]"}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{
		"id": "cmpl-1", "choices": []any{map[string]any{"index": 0, "text": "", "logprobs": nil, "prompt_logprobs": answer}}, "usage": map[string]int{"prompt_tokens": len(q.Prompt)},
	})
}

func logProbabilities(logits []float32) []float64 {
	most, sum := math.Inf(-1), 0.0
	for _, z := range logits {
		most = max(most, float64(z))
	}
	for _, z := range logits {
		sum += math.Exp(float64(z) - most)
	}
	logP := make([]float64, len(logits))
	for i, z := range logits {
		logP[i] = float64(z) - (most + math.Log(sum))
	}
	return logP
}

// waits is a clock that passes as it is waited for.
type waits struct {
	mutex sync.Mutex
	list  []time.Duration
}

func (w *waits) sleep(ctx context.Context, d time.Duration) error {
	w.mutex.Lock()
	w.list = append(w.list, d)
	w.mutex.Unlock()
	return ctx.Err()
}

// configOf is a Config for an endpoint, whose waits take no time.
func configOf(t testing.TB, s http.Handler) (Config, *waits) {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	w := &waits{}
	return Config{
		URL: server.URL + "/v1/", Model: "tiny", Vocab: kdtest.Vocab, Positions: 64, Sleep: w.sleep,
		Now: func() time.Time { return time.Unix(1e9, 0) }, Random: func() float64 { return 0 },
	}, w
}

func dial(t testing.TB, c Config) *Teacher {
	t.Helper()
	teacher, err := Dial(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return teacher
}

// trained returns a student's weights after some steps.
func trained(teacher kd.Teacher, student *model.Model, o kd.Objective, examples []kd.Example) ([]float32, []float64, error) {
	var divergences []float64
	_, err := kd.Train(context.Background(), kd.TrainConfig{
		Student: student, Teacher: teacher, Objective: o, Next: kd.Shuffle(examples, 12, 1), Steps: 3, LearningRate: 1e-3,
	}, func(s kd.StepReport) { divergences = append(divergences, s.Divergence) })
	return student.Flat(), divergences, err
}

func sameBits(a, b []float32) bool {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}
