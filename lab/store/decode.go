package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"slimlab/lab"
)

// Decode reads the events of a complete log that is in memory, such as one that is embedded; errors
// call it name. A torn end is an error here.
func Decode(name string, log []byte) ([]lab.Event, error) {
	r := newReader(bytes.NewReader(log), name, int64(len(log)))
	err := r.open()
	var events []lab.Event
	for err == nil {
		var payload []byte
		if payload, err = r.next(); err != nil {
			break
		}
		var e lab.Event
		if e, err = r.decode(payload); err == nil {
			events = append(events, e)
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		return events, nil
	case errors.Is(err, errTorn):
		return nil, fmt.Errorf("run log %s: ends within a record at byte %d of %d", name, r.offset, r.size)
	}
	return nil, err
}
