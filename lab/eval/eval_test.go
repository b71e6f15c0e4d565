package eval

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/kernels"
	"slimlab/lab/recipe"
	"slimlab/lab/task"
	"slimlab/model/tokenizer"
)

const sentences = "The quick brown fox jumps over the lazy dog. The dog sleeps, and the fox runs over the hill!\nA lazy hill sleeps. \n"

// tinySource is a model of random weights with a tokenizer of its own, whose texts begin with <bos>
// unless bos is empty.
func tinySource(t testing.TB, name string, seed uint64, bos string) Source {
	t.Helper()
	tok, err := tokenizer.Train(slices.Values([]string{sentences}), 300, []string{"<bos>", "<eos>"})
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.SetSpecial(bos, "<eos>"); err != nil {
		t.Fatal(err)
	}
	return Source{Name: name, Positions: 300, Load: func(context.Context) (*Model, error) {
		m := tinyModel(t, 320)
		m.Init(rand.New(rand.NewPCG(seed, seed)))
		return &Model{Model: m, Tokenizer: tok, Stored: 1234, Cache: kernels.KVFloat32, Generate: func(_ context.Context, prompt []int32, tokens int, _ []int32) ([]int32, error) {
			out := slices.Repeat([]int32{prompt[len(prompt)-1]}, tokens)
			out[tokens-1] = int32(seed)
			return out, nil
		}}, nil
	}}
}

func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const questions = `{"query":"Question: What does the fox do?","choices":["runs","sleeps over the hill","lazy"],"gold":0}
{"query":"Question: Who sleeps?\n","choices":["the dog","a hill","the fox"],"gold":0}
{"query":"Question: Where?","choices":["over","the quick brown fox jumps"],"gold":1}
`

// find returns a result by its metric.
func find(t testing.TB, r *Evaluation, metric string) Figure {
	t.Helper()
	i := slices.IndexFunc(r.Results, func(x Figure) bool { return x.Metric == metric })
	if i < 0 {
		t.Fatalf("no %s in the report", metric)
	}
	return r.Results[i]
}

// Every figure is computed again, one sequence at a time with a softmax in float64.
func TestFiguresAgainstNaive(t *testing.T) {
	text, choice := write(t, "text.txt", strings.Repeat(sentences, 12)), write(t, "choice.jsonl", questions)
	for _, bos := range []string{"<bos>", ""} {
		source := tinySource(t, "tiny", 5, bos)
		r, err := Run(context.Background(), []Source{source}, Options{Texts: []string{text}, Choices: []string{choice}, Window: 20, Cue: task.DefaultCue})
		if err != nil {
			t.Fatal(err)
		}
		m, _ := source.Load(context.Background())
		content := strings.Repeat(sentences, 12)
		plain := m.Tokenizer.Encode(content)
		before := m.Tokenizer.EncodeSpecial("")
		whole := slices.Concat(before, plain)
		if len(before) != len(bos)/5 {
			t.Fatalf("the tokenizer puts %v before a text", before)
		}
		prefix := int32(0)
		if bos == "" {
			prefix = 1
		}

		// Token perplexity: whole windows of 20, the mean over all but their first tokens.
		var sum float64
		n := 0
		for at := 0; at+20 <= len(whole); at += 20 {
			for _, v := range naive(m.Model, task.Span{Tokens: whole[at : at+20], Begin: 1}) {
				sum, n = sum-v, n+1
			}
		}
		near(t, bos+" token perplexity", find(t, r, "token perplexity").Values[0].Value, math.Exp(sum/float64(n)))

		// The rolling log-likelihood: every token after those before it in the windows that harness
		// makes.
		sum = 0
		all := append([]int32{prefix}, plain...)
		for at := 1; at < len(all); at += 20 {
			end := min(at+20, len(all))
			from := at - 1
			if end < at+20 {
				from = max(0, end-21)
			}
			for _, v := range naive(m.Model, task.Span{Tokens: all[from:end], Begin: at - from}) {
				sum -= v
			}
		}
		words := float64(len(strings.Fields(content)) + 1)
		word, bytes := find(t, r, "word perplexity").Values[0].Value, find(t, r, "byte perplexity").Values[0].Value
		near(t, bos+" word perplexity", word, math.Exp(sum/words))
		near(t, bos+" bits per byte", find(t, r, "bits per byte").Values[0].Value, sum/math.Ln2/float64(len(content)))
		near(t, bos+" byte perplexity to the words", words*math.Log(word), float64(len(content))*math.Log(bytes))

		// Multiple choice.
		c, err := task.ReadChoice(t.Context(), task.ChoiceConfig{Path: choice, Cue: task.DefaultCue})
		if err != nil {
			t.Fatal(err)
		}
		var right [2]float64
		for _, q := range c.Questions {
			context := strings.TrimSuffix(q.Query, "\n") + "\nAnswer:"
			best, most := [2]int{}, [2]float64{math.Inf(-1), math.Inf(-1)}
			for k, answer := range q.Choices {
				ids := slices.Concat(before, m.Tokenizer.Encode(context+" "+answer))
				var ll float64
				for _, v := range naive(m.Model, task.Span{Tokens: ids, Begin: len(before) + len(m.Tokenizer.Encode(context))}) {
					ll += v
				}
				for i, length := range []float64{1, float64(len(answer))} {
					if ll/length > most[i] {
						best[i], most[i] = k, ll/length
					}
				}
			}
			for i := range best {
				if best[i] == q.Gold {
					right[i] += 1.0 / 3
				}
			}
		}
		near(t, bos+" acc", find(t, r, "acc").Values[0].Value, right[0])
		near(t, bos+" acc_norm", find(t, r, "acc_norm").Values[0].Value, right[1])
		if got := r.Models[0]; got.AddsBOS != (bos != "") || got.Prefix != map[string]string{"<bos>": "<bos>", "": "<eos>"}[bos] {
			t.Errorf("the report says of the beginning %+v", got)
		}
	}
}

