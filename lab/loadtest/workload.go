package loadtest

import (
	"fmt"
	"math"
	"time"

	"slimlab/internal/nearest"
	"slimlab/serve/load"
)

// Kinds of workloads.
const (
	Ranking      = "ranking"
	Random       = "random"
	SharedPrefix = "shared-prefix"
	Chat         = "chat"
)

// Workload says what is asked. The zero value is none: the defaults are in the tags.
type Workload struct {
	Kind         string  `key:"workload" default:"ranking" one:"ranking|random|shared-prefix|chat" doc:"ranking: members with candidates that share the member's prefix; random: prompts that share nothing; shared-prefix: groups of prompts with the same beginning; chat: sessions of turns"`
	Requests     int     `key:"requests" default:"300" min:"1" max:"10000000" doc:"arrivals: visits of members, prompts, or sessions"`
	Groups       int     `key:"groups" default:"0" min:"0" max:"10000000" doc:"members of ranking or groups of shared-prefix that there are; 0: of ranking a new member each time, of shared-prefix 10"`
	Candidates   int     `key:"candidates" default:"1" min:"1" max:"100000" doc:"candidates of a visit of ranking, whose prompts come together"`
	PrefixTokens int     `key:"prefix_tokens" default:"0" min:"0" max:"1048576" doc:"tokens that the prompts of a member or a group begin with; of chat those of the system prompt"`
	InputTokens  int     `key:"input_tokens" default:"512" min:"1" max:"1048576" doc:"tokens of a prompt, without those of its prefix; of chat those of a question"`
	OutputTokens int     `key:"output_tokens" default:"1" min:"1" max:"1048576" doc:"tokens of an answer"`
	Range        float64 `key:"range" default:"0" min:"0" max:"1" doc:"lengths of random and chat are drawn evenly from this share below them to as much above"`
	Turns        int     `key:"turns" default:"4" min:"1" max:"1000" doc:"turns of a session of chat"`
	Think        float64 `key:"think" default:"0" min:"0" max:"86400" doc:"seconds that a user of chat thinks between turns, on average"`
	Skew         float64 `key:"skew" default:"0" min:"0" max:"10" doc:"exponent of Zipf's law by which members or groups come; 0: each as often"`
	Order        string  `key:"order" default:"zipf" one:"zipf|in-turn|grouped|shuffled" doc:"order in which members or groups come: by chance with skew, one of each in turn, all of one after another, or each as often in a drawn order"`
	Packed       bool    `key:"packed" default:"false" doc:"the candidates of a visit are items of one request"`
}

// Together is how many requests of an arrival come at once.
func (w Workload) Together() int {
	if w.Kind == Ranking && !w.Packed {
		return w.Candidates
	}
	return 1
}

var orders = []string{"zipf", "in-turn", "grouped", "shuffled"}

// order is that of a name.
func order(name string) (load.Order, error) {
	if err := nearest.Check("order", name, orders); err != nil {
		return 0, err
	}
	for i, n := range orders {
		if n == name {
			return load.Order(i), nil
		}
	}
	panic("loadtest: a checked name is not in the list")
}

// Workload makes the workload with tokens below a vocabulary.
func (w Workload) Workload(vocabulary int, seed uint64) (load.Workload, error) {
	of, err := order(w.Order)
	if err != nil {
		return nil, err
	}
	lengths := func(n int) load.Lengths { return load.Lengths{Mean: n, Range: w.Range} }
	switch w.Kind {
	case Ranking:
		return w.ranking(of, vocabulary, seed)
	case Random:
		return load.Random{Number: w.Requests, Input: lengths(w.InputTokens), Output: lengths(w.OutputTokens), Vocabulary: vocabulary, Seed: seed}.Workload()
	case SharedPrefix:
		groups := w.Groups
		if groups == 0 {
			groups = 10
		}
		if w.Requests%groups != 0 {
			return nil, fmt.Errorf("found %d requests of %d groups, expected a multiple", w.Requests, groups)
		}
		return load.SharedPrefix{Groups: groups, Each: w.Requests / groups, System: w.PrefixTokens, Question: w.InputTokens, Output: w.OutputTokens, Order: of, Skew: w.Skew, Vocabulary: vocabulary, Seed: seed}.Workload()
	case Chat:
		return load.Sessions{Number: w.Requests, Turns: w.Turns, System: w.PrefixTokens, Question: lengths(w.InputTokens), Output: lengths(w.OutputTokens), Think: time.Duration(w.Think * float64(time.Second)), Vocabulary: vocabulary, Seed: seed}.Workload()
	}
	return nil, nearest.Unknown("workload", w.Kind, []string{Ranking, Random, SharedPrefix, Chat})
}

func (w Workload) ranking(of load.Order, vocabulary int, seed uint64) (load.Workload, error) {
	members := w.Groups
	if members == 0 {
		members, of = w.Requests, load.InTurn
	}
	v := load.Visits{
		Members: load.Members{Members: members, Candidates: w.Candidates, Prefix: w.PrefixTokens, Suffix: w.InputTokens, Skew: w.Skew, Vocabulary: vocabulary, Seed: seed},
		Visits:  w.Requests, Order: of, Packed: w.Packed,
	}
	if w.OutputTokens > 1 {
		return nil, fmt.Errorf("found %d output tokens of ranking, whose answer is one token: expected 1, or workload shared-prefix", w.OutputTokens)
	}
	if w.Packed {
		v.Labels = []int32{0, 1}
	}
	return v.Workload()
}

// Kinds of arrivals.
const (
	Fixed   = "fixed"
	Poisson = "poisson"
	Gamma   = "gamma"
	Ramp    = "ramp"
	Closed  = "closed"
	AtOnce  = "at-once"
)

// Arrivals says when it is asked.
type Arrivals struct {
	Process    string  `key:"arrivals" default:"poisson" one:"fixed|poisson|gamma|ramp|closed|at-once" doc:"fixed: equal gaps; poisson: exponential gaps; gamma: gaps with a burstiness; ramp: from rate to rate_to, poisson; closed: so many users, each with one request at a time; at-once: all together"`
	Rate       float64 `key:"rate" default:"1" above:"0" max:"1000000" doc:"arrivals a second"`
	RateTo     float64 `key:"rate_to" default:"0" min:"0" max:"1000000" doc:"rate at which a ramp ends"`
	Burstiness float64 `key:"burstiness" default:"1" above:"0" max:"1000" doc:"shape of gamma: 1 is poisson, less comes in bursts"`
	Users      int     `key:"users" default:"1" min:"1" max:"100000" doc:"users of closed"`
}

// Arrivals makes the process.
func (a Arrivals) Arrivals(seed uint64) (load.Arrivals, error) {
	p := load.Process{Rate: a.Rate, Burstiness: 1, Seed: seed}
	switch a.Process {
	case Fixed:
		p.Burstiness = math.Inf(1)
	case Poisson:
	case Gamma:
		p.Burstiness = a.Burstiness
	case Ramp:
		if a.RateTo == 0 {
			return nil, fmt.Errorf("found a ramp without rate_to, expected the rate at which it ends")
		}
		p.To = a.RateTo
	case Closed:
		return load.Closed{Users: a.Users}, nil
	case AtOnce:
		return load.AtOnce{}, nil
	default:
		return nil, nearest.Unknown("arrivals", a.Process, []string{Fixed, Poisson, Gamma, Ramp, Closed, AtOnce})
	}
	return p, nil
}
