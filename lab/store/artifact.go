package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"slimlab/internal/atomicfile"
	"slimlab/internal/filelock"
	"slimlab/lab/recipe"
)

// Artifacts is a content-addressed store of finished work. An artifact is a folder under the hash
// of all that made it; it appears whole, by a rename, or not at all. What does not match its
// checksums is moved aside, reported, and treated as absent. Methods may be called from several
// goroutines and processes.
type Artifacts struct {
	dir   string
	clear sync.Once // removes what killed processes left, before the first write

	mu       sync.Mutex
	verified map[string]bool // keys whose checksums this process has read
}

// DamagedError is the error of an artifact that was there but does not match its metadata. It has
// been moved aside: to the caller it is absent, and errors.Is(err, ErrNotFound) holds.
type DamagedError struct {
	Key    string
	Reason error // what does not match, and what became of the artifact
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("artifact %.12s is corrupt and will be made again: %v", e.Key, e.Reason)
}

func (e *DamagedError) Unwrap() []error { return []error{e.Reason, ErrNotFound} }

// Label says what an artifact is to people.
type Label struct {
	Title   string // such as "train teacher"
	Program string // version of the program that makes it
}

// meta is an artifact's metadata. The file names and checksums in it make damage visible.
type meta struct {
	Format  int    `msgpack:"format"`
	Title   string `msgpack:"recipe"` // a tag of earlier versions, so that theirs can be read
	Program string `msgpack:"program"`
	Created int64  `msgpack:"created"` // Unix seconds
	Files   []file `msgpack:"files"`
}

// metaFormat is the version of the artifact's form. Those before it are 0: their keys were not
// hashes of recipes.
const metaFormat = 2

// file is one file of an artifact.
type file struct {
	Name string `msgpack:"name"` // slash-separated, relative
	Size int64  `msgpack:"size"`
	Sum  string `msgpack:"sum"` // SHA-256, hexadecimal
}

const (
	metaFile = "artifact.msgpack"
	temp     = ".making-"
	aside    = "corrupt-"
)

var validKey = regexp.MustCompile(`^[0-9a-f]{64}$`)

// WriteError is the error of an artifact that was made and cannot be kept.
type WriteError struct{ Err error }

func (e *WriteError) Error() string { return e.Err.Error() }
func (e *WriteError) Unwrap() error { return e.Err }

// FormatError is the error of an artifact that is there in the form of another version of slimlab.
type FormatError struct {
	Key    string
	Format int // 0 is that of versions before formats had numbers
}

func (e *FormatError) Error() string {
	if e.Format < metaFormat {
		return fmt.Sprintf("artifact %.12s has format %d of an earlier version, expected %d: run its scenario again; slimlab clean removes it", e.Key, e.Format, metaFormat)
	}
	return fmt.Sprintf("artifact %.12s has format %d of a newer version, expected %d", e.Key, e.Format, metaFormat)
}

// OpenArtifacts names the folder of a store. It reads nothing and makes nothing: Put makes the
// folder when it is absent.
func OpenArtifacts(dir string) *Artifacts {
	return &Artifacts{dir: dir, verified: map[string]bool{}}
}

// prepare makes the folder where it is absent, and clears what killed processes left.
func (a *Artifacts) prepare() error {
	if err := os.MkdirAll(a.dir, 0o755); err != nil {
		return fmt.Errorf("artifacts %s: %w", a.dir, err)
	}
	a.clear.Do(func() {
		entries, _ := os.ReadDir(a.dir) // what stays is cleared another time
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), temp) && !inUse(filepath.Join(a.dir, e.Name())) {
				os.RemoveAll(filepath.Join(a.dir, e.Name()))
			}
		}
	})
	return nil
}

