package host

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"regexp"
	"testing"

	"slimlab/kernels"
	"slimlab/serve"
	"slimlab/serve/grammar"
	"slimlab/serve/sample"
)

// following is a matcher that a draft can follow.
type following struct{ *grammar.Matcher }

func (f following) Fork() serve.Constraint { return following{f.Matcher.Fork()} }

// TestGrammar: answers of a model of letters satisfy the expression that constrains them, greedy
// and drawn, the same ones with a draft, which is right more often where it follows the constraint.
func TestGrammar(t *testing.T) {
	const expression = `([a-m]{2,4},)+(yes|no)`
	g, err := grammar.Compile(t.Context(), expression)
	if err != nil {
		t.Fatal(err)
	}
	const end = 59
	var pieces [][]byte
	for token := range end {
		pieces = append(pieces, []byte{byte("abcdefghijklmnopqrstuvwxyz,-ABCDEFGHIJKLMNOPQRSTUVWXYZ01234"[token])})
	}
	vocabulary := grammar.NewVocabulary(append(pieces, nil), end)
	m := tinyModel(t)
	generate := func(o serve.Options, follow bool) ([]serve.Result, serve.Stats) {
		t.Helper()
		e, err := NewEngine(m, Options{KV: kernels.KVFloat32}, o)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		var rs []serve.Request
		for i, p := range prompts(rand.New(rand.NewPCG(2, 6)), 12) {
			r := serve.Request{Prompt: p, MaxTokens: 60, Stop: []int32{end}, LogP: true, Constraint: g.Matcher(vocabulary)}
			if follow {
				r.Constraint = following{g.Matcher(vocabulary)}
			}
			if i > 2 {
				r.Sampling = sample.Settings{Temperature: 1.1, Seed: uint64(i), MinP: 0.02}
			}
			rs = append(rs, r)
		}
		results, err := e.DoAll(t.Context(), rs)
		if err != nil {
			t.Fatal(err)
		}
		stats, err := e.Stats()
		if err != nil {
			t.Fatal(err)
		}
		for i := range results {
			r := &results[i]
			results[i] = serve.Result{Tokens: r.Tokens, LogP: r.LogP, Stopped: r.Stopped, Finish: r.Finish}
		}
		return results, stats
	}
	want, _ := generate(serve.Defaults(), false)
	whole := regexp.MustCompile("^" + expression + "$")
	ended := 0
	for i, r := range want {
		var text []byte
		for _, token := range r.Tokens {
			text = append(text, pieces[token]...)
		}
		if r.Finish == serve.FinishStop {
			ended++
			if !whole.Match(text) {
				t.Errorf("request %d: %q", i, text)
			}
		}
	}
	if ended < 3 {
		t.Errorf("%d of %d answers ended: the test shows little", ended, len(want))
	}
	var right [2]int
	for i, follow := range []bool{false, true} {
		draft, err := New(m, Options{KV: kernels.KVFloat32})
		if err != nil {
			t.Fatal(err)
		}
		o := serve.Defaults()
		o.Draft.Executor = draft
		got, stats := generate(o, follow)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("other answers with a draft, following %t", follow)
		}
		for _, n := range stats.Accepted {
			right[i] += n
		}
		if follow && right[i] != stats.Drafted {
			t.Errorf("%d of %d tokens of a draft by the same model were right", right[i], stats.Drafted)
		}
	}
	if right[0]*2 > right[1] {
		t.Errorf("a draft was right %d times, following the constraint %d times", right[0], right[1])
	}
}

// TestGrammarSaysWhy: a constraint that fails says so in the error of its request.
func TestGrammarSaysWhy(t *testing.T) {
	g, err := grammar.Compile(t.Context(), `[a-z]*`)
	if err != nil {
		t.Fatal(err)
	}
	m := g.Matcher(grammar.NewVocabulary([][]byte{[]byte("a"), nil}, 1))
	m.Accept(7)
	e, err := NewEngine(tinyModel(t), Options{}, serve.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Do(t.Context(), serve.Request{Prompt: []int32{1}, MaxTokens: 3, Constraint: m}); !errors.Is(err, serve.ErrNothingAllowed) || !errors.Is(err, m.Err()) {
		t.Errorf("%v, expected also %v", err, m.Err())
	}
}
