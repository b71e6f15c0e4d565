package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// dial sends bytes on a connection of their own.
func (x *fixture) dial(t *testing.T, text string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", x.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// said is what the server says on a connection until it ends it.
func said(t *testing.T, conn net.Conn) string {
	t.Helper()
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func rawPost(path, body string, length int) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, length, body)
}

// A client that ends its side of the connection before its answer has come counts as gone, and
// gets nothing that it could take for an answer: no status, and in a stream no end.
func TestAHalfClosedConnectionHasNoAnswer(t *testing.T) {
	for _, test := range []struct {
		path, body string
		steps      int // before the client ends its side
	}{
		{"/v1/completions", `{"prompt":"endless<a>","max_tokens":400}`, 3},
		{"/v1/chat/completions", `{"messages":[{"role":"user","content":"endless"}],"stream":true}`, 9},
		{"/v1/responses", `{"input":"endless","stream":true}`, 9},
	} {
		t.Run(fmt.Sprint(test.path, test.steps), func(t *testing.T) {
			turn, gone := make(chan struct{}), make(chan struct{})
			x := start(t, nil, Options{}, func(f *fake, _ *Model) {
				f.before = func() {
					select {
					case turn <- struct{}{}:
					case <-gone:
					}
				}
			})
			x.http.Close()
			x.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				go func() {
					<-r.Context().Done()
					close(gone)
				}()
				x.server.Handler().ServeHTTP(w, r)
			}))
			conn := x.dial(t, rawPost(test.path, test.body, len(test.body)))
			for range test.steps {
				<-turn
			}
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			got := said(t, conn)
			if whole := !strings.Contains(test.body, "stream"); whole && got != "" || strings.HasSuffix(got, "\r\n0\r\n\r\n") {
				t.Errorf("found %q, expected nothing that ends", got)
			}
			x.http.Close()
			x.idle(t)
			if log := x.log.String(); !strings.Contains(log, "msg=request") || got == "" && !strings.Contains(log, "status=499") {
				t.Errorf("the log is %s", log)
			}
		})
	}
}

// A body that breaks off, is broken or does not come is an error in OpenAI's shape.
func TestABodyThatDoesNotComeIsAnError(t *testing.T) {
	for name, test := range map[string]struct {
		text, want, code string
		end              bool
	}{
		"half closed": {rawPost("/v1/completions", `{"prompt":"a`, 500), "HTTP/1.1 400 ", "broken_body", true},
		"slow":        {rawPost("/v1/completions", `{"prompt":"a`, 500), "HTTP/1.1 408 ", "request_timeout", false},
		"chunks":      {"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 ", "broken_body", false},
	} {
		t.Run(name, func(t *testing.T) {
			x := start(t, nil, Options{Limits: Limits{Arrival: 50 * time.Millisecond}})
			conn := x.dial(t, test.text)
			if test.end {
				if err := conn.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			got := said(t, conn)
			_, body, _ := strings.Cut(got, "\r\n\r\n")
			if !strings.HasPrefix(got, test.want) || !strings.Contains(body, `"code":"`+test.code+`"`) {
				t.Fatalf("found %q, expected %s with code %s", got, test.want, test.code)
			}
			conform(t, "ErrorResponse", body)
		})
	}
}

// TestDeclaredLength: a body that says that it is too large is refused before any of it comes, and
// is not asked for.
func TestDeclaredLength(t *testing.T) {
	x := start(t, script, Options{Limits: Limits{Body: 4000, Linger: 50 * time.Millisecond}})
	for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
		conn := x.dial(t, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+expect+"Content-Length: 1000000000000\r\n\r\n")
		if answer := said(t, conn); !strings.HasPrefix(answer, "HTTP/1.1 413 ") || !strings.Contains(answer, "found 1000000000000 bytes, expected at most 4000") || strings.Contains(answer, "100 Continue") {
			t.Errorf("with %q: %s", expect, answer)
		}
	}
}

// TestWritersReadTheirAnswer: a client that sends the whole of a body before it reads comes to the
// answer that refuses it, whatever is refused and however the body is sent, and one that goes on
// for ever is left.
func TestWritersReadTheirAnswer(t *testing.T) {
	x := start(t, script, Options{Keys: []string{"key"}, Limits: Limits{Body: 1 << 20, Surplus: 80 << 20, Linger: 20 * time.Second}})
	const size = 64 << 20
	piece := []byte(strings.Repeat("a", 1<<20))
	for _, c := range []struct{ path, key, kind, want string }{
		{"/v1/completions", "key", "application/json", "413 "},
		{"/v1/completions", "no", "application/json", "401 "},
		{"/v1/completions", "key", "text/plain", "415 "},
		{"/v1/nowhere", "key", "application/json", "404 "},
		{"/debug/engine", "key", "application/json", "405 "},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprint(c.want, chunked), func(t *testing.T) {
				length := fmt.Sprintf("Content-Length: %d", size)
				if chunked {
					length = "Transfer-Encoding: chunked"
				}
				conn := x.dial(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n", c.path, c.kind, c.key, length))
				for range size / len(piece) {
					whole := piece
					if chunked {
						whole = fmt.Appendf(nil, "%x\r\n%s\r\n", len(piece), piece)
					}
					if _, err := conn.Write(whole); err != nil {
						t.Fatalf("the server does not read: %v", err)
					}
				}
				if chunked {
					_, _ = io.WriteString(conn, "0\r\n\r\n")
				}
				answer := said(t, conn)
				head, body, _ := strings.Cut(answer, "\r\n\r\n")
				if !strings.HasPrefix(answer, "HTTP/1.1 "+c.want) || !strings.Contains(head, "Connection: close") || strings.Contains(answer, "HTTP/1.1 400") {
					t.Errorf("found %q, expected %s and an end", answer, c.want)
				}
				conform(t, "ErrorResponse", body)
			})
		}
	}
	endless := x.dial(t, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer key\r\nContent-Length: 1000000000000\r\n\r\n")
	for sent := 0; ; sent += len(piece) {
		if _, err := endless.Write(piece); err != nil {
			break
		}
		if sent > 1<<30 {
			t.Fatal("the server reads a body without end")
		}
	}
	x.idle(t)
}
