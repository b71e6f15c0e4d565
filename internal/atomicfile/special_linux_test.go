package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDevicesAreWrittenInto: a device stays one, whoever writes it, and a full one is an error.
func TestDevicesAreWrittenInto(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/dev/full", link); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"/dev/null": nil, "/dev/full": syscall.ENOSPC, link: syscall.ENOSPC} {
		before, err := os.Stat(name)
		if err != nil {
			t.Skipf("no %s here", name)
		}
		if err := Check(name); err != nil {
			t.Errorf("check %s: %v", name, err)
		}
		if Replaced(name) {
			t.Errorf("%s is said to be replaced", name)
		}
		if err := write(name, "text"); !errors.Is(err, want) {
			t.Errorf("%s: %v, expected %v", name, err, want)
		}
		f, err := Create(name)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if after, err := os.Stat(name); err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() {
			t.Errorf("%s was %v and is %v, %v", name, before.Mode(), after, err)
		}
	}
	if entries, _ := os.ReadDir("/dev"); len(entries) > 0 {
		for _, e := range entries {
			if e.Type().IsRegular() && e.Name()[0] == '.' {
				t.Errorf("/dev/%s is left", e.Name())
			}
		}
	}
}

// TestPipe: its reader gets what is written, and Check is nothing that it sees.
func TestPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Skip(err)
	}
	read := make(chan string)
	go func() {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
		}
		text, err := io.ReadAll(f)
		if err != nil {
			t.Error(err)
		}
		f.Close()
		read <- string(text)
	}()
	if err := errors.Join(Check(name), write(name, "text")); err != nil {
		t.Fatal(err)
	}
	if text := <-read; text != "text" {
		t.Errorf("the reader got %q", text)
	}
	if info, err := os.Lstat(name); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		t.Errorf("the pipe is %v, %v", info.Mode(), err)
	}
}

// TestOpenFiles: /dev/stdout and its like are the files that the process has open, at the place at
// which they are, and no files to be replaced; so is what a shell makes of >(command).
func TestOpenFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "open")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stdout, err := unix.Dup(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup2(int(f.Fd()), 1); err != nil {
		t.Fatal(err)
	}
	restore := func() { _ = unix.Dup2(stdout, 1) }
	defer restore()
	said := ""
	if _, err := os.Stdout.WriteString("begin "); err != nil {
		t.Fatal(err)
	}
	number := strconv.Itoa(int(f.Fd()))
	for _, path := range []string{"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/fd/" + number} {
		if Replaced(path) {
			said = path + " is said to be replaced"
		}
		if err := errors.Join(Check(path), write(path, path+" ")); err != nil {
			said = err.Error()
		}
	}
	_, err = os.Stdout.WriteString("end")
	restore()
	if err != nil || said != "" {
		t.Error(said, err)
	}
	text, err := os.ReadFile(name)
	if want := "begin /dev/stdout /dev/fd/1 /proc/self/fd/1 /dev/fd/" + number + " end"; err != nil || string(text) != want {
		t.Errorf("found %q, %v; expected %q", text, err, want)
	}
	if err := Check("/dev/fd/999"); !errors.Is(err, syscall.EBADF) {
		t.Errorf("a file that is not open: %v", err)
	}
}
