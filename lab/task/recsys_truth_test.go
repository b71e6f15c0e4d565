package task

import (
	"math"
	"slices"
	"strings"
	"testing"
)

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
