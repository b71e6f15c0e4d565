package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"slimlab/internal/atomicfile"
	"slimlab/internal/wrongfile"
)

// partial is the folder beside a checkpoint's in which the checkpoint is made: its own folder,
// which gets its name by one rename when it is whole, and beside that what is known of the parts
// that are finished. Nothing in it that slimlab has not made is removed, or comes into the
// checkpoint.
type partial struct{ dir, path string }

// The names in a partial folder. All others are not slimlab's.
const (
	modelFolder  = "model"               // becomes the checkpoint's folder
	recipeFile   = "slimlab-recipe.json" // says what finished layers were made of and how
	anewFile     = "slimlab-anew"        // says that nothing is continued
	timesFile    = "slimlab-times.json"  // see Writer.TimesFile
	recordPrefix = "slimlab-layer-"      // begins the name of a layer's record, see finished
)

// ownFile matches the names of the files beside the model's folder, and madeFile those in it.
var (
	ownFile  = regexp.MustCompile(`^slimlab-(recipe\.json|anew|times\.json|layer-\d{5})$`)
	madeFile = regexp.MustCompile(`^(config\.json|model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json|` + regexp.QuoteMeta(makingEnd) + `)?)$`)
)

// made reports the name of a file that checkpoints have.
func made(name string) bool {
	return madeFile.MatchString(name) || slices.Contains(otherFiles, name) || name == gptqConfigName
}

// partialOf is the partial folder of the checkpoint dir.
func partialOf(dir string) partial { return partial{filepath.Clean(dir), PartialFolder(dir)} }

// PartialFolder is where the checkpoint dir is made.
func PartialFolder(dir string) string { return filepath.Clean(dir) + ".partial" }

// Unfinished reports whether a Writer has left finished layers of the folder dir.
func Unfinished(dir string) bool {
	info, err := os.Lstat(partialOf(dir).file(recipeFile))
	return err == nil && info.Mode().IsRegular()
}

// UnfinishedRecipe is what unfinished work of the folder dir was begun with, nil where there is
// none.
func UnfinishedRecipe(dir string) ([]byte, error) {
	if !Unfinished(dir) {
		return nil, nil
	}
	return os.ReadFile(partialOf(dir).file(recipeFile))
}

func (p partial) file(name string) string { return filepath.Join(p.path, name) }

func (p partial) model() string { return p.file(modelFolder) }

// foreignError is the error of what slimlab has not made and will not remove.
func foreignError(folder, name string) error {
	return fmt.Errorf("%s, in which the new folder is made, holds %s, which is not of this work: move it away, or remove the folder", folder, name)
}

// refuseForeign refuses what is in a folder but for regular files of names that are own. Temporary
// files of processes that were killed are removed before.
func refuseForeign(folder string, own func(name string) bool) error {
	err := atomicfile.RemoveAllAbandoned(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !own(e.Name()) {
			return foreignError(folder, e.Name())
		}
	}
	return nil
}

// check refuses what slimlab has not made in the partial folder, that of the model included, whose
// files are own. A folder of that name is slimlab's only where a file says so.
func (p partial) check(own func(name string) bool) error {
	if info, err := os.Stat(p.path); err == nil && !info.IsDir() {
		return fmt.Errorf("%s, in which the new folder is to be made, is a file: move it away", p.path)
	}
	began := Unfinished(p.dir)
	if info, err := os.Lstat(p.file(anewFile)); err == nil && info.Mode().IsRegular() {
		began = true
	}
	info, err := os.Lstat(p.model())
	if there := err == nil; there && (!began || !info.IsDir()) {
		return foreignError(p.path, modelFolder)
	} else if there {
		if err := refuseForeign(p.model(), own); err != nil {
			return err
		}
	}
	return p.checkBeside()
}

