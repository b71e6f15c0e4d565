package server

import (
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

// read reads the body of a request into v, which is a pointer to the endpoint's own type. Keys that
// the table refuses are an error; those that it does not have are listed in the answer's header.
func (x *exchange) read(v any, keys jsonread.Table) error {
	data, err := x.body()
	if err != nil {
		return err
	}
	if err := jsonread.Decode(data, v); err != nil {
		return unreadable("", err)
	}
	members := jsonread.Members(data)
	if members == nil {
		return refuseBody("the body: found no object, expected an object")
	}
	unknown, err := keys.Check(members)
	if err != nil {
		param, message, _ := strings.Cut(err.Error(), ": ")
		return refuse(param, "%s", message).coded("unsupported_parameter")
	}
	if len(unknown) > 0 {
		x.w.Header().Set("X-Ignored-Fields", fieldNames(unknown))
	}
	return nil
}

// fieldNames lists names for a header: those that a header can hold, and not without end.
func fieldNames(names []string) string {
	const most = 1024
	var b strings.Builder
	for i, name := range names {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		if b.Len()+len(name) > most {
			fmt.Fprintf(&b, "and %d more", len(names)-i)
			break
		}
		b.WriteString(strings.Map(func(r rune) rune {
			if r <= ' ' || r >= 0x7f || r == ',' {
				return '?'
			}
			return r
		}, name))
	}
	return b.String()
}

// body reads the body of a request, which has to be JSON by its content type: so a browser asks
// before it sends one for a page of another site.
func (x *exchange) body() ([]byte, error) {
	limits := x.server.options.Limits
	kind := x.r.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
		return nil, fault(http.StatusUnsupportedMediaType, invalidRequest, "unsupported_media_type", "found the content type %q, expected application/json", kind)
	}
	control := http.NewResponseController(x.w)
	if err := control.SetReadDeadline(time.Now().Add(limits.Arrival)); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, int64(limits.Body)))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		found := fmt.Sprintf("more than %d bytes", limits.Body)
		if x.r.ContentLength > 0 {
			found = fmt.Sprintf("%d bytes", x.r.ContentLength)
		}
		return nil, fault(http.StatusRequestEntityTooLarge, invalidRequest, "limit_exceeded", "the body: found %s, expected at most %d", found, limits.Body)
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
