package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write puts a text into a file.
func write(name, text string) error {
	return Write(name, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	if err := write(name, "first"); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("disk full")
	err := Write(name, func(w io.Writer) error {
		_, err := io.WriteString(w, "second")
		return errors.Join(err, broken)
	})
	if !errors.Is(err, broken) {
		t.Errorf("found %v, expected %v", err, broken)
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != "first" {
		t.Errorf("after a failed write: %q, %v; expected the first content", got, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("found %v, %v; expected only the file", entries, err)
	}
}

// TestFilesThatAreReplaced: a regular file and what links lead to gets the new content, with the
// mode that it had; Check finds nothing to say and leaves nothing behind.
func TestFilesThatAreReplaced(t *testing.T) {
	for _, c := range []struct {
		kind, name, target string // the file that is written
		there              bool   // it was before
	}{
		{"a new file", "new", "new", false},
		{"a regular file", "old", "old", true},
		{"a link to a regular file", "link", "old", true},
		{"a link to a link", "link2", "old", true},
		{"an absolute link", "absolute", "old", true},
		{"a link through a link to a folder and out of it", "through", "old", true},
		{"a dangling link", "dangling", filepath.Join("deep", "absent"), false},
		{"a name through a link to a folder", filepath.Join("folder", "..", "old"), "old", true},
		{"a name of 255 bytes", strings.Repeat("n", 255), strings.Repeat("n", 255), false},
	} {
		t.Run(c.kind, func(t *testing.T) {
			t.Chdir(t.TempDir())
			cwd, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range []error{
				os.WriteFile("old", []byte("before"), 0o640), os.Chmod("old", 0o640), os.MkdirAll(filepath.Join("deep", "er"), 0o755),
				os.Symlink("old", "link"), os.Symlink("link", "link2"), os.Symlink(filepath.Join(cwd, "old"), "absolute"),
				os.Symlink("deep", "folder"), os.Symlink(filepath.Join("folder", "..", "old"), "through"), os.Symlink(filepath.Join("deep", "absent"), "dangling"),
			} {
				if err != nil {
					t.Skipf("no links here: %v", err)
				}
			}
			before := tree(t, cwd)
			if err := Check(c.name); err != nil {
				t.Errorf("check: %v", err)
			}
			if after := tree(t, cwd); after != before {
				t.Errorf("check changed the folder from\n%s\nto\n%s", before, after)
			}
			if !Replaced(c.name) {
				t.Error("it is said to be written into")
			}
			if err := write(c.name, "after"); err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(c.target)
			if err != nil || !info.Mode().IsRegular() {
				t.Fatalf("the file is %v, %v", info, err)
			}
			if c.there && info.Mode().Perm() != 0o640 {
				t.Errorf("its mode is %v, it was 0640", info.Mode())
			}
			if text, err := os.ReadFile(c.target); string(text) != "after" {
				t.Errorf("it holds %q, %v", text, err)
			}
			want := before
			if !c.there {
				want += c.target + " " + newMode(t) + "\n"
			}
			if got := tree(t, cwd); got != sorted(want) {
				t.Errorf("the folder is\n%s\nexpected\n%s", got, sorted(want))
			}
		})
	}
}

// TestNamesThatCannotBeWritten: Check and Write refuse them in the same words, by the name as it
// was given, and change nothing.
func TestNamesThatCannotBeWritten(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, err := range []error{os.WriteFile("file", nil, 0o644), os.Mkdir("folder", 0o755), os.Symlink("folder", "link"), os.Symlink("loop", "loop")} {
		if err != nil {
			t.Skipf("no links here: %v", err)
		}
	}
	before := tree(t, ".")
	for name, want := range map[string]string{
		"":                       "the name of the file is empty",
		"folder":                 "folder: is a folder, expected the name of a file",
		"link":                   "link: is a folder, expected the name of a file",
		".":                      ".: is a folder, expected the name of a file",
		"folder/":                "folder/: ends as the name of a folder does",
		"absent/":                "absent/: ends as the name of a folder does",
		"absent/x":               "absent/x: its folder is absent",
		"absent/below/x":         "absent/below/x: its folder is absent",
		"file/x":                 "file/x: its path leads through a file",
		"file/below/x":           "file/below/x: its path leads through a file",
		"loop":                   "loop: more than 40 links one after the other",
		strings.Repeat("n", 300): strings.Repeat("n", 300) + ": file name too long",
	} {
		err := Check(name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("check %q: %v, expected %s", name, err, want)
		}
		if again := write(name, "x"); again == nil || again.Error() != err.Error() {
			t.Errorf("write %q: %v, check says %v", name, again, err)
		}
		if _, err := Create(name); err == nil {
			t.Errorf("created %q", name)
		}
	}
	if err := Check("absent/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, expected a missing file", err)
	}
	if after := tree(t, "."); after != before {
		t.Errorf("the folder was changed from\n%s\nto\n%s", before, after)
	}
}

// TestReadOnly: a file that may not be written is not replaced, though its folder may; one that
// may, in a folder that may not, is written in place.
func TestReadOnly(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("the superuser may write everything")
	}
	dir := t.TempDir()
	locked, inside := filepath.Join(dir, "locked"), filepath.Join(dir, "sub", "inside")
	for _, err := range []error{os.WriteFile(locked, []byte("kept"), 0o400), os.Mkdir(filepath.Dir(inside), 0o755), os.WriteFile(inside, []byte("a long text"), 0o644), os.Chmod(filepath.Dir(inside), 0o555)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Dir(inside), 0o755) })
	if err := Check(locked); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), locked) {
		t.Errorf("check: %v", err)
	}
	if err := Check(filepath.Join(dir, "sub", "new")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a new file in a folder that takes none: %v", err)
	}
	if err := errors.Join(Check(inside), write(inside, "short")); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(inside); string(text) != "short" {
		t.Errorf("found %q", text)
	}
}

// newMode is the mode of a new file, which depends on the user's mask.
func newMode(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "new")
	if err := os.WriteFile(name, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().String()
}

// tree lists all below a folder with its modes.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		info, err := e.Info()
		lines = append(lines, filepath.FromSlash(path)+" "+info.Mode().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sorted(strings.Join(lines, "\n") + "\n")
}

func sorted(lines string) string {
	list := strings.Split(strings.TrimSuffix(lines, "\n"), "\n")
	slices.Sort(list)
	return strings.Join(list, "\n") + "\n"
}
