package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slimlab/internal/filelock"
	"slimlab/lab/recipe"
)

func artifacts(t *testing.T) *Artifacts {
	t.Helper()
	return OpenArtifacts(filepath.Join(t.TempDir(), "artifacts"))
}

func model(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("weights"), 0o644), os.WriteFile(filepath.Join(dir, "sub", "x"), nil, 0o644))
}

// of is a recipe for tests.
func of(stage string) recipe.Recipe { return recipe.Recipe{Stage: stage, Version: 1} }

func TestArtifact(t *testing.T) {
	a := artifacts(t)
	r := of("train")
	key := r.Key()
	if _, err := a.Get(key); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got what was never put: %v", err)
	}
	if _, err := os.Stat(a.dir); err == nil {
		t.Error("looking made the folder")
	}
	dir, err := a.Put(r, Label{Title: "train teacher", Program: "1"}, model)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Get(key); err != nil || got != dir {
		t.Fatalf("got %q, %v", got, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, recipe.FileName))
	if err != nil || string(text) != string(r.Canonical()) || filepath.Base(dir) != key {
		t.Errorf("the artifact's recipe is %s, %v", text, err)
	}
	entries, err := a.Entries()
	if err != nil || len(entries) != 1 || entries[0].Name != key || entries[0].Title != "train teacher" || entries[0].Condition != Complete || entries[0].Bytes < 7+int64(len(text)) {
		t.Errorf("entries %+v, %v", entries, err)
	}
	again, err := a.Put(r, Label{}, func(dir string) error { return os.WriteFile(filepath.Join(dir, "other"), nil, 0o644) })
	if err != nil || again != dir {
		t.Errorf("put twice: %q, %v", again, err)
	}
	if entries, _ := a.Entries(); entries[0].Title != "train teacher" {
		t.Error("the second put replaced the first")
	}
	if err := a.Remove(key); err != nil {
		t.Error(err)
	}
	if err := a.Remove(key); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if entries, _ := os.ReadDir(a.dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestFailedMakeLeavesNothing(t *testing.T) {
	a := artifacts(t)
	broken := errors.New("broken")
	if _, err := a.Put(of("x"), Label{}, func(dir string) error { model(dir); return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(a.dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
	if _, err := a.Get("../x"); !errors.Is(err, ErrNotFound) {
		t.Error("got a path")
	}
}

// Whatever happens to an artifact's files, it is never used: it is reported, moved aside, and can
// be made again.
func TestCorruption(t *testing.T) {
	for name, harm := range map[string]func(dir string) error{
		"recipe": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, recipe.FileName), of("other").Canonical(), 0o644)
		},
		"changed": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("wEights"), 0o644)
		},
		"cut":      func(dir string) error { return os.Truncate(filepath.Join(dir, "model.safetensors"), 3) },
		"lost":     func(dir string) error { return os.Remove(filepath.Join(dir, "sub", "x")) },
		"no meta":  func(dir string) error { return os.Remove(filepath.Join(dir, metaFile)) },
		"meta cut": func(dir string) error { return os.Truncate(filepath.Join(dir, metaFile), 40) },
		"name that leads out": func(dir string) error {
			m, err := readMeta(dir)
			if err != nil {
				return err
			}
			m.Files[0].Name = "../" + filepath.Base(dir) + "/" + m.Files[0].Name
			return writeMeta(dir, m)
		},
		"meta void": func(dir string) error { return os.Truncate(filepath.Join(dir, metaFile), 0) },
	} {
		a := artifacts(t)
		r := of(name)
		key := r.Key()
		dir, err := a.Put(r, Label{}, model)
		if err != nil {
			t.Fatal(err)
		}
		if err := harm(dir); err != nil {
			t.Fatal(err)
		}
		a = OpenArtifacts(a.dir)
		_, err = a.Get(key)
		var damaged *DamagedError
		if !errors.As(err, &damaged) || !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "corrupt") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(a.dir, aside+key)); err != nil {
			t.Errorf("%s: not moved aside: %v", name, err)
		}
		if dir, err := a.Put(r, Label{}, model); err != nil {
			t.Errorf("%s: %q, %v", name, dir, err)
		}
		if _, err := a.Get(key); err != nil {
			t.Errorf("%s: not made again: %v", name, err)
		}
	}
}

