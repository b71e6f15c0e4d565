package task

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slimlab/model/tokenizer"
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

// prompt as a reader finds it in the text.
type parsedPrompt struct {
	member    string
	events    []event // hidden fields zero
	candidate event
}

func parsePrompt(t *testing.T, text string) (p parsedPrompt) {
	t.Helper()
	group := func(groups [][]string, w string) int {
		return slices.IndexFunc(groups, func(synonyms []string) bool { return slices.Contains(synonyms, w) })
	}
	before, after, found := strings.Cut(text, " :")
	if !found {
		t.Fatalf("no colon in %q", text)
	}
	for _, w := range strings.Fields(before) {
		if group(profileWords[:], w) >= 0 || group(hintWords[:], w) >= 0 {
			p.member = w
		}
	}
	question := func(words []string) (ev event) {
		parts := [2]int{group(actionWords[:], words[0]), group(surfaceWords[:], words[1])}
		ev.task = slices.IndexFunc(taskParts[:], func(part struct{ action, surface int }) bool {
			return part.action == parts[0] && part.surface == parts[1]
		})
		topic, format := words[2], words[3]
		if group(topicWords[:], topic) < 0 {
			topic, format = format, topic
		}
		ev.item = item{topic: group(topicWords[:], topic), format: group(formatWords[:], format)}
		if ev.task < 0 || ev.item.topic < 0 || ev.item.format < 0 {
			t.Fatalf("cannot read %q", words)
		}
		return ev
	}
	words := strings.Fields(after)
	for ; !slices.Contains(leadWords, words[0]); words = words[5:] {
		ev := question(words)
		ev.yes = words[4] == "yes"
		p.events = append(p.events, ev)
	}
	p.candidate = question(words[1:])
	return p
}

// bruteForce is P(yes | text) by summing the joint probability of the text and of all that it
// leaves open: the archetype, and the hidden fields of every event and of the candidate.
func bruteForce(w *World, p parsedPrompt) float64 {
	var total, yes float64
	for a := range w.affinity {
		var walk func(i int, joint float64)
		walk = func(i int, joint float64) {
			ev := p.candidate
			if i < len(p.events) {
				ev = p.events[i]
			}
			for level := range levels {
				for fresh := range freshness {
					ev.item.level, ev.item.fresh = level, fresh
					// exposure picks the topic; format, level and freshness are uniform
					here := joint * w.exposure[a][ev.item.topic] / (formats * levels * freshness)
					click := w.probability(a, ev.task, ev.item)
					switch {
					case i == len(p.events):
						total += here
						yes += here * click
					case ev.yes:
						walk(i+1, here*click)
					default:
						walk(i+1, here*(1-click))
					}
				}
			}
		}
		walk(0, memberLikelihood(w, p.member, a)/float64(len(w.affinity)))
	}
	return yes / total
}

// memberLikelihood is P(word | archetype).
func memberLikelihood(w *World, word string, archetype int) float64 {
	p := 0.0
	for claim := range w.affinity {
		if slices.Contains(profileWords[claim], word) {
			if claim == archetype {
				p += w.cfg.ProfileShare * w.cfg.ProfileReliability / float64(len(profileWords[claim]))
			} else {
				p += w.cfg.ProfileShare * (1 - w.cfg.ProfileReliability) / float64(len(w.affinity)-1) / float64(len(profileWords[claim]))
			}
		}
	}
	for group := range hintWords {
		if slices.Contains(hintWords[group], word) {
			reliability := w.cfg.HintReliability
			if group != archetype%hintGroups {
				reliability = (1 - reliability) / (hintGroups - 1)
			}
			p += (1 - w.cfg.ProfileShare) * reliability / float64(len(hintWords[group]))
		}
	}
	return p
}

func TestCeilingIsThePosteriorOfTheText(t *testing.T) {
	for _, archetypes := range []int{2, 5, 16} {
		for _, events := range []int{0, 1, 3} {
			r := newRecsys(t, func(c *RecsysConfig) {
				c.Archetypes, c.Events, c.Members, c.Candidates, c.HeldOut = archetypes, events, 40, 2, 1
			})
			enc := newWordEncoder()
			for i, c := range r.cases {
				if i%4 != 0 {
					continue
				}
				p := parsePrompt(t, enc.decode(c.Prompt))
				if len(p.events) != events || p.candidate.task != c.Task {
					t.Fatalf("read %d events and task %d, expected %d and %d", len(p.events), p.candidate.task, events, c.Task)
				}
				if want := bruteForce(r.World, p); math.Abs(c.Ceiling-want) > 1e-12 {
					t.Fatalf("%d archetypes, %d events, case %d: ceiling %v, expected %v from the text %q", archetypes, events, i, c.Ceiling, want, enc.decode(c.Prompt))
				}
			}
		}
	}
}

