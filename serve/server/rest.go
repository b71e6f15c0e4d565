package server

import (
	"sync"
	"time"
)

// rest ends a pause whose client has gone: one that was killed cannot say that the engine is to go
// on, and all requests would wait without end.
type rest struct {
	mutex sync.Mutex
	end   *time.Timer // nil where the engine is not paused
}

// watched says that a client has just seen whether the engine is paused. A pause lasts for
// PauseLimit from then on.
func (s *Server) watched(paused bool) {
	s.rest.mutex.Lock()
	defer s.rest.mutex.Unlock()
	if s.rest.end != nil {
		s.rest.end.Stop()
		s.rest.end = nil
	}
	if paused {
		s.rest.end = time.AfterFunc(s.options.PauseLimit, s.goOn)
	}
}

func (s *Server) goOn() {
	if err := s.model.Engine.Resume(); err == nil { // else it has ended
		s.options.Log.Warn("the engine goes on: it was paused, and nobody looks at it", "after", s.options.PauseLimit)
	}
}
