package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"slimlab/lab"
)

// Every field of an event survives, whatever it holds, and the same event has the same bytes.
func TestRecordRoundTrip(t *testing.T) {
	if e, r := reflect.TypeFor[lab.Event](), reflect.TypeFor[record](); e.NumField() != r.NumField() {
		t.Fatalf("an event has %d fields, a record %d", e.NumField(), r.NumField())
	} else {
		for i := range e.NumField() {
			if e.Field(i).Name != r.Field(i).Name || e.Field(i).Tag.Get("msgpack") != r.Field(i).Tag.Get("msgpack") {
				t.Errorf("field %s %s of an event is %s %s in a record", e.Field(i).Name, e.Field(i).Tag, r.Field(i).Name, r.Field(i).Tag)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		number := rapid.Float64()
		e := lab.Event{
			Kind: lab.Kind(rapid.IntRange(0, 255).Draw(t, "kind")), Time: number.Draw(t, "time"), Cell: text.Draw(t, "cell"), Stage: text.Draw(t, "stage"),
			State: lab.State(rapid.IntRange(0, 9).Draw(t, "state")), Name: text.Draw(t, "name"), Row: text.Draw(t, "row"), Step: rapid.Int().Draw(t, "step"),
			Total: rapid.Int().Draw(t, "total"), Value: number.Draw(t, "value"), Level: lab.Level(rapid.IntRange(0, 2).Draw(t, "level")), Held: rapid.Bool().Draw(t, "held"), Text: text.Draw(t, "text"),
		}
		values := rapid.MapOf(text, rapid.Custom(func(t *rapid.T) lab.Measure {
			return lab.Measure{Value: number.Draw(t, "v"), Low: number.Draw(t, "l"), High: number.Draw(t, "h"), N: rapid.Int().Draw(t, "n"), Warning: text.Draw(t, "d")}
		})).Draw(t, "values")
		if len(values) > 0 {
			e.Values = values
		}
		e.Key, e.Machine, e.Chosen, e.KV = text.Draw(t, "key"), text.Draw(t, "machine"), text.Draw(t, "chosen"), text.Draw(t, "kv")
		if rapid.Bool().Draw(t, "timings") {
			e.Timings = []lab.Timing{{
				Stage: text.Draw(t, "timed"), Run: text.Draw(t, "run"), Machine: text.Draw(t, "how"), Findings: rapid.SliceOfN(text, 1, 3).Draw(t, "findings"),
				Others: rapid.Int().Draw(t, "others"), Beside: rapid.Bool().Draw(t, "beside"),
			}}
		}
		if rapid.Bool().Draw(t, "sampled") {
			e.Sample = &lab.Sample{Prompt: text.Draw(t, "prompt"), Answer: text.Draw(t, "answer"), PromptCut: rapid.Int().Draw(t, "cut"), AnswerCut: rapid.Int().Draw(t, "left"),
				Tokens: rapid.Int().Draw(t, "tokens"), Ended: rapid.Bool().Draw(t, "ended"), By: lab.Writer(text.Draw(t, "by"))}
		}
		if rapid.Bool().Draw(t, "warned") {
			e.Warnings = rapid.SliceOfN(text, 1, 3).Draw(t, "warnings")
		}
		if rapid.Bool().Draw(t, "influence") {
			e.Influence = rapid.MapOfN(text, rapid.Custom(func(t *rapid.T) lab.Influence {
				return lab.NewInfluence(text.Draw(t, "test"), text.Draw(t, "unit"), rapid.SliceOfN(number, 1, 9).Draw(t, "influences"))
			}), 1, 3).Draw(t, "influence of")
		}
		if rapid.Bool().Draw(t, "matrix") {
			e.Matrix = &lab.Matrix{Rows: rapid.Int().Draw(t, "rows"), Columns: rapid.Int().Draw(t, "columns"), Values: rapid.SliceOfN(number, 1, 9).Draw(t, "cells")}
			e.Matrix.RowLabels = rapid.SliceOfN(text, 1, 3).Draw(t, "labels")
		}
		frame, err := newEncoder().encode(e)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			again, _ := newEncoder().encode(e)
			if !bytes.Equal(frame, again) {
				t.Fatalf("two encodings of one event differ")
			}
		}
		var got lab.Event
		if err := msgpack.Unmarshal(frame[recordHeader:], &got); err != nil {
			t.Fatal(err)
		}
		read, err := (&reader{name: "x", version: schemaVersion}).decode(frame[recordHeader:])
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []lab.Event{got, read} {
			if !reflect.DeepEqual(got, e) && !reflect.DeepEqual(zeros(got), zeros(e)) {
				t.Fatalf("got %+v, want %+v", got, e)
			}
		}
	})
}

