package task

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// wordEncoder gives each word an id of its own, as a trained tokenizer does.
type wordEncoder struct {
	ids   map[string]int32
	words []string
}

func newWordEncoder() *wordEncoder {
	e := &wordEncoder{ids: map[string]int32{}}
	for _, w := range newLexicon().words {
		for _, text := range []string{w, " " + w} {
			e.ids[text] = int32(len(e.words))
			e.words = append(e.words, text)
		}
	}
	return e
}

func (*wordEncoder) Err() error { return nil }

func (e *wordEncoder) Encode(text string) []int32 {
	var tokens []int32
	for i, w := range strings.Fields(text) {
		if i > 0 || strings.HasPrefix(text, " ") {
			w = " " + w
		}
		tokens = append(tokens, e.ids[w])
	}
	return tokens
}

func (e *wordEncoder) decode(tokens []int32) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(e.words[t])
	}
	return b.String()
}

func newRecsys(t testing.TB, change func(*RecsysConfig)) *Recsys {
	t.Helper()
	cfg := DefaultRecsys()
	if change != nil {
		change(&cfg)
	}
	r, err := NewRecsys(cfg, newWordEncoder())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func small(c *RecsysConfig) { c.Members, c.Events = 60, 6 }

func TestRecsysIsAFunctionOfItsSettings(t *testing.T) {
	a, b := newRecsys(t, small), newRecsys(t, small)
	last := b.Train(7, 5)
	for i := range 5 { // asked for in another order
		b.Train(7, i)
	}
	for i := range 6 {
		got := a.Train(7, i)
		if i == 5 && !reflect.DeepEqual(got, last) {
			t.Error("an example depends on the order of the asking")
		}
	}
	if !reflect.DeepEqual(a.cases, b.cases) {
		t.Error("test sets differ")
	}
	if reflect.DeepEqual(a.Train(7, 0), a.Train(8, 0)) {
		t.Error("two seeds give the same training prompt")
	}
	if !reflect.DeepEqual(a.Validation(20)[:10], b.Validation(10)) {
		t.Error("validation prompts depend on their number")
	}
	other := newRecsys(t, func(c *RecsysConfig) { small(c); c.WorldSeed = 2 })
	if reflect.DeepEqual(a.affinity, other.affinity) {
		t.Error("two world seeds give the same world")
	}
}

func TestSplitsAreDisjoint(t *testing.T) {
	r := newRecsys(t, func(c *RecsysConfig) { c.Members = 300 })
	const n, head = 300, 60 // 60 tokens hold a dozen events
	seen := map[string]string{}
	add := func(split string, tokens []int32) {
		key := newWordEncoder().decode(tokens[:head])
		if before, ok := seen[key]; ok {
			t.Fatalf("%s has a member of %s: %s", split, before, key)
		}
		seen[key] = split
	}
	calibration, err := r.Calibration(InDomain, n)
	if err != nil {
		t.Fatal(err)
	}
	validation, serve := r.Validation(n), r.ServeGroups(n, 1, 0)
	for i := range n {
		add("train 1", r.Train(1, i).Tokens)
		add("train 2", r.Train(2, i).Tokens)
		add("validation", validation[i].Tokens)
		add("calibration", calibration[i].Tokens)
		add("serve", serve[i][0])
	}
	for i, c := range r.cases {
		if i == 0 || c.Group != r.cases[i-1].Group {
			add("test", c.Prompt)
		}
	}
}

// The world of the defaults is what the embedded model was trained on: its prompts must not change
// unnoticed.
func TestDefaultWorldIsTheShippedOne(t *testing.T) {
	r := newRecsys(t, nil)
	const want = "the rower said so far : enjoy feed road audio yes save mail tree talk yes keep mail trip post yes save mail plant text yes " +
		"send feed plant video yes like mail plant photo yes keep mail tree photo yes like inbox music image yes enjoy home song post yes " +
		"enjoy home trip clip yes save mail trip image yes share home tree audio no send home road talk yes enjoy home ball image yes " +
		"keep inbox plant post no like mail plant text yes keep inbox code audio no enjoy feed plant photo yes now like home road clip yes"
	if got := newWordEncoder().decode(r.Train(1, 0).Tokens); got != want {
		t.Errorf("the first training prompt is\n%q\nexpected\n%q\nA change of the world needs a new pretrained model.", got, want)
	}
	near(t, "ceiling", headroomOf(t, r).Ceiling, 0.875677, 5e-7)
}

func TestPromptsOfAMemberShareThePrefix(t *testing.T) {
	r := newRecsys(t, small)
	first := map[int]Case{}
	for _, c := range r.cases {
		if _, ok := first[c.Group]; !ok {
			first[c.Group] = c
		}
		if c.PrefixLen != first[c.Group].PrefixLen || !slices.Equal(c.Prompt[:c.PrefixLen], first[c.Group].Prompt[:c.PrefixLen]) {
			t.Fatalf("member %d: prefixes differ", c.Group)
		}
		if len(c.Prompt)-c.PrefixLen != 4 {
			t.Fatalf("member %d: %d tokens after the prefix, expected 4", c.Group, len(c.Prompt)-c.PrefixLen)
		}
	}
	for _, context := range []int{0, 40, 512} {
		groups := r.ServeGroups(3, 6, context)
		for _, group := range groups {
			if len(groups) != 3 || len(group) != 6 {
				t.Fatalf("%d groups of %d", len(groups), len(group))
			}
			for _, prompt := range group {
				shared := len(prompt) - 4
				if !slices.Equal(prompt[:shared], group[0][:shared]) {
					t.Fatal("prompts of a group do not share their prefix")
				}
				if context > 0 && (len(prompt) > context || len(prompt) < context-12) {
					t.Fatalf("prompt of %d tokens for a context of %d", len(prompt), context)
				}
			}
		}
	}
}

func TestAnswersAreOutcomes(t *testing.T) {
	r := newRecsys(t, nil)
	labels := r.Labels()
	for i := range 200 {
		e := r.Train(3, i)
		count := 0
		for at, token := range e.Tokens {
			if e.Answer[at] != slices.Contains(labels, token) {
				t.Fatalf("example %d, token %d: answer %v", i, at, e.Answer[at])
			}
			if e.Answer[at] {
				count++
			}
		}
		if count != r.cfg.Events+1 || !e.Answer[len(e.Answer)-1] {
			t.Fatalf("example %d: %d answers, expected %d with the last token", i, count, r.cfg.Events+1)
		}
	}
}

// Held-out tasks are never trained on, but each of their words is.
func TestHeldOutTasksAreNotTrained(t *testing.T) {
	r := newRecsys(t, nil)
	enc := newWordEncoder()
	words := map[string]bool{}
	for i := range 400 {
		text := enc.decode(r.Train(1, i).Tokens)
		p := parsePrompt(t, text)
		for _, ev := range append(p.events, p.candidate) {
			if ev.task >= inDomainTasks {
				t.Fatalf("task %q in training prompt %q", TaskName(ev.task), text)
			}
		}
		for _, w := range strings.Fields(text) {
			words[w] = true
		}
	}
	for _, groups := range [][][]string{actionWords[:], surfaceWords[:], topicWords[:], formatWords[:], profileWords[:], hintWords[:]} {
		for _, w := range slices.Concat(groups...) {
			if !words[w] {
				t.Errorf("word %q does not occur in 400 training prompts", w)
			}
		}
	}
}

func TestLabelledPromptsComeInEpochs(t *testing.T) {
	r := newRecsys(t, func(c *RecsysConfig) { small(c); c.Labelled = 37 })
	if r.TrainSize() != 37 {
		t.Fatalf("size %d", r.TrainSize())
	}
	enc := newWordEncoder()
	var first []string
	for epoch := range 3 {
		var texts []string
		for i := range 37 {
			texts = append(texts, enc.decode(r.Train(4, epoch*37+i).Tokens))
		}
		if epoch > 0 && slices.Equal(texts, first) {
			t.Error("two epochs have the same order")
		}
		sorted := slices.Sorted(slices.Values(texts))
		if len(slices.Compact(slices.Clone(sorted))) != 37 {
			t.Error("a prompt comes twice in an epoch")
		}
		if epoch == 0 {
			first = texts
		} else if !slices.Equal(sorted, slices.Sorted(slices.Values(first))) {
			t.Error("two epochs have different prompts")
		}
	}
}

func TestShuffledPermutes(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 16, 17, 100, 1000, 4097} {
		seen := make([]bool, n)
		for i := range n {
			at := shuffled(9, 3*n+i, n)
			if seen[at] {
				t.Fatalf("n %d: %d comes twice", n, at)
			}
			seen[at] = true
		}
	}
}

