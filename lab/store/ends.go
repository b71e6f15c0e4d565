package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"slimlab/lab"
)

// A log of up to wholeSize bytes is read whole for the list of runs, so that damage anywhere in it
// is listed. Of a longer one the beginning is read, and the end in windows of windowSize bytes and
// more, until a whole record begins in one.
const (
	wholeSize  = 512 << 10
	windowSize = 64 << 10
)

// ends decodes the first and the last whole record of a log that r has opened and file holds.
func ends(r *reader, file io.ReaderAt, whole, window int64) (first, last lab.Event, err error) {
	payload, err := r.next()
	if err != nil {
		return first, last, err
	}
	if first, err = r.decode(payload); err != nil {
		return first, last, err
	}
	kept := bytes.Clone(payload) // of the last record
	if r.size > whole {
		at, err := lastBeginning(file, r.offset, r.size, window)
		if err != nil {
			return first, first, fmt.Errorf("run log %s: %w", r.name, err)
		}
		r.offset = at
		r.in.Reset(io.NewSectionReader(file, at, r.size-at))
	}
	for err == nil {
		if payload, err = r.next(); err == nil {
			kept = append(kept[:0], payload...)
		}
	}
	last, bad := r.decode(kept)
	if bad != nil {
		return first, last, bad
	}
	return first, last, err
}

// lastBeginning finds where a record begins near the end of a log: the first one in the last window
// that holds a whole record. It returns from, where one begins too, when it finds no other.
func lastBeginning(file io.ReaderAt, from, size, window int64) (int64, error) {
	for ; ; window *= 4 {
		start := max(from, size-window)
		if start == from || window > 2*maxRecord { // a record would have begun
			return from, nil
		}
		data := make([]byte, size-start)
		if n, err := file.ReadAt(data, start); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		} else {
			data = data[:n] // less where the file shrank
		}
		for at := range data {
			if beginsRecord(data[at:]) {
				return start + int64(at), nil
			}
		}
	}
}

// beginsRecord says whether data begins with a whole record.
func beginsRecord(data []byte) bool {
	if len(data) < recordHeader {
		return false
	}
	size := int64(binary.LittleEndian.Uint32(data))
	return size <= int64(len(data)-recordHeader) &&
		crc32.Checksum(data[:8], castagnoli) == binary.LittleEndian.Uint32(data[8:]) &&
		crc32.Checksum(data[recordHeader:recordHeader+size], castagnoli) == binary.LittleEndian.Uint32(data[4:])
}
