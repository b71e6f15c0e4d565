package task

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// World is a ranking world whose truth is known. A member is one of a few archetypes; an item has a
// topic and a format, which prompts show, and a level and a freshness, which they do not;
//
//	P(yes | archetype, item, task) = σ(bias + popularity[topic] + Σ_f weight[task, f] · affinity[archetype, f, item]),
//
// f being the archetype's generosity (to all items), topic, format, level and freshness.
//
// A task is an action on a surface, and its bias and weights are the sums of its action's and its
// surface's. So a held-out task is a new combination of words that training shows.
type World struct {
	cfg        RecsysConfig
	popularity [topics]float64
	affinity   []affinity // one an archetype
	// exposure is P(topic | archetype), [archetypes][topics]: what a member gets to see leans
	// towards what the member likes.
	exposure [][topics]float64
	// shown is P(yes | archetype, task, topic, format): the hidden fields averaged out, and the
	// format too where prompts do not show it, [tasks][topics][formats][archetypes].
	shown [tasks][topics][formats][]float64
}

const (
	topics, formats, levels, freshness = 8, 4, 3, 2
	actions, surfaces                  = 3, 2
	maxArchetypes, hintGroups          = 16, 4
	inDomainTasks, tasks               = 4, 6
)

// affinity is what one archetype likes. Each column has mean 0 and standard deviation 1 over the
// archetypes; those of a hint's group are alike by the configured kinship. So what there is to
// learn comes in steps, each of which pays by itself: popular topics, generous members, groups,
// archetypes.
type affinity struct {
	generous float64 // says yes more often, to everything
	topic    [topics]float64
	format   [formats]float64
	level    [levels]float64
	fresh    [freshness]float64
}

// taskParts names the action and the surface of each task; the last two are held out.
var taskParts = [tasks]struct{ action, surface int }{{0, 0}, {0, 1}, {1, 0}, {2, 1}, {1, 1}, {2, 0}}

// emphasis is one word's share of a task's parameters.
type emphasis struct{ bias, generous, topic, format, level, fresh float64 }

var (
	actionEmphasis = [actions]emphasis{
		{bias: 0, generous: 0.5, topic: 1.0, format: 0.5, level: 0.2, fresh: 0.1},
		{bias: -0.6, generous: 0.5, topic: 0.6, format: 0.9, level: 0.1, fresh: 0.2},
		{bias: -0.3, generous: 0.5, topic: 0.8, format: 0.5, level: 0.3, fresh: 0.1},
	}
	surfaceEmphasis = [surfaces]emphasis{
		{bias: 0, generous: 0.3, topic: 0.3, format: 0.5, level: 0.1, fresh: 0.1},
		{bias: -0.3, generous: 0.3, topic: 0.6, format: 0.2, level: 0.1, fresh: 0.1},
	}
)

// emphasisNorm is about the root of the summed squares of a task's weights, so that Signal is the
// signal's standard deviation.
const emphasisNorm = 1.86

type item struct{ topic, format, level, fresh int }

type event struct {
	task int
	item item
	yes  bool
}

// member is what is drawn for one member: the archetype, and what the prompt says of it.
type member struct {
	archetype int
	// profiled says that the prompt names an archetype, as in claim; else claim is a hint's group.
	profiled bool
	claim    int
}

// NewWorld draws a world from cfg.WorldSeed.
func NewWorld(cfg RecsysConfig) (*World, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	w := &World{cfg: cfg, affinity: make([]affinity, cfg.Archetypes), exposure: make([][topics]float64, cfg.Archetypes)}
	rng := stream(cfg.WorldSeed, splitWorld)
	column := func(set func(a int, x float64)) {
		own, group := normals(rng, cfg.Archetypes), normals(rng, hintGroups)
		for a := range own {
			own[a] = math.Sqrt(1-cfg.Kinship)*own[a] + math.Sqrt(cfg.Kinship)*group[a%hintGroups]
		}
		for a, x := range standardize(own) {
			set(a, x)
		}
	}
	column(func(a int, x float64) { w.affinity[a].generous = x })
	for k := range topics {
		column(func(a int, x float64) { w.affinity[a].topic[k] = x })
	}
	for f := range formats {
		column(func(a int, x float64) { w.affinity[a].format[f] = x })
	}
	for l := range levels {
		column(func(a int, x float64) { w.affinity[a].level[l] = x })
	}
	for f := range freshness {
		column(func(a int, x float64) { w.affinity[a].fresh[f] = x })
	}
	for k, x := range standardize(normals(rng, topics)) {
		w.popularity[k] = cfg.Popularity * x
	}
	w.tabulate()
	return w, nil
}

func normals(rng *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = rng.NormFloat64()
	}
	return x
}

// standardize gives x mean 0 and standard deviation 1.
func standardize(x []float64) []float64 {
	mean, variance := 0.0, 0.0
	for i := range x {
		mean += x[i] / float64(len(x))
	}
	for i := range x {
		x[i] -= mean
		variance += x[i] * x[i] / float64(len(x))
	}
	for i := range x {
		x[i] /= math.Sqrt(variance)
	}
	return x
}

