package task

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// RecsysConfig sets the ranking world and the sizes of its test set. The tags name the fields in
// recipes of artifacts and in errors.
type RecsysConfig struct {
	WorldSeed  uint64 `key:"world_seed"` // sets the world's parameters and its test set
	Archetypes int    `key:"archetypes"` // kinds of member, 2 to 16
	Events     int    `key:"events"`     // past events in a prompt
	Members    int    `key:"members"`    // test members
	Candidates int    `key:"candidates"` // test prompts per member and in-domain task
	HeldOut    int    `key:"held_out"`   // test prompts per member and held-out task
	Labelled   int    `key:"labelled"`   // number of different training prompts; 0 is unlimited
	// Signal is about the standard deviation of the log-odds over what members like; Popularity
	// that over topics, the same for all members.
	Signal     float64 `key:"signal"`
	Popularity float64 `key:"popularity"`
	// how strongly a member sees more of what it likes; 0 is not at all
	Exposure float64 `key:"exposure"`
	// share of the variance of affinities that archetypes of the same group have in common, 0 to
	// below 1
	Kinship float64 `key:"kinship"`
	// ProfileShare of the prompts name an archetype, right with ProfileReliability; the others hint
	// at a group, right with HintReliability.
	ProfileShare       float64 `key:"profile_share"`
	ProfileReliability float64 `key:"profile_reliability"`
	HintReliability    float64 `key:"hint_reliability"`
	// ItemWords is how many words describe an item, of past events and candidates alike: its topic,
	// its format, then words that say nothing of it.
	ItemWords int `key:"item_words" default:"2" omit:"default"`
	// ItemKept is how many of them a prompt shows, the first ones; 0 is all. With 1 no prompt shows
	// a format, and nothing that is known of what prompts show counts it.
	ItemKept int `key:"item_kept" default:"0" omit:"default"`
}

// itemShown is how many words of an item's description a prompt shows.
func (c RecsysConfig) itemShown() int {
	if c.ItemKept > 0 {
		return c.ItemKept
	}
	return c.ItemWords
}

// eventWords is how many words an event has: an action, a surface, the item and the outcome.
func (c RecsysConfig) eventWords() int { return 3 + c.itemShown() }

// mostWords bounds the words of a prompt without its answer.
func (c RecsysConfig) mostWords() int { return c.restWords() + c.eventWords()*c.Events }

// restWords bounds the words of a prompt besides its events: an instruction and the member, a lead,
// the candidate with its task.
func (c RecsysConfig) restWords() int { return 11 + c.itemShown() }

// DefaultRecsys is the world that slimlab ships.
func DefaultRecsys() RecsysConfig {
	return RecsysConfig{
		WorldSeed: 1, Archetypes: 16, Events: 18, Members: 450, Candidates: 4, HeldOut: 2,
		Signal: 2.4, Popularity: 0.6, Exposure: 0.8, Kinship: 0.4,
		ProfileShare: 0.5, ProfileReliability: 0.95, HintReliability: 0.7,
		ItemWords: shownFields,
	}
}

// Validate reports the first setting that cannot be.
func (c RecsysConfig) Validate() error {
	for _, f := range []struct {
		key         string
		value       float64
		least, most float64
	}{
		{"archetypes", float64(c.Archetypes), 2, maxArchetypes},
		{"events", float64(c.Events), 0, 4000},
		{"members", float64(c.Members), 2, 1e6},
		{"candidates", float64(c.Candidates), 1, 1000},
		{"held_out", float64(c.HeldOut), 0, 1000},
		{"labelled", float64(c.Labelled), 0, 1e9},
		{"signal", c.Signal, 0, 20},
		{"popularity", c.Popularity, 0, 20},
		{"exposure", c.Exposure, 0, 5},
		{"kinship", c.Kinship, 0, 0.99},
		{"profile_share", c.ProfileShare, 0, 1},
		{"profile_reliability", c.ProfileReliability, 0.01, 0.99},
		{"hint_reliability", c.HintReliability, 0.01, 0.99},
		{"item_words", float64(c.ItemWords), shownFields, 1000},
		{"item_kept", float64(c.ItemKept), 0, float64(c.ItemWords)},
	} {
		if !(f.value >= f.least && f.value <= f.most) {
			return fmt.Errorf("recsys: %s is %v, expected %v to %v", f.key, f.value, f.least, f.most)
		}
	}
	return nil
}

