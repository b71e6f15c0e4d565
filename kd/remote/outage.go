package remote

import (
	"sync"
	"time"
)

// Outage says that a request failed and is sent again, or that none has to be any more. From the
// first request that fails until then it is one outage, however many requests there are.
type Outage struct {
	Endpoint string // its URL
	Number   int    // of the outage, from 1
	// Attempt is the one that comes after Wait, of Attempts; 0 where the outage is over.
	Attempt, Attempts int
	Wait              time.Duration
	// why the attempt before failed; where the outage is over, why its last request was given up,
	// nil where that has its answer
	Err  error
	Took time.Duration // since the outage began
}

// Over reports that no request is to be sent again.
func (o *Outage) Over() bool { return o.Attempt == 0 }

// outages counts the requests that are to be sent again.
type outages struct {
	config   *Config
	endpoint string
	mu       sync.Mutex // held while Config.Outage is called
	number   int
	waiting  int // requests whose last attempt failed
	began    time.Time
}

// failed says that a request will be sent again; first, that it was not before.
func (o *outages) failed(first bool, attempt int, wait time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if first {
		if o.waiting == 0 {
			o.number++
			o.began = o.config.Now()
		}
		o.waiting++
	}
	o.tell(Outage{Attempt: attempt, Attempts: o.config.Attempts, Wait: wait, Err: err})
}

// ended says that a request which was sent again has its answer, or was given up.
func (o *outages) ended(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting--; o.waiting == 0 {
		o.tell(Outage{Err: err})
	}
}

// tell is called with mu held.
func (o *outages) tell(e Outage) {
	if o.config.Outage == nil {
		return
	}
	e.Endpoint, e.Number, e.Took = o.endpoint, o.number, o.config.Now().Sub(o.began)
	o.config.Outage(e)
}
