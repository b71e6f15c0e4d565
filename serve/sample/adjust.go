package sample

import "math"

// adjust changes a row's logits by its biases, its bans and its penalties.
func (r *Row) adjust() {
	for token, by := range r.Settings.Bias {
		r.Logits[token] += by
	}
	for _, token := range r.Banned {
		if token >= 0 && int(token) < len(r.Logits) { // a model without an end token has -1
			r.Logits[token] = float32(math.Inf(-1))
		}
	}
	if r.History != nil {
		r.History.penalize(r.Logits, &r.Settings)
	}
}

// History is the tokens of a sequence as penalties count them, each token once.
type History struct {
	seen []seenToken
	at   map[int32]int // where a token is in seen
}

type seenToken struct {
	id      int32
	prompt  bool  // whether the prompt has it
	answers int32 // how often the answer has it
}

// NewHistory begins with a prompt.
func NewHistory(prompt []int32) *History {
	h := &History{at: map[int32]int{}}
	for _, token := range prompt {
		h.seen[h.find(token)].prompt = true
	}
	return h
}

// find returns where a token is in seen.
func (h *History) find(token int32) int {
	i, ok := h.at[token]
	if !ok {
		i = len(h.seen)
		h.at[token] = i
		h.seen = append(h.seen, seenToken{id: token})
	}
	return i
}

// Add adds a token of the answer.
func (h *History) Add(token int32) { h.seen[h.find(token)].answers++ }

// Remove takes back a token of the answer that was added.
func (h *History) Remove(token int32) { h.seen[h.find(token)].answers-- }

// penalize changes the logits of the tokens that were seen.
func (h *History) penalize(logits []float32, s *Settings) {
	if !s.Penalizes() {
		return
	}
	repeats, repetition := s.repeats(), float32(s.Repetition)
	for _, seen := range h.seen {
		if !seen.prompt && seen.answers == 0 {
			continue // it was taken back
		}
		z := logits[seen.id]
		if repeats && z > 0 {
			z /= repetition
		} else if repeats {
			z *= repetition
		}
		if seen.answers > 0 {
			z -= float32(s.Frequency)*float32(seen.answers) + float32(s.Presence)
		}
		logits[seen.id] = z
	}
}
