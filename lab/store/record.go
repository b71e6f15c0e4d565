package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"

	"github.com/vmihailenco/msgpack/v5"

	"slimlab/internal/msgpackread"
	"slimlab/lab"
)

// The format of a log, all numbers little-endian:
//
//	file   := "slimlab\n" version:uint32 record*
//	record := size:uint32 crc(payload):uint32 crc(the eight bytes before):uint32 payload
//
// A payload is one event as canonical msgpack: sorted keys, shortest integers; the first is the
// begin event. The header's own checksum distinguishes a damaged size from a torn end. CRCs are
// CRC-32C.
const (
	magic         = "slimlab\n"
	schemaVersion = 2 // 1 had the key of a row's artifact in Text
	firstVersion  = 1 // that can be read
	fileHeader    = len(magic) + 4
	recordHeader  = 12
	maxRecord     = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// byKey encodes as a map in order of key.
type byKey[V any] map[string]V

func (m byKey[V]) EncodeMsgpack(e *msgpack.Encoder) error {
	if err := e.EncodeMapLen(len(m)); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if err := e.EncodeString(key); err != nil {
			return err
		}
		if err := e.Encode(m[key]); err != nil {
			return err
		}
	}
	return nil
}

// record is lab.Event with maps that encode canonically: the library sorts only maps of its own
// few types.
type record struct {
	Kind      lab.Kind             `msgpack:"k"`
	Time      float64              `msgpack:"t"`
	Cell      string               `msgpack:"c,omitempty"`
	Stage     string               `msgpack:"g,omitempty"`
	State     lab.State            `msgpack:"s,omitempty"`
	Name      string               `msgpack:"n,omitempty"`
	Row       string               `msgpack:"r,omitempty"`
	Step      int                  `msgpack:"i,omitempty"`
	Total     int                  `msgpack:"m,omitempty"`
	Value     float64              `msgpack:"v,omitempty"`
	Values    byKey[lab.Measure]   `msgpack:"w,omitempty"`
	Level     lab.Level            `msgpack:"l,omitempty"`
	Held      bool                 `msgpack:"h,omitempty"`
	Unjudged  bool                 `msgpack:"j,omitempty"`
	Text      string               `msgpack:"x,omitempty"`
	Warnings  []string             `msgpack:"q,omitempty"`
	Begin     *lab.Begin           `msgpack:"b,omitempty"`
	Key       string               `msgpack:"a,omitempty"`
	Machine   string               `msgpack:"p,omitempty"`
	Test      string               `msgpack:"e,omitempty"`
	Timings   []lab.Timing         `msgpack:"y,omitempty"`
	Matrix    *lab.Matrix          `msgpack:"z,omitempty"`
	Sample    *lab.Sample          `msgpack:"u,omitempty"`
	Tokens    string               `msgpack:"d,omitempty"`
	Chosen    string               `msgpack:"f,omitempty"`
	KV        string               `msgpack:"kv,omitempty"`
	Influence byKey[lab.Influence] `msgpack:"o,omitempty"`
}

// encoder writes events as framed records.
type encoder struct {
	buffer  bytes.Buffer
	msgpack *msgpack.Encoder
}

func newEncoder() *encoder {
	e := &encoder{}
	e.msgpack = msgpack.NewEncoder(&e.buffer)
	e.msgpack.SetSortMapKeys(true)
	e.msgpack.UseCompactInts(true)
	return e
}

// encode returns the framed record; it is valid until the next call.
func (e *encoder) encode(event lab.Event) ([]byte, error) {
	e.buffer.Reset()
	e.buffer.Write(make([]byte, recordHeader))
	err := e.msgpack.Encode(&record{
		event.Kind, event.Time, event.Cell, event.Stage, event.State, event.Name, event.Row, event.Step, event.Total,
		event.Value, event.Values, event.Level, event.Held, event.Unjudged, event.Text, event.Warnings, event.Begin,
		event.Key, event.Machine, event.Test, event.Timings, event.Matrix, event.Sample, event.Tokens, event.Chosen, event.KV, event.Influence,
	})
	if err != nil {
		return nil, err
	}
	frame := e.buffer.Bytes()
	payload := frame[recordHeader:]
	if len(payload) > maxRecord {
		return nil, fmt.Errorf("event of %d bytes, expected at most %d", len(payload), maxRecord)
	}
	binary.LittleEndian.PutUint32(frame, uint32(len(payload)))
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.PutUint32(frame[8:], crc32.Checksum(frame[:8], castagnoli))
	return frame, nil
}

// errTorn says that a log ends within a record.
var errTorn = errors.New("torn")

// reader goes through a log's records.
type reader struct {
	in      *bufio.Reader
	name    string
	size    int64  // of the file when it was opened; what is appended later is not read
	offset  int64  // of the next record
	version uint32 // of the schema
	large   []byte // a payload that the buffer of in cannot hold; used again for the next
	flat    *flatDecoder
}

