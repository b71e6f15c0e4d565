package server

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

type promptAnswer struct {
	Choices []struct {
		Text     string
		Prompt   []map[string]placeLogprob `json:"prompt_logprobs"`
		Logprobs struct {
			Tokens        []string
			TokenLogprobs []*float64            `json:"token_logprobs"`
			TopLogprobs   []map[string]*float64 `json:"top_logprobs"`
			TextOffset    []int                 `json:"text_offset"`
		}
		Finish string `json:"finish_reason"`
	}
	Usage usage
}

// logP are the log-probabilities after a sequence, as the fake model has them.
func (f *fake) logP(sequence []int32) []float64 {
	sum := 0.0
	for _, l := range f.logits(sequence) {
		sum += math.Exp(float64(l))
	}
	out := make([]float64, vocabulary)
	for id, l := range f.logits(sequence) {
		out[id] = float64(l) - math.Log(sum)
	}
	return out
}

// Both forms say of each place what the model expects there, whatever the cache has of the prompt,
// with an answer or without.
func TestPromptLogprobs(t *testing.T) {
	x := start(t, script, Options{})
	prompt := append(x.tokenizer.Encode("the fox runs over it"), x.ask)
	list := strings.ReplaceAll(fmt.Sprint(prompt), " ", ",")
	listed := make([]string, len(prompt))
	for i := range listed {
		if listed[i] = "[]"; i > 2 && i != 4 {
			listed[i] = fmt.Sprintf("[300,7,%d,7]", i)
		}
	}
	ids := "[" + strings.Join(listed, ",") + "]"
	for round := range 2 {
		for _, more := range []int{0, 3} {
			ask := fmt.Sprintf(`{"prompt":%s,"max_tokens":%d`, list, more)
			likeliest := decode[promptAnswer](t, x.post(t, "/v1/completions", ask+`,"prompt_logprobs":2}`))
			given := decode[promptAnswer](t, x.post(t, "/v1/completions", ask+`,"prompt_logprob_token_ids":`+ids+`}`))
			for _, got := range []promptAnswer{likeliest, given} {
				if c := got.Choices[0]; len(c.Prompt) != len(prompt) || c.Prompt[0] != nil || c.Finish != "length" || got.Usage.CompletionTokens != more {
					t.Fatalf("round %d: %+v", round, got)
				}
			}
			for i := 1; i < len(prompt); i++ {
				want := x.logP(prompt[:i])
				own, ranked := likeliest.Choices[0].Prompt[i], 0
				if len(own) < 2 || len(own) > 3 {
					t.Errorf("place %d has %d tokens", i, len(own))
				}
				for name, p := range own {
					var id int32
					fmt.Sscan(name, &id)
					rank := 1
					for other, logP := range want {
						if logP > want[id] || logP == want[id] && int32(other) < id {
							rank++
						}
					}
					if math.Abs(p.Logprob-want[id]) > 1e-6 || p.Rank != rank || *p.Text != x.server.tokenText(id) {
						t.Errorf("place %d, token %d: %+v (%q), want %v of rank %d", i, id, p, *p.Text, want[id], rank)
					}
					if rank <= 2 {
						ranked++
					} else if id != prompt[i] {
						t.Errorf("place %d has token %d of rank %d", i, id, rank)
					}
				}
				if _, ok := own[fmt.Sprint(prompt[i])]; !ok || ranked != 2 {
					t.Errorf("place %d has %v, want token %d and the two likeliest", i, own, prompt[i])
				}
				chosen := given.Choices[0].Prompt[i]
				if listed[i] == "[]" {
					if chosen != nil {
						t.Errorf("place %d has %v, nothing was asked", i, chosen)
					}
					continue
				}
				if len(chosen) != len(slices.Compact([]int{7, i}))+1 {
					t.Errorf("place %d has %v, want those of %s", i, chosen, listed[i])
				}
				for _, id := range []int{300, 7, i} {
					if p, ok := chosen[fmt.Sprint(id)]; !ok || math.Abs(p.Logprob-want[id]) > 1e-6 || p.Rank != 0 || p.Text != nil {
						t.Errorf("place %d, token %d: %+v, want %v", i, id, p, want[id])
					}
				}
			}
		}
	}
	x.idle(t)
}

