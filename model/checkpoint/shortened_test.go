//go:build unix

package checkpoint

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that is shortened while it is open is an error, not the end of the process and its work.
func TestShortenedFile(t *testing.T) {
	dir := t.TempDir()
	if err := WriteRandom(context.Background(), dir, shapes()["tied"], 1); err != nil {
		t.Fatal(err)
	}
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 0); err != nil {
		t.Fatal(err)
	}
	const want = "the mapped file could not be read: it was shortened, or its disk failed"
	if _, err := c.Model(context.Background()); err == nil || !strings.HasPrefix(err.Error(), "tensor ") || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("found %v, expected %s", err, want)
	}
}
