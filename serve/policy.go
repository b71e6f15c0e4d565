package serve

import (
	"fmt"
	"strings"
)

// Policy names an order in which waiting requests are admitted. Equals go by arrival. Whatever the
// order, no request is passed more often than Options.Passes.
type Policy string

const (
	FCFS    Policy = "fcfs"     // by arrival
	LPM     Policy = "lpm"      // the longest cached prefix first
	KLPM    Policy = "k-lpm"    // as LPM, but each Options.Turn admissions one is by arrival
	AgedLPM Policy = "aged-lpm" // as LPM, where each pass counts as if more of the prompt were cached
	SRPF    Policy = "srpf"     // the fewest tokens to compute first, where passes count as under AgedLPM
)

// Policies are all orders.
func Policies() []Policy { return []Policy{FCFS, LPM, KLPM, AgedLPM, SRPF} }

// Check returns an error for a name that is none.
func (p Policy) Check() error {
	if _, ok := rankings[p]; ok {
		return nil
	}
	var names []string
	for _, name := range Policies() {
		names = append(names, string(name))
	}
	return fmt.Errorf("serve: policy %q, expected one of %s", p, strings.Join(names, ", "))
}

// rankings says for each policy how many tokens speak for a request, given how many of them the
// cache holds. By arrival there is nothing to compare.
var rankings = map[Policy]func(o *Options, q *sequence, held int) int{
	FCFS:    nil,
	LPM:     longestPrefix,
	KLPM:    longestPrefix,
	AgedLPM: func(o *Options, q *sequence, held int) int { return held + aged(o, q) },
	SRPF:    func(o *Options, q *sequence, held int) int { return held - len(q.tokens) + aged(o, q) },
}

// aged is the tokens that a request's passes count for. After Options.Aging of them it is as good
// as one of its length that is cached, whatever the length of prompts.
func aged(o *Options, q *sequence) int { return len(q.tokens) * q.passes / o.Aging }

func longestPrefix(_ *Options, _ *sequence, held int) int { return held }
