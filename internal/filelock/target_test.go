package filelock

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// hold names, in the environment of this test's program, a target to hold until its input ends.
const hold = "FILELOCK_TEST_TARGET"

func TestMain(m *testing.M) {
	name := os.Getenv(hold)
	if name == "" {
		os.Exit(m.Run())
	}
	target, err := AcquireFolder(name)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends this process
	runtime.KeepAlive(target)            // its file is not closed before
	os.Exit(0)                           // without a release
}

// otherProcess is one that holds a target.
func otherProcess(t *testing.T, target string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), hold+"="+target)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	return cmd
}

func take(t *testing.T, name string) *Target {
	t.Helper()
	target, err := AcquireFolder(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Release)
	return target
}

// entries lists a folder.
func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		names = append(names, e.Name())
	}
	return names
}

// A target that a process holds is refused with its name and the process, under every spelling;
// others beside it are not. When the process is killed, the target is free.
func TestTargetOfAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, err := range []error{os.Mkdir("real", 0o755), os.Symlink("real", "link"), os.Symlink(filepath.Join("real", "absent"), "dangling")} {
		if err != nil {
			t.Skipf("no symbolic links: %v", err)
		}
	}
	absent := filepath.Join("real", "absent")
	for target, spellings := range map[string][]string{
		"real": {"real", "real" + string(filepath.Separator), "./real", "link", filepath.Join(dir, "link"), "link/../real"},
		absent: {absent, filepath.Join("link", "absent"), "dangling"},
	} {
		other := otherProcess(t, filepath.Join(dir, target))
		for _, name := range spellings {
			_, err := AcquireFolder(name)
			var locked *LockedError
			if !errors.As(err, &locked) || !errors.Is(err, ErrLocked) || locked.Process != other.Process.Pid ||
				!strings.HasPrefix(err.Error(), name+": another slimlab process (pid ") {
				t.Errorf("%s while another process (pid %d) holds %s: %v", name, other.Process.Pid, target, err)
			}
		}
		take(t, "beside").Release()
		take(t, target+".partial").Release()
		_ = other.Process.Kill()
		_ = other.Wait()
		take(t, target).Release()
	}
	if left := entries(t, dir); len(left) != 3 {
		t.Errorf("found %v, expected a folder and two links", left)
	}
}

// TestTargetPath: a link is followed from the folder that it lies in, wherever the program runs and
// whether the end is there or not; a circle of links ends.
func TestTargetPath(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"a", "b", "elsewhere"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{
		"a/relative": "../b/absent", "a/beside": "absent", "a/absolute": filepath.Join(dir, "b", "absent"), "a/folder": "../b",
		"a/twice": "relative", "a/circle": "other-circle", "a/other-circle": "circle",
	} {
		if err := os.Symlink(filepath.FromSlash(to), filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			t.Skipf("no symbolic links: %v", err)
		}
	}
	for _, from := range []string{dir, filepath.Join(dir, "elsewhere"), filepath.Join(dir, "a")} {
		t.Chdir(from)
		for name, want := range map[string]string{
			"a/relative": "b/absent", "a/beside": "a/absent", "a/absolute": "b/absent", "a/folder": "b", "a/folder/x/y": "b/x/y",
			"a/twice": "b/absent", "a/absent": "a/absent", "a": "a",
		} {
			for _, spelling := range []string{filepath.Join(dir, filepath.FromSlash(name)), relativeTo(t, from, filepath.Join(dir, filepath.FromSlash(name)))} {
				if got, err := TargetPath(spelling); err != nil || got != filepath.Join(dir, filepath.FromSlash(want)) {
					t.Errorf("in %s, %s is %s, %v, expected %s", from, spelling, got, err, want)
				}
			}
		}
		if got, err := TargetPath(filepath.Join(dir, "a", "circle")); err != nil || filepath.Dir(got) != filepath.Join(dir, "a") {
			t.Errorf("a circle of links is %s, %v", got, err)
		}
	}
}

func relativeTo(t *testing.T, from, path string) string {
	t.Helper()
	relative, err := filepath.Rel(from, path)
	if err != nil {
		t.Fatal(err)
	}
	return relative
}

