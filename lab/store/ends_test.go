package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"slimlab/lab"
)

// endsOf reads the ends of a log in memory, in windows where the log is longer than whole.
func endsOf(log []byte, whole, window int64) (first, last lab.Event, err error) {
	file := bytes.NewReader(log)
	r := newReader(bytes.NewReader(log), "x", int64(len(log)))
	if err := r.open(); err != nil {
		return first, last, err
	}
	return ends(r, file, whole, window)
}

// mixed is a log of a few records, from 30 bytes to a kilobyte.
func mixed(t *testing.T) []byte {
	t.Helper()
	s := open(t)
	l, err := s.Create(begin("a", 1))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		e := lab.Event{Kind: lab.KindPoint, Time: float64(i), Cell: "seed=1", Name: "loss", Step: i, Value: 1 / float64(i+1)}
		switch i {
		case 3, 7:
			e = lab.Event{Kind: lab.KindMatrix, Time: float64(i), Matrix: &lab.Matrix{Rows: 1, Columns: 240 / i, Values: make([]float64, 240/i)}}
		case 5:
			e = lab.Event{Kind: lab.KindNote, Time: float64(i), Text: strings.Repeat("\x00", 200)}
		}
		if err := l.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.Append(lab.Event{Kind: lab.KindEnd, Time: 8, State: lab.Done}), l.Close()); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(s.path("a"))
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// The ends of a log are those of the whole log, whatever the length of its last records, where it
// is cut off, and with space that was never written behind it.
func TestEndsAreThoseOfTheWholeLog(t *testing.T) {
	log := mixed(t)
	const whole = 1 << 40
	for cut := range len(log) + 1 {
		for _, zeros := range []int{0, 1, 1000} {
			part := append(bytes.Clone(log[:cut]), make([]byte, zeros)...)
			first, last, err := endsOf(part, whole, 0)
			for _, window := range []int64{1, 64, 500} {
				gotFirst, gotLast, got := endsOf(part, 0, window)
				if !reflect.DeepEqual(gotFirst, first) || !reflect.DeepEqual(gotLast, last) || !sameError(got, err) {
					t.Fatalf("cut at %d of %d with %d zeros, window %d:\n%+v, %+v, %v\nexpected\n%+v, %+v, %v", cut, len(log), zeros, window, gotFirst, gotLast, got, first, last, err)
				}
			}
		}
	}
}

// A damaged byte is found at the ends as in the whole log, or it is between them, and the ends are
// those of the log as it was.
func TestDamageOfTheEnds(t *testing.T) {
	log := mixed(t)
	const whole = 1 << 40
	wantFirst, wantLast, _ := endsOf(log, whole, 0)
	found := 0
	for at := range log {
		damaged := bytes.Clone(log)
		damaged[at] ^= 0x20
		first, last, err := endsOf(damaged, whole, 0)
		for _, window := range []int64{1, 64, 500} {
			gotFirst, gotLast, got := endsOf(damaged, 0, window)
			switch {
			case sameError(got, err) && reflect.DeepEqual(gotFirst, first) && reflect.DeepEqual(gotLast, last):
				found++
			case !errors.Is(got, io.EOF) || !reflect.DeepEqual(gotFirst, wantFirst) || !reflect.DeepEqual(gotLast, wantLast):
				t.Fatalf("byte %d of %d, window %d: %+v, %+v, %v", at, len(log), window, gotFirst, gotLast, got)
			}
		}
	}
	if found == 0 {
		t.Error("no damage is found")
	}
}

func sameError(a, b error) bool {
	for _, kind := range []error{io.EOF, errTorn} {
		if errors.Is(a, kind) || errors.Is(b, kind) {
			return errors.Is(a, kind) && errors.Is(b, kind)
		}
	}
	return (a == nil) == (b == nil)
}

// counted counts the bytes that are read of a file.
type counted struct {
	file *os.File
	read int
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.file.Read(b)
	c.read += n
	return n, err
}

func (c *counted) ReadAt(b []byte, at int64) (int, error) {
	n, err := c.file.ReadAt(b, at)
	c.read += n
	return n, err
}

// Of a long log the list reads little more than a window at each end; damage between them is listed
// once the log was read, until the log changes.
func TestListReadsTheEndsOfLongLogs(t *testing.T) {
	s := open(t)
	long(t, s, "a", 20_000)
	log, err := os.ReadFile(s.path("a"))
	if err != nil || len(log) < 2*wholeSize {
		t.Fatalf("a log of %d bytes, %v", len(log), err)
	}
	f, err := os.Open(s.path("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := &counted{file: f}
	r := newReader(c, "a", int64(len(log)))
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	if _, last, err := ends(r, c, wholeSize, windowSize); !errors.Is(err, io.EOF) || last.Kind != lab.KindEnd {
		t.Errorf("ends with %+v, %v", last, err)
	}
	if most := 4 * windowSize; c.read > most {
		t.Errorf("%d of %d bytes are read, expected at most %d", c.read, len(log), most)
	}

	list := func(state lab.State, damaged bool) {
		t.Helper()
		runs, err := s.List()
		if err != nil || len(runs) != 1 {
			t.Fatalf("%d runs, %v", len(runs), err)
		}
		if r := runs[0]; r.State != state || (r.Problem != nil) != damaged || r.Scenario != "figure1" {
			t.Errorf("listed as %+v, expected %s, damaged %t", r, state, damaged)
		}
	}
	log[len(log)/2] ^= 0x20
	if err := os.WriteFile(s.path("a"), log, 0o644); err != nil {
		t.Fatal(err)
	}
	list(lab.Done, false)
	if info, err := s.Scan("a", func(lab.Event) {}); err != nil || info.Problem == nil {
		t.Fatalf("read as %+v, %v", info, err)
	}
	for range 2 {
		list(lab.Damaged, true)
	}
	if err := os.WriteFile(s.path("a"), log[:len(log)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	list(lab.Crashed, false)
}
