package host

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/sample"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("slimlab/kernels/parallel.(*worker).loop"))
}

func tinyModel(t testing.TB) *model.Model {
	t.Helper()
	m, err := model.New(model.Config{
		Architecture: "LlamaForCausalLM", Vocab: 60, Hidden: 16, HeadDim: 8, MaxPositions: 256,
		Layers:    []model.LayerConfig{{Heads: 4, KVHeads: 2, MLP: 24}, {Heads: 2, KVHeads: 1, MLP: 17}},
		RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(7, 7)))
	m.Changed()
	return m
}

// prompts draws requests of which many share prefixes.
func prompts(rng *rand.Rand, n int) [][]int32 {
	random := func(n int) []int32 {
		s := make([]int32, n)
		for i := range s {
			s[i] = int32(rng.IntN(60))
		}
		return s
	}
	stems := [][]int32{random(70), random(33), random(5)}
	out := make([][]int32, n)
	for i := range out {
		out[i] = slices.Concat(stems[rng.IntN(len(stems))], random(1+rng.IntN(20)))
	}
	return out
}

func requests(rng *rand.Rand, n int) []serve.Request {
	out := make([]serve.Request, n)
	for i, p := range prompts(rng, n) {
		out[i] = serve.Request{Prompt: p, MaxTokens: 1 + rng.IntN(12)}
		switch rng.IntN(3) {
		case 1:
			out[i].Sampling = sample.Settings{Temperature: 0.8, TopK: 20, TopP: 0.9, Seed: uint64(i)}
		case 2:
			out[i].MaxTokens, out[i].Labels = 0, []int32{3, 59, 0}
		}
		if rng.IntN(3) == 0 {
			out[i].Sampling.MinP, out[i].Sampling.Repetition, out[i].Sampling.Frequency = 0.05, 1.3, 0.2
		}
		out[i].TopLogP = rng.IntN(3)
	}
	return out
}

type answerOf struct {
	Tokens []int32
	Logits []float32
	Finish serve.Finish
}

func answers(t *testing.T, m *model.Model, h Options, o serve.Options, rs []serve.Request) []answerOf {
	t.Helper()
	e, err := NewEngine(m, h, o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	results, err := e.DoAll(context.Background(), rs)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]answerOf, len(results))
	for i, r := range results {
		out[i] = answerOf{r.Tokens, r.LabelLogits, r.Finish}
	}
	return out
}

// TestGreedyEqualsForward checks the engine against the model's plain forward pass.
func TestGreedyEqualsForward(t *testing.T) {
	m := tinyModel(t)
	prompt := prompts(rand.New(rand.NewPCG(3, 3)), 1)[0]
	got := answers(t, m, Options{}, serve.Defaults(), []serve.Request{{Prompt: prompt, MaxTokens: 8}})[0].Tokens
	tokens := slices.Clone(prompt)
	logits := make([]float32, m.Vocab)
	for range 8 {
		hidden := m.Forward(model.Batch{Tokens: tokens, Starts: []int{0, len(tokens)}}, nil)
		m.Logits(logits, hidden[(len(tokens)-1)*m.Hidden:], 1)
		tokens = append(tokens, int32(kernels.Argmax(logits)))
	}
	if !slices.Equal(got, tokens[len(prompt):]) {
		t.Errorf("engine %v, forward %v", got, tokens[len(prompt):])
	}
}

