package wrongfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFolderGivesRegularFilesAlone(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(in("file"), []byte("content"), 0o644),
		os.Mkdir(in("folder"), 0o755),
		os.Symlink("file", in("link")),
		os.Symlink("nowhere", in("dangling")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f := Folder(dir)
	for name, want := range map[string]string{"file": "", "link": "", "folder": "folder: is a folder, expected a regular file", "dangling": "dangling: is a link to nowhere, which does not exist"} {
		_, readErr := fs.ReadFile(f, name)
		opened, openErr := f.Open(name)
		if openErr == nil {
			opened.Close()
		}
		for _, err := range []error{readErr, openErr, Check(in(name))} {
			if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || errors.Is(err, fs.ErrNotExist)) {
				t.Errorf("%s: found %v, expected %q", name, err, want)
			}
		}
	}
	if _, err := fs.Stat(f, "folder"); err != nil {
		t.Errorf("a folder's description: %v", err)
	}
	if _, err := fs.Stat(f, "dangling"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the description of a link to nothing: %v", err)
	}
	for _, name := range []string{"absent", "../file", "/etc/passwd"} {
		if _, err := f.Open(name); err == nil || name == "absent" != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
