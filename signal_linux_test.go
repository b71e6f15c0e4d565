package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSignals: SIGTERM at a random moment ends every verb that runs long or waits, and the
// workbench, with exit 130, one that waits within a second; the same command then ends as if
// nothing had been.
func TestSignals(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program and runs it for half a minute")
	}
	p := buildProgram(t)
	in := func(name string) string { return filepath.Join(p.dir, name) }
	p.complete(t, "export", "pretrained:recsys-fm", in("fm"))
	p.complete(t, "import", "random:stories15m", in("model"), "--tokenizer", in("fm"))
	writeFile(t, in("tiny.yaml"), tiny)
	writeFile(t, in("text.txt"), strings.Repeat("the member clicked the item and the other did not. ", 2000))
	writeFile(t, in("choice.jsonl"), strings.Repeat(`{"query":"Question: What comes?","choices":["an item","nothing","a member"],"gold":1}`+"\n", 25))
	writeFile(t, in("data.jsonl"), randomRecords(4000))
	for _, name := range []string{"pipe.yaml", "pipe.jsonl"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(in(name)), 0o755), unix.Mkfifo(in(name), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	calibration := []string{"--calibration", in("text.txt"), "--samples", "8", "--length", "128"}
	for _, c := range []struct {
		args   []string
		output string // that a command which ended before the signal has made
		again  bool   // the same command is run to its end
	}{
		{[]string{"run", in("tiny.yaml"), "--set", "steps=400", "--fresh"}, "", true},
		{[]string{"check", "own-data", "--set", "task.path=" + in("data.jsonl"), "--set", "tokenizer.vocab=4000"}, "", true},
		{[]string{"import", in("model"), in("import")}, in("import"), true},
		{[]string{"export", in("model"), in("export")}, in("export"), true},
		{append([]string{"prune", in("model"), in("prune"), "--mlp", "20%"}, calibration...), in("prune"), true},
		{append([]string{"quantize", in("model"), in("quantize"), "--scheme", "w4a16"}, calibration...), in("quantize"), true},
		{[]string{"distil", in("model"), in("distil"), "--data", in("text.txt"), "--steps", "2", "--length", "64", "--batch", "4", "--validation", "2"}, in("distil"), true},
		{[]string{"eval", in("model"), "--choice", in("choice.jsonl"), "--fresh"}, "", true},
		{[]string{"doctor", "--quick"}, "", false}, // nothing of a measurement is kept
		{[]string{"doctor", "--model", "stories15m", "--decode", "64", "--repeat", "9"}, "", false},
		{[]string{"tokenize", in("fm")}, "", false}, // waits for standard input
		// what no signal interrupts: opening a pipe to which nobody writes
		{[]string{"run", in("pipe.yaml")}, "", false},
		{[]string{"check", in("pipe.yaml")}, "", false},
		{[]string{"check", "own-data", "--set", "task.path=" + in("pipe.jsonl")}, "", false},
		{append([]string{"quantize", in("model"), in("quantized"), "--scheme", "w4a16"}, "--calibration", in("pipe.jsonl")), "", false},
		{[]string{"eval", in("model"), "--text", in("pipe.jsonl")}, "", false},
		// which nobody reads
		{[]string{"run", in("tiny.yaml"), "--export", "csv=" + in("pipe.jsonl")}, "", false},
	} {
		within := time.Second
		if c.again { // it computes, and its step ends first
			within = 3 * time.Second
		}
		took := p.interrupt(t, within, c.output, c.args...)
		t.Logf("%-9s exit 130 after %4d ms", c.args[0], took.Milliseconds())
		if c.again {
			p.complete(t, c.args...)
		}
	}
	for _, c := range []struct{ args, ready, keys, shown string }{
		{"", "Q quick run", "Q", "[2 Run]"}, // a run
		{"replay demo", "slimlab", "", "▶ replay"},
	} {
		terminal := newTerminal(t)
		cmd, stderr := p.command(terminal, strings.Fields(c.args)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		terminal.await(t, c.ready)
		terminal.press(c.keys)
		terminal.await(t, c.shown)
		time.Sleep(rand.N(300 * time.Millisecond))
		sent := time.Now()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		took := time.Since(sent)
		t.Logf("%-9s exit %d after %4d ms", "workbench", cmd.ProcessState.ExitCode(), took.Milliseconds())
		if cmd.ProcessState.ExitCode() != exitInterrupted || took > 2*time.Second {
			t.Errorf("slimlab %s: exit %d after %v, expected 130 within a second: %s", c.args, cmd.ProcessState.ExitCode(), took, stderr)
		}
		if !strings.Contains(terminal.text(), "\x1b[?1049l") {
			t.Errorf("slimlab %s: the terminal is not as it was", c.args)
		}
	}
	if runs := p.complete(t, "runs"); !strings.Contains(runs, "figure1") || !strings.Contains(runs, "stop") {
		t.Errorf("the run of the workbench is not stopped in the list of runs:\n%s", runs)
	}
}

// built is the program in a folder with a home of its own.
type built struct{ dir, name string }

func buildProgram(t *testing.T) built {
	t.Helper()
	dir := t.TempDir()
	p := built{dir, filepath.Join(dir, "slimlab")}
	if out, err := exec.Command("go", "build", "-o", p.name, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return p
}

func (p built) command(terminal *terminal, args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(p.name, args...)
	cmd.Env = append(os.Environ(), "SLIMLAB_HOME="+filepath.Join(p.dir, "home"), "TERM=xterm-256color")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if terminal != nil {
		cmd.Stdin, cmd.Stdout = terminal.program, terminal.program
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}
	return cmd, &stderr
}

// complete runs a command to its end and returns what it printed.
func (p built) complete(t *testing.T, args ...string) string {
	t.Helper()
	cmd, stderr := p.command(nil, args...)
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("slimlab %s: %v: %s", strings.Join(args, " "), err, stderr)
	}
	return string(out)
}

// interrupt sends SIGTERM at a random moment until it comes neither before the program listens nor
// after its end, and returns how long the program took to end. It may be too slow once: others use
// the machine too.
func (p built) interrupt(t *testing.T, within time.Duration, output string, args ...string) (took time.Duration) {
	t.Helper()
	delay, slow := 400*time.Millisecond, false
	for range 12 {
		cmd, stderr := p.command(nil, args...)
		stdin, err := cmd.StdinPipe() // which says nothing
		if err != nil {
			t.Fatal(err)
		}
		defer stdin.Close()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay/4 + rand.N(delay*3/4))
		sent := time.Now()
		signalled := cmd.Process.Signal(syscall.SIGTERM)
		err = cmd.Wait()
		took = time.Since(sent)
		var exit *exec.ExitError
		switch {
		case signalled != nil || err == nil: // it ended first
			delay /= 2
			if output != "" {
				os.RemoveAll(output)
			}
			continue
		case errors.As(err, &exit) && exit.ExitCode() == -1: // it did not listen yet
			delay *= 2
			continue
		case exit.ExitCode() != exitInterrupted:
			t.Errorf("slimlab %s: exit %d, expected 130: %s", strings.Join(args, " "), exit.ExitCode(), stderr)
		case took > within && !slow:
			slow = true
			continue
		case took > within:
			t.Errorf("slimlab %s: took %v to end, expected %v at most", strings.Join(args, " "), took, within)
		case strings.Count(stderr.String(), "slimlab: interrupted") != 1:
			t.Errorf("slimlab %s: said %q", strings.Join(args, " "), stderr)
		}
		return took
	}
	t.Errorf("slimlab %s: never ran long enough to be interrupted", strings.Join(args, " "))
	return took
}