func near(t testing.TB, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-5*math.Abs(want)) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// A model beside itself differs in nothing; beside another, the paired interval of the difference
// holds it.
func TestAgainst(t *testing.T) {
	text, choice := write(t, "text.txt", strings.Repeat(sentences, 40)), write(t, "choice.jsonl", strings.Repeat(questions, 10))
	o := Options{Texts: []string{text}, Choices: []string{choice}, Cue: task.DefaultCue, Prompt: "The", Tokens: 5}
	var seen []Progress
	o.Progress = func(p Progress) { seen = append(seen, p) }
	a, b := tinySource(t, "a", 5, "<bos>"), tinySource(t, "b", 6, "<bos>")
	same, err := Run(context.Background(), []Source{a, a}, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range same.Results {
		if d := x.Difference; d == nil || d.Value != 0 || x.Better == "lower" && (*d.Low != 0 || *d.High != 0) || x.Better == "higher" && *d.Low != -*d.High || x.P != nil && *x.P != 1 {
			t.Errorf("%s of a model beside itself: %+v", x.Metric, d)
		}
	}
	for _, c := range same.Changes {
		if c.Changed+c.Lost+c.Gained != 0 || c.Questions != 30 {
			t.Errorf("changes of a model beside itself: %+v", c)
		}
	}
	if got := same.Continuations[1]; got.Same != len(got.Tokens) || got.Prompt != len(got.Tokens)-5 || !strings.HasPrefix(got.Text, "The") {
		t.Errorf("generation %+v", got)
	}
	last := seen[len(seen)-1]
	if last.Total == 0 || last.Done != last.Total || last.What != "generation" || seen[0].What != Loading {
		t.Errorf("progress ended with %+v", last)
	}
	for i := 1; i < len(seen); i++ {
		if seen[i].Done < seen[i-1].Done || seen[i].Left < 0 {
			t.Errorf("progress went from %+v to %+v", seen[i-1], seen[i])
		}
	}

	other, err := Run(context.Background(), []Source{a, b}, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range other.Results {
		d := x.Difference
		near(t, x.Metric, d.Value, x.Values[1].Value-x.Values[0].Value)
		if !(*d.Low <= d.Value && d.Value <= *d.High) || *d.Low == *d.High {
			t.Errorf("%s: the difference %v is not in [%v, %v]", x.Metric, d.Value, *d.Low, *d.High)
		}
	}
	if other.Continuations[1].Same != len(other.Continuations[1].Tokens)-1 {
		t.Errorf("the texts are the same for %d tokens", other.Continuations[1].Same)
	}

	// Where the tokens differ, figures are not paired, and token perplexities are not compared at
	// all.
	apart, err := Run(context.Background(), []Source{a, tinySource(t, "c", 6, "")}, o)
	if err != nil {
		t.Fatal(err)
	}
	if d := find(t, apart, "token perplexity").Difference; d != nil {
		t.Errorf("token perplexities of different tokens are compared: %+v", d)
	}
	if d := find(t, apart, "word perplexity").Difference; d == nil || d.Low != nil || len(apart.Notes) == 0 {
		t.Errorf("word perplexity: %+v, notes %q", d, apart.Notes)
	}
	if d := find(t, apart, "acc").Difference; d == nil || d.Low == nil {
		t.Errorf("acc: %+v", d)
	}
}

// A model whose layers add nothing sees only the token before: the log-likelihood of a text does
// not depend on the windows.
func TestWindowsOfABigramModel(t *testing.T) {
	text := write(t, "text.txt", strings.Repeat(sentences, 8))
	source := tinySource(t, "bigram", 4, "<bos>")
	load := source.Load
	source.Load = func(ctx context.Context) (*Model, error) {
		m, err := load(ctx)
		for i := range m.Blocks {
			clear(m.Blocks[i].O.Weight.Float32())
			clear(m.Blocks[i].Down.Weight.Float32())
		}
		m.Changed()
		return m, err
	}
	var first float64
	for i, window := range []int{300, 4, 7, 64} {
		r, err := Run(context.Background(), []Source{source}, Options{Texts: []string{text}, Window: window, Stride: 1 + window/3})
		if err != nil {
			t.Fatal(err)
		}
		got := find(t, r, "word perplexity").Values[0].Value
		if i == 0 {
			first = got
		}
		near(t, "word perplexity", got, first)
	}
}

// memory is a Store.
type memory map[string][]byte

func (m memory) Get(r recipe.Recipe) ([]byte, bool) { data, ok := m[r.Key()]; return data, ok }

func (m memory) Put(r recipe.Recipe, _ string, data []byte) error { m[r.Key()] = data; return nil }

// full is a Store without space.
type full struct{}

var errFull = errors.New("no space left")

func (full) Get(recipe.Recipe) ([]byte, bool)        { return nil, false }
func (full) Put(recipe.Recipe, string, []byte) error { return errFull }

// What was measured is kept, file by file, and found again only where all that it depends on is the
// same.
func TestStore(t *testing.T) {
	text, choice := write(t, "text.txt", strings.Repeat(sentences, 20)), write(t, "choice.jsonl", questions)
	loads := 0
	source := tinySource(t, "m", 3, "<bos>")
	load := source.Load
	source.Load = func(ctx context.Context) (*Model, error) { loads++; return load(ctx) }
	source.Recipe = func(context.Context) (recipe.Recipe, error) { return recipe.Recipe{Stage: "content of m"}, nil }
	kept := memory{}
	base := Options{Texts: []string{text}, Choices: []string{choice}, Prompt: "The", Tokens: 4, Cue: task.DefaultCue, Store: kept}
	run := func(name string, o Options, wantLoads int) *Evaluation {
		t.Helper()
		loads = 0
		r, err := Run(context.Background(), []Source{source}, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if loads != wantLoads {
			t.Errorf("%s: the model was loaded %d times, want %d", name, loads, wantLoads)
		}
		return r
	}
	asText := func(r *Evaluation) string {
		var b strings.Builder
		if err := r.Write("json", &b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	first := asText(run("first", base, 1))
	if again := asText(run("again", base, 0)); again != first {
		t.Errorf("found again:\n%s\nat first:\n%s", again, first)
	}
	run("a part of it", Options{Choices: []string{choice}, Cue: task.DefaultCue, Store: kept}, 0)
	fresh := base
	fresh.Fresh = true
	run("fresh", fresh, 1)
	for name, change := range map[string]func(*Options){
		"window":     func(o *Options) { o.Window = 30 },
		"stride":     func(o *Options) { o.Stride = 100 },
		"definition": func(o *Options) { o.Perplexity = LlamaCpp },
		"bos":        func(o *Options) { o.BOS = Never },
		"cue":        func(o *Options) { o.Cue = "\nA:" },
		"limit":      func(o *Options) { o.Limit = 2 },
		"prompt":     func(o *Options) { o.Prompt = "A" },
		"tokens":     func(o *Options) { o.Tokens = 3 },
		"questions": func(o *Options) {
			o.Choices = []string{write(t, "choice.jsonl", strings.Replace(questions, "lazy", "dull", 1))}
		},
	} {
		o := base
		change(&o)
		run(name, o, 1)
	}
	source.Recipe = func(context.Context) (recipe.Recipe, error) { return recipe.Recipe{Stage: "another content"}, nil }
	run("another model", base, 1)
	told := 0
	unkept := base
	unkept.Store, unkept.Unkept = full{}, func(err error) {
		if told++; !errors.Is(err, errFull) {
			t.Errorf("unkept: %v", err)
		}
	}
	if again := asText(run("a store that cannot keep", unkept, 1)); told != 1 || again != first {
		t.Errorf("a store that cannot keep: told %d times, expected once; found\n%s\nat first:\n%s", told, again, first)
	}
	unkept.Unkept = nil
	if _, err := Run(context.Background(), []Source{source}, unkept); !errors.Is(err, errFull) {
		t.Errorf("a store that cannot keep, without Unkept: %v", err)
	}
	for key := range kept {
		kept[key] = []byte("damaged")
	}
	if again := asText(run("damaged", base, 1)); again != first {
		t.Errorf("after damage:\n%s\nat first:\n%s", again, first)
	}

	// Interrupted in the second of two files, it goes on with it.
	ctx, cancel := context.WithCancel(context.Background())
	clear(kept)
	o := base
	o.Progress = func(p Progress) {
		if p.What == choice {
			cancel()
		}
	}
	o.Choices = append(o.Choices, write(t, "more.jsonl", strings.Repeat(questions, 2)))
	if _, err := Run(ctx, []Source{source}, o); err != context.Canceled {
		t.Fatalf("interrupted: %v", err)
	}
	measured := map[string]bool{}
	o.Progress = func(p Progress) { measured[p.What] = true }
	run("after the interruption", o, 1)
	if measured[text] || measured[choice] || !measured[o.Choices[1]] {
		t.Errorf("after the interruption these were measured: %v", measured)
	}
}

// TestCancelledWhileHashing: a context that ends while the content of a model is hashed ends the
// evaluation.
func TestCancelledWhileHashing(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	source := tinySource(t, "m", 3, "<bos>")
	source.Recipe = func(ctx context.Context) (recipe.Recipe, error) {
		cancel()
		return recipe.Recipe{}, ctx.Err()
	}
	_, err := Run(ctx, []Source{source}, Options{Texts: []string{write(t, "text.txt", sentences)}, Store: memory{}})
	if err != context.Canceled {
		t.Errorf("error %v", err)
	}
}

func TestBeginning(t *testing.T) {
	text := write(t, "text.txt", sentences)
	for _, c := range []struct {
		bos, policy string
		adds        bool
		wrong       string
	}{
		{"<bos>", Auto, true, ""},
		{"<bos>", Never, false, ""},
		{"", Auto, false, ""},
		{"", Always, false, "no BOS"},
		{"<bos>", Always, true, ""},
	} {
		r, err := Run(context.Background(), []Source{tinySource(t, "m", 1, c.bos)}, Options{Texts: []string{text}, BOS: c.policy})
		if c.wrong != "" {
			var input InputError
			if !errors.As(err, &input) || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%+v: error %v", c, err)
			}
			continue
		}
		if err != nil || r.Models[0].AddsBOS != c.adds || strings.Contains(find(t, r, "token perplexity").Method, "without a BOS") == c.adds {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestRunErrors(t *testing.T) {
	text, choice := write(t, "text.txt", sentences), write(t, "choice.jsonl", questions)
	source := tinySource(t, "m", 1, "<bos>")
	broken := Source{Name: "broken", Positions: 300, Load: func(context.Context) (*Model, error) { return nil, errors.New("model broken: tensor x is missing") }}
	for _, c := range []struct {
		source Source
		o      Options
		want   string
	}{
		{source, Options{}, "nothing to measure"},
		{source, Options{Texts: []string{text}, Window: 301}, "--window 301: expected 4 to 300"},
		{source, Options{Texts: []string{text}, Window: 3}, "--window 3: expected 4"},
		{source, Options{Texts: []string{text}, Stride: 301}, "--stride 301: expected"},
		{source, Options{Texts: []string{text}, Perplexity: LlamaCpp, Stride: 10}, "do not overlap"},
		{source, Options{Texts: []string{text}, Perplexity: LlamaCpp, Window: 200}, text + ": found"},
		{source, Options{Texts: []string{text}, Perplexity: "wikitext"}, `perplexity "wikitext"`},
		{source, Options{Texts: []string{text}, BOS: "yes"}, `--bos "yes"`},
		{source, Options{Texts: []string{text}, Limit: -1}, "--limit -1:"},
		{source, Options{Texts: []string{write(t, "bad.txt", "a\n\xff")}}, "bad.txt:2: not valid UTF-8"},
		{source, Options{Choices: []string{write(t, "bad.jsonl", questions+"{}")}}, "bad.jsonl:4: no field \"query\""},
		{source, Options{Prompt: "The", Tokens: 300}, "--tokens 300: expected at most 299"},
		{source, Options{Prompt: "The", Tokens: 299}, "and --tokens 299 are to follow, the model has 300 positions"},
		{source, Options{Tokens: -1}, "--tokens -1:"},
		{broken, Options{Choices: []string{choice}}, "model broken: tensor x is missing"},
	} {
		_, err := Run(context.Background(), []Source{c.source}, c.o)
		var input InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want an InputError with %q", c.o, err, c.want)
		}
	}
	if _, err := Run(context.Background(), nil, Options{Texts: []string{text}}); err == nil {
		t.Error("no model: no error")
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Run(ctx, []Source{source}, Options{Texts: []string{text}, Progress: func(p Progress) {
		if p.Done > 0 {
			cancel()
		}
	}})
	if err != context.Canceled {
		t.Errorf("interrupted: %v", err)
	}
}

// TestLlamaCpp holds the perplexity of a real model to what llama.cpp computes. Its keys and values
// are float16: its figure is good to some 2e-4.
func TestLlamaCpp(t *testing.T) {
	var manifest struct {
		Perplexity map[string]struct {
			PPL float64 `json:"ppl"`
		} `json:"perplexity"`
	}
	data, err := os.ReadFile(shareddata.Path(t, "vectors", "llamacpp-golden", "manifest.json"))
	if err == nil {
		err = json.Unmarshal(data, &manifest)
	}
	if err != nil {
		t.Fatal(err)
	}
	source := Source{Name: "TinyStories-656K", Positions: 512, Load: func(context.Context) (*Model, error) {
		m, tok := readModel(t, shareddata.Path(t, "models", "TinyStories-656K"))
		return &Model{Model: m, Tokenizer: tok, Cache: kernels.KVFloat32}, nil
	}}
	r, err := Run(context.Background(), []Source{source}, Options{
		Texts: []string{shareddata.Path(t, "vectors", "llamacpp-golden", "ppl_sample.txt")}, Perplexity: LlamaCpp, Window: 128,
	})
	if err != nil {
		t.Fatal(err)
	}
	got, want := find(t, r, "token perplexity").Values[0], manifest.Perplexity["tinystories-656K-F32"].PPL
	t.Logf("perplexity %.4f of %d tokens, llama.cpp's is %.4f", got.Value, got.N, want)
	if want == 0 || math.Abs(got.Value-want) > 2e-3 {
		t.Errorf("perplexity %.4f, llama.cpp's is %.4f", got.Value, want)
	}
}

// A perplexity of as much as the vocabulary is a note that names the model and the text.
func TestModelThatGuesses(t *testing.T) {
	source := tinySource(t, "tiny", 5, "")
	for vocabulary, expected := range map[int]bool{2: true, 1 << 30: false, 0: false} {
		source.Vocab = vocabulary
		r, err := Run(t.Context(), []Source{source}, Options{Texts: []string{write(t, "text.txt", strings.Repeat(sentences, 3))}, Window: 20})
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, "tiny on text.txt: a loss of") }); got != expected {
			t.Errorf("vocabulary %d: notes %q, expected a doubt: %v", vocabulary, r.Notes, expected)
		}
	}
}

// A text of one long word has no perplexity by words that is a number; its other figures stand.
func TestPerplexityThatOverflows(t *testing.T) {
	source := tinySource(t, "tiny", 5, "")
	r, err := Run(t.Context(), []Source{source}, Options{Texts: []string{write(t, "text.txt", strings.Repeat("xyz", 800))}, Window: 20})
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(r.Results, func(f Figure) bool { return f.Metric == "word perplexity" }) {
		t.Error("word perplexity is a figure")
	}
	for _, metric := range []string{tokenPerplexity, "byte perplexity", "bits per byte"} {
		find(t, r, metric)
	}
	if !slices.ContainsFunc(r.Notes, func(n string) bool {
		return strings.Contains(n, "the word perplexity of tiny is larger than a number can be, and is left out")
	}) {
		t.Errorf("notes %q", r.Notes)
	}
}

// TestTextsThatRepeat: a text that is a short one again and again is said to be, of kept figures
// too.
func TestTextsThatRepeat(t *testing.T) {
	store := memory{}
	for content, want := range map[string]int{strings.Repeat(sentences, 60): 1, sentences: 0} {
		for range 2 {
			source := tinySource(t, "a", 5, "<bos>")
			source.Recipe = func(context.Context) (recipe.Recipe, error) { return recipe.Recipe{Stage: "content of a"}, nil }
			r, err := Run(context.Background(), []Source{source}, Options{Texts: []string{write(t, "text.txt", content)}, Store: store})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(strings.Join(r.Notes, "\n"), "text.txt: repeats itself: "); got != want {
				t.Errorf("said %d times, expected %d: %q", got, want, r.Notes)
			}
		}
	}
}
