//go:build unix

package datafile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPipesAreReadToTheirEnd(t *testing.T) {
	path := fifo(t)
	const content = "{\"p\":1}\n{\"p\":2}\n"
	go func() {
		if w, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			_, _ = w.WriteString(content[:3])
			_, _ = w.WriteString(content[3:])
			_ = w.Close()
		}
	}()
	f, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for _, err := range f.Records() {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if sum, err := f.Sum(); n != 2 || err != nil || sum != sumOf(content) {
		t.Errorf("%d records, sum %s, %v", n, sum, err)
	}
}

// TestPipesEndWithTheContext: opening a pipe that nobody writes to, and reading one whose
// writer says nothing, end with the context.
func TestPipesEndWithTheContext(t *testing.T) {
	path := fifo(t)
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if _, err := Open(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("without a writer: %v", err)
	}
	path = fifo(t)
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel = context.WithCancel(t.Context())
	go cancel()
	if _, err := Open(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("with a silent writer: %v", err)
	}
}
