package serve

import "errors"

// ErrNotPaused is returned for a step of an engine that goes on by itself.
var ErrNotPaused = errors.New("serve: the engine is not paused, so it takes its steps by itself")

// Pause has the engine rest after its present step until Resume. Meanwhile it takes requests and
// answers questions, and the requests of callers that leave end as ever; others neither go on nor
// end for having waited too long.
func (e *Engine) Pause() error {
	return ask(e, func(c *core) error {
		c.paused = true
		c.abort() // those whose callers left before, for which a step would look
		return nil
	})
}

// Resume has a paused engine go on.
func (e *Engine) Resume() error {
	return ask(e, func(c *core) error {
		c.paused = false
		return nil
	})
}

// Step has a paused engine take one step, and returns when that is done. One that has nothing to do
// takes none.
func (e *Engine) Step() error {
	return ask(e, func(c *core) error {
		if !c.paused {
			return ErrNotPaused
		}
		c.broken = c.step()
		return c.broken
	})
}

// callerLeft ends requests whose callers have left, where no step will look for them.
func (e *Engine) callerLeft() {
	_ = e.do(func(c *core) { // an engine that has ended has ended them
		if c.paused {
			c.abort()
		}
	})
}