// TestLogP: log-probabilities are those of the model's own logits, the stop token's included, and
// asking for them changes no answer.
func TestLogP(t *testing.T) {
	m := tinyModel(t)
	var plain, asked []serve.Request
	stops := make([]int32, 12)
	for i := range stops {
		stops[i] = int32(5 * i)
	}
	for i, p := range prompts(rand.New(rand.NewPCG(5, 5)), 12) {
		r := serve.Request{Prompt: p, MaxTokens: 9, Stop: stops, Sampling: sample.Settings{Temperature: 0.8, TopK: i % 2 * 30, Seed: uint64(i)}}
		if i%3 == 0 {
			r.Sampling = sample.Settings{}
		}
		plain = append(plain, r)
		r.LogP, r.ScaledLogP = i%4 != 3, i%4 == 1
		asked = append(asked, r)
	}
	want := answers(t, m, Options{KV: kernels.KVFloat32}, serve.Defaults(), plain)
	e, err := NewEngine(m, Options{KV: kernels.KVFloat32}, serve.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	results, err := e.DoAll(context.Background(), asked)
	if err != nil {
		t.Fatal(err)
	}
	stopped := 0
	for i, r := range results {
		if !slices.Equal(r.Tokens, want[i].Tokens) || r.Finish != want[i].Finish {
			t.Errorf("request %d: %v %s, without log-probabilities %v %s", i, r.Tokens, r.Finish, want[i].Tokens, want[i].Finish)
		}
		generated := r.Tokens
		if r.Finish == serve.FinishStop {
			stopped++
			if generated = append(slices.Clone(generated), r.Stopped); !slices.Contains(stops, r.Stopped) {
				t.Errorf("request %d stopped at %d", i, r.Stopped)
			}
		}
		if !asked[i].LogP {
			if r.LogP != nil {
				t.Errorf("request %d: log-probabilities that nobody asked for", i)
			}
			continue
		}
		tokens := slices.Concat(asked[i].Prompt, generated)
		hidden := m.Forward(model.Batch{Tokens: tokens, Starts: []int{0, len(tokens)}}, nil)
		logits := make([]float32, len(tokens)*m.Vocab)
		m.Logits(logits, hidden, len(tokens))
		if temperature := asked[i].Sampling.Temperature; temperature > 0 && asked[i].ScaledLogP {
			for j := range logits {
				logits[j] /= float32(temperature)
			}
		}
		kernels.LogSoftmax(logits, len(tokens), m.Vocab)
		if len(r.LogP) != len(generated) {
			t.Fatalf("request %d: %d log-probabilities of %d tokens", i, len(r.LogP), len(generated))
		}
		for j, token := range generated {
			if want := logits[(len(asked[i].Prompt)+j-1)*m.Vocab+int(token)]; math.Abs(float64(r.LogP[j]-want)) > 1e-3 {
				t.Errorf("request %d, token %d: log-probability %v, want %v", i, j, r.LogP[j], want)
			}
		}
	}
	if stopped == 0 || stopped == len(results) {
		t.Errorf("%d of %d requests stopped; the test shows little", stopped, len(results))
	}
}

func TestScoresAreLogits(t *testing.T) {
	m := tinyModel(t)
	ps := prompts(rand.New(rand.NewPCG(4, 4)), 6)
	for format, tolerance := range map[kernels.KVFormat]float64{kernels.KVFloat32: 1e-4, kernels.KVBFloat16: 0.01, kernels.KVInt8: 0.02, kernels.KVK16V4: 0.2, kernels.KVInt4: 0.3} {
		e, err := NewEngine(m, Options{KV: format}, serve.Defaults())
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Score(context.Background(), ps, []int32{5, 9})
		e.Close()
		if err != nil {
			t.Fatal(err)
		}
		logits := make([]float32, m.Vocab)
		for i, p := range ps {
			hidden := m.Forward(model.Batch{Tokens: p, Starts: []int{0, len(p)}}, nil)
			m.Logits(logits, hidden[(len(p)-1)*m.Hidden:], 1)
			for j, l := range []int32{5, 9} {
				if math.Abs(float64(got[i][j]-logits[l])) > tolerance {
					t.Errorf("%v, prompt %d label %d: engine %g, forward %g", format, i, l, got[i][j], logits[l])
				}
			}
		}
	}
}

// TestBatchedHeadKeepsBits: each segment of a mixed batch gets the logits that it would get alone,
// in every format of the head, and only those that it asks for.
func TestBatchedHeadKeepsBits(t *testing.T) {
	m := tinyModel(t)
	for name, m := range map[string]*model.Model{"float32": m, "bfloat16": m.InBFloat16()} {
		rng := rand.New(rand.NewPCG(8, 8))
		var batch []serve.Segment
		for i, p := range prompts(rng, 40) {
			table := make([]int32, 8)
			for j := range table {
				table[j] = int32(8*i + j)
			}
			s := serve.Segment{Tokens: p, Pages: table, Logits: true}
			switch i % 5 {
			case 1:
				s.Logits = false
			case 0:
				s.Rows = i % 4
			case 2:
				s.Logits, s.Labels = false, []int32{7, 3, 7}
			case 3:
				s.Logits, s.Labels = false, []int32{1}
			}
			batch = append(batch, s)
		}
		var alone, all [][]float32
		for _, s := range batch {
			e := executor(t, m)
			rows, err := e.Extend([]serve.Segment{s})
			if err != nil {
				t.Fatal(err)
			}
			hidden := e.step.Extend(m, e.pool, []model.Segment{{Tokens: s.Tokens, Pages: s.Pages, Last: len(s.Tokens)}})
			every := make([]float32, len(s.Tokens)*m.Vocab)
			m.Logits(every, hidden, len(s.Tokens))
			want := every[len(every)-m.Vocab*max(1, s.Rows):]
			if !s.Logits {
				var labels []float32
				for _, l := range s.Labels {
					labels = append(labels, want[l])
				}
				want = labels
			}
			all = append(all, every)
			if !slices.Equal(rows[0], want) {
				t.Fatalf("%s: logits %v, the model has %v", name, rows[0], want)
			}
			alone = append(alone, slices.Clone(rows[0]))
		}
		e := executor(t, m)
		e.most = 3
		given := make([][]float32, len(batch))
		for i := range batch {
			s := &batch[i]
			if s.From = i % len(s.Tokens); i%3 == 0 {
				s.Each = func(first int, rows []float32) {
					if first != s.From+len(given[i])/m.Vocab {
						t.Errorf("%s: segment %d is given token %d after %d from %d on", name, i, first, len(given[i])/m.Vocab, s.From)
					}
					if len(rows) > 3*m.Vocab {
						t.Errorf("%s: segment %d is given %d rows at once, expected at most 3", name, i, len(rows)/m.Vocab)
					}
					given[i] = append(given[i], rows...)
					clear(rows)
				}
			}
		}
		for range 2 { // the second time in memory that was used
			rows, err := e.Extend(batch)
			if err != nil {
				t.Fatal(err)
			}
			for i := range batch {
				if !slices.Equal(rows[i], alone[i]) {
					t.Errorf("%s: segment %d of a batch has logits %v, alone %v", name, i, rows[i], alone[i])
				}
				if s := &batch[i]; s.Each != nil && !slices.Equal(given[i], all[i][s.From*m.Vocab:]) {
					t.Errorf("%s: segment %d is given %d rows, or others than from token %d on", name, i, len(given[i])/m.Vocab, s.From)
				}
				given[i] = nil
			}
			if got, want := len(e.labels), 8*3+8*1; got != want {
				t.Errorf("%s: %d logits of labels were computed, the segments ask for %d", name, got, want)
			}
		}
	}
}

func executor(t *testing.T, m *model.Model) *Executor {
	t.Helper()
	e, err := New(m, Options{Pages: 400})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestOptions(t *testing.T) {
	m := tinyModel(t)
	for _, o := range []Options{{PageSize: 5}, {Pages: -1}, {PageSize: -1}} {
		if _, err := NewEngine(m, o, serve.Defaults()); err == nil {
			t.Errorf("%+v were taken", o)
		}
	}
	e, err := New(m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := e.Shape(), (serve.Shape{Vocabulary: 60, Positions: 256, Pages: 2048, PageSize: 16, Hidden: 16}); got != want {
		t.Errorf("the shape is %+v, want %+v", got, want)
	}
}