// The truth must be what clicks are drawn from, and the ceiling what they are on average where the
// prompt says the same.
func TestProbabilitiesAreCalibrated(t *testing.T) {
	r := newRecsys(t, func(c *RecsysConfig) { c.Members = 3000 })
	p := priorsOf(r)
	for name, of := range map[string]func(Case) float64{
		"truth":   func(c Case) float64 { return c.Truth },
		"ceiling": func(c Case) float64 { return c.Ceiling },
		"profile": p.profileOf,
		"trivial": p.trivialOf,
	} {
		var clicks, expected, variance [10]float64
		for i, c := range r.cases {
			// One case a member and task, so that cases of a bin are nearly independent.
			if i > 0 && r.cases[i-1].Group == c.Group && r.cases[i-1].Task == c.Task {
				continue
			}
			p := of(c)
			bin := min(int(p*10), 9)
			expected[bin] += p
			variance[bin] += p * (1 - p)
			if c.Click {
				clicks[bin]++
			}
		}
		for bin := range clicks {
			if z := (clicks[bin] - expected[bin]) / math.Sqrt(variance[bin]+1e-9); math.Abs(z) > 5 {
				t.Errorf("%s, bin %d: %v clicks, expected %.1f (z %.1f)", name, bin, clicks[bin], expected[bin], z)
			}
		}
	}
}

func TestHeadroom(t *testing.T) {
	r := newRecsys(t, nil)
	h := headroomOf(t, r)
	t.Logf("%+v, %d words, %d test prompts", h, len(r.lexicon.words), len(r.cases))
	for _, c := range []struct {
		name           string
		got, low, high float64
	}{
		{"trivial", h.Trivial, 0.57, 0.63},
		{"profile", h.Profile, 0.75, 0.82},
		{"ceiling", h.Ceiling, 0.86, 0.88},
		{"truth", h.Truth, h.Ceiling, 0.90},
	} {
		if !(c.got >= c.low && c.got <= c.high) {
			t.Errorf("%s: soft AUC %.4f, expected %.3f to %.3f", c.name, c.got, c.low, c.high)
		}
	}
}

