package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"slimlab/internal/atomicfile"
	"slimlab/internal/filelock"
	"slimlab/lab"
)

// ErrNotFound says that there is no run, or no artifact, of a name.
var ErrNotFound = errors.New("not found")

const extension = ".runlog"

// Store is a folder of run logs. Its methods may be called from several goroutines.
type Store struct {
	dir string
	now func() time.Time

	mu     sync.Mutex
	listed map[string]Info // runs that have ended, as List found them, or damage as Scan did
}

// Open names the folder of a store. It reads nothing and makes nothing: Create makes the folder
// when it is absent.
func Open(dir string) *Store { return &Store{dir: dir, now: time.Now, listed: map[string]Info{}} }

// absent reports that there is no file of a name, nor can be where the path leads through a file.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// Kept reports whether there is a log of an id.
func (s *Store) Kept(id string) bool {
	_, err := os.Stat(s.path(id))
	return !absent(err)
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9]+`)

// mostOfName is how much of a scenario's name an id holds: its end, since names can be paths.
const mostOfName = 96

// NewID names a run by the time of its start, its scenario and a few random digits: ids sort by
// time, to the second.
func NewID(scenario string, started time.Time, random uint64) string {
	name := unfit.ReplaceAllString(scenario, "-")
	name = strings.Trim(name[max(0, len(name)-mostOfName):], "-")
	return fmt.Sprintf("%s-%s-%04x", started.UTC().Format("20060102-150405"), name, random&0xffff)
}

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// Create begins the log of a run under begin.Run, which no other run may have.
func (s *Store) Create(begin lab.Begin) (*Log, error) {
	if !validID.MatchString(begin.Run) {
		return nil, fmt.Errorf("run store: %q cannot name a run: expected letters, digits and . _ -", begin.Run)
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("run store %s: %w", s.dir, err)
	}
	f, err := os.OpenFile(s.path(begin.Run), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("run store: %w", err)
	}
	l, err := s.begin(f, begin)
	if err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

func (s *Store) begin(f *os.File, begin lab.Begin) (*Log, error) {
	if err := filelock.Lock(f); err != nil {
		return nil, fmt.Errorf("run log %s: %w", f.Name(), err)
	}
	l, err := newLog(f)
	if err != nil {
		return nil, err
	}
	if err := l.Append(lab.Event{Kind: lab.KindBegin, Begin: &begin}); err != nil {
		return nil, err
	}
	if err := atomicfile.SyncDir(s.dir); err != nil {
		return nil, fmt.Errorf("run store: %w", err)
	}
	return l, nil
}

func (s *Store) path(id string) string { return filepath.Join(s.dir, id+extension) }

func (s *Store) ids() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("run store: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), extension); ok && e.Type().IsRegular() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