// The log-probabilities of an echo are those of its tokens, and go on with those of the answer, in
// a stream as in the whole; a prompt may fill all positions.
func TestEchoLogprobs(t *testing.T) {
	x := start(t, script, Options{})
	const prompt = "Łódź is where the rain falls"
	tokens := x.tokenizer.EncodeSpecial(prompt)
	for _, more := range []int{0, 4} {
		ask := fmt.Sprintf(`{"prompt":%q,"max_tokens":%d,"temperature":0,"echo":true,"logprobs":1`, prompt, more)
		whole := decode[promptAnswer](t, x.post(t, "/v1/completions", ask+`,"prompt_logprobs":3}`)).Choices[0]
		l := whole.Logprobs
		if n := len(tokens) + more; len(l.Tokens) != n || len(l.TokenLogprobs) != n || len(l.TopLogprobs) != n || len(l.TextOffset) != n || !strings.HasPrefix(whole.Text, prompt) {
			t.Fatalf("%+v, want %d tokens", whole, n)
		}
		if l.TokenLogprobs[0] != nil || l.TopLogprobs[0] != nil {
			t.Errorf("the first token has %v, before which there is nothing", l.TopLogprobs[0])
		}
		runes := []rune(whole.Text)
		for i, token := range l.Tokens {
			if at := string(runes[l.TextOffset[i]:]); !strings.Contains(token, "\uFFFD") && !strings.HasPrefix(at, token) {
				t.Errorf("token %q stands at %d, where the text is %q", token, l.TextOffset[i], at)
			}
			if i > 0 && i < len(tokens) {
				want := x.logP(tokens[:i])
				if math.Abs(*l.TokenLogprobs[i]-want[tokens[i]]) > 1e-5 || len(l.TopLogprobs[i]) != 1 || len(whole.Prompt[i]) < 3 {
					t.Errorf("token %q: %v beside %v, want %v", token, *l.TokenLogprobs[i], l.TopLogprobs[i], want[tokens[i]])
				}
				for _, p := range l.TopLogprobs[i] {
					if math.Abs(*p-slices.Max(want)) > 1e-5 {
						t.Errorf("token %q: the likeliest has %v, want %v", token, *p, slices.Max(want))
					}
				}
			}
		}
		var text string
		var streamed []string
		var offsets []int
		for _, frame := range strings.Split(x.post(t, "/v1/completions", ask+`,"stream":true}`).body, "\n\n") {
			if data := strings.TrimPrefix(frame, "data: "); data != "" && data != "[DONE]" {
				c := decode[promptAnswer](t, reply{status: 200, body: data}).Choices[0]
				text, streamed, offsets = text+c.Text, append(streamed, c.Logprobs.Tokens...), append(offsets, c.Logprobs.TextOffset...)
			}
		}
		if text != whole.Text || !slices.Equal(streamed, l.Tokens) || !slices.Equal(offsets, l.TextOffset) {
			t.Errorf("the stream says %q, %q at %d; the whole %q, %q at %d", text, streamed, offsets, whole.Text, l.Tokens, l.TextOffset)
		}
	}
	full := strings.TrimSuffix(strings.Repeat("9,", x.shape.Positions), ",")
	if got := decode[promptAnswer](t, x.post(t, "/v1/completions", `{"prompt":[`+full+`],"max_tokens":0,"prompt_logprobs":0}`)); len(got.Choices[0].Prompt) != x.shape.Positions {
		t.Errorf("a prompt of all positions has %d places", len(got.Choices[0].Prompt))
	}
	for body, status := range map[string]int{`[` + full + `],"prompt_logprobs":0}`: 400, `[` + full + `,9],"max_tokens":0,"prompt_logprobs":0}`: 400} {
		if got := x.post(t, "/v1/completions", `{"prompt":`+body); got.status != status || *refusal(t, got).Code != "context_length_exceeded" {
			t.Errorf("%d: %s", got.status, got.body)
		}
	}
	x.idle(t)
}
