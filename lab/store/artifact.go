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
	"slimlab/internal/msgpackread"
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
				_ = dropTemp(filepath.Join(a.dir, e.Name()))
			}
		}
	})
	return nil
}

// Put makes the artifact of a recipe: build writes its files into an empty folder, beside which the
// recipe is kept in recipe.FileName. The folder takes its place at once, or leaves no trace when
// build fails. An artifact that is there already, made by another process meanwhile, stays. It
// returns the artifact's folder.
func (a *Artifacts) Put(r recipe.Recipe, label Label, build func(dir string) error) (dir string, err error) {
	return a.put(r, label, build, a.place)
}

// Replace is Put that takes the place of an artifact that is there already, in one step: others who
// read it read on. Until build has ended, the artifact stays as it is.
func (a *Artifacts) Replace(r recipe.Recipe, label Label, build func(dir string) error) (dir string, err error) {
	return a.put(r, label, build, a.replace)
}

func (a *Artifacts) put(r recipe.Recipe, label Label, build func(dir string) error, place func(key, work string) (string, error)) (dir string, err error) {
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
		dir, err = place(key, work)
	}
	if err != nil {
		return "", &WriteError{fmt.Errorf("artifact %.12s: %w", key, err)}
	}
	a.mu.Lock()
	a.verified[key] = true // seal has read it
	a.mu.Unlock()
	return dir, nil
}

// begin makes the folder in which an artifact is built, and locks it.
func (a *Artifacts) begin(key string) (work string, release func(), err error) {
	if err := a.prepare(); err != nil {
		return "", nil, err
	}
	if work, release, err = a.makeTemp(temp + key[:12] + "-"); err != nil {
		return "", nil, fmt.Errorf("artifact %.12s: %w", key, err)
	}
	return work, release, nil
}

// place gives a sealed folder the name of its key.
func (a *Artifacts) place(key, work string) (dir string, err error) {
	dir = filepath.Join(a.dir, key)
	if err := os.Rename(work, dir); err != nil {
		if old, err := a.Get(context.Background(), key); err == nil {
			return old, nil
		}
		if err := os.Rename(work, dir); err != nil { // Get has moved a corrupt one out of the way
			return "", err
		}
	}
	return dir, atomicfile.SyncDir(a.dir)
}

// exchangeBySteps gives two folders each other's name, one after the other.
func exchangeBySteps(a, b string) error {
	between := a + "-exchanged"
	if err := os.Rename(b, between); err != nil {
		return err
	}
	if err := os.Rename(a, b); err != nil {
		return errors.Join(err, os.Rename(between, b))
	}
	return os.Rename(between, a)
}

// replace gives a sealed folder the name of its key, and what had it the name of the folder.
func (a *Artifacts) replace(key, work string) (dir string, err error) {
	dir = filepath.Join(a.dir, key)
	a.forget(key)
	if err := exchange(work, dir); err != nil {
		return a.place(key, work) // there is none
	}
	return dir, atomicfile.SyncDir(a.dir)
}

// forget has the checksums of an artifact read again.
func (a *Artifacts) forget(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.verified, key)
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
		return m, unreadable(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxMeta))
	if err != nil {
		return m, err
	}
	return decodeMeta(text)
}

// decodeMeta reads the bytes of an artifact's metadata.
func decodeMeta(text []byte) (m meta, err error) {
	body := len(text) - sha256.Size
	if body < 0 || sha256.Sum256(text[:body]) != [sha256.Size]byte(text[body:]) {
		return m, damage{fmt.Errorf("%s does not match its own checksum", metaFile)}
	}
	if err := msgpackread.Decode(text[:body], &m); err != nil {
		return m, damage{fmt.Errorf("%s: %w", metaFile, err)}
	}
	return m, nil
}
