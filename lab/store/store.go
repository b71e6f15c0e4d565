package store

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

	mu     sync.Mutex
	listed map[string]Info // runs that have ended, as List found them
}

// Open names the folder of a store. It reads nothing and makes nothing: Create makes the folder
// when it is absent.
func Open(dir string) *Store { return &Store{dir: dir} }

// absent reports that there is no file of a name, nor can be where the path leads through a file.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// Info is one line of the list of runs.
type Info struct {
	ID          string
	Scenario    string
	About       string
	Hash        string
	Machine     string
	State       lab.State // Running only while its process lives
	Interrupted bool      // it never ended, and its process is gone; State is Cancelled
	Error       string
	Started     time.Time
	Duration    time.Duration // to the last event
	Quick       bool
	Cells       int
	Settings    []string // key=value overrides of the scenario
	Source      string   // the scenario file's text
	Seeds       int      // of each point of the sweep
	Seed        int      // the first one
	Bytes       int64
	// why the log cannot be read, or only its beginning; the other fields hold what is known
	Problem error

	modified time.Time // the log
}

// Ended reports whether the run's process is gone or has ended the run.
func (i Info) Ended() bool { return i.State != lab.Running }

// RunningError is the error of a run that cannot be removed: its process lives.
type RunningError struct{ ID string }

func (e *RunningError) Error() string { return "run " + e.ID + " is running: stop it first" }

// Remove deletes the log of the run of an id. Artifacts stay. A run whose process lives is a
// RunningError.
func (s *Store) Remove(id string) error {
	f, err := os.Open(s.path(id))
	if err != nil {
		return fmt.Errorf("run store: %w", err)
	}
	defer f.Close()
	if errors.Is(filelock.Probe(f), filelock.ErrLocked) {
		return &RunningError{id}
	}
	if err := os.Remove(s.path(id)); err != nil {
		return fmt.Errorf("run store: %w", err)
	}
	return atomicfile.SyncDir(s.dir)
}

