package task

import "testing"

// priors are predictions of each test prompt from a part of it, by the prompt's first token.
type priors struct {
	trivial map[*int32]float64 // P(yes) given task and candidate
	profile map[*int32]float64 // P(yes) given task, candidate and the words on the member
}

func (p priors) trivialOf(c Case) float64 { return p.trivial[&c.Prompt[0]] }
func (p priors) profileOf(c Case) float64 { return p.profile[&c.Prompt[0]] }

// priorsOf draws the members and candidates of the test set again.
func priorsOf(r *Recsys) priors {
	p := priors{map[*int32]float64{}, map[*int32]float64{}}
	next := 0
	for group := range r.cfg.Members {
		rng := stream(r.cfg.WorldSeed, splitTest, uint64(group))
		m := r.drawMember(rng)
		text := r.lexicon.newWriter(rng)
		text.prefix(m, r.drawHistory(rng, m.archetype, r.cfg.Events))
		nothing, profile := r.newEvidence(), r.newEvidence()
		r.addMember(profile, m)
		for ; next < len(r.cases) && r.cases[next].Group == group; next++ {
			c := r.cases[next]
			ev := r.drawEvent(rng, m.archetype, c.Task)
			text.question(c.Task, ev.item)
			p.trivial[&c.Prompt[0]] = r.predict(nothing, c.Task, ev.item)
			p.profile[&c.Prompt[0]] = r.predict(profile, c.Task, ev.item)
		}
	}
	return p
}

// headroom is the soft AUC, averaged over in-domain tasks, of predictions from ever more of what
// decides a click.
type headroom struct {
	Trivial float64 // task and candidate
	Profile float64 // and the words on the member
	Ceiling float64 // and the history: all that the prompt shows
	Truth   float64 // and what it does not show
}

func headroomOf(t *testing.T, r *Recsys) headroom {
	t.Helper()
	soft := func(of func(Case) float64) float64 {
		s, err := r.newSample(r.scoresBy(of))
		if err != nil {
			t.Fatal(err)
		}
		return s.table(nil).mean(soft, false)
	}
	p := priorsOf(r)
	return headroom{
		Trivial: soft(p.trivialOf),
		Profile: soft(p.profileOf),
		Ceiling: soft(func(c Case) float64 { return c.Ceiling }),
		Truth:   soft(func(c Case) float64 { return c.Truth }),
	}
}