// terminal is a pseudo-terminal. What the program writes is kept.
type terminal struct {
	outer, program *os.File
	written        bytes.Buffer
	more           chan []byte // closed when nothing more comes
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	outer, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	fd := int(outer.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100})
	}
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{outer: outer, program: program, more: make(chan []byte, 1<<16)}
	go func() {
		defer close(term.more)
		for {
			b := make([]byte, 4096)
			n, err := outer.Read(b)
			if err != nil { // the terminal is closed
				return
			}
			term.more <- b[:n]
		}
	}()
	t.Cleanup(func() { outer.Close() })
	return term
}

func (t *terminal) press(keys string) { fmt.Fprint(t.outer, keys) }

// await reads until the program has written a text.
func (t *terminal) await(test *testing.T, text string) {
	test.Helper()
	late := time.After(time.Minute)
	for !strings.Contains(t.written.String(), text) {
		select {
		case b := <-t.more:
			t.written.Write(b)
		case <-late:
			test.Fatalf("the workbench does not show %q: %q", text, t.written.String())
		}
	}
}

// text closes the terminal and returns all that was written to it.
func (t *terminal) text() string {
	t.program.Close()
	for b := range t.more {
		t.written.Write(b)
	}
	return t.written.String()
}

// randomRecords are prompts and responses of random words, so that a tokenizer of them takes a
// while.
func randomRecords(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	words := func(n int) string {
		var b strings.Builder
		for range n {
			for range 3 + r.IntN(6) {
				b.WriteByte(byte('a' + r.IntN(20)))
			}
			b.WriteByte(' ')
		}
		return b.String()
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	for range n {
		_ = e.Encode(map[string]string{"prompt": words(8), "response": words(4)})
	}
	return b.String()
}
