package server

import (
	"encoding/binary"
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

// Whole rows are the logits themselves, beside given tokens too, whatever the cache has.
func TestPromptLogits(t *testing.T) {
	x := start(t, script, Options{Limits: Limits{RowBytes: 4 * 4 * vocabulary}})
	prompt := append(x.tokenizer.Encode("the fox runs over it"), x.ask)
	list := strings.ReplaceAll(fmt.Sprint(prompt), " ", ",")
	ids := "[[],[7]" + strings.Repeat(",[]", len(prompt)-2) + "]"
	type answer struct {
		Choices []struct {
			Prompt []map[string]placeLogprob `json:"prompt_logprobs"`
			Rows   []struct {
				Place  int
				LogSum float64 `json:"log_sum"`
				Logits []byte
			} `json:"prompt_logits"`
		}
	}
	for _, more := range []string{"", `,"prompt_logprob_token_ids":` + ids, `,"max_tokens":2,"n":2`} {
		if !strings.Contains(more, "max_tokens") {
			more += `,"max_tokens":0`
		}
		got := decode[answer](t, x.post(t, "/v1/completions", `{"prompt":`+list+`,"prompt_logits":[5,2]`+more+`}`))
		for _, c := range got.Choices {
			if len(c.Rows) != 2 || c.Rows[0].Place != 2 || c.Rows[1].Place != 5 {
				t.Fatalf("%s: %+v", more, c.Rows)
			}
			for _, row := range c.Rows {
				logits, logP := x.logits(prompt[:row.Place]), x.logP(prompt[:row.Place])
				if len(row.Logits) != 4*len(logits) {
					t.Fatalf("place %d: %d bytes", row.Place, len(row.Logits))
				}
				for id, z := range logits {
					if bits := binary.LittleEndian.Uint32(row.Logits[4*id:]); bits != math.Float32bits(z) || math.Abs(float64(z)-row.LogSum-logP[id]) > 1e-6 {
						t.Fatalf("place %d, token %d: %v, want %v and %v in sum", row.Place, id, math.Float32frombits(bits), z, logP[id])
					}
				}
			}
			if listed := strings.Contains(more, "ids"); listed != (c.Prompt != nil) || listed && len(c.Prompt[1]) != 1 {
				t.Errorf("%s: %v", more, c.Prompt)
			}
		}
	}
	for _, c := range []struct{ body, says string }{
		{`"prompt":[1,2,3],"prompt_logits":[3]`, "prompt_logits: found 3, expected each of 1 to 2 once at most"},
		{`"prompt":[1,2,3],"prompt_logits":[0]`, "prompt_logits: found 0"},
		{`"prompt":[1,2,3],"prompt_logits":[1,1]`, "prompt_logits: found 1"},
		{`"prompt":["a","b"],"prompt_logits":[1]`, "prompt_logits: found them for 2 prompts"},
		{`"prompt":[1,2,3],"prompt_logits":[1],"stream":true`, "prompt_logits: found them in a stream"},
		{`"prompt":[1,2,3],"prompt_logits":[1],"prompt_logprobs":1`, "prompt_logits: found them beside prompt_logprobs"},
		{`"prompt":[1,2,3],"prompt_logits":[1],"echo":true,"logprobs":1`, "prompt_logits: found them beside logprobs of an echo"},
		{`"prompt":[1,2,3],"prompt_logits":"all"`, "prompt_logits: found a string"},
		{`"prompt":` + list + `,"prompt_logits":[1,2,3],"n":2`, "prompt_logits: found 7920 bytes of logits, expected at most 5280"},
	} {
		got := x.post(t, "/v1/completions", `{`+c.body+`}`)
		if p := refusal(t, got); got.status != 400 || !strings.Contains(p.Message, c.says) {
			t.Errorf("%s: %d %s, want 400 with %q", c.body, got.status, p.Message, c.says)
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
