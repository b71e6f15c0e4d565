package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"
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

// Meta says what made an artifact. Store fills Files and Created.
type Meta struct {
	Recipe string `msgpack:"recipe"` // canonical text of the step
	// keys of the artifacts that went in, and other inputs, in order
	Inputs  []string `msgpack:"inputs"`
	Version string   `msgpack:"version"` // of the code of that stage
	Created int64    `msgpack:"created"` // Unix seconds
	Files   []File   `msgpack:"files"`
}

// File is one file of an artifact.
type File struct {
	Name string `msgpack:"name"` // slash-separated, relative
	Size int64  `msgpack:"size"`
	Sum  string `msgpack:"sum"` // SHA-256, hexadecimal
}

const (
	metaFile = "artifact.msgpack"
	temp     = ".making-"
	aside    = "corrupt-"
	stale    = 24 * time.Hour // unfinished work older than this belongs to no living process
)

// Key is the hexadecimal SHA-256 of the parts, each with its length, so that no two lists of parts
// share a key.
func Key(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		io.WriteString(h, strconv.Itoa(len(part))+":"+part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

var validKey = regexp.MustCompile(`^[0-9a-f]{64}$`)

// OpenArtifacts names the folder of a store. It reads nothing and makes nothing: Put makes the
// folder when it is absent.
func OpenArtifacts(dir string) *Artifacts {
	return &Artifacts{dir: dir, verified: map[string]bool{}}
}

// prepare makes the folder where it is absent, and clears what killed processes left a day ago.
func (a *Artifacts) prepare() error {
	if err := os.MkdirAll(a.dir, 0o755); err != nil {
		return fmt.Errorf("artifacts %s: %w", a.dir, err)
	}
	a.clear.Do(func() {
		entries, _ := os.ReadDir(a.dir) // what stays is cleared another day
		for _, e := range entries {
			info, err := e.Info()
			if err == nil && strings.HasPrefix(e.Name(), temp) && time.Since(info.ModTime()) > stale {
				os.RemoveAll(filepath.Join(a.dir, e.Name()))
			}
		}
	})
	return nil
}

// Get returns the folder of a complete and undamaged artifact. Its files must not be changed. An
// artifact that is absent is ErrNotFound, a damaged one a DamagedError. Checksums are read once in
// a process, sizes each time.
func (a *Artifacts) Get(key string) (dir string, err error) {
	dir = filepath.Join(a.dir, key)
	if !validKey.MatchString(key) {
		return "", fmt.Errorf("artifact %q: %w", key, ErrNotFound)
	}
	if _, err := os.Stat(dir); absent(err) {
		return "", fmt.Errorf("artifact %.12s: %w", key, ErrNotFound)
	}
	err = a.verify(key, dir)
	if err == nil {
		return dir, nil
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
		sum, err := checksum(path)
		if err != nil {
			return err
		}
		if sum != f.Sum {
			return fmt.Errorf("%s has the checksum %.12s…, expected %.12s…", f.Name, sum, f.Sum)
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

// Put makes the artifact of a key: make writes its files into an empty folder, which then takes its
// place at once, or leaves no trace when make fails. An artifact that is there already, made by
// another process meanwhile, stays. It returns the artifact's folder.
func (a *Artifacts) Put(key string, meta Meta, make func(dir string) error) (dir string, err error) {
	if !validKey.MatchString(key) {
		return "", fmt.Errorf("artifact: %q is no key, expected 64 hexadecimal digits", key)
	}
	if err := a.prepare(); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(a.dir, temp+key[:12]+"-")
	if err != nil {
		return "", fmt.Errorf("artifact %.12s: %w", key, err)
	}
	defer os.RemoveAll(work)
	if err := make(work); err != nil {
		return "", err
	}
	if err := seal(work, meta); err != nil {
		return "", fmt.Errorf("artifact %.12s: %w", key, err)
	}
	dir = filepath.Join(a.dir, key)
	if err := os.Rename(work, dir); err != nil {
		if old, err := a.Get(key); err == nil {
			return old, nil
		}
		if err := os.Rename(work, dir); err != nil { // Get has moved a corrupt one out of the way
			return "", fmt.Errorf("artifact %.12s: %w", key, err)
		}
	}
	if err := syncDir(a.dir); err != nil {
		return "", fmt.Errorf("artifact %.12s: %w", key, err)
	}
	return dir, nil
}

// seal writes the metadata of a finished folder and puts everything on the disk.
func seal(dir string, meta Meta) error {
	meta.Created, meta.Files = time.Now().Unix(), nil
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
	var text bytes.Buffer
	e := msgpack.NewEncoder(&text)
	e.SetSortMapKeys(true)
	e.UseCompactInts(true)
	if err := e.Encode(meta); err != nil {
		return err
	}
	path := filepath.Join(dir, metaFile)
	if err := os.WriteFile(path, append(text.Bytes(), sum(text.Bytes())...), 0o644); err != nil {
		return err
	}
	if _, err := syncFile(path); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = syncDir(path)
		}
		return err
	})
}

// syncFile puts a file on the disk and measures it.
func syncFile(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return File{}, err
	}
	return File{Size: size, Sum: hex.EncodeToString(h.Sum(nil))}, f.Sync()
}

func checksum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func sum(text []byte) []byte {
	s := sha256.Sum256(text)
	return s[:]
}

// maxMeta bounds the metadata that is read.
const maxMeta = 16 << 20

// readMeta reads an artifact's metadata, which carries its own checksum.
func readMeta(dir string) (Meta, error) {
	var meta Meta
	f, err := os.Open(filepath.Join(dir, metaFile))
	if err != nil {
		return meta, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxMeta))
	if err != nil {
		return meta, err
	}
	body := len(text) - sha256.Size
	if body < 0 || !bytes.Equal(sum(text[:body]), text[body:]) {
		return meta, fmt.Errorf("%s does not match its own checksum", metaFile)
	}
	if err := msgpack.Unmarshal(text[:body], &meta); err != nil {
		return meta, fmt.Errorf("%s: %w", metaFile, err)
	}
	return meta, nil
}

// Meta returns what made an artifact, without reading its files.
func (a *Artifacts) Meta(key string) (Meta, error) {
	if !validKey.MatchString(key) {
		return Meta{}, fmt.Errorf("artifact %q: %w", key, ErrNotFound)
	}
	meta, err := readMeta(filepath.Join(a.dir, key))
	if errors.Is(err, fs.ErrNotExist) {
		return meta, fmt.Errorf("artifact %.12s: %w", key, ErrNotFound)
	}
	if err != nil {
		return meta, fmt.Errorf("artifact %.12s: %w", key, err)
	}
	return meta, nil
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

// Size returns the number of artifacts and the bytes of everything in the store, unfinished and
// corrupt work included.
func (a *Artifacts) Size() (artifacts int, bytes int64, err error) {
	err = filepath.WalkDir(a.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed since
		}
		if err != nil {
			return err
		}
		if d.IsDir() && filepath.Dir(path) == a.dir && validKey.MatchString(d.Name()) {
			artifacts++
		}
		if info, err := d.Info(); err == nil && d.Type().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	if err != nil {
		return artifacts, bytes, fmt.Errorf("artifacts: %w", err)
	}
	return artifacts, bytes, nil
}
