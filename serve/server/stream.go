package server

import (
	"encoding/json"
	"net/http"
)

// stream is an answer that is sent in pieces, as server-sent events.
type stream struct {
	x       *exchange
	control *http.ResponseController
}

func (x *exchange) stream() *stream { return &stream{x, http.NewResponseController(x.w)} }

// send sends one event. The first one begins the answer: until then an error has a status of its
// own.
func (s *stream) send(v any) error { return s.named("", v) }

// named sends an event with a name.
func (s *stream) named(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	frame := make([]byte, 0, len(data)+len(name)+32)
	if name != "" {
		frame = append(append(append(frame, "event: "...), name...), '\n')
	}
	return s.write(append(append(append(frame, "data: "...), data...), "\n\n"...))
}

// done ends a stream as OpenAI's clients expect it.
func (s *stream) done() error { return s.write([]byte("data: [DONE]\n\n")) }

// fail sends an error within a stream that has begun, and is the error otherwise.
func (s *stream) fail(err error) error {
	if s.x.status == 0 || s.x.r.Context().Err() != nil {
		return err
	}
	p := problemOf(err)
	s.x.note("error", p.Message)
	return s.send(map[string]any{"error": p})
}

func (s *stream) write(frame []byte) error {
	if s.x.status == 0 {
		h := s.x.w.Header()
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no") // for proxies that would gather pieces
		if err := s.x.head(http.StatusOK); err != nil {
			return err
		}
	}
	if err := s.x.hurry(); err != nil {
		return err
	}
	if _, err := s.x.w.Write(frame); err != nil {
		return err
	}
	return s.control.Flush()
}