// Splits: examples of different splits come from different random streams.
const (
	splitWorld uint64 = iota + 1
	splitTrain
	splitValidation
	splitTest
	splitCalibration
	splitGeneric
	splitServe
	splitCorpus
	splitOrder
	splitBootstrap
	splitChains // before the others: streams of Chains
	splitFiller // before the others: words of items that say nothing
)

// Recsys is the ranking task: prompts of a World as tokens. A prompt holds an instruction, words on
// the member, past events and, last, a candidate with its task, so that all prompts of one member
// share a prefix; the answer is one token.
type Recsys struct {
	*World
	lexicon       *lexicon
	first, spaced [][]int32    // tokens of each word, at the start of a text and after a space
	labels        []int32      // yes, no
	cases         []Case       // all prompts of a member in a row
	weights       *TaskWeights // nil where all are 1
}

// Case is one test prompt with what is known of its answer.
type Case struct {
	Group     int // the member
	Task      int // index for TaskName
	HeldOut   bool
	Prompt    []int32
	PrefixLen int     // tokens that all prompts of the member share
	Click     bool    // the drawn answer
	Truth     float64 // P(yes) that it was drawn with
	Ceiling   float64 // P(yes) given all that the prompt shows: the best possible prediction
}

// NewRecsys draws the world and its test set. The encoder must give each word the same tokens
// in every text, and the words "yes" and "no" one token each.
func NewRecsys(cfg RecsysConfig, enc Encoder) (*Recsys, error) {
	w, err := NewWorld(cfg)
	if err != nil {
		return nil, err
	}
	r := &Recsys{World: w, lexicon: newLexicon()}
	for _, text := range r.lexicon.words {
		r.first = append(r.first, enc.Encode(text))
		r.spaced = append(r.spaced, enc.Encode(" "+text))
	}
	if err := enc.Err(); err != nil {
		return nil, fmt.Errorf("recsys: %w", err)
	}
	for _, outcome := range []string{"yes", "no"} {
		tokens := r.spaced[r.lexicon.index[outcome]]
		if len(tokens) != 1 {
			return nil, fmt.Errorf("recsys: tokenizer: label %q is %d tokens, expected 1: the task is for models whose tokenizer has the words of this world, such as pretrained:recsys-fm", " "+outcome, len(tokens))
		}
		r.labels = append(r.labels, tokens[0])
	}
	if r.labels[0] == r.labels[1] {
		return nil, fmt.Errorf("recsys: tokenizer: labels \" yes\" and \" no\" are the same token %d", r.labels[0])
	}
	if err := r.checkEncoder(enc); err != nil {
		return nil, err
	}
	r.drawCases()
	if err := r.checkCases(); err != nil {
		return nil, err
	}
	return r, nil
}

// checkEncoder checks that prompts joined from the words' tokens are what the encoder returns for
// their text.
func (r *Recsys) checkEncoder(enc Encoder) error {
	for i, text := range r.Corpus(64) {
		var want []int32
		if i%2 == 0 {
			want, _ = r.encode(r.corpusWords(i))
		} else {
			want, _ = r.encode(r.genericWords(splitCorpus, i))
		}
		got := enc.Encode(text)
		if err := enc.Err(); err != nil {
			return fmt.Errorf("recsys: %w", err)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("recsys: tokenizer: a prompt is %d tokens, its words by themselves %d: words are joined", len(got), len(want))
		}
	}
	return nil
}

// encode returns a text's tokens, and the place of the last token of each word.
func (r *Recsys) encode(words []word) (tokens []int32, end []int) {
	tokens, end = make([]int32, 0, len(words)), make([]int, len(words))
	for i, w := range words {
		if i == 0 {
			tokens = append(tokens, r.first[w]...)
		} else {
			tokens = append(tokens, r.spaced[w]...)
		}
		end[i] = len(tokens) - 1
	}
	return tokens, end
}

