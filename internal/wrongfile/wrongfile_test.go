package wrongfile

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	for head, want := range map[string]string{
		"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n": "a Git LFS pointer, not the file",
		"\n <!DOCTYPE html><html>":         "a page of HTML",
		"PK\x03\x04data.pkl":               "a ZIP archive",
		"\x80\x02}q\x00":                   "a Python pickle",
		"\x1f\x8b\x08":                     "a gzip archive",
		"GGUF\x03\x00\x00\x00":             "a GGUF file",
		strings.Repeat("\x00", 16):         "a file of zeros",
		"":                                 "",
		"{\"a\": 1}":                       "",
		"version 2 of the file":            "",
		"\x10\x00\x00\x00\x00\x00\x00\x00": "",
		"\x00":                             "",
	} {
		if got := Name([]byte(head)); got != want && (want == "" || !strings.HasPrefix(got, want)) {
			t.Errorf("%q: found %q, expected %q", head, got, want)
		}
	}
}
