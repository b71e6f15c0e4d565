package task

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func withItems(words, kept int) func(*RecsysConfig) {
	return func(c *RecsysConfig) { small(c); c.ItemWords, c.ItemKept = words, kept }
}

// shorter removes from a prompt of the default world's events all but the first kept words of each
// item, and what is after them up to the outcome.
func shorter(text string, described, kept int) string {
	at := strings.Index(text, " :") + len(" :")
	words, out := strings.Fields(text[at:]), strings.Fields(text[:at])
	for len(words) > 0 {
		if slices.Contains(leadWords, words[0]) {
			out, words = append(out, words[0]), words[1:]
		}
		out, words = append(out, words[:2+kept]...), words[2+described:]
		if len(words) > 0 { // the outcome
			out, words = append(out, words[0]), words[1:]
		}
	}
	return strings.Join(out, " ")
}

// TestItemTextsShareTheirWorld: however long the items' texts are, prompts are of the same members,
// events and clicks, in the same words, of which a shorter text has the first ones.
func TestItemTextsShareTheirWorld(t *testing.T) {
	enc := newWordEncoder()
	whole, plain := newRecsys(t, withItems(40, 0)), newRecsys(t, small)
	for _, kept := range []int{20, 4, 2, 1} {
		r := newRecsys(t, withItems(40, kept))
		for i, c := range r.cases {
			full := whole.cases[i]
			if want := shorter(enc.decode(full.Prompt), 40, kept); enc.decode(c.Prompt) != want {
				t.Fatalf("kept %d, case %d: found %q, expected %q", kept, i, enc.decode(c.Prompt), want)
			}
			if c.Group != full.Group || c.Task != full.Task || c.Click != full.Click || c.Truth != full.Truth || (c.Ceiling == full.Ceiling) != (kept > 1) {
				t.Fatalf("kept %d, case %d: found %+v, expected the answers of %+v", kept, i, c, full)
			}
			if kept == 2 && !slices.Equal(c.Prompt, plain.cases[i].Prompt) {
				t.Fatalf("case %d: found %q, expected the prompt without words that say nothing", i, enc.decode(c.Prompt))
			}
		}
		for i := range 20 {
			want := shorter(enc.decode(whole.Train(3, i).Tokens), 40, kept)
			if got := enc.decode(r.Train(3, i).Tokens); got != want {
				t.Fatalf("kept %d, training prompt %d: found %q, expected %q", kept, i, got, want)
			}
		}
	}
	if got, want := whole.PromptTokens()-plain.PromptTokens(), 38*(6.0+1); math.Abs(got-want) > 1e-9 {
		t.Errorf("prompts have %v more tokens, expected %v", got, want)
	}
}

// TestFilledWordsSayNothing: the words that fill an item's text have no meaning, and are as often
// before one outcome as before the other.
func TestFilledWordsSayNothing(t *testing.T) {
	r := newRecsys(t, withItems(10, 0))
	var counts [2]map[word]float64
	var all [2]float64
	for i := range counts {
		counts[i] = map[word]float64{}
	}
	for i := range 2000 {
		text := r.prompt(r.lexicon, splitTrain, 1, uint64(i))
		for _, o := range text.outcomes {
			yes := number(text.words[o.at] == r.lexicon.index["yes"])
			for _, w := range text.words[o.at-8 : o.at] {
				if _, means := r.lexicon.meanings[w]; means || slices.Contains(personWords, r.lexicon.words[w]) {
					t.Fatalf("%q fills an item's text", r.lexicon.words[w])
				}
				counts[yes][w]++
				all[yes]++
			}
		}
	}
	if n := len(counts[0]); n < 15 || n != len(r.lexicon.plain) {
		t.Errorf("%d words fill texts, of %d", n, len(r.lexicon.plain))
	}
	for w, n := range counts[0] {
		p := (n + counts[1][w]) / (all[0] + all[1])
		if z := (n/all[0] - counts[1][w]/all[1]) / math.Sqrt(p*(1-p)*(1/all[0]+1/all[1])); math.Abs(z) > 4.5 {
			t.Errorf("%q is before one outcome more often, by %.1f standard deviations", r.lexicon.words[w], z)
		}
	}
}

