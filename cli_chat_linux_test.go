package main

import (
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"slimlab/tui/text"
)

// TestChatOnATerminal: Ctrl-C at the prompt says how to leave and leaves the second time, unless a
// line came between; it stops an answer and no more; Ctrl-D leaves with 0, and SIGTERM at once. No
// line of an answer is wider than the terminal, which gets no styles.
func TestChatOnATerminal(t *testing.T) {
	p, model := buildProgram(t), talker(t)
	begin := func(args ...string) (*terminal, *exec.Cmd) {
		terminal := newTerminal(t)
		cmd, _ := p.command(terminal, append([]string{"chat", model, "--temperature", "0"}, args...)...)
		cmd.Stderr = terminal.program
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		terminal.await(t, "Ctrl-C stops an answer\r\n> ")
		terminal.written.Reset()
		return terminal, cmd
	}
	end := func(cmd *exec.Cmd, want int) {
		t.Helper()
		code, exit := 0, (*exec.ExitError)(nil)
		if err := cmd.Wait(); errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != want {
			t.Errorf("the code is %d, expected %d", code, want)
		}
	}
	const again = "Ctrl-C again or Ctrl-D ends\r\n> "
	terminal, cmd := begin("--max-tokens", "60")
	terminal.press("half a line\x03")
	terminal.await(t, again)
	terminal.written.Reset()
	terminal.press("likes item\n")
	terminal.await(t, "cached\r\n> ")
	answer := terminal.written.String()
	if lines := strings.Count(answer, "\r\n"); lines < 4 { // the question, two at least, what they took
		t.Errorf("the answer has %d lines: %q", lines, answer)
	}
	for line := range strings.SplitSeq(answer, "\r\n") {
		if text.Width(line) > 100 {
			t.Errorf("the line %q is wider than the terminal", line)
		}
	}
	if strings.Contains(answer, "\x1b") {
		t.Errorf("the answer has styles: %q", answer)
	}
	terminal.written.Reset()
	terminal.press("\x03")
	terminal.await(t, again)
	terminal.press("\x03")
	end(cmd, exitInterrupted)

	terminal, cmd = begin()
	terminal.press("\x03")
	terminal.await(t, again)
	terminal.press("\x04")
	end(cmd, 0)

	_, cmd = begin()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	end(cmd, exitInterrupted)
}
