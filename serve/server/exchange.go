package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"
)

// exchange is one request and what is said back.
type exchange struct {
	server *Server
	w      http.ResponseWriter
	r      *http.Request
	id     string
	begun  time.Time

	status int         // that was written; 0 before
	cut    bool        // the connection ends without the rest of the answer, or without one
	facts  []slog.Attr // for the log line

	asked, taken bool // the body: it was begun to be read, and read to its end or as far as it comes
	surplus      bool // the answer has come before the rest of the body
}

// endpoint answers an exchange. Its error is written where nothing has been written yet.
type endpoint func(x *exchange) error

// serve runs an endpoint with all that every exchange has: an id, a log line, errors in OpenAI's
// shape. An answer that is not whole ends with its connection: else a client that reads on, having
// ended its own side alone, would take what it got for all of it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, next endpoint) {
	x := &exchange{server: s, w: w, r: r, id: requestID(r), begun: time.Now()}
	w.Header().Set("X-Request-Id", x.id)
	defer func() {
		if r := recover(); r != nil {
			if r == http.ErrAbortHandler {
				panic(r)
			}
			s.options.Log.Error("an endpoint died", "id", x.id, "path", x.r.URL.Path, "cause", r, "stack", string(debug.Stack()))
			x.fail(fault(http.StatusInternalServerError, serverError, "internal_error", "the server failed on this request; its log says why under the id %s", x.id))
		}
		x.log()
		if x.cut {
			panic(http.ErrAbortHandler)
		}
		x.dropSurplus()
	}()
	if err := next(x); err != nil {
		x.fail(err)
	}
}

// requestID is the id that a client gave its request, or a new one where it gave none that a log
// can show.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	valid := id != "" && len(id) <= 128
	for _, c := range []byte(id) {
		valid = valid && c > ' ' && c < 0x7f
	}
	if valid {
		return id
	}
	return newID("req_")
}

func newID(kind string) string { return kind + rand.Text() }

// fail writes an error in the place of an answer. Of an answer that has begun nothing can be said
// but in its stream, which has its own way.
func (x *exchange) fail(err error) {
	// A body that breaks off ends the context too, and has an answer.
	if x.status == 0 && x.r.Context().Err() != nil && !errors.As(err, new(*problem)) {
		x.status, x.cut = clientGone, true
		return
	}
	p := problemOf(err)
	x.note("error", p.Message)
	if x.status != 0 {
		x.cut = true
		return
	}
	if p.retryAfter > 0 {
		x.w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	_ = x.write(p.status, map[string]any{"error": p}) // nobody is left to tell
}

// clientGone is the status in the log of a request whose client did not wait for the answer: no
// status is sent. One that has ended its side of the connection cannot be told from one that left.
const clientGone = 499

// write writes a JSON body.
func (x *exchange) write(status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("the answer: %w", err)
	}
	x.w.Header().Set("Content-Type", "application/json")
	x.w.Header().Set("Content-Length", strconv.Itoa(len(data)+1))
	if err := x.head(status); err != nil {
		return err
	}
	_, err = x.w.Write(append(data, '\n'))
	return err
}

// text writes a body of plain text.
func (x *exchange) text(status int, body string) error {
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := x.head(status); err != nil {
		return err
	}
	_, err := io.WriteString(x.w, body)
	return err
}

// head begins the answer, which the client has to take in the time that it is given.
func (x *exchange) head(status int) error {
	if err := x.hurry(); err != nil {
		return err
	}
	x.status = status
	x.letWrite()
	x.w.WriteHeader(status)
	return nil
}

// letWrite has an answer sent though the body was not read. net/http would read a quarter of a MiB
// of it first, and then reset the connection of a client that writes on, which many clients tell as
// a broken pipe, without having read the answer. One that asks before it sends a body gets none of
// its bytes read.
func (x *exchange) letWrite() {
	if x.taken || x.r.ContentLength == 0 || !x.asked && x.r.Header.Get("Expect") != "" {
		return
	}
	if size := x.r.ContentLength; size > 0 && size <= 128<<10 {
		return // which net/http reads
	}
	if http.NewResponseController(x.w).EnableFullDuplex() == nil {
		x.surplus = true
		x.w.Header().Set("Connection", "close")
	}
}

// dropSurplus reads what comes of a body behind the answer, within limits.
func (x *exchange) dropSurplus() {
	if !x.surplus {
		return
	}
	limits, control := x.server.options.Limits, http.NewResponseController(x.w)
	if err := errors.Join(control.Flush(), control.SetReadDeadline(time.Now().Add(limits.Linger))); err != nil {
		return // the client has gone
	}
	_, _ = io.CopyN(io.Discard, x.r.Body, int64(limits.Surplus)) // it is the client's if it breaks off
}

// hurry gives the client its time to take what is written next.
func (x *exchange) hurry() error {
	return http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(x.server.options.Limits.Departure))
}

// note adds a fact to the log line.
func (x *exchange) note(key string, value any) { x.facts = append(x.facts, slog.Any(key, value)) }

func (x *exchange) log() {
	level := slog.LevelInfo
	if x.status >= http.StatusInternalServerError && x.status != http.StatusServiceUnavailable {
		level = slog.LevelError
	}
	attrs := append([]slog.Attr{
		slog.String("id", x.id), slog.String("method", x.r.Method), slog.String("path", x.r.URL.Path),
		slog.Int("status", x.status), slog.Float64("took_s", time.Since(x.begun).Round(time.Microsecond).Seconds()),
	}, x.facts...)
	x.server.options.Log.LogAttrs(context.WithoutCancel(x.r.Context()), level, "request", attrs...)
}