// checkBeside is check of what lies beside the model's folder.
func (p partial) checkBeside() error {
	if err := atomicfile.RemoveAllAbandoned(p.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := os.ReadDir(p.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Name() != modelFolder && (!e.Type().IsRegular() || !ownFile.MatchString(e.Name())) {
			return foreignError(p.path, e.Name())
		}
	}
	return nil
}

// remove removes what slimlab has made, and the folder where nothing else is in it: files of the
// model first, as those beside say whose they are.
func (p partial) remove() error {
	err := removeFiles(p.model(), made)
	if _, left := os.Lstat(p.model()); left == nil {
		return err // another's file is there
	}
	return errors.Join(err, removeFiles(p.path, ownFile.MatchString))
}

// removeFiles removes a folder's files of names that are own, and the folder if it is empty then.
func removeFiles(folder string, own func(name string) bool) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.Type().IsRegular() && own(e.Name()) {
			err = errors.Join(err, os.Remove(filepath.Join(folder, e.Name())))
		}
	}
	_ = os.Remove(folder) // which holds another's file, if it stays
	return err
}

// write writes a file of the folder.
func (p partial) write(name string, data []byte) error {
	return atomicfile.Write(p.file(name), func(f io.Writer) error {
		_, err := f.Write(data)
		return err
	})
}

// begin makes the partial folder and says what it is by a marker. What there was of slimlab's is
// removed.
func (p partial) begin(marker string, content []byte) error {
	if err := p.remove(); err != nil {
		return err
	}
	if err := os.MkdirAll(p.path, 0o755); err != nil {
		return err
	}
	if err := p.write(marker, content); err != nil {
		return err
	}
	return os.Mkdir(p.model(), 0o755)
}

// finish gives the checkpoint its name and removes what is left; files of the model's folder are
// own. marker is the file that says what the folder is, which goes first: without it no other is
// taken for unfinished work. An empty folder in the checkpoint's place gives way and leaves its
// mode.
func (p partial) finish(marker string, own func(name string) bool) error {
	if err := p.check(own); err != nil {
		return err
	}
	switch info, err := os.Stat(p.dir); {
	case err == nil:
		const mode = fs.ModePerm | fs.ModeSetgid | fs.ModeSticky
		if err := os.Chmod(p.model(), info.Mode()&mode); err != nil {
			return err
		}
		if err := os.Remove(p.dir); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
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

// notEmpty is the error of a folder that holds something. Where it was made by a command that was
// killed while it removed what is left beside, that goes, and the error says what the folder is.
func (p partial) notEmpty() error {
	plain := errors.New("the folder is not empty, expected a new one")
	left, err := os.ReadDir(p.path)
	_, there := os.Lstat(p.model())
	if err != nil || there == nil || Unfinished(p.dir) || p.checkBeside() != nil {
		return plain
	}
	if err := p.remove(); err != nil {
		return err
	}
	if len(left) == 0 { // which anybody can have made
		return plain
	}
	return errors.New("the folder is not empty: it is whole, made by a command that was killed as it ended; expected a new one to make it again")
}

// CheckNew reports why no checkpoint can be made at dir: something is in the folder, or a new one
// cannot take its place.
func CheckNew(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s: %w", dir, partialOf(dir).notEmpty())
	}
	return wrongfile.Replaceable(dir)
}

// WriteWhole makes the checkpoint dir, which must be absent or empty, by one function that is never
// continued: it writes into a folder that has no other content and gets the name dir when it is
// whole. What an earlier one left unfinished is removed; finished layers of a Writer are an
// UnfinishedError, and files that slimlab has not made an error.
func WriteWhole(dir string, write func(folder string) error) error {
	p := partialOf(dir)
	recipe, err := UnfinishedRecipe(dir)
	if err != nil {
		return err
	}
	if recipe != nil {
		return &UnfinishedError{p.path, recipe}
	}
	if err := CheckNew(dir); err != nil {
		return err
	}
	if err := p.check(made); err != nil {
		return err
	}
	if err = p.begin(anewFile, nil); err == nil {
		err = write(p.model())
	}
	if err == nil {
		err = p.finish(anewFile, made)
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
