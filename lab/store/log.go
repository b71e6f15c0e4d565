package store

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"slimlab/lab"
)

// Log is the log of a run that is being written. Its methods may be called from several goroutines.
// After a failed write every later call returns the same error: a log has no holes.
type Log struct {
	mu      sync.Mutex
	file    logFile
	out     *bufio.Writer
	encoder *encoder
	waiting bool // something was appended that is not synced
	err     error
}

// logFile is what a log needs of its file.
type logFile interface {
	io.WriteCloser
	Sync() error
	Name() string
}

func newLog(f logFile) (*Log, error) {
	l := &Log{file: f, out: bufio.NewWriterSize(f, 64<<10), encoder: newEncoder()}
	head := binary.LittleEndian.AppendUint32([]byte(magic), schemaVersion)
	if _, err := l.out.Write(head); err != nil {
		return nil, l.fail(err)
	}
	return l, nil
}

// Append adds an event. What must not be lost (begin, rows, failures, verdicts, the end) is on the
// disk when Append returns; other events wait for the next Flush.
func (l *Log) Append(e lab.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	frame, err := l.encoder.encode(e)
	if err != nil {
		return l.fail(err)
	}
	l.waiting = true
	if _, err := l.out.Write(frame); err != nil {
		return l.fail(err)
	}
	if durable(e) {
		return l.sync()
	}
	return nil
}

func durable(e lab.Event) bool {
	switch e.Kind {
	case lab.KindBegin, lab.KindRow, lab.KindVerdict, lab.KindEnd:
		return true
	case lab.KindCell:
		return e.State == lab.Failed || e.State == lab.Done
	}
	return false
}

// Flush puts everything on the disk. A runner calls it every second. Where nothing waits it only
// sets the file's time, as a sign of life for those who follow the log.
func (l *Log) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if !l.waiting {
		// one that fails loses a sign of life and no event
		_ = os.Chtimes(l.file.Name(), time.Time{}, time.Now())
		return nil
	}
	return l.sync()
}

func (l *Log) sync() error {
	if err := l.out.Flush(); err != nil {
		return l.fail(err)
	}
	if err := l.file.Sync(); err != nil {
		return l.fail(err)
	}
	l.waiting = false
	return nil
}

// Close flushes and closes the log. A log that is closed without an end event is that of an
// interrupted run.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.sync()
	}
	first := l.err
	if err := l.file.Close(); err != nil && first == nil {
		first = l.fail(err)
	}
	if l.err == nil {
		l.err = fmt.Errorf("run log %s: %w", l.file.Name(), os.ErrClosed)
	}
	return first
}

func (l *Log) fail(err error) error {
	l.err = fmt.Errorf("run log %s: %w", l.file.Name(), err)
	return l.err
}