// example makes an Example of what w wrote. Its answers are the outcomes, each with the weight of
// its own task; the example's task is that of the last, the candidate.
func (r *Recsys) example(w *writer) Example {
	tokens, end := r.encode(w.words)
	e := Example{Tokens: tokens, Answer: make([]bool, len(tokens))}
	if r.weights != nil {
		e.weigh(1)
	}
	for _, o := range w.outcomes {
		e.Answer[end[o.at]], e.Task = true, o.task
		if r.weights != nil {
			e.Weights[end[o.at]] = r.weights[o.task]
		}
	}
	return e
}

// Weighted returns the task with factors of its tasks' losses: each outcome that an example shows
// has the weight of its own task, and all other tokens have 1. The test set is the same.
func (r *Recsys) Weighted(weights TaskWeights) *Recsys {
	of := *r
	of.weights = &weights
	return &of
}

// newWriter begins a text of the stream that belongs to the keys, and returns the stream. Words of
// items that say nothing are from another one, so that all else is the same however many they are.
func (w *World) newWriter(l *lexicon, keys ...uint64) (*writer, *rand.Rand) {
	rng := stream(append([]uint64{w.cfg.WorldSeed}, keys...)...)
	text := l.newWriter(rng)
	text.described, text.shown = w.cfg.ItemWords, w.cfg.itemShown()
	if text.described > shownFields {
		text.filler = stream(append([]uint64{w.cfg.WorldSeed, splitFiller}, keys...)...)
	}
	return text, rng
}

// prompt draws a member with a history and one answered candidate of an in-domain task.
func (w *World) prompt(l *lexicon, keys ...uint64) *writer {
	text, rng := w.newWriter(l, keys...)
	m := w.drawMember(rng)
	history := w.drawHistory(rng, m.archetype, w.cfg.Events)
	candidate := w.drawEvent(rng, m.archetype, rng.IntN(inDomainTasks))
	text.prefix(m, history)
	text.question(candidate.task, candidate.item)
	text.outcome(candidate.yes)
	return text
}

// Train returns the i-th training prompt of a stream; all outcomes, those of past events too, are
// answers.
func (r *Recsys) Train(seed uint64, i int) Example {
	if n := r.cfg.Labelled; n > 0 {
		order, _ := hashKeys(splitOrder, seed)
		i = shuffled(order, i, n)
	}
	return r.example(r.prompt(r.lexicon, splitTrain, seed, uint64(i)))
}

// TrainSize is the number of labelled prompts, 0 where unlimited.
func (r *Recsys) TrainSize() int { return r.cfg.Labelled }

// Validation returns n validation prompts; n ≤ 0 is 1000.
func (r *Recsys) Validation(n int) []Example {
	if n <= 0 {
		n = 1000
	}
	examples := make([]Example, n)
	for i := range examples {
		examples[i] = r.example(r.prompt(r.lexicon, splitValidation, uint64(i)))
	}
	return examples
}

// Calibration returns n prompts (InDomain) or texts of the same length and vocabulary that do not
// depend on the world and have no answers (Generic).
func (r *Recsys) Calibration(source string, n int) ([]Example, error) {
	examples := make([]Example, n)
	for i := range examples {
		switch source {
		case InDomain:
			examples[i] = r.example(r.prompt(r.lexicon, splitCalibration, uint64(i)))
		case Generic:
			tokens, _ := r.encode(r.genericWords(splitGeneric, i))
			examples[i] = Example{Tokens: tokens, Answer: make([]bool, len(tokens))}
		default:
			return nil, fmt.Errorf("recsys: calibration source %q, expected %q or %q", source, InDomain, Generic)
		}
	}
	return examples, nil
}

func (r *Recsys) genericWords(split uint64, i int) []word {
	return r.World.genericWords(r.lexicon, split, i)
}

// genericWords writes a generic text as long as a prompt.
func (w *World) genericWords(l *lexicon, split uint64, i int) []word {
	text := l.newWriter(stream(w.cfg.WorldSeed, split, uint64(i)))
	text.generic(w.cfg.mostWords())
	return text.words
}

func (r *Recsys) corpusWords(i int) []word {
	return r.prompt(r.lexicon, splitCorpus, uint64(i)).words
}

// Corpus returns n texts, alternating prompts and generic sentences, which have every word. It
// needs no encoder, so a tokenizer can be trained on it.
func (w *World) Corpus(n int) []string {
	l := newLexicon()
	texts := make([]string, n)
	for i := range texts {
		if i%2 == 0 {
			texts[i] = l.text(w.prompt(l, splitCorpus, uint64(i)).words)
		} else {
			texts[i] = l.text(w.genericWords(l, splitCorpus, i))
		}
	}
	return texts
}