// Run is a log as it was read.
type Run struct {
	Info
	// Events are all events, or those before the log's damage, and after them what reading found
	// out: a note on a torn end, and an end event for a run that has none.
	Events []lab.Event
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

// Find returns the id that name stands for: an id, a prefix that only one id has, or "last" for the
// run that began last.
func (s *Store) Find(name string) (string, error) {
	ids, err := s.ids()
	if err != nil {
		return "", err
	}
	if slices.Contains(ids, name) {
		return name, nil
	}
	if name == "last" {
		runs, err := s.List()
		if err != nil {
			return "", err
		}
		if len(runs) == 0 {
			return "", fmt.Errorf("run %q: %w: there are no runs yet", name, ErrNotFound)
		}
		return runs[0].ID, nil
	}
	var found []string
	for _, id := range ids {
		if name != "" && strings.HasPrefix(id, name) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("run %q: %w: expected an id, the beginning of one, or last", name, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("run %q is the beginning of %d ids: %s", name, len(found), strings.Join(found[:min(5, len(found))], ", "))
}

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

// List returns all runs, the newest first. A run whose log is damaged, or of a newer version
// (NewerError), is listed with its Problem. A log is read whole, once: that of a run that has ended
// is read again only when its size or its time has changed.
func (s *Store) List() ([]Info, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	runs := make([]Info, 0, len(ids))
	known := map[string]Info{}
	for _, id := range ids {
		if info, ok := s.known(id); ok {
			runs, known[id] = append(runs, info), info
			continue
		}
		var ends [2]lab.Event
		run, err := s.read(id, func(r *reader) error { return firstAndLast(r, &ends) })
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		info := run.Info
		if err == nil {
			err = s.beginning(&info, ends[0])
		}
		info.describe(ends[0], ends[1])
		if err != nil {
			info.damage(err)
		}
		runs = append(runs, info)
		if info.Ended() && err == nil {
			known[id] = info
		}
	}
	s.mu.Lock()
	s.listed = known
	s.mu.Unlock()
	slices.SortFunc(runs, func(a, b Info) int {
		// logs of earlier versions have seconds only: of two that began in one, the later is the
		// one that was written last
		return cmp.Or(b.Started.Compare(a.Started), b.modified.Compare(a.modified), cmp.Compare(b.ID, a.ID))
	})
	return runs, nil
}

// known returns what List found of a run that has ended, unless its log has changed since.
func (s *Store) known(id string) (Info, bool) {
	s.mu.Lock()
	info, ok := s.listed[id]
	s.mu.Unlock()
	if !ok {
		return Info{}, false
	}
	stat, err := os.Stat(s.path(id))
	return info, err == nil && stat.Size() == info.Bytes && stat.ModTime().Equal(info.modified)
}

// Read returns a run by its id, a prefix of it, or "last". A record that the end of the file cuts
// off is left out, with a note. Of a log that is damaged it returns what stands before the damage:
// the run has failed then, and has the Problem. Only a log that is damaged before its first event
// is an error.
func (s *Store) Read(name string) (*Run, error) {
	id, err := s.Find(name)
	if err != nil {
		return nil, err
	}
	var events []lab.Event
	run, err := s.read(id, func(r *reader) error {
		for {
			payload, err := r.next()
			if err != nil {
				return err
			}
			e, err := r.decode(payload)
			if err != nil {
				return err
			}
			events = append(events, e)
		}
	})
	if err == nil {
		err = s.beginning(&run.Info, append(events[:len(events):len(events)], lab.Event{})[0])
	}
	if err != nil && (len(events) == 0 || events[0].Begin == nil) {
		return nil, err
	}
	run.Events = append(events, run.Events...)
	var first, last lab.Event
	if len(events) > 0 {
		first, last = events[0], events[len(events)-1]
	}
	run.describe(first, last)
	if err != nil {
		run.damage(err)
	}
	if run.Interrupted || err != nil {
		run.Events = append(run.Events, lab.Event{Kind: lab.KindEnd, State: run.State, Text: run.Error})
	}
	for i := len(events); i < len(run.Events); i++ {
		run.Events[i].Time = last.Time
	}
	return run, nil
}

// read opens a log and hands its records to walk. It returns what the file itself shows: a torn
// end, a process that is gone.
func (s *Store) read(id string, walk func(*reader) error) (*Run, error) {
	run := &Run{Info: Info{ID: id}}
	f, err := os.Open(s.path(id))
	if err != nil {
		return run, fmt.Errorf("run store: %w", err)
	}
	defer f.Close()
	// The lock is looked at before the size: a writer that ends in between has then written its end
	// within the size.
	live := errors.Is(filelock.Probe(f), filelock.ErrLocked)
	stat, err := f.Stat()
	if err != nil {
		return run, fmt.Errorf("run store: %w", err)
	}
	run.Bytes, run.modified = stat.Size(), stat.ModTime()
	r := &reader{in: bufio.NewReaderSize(f, 64<<10), name: f.Name(), size: stat.Size()}
	if err = r.open(); err == nil {
		err = walk(r)
	}
	run.State, run.Interrupted = lab.Running, !live
	switch {
	case errors.Is(err, errTorn):
		if !live {
			run.Events = append(run.Events, lab.Event{Kind: lab.KindNote, Level: lab.Warning, Text: tornNote})
		}
	case !errors.Is(err, io.EOF):
		return run, err
	}
	return run, nil
}

// beginning reports a log without the event that begins a run, and one that holds another run than
// its name says. One that is being written may not have the event yet.
func (s *Store) beginning(run *Info, first lab.Event) error {
	switch {
	case first.Begin != nil && first.Begin.Run != run.ID:
		return fmt.Errorf("run log %s: holds the run %.160q: it was copied or renamed; give it the name %.160s%s", s.path(run.ID), first.Begin.Run, first.Begin.Run, extension)
	case !run.Interrupted || first.Begin != nil:
		return nil
	}
	return fmt.Errorf("run log %s: %d bytes without the event that begins a run: it was cut off within it, or has been shortened", s.path(run.ID), run.Bytes)
}

// firstAndLast decodes the first and the last whole record.
func firstAndLast(r *reader, ends *[2]lab.Event) error {
	var first, last []byte
	for {
		payload, err := r.next()
		if err == nil {
			if first == nil {
				first = payload
			}
			last = payload
			continue
		}
		for i, payload := range [][]byte{first, last} {
			if payload == nil {
				continue
			}
			e, bad := r.decode(payload)
			if bad != nil {
				return bad
			}
			ends[i] = e
		}
		return err
	}
}

// describe fills the line of the list from the first and the last event.
func (i *Info) describe(first, last lab.Event) {
	if b := first.Begin; b != nil {
		i.Scenario, i.About, i.Hash, i.Machine, i.Quick, i.Cells = b.Scenario, b.About, b.Hash, b.Machine, b.Quick, len(b.Cells)
		i.Started = time.Unix(b.Started, b.Nanoseconds)
		i.Settings, i.Source = b.Settings, b.Source
		i.Seed, i.Seeds = seedsOf(b.Cells)
	}
	i.Duration = time.Duration(last.Time * float64(time.Second))
	switch {
	case last.Kind == lab.KindEnd:
		i.State, i.Error, i.Interrupted = last.State, last.Text, false
	case i.Interrupted:
		i.State, i.Error = lab.Cancelled, interrupted
	}
}

// seedsOf returns the first seed of a plan, and how many seeds each point of its sweep has: the
// plan's order has the seeds of a point beside each other.
func seedsOf(cells []lab.Cell) (first, n int) {
	for _, c := range cells {
		if n > 0 && c.Seed == first {
			break
		}
		if n == 0 {
			first = c.Seed
		}
		n++
	}
	return first, n
}

// damage marks a run whose log cannot be read to its end: how it ended is not known.
func (i *Info) damage(err error) {
	i.Problem, i.State, i.Interrupted = err, lab.Failed, false
	i.Error = "its log is damaged, and what comes after the damage is not shown: " + err.Error()
}

const (
	interrupted = "interrupted: its process is gone"
	tornNote    = "log: its last record is torn and was left out: the run was cut off while writing"
)
