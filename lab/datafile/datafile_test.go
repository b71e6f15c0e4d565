package datafile

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func zipped(content string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(content)) // into memory
	_ = z.Close()
	return b.String()
}

func sumOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func inUTF16(text string, order binary.AppendByteOrder) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

func inUTF32(text string, order binary.AppendByteOrder) string {
	var b []byte
	for _, r := range text {
		b = order.AppendUint32(b, uint32(r))
	}
	return string(b)
}

func readText(t testing.TB, path string, lines int) (string, []string, error) {
	t.Helper()
	f, err := Open(t.Context(), path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	text, err := f.Text(lines)
	return text, f.Notes(), err
}

// readRecords returns a file's records as "line: JSON", joined by spaces.
func readRecords(t testing.TB, path string) (string, []string, error) {
	t.Helper()
	f, err := Open(t.Context(), path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	var all []string
	for r, err := range f.Records() {
		if err != nil {
			return strings.Join(all, " "), f.Notes(), err
		}
		all = append(all, fmt.Sprintf("%d:%s", r.Line, bytes.Join(bytes.Fields(r.JSON), nil)))
	}
	return strings.Join(all, " "), f.Notes(), nil
}

func TestTextIsTheSameInEveryEncoding(t *testing.T) {
	const text = "Grüße, 世界 🙂\nsecond line\n\nlast"
	for name, c := range map[string]struct{ content, note string }{
		"plain":       {text, ""},
		"mark":        {"\ufeff" + text, ""},
		"gzip":        {zipped(text), "decompressed from gzip"},
		"gzip, mark":  {zipped("\ufeff" + text), "decompressed from gzip"},
		"two members": {zipped(text[:9]) + zipped(text[9:]), "decompressed from gzip"},
		"padded":      {zipped(text) + strings.Repeat("\x00", 700), "decompressed from gzip"},
		"UTF-16 LE":   {"\xff\xfe" + inUTF16(text, binary.LittleEndian), "decoded from UTF-16, little-endian"},
		"UTF-16 BE":   {"\xfe\xff" + inUTF16(text, binary.BigEndian), "decoded from UTF-16, big-endian"},
		"UTF-32 LE":   {"\xff\xfe\x00\x00" + inUTF32(text, binary.LittleEndian), "decoded from UTF-32, little-endian"},
		"UTF-32 BE":   {"\x00\x00\xfe\xff" + inUTF32(text, binary.BigEndian), "decoded from UTF-32, big-endian"},
	} {
		got, notes, err := readText(t, write(t, "a.txt", c.content), 0)
		if err != nil || got != text || !strings.Contains(strings.Join(notes, "\n"), c.note) || (c.note == "") != (len(notes) == 0) {
			t.Errorf("%s: found %q, notes %q, %v", name, got, notes, err)
		}
	}
	long := strings.Repeat("añ🙂", 50_000)
	if got, _, err := readText(t, write(t, "a.txt", "x"+long), 0); err != nil || got != "x"+long {
		t.Errorf("a long text: %d bytes, %v", len(got), err)
	}
	for lines, want := range map[int]string{1: "Grüße, 世界 🙂\n", 3: "Grüße, 世界 🙂\nsecond line\n\n", 4: text, 9: text} {
		if got, _, err := readText(t, write(t, "a.txt", text), lines); err != nil || got != want {
			t.Errorf("%d lines: found %q, %v", lines, got, err)
		}
	}
}

func TestWhatIsNoTextIsRefusedByName(t *testing.T) {
	const text = "plain text of some length\n"
	header := `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	for _, c := range []struct{ name, content, want string }{
		{"zstd", "\x28\xb5\x2f\xfd\x04\x00", "the form zstd, not read: decompress it first (zstd -d)"},
		{"xz", "\xfd7zXZ\x00\x00", "the form xz"},
		{"bzip2", "BZh91AY&SY", "the form bzip2"},
		{"zip", "PK\x03\x04\x14\x00", "the form ZIP"},
		{"tar", strings.Repeat("a", 257) + "ustar\x00", "the form tar"},
		{"tar.gz", zipped(strings.Repeat("a", 257) + "ustar\x00"), "the form tar"},
		{"parquet", "PAR1\x15\x04", "the form Parquet, not read: write its rows as JSON lines"},
		{"arrow", "ARROW1\x00\x00", "the form Arrow"},
		{"arrow stream", "\xff\xff\xff\xff\x10\x00\x00\x00", "the form Arrow stream"},
		{"pickle", "\x80\x04\x95", "the form pickle"},
		{"safetensors", string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header, "the form safetensors, not read: a model's weights"},
		{"gguf", "GGUF\x03\x00\x00\x00", "the form GGUF"},
		{"pdf", "%PDF-1.7\n", "the form PDF"},
		{"png", "\x89PNG\r\n\x1a\n", "the form PNG"},
		{"rtf", `{\rtf1 hello}`, "the form RTF"},
		{"lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "the form Git LFS pointer"},
		{"gzip within gzip", zipped(zipped(text)), "gzip within gzip"},
		{"cut gzip", zipped(text)[:20], "it was cut off"},
		{"words behind gzip", zipped(text) + "garbage", `gzip: found "garbage" behind the end of the compressed text, expected its end`},
		{"text behind gzip", zipped(text) + strings.Repeat("more text ", 9), `gzip: found "more text more text more text mo" behind the end`},
		{"text behind padding", zipped(text) + "\x00\x00\x00x", `gzip: found "x" behind the end`},
		{"a member cut off", zipped(text) + zipped(text)[:5], "it was cut off"},
		{"a damaged member", zipped(text) + zipped(text)[:12] + "\xff\xff\xff\xff" + zipped(text)[16:], "gzip: the stream is damaged"},
		{"damaged gzip", zipped(text)[:12] + "\xff\xff\xff\xff" + zipped(text)[16:], "gzip: the stream is damaged"},
		{"CSV", "prompt,response\n\"say, 1\",ok\nsay 2,ok\n", "comma- or tab-separated"},
		{"TSV", "id\ttext\n1\thello\n2\tthere\n", "comma- or tab-separated"},
		{"UTF-16 without a mark", inUTF16(text, binary.LittleEndian), "found a NUL at byte 2 and text in UTF-16, little-endian, without a byte order mark, expected UTF-8: convert it (iconv -f UTF-16LE"},
		{"UTF-16 BE without a mark", inUTF16(text, binary.BigEndian), "found a NUL at byte 1 and text in UTF-16, big-endian,"},
		{"UTF-32 without a mark", inUTF32(text, binary.LittleEndian), "text in UTF-32, little-endian,"},
		{"half a surrogate pair", "\xff\xfe" + inUTF16("a", binary.LittleEndian) + "\x00\xd8b\x00", "half of a surrogate pair at byte 5"},
		{"odd UTF-16", "\xff\xfea\x00b", "ends within a character, at byte 5"},
		{"Latin-1", "first\nGr\xfc\xdfe\n", "a.txt:2: not valid UTF-8: byte 0xFC at byte 3 of the line, byte 9 of the text; if it is Latin-1, convert it"},
		{"cut character", "abc\xe4\xb8", "a.txt:1: not valid UTF-8: byte 0xE4 at byte 4 of the line"},
		{"NUL", "some text\nand a \x00 zero", "a.txt:2: found a NUL, which text does not have, at byte 7 of the line, byte 17 of the text"},
		{"empty", "", "the file is empty, expected text or records"},
		{"empty gzip", zipped(""), "the file is empty"},
	} {
		_, _, err := readText(t, write(t, "a.txt", c.content), 0)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "a.txt") {
			t.Errorf("%s: error %v\nexpected %q", c.name, err, c.want)
		}
	}
	if _, _, err := readText(t, t.TempDir(), 0); err == nil || !strings.Contains(err.Error(), "a directory, expected a file") {
		t.Errorf("a directory: %v", err)
	}
	if _, _, err := readText(t, filepath.Join(t.TempDir(), "none"), 0); !os.IsNotExist(err) {
		t.Errorf("an absent file: %v", err)
	}
}

func TestTextThatLooksLikeATableIsRead(t *testing.T) {
	for _, text := range []string{
		"Alas, poor Yorick\nI knew him, Horatio\n", "text\nprompt\n", "a, b\n", "the answer, my friend, is blowing\n", "question, answer\nand then, as he said, nothing\n",
		"[1] A footnote, and text.\n", "{a set} of things\n", "BZ is no archive\n",
	} {
		if got, _, err := readText(t, write(t, "a.txt", text), 0); err != nil || got != text {
			t.Errorf("%q: found %q, %v", text, got, err)
		}
	}
}

// TestHeadings: headings are short names of at most three words, one of them usual for data unless
// any will do.
func TestHeadings(t *testing.T) {
	forty := strings.Repeat("x", 40)
	for _, c := range []struct {
		row   []string
		named bool
		want  bool
	}{
		{[]string{"prompt", "response"}, false, true}, {[]string{" Prompt ", "other"}, false, true}, {[]string{"one", "two"}, false, false}, {[]string{"one", "two"}, true, true},
		{[]string{"prompt", "as it is"}, false, true}, {[]string{"prompt", "as it is not"}, false, false}, {[]string{"prompt", "as it is not"}, true, false},
		{[]string{"prompt", ""}, false, false}, {[]string{"prompt", "  "}, true, false}, {[]string{"prompt", forty}, false, true}, {[]string{"prompt", forty + "x"}, false, false},
	} {
		if got := areHeadings(c.row, c.named); got != c.want {
			t.Errorf("%q, any will do %v: %v", c.row, c.named, got)
		}
	}
}

func TestRecordsOfEveryForm(t *testing.T) {
	const lines = `{"p":1}` + "\n" + `{"p":2}` + "\n"
	for name, c := range map[string]struct {
		content, want string
		form          Form
	}{
		"lines":                {lines, `1:{"p":1} 2:{"p":2}`, Lines},
		"lines, no last end":   {lines[:len(lines)-1], `1:{"p":1} 2:{"p":2}`, Lines},
		"lines, spaces":        {"\n \r\n" + strings.ReplaceAll(lines, "\n", "\r\n\r\n"), `3:{"p":1} 5:{"p":2}`, Lines},
		"lines, mark":          {"\ufeff" + lines, `1:{"p":1} 2:{"p":2}`, Lines},
		"lines, gzip":          {zipped(lines), `1:{"p":1} 2:{"p":2}`, Lines},
		"lines, UTF-16":        {"\xff\xfe" + inUTF16(lines, binary.LittleEndian), `1:{"p":1} 2:{"p":2}`, Lines},
		"one":                  {`{"p":1}`, `1:{"p":1}`, Lines},
		"array":                {`[{"p":1},{"p":2}]`, `1:{"p":1} 1:{"p":2}`, Array},
		"array over lines":     {"\n[\n {\"p\":\n1},\n\n{\"p\":2}]\n\n", `3:{"p":1} 6:{"p":2}`, Array},
		"empty array":          {"[]", "", Array},
		"list in an object":    {`{"version":1,"data":[{"p":1},{"p":2}]}`, `1:{"p":1} 1:{"p":2}`, Lines},
		"list, over lines":     {"{\n\"train\": [\n{\"p\":1},\n{\"p\":2}\n]}\n", `3:{"p":1} 4:{"p":2}`, Lines},
		"object over lines":    {"{\n\"p\":\n1}\n", `1:{"p":1}`, Lines},
		"objects over lines":   {"\n{\n\"p\":1\n}\n\n{\n\"p\":2\n}\n", `2:{"p":1} 6:{"p":2}`, Lines},
		"objects with lists":   {"{\"data\":[{\"p\":1}]}\n{\"data\":[]}\n", `1:{"data":[{"p":1}]} 2:{"data":[]}`, Lines},
		"a list of no objects": {`{"a":1,"data":[1,2]}`, `1:{"a":1,"data":[1,2]}`, Lines},
		"white space":          {"\n \n", "", Text},
	} {
		path := write(t, "data.bin", c.content)
		got, _, err := readRecords(t, path)
		if err != nil || got != c.want {
			t.Errorf("%s: found %s, %v\nexpected %s", name, got, err, c.want)
		}
		if f, err := Open(t.Context(), path); err != nil || f.Form() != c.form {
			t.Errorf("%s: form %v, %v", name, f.Form(), err)
		}
	}
}

func TestRecordErrorsNameTheLine(t *testing.T) {
	for name, c := range map[string]struct{ content, before, want string }{
		"array cut off":      {"[\n{\"p\":1},\n{\"p\"", "", "data.jsonl:3: column 4: not JSON: the text ends within an object: it was cut off"},
		"behind the array":   {"[\n{\"p\":1}]\n\nx", "", `data.jsonl:4: found "x" behind the end of the JSON array`},
		"comma in an array":  {"[\n{\"p\":1}\n{\"p\":2}]", "", `data.jsonl:3: column 1: not JSON: found "{", expected a comma or ]`},
		"object over lines":  {"{\n\"p\":1,\n}", "", `data.jsonl:3: column 1: not JSON: found "}", expected a key in double quotes`},
		"object cut off":     {"{\n\"p\":1,\n", "", "data.jsonl:2: column 7: not JSON: the text ends within an object: it was cut off"},
		"second over lines":  {"{\n\"p\":1}\n{\n\"p\" 2}", `1:{"p":1}`, "data.jsonl:4: column 5: not JSON: found 2, expected a colon"},
		"Latin-1 in line 2":  {"{\"p\":1}\n{\"p\":\"\xe9\"}\n", `1:{"p":1}`, "data.jsonl:2: not valid UTF-8: byte 0xE9 at byte 7 of the line"},
		"a line without end": {`{"p":1}` + "\n" + `{"p":"` + strings.Repeat("a", LongestLine+100_000), `1:{"p":1}`, "data.jsonl:2: the line is longer than 64 MB"},
	} {
		got, _, err := readRecords(t, write(t, "data.jsonl", c.content))
		if err == nil || !strings.Contains(err.Error(), c.want) || got != c.before {
			t.Errorf("%s: records %s, error %v\nexpected %s and %q", name, got, err, c.before, c.want)
		}
	}
}

func TestSumIsOfAllBytesAsStored(t *testing.T) {
	content := zipped(strings.Repeat("a line\n", 1000)) + zipped("more")
	f, err := Open(t.Context(), write(t, "a", content))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := f.Text(1); err != nil || text != "a line\n" {
		t.Fatalf("found %q, %v", text, err)
	}
	if sum, err := f.Sum(); err != nil || sum != sumOf(content) {
		t.Errorf("found %s, %v, expected %s", sum, err, sumOf(content))
	}
}

func TestExpansionOfGzipIsBounded(t *testing.T) {
	e := &expansion{from: strings.NewReader("abc"), raw: &source{read: 100}, read: largeExpansion}
	if _, err := e.Read(make([]byte, 8)); err == nil || !strings.Contains(err.Error(), "more than 250 times as much") {
		t.Errorf("found %v", err)
	}
}