// Longest is the number of tokens of the longest test prompt with its answer.
func (r *Recsys) Longest() (tokens int) {
	for _, c := range r.cases {
		tokens = max(tokens, len(c.Prompt)+1)
	}
	return tokens
}

// PromptTokens is the mean number of tokens of a test prompt.
func (r *Recsys) PromptTokens() float64 {
	sum := 0
	for _, c := range r.cases {
		sum += len(c.Prompt)
	}
	return float64(sum) / float64(len(r.cases))
}

// MostTokens bounds the tokens of any prompt with its answer.
func (r *Recsys) MostTokens() int {
	word := 0
	for i := range r.first {
		word = max(word, len(r.first[i]), len(r.spaced[i]))
	}
	return word*r.cfg.mostWords() + 1
}

// Notes are empty: no example is truncated.
func (r *Recsys) Notes() []string { return nil }

// Labels are the tokens of the answers yes and no.
func (r *Recsys) Labels() []int32 { return slices.Clone(r.labels) }

// drawCases draws the test set.
func (r *Recsys) drawCases() {
	for group := range r.cfg.Members {
		text, rng := r.newWriter(r.lexicon, splitTest, uint64(group))
		m := r.drawMember(rng)
		history := r.drawHistory(rng, m.archetype, r.cfg.Events)
		text.prefix(m, history)
		prefix := len(text.words)

		all := r.newEvidence()
		r.addMember(all, m)
		for _, ev := range history {
			r.addEvent(all, ev)
		}
		for task := range tasks {
			heldOut, n := task >= inDomainTasks, r.cfg.Candidates
			if heldOut {
				n = r.cfg.HeldOut
			}
			for range n {
				ev := r.drawEvent(rng, m.archetype, task)
				text.words = text.words[:prefix]
				text.question(task, ev.item)
				tokens, end := r.encode(text.words)
				r.cases = append(r.cases, Case{
					Group: group, Task: task, HeldOut: heldOut, Prompt: tokens, PrefixLen: end[prefix-1] + 1,
					Click: ev.yes, Truth: r.probability(m.archetype, task, ev.item), Ceiling: r.predict(all, task, ev.item),
				})
			}
		}
	}
}

// checkCases checks that every task of the test set has both answers, without which it has no AUC.
func (r *Recsys) checkCases() error {
	var yes, all [tasks]int
	for _, c := range r.cases {
		all[c.Task]++
		if c.Click {
			yes[c.Task]++
		}
	}
	for t := range tasks {
		if all[t] > 0 && (yes[t] == 0 || yes[t] == all[t]) {
			return fmt.Errorf("recsys: task %q: %d of its %d test prompts are clicks, so it has no AUC; raise members or candidates", TaskName(t), yes[t], all[t])
		}
	}
	return nil
}

// ServeGroups returns prompts for a serving workload, [members][candidates]: members that no other
// split has, each with candidates over the in-domain tasks that share the member's prefix.
// Histories are extended or shortened to prompts of at most context tokens (at least one event);
// context 0 keeps the configured number of events.
func (r *Recsys) ServeGroups(members, candidates, context int) [][][]int32 {
	groups := make([][][]int32, members)
	for i := range groups {
		text, rng := r.newWriter(r.lexicon, splitServe, uint64(i))
		m := r.drawMember(rng)
		events := r.cfg.Events
		if context > 0 {
			events = max(1, (context-r.longest(r.cfg.restWords()))/r.longest(r.cfg.eventWords()))
		}
		history := r.drawHistory(rng, m.archetype, events)
		text.prefix(m, history)
		prefix := len(text.words)
		for k := range candidates {
			ev := r.drawEvent(rng, m.archetype, k%inDomainTasks)
			text.words = text.words[:prefix]
			text.question(ev.task, ev.item)
			tokens, _ := r.encode(text.words)
			groups[i] = append(groups[i], tokens)
		}
	}
	return groups
}

// longest is an upper bound on the tokens of n words.
func (r *Recsys) longest(n int) int {
	most := 1
	for _, tokens := range r.spaced {
		most = max(most, len(tokens))
	}
	return n * most
}