// TestHiddenFormatIsSummedOut: where prompts show no format, what is known of an answer is the sum
// of the joint probability over formats too, and a reader of the text finds the same.
func TestHiddenFormatIsSummedOut(t *testing.T) {
	r := newRecsys(t, func(c *RecsysConfig) {
		c.Archetypes, c.Events, c.Members, c.Candidates, c.HeldOut, c.ItemWords, c.ItemKept = 5, 2, 30, 2, 1, 7, 1
	})
	enc := newWordEncoder()
	for i, c := range r.cases {
		// the same text with any format is what parsePrompt reads
		words := strings.Fields(enc.decode(c.Prompt))
		var with []string
		for k, w := range words {
			with = append(with, w)
			if k >= 2 && slices.ContainsFunc(topicWords[:], func(of []string) bool { return slices.Contains(of, w) }) {
				with = append(with, formatWords[0][0])
			}
		}
		p := parsePrompt(t, strings.Join(with, " "))
		var yes, total float64
		for a := range r.affinity {
			joint := memberLikelihood(r.World, p.member, a)
			answer := func(ev event) (p float64) {
				for f := range formats {
					for l := range levels {
						for fresh := range freshness {
							p += r.probability(a, ev.task, item{ev.item.topic, f, l, fresh}) / (formats * levels * freshness)
						}
					}
				}
				return p
			}
			for _, ev := range p.events {
				joint *= r.exposure[a][ev.item.topic]
				if ev.yes {
					joint *= answer(ev)
				} else {
					joint *= 1 - answer(ev)
				}
			}
			joint *= r.exposure[a][p.candidate.item.topic]
			total, yes = total+joint, yes+joint*answer(p.candidate)
		}
		if want := yes / total; math.Abs(c.Ceiling-want) > 1e-12 {
			t.Fatalf("case %d: ceiling %v, expected %v", i, c.Ceiling, want)
		}
	}
}

// TestExpectedOfLongItems: the exact posterior is read from prompts with items of any length, and a
// text with other words in their place is no prompt.
func TestExpectedOfLongItems(t *testing.T) {
	for _, c := range []struct{ words, kept int }{{2, 0}, {2, 1}, {40, 0}, {40, 8}, {40, 1}} {
		r := newRecsys(t, withItems(c.words, c.kept))
		for i, of := range r.cases {
			expected, err := r.Expected(append(slices.Clone(of.Prompt), r.labels[0]))
			if err != nil {
				t.Fatal(err)
			}
			if last := expected[len(expected)-1]; len(expected) != r.cfg.Events+1 || last.P[0] != of.Ceiling || last.At != len(of.Prompt) {
				t.Fatalf("%d words, kept %d, case %d: found %v of %d, expected %v", c.words, c.kept, i, last, len(expected), of.Ceiling)
			}
		}
	}
	r := newRecsys(t, withItems(4, 0))
	prompt := slices.Clone(r.cases[0].Prompt)
	if _, err := r.Expected(prompt[:len(prompt)-1]); err == nil || !strings.Contains(err.Error(), "expected one that says nothing") {
		t.Errorf("a word less: %v", err)
	}
	prompt[len(prompt)-1] = r.spaced[r.lexicon.index["ball"]][0]
	if _, err := r.Expected(prompt); err == nil || !strings.Contains(err.Error(), `is "ball", expected one that says nothing`) {
		t.Errorf("a topic among words that say nothing: %v", err)
	}
}

// TestLongItemsFit: bounds of prompts hold for items of any length.
func TestLongItemsFit(t *testing.T) {
	for _, c := range []struct{ words, kept int }{{2, 1}, {40, 0}, {40, 10}} {
		r := newRecsys(t, withItems(c.words, c.kept))
		most := 0
		for i := range 300 {
			most = max(most, len(r.Train(1, i).Tokens))
		}
		if bound := r.MostTokens(); most > bound || most < bound-3 {
			t.Errorf("%d words, kept %d: a prompt has %d tokens, the bound is %d", c.words, c.kept, most, bound)
		}
		for _, group := range r.ServeGroups(3, 4, 400) {
			for _, prompt := range group {
				if n := len(prompt); n > 400 || n < 400-r.cfg.eventWords()-3 {
					t.Errorf("%d words, kept %d: a served prompt has %d tokens of 400", c.words, c.kept, n)
				}
			}
		}
	}
}

func TestItemWordsRefused(t *testing.T) {
	for want, change := range map[string]func(*RecsysConfig){
		"item_words is 1, expected 2 to 1000": func(c *RecsysConfig) { c.ItemWords = 1 },
		"item_kept is 9, expected 0 to 8":     func(c *RecsysConfig) { c.ItemWords, c.ItemKept = 8, 9 },
		"item_kept is -1, expected 0 to 2":    func(c *RecsysConfig) { c.ItemKept = -1 },
	} {
		cfg := DefaultRecsys()
		change(&cfg)
		if err := cfg.Validate(); err == nil || err.Error() != "recsys: "+want {
			t.Errorf("found %v, expected %q", err, want)
		}
	}
}
