package main

import (
	"bytes"
	"encoding/binary"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// TestSilentTerminal: on a terminal that answers no question none is asked, and every verb that
// computes nothing ends at once. The fastest of a few tries counts: others use the machine too.
func TestSilentTerminal(t *testing.T) {
	p := buildProgram(t)
	for _, args := range []string{"--version", "--help", "runs", "scenarios", "schema", "reference metrics", "run --help", "run absent", "show last", "check smoke"} {
		best := time.Hour
		for range 5 {
			terminal := newTerminal(t)
			cmd, _ := p.command(terminal, strings.Fields(args)...)
			cmd.Stderr = terminal.program
			began := time.Now()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			best = min(best, time.Since(began))
			if text := terminal.text(); strings.Contains(text, "\x1b") {
				t.Fatalf("slimlab %s asks or styles: %q", args, text)
			}
			if best < 200*time.Millisecond {
				break
			}
		}
		if best >= 200*time.Millisecond && args != "check smoke" { // which may train a tokenizer
			t.Errorf("slimlab %s: %v on a terminal that does not answer, expected 0.2 s at most", args, best)
		}
	}
}

// TestSuspend: Ctrl+Z gives the terminal back to the shell, fg draws the workbench again; where no
// shell could continue it, it goes on and says so.
func TestSuspend(t *testing.T) {
	p := buildProgram(t)
	t.Run("shell", func(t *testing.T) {
		terminal := newTerminal(t)
		cmd, _ := p.command(terminal)
		cmd.Path, cmd.Args, cmd.Stderr = "/bin/sh", []string{"sh", "-i"}, terminal.program
		cmd.Env = append(cmd.Env, "ENV=", "PS1=ready> ")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		const enter, leave = "\x1b[?1049h", "\x1b[?1049l"
		terminal.await(t, "ready> ")
		terminal.press(p.name + "\n")
		terminal.await(t, "Q quick run")
		if text := terminal.written.String(); strings.Contains(text, "\x1b]11") || strings.Contains(text, "\x1b[6n") {
			t.Errorf("the workbench asks the terminal: %q", text)
		}
		terminal.press("\x1a")
		terminal.await(t, leave)
		terminal.await(t, "ready> ")
		terminal.press("echo between\n")
		terminal.await(t, "between\r\n")
		terminal.written.Reset()
		terminal.press("fg\n")
		terminal.await(t, enter)
		terminal.await(t, "Q quick run")
		terminal.written.Reset()
		terminal.press("q")
		terminal.await(t, leave)
		terminal.press("exit\n")
		_ = cmd.Wait()
	})
	t.Run("no shell", func(t *testing.T) {
		terminal := newTerminal(t)
		cmd, stderr := p.command(terminal)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		terminal.await(t, "Q quick run")
		terminal.press("\x1a")
		terminal.await(t, "no shell here")
		terminal.press("q")
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, stderr)
		}
	})
	t.Run("headless", func(t *testing.T) {
		cmd, _ := p.command(nil, "tokenize", "pretrained:recsys-fm")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Process.Signal(syscall.SIGTSTP)
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
			t.Errorf("Ctrl+Z does not stop a verb: %v %v", status, err)
		}
		_ = cmd.Process.Signal(syscall.SIGCONT)
		in.Close()
		if err := cmd.Wait(); err != nil || strings.TrimSpace(out.String()) == "" {
			t.Errorf("after it went on: %v, %q", err, out.String())
		}
	})
}

// hostile would change colours, set the title, move the cursor and turn the direction of writing.
const hostile = "\x1b[31m\x1b]0;gone\a\u009b2J\u202e"