// Get returns the folder of a complete and undamaged artifact. Its files must not be changed. An
// artifact that is absent is ErrNotFound, a damaged one a DamagedError, and one that another
// version made in another form a FormatError. Checksums are read once in a process, sizes each
// time.
func (a *Artifacts) Get(key string) (dir string, err error) {
	dir = filepath.Join(a.dir, key)
	if !validKey.MatchString(key) {
		return "", fmt.Errorf("artifact %q: %w", key, ErrNotFound)
	}
	if _, err := os.Stat(dir); absent(err) {
		return "", fmt.Errorf("artifact %.12s: %w", key, ErrNotFound)
	}
	err = a.verify(key, dir)
	var format *FormatError
	switch {
	case err == nil:
		return dir, nil
	case errors.As(err, &format):
		return "", err
	}
	if _, gone := os.Stat(dir); absent(gone) { // removed while it was read
		return "", fmt.Errorf("artifact %.12s: %w", key, ErrNotFound)
	}
	return "", a.discard(key, dir, err)
}

// verify compares the artifact with its metadata.
func (a *Artifacts) verify(key, dir string) error {
	meta, err := readMeta(dir)
	if err != nil {
		return err
	}
	if meta.Format != metaFormat {
		return &FormatError{Key: key, Format: meta.Format}
	}
	a.mu.Lock()
	verified := a.verified[key]
	a.mu.Unlock()
	for _, f := range meta.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if !filepath.IsLocal(filepath.FromSlash(f.Name)) {
			return fmt.Errorf("file name %q leads out of the artifact", f.Name)
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() != f.Size {
			return fmt.Errorf("%s has %d bytes, expected %d", f.Name, info.Size(), f.Size)
		}
		if verified {
			continue
		}
		sum, err := recipe.File(context.Background(), path)
		if err != nil {
			return err
		}
		if sum != f.Sum {
			return fmt.Errorf("%s has the checksum %.12s…, expected %.12s…", f.Name, sum, f.Sum)
		}
		if f.Name == recipe.FileName && sum != key {
			return fmt.Errorf("%s has the checksum %.12s…, expected the artifact's key", f.Name, sum)
		}
	}
	a.mu.Lock()
	a.verified[key] = true
	a.mu.Unlock()
	return nil
}

// discard moves a corrupt artifact aside, where a person can look at it.
func (a *Artifacts) discard(key, dir string, why error) *DamagedError {
	to := filepath.Join(a.dir, aside+key)
	if err := os.RemoveAll(to); err != nil {
		why = fmt.Errorf("%w; an older corrupt one cannot be removed: %v", why, err)
	}
	if err := os.Rename(dir, to); err != nil {
		why = fmt.Errorf("%w; it cannot be moved aside: %v", why, err)
	}
	a.mu.Lock()
	delete(a.verified, key)
	a.mu.Unlock()
	return &DamagedError{key, why}
}

// Put makes the artifact of a recipe: build writes its files into an empty folder, beside which the
// recipe is kept in recipe.FileName. The folder takes its place at once, or leaves no trace when
// build fails. An artifact that is there already, made by another process meanwhile, stays. It
// returns the artifact's folder.
func (a *Artifacts) Put(r recipe.Recipe, label Label, build func(dir string) error) (dir string, err error) {
	key := r.Key()
	work, release, err := a.begin(key)
	if err != nil {
		return "", &WriteError{err}
	}
	defer os.RemoveAll(work)
	defer release()
	if err := build(work); err != nil {
		return "", err
	}
	err = os.WriteFile(filepath.Join(work, recipe.FileName), r.Canonical(), 0o644)
	if err == nil {
		err = seal(work, label)
	}
	if err == nil {
		dir, err = a.place(key, work)
	}
	if err != nil {
		return "", &WriteError{fmt.Errorf("artifact %.12s: %w", key, err)}
	}
	return dir, nil
}

