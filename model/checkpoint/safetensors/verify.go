package safetensors

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
)

// Verify reads a file again and compares every tensor with what was to be written.
func Verify(ctx context.Context, name string, tensors []Tensor) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s, err := Open(f, info.Size())
	if err != nil {
		return err
	}
	if len(s.Tensors) != len(tensors) {
		return fmt.Errorf("found %d tensors, expected %d", len(s.Tensors), len(tensors))
	}
	for _, t := range tensors {
		found, ok := s.Tensor(t.Name)
		if !ok || found.DType != t.DType || !slices.Equal(found.Shape, t.Shape) {
			return fmt.Errorf("tensor %q: found %s %d, expected %s %d", t.Name, found.DType, found.Shape, t.DType, t.Shape)
		}
		c := &comparison{with: io.NewSectionReader(f, s.data+found.start, found.Bytes())}
		if err := t.Encode(interruptible{ctx, c}); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
	}
	return nil
}

// comparison is a writer that fails where it is given other bytes than a reader has.
type comparison struct {
	with   io.Reader
	buffer []byte
	at     int64
}

func (c *comparison) Write(b []byte) (int, error) {
	if cap(c.buffer) < len(b) {
		c.buffer = make([]byte, len(b))
	}
	found := c.buffer[:len(b)]
	if _, err := io.ReadFull(c.with, found); err != nil {
		return 0, err
	}
	if !bytes.Equal(found, b) {
		return 0, fmt.Errorf("other bytes from byte %d to %d", c.at, c.at+int64(len(b)))
	}
	c.at += int64(len(b))
	return len(b), nil
}