func TestAffinitiesAreStandardized(t *testing.T) {
	w := newRecsys(t, small).World
	for name, of := range map[string]func(affinity) float64{
		"generosity": func(a affinity) float64 { return a.generous },
		"topic 3":    func(a affinity) float64 { return a.topic[3] },
		"fresh 1":    func(a affinity) float64 { return a.fresh[1] },
	} {
		mean, square := 0.0, 0.0
		for _, a := range w.affinity {
			mean += of(a) / float64(len(w.affinity))
			square += of(a) * of(a) / float64(len(w.affinity))
		}
		near(t, name+" mean", mean, 0, 1e-12)
		near(t, name+" variance", square, 1, 1e-12)
	}
	for a := range w.exposure {
		sum := 0.0
		for _, p := range w.exposure[a] {
			sum += p
		}
		near(t, "exposure", sum, 1, 1e-12)
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

func TestWordsAreUnambiguous(t *testing.T) {
	count := map[string]int{}
	for _, groups := range [][][]string{topicWords[:], formatWords[:], actionWords[:], surfaceWords[:], profileWords[:], hintWords[:], {personWords, leadWords, outcomeWords[:]}} {
		for _, w := range slices.Concat(groups...) {
			if count[w]++; count[w] > 1 {
				t.Errorf("word %q has two meanings", w)
			}
		}
	}
	for _, line := range instructions {
		for _, w := range strings.Fields(line) {
			if count[w] > 0 {
				t.Errorf("instruction word %q has another meaning", w)
			}
		}
	}
}

func TestLabelledPromptsAreGoneThroughInEpochs(t *testing.T) {
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

// With the project's own tokenizer each word is one token.
func TestTrainedTokenizer(t *testing.T) {
	w, err := NewWorld(DefaultRecsys())
	if err != nil {
		t.Fatal(err)
	}
	enc, err := tokenizer.Train(slices.Values(w.Corpus(1000)), 1024, []string{"<eos>"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRecsys(DefaultRecsys(), enc)
	if err != nil {
		t.Fatal(err)
	}
	for i, word := range r.lexicon.words {
		if len(r.spaced[i]) != 1 {
			t.Errorf("word %q is %d tokens", word, len(r.spaced[i]))
		}
	}
	tokens := 0
	for i := range 1000 {
		tokens += len(r.Train(1, i).Tokens)
	}
	t.Logf("vocabulary %d, %.1f tokens a prompt", enc.Vocab(), float64(tokens)/1000)
}

// A small vocabulary splits rare words; answers and prefixes stay where they are.
func TestWordsOfSeveralTokens(t *testing.T) {
	w, err := NewWorld(DefaultRecsys())
	if err != nil {
		t.Fatal(err)
	}
	enc, err := tokenizer.Train(slices.Values(w.Corpus(1000)), 400, []string{"<eos>"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultRecsys()
	small(&cfg)
	r, err := NewRecsys(cfg, enc)
	if err != nil {
		t.Fatal(err)
	}
	split := 0
	for i := range r.lexicon.words {
		if len(r.spaced[i]) > 1 {
			split++
		}
	}
	if split < 10 {
		t.Fatalf("only %d words are split: the test shows nothing", split)
	}
	for i := range 100 {
		e := r.Train(1, i)
		for at, token := range e.Tokens {
			// A label's token that another goes on from begins a longer word, as " no" does " now".
			whole := at+1 == len(e.Tokens) || strings.HasPrefix(enc.Decode(e.Tokens[at+1:at+2]), " ")
			if e.Answer[at] != (whole && slices.Contains(r.Labels(), token)) {
				t.Fatalf("example %d, token %d: answer %v", i, at, e.Answer[at])
			}
		}
		if text := enc.Decode(e.Tokens); !slices.Equal(enc.Encode(text), e.Tokens) {
			t.Fatalf("%q is encoded in another way", text)
		}
	}
	for i, c := range r.cases {
		if first := r.cases[i-i%20]; first.Group != c.Group || !slices.Equal(first.Prompt[:first.PrefixLen], c.Prompt[:c.PrefixLen]) {
			t.Fatalf("case %d does not share its member's prefix", i)
		}
		if before := enc.Decode(c.Prompt[:c.PrefixLen]); !slices.Contains(leadWords, before[strings.LastIndexByte(before, ' ')+1:]) {
			t.Fatalf("case %d: prefix %q does not end with its lead", i, before)
		}
	}
}

// joined is an encoder that makes one token of two words.
type joined struct{ wordEncoder }

func (e *joined) Encode(text string) []int32 {
	tokens := e.wordEncoder.Encode(text)
	return slices.CompactFunc(tokens, func(a, b int32) bool { return a == e.ids[" the"] && b == e.ids[" user"] || e.words[b] == " :" })
}

// letters encodes by letter.
type letters struct{}

func (letters) Encode(text string) (tokens []int32) {
	for _, c := range []byte(text) {
		tokens = append(tokens, int32(c))
	}
	return tokens
}

// constant encodes every text as one token.
type constant struct{}

func (constant) Encode(string) []int32 { return []int32{1} }

func TestRecsysRefuses(t *testing.T) {
	cfg := DefaultRecsys()
	for _, c := range []struct {
		enc  Encoder
		want string
	}{
		{&joined{*newWordEncoder()}, "words are joined"},
		{letters{}, `label " yes" is 4 tokens, expected 1`},
		{constant{}, "same token"},
	} {
		if _, err := NewRecsys(cfg, c.enc); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: error %v, expected %q", c.enc, err, c.want)
		}
	}
	for _, c := range []struct {
		change func(*RecsysConfig)
		want   string
	}{
		{func(c *RecsysConfig) { c.Archetypes = 17 }, "archetypes is 17, expected 2 to 16"},
		{func(c *RecsysConfig) { c.Members = 1 }, "members is 1"},
		{func(c *RecsysConfig) { c.Events = -1 }, "events is -1"},
		{func(c *RecsysConfig) { c.Signal = math.NaN() }, "signal is NaN"},
		{func(c *RecsysConfig) { c.ProfileReliability = 1 }, "profile_reliability is 1"},
		{func(c *RecsysConfig) { c.Members, c.Candidates, c.HeldOut = 2, 1, 1 }, "so it has no AUC; raise members or candidates"},
	} {
		cfg := DefaultRecsys()
		c.change(&cfg)
		if _, err := NewRecsys(cfg, newWordEncoder()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, expected %q", err, c.want)
		}
	}
}

func BenchmarkTrain(b *testing.B) {
	r := newRecsys(b, nil)
	for i := 0; b.Loop(); i++ {
		r.Train(1, i)
	}
}