func TestGenericCalibration(t *testing.T) {
	r := newRecsys(t, nil)
	texts, err := r.Calibration(Generic, 50)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, w := range newLexicon().words {
		known[w] = true
	}
	tasks := 0
	for _, e := range texts {
		if slices.Contains(e.Answer, true) || len(e.Answer) != len(e.Tokens) {
			t.Fatal("a generic text has answers")
		}
		if n := len(r.Train(1, 0).Tokens); len(e.Tokens) < n-4 || len(e.Tokens) > n+4 {
			t.Fatalf("generic text of %d tokens beside prompts of %d", len(e.Tokens), n)
		}
		words := strings.Fields(newWordEncoder().decode(e.Tokens))
		for i, w := range words {
			if !known[w] {
				t.Fatalf("word %q is not in the vocabulary", w)
			}
			if i > 0 && slices.Contains(slices.Concat(actionWords[:]...), words[i-1]) && slices.Contains(slices.Concat(surfaceWords[:]...), w) {
				tasks++
			}
		}
	}
	if tasks > 0 {
		t.Errorf("%d task phrases in generic texts", tasks)
	}
	if _, err := r.Calibration("c4", 1); err == nil || !strings.Contains(err.Error(), `"in-domain" or "generic"`) {
		t.Errorf("unknown source: %v", err)
	}
}

func BenchmarkTrain(b *testing.B) {
	r := newRecsys(b, nil)
	for i := 0; b.Loop(); i++ {
		r.Train(1, i)
	}
}
