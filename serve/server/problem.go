package server

import (
	"errors"
	"fmt"
	"net/http"

	"slimlab/internal/jsonread"
)

// problem is an error as OpenAI's clients read it.
type problem struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`

	status     int
	retryAfter int // seconds; 0 says nothing
}

func (p *problem) Error() string { return p.Message }

// Types of problems.
const (
	invalidRequest = "invalid_request_error"
	rateLimit      = "rate_limit_error"
	serverError    = "server_error"
)

// refuse is a problem of one field of a request.
func refuse(param, format string, args ...any) *problem {
	p := refuseBody(param+": "+format, args...)
	p.Param = &param
	return p
}

// refuseBody is a problem of a request as a whole.
func refuseBody(format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, Type: invalidRequest, Message: fmt.Sprintf(format, args...)}
}

// overLimit is the problem of a field that has more than a limit allows.
func overLimit(param, what string, found, limit int) *problem {
	return refuse(param, "found %d %s, expected at most %d", found, what, limit).coded("limit_exceeded")
}

// fault is a problem of the whole request, or of the server.
func fault(status int, kind, code, format string, args ...any) *problem {
	return (&problem{status: status, Type: kind, Message: fmt.Sprintf(format, args...)}).coded(code)
}

func (p *problem) coded(code string) *problem {
	p.Code = &code
	return p
}

// problemOf is the problem that an error is. One that names no cause of its own is the server's.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	return fault(http.StatusInternalServerError, serverError, "internal_error", "%v", err)
}

// unreadable is the problem of a body that is no JSON or has a value of another type. path names
// the part of the body that was read.
func unreadable(path string, err error) *problem {
	if path != "" {
		err = jsonread.At(path, err)
	}
	var twice *jsonread.RepeatError
	if errors.As(err, &twice) {
		return repeated(twice.Repeat)
	}
	p := refuseBody("%v", err)
	if path == "" {
		p = refuseBody("the body: %v", err)
	}
	var kind *jsonread.TypeError
	if errors.As(err, &kind) && kind.Path != "" {
		p = refuseBody("%v", err)
		p.Param = &kind.Path
	}
	return p
}

// repeated is the problem of a key that stands twice, though with equal values.
func repeated(r jsonread.Repeat) *problem {
	return refuse(r.Path, "it stands twice, with the values %s and %s, expected it once: remove one of them", jsonread.Clip(r.Values[0]), jsonread.Clip(r.Values[1]))
}

// refusePath is a problem of what is at a path, "" for the body.
func refusePath(path, format string, args ...any) *problem {
	if path == "" {
		return refuseBody("the body: "+format, args...)
	}
	return refuse(path, format, args...)
}
