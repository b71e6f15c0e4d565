package load

import (
	"context"
	"fmt"
	"time"

	"github.com/sourcegraph/conc"

	"slimlab/serve"
)

// Target answers requests. It is called from several goroutines at once.
type Target interface {
	// Send returns when the request is answered, or with an error why it is not.
	Send(ctx context.Context, r serve.Request) (Answer, error)
}

// Answer is what a target says of a request that it has answered.
type Answer struct {
	First          time.Time // when the first token was there, or the logits of labels
	Prompt, Cached int       // tokens of the prompt, and those of them that came from the cache
	Tokens         int       // generated
}

// Embedded is an engine in this process as a target; its executor's clock is this machine's.
type Embedded struct{ Engine *serve.Engine }

// Send serves the request.
func (t Embedded) Send(ctx context.Context, r serve.Request) (Answer, error) {
	result, err := t.Engine.Do(ctx, r)
	if err != nil {
		return Answer{}, err
	}
	return Answer{result.FirstToken, result.Prompt, result.Cached, len(result.Tokens)}, nil
}

// Open is an open loop: requests are sent at the times of the schedule, whatever has become of
// those before. Clients that do not know of each other ask so.
type Open struct {
	Schedule Schedule
	Request  func(i int) serve.Request // makes a request, in order, before its time has come
	InFlight int                       // requests at once, at most; one whose time comes then is dropped
}

// Record is what became of a request. Times count from the start of the run.
type Record struct {
	Scheduled time.Duration // when it was to be sent
	Sent      time.Duration // when it was
	// Of one that was answered; End of one with Err too.
	First, End             time.Duration
	Prompt, Cached, Tokens int
	Err                    error // why it was not answered
	Dropped                bool  // it was not sent, since InFlight others were not answered yet
}

// Run sends the requests and returns what became of each when all have ended. When ctx ends, so do
// those in flight; of those not sent there is no record, and the error is the context's.
func (o Open) Run(ctx context.Context, t Target) ([]Record, error) {
	if o.InFlight < 1 {
		return nil, fmt.Errorf("load: found %d requests at once, expected at least 1", o.InFlight)
	}
	records := make([]Record, len(o.Schedule))
	places := make(chan struct{}, o.InFlight)
	start := time.Now()
	var wait conc.WaitGroup
	due := 0
	for i, at := range o.Schedule {
		request := o.Request(i)
		if !sleepUntil(ctx, start.Add(at)) {
			break
		}
		due++
		record := &records[i]
		record.Scheduled = at
		select {
		case places <- struct{}{}:
		default:
			record.Dropped = true
			continue
		}
		wait.Go(func() {
			defer func() { <-places }()
			record.send(ctx, t, request, start)
		})
	}
	wait.Wait()
	if due < len(records) {
		return records[:due], ctx.Err()
	}
	return records, nil
}

func (r *Record) send(ctx context.Context, t Target, request serve.Request, start time.Time) {
	r.Sent = time.Since(start)
	answer, err := t.Send(ctx, request)
	r.End = time.Since(start)
	if r.Err = err; err == nil {
		r.First = answer.First.Sub(start)
		r.Prompt, r.Cached, r.Tokens = answer.Prompt, answer.Cached, answer.Tokens
	}
}

// sleepUntil reports whether the time came before ctx ended.
func sleepUntil(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