// begin makes the folder in which an artifact is built, and locks it.
func (a *Artifacts) begin(key string) (work string, release func(), err error) {
	if err := a.prepare(); err != nil {
		return "", nil, err
	}
	if work, err = os.MkdirTemp(a.dir, temp+key[:12]+"-"); err == nil {
		release, err = filelock.LockFolder(work)
	}
	if err != nil {
		return "", nil, fmt.Errorf("artifact %.12s: %w", key, err)
	}
	return work, release, nil
}

// place gives a sealed folder the name of its key.
func (a *Artifacts) place(key, work string) (dir string, err error) {
	dir = filepath.Join(a.dir, key)
	if err := os.Rename(work, dir); err != nil {
		if old, err := a.Get(key); err == nil {
			return old, nil
		}
		if err := os.Rename(work, dir); err != nil { // Get has moved a corrupt one out of the way
			return "", err
		}
	}
	return dir, atomicfile.SyncDir(a.dir)
}

// seal writes the metadata of a finished folder and puts everything on the disk.
func seal(dir string, label Label) error {
	meta := meta{Format: metaFormat, Title: label.Title, Program: label.Program, Created: time.Now().Unix()}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return nil
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() || name == metaFile {
			return fmt.Errorf("%s is no file that an artifact can have", name)
		}
		f, err := syncFile(path)
		f.Name = filepath.ToSlash(name)
		meta.Files = append(meta.Files, f)
		return err
	})
	if err != nil {
		return err
	}
	if err := writeMeta(dir, meta); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = atomicfile.SyncDir(path)
		}
		return err
	})
}

func writeMeta(dir string, m meta) error {
	var text bytes.Buffer
	e := msgpack.NewEncoder(&text)
	e.SetSortMapKeys(true)
	e.UseCompactInts(true)
	if err := e.Encode(m); err != nil {
		return err
	}
	sum := sha256.Sum256(text.Bytes())
	path := filepath.Join(dir, metaFile)
	if err := os.WriteFile(path, append(text.Bytes(), sum[:]...), 0o644); err != nil {
		return err
	}
	_, err := syncFile(path)
	return err
}

// syncFile puts a file on the disk and measures it.
func syncFile(path string) (of file, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return of, err
	}
	defer f.Close()
	if of.Sum, of.Size, err = recipe.Sum(context.Background(), f); err != nil {
		return of, err
	}
	return of, f.Sync()
}

// maxMeta bounds the metadata that is read.
const maxMeta = 16 << 20

// readMeta reads an artifact's metadata, which carries its own checksum.
func readMeta(dir string) (m meta, err error) {
	f, err := os.Open(filepath.Join(dir, metaFile))
	if err != nil {
		return m, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxMeta))
	if err != nil {
		return m, err
	}
	body := len(text) - sha256.Size
	if body < 0 || sha256.Sum256(text[:body]) != [sha256.Size]byte(text[body:]) {
		return m, fmt.Errorf("%s does not match its own checksum", metaFile)
	}
	if err := msgpack.Unmarshal(text[:body], &m); err != nil {
		return m, fmt.Errorf("%s: %w", metaFile, err)
	}
	return m, nil
}

// Remove deletes an artifact. One that is absent is ErrNotFound.
func (a *Artifacts) Remove(key string) error {
	dir := filepath.Join(a.dir, key)
	if _, err := os.Stat(dir); !validKey.MatchString(key) || absent(err) {
		return fmt.Errorf("artifact %.12s: %w", key, ErrNotFound)
	}
	a.mu.Lock()
	delete(a.verified, key)
	a.mu.Unlock()
	// Under another name first: a kill in the middle must not leave half an artifact under its key.
	gone, err := os.MkdirTemp(a.dir, temp)
	if err != nil {
		return fmt.Errorf("artifact %.12s: %w", key, err)
	}
	defer os.RemoveAll(gone)
	if err := os.Rename(dir, filepath.Join(gone, key)); err != nil {
		return fmt.Errorf("artifact %.12s: %w", key, err)
	}
	return nil
}
