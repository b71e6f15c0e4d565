package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func artifacts(t *testing.T) *Artifacts {
	t.Helper()
	return OpenArtifacts(filepath.Join(t.TempDir(), "artifacts"))
}

func model(dir string) error {
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("weights"), 0o644), os.WriteFile(filepath.Join(dir, "sub", "x"), nil, 0o644))
}

func TestKey(t *testing.T) {
	if Key("a", "b") == Key("ab") || Key("a", "b") == Key("a", "", "b") || Key("ab", "c") == Key("a", "bc") || !validKey.MatchString(Key()) {
		t.Error("keys of different parts are equal")
	}
	// SHA-256 of "1:a", from the definition of the key.
	if got := Key("a"); got != "4162fddd39a3e4225e8e2392eced237fbeb34e6e218b5647d27bd4d2b9c0da24" {
		t.Errorf("key %s", got)
	}
}

func TestArtifact(t *testing.T) {
	a := artifacts(t)
	key := Key("recipe", "input")
	if _, err := a.Get(key); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got what was never put: %v", err)
	}
	if _, err := os.Stat(a.dir); err == nil {
		t.Error("looking made the folder")
	}
	dir, err := a.Put(key, Meta{Recipe: "recipe", Inputs: []string{"input"}, Version: "1"}, model)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Get(key); err != nil || got != dir {
		t.Fatalf("got %q, %v", got, err)
	}
	meta, err := a.Meta(key)
	if err != nil || meta.Recipe != "recipe" || len(meta.Files) != 2 || meta.Files[0].Name != "model.safetensors" || meta.Files[0].Size != 7 || meta.Files[1].Name != "sub/x" {
		t.Errorf("meta %+v, %v", meta, err)
	}
	if n, size, err := a.Size(); n != 1 || size < 7 || err != nil {
		t.Errorf("%d artifacts, %d bytes, %v", n, size, err)
	}
	again, err := a.Put(key, Meta{}, func(dir string) error { return os.WriteFile(filepath.Join(dir, "other"), nil, 0o644) })
	if err != nil || again != dir {
		t.Errorf("put twice: %q, %v", again, err)
	}
	if meta, _ := a.Meta(key); meta.Recipe != "recipe" {
		t.Error("the second put replaced the first")
	}
	if err := a.Remove(key); err != nil {
		t.Error(err)
	}
	if err := a.Remove(key); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := a.Meta(key); !errors.Is(err, ErrNotFound) {
		t.Errorf("meta of nothing: %v", err)
	}
	if entries, _ := os.ReadDir(a.dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestFailedMakeLeavesNothing(t *testing.T) {
	a := artifacts(t)
	broken := errors.New("broken")
	if _, err := a.Put(Key("x"), Meta{}, func(dir string) error { model(dir); return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(a.dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
	if _, err := a.Put("../x", Meta{}, model); err == nil {
		t.Error("put under a path")
	}
	if _, err := a.Get("../x"); !errors.Is(err, ErrNotFound) {
		t.Error("got a path")
	}
}

// Whatever happens to an artifact's files, it is never used: it is reported, moved aside, and can be
// made again.
func TestCorruption(t *testing.T) {
	for name, harm := range map[string]func(dir string) error{
		"changed": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("wEights"), 0o644)
		},
		"cut":       func(dir string) error { return os.Truncate(filepath.Join(dir, "model.safetensors"), 3) },
		"lost":      func(dir string) error { return os.Remove(filepath.Join(dir, "sub", "x")) },
		"no meta":   func(dir string) error { return os.Remove(filepath.Join(dir, metaFile)) },
		"meta cut":  func(dir string) error { return os.Truncate(filepath.Join(dir, metaFile), 40) },
		"meta void": func(dir string) error { return os.Truncate(filepath.Join(dir, metaFile), 0) },
	} {
		a := artifacts(t)
		key := Key(name)
		dir, err := a.Put(key, Meta{Recipe: name}, model)
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
		if dir, err := a.Put(key, Meta{}, model); err != nil {
			t.Errorf("%s: %q, %v", name, dir, err)
		}
		if _, err := a.Get(key); err != nil {
			t.Errorf("%s: not made again: %v", name, err)
		}
	}
}

func TestConcurrentPuts(t *testing.T) {
	a := artifacts(t)
	key := Key("x")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if _, err := a.Put(key, Meta{}, model); err != nil {
				t.Error(err)
			}
			if _, err := a.Get(key); err != nil {
				t.Errorf("absent after put: %v", err)
			}
		})
	}
	wait.Wait()
}

func TestStaleWorkIsCleared(t *testing.T) {
	a := artifacts(t)
	old, recent := filepath.Join(a.dir, temp+"old"), filepath.Join(a.dir, temp+"new")
	for _, dir := range []string{old, recent} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Now().Add(-2 * stale)
	if err := os.Chtimes(old, then, then); err != nil {
		t.Fatal(err)
	}
	dir, err := OpenArtifacts(a.dir).Put(Key("x"), Meta{}, model)
	if err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(a.dir)
	if len(entries) != 2 || entries[0].Name() != temp+"new" || entries[1].Name() != filepath.Base(dir) {
		t.Errorf("left: %v", entries)
	}
}
