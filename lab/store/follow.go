package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"slimlab/internal/filelock"
	"slimlab/lab"
)

// quietLimit is how long a log may stand still, where the file system has no locks, before its
// writer is taken for gone.
const quietLimit = time.Minute

// SilentAfter is how long the process of a run may give no sign of life before the run is Silent. A
// process that works writes to its log each second, or touches it (Log.Flush).
const SilentAfter = 10 * time.Second

// Follower reads the log of a run as another process writes it. It is not safe for several
// goroutines at once.
type Follower struct {
	file   *os.File
	id     string
	reader reader
	last   lab.Event
	begin  lab.Begin // of which Process and Host are kept
	status Status
	now    func() time.Time
}

// Status is what a Follower knows of its run after a call of Next.
type Status struct {
	State    lab.State // Running or Silent only while its process lives
	Modified time.Time // when the log was last written or touched, by the clock of its writer
	// Beat is when Next found a sign of life last, by the clock of this process: the log had grown,
	// or had been touched. At first it is when the log was opened.
	Beat time.Time
	// Process is the id of the process that holds the log of a Silent run, on the machine of the
	// name Host where that is another one; 0 where it is not known.
	Process int
	Host    string
}

// Silence says for how long a Silent run has been that, and what is known of its process.
func (s Status) Silence(now time.Time) string {
	process := "its process"
	if s.Process != 0 {
		process += fmt.Sprintf(" %d", s.Process)
		if s.Host != "" {
			process += " on " + s.Host
		}
	}
	return fmt.Sprintf("for %v: %s holds the log but writes nothing", now.Sub(s.Beat).Truncate(time.Second), process)
}

// ErrReplaced says that the file of a followed log is not the one that was opened: it was removed,
// replaced or shortened. What was read of it stays true.
var ErrReplaced = errors.New("the log was removed, replaced or shortened while it was read")

// Follow opens the log of a run, of which name is the id, a prefix of it, or "last". The caller
// closes the Follower.
func (s *Store) Follow(name string) (*Follower, error) {
	id, err := s.Find(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(id))
	if err != nil {
		return nil, fmt.Errorf("run store: %w", err)
	}
	return &Follower{
		file: f, id: id, reader: reader{name: f.Name()}, status: Status{State: lab.Running, Beat: s.now()}, now: s.now,
	}, nil
}

// ID is that of the run.
func (f *Follower) ID() string { return f.id }

// Close closes the log.
func (f *Follower) Close() error { return f.file.Close() }

// Writing says whether a process writes the log now.
func (f *Follower) Writing() bool {
	locked := filelock.Probe(f.file)
	stat, err := f.file.Stat()
	return err == nil && writing(locked, time.Since(stat.ModTime()))
}

// Next calls apply with each event whose record was completed since the last call. A record that
// the writer has not completed waits for a later call. Of a run whose process is gone before its
// end, Next adds what Read adds: a note on a torn record and an end event. After the end Next reads
// nothing. A run whose process lives and has given no sign of life for SilentAfter is Silent, until
// it gives one. A damaged record is an error, as is a log that is no longer the one that was opened
// (ErrReplaced).
func (f *Follower) Next(apply func(lab.Event)) (Status, error) {
	if f.status.State.Over() {
		return f.status, nil
	}
	// The lock is looked at before the size: a writer that ends in between has then written its end
	// within the size.
	locked := filelock.Probe(f.file)
	stat, err := f.file.Stat()
	if err != nil {
		return f.status, fmt.Errorf("run log %s: %w", f.file.Name(), err)
	}
	if stat.Size() < f.reader.offset {
		return f.status, fmt.Errorf("run log %s: %w", f.file.Name(), ErrReplaced)
	}
	f.hear(stat)
	torn, err := f.read(stat.Size(), apply)
	switch {
	case err != nil:
		return f.status, err
	case f.last.Kind == lab.KindEnd:
		f.status.State = f.last.State
	case !filelock.Current(f.file):
		return f.status, fmt.Errorf("run log %s: %w", f.file.Name(), ErrReplaced)
	case !writing(locked, time.Since(stat.ModTime())):
		f.crashed(torn, apply)
	}
	return f.status, nil
}

// hear takes what a log's size and time say of its writer. The file's time may come from the clock
// of another machine: it is compared with nothing but what it was before.
func (f *Follower) hear(stat os.FileInfo) {
	s, now := &f.status, f.now()
	if stat.Size() > f.reader.size || !stat.ModTime().Equal(s.Modified) {
		if !s.Modified.IsZero() {
			s.Beat = now
		}
		s.Modified = stat.ModTime()
	}
	s.State, s.Process = lab.Running, 0
	if now.Sub(s.Beat) >= SilentAfter {
		s.State, s.Process, s.Host = lab.Silent, filelock.Holder(f.file), ""
		if s.Process == 0 { // the log knows, and the process may be that of another machine
			s.Process = f.begin.Process
			if here, err := os.Hostname(); err != nil || here != f.begin.Host {
				s.Host = f.begin.Host
			}
		}
	}
}

// writing says whether a log's writer lives, by what a look at its lock gave and, where there are
// no locks, by the time since the log was written.
func writing(locked error, quiet time.Duration) bool {
	switch {
	case locked == nil:
		return false
	case errors.Is(locked, filelock.ErrLocked):
		return true
	}
	return quiet < quietLimit
}

// read applies the whole records up to size, and says whether a part of one follows them.
func (f *Follower) read(size int64, apply func(lab.Event)) (torn bool, err error) {
	r := &f.reader
	if r.offset > 0 && r.offset == size {
		return false, nil
	}
	r.size = size
	r.in = bufio.NewReaderSize(io.NewSectionReader(f.file, r.offset, size-r.offset), 64<<10)
	if r.offset == 0 {
		if err = r.open(); errors.Is(err, errTorn) {
			return true, nil
		}
	}
	for err == nil {
		var payload []byte
		if payload, err = r.next(); err != nil {
			break
		}
		var e lab.Event
		if e, err = r.decode(payload); err == nil {
			f.last = e
			if e.Begin != nil {
				f.begin.Process, f.begin.Host = e.Begin.Process, e.Begin.Host
			}
			apply(e)
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		return false, nil
	case errors.Is(err, errTorn):
		return true, nil
	}
	return false, err
}

// crashed ends a run that did not end itself.
func (f *Follower) crashed(torn bool, apply func(lab.Event)) {
	f.status.State, f.status.Process = lab.Crashed, 0
	if torn {
		apply(lab.Event{Kind: lab.KindNote, Time: f.last.Time, Level: lab.Warning, Text: tornNote})
	}
	apply(lab.Event{Kind: lab.KindEnd, Time: f.last.Time, State: lab.Crashed, Text: crashed})
}
