package main

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTwoProcessesOneTarget: while a process writes a target, a second one that would write it ends
// at once with exit 1 and names it, however the target is spelled; the first is not disturbed, and
// leaves what it leaves alone.
func TestTwoProcessesOneTarget(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program and runs it for half a minute")
	}
	p := buildProgram(t)
	in := func(name string) string { return filepath.Join(p.dir, name) }
	p.complete(t, "export", "pretrained:recsys-fm", in("fm"))
	p.complete(t, "import", "random:stories15m", in("model"), "--tokenizer", in("fm"))
	p.complete(t, "import", "random:stories15m", in("bare")) // GGUF has no name for the tokenizer
	writeFile(t, in("tiny.yaml"), tiny)
	writeFile(t, in("text.txt"), strings.Repeat("the member clicked the item and the other did not. ", 2000))
	if err := os.Symlink(p.dir, in("link")); err != nil {
		t.Fatal(err)
	}
	calibration := []string{"--calibration", in("text.txt"), "--samples", "8", "--length", "128"}
	for name, args := range map[string]func(target string) []string{
		"import":        func(to string) []string { return []string{"import", in("model"), to} },
		"import random": func(to string) []string { return []string{"import", "random:stories15m", to} },
		"export":        func(to string) []string { return []string{"export", in("model"), to} },
		"export gguf":   func(to string) []string { return []string{"export", in("bare"), to, "--as", "gguf-q8_0"} },
		"prune": func(to string) []string {
			return append([]string{"prune", in("model"), to, "--mlp", "20%"}, calibration...)
		},
		"quantize": func(to string) []string {
			return append([]string{"quantize", in("model"), to, "--scheme", "w4a16"}, calibration...)
		},
		"distil": func(to string) []string {
			return []string{"distil", in("model"), to, "--data", in("text.txt"), "--steps", "1", "--length", "64", "--batch", "2", "--validation", "2"}
		},
		"run save":   func(to string) []string { return []string{"run", in("tiny.yaml"), "--save", "w8a8=" + to} },
		"run export": func(to string) []string { return []string{"run", in("tiny.yaml"), "--export", "md=" + to} },
		"run events": func(to string) []string { return []string{"run", in("tiny.yaml"), "--events", to} },
	} {
		t.Run(name, func(t *testing.T) {
			folder := strings.ReplaceAll(name, " ", "-")
			target, spelling := in(folder+"/out"), in("link/"+folder+"/../"+folder+"/out/")
			if name == "export gguf" {
				target, spelling = target+".gguf", strings.TrimSuffix(spelling, "/")+".gguf"
			}
			if err := os.Mkdir(in(folder), 0o755); err != nil {
				t.Fatal(err)
			}
			first := p.stopWhileWriting(t, target, args(target)...)
			second, said := p.command(nil, args(spelling)...)
			_ = second.Run()
			if code := second.ProcessState.ExitCode(); code != exitBroke || !strings.Contains(said.String(), spelling+": another slimlab process (pid "+strconv.Itoa(first.process.Pid)+") is writing it") {
				t.Errorf("the second process: exit %d, said %q", code, said)
			}
			// Beside it, undisturbed. It has its own home: in the same one it would wait for the
			// artifact that the stopped process makes.
			apart := built{dir: in("apart/" + folder), name: p.name}
			apart.complete(t, args(in(folder+"/other"+filepath.Ext(target)))...)
			_ = first.process.Signal(syscall.SIGCONT)
			if err := <-first.ended; err != nil {
				t.Fatalf("the first process: %v: %s", err, first.stderr)
			}
			got, alone := tree(t, target), tree(t, in(folder+"/other"+filepath.Ext(target)))
			if len(got) == 0 || !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(alone))) {
				t.Errorf("found the files %v, expected %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(alone)))
			}
			for file, data := range alone {
				if folder != "run-export" && folder != "run-events" && folder != "export-gguf" && !bytes.Equal(got[file], data) { // which have times and names
					t.Errorf("%s is not what a process alone writes", file)
				}
			}
			left, err := os.ReadDir(in(folder))
			if err != nil || len(left) != 2 {
				t.Errorf("beside the targets: %v, %v", left, err)
			}
		})
	}
}

