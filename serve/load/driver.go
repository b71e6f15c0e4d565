package load

import (
	"context"
	"fmt"
	"time"

	"github.com/sourcegraph/conc"
)

// Driver sends the requests of a plan at their times, by the clock of this machine.
type Driver struct {
	Plan     *Plan
	InFlight int // requests at once, at most; one whose time comes then is dropped
	// Precise wakes by the system's clock where that is finer than Go's timers, which may be late
	// by a millisecond. It is not for a clock that is not the machine's, as in a test.
	Precise bool
	// Sent and Ended are called for each request that is sent, and for each that has ended or was
	// dropped, one at a time, with its number. They must not block. They may be nil.
	Sent, Ended func(number int, r Record)
}

// Record is what became of a request. Times count from the start of the run. Latencies count from
// Scheduled: what a request waits for its turn to be sent is waited too, as it is by whoever asks.
type Record struct {
	Arrival, Turn int           // as in Request
	Scheduled     time.Duration // when it was to be sent
	Sent          time.Duration // when it was
	// Of one that was answered; End of one with Err too. FirstByte is 0 of a target that has none.
	FirstByte, First, End time.Duration
	// Chunks are the times at which its tokens came; nil where they are unknown.
	Chunks                 []time.Duration
	Prompt, Cached, Tokens int
	Estimated              bool  // the target has not counted the tokens, see Answer
	Resent                 bool  // it went on a second connection, see Answer
	Replaced               int   // tokens of the prompt, as in Request
	Err                    error // why it was not answered
	Dropped                bool  // it was not sent, since InFlight others were not answered yet
}

// ended is how a request has ended.
type ended struct {
	number int
	record Record
	reply  Reply
}

// Run sends the requests and returns what became of each, by number, when all have ended. When ctx
// ends, so do those in flight; of those not sent there is no record, and the error is the
// context's.
func (d Driver) Run(ctx context.Context, t Target) ([]Record, error) {
	if d.InFlight < 1 {
		return nil, fmt.Errorf("load: found %d requests at once, expected at least 1", d.InFlight)
	}
	var wait conc.WaitGroup
	defer wait.Wait()
	start := time.Now()
	ends := make(chan ended, 64)
	var records []Record
	inFlight := 0
	cut := false // by ctx
	finish := func(e ended) {
		records[e.number] = e.record
		cut = cut || e.record.Err != nil && ctx.Err() != nil
		d.Plan.Ended(e.number, e.record.End, e.reply)
		if d.Ended != nil {
			d.Ended(e.number, e.record)
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		at, due := d.Plan.Due()
		switch left := ctx.Err() != nil; {
		case inFlight == 0 && left && (due || cut):
			return records, ctx.Err()
		case inFlight == 0 && !due:
			return records, nil
		case left || !due:
			timer.Stop()
		default:
			wait := time.Until(start.Add(at))
			if near := d.Precise && wait < finest; near && wait > 0 && len(ends) == 0 {
				nap(min(wait, finest/10)) // in short naps, since one that ends may bring an earlier one
				continue
			} else if d.Precise && !near {
				wait -= finest * 3 / 4
			}
			timer.Reset(wait)
		}
		done := ctx.Done()
		if ctx.Err() != nil {
			done = nil
		}
		select {
		case e := <-ends:
			inFlight--
			finish(e)
			continue
		case <-done:
			continue
		case <-timer.C:
			if ctx.Err() != nil || time.Until(start.Add(at)) > 0 {
				continue
			}
		}
		number, at, request, _ := d.Plan.Next()
		record := Record{Arrival: request.Arrival, Turn: request.Turn, Scheduled: at, Replaced: request.Replaced}
		records = append(records, record)
		if inFlight == d.InFlight {
			record.Dropped, record.Sent, record.End = true, at, at
			finish(ended{number, record, Reply{Failed: true}})
			continue
		}
		inFlight++
		record.Sent = time.Since(start)
		if d.Sent != nil {
			d.Sent(number, record)
		}
		wait.Go(func() {
			e := ended{number: number, record: record, reply: Reply{Failed: true}}
			defer func() { ends <- e }() // of a target that panics too, which Wait then passes on
			e = record.send(ctx, t, request, number, start)
		})
	}
}

// send sends a request and waits for its answer.
func (r Record) send(ctx context.Context, t Target, request Request, number int, start time.Time) ended {
	answer, err := t.Send(ctx, request)
	r.End = time.Since(start)
	if r.Err = err; err != nil {
		return ended{number, r, Reply{Failed: true}}
	}
	if !answer.End.IsZero() {
		r.End = answer.End.Sub(start)
	}
	if !answer.FirstByte.IsZero() {
		r.FirstByte = answer.FirstByte.Sub(start)
	}
	r.First = answer.First.Sub(start)
	if len(answer.Chunks) > 0 {
		r.Chunks = make([]time.Duration, len(answer.Chunks))
		for i, at := range answer.Chunks {
			r.Chunks[i] = at.Sub(start)
		}
	}
	r.Prompt, r.Cached, r.Tokens, r.Estimated, r.Resent = answer.Prompt, answer.Cached, answer.Count, answer.Estimated, answer.Resent
	return ended{number, r, answer.Reply}
}