// zeros makes −0 plain: omitted fields read back as 0.
func zeros(e lab.Event) lab.Event {
	e.Time, e.Value = e.Time+0, e.Value+0
	values := map[string]lab.Measure{}
	for k, m := range e.Values {
		m.Value, m.Low, m.High = m.Value+0, m.Low+0, m.High+0
		values[k] = m
	}
	e.Values = values
	return e
}

func TestLogRoundTrip(t *testing.T) {
	s := open(t)
	write(t, s, "a", 100, 5, lab.Done)
	run, err := s.Read("last")
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Events) != 7 || run.State != lab.Done || run.Scenario != "figure1" || run.Duration != 5*time.Second || run.Cells != 1 {
		t.Errorf("%+v", run)
	}
	if x := run.Events[1].Value; !math.IsInf(x, 1) {
		t.Errorf("first point %v, want +Inf", x)
	}
	if v := lab.Fold(run.Events).Snapshot(); v.State != lab.Done || v.Warnings != 0 || v.Cells[0].Series[0].Count != 5 {
		t.Errorf("board:\n%s", v)
	}
}

// A log that is cut anywhere reads back as a prefix of what was written, with a note unless the cut
// falls between records. One that is cut within its first record is damaged.
func TestTornAnywhere(t *testing.T) {
	s := open(t)
	write(t, s, "a", 1, 4, lab.Done)
	whole, err := os.ReadFile(s.path("a"))
	if err != nil {
		t.Fatal(err)
	}
	full, err := s.Read("a")
	if err != nil {
		t.Fatal(err)
	}
	for _, tail := range []string{"", strings.Repeat("\x00", 40)} {
		begun := false
		for cut := range whole {
			if err := os.WriteFile(s.path("a"), append(whole[:cut:cut], tail...), 0o644); err != nil {
				t.Fatal(err)
			}
			run, err := s.Read("a")
			if tail == "" && !begun && err != nil && strings.Contains(err.Error(), "without the event that begins a run") {
				if list, err := s.List(); err != nil || list[0].Problem == nil || list[0].State != lab.Damaged {
					t.Fatalf("cut at %d: %v, %+v", cut, err, list)
				}
				continue
			}
			begun = true
			if err != nil || run.Problem != nil {
				if tail == "" {
					t.Fatalf("cut at %d: %v, %v", cut, err, run)
				}
				continue // zeros after half a record: damage within the header or the payload
			}
			events := run.Events
			if last := events[len(events)-1]; last.Kind != lab.KindEnd || last.State != lab.Crashed {
				t.Fatalf("cut at %d: ends with %+v", cut, last)
			}
			events = events[:len(events)-1]
			if n := len(events); n > 0 && events[n-1].Kind == lab.KindNote {
				events = events[:n-1]
			}
			if len(events) > len(full.Events) || len(events) > 0 && !reflect.DeepEqual(events, full.Events[:len(events)]) {
				t.Fatalf("cut at %d: %d events are no prefix", cut, len(events))
			}
			if _, err := s.List(); err != nil {
				t.Fatal(err)
			}
		}
		if !begun {
			t.Fatal("no cut leaves a run")
		}
	}
}

