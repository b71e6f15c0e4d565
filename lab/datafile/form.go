package datafile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

const gzipMagic = "\x1f\x8b"

// Advice for forms that are not read.
const (
	decompress = "decompress it first"
	toLines    = "write its rows as JSON lines, one object a line"
	noText     = "expected text or records"
	isModel    = "a model's weights: expected text or records"
)

// magics are forms that begin with the same bytes always: the formats' own specifications, and the
// file(1) database.
var magics = []struct {
	at          int
	begin, name string
	advice      string
}{
	{0, "\x28\xb5\x2f\xfd", "zstd", decompress + " (zstd -d)"},
	{0, "\xfd7zXZ\x00", "xz", decompress + " (xz -d)"},
	{0, "BZh", "bzip2", decompress + " (bzip2 -d)"},
	{0, "\x04\x22\x4d\x18", "LZ4", decompress + " (lz4 -d)"},
	{0, "LZIP\x01", "lzip", decompress + " (lzip -d)"},
	{0, "\x5d\x00\x00", "LZMA", decompress + " (xz -d)"},
	{0, "\xff\x06\x00\x00sNaPpY", "Snappy", decompress},
	{0, "\x1f\x9d", "compress (.Z)", decompress + " (gzip -d)"},
	{0, "PK\x03\x04", "ZIP", "unpack it first: it is an archive, a document of an office program, or weights of PyTorch"},
	{0, "PK\x05\x06", "empty ZIP", noText},
	{0, "7z\xbc\xaf\x27\x1c", "7-Zip", "unpack it first"},
	{0, "Rar!\x1a\x07", "RAR", "unpack it first"},
	{257, "ustar", "tar", "unpack it first"},
	{0, "PAR1", "Parquet", toLines + " (in Python: pandas.read_parquet(FILE).to_json(OUT, orient=\"records\", lines=True))"},
	{0, "ARROW1", "Arrow", toLines + " (in Python: datasets.Dataset.from_file(FILE).to_json(OUT))"},
	{0, "\xff\xff\xff\xff", "Arrow stream", toLines + " (in Python: datasets.Dataset.from_file(FILE).to_json(OUT))"},
	{0, "FEA1", "Feather", toLines},
	{0, "Obj\x01", "Avro", toLines},
	{0, "ORC", "ORC", toLines},
	{0, "SQLite format 3\x00", "SQLite", toLines},
	{0, "\x89HDF\r\n\x1a\n", "HDF5", toLines},
	{0, "\x93NUMPY", "NumPy array", noText},
	{0, "\x80\x02", "pickle", "a program of Python, which is not run: " + toLines},
	{0, "\x80\x03", "pickle", "a program of Python, which is not run: " + toLines},
	{0, "\x80\x04", "pickle", "a program of Python, which is not run: " + toLines},
	{0, "\x80\x05", "pickle", "a program of Python, which is not run: " + toLines},
	{0, "(lp0\n", "pickle", "a program of Python, which is not run: " + toLines},
	{0, "(dp0\n", "pickle", "a program of Python, which is not run: " + toLines},
	{0, "(lp1\n", "pickle", "a program of Python, which is not run: " + toLines},
	{0, "(dp1\n", "pickle", "a program of Python, which is not run: " + toLines},
	{0, "GGUF", "GGUF", isModel},
	{0, "%PDF-", "PDF", "take its text out first (pdftotext)"},
	{0, "{\\rtf", "RTF", "save it as plain text in UTF-8"},
	{0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Microsoft Office", "save it as plain text in UTF-8"},
	{0, "\x89PNG\r\n\x1a\n", "PNG", noText},
	{0, "\xff\xd8\xff", "JPEG", noText},
	{0, "GIF87a", "GIF", noText},
	{0, "GIF89a", "GIF", noText},
	{0, "RIFF", "RIFF (sound, video or WebP)", noText},
	{0, "ID3", "MP3", noText},
	{0, "fLaC", "FLAC", noText},
	{0, "OggS", "Ogg", noText},
	{4, "ftyp", "MP4", noText},
	{0, "\x7fELF", "ELF program", noText},
	{0, "version https://git-lfs.github.com/spec/", "Git LFS pointer", "it stands for the file: fetch that (git lfs pull)"},
	{0, "version https://hawser.github.com/spec/", "Git LFS pointer", "it stands for the file: fetch that (git lfs pull)"},
}

// refuse reports a form that is not read.
func refuse(head []byte) error {
	head = bytes.TrimPrefix(head, []byte("\ufeff"))
	for _, m := range magics {
		if len(head) > m.at && bytes.HasPrefix(head[m.at:], []byte(m.begin)) {
			return fmt.Errorf("found the form %s, not read: %s", m.name, m.advice)
		}
	}
	// the length of the header, in 8 bytes, and the header, a JSON object
	if len(head) > 8 && head[8] == '{' && binary.LittleEndian.Uint64(head) < 1<<32 && head[7] == 0 {
		return fmt.Errorf("found the form safetensors, not read: %s", isModel)
	}
	return nil
}

// Refuse reports data that begin as a form which is not read, gzip included, for what takes the
// bytes of a text as they are.
func Refuse(data []byte) error {
	head := data[:min(len(data), headBytes)]
	if bytes.HasPrefix(head, []byte(gzipMagic)) {
		return errors.New("found the form gzip, expected text: " + decompress + " (gzip -d)")
	}
	if err := refuse(head); err != nil {
		return err
	}
	if e, _, err := findEncoding(head); err != nil || e != nil {
		if err == nil {
			err = fmt.Errorf("found %s, expected UTF-8: convert it (iconv -f %s -t UTF-8)", e.name, e.iconv)
		}
		return err
	}
	return nil
}