// TestForeignKey: an artifact under the key of another recipe is not that recipe's.
func TestForeignKey(t *testing.T) {
	a := artifacts(t)
	dir, err := a.Put(of("x"), Label{}, model)
	if err != nil {
		t.Fatal(err)
	}
	key := of("y").Key()
	if err := os.Rename(dir, filepath.Join(a.dir, key)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Get(key); err == nil || !strings.Contains(err.Error(), "expected the artifact's key") {
		t.Errorf("got the artifact of another recipe: %v", err)
	}
}

// TestRemovedIsVerifiedAnew: the checksums of an artifact that takes the place of a removed one are
// read, though those of the removed one were.
func TestRemovedIsVerifiedAnew(t *testing.T) {
	a := artifacts(t)
	r := of("x")
	for damaged := range 2 {
		dir, err := a.Put(r, Label{}, model)
		if err != nil {
			t.Fatal(err)
		}
		if damaged == 1 {
			if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("wEights"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := a.Get(r.Key()); (err != nil) != (damaged == 1) {
			t.Fatalf("%d damaged files: %v", damaged, err)
		}
		if damaged == 0 {
			if err := a.Remove(r.Key()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestConcurrentPuts(t *testing.T) {
	a := artifacts(t)
	r := of("x")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if _, err := a.Put(r, Label{}, model); err != nil {
				t.Error(err)
			}
			if _, err := a.Get(r.Key()); err != nil {
				t.Errorf("absent after put: %v", err)
			}
		})
	}
	wait.Wait()
}

// TestConditions: each condition of a folder is recognized, and the next Put clears what killed
// processes left, but not what a living one is making.
func TestConditions(t *testing.T) {
	a := artifacts(t)
	then := time.Now().Add(-time.Hour)
	put := func(stage string, format int) string {
		t.Helper()
		dir, err := a.Put(of(stage), Label{Title: stage}, model)
		if err != nil {
			t.Fatal(err)
		}
		if format != metaFormat {
			m, err := readMeta(dir)
			if err != nil {
				t.Fatal(err)
			}
			m.Format = format
			if err := writeMeta(dir, m); err != nil {
				t.Fatal(err)
			}
		}
		return filepath.Base(dir)
	}
	folder := func(name string) string {
		t.Helper()
		dir := filepath.Join(a.dir, name)
		if err := model(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, then, then); err != nil {
			t.Fatal(err)
		}
		return name
	}
	want := map[string]Condition{put("a", metaFormat): Complete, put("b", 0): OldFormat, put("c", metaFormat+1): NewFormat}
	want[folder(temp+"old")], want[folder(temp+"mine")] = Unfinished, InUse
	want[folder(aside+of("x").Key())], want[folder(of("y").Key())], want[folder("notes")] = Damaged, Damaged, Foreign
	want[temp+"new"] = InUse // perhaps its process is about to lock it
	if err := os.Mkdir(filepath.Join(a.dir, temp+"new"), 0o755); err != nil {
		t.Fatal(err)
	}
	release, err := filelock.LockFolder(filepath.Join(a.dir, temp+"mine"))
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	check := func(when string) {
		t.Helper()
		entries, err := a.Entries()
		if err != nil || len(entries) != len(want) {
			t.Errorf("%s: %d entries, expected %d, %v", when, len(entries), len(want), err)
		}
		for _, e := range entries {
			if e.Condition != want[e.Name] {
				t.Errorf("%s: %s is %s, expected %s", when, e.Name, e.Condition, want[e.Name])
			}
		}
	}
	check("at first")
	var format *FormatError
	for stage, text := range map[string]string{"b": "format 0 of an earlier version", "c": "format 3 of a newer version"} {
		if _, err := a.Get(of(stage).Key()); !errors.As(err, &format) || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, expected %s", err, text)
		}
	}
	check("after looking")
	a = OpenArtifacts(a.dir) // another process
	want[put("d", metaFormat)] = Complete
	delete(want, temp+"old")
	check("after the next put")
	for name := range want {
		if err := a.Discard(Entry{Name: name}); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(a.dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
