package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
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
	return errors.Join(os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("weights"), 0o644), os.WriteFile(filepath.Join(dir, "sub", "x"), []byte("of a folder"), 0o644))
}

// of is a recipe for tests.
func of(stage string) recipe.Recipe { return recipe.Recipe{Stage: stage, Version: 1} }

// sizeOf sums the lengths of the files in a folder and its subfolders, as they are read.
func sizeOf(t *testing.T, dir string) (size int64) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, path))
		size += int64(len(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func TestArtifact(t *testing.T) {
	a := artifacts(t)
	r := of("train")
	key := r.Key()
	if _, err := a.Get(t.Context(), key); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got what was never put: %v", err)
	}
	if _, err := os.Stat(a.dir); err == nil {
		t.Error("looking made the folder")
	}
	dir, err := a.Put(r, Label{Title: "train teacher", Program: "1"}, model)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Get(t.Context(), key); err != nil || got != dir {
		t.Fatalf("got %q, %v", got, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, recipe.FileName))
	if err != nil || string(text) != string(r.Canonical()) || filepath.Base(dir) != key {
		t.Errorf("the artifact's recipe is %s, %v", text, err)
	}
	entries, err := a.Entries()
	if err != nil || len(entries) != 1 || entries[0].Name != key || entries[0].Title != "train teacher" || entries[0].Condition != Complete {
		t.Errorf("entries %+v, %v", entries, err)
	}
	if size := sizeOf(t, dir); entries[0].Bytes != size || size < 7+int64(len(text)) {
		t.Errorf("the entry has %d bytes, its files %d", entries[0].Bytes, size)
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
	if _, err := a.Get(t.Context(), "../x"); !errors.Is(err, ErrNotFound) {
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
		_, err = a.Get(t.Context(), key)
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
		if _, err := a.Get(t.Context(), key); err != nil {
			t.Errorf("%s: not made again: %v", name, err)
		}
	}
}

// put makes an artifact and returns its key and folder.
func put(t *testing.T, a *Artifacts, stage string) (key, dir string) {
	t.Helper()
	dir, err := a.Put(of(stage), Label{Title: stage}, func(dir string) error {
		return errors.Join(model(dir), os.WriteFile(filepath.Join(dir, "stage"), []byte(stage), 0o644))
	})
	if err != nil {
		t.Fatal(err)
	}
	return of(stage).Key(), dir
}

func stageOf(t *testing.T, a *Artifacts, key string) string {
	t.Helper()
	dir, err := a.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "stage"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestMisplacedArtifacts: an artifact is never taken for that of another key, and none is lost: one
// that lies elsewhere goes to its place, two that were exchanged are exchanged again, with a note
// of each, and a copy under another key is moved aside.
func TestMisplacedArtifacts(t *testing.T) {
	for _, c := range []struct {
		name     string
		harm     func(x, y string) error
		restored bool
		says     string // the error of asking for x
		y        bool   // y is there, afterwards
	}{
		{"exchanged", exchangeBySteps, true, "had been exchanged, and are where they belong now", true},
		{"y in the place of x", func(x, y string) error { return errors.Join(os.RemoveAll(x), os.Rename(y, x)) }, false, "in its place lay artifact", true},
		{"a copy of y as x", func(x, y string) error { return errors.Join(os.RemoveAll(x), os.CopyFS(x, os.DirFS(y))) }, false, "its recipe is that of artifact", true},
		{"y's recipe in x", func(x, y string) error {
			return errors.Join(os.Remove(filepath.Join(x, recipe.FileName)), os.CopyFS(x, only{os.DirFS(y), recipe.FileName}))
		}, false, "expected the artifact's key", true},
		{"weights of y in x", func(x, y string) error {
			return errors.Join(os.Remove(filepath.Join(x, "stage")), os.CopyFS(x, only{os.DirFS(y), "stage"}))
		}, false, "stage has the checksum", true},
		{"metadata of y in x", func(x, y string) error {
			return errors.Join(os.Remove(filepath.Join(x, metaFile)), os.CopyFS(x, only{os.DirFS(y), metaFile}))
		}, false, "has the checksum", true},
		{"a file more", func(x, _ string) error { return os.WriteFile(filepath.Join(x, "tokenizer.json"), nil, 0o644) }, false, "tokenizer.json was added to it", true},
		{"a folder more", func(x, y string) error { return os.CopyFS(filepath.Join(x, "deep"), os.DirFS(y)) }, false, "was added to it", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := artifacts(t)
			x, dirX := put(t, a, "x")
			y, dirY := put(t, a, "y")
			if err := c.harm(dirX, dirY); err != nil {
				t.Fatal(err)
			}
			a = OpenArtifacts(a.dir) // another process
			_, err := a.Get(t.Context(), x)
			var damaged *DamagedError
			if !errors.As(err, &damaged) || damaged.Restored != c.restored || errors.Is(err, ErrNotFound) == c.restored || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, expected %s", err, c.says)
			}
			if c.restored {
				if got := stageOf(t, a, x); got != "x" {
					t.Errorf("x is %s", got)
				}
			} else if _, err := a.Get(t.Context(), x); !errors.Is(err, ErrNotFound) || errors.As(err, &damaged) {
				t.Errorf("then: %v, expected none", err)
			}
			if got := stageOf(t, a, y); got != "y" {
				t.Errorf("y is %s", got)
			}
			put(t, a, "x")
			if got := stageOf(t, a, x); got != "x" {
				t.Errorf("made again, x is %s", got)
			}
		})
	}
}

// only is a folder of which a file alone is seen.
type only struct {
	fs.FS
	name string
}

func (o only) ReadDir(dir string) (list []fs.DirEntry, err error) {
	all, err := fs.ReadDir(o.FS, dir)
	for _, e := range all {
		if e.Name() == o.name {
			list = append(list, e)
		}
	}
	return list, err
}

// TestHiddenFiles, such as those that file managers leave, harm no artifact.
func TestHiddenFiles(t *testing.T) {
	a := artifacts(t)
	key, dir := put(t, a, "x")
	if err := os.WriteFile(filepath.Join(dir, ".DS_Store"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenArtifacts(a.dir).Get(t.Context(), key); err != nil {
		t.Error(err)
	}
}

// TestUnreadableIsNotDamaged: what keeps an artifact from being read says nothing of it: it stays
// where it is.
func TestUnreadableIsNotDamaged(t *testing.T) {
	a := artifacts(t)
	key, dir := put(t, a, "x")
	a = OpenArtifacts(a.dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Get(ctx, key); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNotFound) {
		t.Errorf("interrupted: %v", err)
	}
	if os.Geteuid() != 0 {
		weights := filepath.Join(dir, "model.safetensors")
		if err := os.Chmod(weights, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Get(t.Context(), key); !errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("without the right to read: %v", err)
		}
		if err := os.Chmod(weights, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := stageOf(t, a, key); got != "x" {
		t.Errorf("then it is %q", got)
	}
}

// TestUse: an artifact that one reads is not removed by another, and may be replaced.
func TestUse(t *testing.T) {
	a := artifacts(t)
	key, dir := put(t, a, "x")
	first, release, err := a.Use(t.Context(), key)
	if err != nil || first != dir {
		t.Fatal(first, err)
	}
	_, second, err := OpenArtifacts(a.dir).Use(t.Context(), key)
	if err != nil {
		t.Fatalf("a second reader: %v", err)
	}
	other := OpenArtifacts(a.dir)
	var used *InUseError
	for _, done := range []func(){release, second} {
		if err := other.Remove(key); !errors.As(err, &used) {
			t.Errorf("removed while it is read: %v", err)
		}
		if err := other.Discard(Entry{Name: key, Condition: Complete}); !errors.As(err, &used) {
			t.Errorf("discarded while it is read: %v", err)
		}
		if got := stageOf(t, a, key); got != "x" {
			t.Errorf("it is %s", got)
		}
		done()
	}
	_, release, err = a.Use(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := other.Replace(of("x"), Label{}, func(dir string) error { return os.WriteFile(filepath.Join(dir, "stage"), []byte("new"), 0o644) }); err != nil {
		t.Fatal(err)
	}
	if got := stageOf(t, other, key); got != "new" {
		t.Errorf("replaced by %s", got)
	}
	if entries, _ := os.ReadDir(a.dir); len(entries) != 1 {
		t.Errorf("left: %v", entries)
	}
}

// TestReplaceKeepsTheOldUntilTheNewIsThere: a build that fails changes nothing, and one of a key
// that is absent is a Put.
func TestReplaceKeepsTheOldUntilTheNewIsThere(t *testing.T) {
	a := artifacts(t)
	key, _ := put(t, a, "x")
	broken := errors.New("broken")
	if _, err := a.Replace(of("x"), Label{}, func(string) error {
		if got := stageOf(t, a, key); got != "x" {
			t.Errorf("while the new one is built, it is %s", got)
		}
		return broken
	}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if got := stageOf(t, a, key); got != "x" {
		t.Errorf("it is %s", got)
	}
	if _, err := a.Replace(of("y"), Label{}, model); err != nil {
		t.Error(err)
	}
	if _, err := a.Get(t.Context(), of("y").Key()); err != nil {
		t.Error(err)
	}
}

// TestRemovedIsVerifiedAnew: the checksums of an artifact that takes the place of a removed one are
// read, though those of the removed one were.
func TestRemovedIsVerifiedAnew(t *testing.T) {
	a := artifacts(t)
	key, _ := put(t, a, "x")
	if err := a.Remove(key); err != nil {
		t.Fatal(err)
	}
	_, dir := put(t, OpenArtifacts(a.dir), "x") // by another process
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("wEights"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Get(t.Context(), key); !errors.Is(err, ErrNotFound) {
		t.Errorf("found a damaged artifact: %v", err)
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
			if _, err := a.Get(t.Context(), r.Key()); err != nil {
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
	want[temp+"new"] = Unfinished // however new it is
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
		if _, err := a.Get(t.Context(), of(stage).Key()); !errors.As(err, &format) || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, expected %s", err, text)
		}
	}
	check("after looking")
	a = OpenArtifacts(a.dir) // another process
	want[put("d", metaFormat)] = Complete
	delete(want, temp+"old")
	delete(want, temp+"new")
	check("after the next put")
	var used *InUseError
	if err := a.Discard(Entry{Name: temp + "mine"}); !errors.As(err, &used) {
		t.Errorf("what a living process makes is discarded: %v", err)
	}
	release()
	want[temp+"mine"] = Unfinished
	check("after its process")
	for name := range want {
		if err := a.Discard(Entry{Name: name}); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(a.dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestCleaningBesideMaking: what one process makes no other takes for left behind, at no moment.
func TestCleaningBesideMaking(t *testing.T) {
	a := artifacts(t)
	var makers, cleaners sync.WaitGroup
	over := make(chan struct{})
	for range 3 {
		cleaners.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				of := OpenArtifacts(a.dir)
				if err := of.prepare(); err != nil { // which clears
					t.Error(err)
				}
				entries, err := of.Entries()
				if err != nil {
					t.Error(err)
				}
				var used *InUseError
				for _, e := range entries {
					if !e.Useless() {
						continue
					}
					if err := of.Discard(e); err != nil && !errors.As(err, &used) {
						t.Errorf("%s, %s: %v", e.Name, e.Condition, err)
					}
				}
			}
		})
	}
	for maker := range 4 {
		makers.Go(func() {
			for i := range 25 {
				if _, err := OpenArtifacts(a.dir).Put(of(strconv.Itoa(100*maker+i)), Label{}, model); err != nil {
					t.Error(err)
				}
			}
		})
	}
	makers.Wait()
	close(over)
	cleaners.Wait()
}

// TestAlone: one process at a time makes an artifact; another one says once that it waits, goes on
// when the first has ended, and stops waiting with its context. Nothing is left.
func TestAlone(t *testing.T) {
	a := artifacts(t)
	key := of("x").Key()
	release, err := a.Alone(t.Context(), key, func() { t.Error("waits for nobody") })
	if err != nil {
		t.Fatal(err)
	}
	free, err := OpenArtifacts(a.dir).Alone(t.Context(), of("y").Key(), func() { t.Error("waits for another key") })
	if err != nil {
		t.Fatal(err)
	}
	free()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := OpenArtifacts(a.dir).Alone(ctx, key, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted while it waits: %v", err)
	}
	waits := 0
	second, err := OpenArtifacts(a.dir).Alone(t.Context(), key, func() { waits++; release() })
	if err != nil || waits != 1 {
		t.Fatalf("waited %d times, %v", waits, err)
	}
	second()
	if left, _ := os.ReadDir(a.dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestLookChangesNothing: looking at a damaged artifact says what is wrong and leaves it in place.
func TestLookChangesNothing(t *testing.T) {
	a := artifacts(t)
	key, dir := put(t, a, "x")
	other, second := put(t, a, "y")
	if err := os.WriteFile(filepath.Join(dir, "stage"), []byte("z"), 0o644); err != nil {
		t.Fatal(err)
	}
	a = OpenArtifacts(a.dir)
	var damaged *DamagedError
	for range 2 {
		if _, _, err := a.Look(t.Context(), key); !errors.As(err, &damaged) || !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "stage has the checksum") {
			t.Errorf("got %v", err)
		}
	}
	if _, release, err := a.Look(t.Context(), other); err != nil {
		t.Error(err)
	} else {
		release()
	}
	if err := exchangeBySteps(dir, second); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenArtifacts(a.dir).Look(t.Context(), other); !errors.As(err, &damaged) || damaged.Restored {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(a.dir); len(entries) != 2 {
		t.Errorf("found %v, expected both artifacts", entries)
	}
}

// TestUseless: which conditions no run can use, and so may be removed without a question.
func TestUseless(t *testing.T) {
	for condition, want := range map[Condition]bool{Complete: false, OldFormat: true, NewFormat: false, Unfinished: true, InUse: false, Damaged: true, Foreign: false, Partial: false} {
		if got := (Entry{Condition: condition}).Useless(); got != want {
			t.Errorf("%s: useless is %v", condition, got)
		}
	}
}

// TestReplacedWhileItIsRead: whoever reads an artifact that others make anew, with other content
// each time, reads a whole one: none is taken for damaged and moved aside.
func TestReplacedWhileItIsRead(t *testing.T) {
	a := artifacts(t)
	r, n := of("train"), 0
	build := func(dir string) error {
		n++
		for i := range 6 {
			text := strings.Repeat(strconv.Itoa(n), 1000+37*n%211)
			if err := os.WriteFile(filepath.Join(dir, "part"+strconv.Itoa(i)), []byte(text), 0o644); err != nil {
				return err
			}
		}
		return nil
	}
	if _, err := a.Put(r, Label{}, build); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		other := OpenArtifacts(a.dir) // as another process has it
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				other.forget(r.Key()) // the next reads all checksums
				if _, err := other.Get(t.Context(), r.Key()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 40 {
		if _, err := a.Replace(r, Label{}, build); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	readers.Wait()
	if left, _ := filepath.Glob(filepath.Join(a.dir, aside+"*")); len(left) > 0 {
		t.Errorf("moved aside: %v", left)
	}
	if _, err := a.Get(t.Context(), r.Key()); err != nil {
		t.Error(err)
	}
}
