package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"slimlab/internal/jsonread"
)

// read reads the body of a request into v, which is a pointer to the endpoint's own type. What the
// shape of the body refuses is an error; keys that it does not have are listed in the answer's
// header.
func (x *exchange) read(v any, s *shape) error {
	data, err := x.body()
	if err != nil {
		return err
	}
	notes, err := jsonread.DecodeNoting(data, v)
	if err != nil {
		return unreadable("", err)
	}
	if len(notes) > 0 {
		return repeated(jsonread.Repeats(data)[0])
	}
	if path, escape, found := jsonread.Half(data); found {
		return refusePath(path, "found the escape %s alone, half of a surrogate pair, expected both halves: it is no character", escape)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if kind := kindOf(data); kind != '{' {
		return refusePath("", "found %s, expected an object", foundKinds[kind])
	}
	var unknown ignored
	if err := unknown.look("", data, s); err != nil {
		return err
	}
	if len(unknown.paths) > 0 {
		x.w.Header().Set("X-Ignored-Fields", unknown.header())
	}
	return nil
}

// body reads the body of a request, which has to be JSON by its content type: so a browser asks
// before it sends one for a page of another site.
func (x *exchange) body() ([]byte, error) {
	limits := x.server.options.Limits
	kind := x.r.Header.Get("Content-Type")
	media, parameters, err := mime.ParseMediaType(kind)
	if err != nil || media != "application/json" {
		return nil, fault(http.StatusUnsupportedMediaType, invalidRequest, "unsupported_media_type", "found the content type %q, expected application/json", kind)
	}
	if charset := parameters["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8") {
		return nil, fault(http.StatusUnsupportedMediaType, invalidRequest, "unsupported_media_type", "Content-Type: found the charset %q, expected utf-8", charset)
	}
	for _, encoding := range x.r.Header.Values("Content-Encoding") {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return nil, fault(http.StatusUnsupportedMediaType, invalidRequest, "unsupported_media_type", "Content-Encoding: found %q, expected a body without one", encoding)
		}
	}
	tooLarge := func(found string) error {
		return fault(http.StatusRequestEntityTooLarge, invalidRequest, "limit_exceeded", "the body: found %s, expected at most %d", found, limits.Body)
	}
	if x.r.ContentLength > int64(limits.Body) {
		x.w.Header().Set("Connection", "close") // nobody reads what comes
		return nil, tooLarge(fmt.Sprintf("%d bytes", x.r.ContentLength))
	}
	control := http.NewResponseController(x.w)
	if err := control.SetReadDeadline(time.Now().Add(limits.Arrival)); err != nil {
		return nil, err
	}
	x.asked = true
	data, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, int64(limits.Body)))
	var more *http.MaxBytesError
	x.taken = !errors.As(err, &more)
	switch {
	case !x.taken:
		return nil, tooLarge(fmt.Sprintf("more than %d bytes", limits.Body))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fault(http.StatusRequestTimeout, invalidRequest, "request_timeout", "the body: found %d bytes in %v, expected the whole body", len(data), limits.Arrival)
	case err != nil:
		return nil, fault(http.StatusBadRequest, invalidRequest, "broken_body", "the body: found %d bytes, then %v", len(data), err)
	}
	// From here on a read that fails is a client that has gone.
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if !utf8.Valid(data) {
		return nil, refuseBody("the body: byte %d is no UTF-8, expected JSON in UTF-8", invalidByte(data))
	}
	if deep := depth(data); deep > limits.Depth {
		return nil, fault(http.StatusBadRequest, invalidRequest, "limit_exceeded", "the body: found lists and objects %d deep, expected at most %d", deep, limits.Depth)
	}
	return data, nil
}

// invalidByte is the index of the first byte that is no UTF-8.
func invalidByte(data []byte) (at int) {
	for at < len(data) {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return at
}

// depth is how many lists and objects of a JSON text are within each other, at most.
func depth(data []byte) (deepest int) {
	open, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			open++
			deepest = max(deepest, open)
		case c == ']' || c == '}':
			open--
		}
	}
	return deepest
}