// TestNothingActsOnTheTerminal: whatever names, files and data hold, a verb writes to a terminal
// only characters that it shows.
func TestNothingActsOnTheTerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs the program thirty times")
	}
	p := buildProgram(t)
	in := func(name string) string { return filepath.Join(p.dir, name) }
	yaml := strings.Replace(tiny, "about: for", `about: "\e[31m\e]0;gone\a\x9b2J\u202e`+`for`, 1)
	yaml = strings.Replace(yaml, "tests of the command line\n", "tests of the command line\"\n", 1)
	writeFile(t, in("tiny.yaml"), yaml)
	writeFile(t, in("bad.yaml"), strings.Replace(yaml, "auc_soft,", `"\e[2Jauc\u202e",`, 1))
	writeFile(t, in(hostile+".yaml"), yaml)
	writeFile(t, in(hostile+".txt"), strings.Repeat("the member clicked "+hostile, 100))
	p.complete(t, "export", "pretrained:recsys-fm", in(hostile+"-fm"))
	writeFile(t, in(hostile+".gguf"), gguf("general.architecture", hostile, hostile, hostile))
	ids := strings.TrimSpace(p.completeOn(t, hostile, "tokenize", "pretrained:recsys-fm", "--no-special"))
	p.complete(t, "run", in("tiny.yaml"))
	fm := in(hostile + "-fm")
	for _, c := range []struct {
		stdin string
		args  []string
	}{
		{"", []string{"run", in(hostile + ".yaml")}},
		{"", []string{"run", in("bad.yaml")}},
		{"", []string{"run", in("tiny.yaml"), "--export", "csv=-"}},
		{"", []string{"run", in("tiny.yaml"), "--export", "md=-", "--export", "junit=-"}},
		{"", []string{"run", in("tiny.yaml"), "--events", "-"}},
		{"", []string{"run", in("tiny.yaml"), "--set", hostile + "=1"}},
		{"", []string{"run", in("tiny.yaml"), "--export", hostile}},
		{"", []string{"check", in(hostile + ".yaml")}},
		{"", []string{"runs"}},
		{"", []string{"show", "last"}},
		{"", []string{"show", "last", "--format", "json"}},
		{"", []string{"show", hostile}},
		{"", []string{"compare", "last", "last"}},
		{"", []string{"inspect", fm}},
		{"", []string{"inspect", in(hostile + ".gguf")}},
		{"", []string{"inspect", in(hostile + ".gguf"), "--format", "json"}},
		{"", []string{"inspect", in(hostile + "absent")}},
		{hostile, []string{"tokenize", fm, "--pieces"}},
		{ids, []string{"tokenize", fm, "--decode"}},
		{"", []string{"eval", fm, "--text", in(hostile + ".txt"), "--generate", hostile, "--tokens", "4", "--window", "32"}},
		{"", []string{"eval", fm, "--generate", hostile, "--tokens", "4", "--format", "json"}},
		{"", []string{"import", fm, in(hostile + "-import")}},
		{"", []string{"distil", fm, in("out"), "--data", in(hostile)}},
		{"", []string{hostile}},
		{"", []string{"--" + hostile}},
		{"", []string{"scenarios", hostile}},
	} {
		terminal := newTerminal(t)
		cmd, _ := p.command(terminal, c.args...)
		cmd.Stdin, cmd.Stderr, cmd.SysProcAttr = strings.NewReader(c.stdin), terminal.program, nil
		if err := cmd.Run(); err != nil {
			if _, exited := err.(*exec.ExitError); !exited {
				t.Fatal(err)
			}
		}
		text := terminal.text()
		if text == "" {
			t.Errorf("slimlab %q writes nothing", c.args)
		}
		if at := strings.IndexFunc(text, actsOnTerminal); at >= 0 {
			t.Errorf("slimlab %q writes %q", c.args, text[max(0, at-60):min(len(text), at+60)])
		}
	}
	// a file or a pipe gets every byte
	if got := p.completeOn(t, ids, "tokenize", fm, "--decode"); got != hostile {
		t.Errorf("a pipe gets %q, expected the bytes %q", got, hostile)
	}
}

// actsOnTerminal leaves out the line ends of a terminal and the carriage return of progress.
func actsOnTerminal(r rune) bool {
	return r != '\n' && r != '\r' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError)
}

// completeOn runs a command on standard input and returns what it printed.
func (p built) completeOn(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd, stderr := p.command(nil, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("slimlab %q: %v: %s", args, err, stderr)
	}
	return string(out)
}

// gguf is a file of metadata alone: keys and texts in turn.
func gguf(metadata ...string) string {
	text := func(b []byte, s string) []byte {
		return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
	}
	b := binary.LittleEndian.AppendUint32([]byte("GGUF"), 3)
	b = binary.LittleEndian.AppendUint64(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(metadata)/2))
	for i := 0; i < len(metadata); i += 2 {
		b = binary.LittleEndian.AppendUint32(text(b, metadata[i]), 8) // the type of a text
		b = text(b, metadata[i+1])
	}
	return string(b)
}
