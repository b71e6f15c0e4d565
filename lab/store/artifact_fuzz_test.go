package store

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
)

// Metadata are read or damaged, and what is read is written and read again as it was. The fuzzer
// writes what is before the checksum, which would hide everything else from it.
func FuzzMeta(f *testing.F) {
	dir := f.TempDir()
	if err := writeMeta(dir, meta{}); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, metaFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole[:len(whole)-sha256.Size])
	f.Add([]byte("\x80"))
	f.Add([]byte("\xdf\xff\xff\xff\xff"))
	f.Add([]byte("\x81\xa5files\xdd\x7f\xff\xff\xff\x83"))
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		if _, err := decodeMeta(append(body[:len(body):len(body)], sum[:]...)); err != nil {
			if _, ok := err.(damage); !ok {
				t.Fatalf("metadata that cannot be read are %T %v, expected damage", err, err)
			}
		}
		if len(body) > 0 {
			body[0] ^= 1
			if _, err := decodeMeta(append(body[:len(body):len(body)], sum[:]...)); err == nil {
				t.Fatal("a changed bit is not noticed")
			}
		}
	})
}
