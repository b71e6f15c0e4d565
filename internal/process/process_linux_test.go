package process

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
	"time"
)

// works names, in the environment of this test's program, what it does until its input ends.
const works = "PROCESS_TEST_WORKS"

func TestMain(m *testing.M) {
	if os.Getenv(works) == "" {
		os.Exit(m.Run())
	}
	fmt.Println("begun")
	ended := make(chan bool)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends it
		close(ended)
	}()
	for os.Getenv(works) == "busy" {
		select {
		case <-ended:
			os.Exit(0)
		default:
		}
	}
	<-ended
	os.Exit(0)
}

// child starts this program under a name of its own.
func child(t *testing.T, name, does string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(self, program); err != nil {
		text, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(program, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), works+"="+does)
	in, err := cmd.StdinPipe()
	if err != nil {
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
		in.Close()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "begun\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
}

// TestOtherProcess: of two processes of one name the one that computes is found, the one that waits
// is not, and neither is one of another name.
func TestOtherProcess(t *testing.T) {
	name := fmt.Sprintf("pt%d", os.Getpid())
	child(t, name+"-busy", "busy")
	child(t, name+"-idle", "idle")
	child(t, "x"+name, "busy")
	w := Begin(name)
	for worked := 0; worked != 1; { // until the system has counted its time
		if worked = w.Worked(); worked > 1 || time.Since(w.begun) > time.Minute {
			t.Fatalf("%d processes worked, expected 1", worked)
		}
	}
}

func TestListed(t *testing.T) {
	line := func(id int, comm, state string, user, system, started int) string {
		return fmt.Sprintf("%d (%s) %s 1 2 3 0 -1 4194304 10 0 0 0 %d %d 0 0 20 0 9 0 %d 1000 200", id, comm, state, user, system, started)
	}
	folder := t.TempDir()
	for entry, text := range map[string]string{
		"10": line(10, "slimlab", "S", 3, 4, 77), "11": line(11, "slimlab-linux-a", "R", 0, 0, 78), "12": line(12, "bash", "R", 9, 9, 79),
		"13": line(13, "slimlab", "Z", 1, 1, 80), "14": line(14, "slimlab", "S", 5, 5, 81), "15": line(15, "slim) lab (", "S", 5, 5, 82),
		"20": line(20, "slimlab", "X", 1, 1, 84), "16": "", "17": "17 slimlab S", "18": "18 (slimlab) S 1 2", "19": line(19, "slimlab", "S", -1, 5, 83), "self": line(10, "slimlab", "S", 3, 4, 77),
	} {
		if err := os.Mkdir(filepath.Join(folder, entry), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, entry, "stat"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := listed(folder, "slimlab", 14), (map[int]usage{10: {77, 70 * time.Millisecond}, 11: {78, 0}}); !maps.Equal(got, want) {
		t.Errorf("found %v, expected %v", got, want)
	}
	if got := slices.Collect(maps.Keys(listed(folder, "slim) ", 14))); !slices.Equal(got, []int{15}) {
		t.Errorf("found %v, expected the process with parentheses in its name", got)
	}
	// what is no line of a process has no name either, not even one that begins with nothing
	if got := slices.Sorted(maps.Keys(listed(folder, "", 14))); !slices.Equal(got, []int{10, 11, 12, 15}) {
		t.Errorf("found %v of every name, expected the processes whose lines are whole", got)
	}
	if got := listed(filepath.Join(folder, "absent"), "slimlab", 14); len(got) != 0 {
		t.Errorf("found %v in no folder", got)
	}
}

// TestListedClosesItsFolder: a program that looks often does not run out of files.
func TestListedClosesItsFolder(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the collector closes lost files at some time
	opened := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	folder, before := t.TempDir(), opened()
	for range 20 {
		listed(folder, "slimlab", 1)
	}
	if after := opened(); after >= before+20 {
		t.Errorf("%d files are open after 20 looks, %d before", after, before)
	}
}

// FuzzStat: no line makes it panic.
func FuzzStat(f *testing.F) {
	f.Add("10 (slimlab) S 1 2 3 0 -1 4194304 10 0 0 0 3 4 0 0 20 0 9 0 77 1000 200")
	f.Add(")(")
	f.Fuzz(func(t *testing.T, line string) {
		if of, _, ok := parseStat(line); !ok && of != (usage{}) {
			t.Errorf("%q: %v of a line that is none", line, of)
		}
	})
}
