package kdtest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"

	"slimlab/model"
)

// Endpoint is a server of a model's log-probabilities, in float64: the completions call of OpenAI,
// as package kd/remote asks it.
type Endpoint struct {
	Model *model.Model
	Given bool // it takes prompt_logprob_token_ids
	Rows  bool // it takes prompt_logits
	// Before, if it is not nil, answers the n-th call itself, from 1, where it returns true
	Before func(n int, w http.ResponseWriter, r *http.Request) bool
	// Decoded, if it is not nil, is the text of a token that stands beside its log-probability
	Decoded func(id int32) string
	// Shift is added to all log-probabilities, so that they are those of no model
	Shift float64

	mutex sync.Mutex
	calls int
	// calls at a time
	at, most int
}

// Calls are those so far, and the most that were answered at a time.
func (s *Endpoint) Calls() (n, most int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.calls, s.most
}

// SetBefore sets Before while calls may be under way.
func (s *Endpoint) SetBefore(before func(n int, w http.ResponseWriter, r *http.Request) bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.Before = before
}

// ServeHTTP answers a call.
func (s *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	s.calls++
	n := s.calls
	s.at++
	before := s.Before
	s.most = max(s.most, s.at)
	s.mutex.Unlock()
	defer func() {
		s.mutex.Lock()
		s.at--
		s.mutex.Unlock()
	}()
	if before != nil && before(n, w, r) {
		return
	}
	var q struct {
		Prompt    []int32   `json:"prompt"`
		MaxTokens int       `json:"max_tokens"`
		TokenIDs  [][]int32 `json:"prompt_logprob_token_ids"`
		TopK      int       `json:"prompt_logprobs"`
		Rows      []int     `json:"prompt_logits"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.URL.Path != "/v1/completions" {
		http.Error(w, "no such call", http.StatusNotFound)
		return
	}
	if !s.Given && q.MaxTokens == 0 {
		http.Error(w, `{"error": "max_tokens must be at least 1, got 0"}`, http.StatusBadRequest)
		return
	}
	type entry struct {
		Logprob float64 `json:"logprob"`
		Rank    int     `json:"rank"`
		Decoded *string `json:"decoded_token,omitempty"`
	}
	type row struct {
		Place  int     `json:"place"`
		LogSum float64 `json:"log_sum"`
		Logits []byte  `json:"logits"`
	}
	var rows []row
	answer := make([]map[string]entry, len(q.Prompt))
	hidden := s.Model.Forward(model.Batch{Tokens: q.Prompt, Starts: []int{0, len(q.Prompt)}}, nil)
	logits := make([]float32, s.Model.Vocab)
	for t := 1; t < len(q.Prompt); t++ {
		s.Model.Logits(logits, hidden[(t-1)*s.Model.Hidden:t*s.Model.Hidden], 1)
		logP := logProbabilities(logits)
		if s.Rows && slices.Contains(q.Rows, t) {
			r := row{t, float64(logits[0]) - logP[0] - s.Shift, nil}
			for _, z := range logits {
				r.Logits = binary.LittleEndian.AppendUint32(r.Logits, math.Float32bits(z))
			}
			rows = append(rows, r)
		}
		var ids []int32
		if q.TokenIDs != nil && s.Given {
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
			e := entry{Logprob: logP[id] + s.Shift, Rank: 1}
			if s.Decoded != nil {
				text := s.Decoded(id)
				e.Decoded = &text
			}
			answer[t][fmt.Sprint(id)] = e
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{
		"id": "cmpl-1", "choices": []any{map[string]any{"index": 0, "text": "", "logprobs": nil, "prompt_logprobs": answer, "prompt_logits": rows}}, "usage": map[string]int{"prompt_tokens": len(q.Prompt)},
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