// tabulate fills exposure and shown.
func (w *World) tabulate() {
	for a := range w.affinity {
		sum := 0.0
		for k := range topics {
			w.exposure[a][k] = math.Exp(w.cfg.Exposure * w.affinity[a].topic[k])
			sum += w.exposure[a][k]
		}
		for k := range topics {
			w.exposure[a][k] /= sum
		}
	}
	for t := range tasks {
		for k := range topics {
			for f := range formats {
				w.shown[t][k][f] = make([]float64, len(w.affinity))
				for a := range w.affinity {
					for l := range levels {
						for r := range freshness {
							w.shown[t][k][f][a] += w.probability(a, t, item{k, f, l, r}) / (levels * freshness)
						}
					}
				}
			}
			if w.cfg.itemShown() < shownFields {
				hideFormat(&w.shown[t][k])
			}
		}
	}
}

// hideFormat gives each format the mean over all, which are equally likely.
func hideFormat(of *[formats][]float64) {
	for a := range of[0] {
		mean := 0.0
		for f := range formats {
			mean += of[f][a] / formats
		}
		for f := range formats {
			of[f][a] = mean
		}
	}
}

// probability is P(yes | archetype, item, task), hidden fields included.
func (w *World) probability(archetype, task int, it item) float64 {
	action, surface := actionEmphasis[taskParts[task].action], surfaceEmphasis[taskParts[task].surface]
	like := &w.affinity[archetype]
	signal := (action.generous+surface.generous)*like.generous + (action.topic+surface.topic)*like.topic[it.topic] + (action.format+surface.format)*like.format[it.format] +
		(action.level+surface.level)*like.level[it.level] + (action.fresh+surface.fresh)*like.fresh[it.fresh]
	return sigmoid(action.bias + surface.bias + w.popularity[it.topic] + w.cfg.Signal/emphasisNorm*signal)
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// drawMember draws a member and what its prompts say of it.
func (w *World) drawMember(rng *rand.Rand) member {
	m := member{archetype: rng.IntN(len(w.affinity)), profiled: rng.Float64() < w.cfg.ProfileShare}
	if m.profiled {
		m.claim = misreport(rng, m.archetype, len(w.affinity), w.cfg.ProfileReliability)
	} else {
		m.claim = misreport(rng, m.archetype%hintGroups, hintGroups, w.cfg.HintReliability)
	}
	return m
}

// misreport returns truth with probability reliability, else one of the n-1 other values.
func misreport(rng *rand.Rand, truth, n int, reliability float64) int {
	if rng.Float64() < reliability {
		return truth
	}
	return (truth + 1 + rng.IntN(n-1)) % n
}

// drawEvent draws an item as the member gets to see it, and the member's answer.
func (w *World) drawEvent(rng *rand.Rand, archetype, task int) event {
	it := item{format: rng.IntN(formats), level: rng.IntN(levels), fresh: rng.IntN(freshness)}
	for u := rng.Float64(); it.topic < topics-1; it.topic++ {
		if u -= w.exposure[archetype][it.topic]; u < 0 {
			break
		}
	}
	return event{task, it, rng.Float64() < w.probability(archetype, task, it)}
}

// drawHistory draws n past events over the in-domain tasks.
func (w *World) drawHistory(rng *rand.Rand, archetype, n int) []event {
	events := make([]event, n)
	for i := range events {
		events[i] = w.drawEvent(rng, archetype, rng.IntN(inDomainTasks))
	}
	return events
}

// evidence is the log-likelihood of what was read so far, one an archetype. Archetypes are equally
// likely to begin with.
type evidence []float64

func (w *World) newEvidence() evidence { return make(evidence, len(w.affinity)) }

// addMember adds what the prompt says of the member.
func (w *World) addMember(e evidence, m member) {
	for a := range e {
		truth, n, reliability := a, len(w.affinity), w.cfg.ProfileReliability
		if !m.profiled {
			truth, n, reliability = a%hintGroups, hintGroups, w.cfg.HintReliability
		}
		if m.claim != truth {
			reliability = (1 - reliability) / float64(n-1)
		}
		e[a] += math.Log(reliability)
	}
}

// addEvent adds a past event: that the item was seen, and what the answer was.
func (w *World) addEvent(e evidence, ev event) {
	for a := range e {
		p := w.shown[ev.task][ev.item.topic][ev.item.format][a]
		if !ev.yes {
			p = 1 - p
		}
		e[a] += math.Log(w.exposure[a][ev.item.topic] * p)
	}
}

// predict is the Bayes posterior P(yes | all that the prompt shows): a finite sum over archetypes.
// That the member gets to see the candidate is evidence too.
func (w *World) predict(e evidence, task int, candidate item) float64 {
	top := math.Inf(-1)
	for a := range e {
		top = max(top, e[a])
	}
	yes, all := 0.0, 0.0
	for a := range e {
		weight := math.Exp(e[a]-top) * w.exposure[a][candidate.topic]
		all += weight
		yes += weight * w.shown[task][candidate.topic][candidate.format][a]
	}
	return yes / all
}

// TaskNames are the tasks by number: those that are learned, then those that are held out, of which
// there are test prompts alone.
func TaskNames() (inDomain, heldOut []string) {
	names := make([]string, tasks)
	for task := range names {
		names[task] = TaskName(task)
	}
	return names[:inDomainTasks:inDomainTasks], names[inDomainTasks:]
}

// TaskName is a task's words, as in "like feed". It panics when there is no such task.
func TaskName(task int) string {
	p := taskParts[task]
	return fmt.Sprintf("%s %s", actionWords[p.action][0], surfaceWords[p.surface][0])
}