// A released target leaves no lock file and no folder that was made for it. What was written stays.
func TestReleaseLeavesOnlyTheTarget(t *testing.T) {
	dir := t.TempDir()
	target := take(t, filepath.Join(dir, "a", "b", "out"))
	if _, err := AcquireFolder(target.Path); err == nil || errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "this command writes it already") {
		t.Errorf("the same process again: %v", err)
	}
	target.Release()
	if left := entries(t, dir); len(left) != 0 {
		t.Errorf("found %v, expected nothing", left)
	}
	target = take(t, filepath.Join(dir, "a", "out"))
	if err := os.Mkdir(target.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	target.Release()
	if left := entries(t, filepath.Join(dir, "a")); len(left) != 1 || left[0] != "out" {
		t.Errorf("found %v, expected the target alone", left)
	}
}

// There is one holder at a time, however often holders remove the lock file and its folder.
func TestOneHolderAtATime(t *testing.T) {
	name := filepath.Join(t.TempDir(), "made", "out")
	var alone sync.Mutex
	var group sync.WaitGroup
	var held [4]int
	for i := range held {
		group.Go(func() {
			for held[i] < 200 {
				target, err := AcquireFolder(name)
				if err != nil {
					if !strings.Contains(err.Error(), "is writing it") && !strings.Contains(err.Error(), "writes it already") {
						t.Error(err)
						return
					}
					runtime.Gosched()
					continue
				}
				if !alone.TryLock() {
					t.Error("two hold the target at once")
					return
				}
				held[i]++
				alone.Unlock()
				target.Release()
			}
		})
	}
	group.Wait()
}

// A killed process left its lock file, with an id that another process may have by now.
func TestLockFileOfAKilledProcess(t *testing.T) {
	dir := t.TempDir()
	file := (&Target{Path: filepath.Join(dir, "out")}).lockFile()
	for _, text := range []string{"", "x", "1 elsewhere\n", "999999999 \n", strings.Repeat("1", 1000)} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if pid := holder(file); pid != 0 {
			t.Errorf("%q is reported as the holder %d", text, pid)
		}
		take(t, filepath.Join(dir, "out")).Release()
		if left := entries(t, dir); len(left) != 0 {
			t.Errorf("found %v, expected nothing", left)
		}
	}
}

// Where a filesystem has no locks, work goes on with a warning; another failure is an error that
// names the target.
func TestFilesystemWithoutLocks(t *testing.T) {
	dir := t.TempDir()
	for _, none := range []error{syscall.ENOLCK, syscall.ENOTSUP, syscall.ENOSYS} {
		target, err := acquire(filepath.Join(dir, "out"), true, func(*os.File) error { return none })
		if err != nil || !strings.Contains(target.Warning, "has no locks") || !strings.HasPrefix(target.Warning, target.Path) {
			t.Fatalf("%v: %+v, %v", none, target, err)
		}
		target.Release()
	}
	_, err := acquire(filepath.Join(dir, "new", "out"), true, func(*os.File) error { return syscall.EIO })
	if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), filepath.Join(dir, "new", "out")+": it cannot be locked") {
		t.Errorf("a broken disk: %v", err)
	}
}

// A target whose folder takes no files is an error that says so, unless it is there itself.
func TestReadOnlyFolder(t *testing.T) {
	dir := t.TempDir()
	readOnly := func(*os.File) error { return &fs.PathError{Op: "open", Path: dir, Err: syscall.EROFS} }
	if _, err := acquire(filepath.Join(dir, "absent"), true, readOnly); !errors.Is(err, syscall.EROFS) {
		t.Errorf("an absent target: %v", err)
	}
	target, err := acquire(dir, true, readOnly)
	if runtime.GOOS == "windows" {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("Windows locks no folders, and yet: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := acquire(dir, true, readOnly); !errors.Is(err, ErrLocked) {
		t.Errorf("a second holder of the folder: %v", err)
	}
	target.Release()
}

// No folder is made for a file: where it has none, that is an error.
func TestFileWithoutFolder(t *testing.T) {
	dir := t.TempDir()
	if _, err := AcquireFile(filepath.Join(dir, "none", "out")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("found %v", err)
	}
	if left := entries(t, dir); len(left) != 0 {
		t.Errorf("found %v, expected nothing", left)
	}
}

// A device is not locked.
func TestDevice(t *testing.T) {
	if target := take(t, os.DevNull); target.Path != os.DevNull || target.Warning != "" {
		t.Errorf("found %+v", target)
	}
}
