package abtest

import (
	"context"
	"math"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/lab/endpoint"
	"slimlab/lab/home"
	"slimlab/lab/loadtest"
	"slimlab/serve/load"
)

func TestEchoed(t *testing.T) {
	const text = `{"choices":[{"logprobs":{"token_logprobs":[null,-1,-2,-4,-8],"text_offset":[0,2,4,6,8]}}],"usage":{"prompt_tokens":4}}`
	ids := func(prompt, reference int) *Prompt {
		return &Prompt{Request: load.Request{Prompt: make([]int32, prompt)}, Tokens: make([]int32, reference)}
	}
	words := func(prompt, reference string) *Prompt {
		return &Prompt{Request: load.Request{Text: prompt}, Text: reference}
	}
	for _, test := range []struct {
		p    *Prompt
		body string
		want float64
		says string
	}{
		{ids(2, 2), text, -3, ""}, // the last is of the answer
		{ids(1, 3), text, -7.0 / 3, ""},
		{ids(2, 3), text, 0, "the server counts 4 tokens"},
		{words("abcd", "efgh"), text, -6.0 / 4, ""},
		{words("abcde", "fgh"), text, -6.0 / 3, ""},                                // token 2 has the end of the prompt and the reference's beginning
		{words("äöüß", "efgh"), text, -6.0 / 4, ""},                                // offsets are characters
		{words("abcdefgh", "x"), strings.Replace(text, "6,8]", "6,9]", 1), -4, ""}, // the last token has both
		{ids(2, 2), strings.Replace(text, "-2", "null", 1), 0, "found no log-probability of token 2"},
		{ids(2, 2), `{"choices":[{"logprobs":null}],"usage":{"prompt_tokens":4}}`, 0, "found no log-probabilities of the prompt"},
		{ids(2, 2), `{"choices":[]}`, 0, "found no log-probabilities of the prompt"},
		{ids(2, 2), `{"choices":[{"logprobs":{"token_logprobs":[null]}}],"usage":{"prompt_tokens":4}}`, 0, "expected those of the reference"},
		{words("ab", "cd"), `{"choices":[{"logprobs":{"token_logprobs":[null,-1],"text_offset":[0]}}],"usage":{"prompt_tokens":2}}`, 0, "found the offsets of 1 tokens"},
		{ids(2, 2), `{`, 0, ""},
	} {
		got, err := echoed([]byte(test.body), test.p)
		failed := test.want == 0
		if failed != (err != nil) || failed && !strings.Contains(err.Error(), test.says) || math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%s of %+v: %v, %v, expected %v, %q", test.body, test.p, got, err, test.want, test.says)
		}
	}
}

// FuzzEchoed: whatever a server answers is a number or an error.
func FuzzEchoed(f *testing.F) {
	f.Add([]byte(`{"choices":[{"logprobs":{"token_logprobs":[null,-1,-2],"text_offset":[0,2,4]}}],"usage":{"prompt_tokens":2}}`), "ab", "c")
	f.Add([]byte(`{"choices":[{"logprobs":{"token_logprobs":[],"text_offset":[]}}],"usage":{"prompt_tokens":-2}}`), "", "c")
	f.Fuzz(func(t *testing.T, body []byte, prompt, reference string) {
		if reference == "" {
			return
		}
		for _, p := range []*Prompt{{Request: load.Request{Text: prompt}, Text: reference}, {Request: load.Request{Prompt: make([]int32, len(prompt)+1)}, Tokens: make([]int32, len(reference))}} {
			if x, err := echoed(body, p); err == nil && math.IsNaN(x) {
				t.Errorf("%q of %q and %q is no number", body, prompt, reference)
			}
		}
	})
}

// TestLogPOfServerAndEngine: the same model tells the same log-probability of a reference in this
// process and behind HTTP, of texts and of token ids, and texts are those of its own tokens.
func TestLogPOfServerAndEngine(t *testing.T) {
	h := home.Open(filepath.Join(t.TempDir(), "home"), "test")
	e, err := endpoint.Open(t.Context(), h, "pretrained:recsys-student", endpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	tokens, err := h.Tokenizer("pretrained:recsys-student")
	if err != nil {
		t.Fatal(err)
	}
	here := loadtest.Here(e)
	here.ReadTexts(func(text string) ([]int32, error) { return tokens.EncodeSpecial(text), nil }, nil, tokens.DecodeText)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- e.Serve(ctx, l, endpoint.ServerOptions{}) }()
	defer func() {
		cancel()
		<-served
	}()
	url := "http://" + l.Addr().String()
	there, err := loadtest.At(ctx, loadtest.Server{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	a, b := NewArm(here, "", ""), NewArm(there, url, "")
	const text, reference = "user likes drama ; item", " is a comedy ?"
	whole, begin := tokens.EncodeSpecial(text+reference), tokens.EncodeSpecial(text)
	for _, p := range []Prompt{
		{Request: load.Request{Text: text, MaxTokens: 4}, Text: reference},
		{Request: load.Request{Prompt: whole[:len(begin)], MaxTokens: 4}, Tokens: whole[len(begin):]},
		{Request: load.Request{Prompt: []int32{5, 6, 7}, MaxTokens: 4}, Tokens: []int32{8}},
	} {
		x, errA := a.logP(ctx, &p)
		y, errB := b.logP(ctx, &p)
		if errA != nil || errB != nil || math.Abs(x-y) > 1e-5*math.Abs(x) || x >= 0 {
			t.Errorf("%+v: %v here, %v there, %v, %v", p, x, y, errA, errB)
		}
		one, errA := a.target.Send(ctx, p.Request)
		two, errB := b.target.Send(ctx, p.Request)
		if errA != nil || errB != nil || one.Count != two.Count || p.Request.Text != "" && one.Text != two.Text {
			t.Errorf("%+v: %+v here, %+v there, %v, %v", p, one.Reply, two.Reply, errA, errB)
		}
	}
	for _, p := range []Prompt{{Request: load.Request{Messages: []load.Message{{Role: "user"}}}, Text: "x"}} {
		for _, arm := range []*Arm{a, b} {
			if _, err := arm.logP(ctx, &p); err == nil || !strings.Contains(err.Error(), "which a reference could follow") {
				t.Errorf("%v of messages", err)
			}
		}
	}
}
