package load

// Groups are visits of members whose prompts exist: the first member, the next, and again from the
// first on.
type Groups struct {
	Number  int         // visits
	Prompts [][][]int32 // of each member, which come together
	Labels  []int32     // whose logits are asked for
}

// Arrivals is the number of visits.
func (g Groups) Arrivals() int { return g.Number }

// Requests counts the prompts of all visits.
func (g Groups) Requests() (n int) {
	for i := range g.Number {
		n += len(g.Prompts[i%len(g.Prompts)])
	}
	return n
}

// Arrival is the i-th visit.
func (g Groups) Arrival(i int) Arrival {
	prompts := g.Prompts[i%len(g.Prompts)]
	return Arrival{Requests: len(prompts), Make: func(k int, _ Reply) Request {
		return Request{Prompt: prompts[k], Labels: g.Labels}
	}}
}
