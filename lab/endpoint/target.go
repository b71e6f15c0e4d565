package endpoint

import "slimlab/serve/load"

// Target is the endpoint's engine as one of load, without HTTP: requests of tokens.
func (e *Endpoint) Target() load.Embedded {
	return load.Embedded{Engine: e.engine, Ends: e.model.Ends}
}

// Vocabulary is the number of the model's tokens.
func (e *Endpoint) Vocabulary() int { return e.model.Shape.Vocabulary }

// Positions is how many tokens a request may have, by the model and the cache.
func (e *Endpoint) Positions() int {
	s := e.model.Shape
	return min(s.Positions, s.Pages*s.PageSize)
}

// Flush empties the prefix cache.
func (e *Endpoint) Flush() error { return e.engine.Flush() }

// CacheTokens is how many tokens the KV cache holds.
func (e *Endpoint) CacheTokens() int { return e.model.Shape.Pages * e.model.Shape.PageSize }
