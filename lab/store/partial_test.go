package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"slimlab/lab/recipe"
)

// TestPartial: what a build leaves is there for the next one, in another process too, and in no
// other artifact's; it is listed with its recipe, and removed when nobody goes on with it.
func TestPartial(t *testing.T) {
	a := OpenArtifacts(filepath.Join(t.TempDir(), "artifacts"))
	of := recipe.Recipe{Stage: "long", Inputs: map[string]string{"teacher": "k"}}
	name := partial + of.Key()
	only := func(want Condition) {
		t.Helper()
		entries, err := a.Entries()
		if err != nil || len(entries) != 1 {
			t.Fatalf("entries %+v, %v", entries, err)
		}
		e := entries[0]
		if e.Name != name || e.Condition != want || e.Title != "a long build" || e.Stage != "long" || e.Inputs["teacher"] != "k" || e.Created.IsZero() || e.Useless() {
			t.Fatalf("entry %+v, expected %s", e, want)
		}
	}
	open := func() (string, func()) {
		t.Helper()
		dir, release, err := a.Partial(of, Label{Title: "a long build"})
		if err != nil {
			t.Fatal(err)
		}
		return dir, release
	}
	_, release := open()
	release()
	if entries, err := a.Entries(); err != nil || len(entries) != 0 {
		t.Fatalf("a build that wrote nothing leaves %+v, %v", entries, err)
	}
	dir, release := open()
	if err := os.WriteFile(filepath.Join(dir, "half"), []byte("1234"), 0o644); err != nil {
		t.Fatal(err)
	}
	only(InUse)
	var used *InUseError
	if err := a.DropPartial(of.Key()); !errors.As(err, &used) {
		t.Errorf("removing what is being built: %v", err)
	}
	if err := a.Discard(Entry{Name: name}); !errors.As(err, &used) {
		t.Errorf("discarding what is being built: %v", err)
	}
	release()
	only(Partial)

	a = OpenArtifacts(a.dir) // another process, whose first write removes what killed ones left
	if _, err := a.Put(recipe.Recipe{Stage: "other"}, Label{}, func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := a.Remove(recipe.Recipe{Stage: "other"}.Key()); err != nil {
		t.Fatal(err)
	}
	only(Partial)
	dir, release = open()
	if text, err := os.ReadFile(filepath.Join(dir, "half")); err != nil || string(text) != "1234" {
		t.Errorf("found %q, %v", text, err)
	}
	release()
	if err := a.DropPartial(recipe.Recipe{Stage: "other"}.Key()); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
	only(Partial)
	if err := a.Discard(Entry{Name: name}); err != nil {
		t.Error(err)
	}
	if entries, err := a.Entries(); err != nil || len(entries) != 0 {
		t.Errorf("entries %+v, %v", entries, err)
	}
}
