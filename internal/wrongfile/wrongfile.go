// Package wrongfile names what a file is when it is not what its name promises: a Git LFS pointer
// that was never replaced by its file, the page of a web site, an archive of pickled weights; or no
// regular file at all: a pipe, a device, a folder, a link to nothing.
//
// A reader calls Name when its own check of a file has failed, so that its error names the cause: a
// file of another kind may begin with the same bytes. Such files are known by their first bytes
// alone. Open and Folder refuse what is not a regular file before it is opened. The package leaves
// out what is wrong within a file of the right kind.
package wrongfile

import "bytes"

// Head is how many bytes of a file Name looks at, at most.
const Head = 64

// kinds are files by how they begin.
var kinds = []struct{ begin, name string }{
	{"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file: git lfs pull fetches it"},
	{"version https://hawser.github.com/spec/", "a Git LFS pointer, not the file: git lfs pull fetches it"},
	{"<!DOCTYPE html", "a page of HTML, not the file: download it again"},
	{"<!doctype html", "a page of HTML, not the file: download it again"},
	{"<html", "a page of HTML, not the file: download it again"},
	{"<?xml", "an XML document, not the file: download it again"},
	{"PK\x03\x04", "a ZIP archive, as PyTorch pickles weights in: pickled weights are not read"},
	{"\x80\x02", "a Python pickle: pickled weights are not read"},
	{"\x1f\x8b", "a gzip archive: unpack it first"},
	{"GGUF", "a GGUF file: its name must end in .gguf, and is then the MODEL itself"},
	{"\x89HDF\r\n\x1a\n", "an HDF5 file, as TensorFlow writes: its weights are not read"},
}

// Name says what a file is that begins with head and was expected to be another kind of file; "" is
// unknown.
func Name(head []byte) string {
	head = bytes.TrimLeft(head[:min(len(head), Head)], "\r\n\t ")
	for _, k := range kinds {
		if bytes.HasPrefix(head, []byte(k.begin)) {
			return k.name
		}
	}
	if len(head) >= 8 && len(bytes.Trim(head, "\x00")) == 0 {
		return "a file of zeros: its download was cut off"
	}
	return ""
}