func newReader(in io.Reader, name string, size int64) *reader {
	return &reader{in: bufio.NewReaderSize(in, 64<<10), name: name, size: size}
}

// NewerError is the error of a log that a newer version of slimlab wrote. It is not damaged.
type NewerError struct {
	Name    string
	Version uint32 // of the schema
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("run log %s: has the schema version %d, expected %d to %d: a newer slimlab wrote it", e.Name, e.Version, firstVersion, schemaVersion)
}

// open checks the file header. An empty or torn header is errTorn.
func (r *reader) open() error {
	var head [fileHeader]byte
	n, err := io.ReadFull(r.in, head[:])
	if err != nil && !short(err) {
		return fmt.Errorf("run log %s: %w", r.name, err)
	}
	if n < fileHeader {
		if !bytes.HasPrefix([]byte(magic), head[:min(n, len(magic))]) {
			return fmt.Errorf("run log %s: is no run log", r.name)
		}
		return errTorn
	}
	if string(head[:len(magic)]) != magic {
		return fmt.Errorf("run log %s: begins with %q, expected %q: is no run log", r.name, head[:len(magic)], magic)
	}
	r.version = binary.LittleEndian.Uint32(head[len(magic):])
	switch {
	case r.version < firstVersion:
		return fmt.Errorf("run log %s: has the schema version %d, expected %d to %d: its header is damaged", r.name, r.version, firstVersion, schemaVersion)
	case r.version > schemaVersion:
		return &NewerError{r.name, r.version}
	}
	r.offset = int64(fileHeader)
	return nil
}

// next returns the next record's payload, which is valid until the next call. It ends with io.EOF,
// or errTorn where the file ends within a record.
func (r *reader) next() ([]byte, error) {
	left := r.size - r.offset
	if left <= 0 {
		return nil, io.EOF
	}
	if left < recordHeader {
		return nil, errTorn
	}
	head, err := r.in.Peek(recordHeader)
	if err != nil {
		return nil, r.failed(err)
	}
	size, sum := int64(binary.LittleEndian.Uint32(head)), binary.LittleEndian.Uint32(head[4:])
	if crc32.Checksum(head[:8], castagnoli) != binary.LittleEndian.Uint32(head[8:]) || size > maxRecord {
		// a crash of the machine can leave space that was never written
		if r.zeros(left) {
			return nil, errTorn
		}
		return nil, fmt.Errorf("run log %s: damaged record header at byte %d of %d", r.name, r.offset, r.size)
	}
	if left-recordHeader < size {
		return nil, errTorn
	}
	payload, err := r.take(int(size))
	if err != nil {
		return nil, r.failed(err)
	}
	if crc32.Checksum(payload, castagnoli) != sum {
		if left-recordHeader == size {
			return nil, errTorn
		}
		return nil, fmt.Errorf("run log %s: damaged record at byte %d of %d", r.name, r.offset, r.size)
	}
	r.offset += recordHeader + size
	return payload, nil
}

// take reads the payload of the record that begins here.
func (r *reader) take(size int) (payload []byte, err error) {
	if recordHeader+size > r.in.Size() {
		_, _ = r.in.Discard(recordHeader) // which has been seen
		r.large = slices.Grow(r.large[:0], size)[:size]
		_, err = io.ReadFull(r.in, r.large)
		return r.large, err
	}
	frame, err := r.in.Peek(recordHeader + size)
	if err != nil {
		return nil, err
	}
	_, _ = r.in.Discard(len(frame)) // it stays in the buffer until more is read
	return frame[recordHeader:], nil
}

// zeros says whether the rest of the file is nothing but zeros.
func (r *reader) zeros(left int64) bool {
	isZero := func(b []byte) bool { return !slices.ContainsFunc(b, func(x byte) bool { return x != 0 }) }
	buffer := make([]byte, 32<<10)
	in := io.LimitReader(r.in, left)
	for {
		n, err := in.Read(buffer)
		if !isZero(buffer[:n]) {
			return false
		}
		if err != nil {
			return true
		}
	}
}

func (r *reader) failed(err error) error {
	if short(err) { // the file shrank while it was read
		return errTorn
	}
	return fmt.Errorf("run log %s: %w", r.name, err)
}

func short(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// decode reads one event.
func (r *reader) decode(payload []byte) (lab.Event, error) {
	if r.flat == nil {
		r.flat = newFlatDecoder()
	}
	var e lab.Event
	if !r.flat.decode(payload, &e) {
		var err error
		if e, err = decodeAny(payload); err != nil {
			return e, fmt.Errorf("run log %s: record before byte %d: %w", r.name, r.offset, err)
		}
	}
	if r.version == 1 && e.Kind == lab.KindRow {
		e.Key, e.Text = e.Text, ""
	}
	return e, nil
}

// decodeAny decodes an event of any form.
func decodeAny(payload []byte) (e lab.Event, err error) {
	err = msgpackread.Decode(payload, &e)
	return e, err
}
