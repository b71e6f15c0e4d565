package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFilesOfARun: what a run exports goes where the name leads: a regular file is replaced and
// keeps its mode, links stay links, a device stays a device, and a pipe's reader gets one document.
// What cannot be written is said before the run begins, and nothing is left of it.
func TestFilesOfARun(t *testing.T) {
	file := newHome(t)
	t.Chdir(t.TempDir())
	for _, err := range []error{
		os.WriteFile("regular", []byte("before"), 0o640), os.Chmod("regular", 0o640), os.Mkdir("folder", 0o755), unix.Mkfifo("pipe", 0o644),
		os.Symlink("regular", "link"), os.Symlink("absent", "dangling"), os.Symlink("pipe", "to-pipe"), os.Symlink("/dev/full", "to-full"), os.Symlink("folder", "to-folder"),
	} {
		if err != nil {
			t.Skip(err)
		}
	}
	piped := make(chan string)
	go func() { // both documents: of the pipe, and of the link to it
		for range 2 {
			f, err := os.Open("pipe")
			if err != nil {
				t.Error(err)
			}
			text, _ := io.ReadAll(f)
			f.Close()
			piped <- string(text)
		}
	}()
	const head = "row,state,"
	for _, c := range []struct {
		name string
		code int
		want string // in standard error
		file string // that then holds the document; "" is none
		mode os.FileMode
	}{
		{"new", exitHeld, "", "new", 0},
		{"regular", exitHeld, "", "regular", 0o640},
		{"link", exitHeld, "", "regular", 0o640},
		{"dangling", exitHeld, "", "absent", 0},
		{"pipe", exitHeld, "", "", os.ModeNamedPipe},
		{"to-pipe", exitHeld, "", "", os.ModeNamedPipe},
		{"/dev/null", exitHeld, "", "", os.ModeDevice},
		{"/dev/full", exitBroke, "no space left on device", "", os.ModeDevice},
		{"to-full", exitBroke, "no space left on device", "", os.ModeDevice},
		{"folder", exitUsage, "--export csv=folder: folder: is a folder", "", os.ModeDir},
		{"to-folder", exitUsage, "is a folder", "", os.ModeDir},
		{"folder/", exitUsage, "ends as the name of a folder does", "", os.ModeDir},
		{"missing/x", exitUsage, "its folder is absent", "", 0},
		{"regular/x", exitUsage, "its path leads through a file", "", 0},
	} {
		_, errs, code := slimlab(t, "run", file, "--export", "csv="+c.name)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d, expected %d with %q: %s", c.name, code, c.code, c.want, errs)
		}
		begun := strings.Contains(errs, "measured")
		if begun != (c.code != exitUsage) {
			t.Errorf("%s: the run was begun: %t", c.name, begun)
		}
		if c.file != "" && !strings.HasPrefix(read(t, c.file), head) {
			t.Errorf("%s: %s holds %q", c.name, c.file, read(t, c.file))
		}
		if info, err := os.Stat(c.name); err == nil && c.mode != 0 && info.Mode()&(os.ModeType|os.ModePerm)&c.mode == 0 {
			t.Errorf("%s is %v now", c.name, info.Mode())
		}
		if strings.HasSuffix(c.name, "pipe") {
			if text := <-piped; strings.Count(text, head) != 1 {
				t.Errorf("%s: the reader got %q", c.name, text)
			}
		}
	}
	for _, name := range []string{"regular", "pipe", "link", "dangling", "to-pipe", "to-full"} {
		if info, err := os.Lstat(name); err != nil || (info.Mode()&os.ModeSymlink != 0) == (name == "regular" || name == "pipe") {
			t.Errorf("%s is %v, %v", name, info.Mode(), err)
		}
	}
	if left, _ := filepath.Glob(".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// events, and a file that was there before a refused run
	if _, errs, code := slimlab(t, "run", file, "--events", "/dev/full"); code != exitBroke || !strings.Contains(errs, "no space left") {
		t.Errorf("events: exit %d: %s", code, errs)
	}
	for _, name := range []string{"folder", "missing/x", "regular/x"} {
		if _, errs, code := slimlab(t, "run", file, "--events", name); code != exitUsage {
			t.Errorf("events %s: exit %d: %s", name, code, errs)
		}
	}
}

// TestStdoutByItsName: /dev/stdout is standard output, as - is.
func TestStdoutByItsName(t *testing.T) {
	file := newHome(t)
	want, _, _ := slimlab(t, "run", file, "--export", "csv=-")
	for _, name := range []string{"/dev/stdout", "/dev/fd/1"} {
		if got, errs, code := slimlab(t, "run", file, "--export", "csv="+name); code != exitHeld || got != want {
			t.Errorf("%s: exit %d: %s\n%s\nexpected\n%s", name, code, errs, got, want)
		}
	}
}
