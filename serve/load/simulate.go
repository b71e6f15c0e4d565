package load

import (
	"context"
	"time"

	"slimlab/serve"
	"slimlab/serve/hardware"
)

// Simulation sends the requests of a plan to simulated devices, at their times by the clock of
// these.
type Simulation struct {
	Plan  *Plan
	Fleet *hardware.Fleet
	// Ended is called for each request that has ended, as it is of a Driver. It may be nil.
	Ended func(number int, r Record)
}

// Run returns what became of each request, by number. A request is sent when it is due: nothing
// delays it but what the devices do.
func (s Simulation) Run(ctx context.Context) ([]Record, error) {
	source := &planned{Simulation: s}
	err := s.Fleet.Run(ctx, source)
	return source.records, err
}

// planned is a plan as the source of a fleet.
type planned struct {
	Simulation
	records []Record
}

// Take takes the next request of the plan.
func (p *planned) Take() (int, serve.Request, bool) {
	number, at, request, _ := p.Plan.Next()
	p.records = append(p.records, Record{Arrival: request.Arrival, Turn: request.Turn, Scheduled: at, Sent: at})
	engine, err := request.Engine(nil)
	if err != nil {
		p.Ended(number, hardware.End{Err: err, At: at})
	}
	return number, engine, err == nil
}

// Ended completes the record of a request.
func (p *planned) Ended(number int, e hardware.End) {
	r := &p.records[number]
	r.End, r.Err = e.At, e.Err
	reply := Reply{Failed: e.Err != nil}
	if e.Err == nil {
		r.First = e.Result.FirstToken.Sub(p.Fleet.Begun())
		r.Prompt, r.Cached, r.Tokens, r.Chunks = e.Result.Prompt, e.Result.Cached, len(e.Result.Tokens), e.Chunks
		reply.Count, reply.Tokens = r.Tokens, e.Result.Tokens
	}
	p.Plan.Ended(number, e.At, reply)
	if p.Simulation.Ended != nil {
		p.Simulation.Ended(number, *r)
	}
}

// Due is when the next request is to be sent, as far as that is known.
func (p *planned) Due() (time.Duration, bool) { return p.Plan.Due() }
