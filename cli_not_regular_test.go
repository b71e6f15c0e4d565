//go:build unix

package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFilesOfAModelThatAreNotRegular puts a pipe, a socket, a folder, a device and a link to
// nothing in the place of each file of a model: every verb names the file and what it is, at once.
func TestFilesOfAModelThatAreNotRegular(t *testing.T) {
	newHome(t)
	dir, _ := os.MkdirTemp("/tmp", "s") // names of sockets are short
	t.Cleanup(func() { os.RemoveAll(dir) })
	text, model := filepath.Join(dir, "text.txt"), filepath.Join(dir, "m")
	if err := os.WriteFile(text, []byte(strings.Repeat("the member clicked the item. ", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := slimlab(t, "import", "pretrained:recsys-fm", model); code != exitHeld {
		t.Fatal(stderr)
	}
	kinds := []struct {
		what string
		make func(t *testing.T, name string)
	}{
		{"is a pipe", pipeAt},
		{"is a socket", func(t *testing.T, name string) {
			l, err := net.Listen("unix", name)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}},
		{"is a folder", func(t *testing.T, name string) { must(t, os.Mkdir(name, 0o755)) }},
		{"is a device", func(t *testing.T, name string) { must(t, os.Symlink("/dev/zero", name)) }},
		{"is a link to nowhere, which does not exist", func(t *testing.T, name string) { must(t, os.Symlink("nowhere", name)) }},
	}
	out := filepath.Join(dir, "out")
	verbs := func(m string) [][]string {
		return [][]string{
			{"inspect", m}, {"eval", m, "--text", text}, {"tokenize", m}, {"import", m, out}, {"export", m, out},
			{"quantize", m, out, "--scheme", "w8a8"},
			{"prune", m, out, "--mlp", "20%", "--calibration", text},
			{"distil", m, out, "--teacher", "pretrained:recsys-fm", "--data", text},
			{"distil", "pretrained:recsys-fm", out, "--teacher", m, "--data", text},
		}
	}
	weights, _ := filepath.Glob(filepath.Join(model, "*.safetensors"))
	for _, file := range []string{"config.json", filepath.Base(weights[0]), "tokenizer.json", "tokenizer_config.json"} {
		for _, kind := range kinds {
			at := filepath.Join(model, file)
			must(t, os.Rename(at, at+".kept"))
			kind.make(t, at)
			for _, args := range verbs(model) {
				if args[0] == "tokenize" && !strings.HasPrefix(file, "tokenizer") {
					continue // which does not read the file
				}
				_, stderr, code := slimlab(t, args...)
				if code == exitHeld || !strings.Contains(stderr, file+": "+kind.what) {
					t.Errorf("slimlab %s, %s %s: exit %d: %s", args[0], file, kind.what, code, stderr)
				}
				if n := strings.Count(stderr, "model "+model+":"); n > 1 || n == 0 && args[0] == "eval" {
					t.Errorf("slimlab %s, %s %s names the model %d times: %s", args[0], file, kind.what, n, stderr)
				}
				must(t, os.RemoveAll(out+".partial"))
			}
			must(t, os.RemoveAll(at))
			must(t, os.Symlink(at+".kept", at))
			if _, stderr, code := slimlab(t, "inspect", model); code != exitHeld {
				t.Errorf("a link to %s: exit %d: %s", file, code, stderr)
			}
			must(t, os.Remove(at))
			must(t, os.Rename(at+".kept", at))
		}
	}
	for _, kind := range kinds {
		if kind.what == "is a folder" {
			continue // a model's folder of such a name is none of these
		}
		at := filepath.Join(dir, "model.gguf")
		kind.make(t, at)
		for _, args := range verbs(at) {
			if _, stderr, code := slimlab(t, args...); code == exitHeld || !strings.Contains(stderr, kind.what) {
				t.Errorf("slimlab %s, model.gguf %s: exit %d: %s", args[0], kind.what, code, stderr)
			}
		}
		must(t, os.Remove(at))
	}
}

// pipeAt makes a pipe whose reader, if there is one, finds its end at once.
func pipeAt(t *testing.T, name string) {
	must(t, syscall.Mkfifo(name, 0o644))
	go func() {
		if w, err := os.OpenFile(name, os.O_WRONLY, 0); err == nil {
			w.Close()
		}
	}()
}
