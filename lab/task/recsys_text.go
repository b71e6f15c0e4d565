package task

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// The words of the ranking world: synonyms are grouped, no word occurs twice. They are short
// because each must become one token of a byte-pair encoding, and every merge on the way is a token
// too.
var (
	topicWords = [topics][]string{
		{"sport", "ball"}, {"food", "meal"}, {"music", "song"}, {"money", "cash"},
		{"plant", "tree"}, {"trip", "road"}, {"film", "scene"}, {"code", "chip"},
	}
	formatWords  = [formats][]string{{"clip", "video"}, {"post", "text"}, {"talk", "audio"}, {"photo", "image"}}
	actionWords  = [actions][]string{{"like", "enjoy"}, {"share", "send"}, {"save", "keep"}}
	surfaceWords = [surfaces][]string{{"feed", "home"}, {"mail", "inbox"}}
	profileWords = [maxArchetypes][]string{
		{"nurse", "medic"}, {"pilot", "flyer"}, {"baker", "cook"}, {"judge", "lawyer"},
		{"actor", "mime"}, {"farmer", "grower"}, {"diver", "swimmer"}, {"miner", "digger"},
		{"tutor", "teacher"}, {"poet", "writer"}, {"guard", "sentry"}, {"clerk", "teller"},
		{"tailor", "weaver"}, {"smith", "welder"}, {"sailor", "rower"}, {"monk", "priest"},
	}
	hintWords    = [hintGroups][]string{{"calm", "quiet"}, {"bold", "loud"}, {"old", "senior"}, {"new", "junior"}}
	personWords  = []string{"user", "reader"}
	leadWords    = []string{"next", "now", "then"}
	outcomeWords = [2]string{"no", "yes"}
	// instructions open a prompt; * is replaced by the member.
	instructions = []string{"guess what this * will say :", "the * said so far :", "tell what the * will say :", "how will this * reply :"}
	// sentences are the generic source's patterns; each letter is replaced by any word of a role.
	sentences = []string{
		"the H P will A the F .", "this U said O to the T .", "what T will the P A now ?", "a F of T and T .", "the P of the S said so .",
		"how will a H U A this T ?", "O said the P then A the F .", "next to the T a H F .", "guess what the U and the P A .", "S and S of the H T .",
	}
)

// shownFields is how many words of an item's description say something: its topic and its format.
const shownFields = 2

// lexicon numbers all words; a word is an index into it.
type lexicon struct {
	words    []string
	index    map[string]int
	meanings map[word]meaning // of words that stand for a value of the ranking world
	plain    []word           // that stand for none: what descriptions of items are filled with
}

type word = int

// meaning is what a word stands for: the number of a value among those of its role.
type meaning struct {
	role  role
	value int
}

type role int

const (
	topicRole role = iota + 1
	formatRole
	actionRole
	surfaceRole
	profileRole
	hintRole
	leadRole
	outcomeRole
)

func newLexicon() *lexicon {
	l := &lexicon{index: map[string]int{}, meanings: map[word]meaning{}}
	for i, groups := range [][][]string{topicWords[:], formatWords[:], actionWords[:], surfaceWords[:], profileWords[:], hintWords[:]} {
		for value, synonyms := range groups {
			l.addMeaning(meaning{topicRole + role(i), value}, synonyms...)
		}
	}
	l.add(personWords...)
	l.addMeaning(meaning{role: leadRole}, leadWords...)
	for value, w := range outcomeWords {
		l.addMeaning(meaning{outcomeRole, value}, w)
	}
	for _, line := range append(append([]string{}, instructions...), sentences...) {
		for _, w := range strings.Fields(line) {
			if w != "*" && roleWords(w) == nil {
				l.add(w)
			}
		}
	}
	for w, text := range l.words {
		if _, means := l.meanings[w]; !means && text[0] >= 'a' && !slices.Contains(personWords, text) {
			l.plain = append(l.plain, w)
		}
	}
	return l
}

func (l *lexicon) add(words ...string) {
	for _, w := range words {
		if _, ok := l.index[w]; !ok {
			l.index[w] = len(l.words)
			l.words = append(l.words, w)
		}
	}
}

// addMeaning adds words that mean the same.
func (l *lexicon) addMeaning(m meaning, synonyms ...string) {
	l.add(synonyms...)
	for _, w := range synonyms {
		l.meanings[l.index[w]] = m
	}
}

// roleWords returns the groups of synonyms of a pattern's letter, nil for a plain
// word.
func roleWords(letter string) [][]string {
	switch letter {
	case "T":
		return topicWords[:]
	case "F":
		return formatWords[:]
	case "A":
		return actionWords[:]
	case "S":
		return surfaceWords[:]
	case "P":
		return profileWords[:]
	case "H":
		return hintWords[:]
	case "U":
		return [][]string{personWords}
	case "O":
		return [][]string{outcomeWords[:]}
	}
	return nil
}

// writer puts a prompt into words.
type writer struct {
	*lexicon
	rng      *rand.Rand
	words    []word
	task     int // of the last question
	outcomes []outcome
	// words of an item's description, how many of them are written, and what those that say nothing
	// are drawn from; nil where there are none
	described, shown int
	filler           *rand.Rand
}

// outcome is the place of an outcome's word, and its task.
type outcome struct{ at, task int }

func (l *lexicon) newWriter(rng *rand.Rand) *writer {
	return &writer{lexicon: l, rng: rng, described: shownFields, shown: shownFields}
}

func (w *writer) add(text string) { w.words = append(w.words, w.index[text]) }

func (w *writer) addAny(synonyms []string) { w.add(synonyms[w.rng.IntN(len(synonyms))]) }

// prefix writes all that comes before the candidate.
func (w *writer) prefix(m member, history []event) {
	for _, text := range strings.Fields(instructions[w.rng.IntN(len(instructions))]) {
		switch {
		case text != "*":
			w.add(text)
		case m.profiled:
			w.addAny(profileWords[m.claim])
		default:
			w.addAny(hintWords[m.claim])
			w.addAny(personWords)
		}
	}
	for _, ev := range history {
		w.question(ev.task, ev.item)
		w.outcome(ev.yes)
	}
	w.addAny(leadWords)
}

// question writes a task and an item. All words of the item are drawn, so that a shorter text is
// the beginning of a longer one.
func (w *writer) question(task int, it item) {
	w.task = task
	w.addAny(actionWords[taskParts[task].action])
	w.addAny(surfaceWords[taskParts[task].surface])
	begin := len(w.words)
	w.addAny(topicWords[it.topic])
	w.addAny(formatWords[it.format])
	for range w.described - shownFields {
		w.words = append(w.words, w.plain[w.filler.IntN(len(w.plain))])
	}
	w.words = w.words[:begin+w.shown]
}

func (w *writer) outcome(yes bool) {
	w.outcomes = append(w.outcomes, outcome{len(w.words), w.task})
	if yes {
		w.add(outcomeWords[1])
	} else {
		w.add(outcomeWords[0])
	}
}

// generic writes length words of sentences that do not depend on the world.
func (w *writer) generic(length int) {
	for len(w.words) < length {
		for _, text := range strings.Fields(sentences[w.rng.IntN(len(sentences))]) {
			if groups := roleWords(text); groups != nil {
				w.addAny(groups[w.rng.IntN(len(groups))])
			} else {
				w.add(text)
			}
		}
	}
	w.words = w.words[:length]
}

// text joins words with spaces.
func (l *lexicon) text(words []word) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(l.words[w])
	}
	return b.String()
}
