package store

import (
	"bytes"
	"errors"
	"io"

	"slimlab/lab"
)

// Decode reads the events of a complete log that is in memory, such as one that is embedded. name stands for it in errors.
func Decode(name string, log []byte) ([]lab.Event, error) {
	r := &reader{in: bytes.NewReader(log), name: name, size: int64(len(log))}
	if err := r.open(); err != nil {
		return nil, err
	}
	var events []lab.Event
	for {
		payload, err := r.next()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		e, err := r.decode(payload)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
}
