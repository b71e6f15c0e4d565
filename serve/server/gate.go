package server

import (
	"context"
	"net/http"
	"sync"
)

// gate counts the requests in flight, and lets none in once it is closed.
type gate struct {
	mutex    sync.Mutex
	inFlight int
	closed   bool
	empty    chan struct{} // closed when the gate is closed and nothing is in flight
}

func newGate() *gate { return &gate{empty: make(chan struct{})} }

// enter reports whether a request is let in; it has to leave then.
func (g *gate) enter() bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.closed {
		return false
	}
	g.inFlight++
	return true
}

func (g *gate) leave() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.inFlight--; g.closed && g.inFlight == 0 {
		close(g.empty)
	}
}

func (g *gate) close() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.closed {
		return
	}
	if g.closed = true; g.inFlight == 0 {
		close(g.empty)
	}
}

func (g *gate) state() (closed bool, inFlight int) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.closed, g.inFlight
}

// open refuses what comes once the server is ending.
func (s *Server) open() error {
	if closed, _ := s.gate.state(); closed {
		return ending503()
	}
	return nil
}

func ending503() *problem {
	p := fault(http.StatusServiceUnavailable, serverError, "shutting_down", "the server is ending and takes no more requests")
	p.retryAfter = 1
	return p
}

// Drain lets no more requests in and waits for those in flight, for which a paused engine goes on.
// When ctx ends first they are aborted, and Drain waits until the engine has let go of them. It
// returns how many were aborted.
func (s *Server) Drain(ctx context.Context) (aborted int) {
	s.gate.close()
	_ = s.model.Engine.Resume() // one that has ended has let go of them all
	select {
	case <-s.gate.empty:
	case <-ctx.Done():
		_, aborted = s.gate.state()
		s.abort()
		<-s.gate.empty
	}
	return aborted
}
