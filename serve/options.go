package serve

import "fmt"

// Options shape an engine. Zero values mean the defaults.
type Options struct {
	BatchTokens int  // tokens computed in one step, at most; 2048
	Chunk       int  // tokens of one prompt in one step, at most; BatchTokens
	Running     int  // requests that run at once, at most; 256
	PrefixCache bool // share the KV of common prefixes; Defaults sets it
}

// Defaults are the options of an engine that caches prefixes.
func Defaults() Options { return Options{PrefixCache: true} }

func (o Options) complete() (Options, error) {
	set := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	set(&o.BatchTokens, 2048)
	set(&o.Chunk, o.BatchTokens)
	set(&o.Running, 256)
	if o.BatchTokens < 1 || o.Chunk < 1 || o.Running < 1 {
		return o, fmt.Errorf("serve: batch tokens %d, chunk %d and running %d must be positive", o.BatchTokens, o.Chunk, o.Running)
	}
	// Every running request decodes one token a step, so the budget must have room for all of them.
	o.Running = min(o.Running, o.BatchTokens)
	return o, nil
}

// Stats are an engine's counters since its start.
type Stats struct {
	Requests, Steps                                             int
	PromptTokens, CachedTokens, ComputedTokens, GeneratedTokens int
	EvictedPages                                                int
	Waiting, Running                                            int // now
	FreePages, TreePages                                        int // now
}
