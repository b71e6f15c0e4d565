//go:build unix

package mapped

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T, data []byte) *File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestViews(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 3000)
	f := open(t, data)
	if f.Size() != int64(len(data)) {
		t.Errorf("size %d, expected %d", f.Size(), len(data))
	}
	for range 2 { // the second time what was forgotten
		if v := f.View(9990, 10015); !bytes.Equal(v, data[9990:20005]) || cap(v) != 10015 {
			t.Errorf("the view differs, or reaches beyond itself: capacity %d", cap(v))
		}
		f.Forget(9990, 10015)
		f.Forget(3, 4)
	}
	for _, c := range []struct {
		at  int64
		len int
		n   int
		err error
	}{{0, 7, 7, nil}, {29_995, 5, 5, nil}, {29_995, 6, 5, io.EOF}, {30_000, 1, 0, io.EOF}, {1 << 60, 1, 0, io.EOF}, {-1, 1, 0, io.EOF}} {
		p := make([]byte, c.len)
		if n, err := f.ReadAt(p, c.at); n != c.n || err != c.err || n > 0 && !bytes.Equal(p[:n], data[c.at:c.at+int64(n)]) {
			t.Errorf("ReadAt %d bytes from %d: %d, %v; expected %d, %v", c.len, c.at, n, err, c.n, c.err)
		}
	}
}

func TestShortened(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, make([]byte, 1<<16), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := os.Truncate(name, 0); err != nil {
		t.Fatal(err)
	}
	sum := byte(0)
	for what, err := range map[string]error{
		"Guard":  m.Guard(func() { sum += m.View(1<<15, 8)[3] }),
		"ReadAt": second(m.ReadAt(make([]byte, 8), 1<<15)),
	} {
		if err == nil || !strings.Contains(err.Error(), "it was shortened") {
			t.Errorf("%s: %v", what, err)
		}
	}
	defer func() {
		if r := recover(); r != "another" {
			t.Errorf("recovered %v, expected the panic of what was called", r)
		}
	}()
	t.Error(m.Guard(func() { panic("another") }))
}

func second(_ int, err error) error { return err }

func TestEmptyAndFolder(t *testing.T) {
	if f := open(t, nil); f.Size() != 0 {
		t.Errorf("size %d, expected 0", f.Size())
	}
	d, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(d); err == nil || !strings.Contains(err.Error(), "expected a regular file") {
		t.Errorf("a folder: %v", err)
	}
}
