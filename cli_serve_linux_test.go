package main

import (
	"bufio"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// served is a server in a process of its own.
type served struct {
	cmd *exec.Cmd
	url string
	log *bufio.Reader
}

func startServer(t *testing.T, p built, args ...string) *served {
	t.Helper()
	cmd, _ := p.command(nil, append([]string{"serve", "pretrained:recsys-student", "--port", "0"}, args...)...)
	cmd.Stderr = nil
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	s := &served{cmd: cmd, log: bufio.NewReader(stderr)}
	s.url = regexp.MustCompile(`http://[^/]+`).FindString(s.until(t, "serving"))
	return s
}

// until reads the log up to a line with a word.
func (s *served) until(t *testing.T, word string) string {
	t.Helper()
	for {
		line, err := s.log.ReadString('\n')
		if strings.Contains(line, word) {
			return line
		}
		if err != nil {
			t.Fatalf("the log has no line with %q: %v", word, err)
		}
	}
}

func (s *served) signal(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// stuck is a request that is in flight as long as its body is not sent.
func (s *served) stuck(t *testing.T) (body *io.PipeWriter, answer <-chan int) {
	t.Helper()
	in, out := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/completions", in)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	status := make(chan int, 1)
	go func() {
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			status <- 0
			return
		}
		got.Body.Close()
		status <- got.StatusCode
	}()
	if _, err := io.WriteString(out, `{"prompt":"member",`); err != nil {
		t.Fatal(err)
	}
	for { // until the server has it
		got, err := http.Get(s.url + "/server_info")
		if err != nil {
			t.Fatal(err)
		}
		info, err := io.ReadAll(got.Body)
		got.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(info), `"requests_in_flight":1`) {
			return out, status
		}
	}
}

// The first signal lets requests in flight finish, and the exit code is 0; the second one ends the
// process at once with 130.
func TestServeEndsOnSignals(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program")
	}
	p := buildProgram(t)
	s := startServer(t, p)
	body, answer := s.stuck(t)
	s.signal(t)
	s.until(t, "draining")
	if got, err := http.Get(s.url + "/ready"); err != nil || got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/ready after the signal: %v, %v", got, err)
	} else {
		got.Body.Close()
	}
	if _, err := io.WriteString(body, `"max_tokens":3}`); err != nil {
		t.Error(err)
	}
	body.Close()
	if status := <-answer; status != http.StatusOK {
		t.Errorf("the request in flight has status %d", status)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("after a signal: %v, want exit code 0", err)
	}

	s = startServer(t, p)
	body, answer = s.stuck(t)
	s.signal(t)
	s.until(t, "another signal ends at once")
	s.signal(t)
	s.until(t, "interrupted")
	if s.cmd.Wait(); s.cmd.ProcessState.ExitCode() != exitInterrupted {
		t.Errorf("after two signals: exit code %d, want %d", s.cmd.ProcessState.ExitCode(), exitInterrupted)
	}
	body.Close() // for which the client waits
	if status := <-answer; status == http.StatusOK {
		t.Error("the dropped request was answered")
	}
}
