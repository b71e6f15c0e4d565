package load

import "fmt"

// Visits is the ranking workload under arrivals: each is a visit of a member, with as many requests
// together as candidates are ranked for the member.
type Visits struct {
	Members
	Visits int
	Each   int     // candidates of a visit, different ones of the member's; 0 is all
	Order  Order   // of the members; in an order other than Zipf each comes as often
	Labels []int32 // whose logits rank the candidates; without them one token is generated
	Packed bool    // a visit is one request, whose items the candidates are
}

// Workload checks v. A visit's candidates are neighbours among the member's, from one that is
// drawn.
func (v Visits) Workload() (Workload, error) {
	if err := v.check(v.Visits); err != nil {
		return nil, err
	}
	if v.Each == 0 {
		v.Each = v.Candidates
	}
	switch {
	case v.Each < 1 || v.Each > v.Candidates:
		return nil, fmt.Errorf("load: found %d candidates of a visit, expected 1 to the member's %d", v.Each, v.Candidates)
	case v.Packed && len(v.Labels) == 0:
		return nil, fmt.Errorf("load: found candidates in one request and no labels, expected labels to score them by")
	case v.Packed && v.Prefix < 1:
		return nil, fmt.Errorf("load: found candidates in one request and a member of %d tokens, expected at least 1", v.Prefix)
	}
	if err := checkOrder(v.Order, v.Skew); err != nil {
		return nil, err
	}
	if err := checkCount("requests", v.Visits, v.Each); err != nil {
		return nil, err
	}
	for _, l := range v.Labels {
		if l < 0 || int(l) >= v.Vocabulary {
			return nil, fmt.Errorf("load: found label token %d, expected 0 to %d", l, v.Vocabulary-1)
		}
	}
	return visits{v, newOrder(v.Order, v.Members.Members, (v.Visits+v.Members.Members-1)/v.Members.Members, v.Skew, v.Seed)}, nil
}

type visits struct {
	Visits
	order order
}

func (v visits) Arrivals() int { return v.Visits.Visits }

func (v visits) Requests() int {
	if v.Packed {
		return v.Visits.Visits
	}
	return v.Visits.Visits * v.Each
}

func (v visits) Arrival(i int) Arrival {
	member := v.order.at(i)
	from := stream(v.Seed, candidateStream, i).IntN(v.Candidates)
	suffix := func(k int) []int32 { return v.suffix(Pick{member, (from + k) % v.Candidates}) }
	if v.Packed {
		return single(func() Request {
			r := Request{Prompt: v.prefix(member), Labels: v.Labels}
			for k := range v.Each {
				r.Items = append(r.Items, suffix(k))
			}
			return r
		})
	}
	var prefix []int32
	return Arrival{Requests: v.Each, Make: func(k int, _ Reply) Request {
		if k == 0 {
			prefix = v.prefix(member)
		}
		r := Request{Prompt: append(prefix[:len(prefix):len(prefix)], suffix(k)...), Labels: v.Labels}
		if len(v.Labels) == 0 {
			r.MaxTokens, r.IgnoreEnd = 1, true
		}
		return r
	}}
}