// TestKilledProcessLeavesNoLock: after kill -9 in the middle of a prune the same command goes on
// with the layers that are there, and leaves what a process alone leaves.
func TestKilledProcessLeavesNoLock(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program and prunes a model twice")
	}
	p := buildProgram(t)
	in := func(name string) string { return filepath.Join(p.dir, name) }
	p.complete(t, "export", "pretrained:recsys-fm", in("fm"))
	writeFile(t, in("text.txt"), strings.Repeat("the member clicked the item and the other did not. ", 2000))
	prune := func(to string) []string {
		return []string{"prune", in("fm"), to, "--mlp", "20%", "--calibration", in("text.txt"), "--samples", "8", "--length", "128"}
	}
	p.complete(t, prune(in("alone"))...)
	cmd, _ := p.command(nil, prune(in("out"))...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	layer := func(dir string) string { return in(dir + "/" + firstLayer(t, in("alone"))) }
	waitFor(t, func() bool { return exists(in("out.partial/slimlab-layer-00000")) })
	_ = cmd.Process.Kill()
	if err := cmd.Wait(); err == nil {
		t.Fatal("the process ended before it was killed")
	}
	before, err := os.Stat(layer("out.partial/model"))
	if err != nil {
		t.Fatal(err)
	}
	p.complete(t, prune(in("out"))...)
	after, err := os.Stat(layer("out"))
	if err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("the finished layer was written again: %v", err)
	}
	got, alone := tree(t, in("out")), tree(t, in("alone"))
	if !maps.EqualFunc(got, alone, bytes.Equal) {
		t.Errorf("found %v, expected the bytes of %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(alone)))
	}
	if locks, err := filepath.Glob(in(".*lock")); err != nil || len(locks) != 0 {
		t.Errorf("left %v, %v", locks, err)
	}
}

// firstLayer is the name of the file that a conversion finishes first.
func firstLayer(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "model-00002-of-*.safetensors"))
	if err != nil || len(names) != 1 {
		t.Fatalf("the file of layer 0: %v, %v", names, err)
	}
	return filepath.Base(names[0])
}

// writing is a process that was stopped, as SIGSTOP does, while it held the lock of its target.
type writing struct {
	process *os.Process
	ended   chan error // what Wait returns
	stderr  *bytes.Buffer
}

// stopWhileWriting starts a command and stops it. A command that ended before is started again.
func (p built) stopWhileWriting(t *testing.T, target string, args ...string) writing {
	t.Helper()
	lock := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".slimlab-lock")
	for range 20 {
		cmd, stderr := p.command(nil, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w := writing{cmd.Process, make(chan error, 1), stderr}
		go func() { w.ended <- cmd.Wait() }()
		holds := func() bool {
			text, err := os.ReadFile(lock)
			return err == nil && strings.HasPrefix(string(text), strconv.Itoa(w.process.Pid)+" ") && strings.HasSuffix(string(text), "\n")
		}
		stopped := func() bool {
			stat, err := os.ReadFile("/proc/" + strconv.Itoa(w.process.Pid) + "/stat")
			return err == nil && strings.Contains(string(stat), ") T ")
		}
		waitFor(t, func() bool { return holds() || len(w.ended) > 0 })
		_ = w.process.Signal(syscall.SIGSTOP)
		waitFor(t, func() bool { return stopped() || len(w.ended) > 0 })
		if holds() {
			t.Cleanup(func() { _ = w.process.Kill() })
			return w
		}
		_ = w.process.Signal(syscall.SIGCONT)
		if err := <-w.ended; err != nil {
			t.Fatalf("slimlab %s: %v: %s", strings.Join(args, " "), err, stderr)
		}
		if err := os.RemoveAll(target); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("slimlab %s: never held %s long enough to be stopped", strings.Join(args, " "), target)
	return writing{}
}

// waitFor waits until a condition of another process holds.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for late := time.Now().Add(time.Minute); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("waited a minute")
		}
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// tree reads a file, or the files of a folder.
func tree(t *testing.T, name string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rest, _ := filepath.Rel(name, path)
		files[rest], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