// TestZerosAtTheEnd: nothing but zeros behind the last whole record is space that a crash of the
// machine left, of any length; anything else is damage.
func TestZerosAtTheEnd(t *testing.T) {
	s := open(t)
	write(t, s, "a", 1, 2, lab.Done)
	whole, err := os.ReadFile(s.path("a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		length, other int // a byte that is not zero, -1 for none
		damaged       bool
	}{
		{recordHeader, -1, false}, {recordHeader + 1, -1, false}, {100_000, -1, false},
		{recordHeader, 0, true}, {recordHeader, recordHeader - 1, true}, {100, 5, true}, {100, 99, true}, {100_000, 50_000, true}, {100_000, 99_999, true},
	} {
		tail := make([]byte, c.length)
		if c.other >= 0 {
			tail[c.other] = 1
		}
		if err := os.WriteFile(s.path("a"), append(whole[:len(whole):len(whole)], tail...), 0o644); err != nil {
			t.Fatal(err)
		}
		if run, err := s.Read("a"); err != nil || (run.Problem != nil) != c.damaged {
			t.Errorf("%+v: problem %v, error %v", c, run.Problem, err)
		}
	}
}

// A log with a changed byte anywhere is read up to the damage, with an end that says so; it is an
// error only where nothing stands before the damage.
func TestDamageIsFound(t *testing.T) {
	s := open(t)
	write(t, s, "a", 1, 4, lab.Done)
	whole, _ := os.ReadFile(s.path("a"))
	full, _ := s.Read("a")
	// within the begin event
	_, rest, _ := bytes.Cut(whole[fileHeader+recordHeader:], []byte("figure1"))
	begun := len(whole) - len(rest)
	for at := range whole {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x20
		if err := os.WriteFile(s.path("a"), damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		runs, listed := s.List()
		if listed != nil {
			t.Fatal(listed)
		}
		run, err := s.Read("a")
		if err != nil {
			if !strings.Contains(err.Error(), "a"+extension) || at > begun+200 {
				t.Fatalf("byte %d: %v", at, err)
			}
			if runs[0].Problem == nil {
				t.Fatalf("byte %d: the list hides the damage: %+v", at, runs)
			}
			continue
		}
		n := len(run.Events) - 1
		end := run.Events[n]
		if run.Problem == nil { // the end event is lost: a torn end
			if n--; n != len(full.Events)-1 || run.Events[n].Level != lab.Warning || end.State != lab.Crashed {
				t.Fatalf("byte %d of %d: %+v without a word", at, len(whole), run.Events)
			}
			continue
		}
		if !reflect.DeepEqual(run.Events[:n], full.Events[:n]) {
			t.Fatalf("byte %d: the events before the damage are others: %+v", at, run.Events)
		}
		if end.Kind != lab.KindEnd || end.State != lab.Damaged || run.State != lab.Damaged || !strings.Contains(end.Text, "its log is damaged") || !strings.Contains(end.Text, "a"+extension) {
			t.Fatalf("byte %d: the damage is not marked: %+v", at, end)
		}
		if info := runs[0]; info.Problem == nil || info.State != lab.Damaged || info.Scenario != "figure1" || info.Started != time.Unix(1, 0) {
			t.Fatalf("byte %d: the list says %+v", at, info)
		}
		if v := lab.Fold(run.Events).Snapshot(); v.State != lab.Damaged || v.Begin.Run != "a" || !strings.Contains(v.Error, "its log is damaged") {
			t.Fatalf("byte %d: the board shows %s", at, v)
		}
	}
}

func TestDecode(t *testing.T) {
	s := open(t)
	write(t, s, "a", 1, 2, lab.Done)
	whole, _ := os.ReadFile(s.path("a"))
	if events, err := Decode("demo", whole); err != nil || len(events) != 4 {
		t.Errorf("%d events, %v", len(events), err)
	}
	if _, err := Decode("demo", whole[:len(whole)-1]); err == nil || !strings.Contains(err.Error(), "run log demo: ends within a record") {
		t.Errorf("torn: %v", err)
	}
	if _, err := Decode("demo", []byte("x")); err == nil {
		t.Error("decoded nonsense")
	}
}

// TestVersionsOfLogs: a log of version 1, which kept the key of a row's artifact in its text, is
// read as one of today; versions before it and later ones are refused.
func TestVersionsOfLogs(t *testing.T) {
	b := begin("a", 1)
	row, note := lab.Event{Kind: lab.KindRow, Row: "FM", Text: "aa"}, lab.Event{Kind: lab.KindNote, Text: "aa"}
	log := func(version uint32) []byte {
		t.Helper()
		log := binary.LittleEndian.AppendUint32([]byte(magic), version)
		for _, e := range []lab.Event{{Kind: lab.KindBegin, Begin: &b}, row, note} {
			frame, err := newEncoder().encode(e)
			if err != nil {
				t.Fatal(err)
			}
			log = append(log, frame...)
		}
		return log
	}
	for version, want := range map[uint32]lab.Event{1: {Kind: lab.KindRow, Row: "FM", Key: "aa"}, schemaVersion: row} {
		events, err := Decode("old", log(version))
		if err != nil || len(events) != 3 || !reflect.DeepEqual(events[1:], []lab.Event{want, note}) {
			t.Errorf("version %d: %+v, %v", version, events, err)
		}
	}
	for _, version := range []uint32{0, schemaVersion + 1} {
		if _, err := Decode("x", log(version)); err == nil || !strings.Contains(err.Error(), "schema version") {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// TestWhatIsOnTheDisk: events that must not be lost are in the file when Append returns; others
// wait.
func TestWhatIsOnTheDisk(t *testing.T) {
	s := open(t)
	l, err := s.Create(begin("a", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	events := func() int {
		t.Helper()
		run, err := s.Read("a")
		if err != nil {
			t.Fatal(err)
		}
		return len(run.Events)
	}
	if events() != 1 {
		t.Error("the begin event waits")
	}
	written := 1
	for _, c := range []struct {
		event lab.Event
		waits bool
	}{
		{lab.Event{Kind: lab.KindPoint}, true},
		{lab.Event{Kind: lab.KindRow}, false},
		{lab.Event{Kind: lab.KindNote}, true},
		{lab.Event{Kind: lab.KindVerdict}, false},
		{lab.Event{Kind: lab.KindCell, State: lab.Running}, true},
		{lab.Event{Kind: lab.KindCell, State: lab.Failed}, false},
		{lab.Event{Kind: lab.KindMatrix, Matrix: &lab.Matrix{Rows: 1, Columns: 1, Values: []float64{1}}}, true},
		{lab.Event{Kind: lab.KindSample, Sample: &lab.Sample{Prompt: "a", Answer: "b", By: lab.ByStudent}}, true},
		{lab.Event{Kind: lab.KindCell, State: lab.Done}, false},
		{lab.Event{Kind: lab.KindEnd}, false},
	} {
		before := events()
		if err := l.Append(c.event); err != nil {
			t.Fatal(err)
		}
		written++
		want := written
		if c.waits {
			want = before
		}
		if got := events(); got != want {
			t.Errorf("after %s %s %d of %d events are in the file, want %d", c.event.Kind, c.event.State, got, written, want)
		}
	}
}

// countedFile counts what a log asks of its file, and what was written when it was last synced.
type countedFile struct {
	bytes.Buffer
	syncs, synced int
	closed        bool
	broken        error // of each Sync
}

func (f *countedFile) Name() string { return "counted" }
func (f *countedFile) Close() error { f.closed = true; return nil }
func (f *countedFile) Sync() error {
	f.syncs, f.synced = f.syncs+1, f.Len()
	return f.broken
}

// TestSynced: what must not be lost is synced, not only written, before Append returns, once; other
// events wait for Flush or Close. A failed sync is an error of that append and of all later ones.
func TestSynced(t *testing.T) {
	f := &countedFile{}
	l, err := newLog(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		event lab.Event
		syncs int
	}{
		{lab.Event{Kind: lab.KindBegin, Begin: &lab.Begin{Run: "a"}}, 1},
		{lab.Event{Kind: lab.KindPoint}, 0},
		{lab.Event{Kind: lab.KindRow}, 1},
		{lab.Event{Kind: lab.KindNote}, 0},
		{lab.Event{Kind: lab.KindVerdict}, 1},
		{lab.Event{Kind: lab.KindCell, State: lab.Running}, 0},
		{lab.Event{Kind: lab.KindCell, State: lab.Stopped}, 0},
		{lab.Event{Kind: lab.KindCell, State: lab.Failed}, 1},
		{lab.Event{Kind: lab.KindMatrix}, 0},
		{lab.Event{Kind: lab.KindCell, State: lab.Done}, 1},
		{lab.Event{Kind: lab.KindEnd}, 1},
	} {
		before := f.syncs
		if err := l.Append(c.event); err != nil {
			t.Fatal(err)
		}
		if got := f.syncs - before; got != c.syncs {
			t.Errorf("%s %s: %d syncs, expected %d", c.event.Kind, c.event.State, got, c.syncs)
		}
		if c.syncs > 0 && (f.synced != f.Len() || l.out.Buffered() > 0) {
			t.Errorf("%s %s: %d of %d bytes are synced, and %d wait", c.event.Kind, c.event.State, f.synced, f.Len(), l.out.Buffered())
		}
	}
	for i, finish := range []func() error{l.Flush, l.Close} {
		if err := l.Append(lab.Event{Kind: lab.KindPoint}); err != nil {
			t.Fatal(err)
		}
		before := f.syncs
		if err := finish(); err != nil || f.syncs != before+1 {
			t.Errorf("%s: %d syncs, expected 1; %v", []string{"Flush", "Close"}[i], f.syncs-before, err)
		}
	}
	bad := &countedFile{broken: errors.New("the disk is gone")}
	if l, err = newLog(bad); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []lab.Kind{lab.KindRow, lab.KindPoint} {
		if err := l.Append(lab.Event{Kind: kind}); !errors.Is(err, bad.broken) {
			t.Errorf("%s after a failed sync: %v", kind, err)
		}
	}
	if err := l.Close(); !errors.Is(err, bad.broken) || !bad.closed || bad.syncs != 1 {
		t.Errorf("Close: %v, closed %t, %d syncs", err, bad.closed, bad.syncs)
	}
}

// TestSignOfLife: a Flush without events sets the file's time, writes nothing and syncs nothing; a
// file that was removed is no error of it.
func TestSignOfLife(t *testing.T) {
	s := open(t)
	l, err := s.Create(begin("a", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	path := s.path("a")
	old := time.Now().Add(-time.Hour)
	stat := func() os.FileInfo {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	before := stat()
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	if after := stat(); after.ModTime().Sub(before.ModTime()) < 59*time.Minute || after.Size() != before.Size() {
		t.Errorf("time %s, then %s; %d bytes, then %d", before.ModTime(), after.ModTime(), before.Size(), after.Size())
	}
	if err := os.Remove(path); err != nil {
		t.Skip(err)
	}
	if err := l.Flush(); err != nil {
		t.Errorf("flush of a removed log: %v", err)
	}
	f := &countedFile{}
	if l, err = newLog(f); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(); err != nil || f.syncs != 0 {
		t.Errorf("flush without events: %d syncs, %v", f.syncs, err)
	}
}

// A full disk is an error of that append and of all later ones: nothing is written after a gap.
func TestDiskFull(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("skipped: no /dev/full here")
	}
	l, err := newLog(f)
	if err != nil {
		t.Fatal(err)
	}
	b := begin("a", 1)
	first := l.Append(lab.Event{Kind: lab.KindBegin, Begin: &b})
	if !errors.Is(first, syscall.ENOSPC) || !strings.Contains(first.Error(), "run log /dev/full") {
		t.Errorf("got %v", first)
	}
	if err := l.Append(lab.Event{Kind: lab.KindPoint}); err != first {
		t.Errorf("second append: %v", err)
	}
	if err := l.Flush(); err != first {
		t.Errorf("flush: %v", err)
	}
	if err := l.Close(); err != first {
		t.Errorf("close: %v", err)
	}
}

// A record's checksum may be right and the record hostile.
func TestFalseLengthsOfRecords(t *testing.T) {
	for _, payload := range []string{
		"\x81\xa5begin\x81\xa5cells\xdd\x7f\xff\xff\xff\x80", "\x81\xa6matrix\x81\xa6values\xdd\x7f\xff\xff\xff\x00", "\x81\xa6values\xdf\x7f\xff\xff\xff\x00",
	} {
		r := &reader{name: "x"}
		if _, err := r.decode([]byte(payload)); err == nil || !strings.Contains(err.Error(), "elements, expected at most the 1 bytes that follow") {
			t.Errorf("%q: %v", payload, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	s := Open(dir)
	l, err := s.Create(begin("a", 1))
	if err != nil {
		f.Fatal(err)
	}
	l.Append(lab.Event{Kind: lab.KindRow, Cell: "seed=1", Row: "FM", Values: map[string]lab.Measure{"auc": {Value: 1}}})
	l.Close()
	whole, err := os.ReadFile(s.path("a"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, log []byte) {
		r := newReader(bytes.NewReader(log), "x", int64(len(log)))
		err := r.open()
		board := lab.NewBoard()
		for err == nil {
			var payload []byte
			if payload, err = r.next(); err != nil {
				break
			}
			e, bad := r.decode(payload)
			if bad != nil {
				break
			}
			board.Apply(e)
		}
		_ = board.Snapshot().String()
		first, last, err := endsOf(log, int64(len(log)), 0)
		if gotFirst, gotLast, got := endsOf(log, 0, 16); sameError(err, errTorn) || sameError(err, io.EOF) {
			got, want := fmt.Sprint(lab.Fold([]lab.Event{gotFirst, gotLast}).Snapshot(), got), fmt.Sprint(lab.Fold([]lab.Event{first, last}).Snapshot(), err)
			if got != want {
				t.Errorf("the ends are %s, expected %s", got, want)
			}
		}
		if e, err := r.decode(log); err == nil { // payloads without the guard of their checksums
			board.Apply(e)
		}
	})
}

// TestLogOfAnotherRun: a log that was copied or renamed is damaged: its name would be that of a run
// that never was.
func TestLogOfAnotherRun(t *testing.T) {
	s := Open(t.TempDir())
	l, err := s.Create(begin("a", 1))
	if err != nil {
		t.Fatal(err)
	}
	l.Append(lab.Event{Kind: lab.KindEnd, State: lab.Done})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path("a"), s.path("b")); err != nil {
		t.Fatal(err)
	}
	run, err := s.Read("b")
	if err != nil || run.Problem == nil || !strings.Contains(run.Problem.Error(), `holds the run "a"`) || run.State != lab.Damaged {
		t.Errorf("read as %+v, %v", run, err)
	}
	if list, err := s.List(); err != nil || len(list) != 1 || list[0].Problem == nil {
		t.Errorf("listed as %+v, %v", list, err)
	}
}
