package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"slimlab/internal/atomicfile"
)

// partial is the folder beside a checkpoint's in which the checkpoint is made: its own folder,
// which gets its name by one rename when it is whole, and beside that what is known of the parts
// that are finished. Nothing in it that slimlab has not made is removed, or comes into the
// checkpoint.
type partial struct{ dir, path string }

// The names in a partial folder. All others are not slimlab's.
const (
	modelFolder = "model"                   // becomes the checkpoint's folder
	ownPrefix   = "slimlab-"                // begins the names of the files beside it
	recipeFile  = ownPrefix + "recipe.json" // says what finished layers were made of and how
	anewFile    = ownPrefix + "anew"        // says that nothing is continued
)

// partialOf is the partial folder of the checkpoint dir.
func partialOf(dir string) partial { return partial{filepath.Clean(dir), PartialFolder(dir)} }

// PartialFolder is where the checkpoint dir is made.
func PartialFolder(dir string) string { return filepath.Clean(dir) + ".partial" }

// Unfinished reports whether a Writer has left finished layers of the folder dir.
func Unfinished(dir string) bool {
	_, err := os.Stat(partialOf(dir).file(recipeFile))
	return err == nil
}

func (p partial) file(name string) string { return filepath.Join(p.path, name) }

func (p partial) model() string { return p.file(modelFolder) }

// foreignError is the error of what slimlab has not made and will not remove.
func foreignError(folder, name string) error {
	return fmt.Errorf("%s, in which the new folder is made, holds %s, which is not of this work: move it away, or remove the folder", folder, name)
}

// clear removes what slimlab has left, and makes the folder where it is absent. Anything else in it
// is an error, before anything is removed.
func (p partial) clear() error {
	if err := os.MkdirAll(p.path, 0o755); err != nil {
		return p.notFolder(err)
	}
	if err := atomicfile.RemoveAllAbandoned(p.path); err != nil {
		return err
	}
	entries, err := os.ReadDir(p.path)
	if err != nil {
		return err
	}
	began := false // a folder of that name is slimlab's only where a file says so
	for _, e := range entries {
		began = began || e.Name() == anewFile || e.Name() == recipeFile
	}
	for _, e := range entries {
		if own := strings.HasPrefix(e.Name(), ownPrefix) || began && e.Name() == modelFolder; !own {
			return foreignError(p.path, e.Name())
		}
	}
	return p.remove()
}

// notFolder says what stands in the place of the folder.
func (p partial) notFolder(err error) error {
	if info, e := os.Stat(p.path); e == nil && !info.IsDir() {
		return fmt.Errorf("%s, in which the new folder is to be made, is a file: move it away", p.path)
	}
	return err
}

// remove removes slimlab's files: what says whose the others are goes last. The folder goes with
// them where nothing else is in it.
func (p partial) remove() error {
	entries, err := os.ReadDir(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = os.RemoveAll(p.model())
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ownPrefix) {
			err = errors.Join(err, os.Remove(p.file(e.Name())))
		}
	}
	_ = os.Remove(p.path) // another's file may be there
	return err
}

// write writes a file of the folder.
func (p partial) write(name string, data []byte) error {
	return atomicfile.Write(p.file(name), func(f io.Writer) error {
		_, err := f.Write(data)
		return err
	})
}

// finish gives the checkpoint its name and removes what is left. marker is the file that says what
// the folder is, which goes first: without it no other is taken for unfinished work.
func (p partial) finish(marker string) error {
	// an empty folder gives way
	if err := os.Remove(p.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(p.model(), p.dir); err != nil {
		return err
	}
	if err := os.Remove(p.file(marker)); err != nil {
		return err
	}
	return p.remove()
}

// WriteWhole makes the checkpoint dir, which must be absent or empty, by one function that is never
// continued: it writes into a folder that has no other content and gets the name dir when it is
// whole. What an earlier one left unfinished is removed; finished layers of a Writer are an
// UnfinishedError, and files that slimlab has not made an error.
func WriteWhole(dir string, write func(folder string) error) error {
	p := partialOf(dir)
	if recipe, err := os.ReadFile(p.file(recipeFile)); err == nil {
		return &UnfinishedError{p.path, recipe}
	}
	if err := p.clear(); err != nil {
		return err
	}
	err := os.MkdirAll(p.path, 0o755)
	if err == nil {
		err = p.write(anewFile, nil)
	}
	if err == nil {
		err = os.Mkdir(p.model(), 0o755)
	}
	if err == nil {
		err = write(p.model())
	}
	if err == nil {
		err = p.finish(anewFile)
	}
	if err != nil {
		return errors.Join(err, p.remove())
	}
	return nil
}

// UnfinishedError is the error of a folder that was begun with another recipe.
type UnfinishedError struct {
	Folder string // with the finished layers
	Recipe []byte // that it was begun with
}

// File is what holds the recipe.
func (e *UnfinishedError) File() string { return filepath.Join(e.Folder, recipeFile) }

func (e *UnfinishedError) Error() string {
	return e.Folder + " holds the unfinished work of another command; finish that, or remove the folder"
}
