package tokenizer

import (
	"strings"
	"testing"
	"testing/fstest"
)

// A Git LFS pointer in place of any of the tokenizer's files is named.
func TestPointersAreNamed(t *testing.T) {
	pointer := &fstest.MapFile{Data: []byte("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n")}
	vocab := &fstest.MapFile{Data: []byte(`{"a": 0, "b": 1, "ab": 2}`)}
	for name, folder := range map[string]fstest.MapFS{
		"tokenizer.json":        {"tokenizer.json": pointer},
		"tokenizer.model":       {"tokenizer.model": pointer},
		"vocab.json":            {"vocab.json": pointer, "merges.txt": {Data: []byte("a b\n")}},
		"merges.txt":            {"vocab.json": vocab, "merges.txt": pointer},
		"tokenizer_config.json": {"vocab.json": vocab, "merges.txt": {Data: []byte("a b\n")}, "tokenizer_config.json": pointer},
	} {
		_, err := LoadFS(folder, ".")
		if want := name + ": found a Git LFS pointer, not the file: git lfs pull fetches it"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("found %v, expected %s", err, want)
		}
	}
}
