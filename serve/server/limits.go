package server

import "time"

// Limits bound what one request may ask for. Zero values mean the defaults.
type Limits struct {
	Body      int           // bytes of a body; 16 MiB
	Header    int           // bytes of all header fields; 64 KiB
	Depth     int           // lists and objects within each other; 64
	Choices   int           // answers of one request, its prompts times n; 128
	Stops     int           // stop strings; 16
	StopBytes int           // bytes of a stop string; 512
	Items     int           // items of a scoring request, inputs of an embedding request; 4096
	Labels    int           // label tokens of a scoring request; 1024
	RowBytes  int           // logits of a prompt's places, at 4 bytes each; 64 MiB
	Arrival   time.Duration // until a body has come; 1 minute
	Departure time.Duration // until a client has taken a piece of an answer; 1 minute

	// Of a body that was not asked for is read and dropped behind an answer, so that a client that
	// writes on comes to it:
	Surplus int           // bytes; 128 MiB
	Linger  time.Duration // and for how long; 2 seconds
}

func (l Limits) complete() Limits {
	set := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	set(&l.Body, 16<<20)
	set(&l.Header, 64<<10)
	set(&l.Depth, 64)
	set(&l.Choices, 128)
	set(&l.Stops, 16)
	set(&l.StopBytes, 512)
	set(&l.Items, 4096)
	set(&l.Labels, 1024)
	set(&l.RowBytes, 64<<20)
	set(&l.Surplus, 128<<20)
	for limit, to := range map[*time.Duration]time.Duration{&l.Arrival: time.Minute, &l.Departure: time.Minute, &l.Linger: 2 * time.Second} {
		if *limit == 0 {
			*limit = to
		}
	}
	return l
}
