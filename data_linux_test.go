package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/sys/unix"

	"slimlab/lab/recipe"
)

// dataKind is a kind of file that a user may give as data.
type dataKind struct {
	name    string
	content string
	refusal string // in the error of every verb; "" is read
	like    string // the kind that it must be read alike; "" is itself
}

// dataKinds are files in every form: those of records hold the same records, those of text the same
// text. A record is an example for training and a question too.
func dataKinds() []dataKind {
	var lines, objects []string
	for i := range 60 {
		lines = append(lines, fmt.Sprintf(`{"prompt":"say %d","response":"it is %d","query":"say %d","choices":["it is %d","no"],"gold":%d}`, i, i, i, i, i%2))
		objects = append(objects, "  "+strings.ReplaceAll(lines[i], ",", ",\n    "))
	}
	jsonl := strings.Join(lines, "\n") + "\n"
	array := "[\n" + strings.Join(objects, ",\n") + "\n]\n"
	text := strings.Repeat("the member clicked the item and did not look back.\n", 60)
	header := `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	return []dataKind{
		{"records.jsonl", jsonl, "", ""},
		{"mark.jsonl", "\ufeff" + jsonl, "", "records.jsonl"},
		{"records.jsonl.gz", gzipped(jsonl), "", "records.jsonl"},
		{"utf16.jsonl", "\xff\xfe" + wide(jsonl), "", "records.jsonl"},
		{"array.json", array, "", "records.jsonl"},
		{"array.txt", array, "", "records.jsonl"}, // the name decides nothing
		{"array.json.gz", gzipped(array), "", "records.jsonl"},
		{"object.json", `{"version":1,"data":` + array + "}", "", "records.jsonl"},
		{"pretty.jsonl", strings.Join(objects, "\n"), "", "records.jsonl"},
		{"sequence.json", "\x1e" + strings.Join(lines, "\n\x1e") + "\n", "", "records.jsonl"},
		{"joined.jsonl", strings.Join(lines[:30], "") + strings.Join(lines[30:], "\r"), "", "records.jsonl"},
		{"marks.jsonl", strings.Join(lines, "\n\ufeff"), "", "records.jsonl"},
		{"splits.json", `{"validation":` + array + `,"train":` + array + "}", "", "records.jsonl"},
		{"lists.json", `{"data":` + array + `,"train":` + array + "}", `lists.json:1: found the lists "data" (60 records) and "train" (60 records)`, ""},
		{"columns.json", `{"prompt":["a","b"],"response":["c","d"]}`, "columns.json:1: found one JSON object with a table's columns", ""},
		{"pandas.json", `{"text":{"0":"a","1":"b"}}`, "pandas.json:1: found one JSON object with a table's columns", ""},
		{"commas.jsonl", strings.Join(lines, ",\n"), "commas.jsonl:1: column", ""},
		{"python.jsonl", strings.ReplaceAll(jsonl, `"`, "'"), "it is an object as Python prints it", ""},
		{"javascript.json", "[\n  {prompt: \"a\", response: \"b\"},\n]\n", "javascript.json:2: column 4: not JSON: found prompt, expected a key in double quotes; keys without quotes", ""},
		{"nan.jsonl", `{"prompt":"a","response":"b","query":"a","score":NaN}`, "nan.jsonl:1: column 50: not JSON: found NaN, which is no JSON number; Python's", ""},
		{"comments.jsonl", lines[0] + "\n// the next\n" + lines[1], "comments.jsonl:2: found the text \"// the next\", expected a JSON object; JSON has no comments", ""},
		{"pointer.jsonl", "\ufeffversion https://git-lfs.github.com/spec/v1\noid sha256:0\n", "the form Git LFS pointer", ""},
		{"page.json", "<!DOCTYPE html>\n<html><form action=\"/login\">", "a page of HTML", ""},
		{"message.json", "404: Not Found", "a server's message in place of the file", ""},
		{"brace.txt", "{#begin}\n" + text, "", ""},
		{"bracket.md", "[a link](to.html)\n" + text, "", ""},
		{"text.txt", text, "", ""},
		{"mark.txt", "\ufeff" + text, "", "text.txt"},
		{"text.gz", gzipped(text), "", "text.txt"},
		{"utf16.txt", "\xff\xfe" + wide(text), "", "text.txt"},
		{"no-mark.txt", wide(text), "text in UTF-16, little-endian, without a byte order mark", ""},
		{"latin1.txt", text + "na\xefve\n", "latin1.txt:61: not valid UTF-8: byte 0xEF at byte 3 of the line", ""},
		{"latin1.jsonl", jsonl + `{"prompt":"na` + "\xef" + `ve"}`, "latin1.jsonl:61: not valid UTF-8: byte 0xEF at byte 14 of the line", ""},
		{"nul.txt", text + "a\x00b", "nul.txt:61: found a NUL, which text does not have", ""},
		{"model.safetensors", string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + "\x00\x00\x00\x00", "the form safetensors", ""},
		{"model.gguf", "GGUF\x03\x00\x00\x00" + strings.Repeat("\x00", 64), "the form GGUF", ""},
		{"data.parquet", "PAR1\x15\x04\x15\x10", "the form Parquet", ""},
		{"data.zst", "\x28\xb5\x2f\xfd\x24\x00", "the form zstd", ""},
		{"data.zip", "PK\x03\x04\x14\x00", "the form ZIP", ""},
		{"data.csv", "prompt,response\nsay 1,one\nsay 2,two\n", "comma- or tab-separated values", ""},
		{"cut.jsonl.gz", gzipped(jsonl)[:100], "was cut off", ""},
		{"empty.jsonl", "", "empty.jsonl: the file is empty", ""},
	}
}

func gzipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text)) // into memory
	_ = z.Close()
	return b.String()
}

func wide(text string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

// dataVerb is a verb that reads a data file.
type dataVerb struct {
	name string
	text bool // it takes text too
	// args are the command line for a file; what it writes lies in out.
	args func(file, out string) []string
	// result is what must not depend on the file's form.
	result func(t *testing.T, stdout, out string) string
}

func dataVerbs(model string) []dataVerb {
	weights := func(t *testing.T, _, out string) (sums string) {
		files, _ := filepath.Glob(filepath.Join(out, "*.safetensors"))
		for _, file := range files {
			sums += recipe.Text(read(t, file)) + " "
		}
		return sums
	}
	measured := func(t *testing.T, stdout, _ string) string {
		var r struct {
			Results []struct{ Values []struct{ Value float64 } }
		}
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || len(r.Results) == 0 {
			t.Errorf("%v: %s", err, stdout)
		}
		return fmt.Sprint(r.Results)
	}
	return []dataVerb{
		{"distil", true, func(file, out string) []string {
			return []string{"distil", model, out, "--data", file, "--steps", "1", "--batch", "2", "--length", "32", "--validation", "2"}
		}, weights},
		{"quantize", true, func(file, out string) []string {
			return []string{"quantize", model, out, "--scheme", "w8a8-gptq", "--calibration", file, "--samples", "4", "--length", "16"}
		}, weights},
		{"prune", true, func(file, out string) []string {
			return []string{"prune", model, out, "--mlp", "50%", "--calibration", file, "--samples", "4", "--length", "16"}
		}, weights},
		{"eval --text", true, func(file, _ string) []string {
			return []string{"eval", model, "--text", file, "--window", "32", "--fresh", "--format", "json"}
		}, measured},
		{"eval --choice", false, func(file, _ string) []string {
			return []string{"eval", model, "--choice", file, "--fresh", "--format", "json"}
		}, measured},
		{"check", false, func(file, _ string) []string {
			return []string{"check", "own-data", "--set", "task.path=" + file, "--set", "tokenizer.vocab=300"}
		}, func(*testing.T, string, string) string { return "" }},
	}
}

// TestEveryVerbReadsEveryKindOfFile: a verb reads a file by what it holds, whatever its name, its
// compression and its encoding, and gives the same from each form; or refuses it with exit 2 and
// the form's name.
func TestEveryVerbReadsEveryKindOfFile(t *testing.T) {
	scenario := newHome(t)
	dir := t.TempDir()
	model := filepath.Join(dir, "model")
	output(t, exitHeld, "run", scenario, "--save", "teacher="+model)
	kinds := dataKinds()
	for _, k := range kinds {
		writeFile(t, filepath.Join(dir, k.name), k.content)
	}
	for _, v := range dataVerbs(model) {
		results := map[string]string{}
		for i, k := range kinds {
			file, out := filepath.Join(dir, k.name), filepath.Join(dir, fmt.Sprint("out-", strings.Fields(v.name)[0], i))
			stdout, stderr, code := slimlab(t, v.args(file, out)...)
			refusal := k.refusal
			if isText := strings.HasPrefix(k.content, "the member") || k.like == "text.txt"; isText && !v.text {
				refusal = `found the text "the member clicked`
			} else if isProse := strings.HasPrefix(k.name, "bra"); isProse && !v.text {
				refusal = ":1: column 2: not JSON: "
			} else if isProse && !strings.Contains(stdout+stderr, "and holds no records of JSON: read as plain text") {
				t.Errorf("%s, %s: no note says how it is read: %s%s", v.name, k.name, stdout, stderr)
			}
			if refusal != "" {
				if code != exitUsage || !strings.Contains(stderr, refusal) || !strings.Contains(stderr, k.name) || strings.Count(stderr, "slimlab:") != 1 {
					t.Errorf("%s, %s: exit %d, %s\nexpected exit 2 and %q", v.name, k.name, code, stderr, refusal)
				}
				continue
			}
			if code != exitHeld {
				t.Errorf("%s, %s: exit %d, %s", v.name, k.name, code, stderr)
				continue
			}
			results[k.name] = v.result(t, stdout, out)
			if k.like != "" && results[k.name] != results[k.like] {
				t.Errorf("%s: %s gives another result than %s: %s, %s", v.name, k.name, k.like, results[k.name], results[k.like])
			}
		}
		for file, want := range map[string]string{dir: "a directory, expected a file", filepath.Join(dir, "none.jsonl"): "no such file"} {
			if _, stderr, code := slimlab(t, v.args(file, filepath.Join(dir, "no"))...); code != exitUsage || !strings.Contains(stderr, want) {
				t.Errorf("%s, %s: exit %d, %s", v.name, file, code, stderr)
			}
		}
		pipe, out := filepath.Join(t.TempDir(), "pipe"), filepath.Join(t.TempDir(), "out")
		if err := unix.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		go func() { _ = os.WriteFile(pipe, []byte(kinds[0].content), 0) }()
		stdout, stderr, code := slimlab(t, v.args(pipe, out)...)
		if code != exitHeld || v.result(t, stdout, out) != results["records.jsonl"] {
			t.Errorf("%s, a pipe: exit %d, %s", v.name, code, stderr)
		}
	}
}

// TestTokenizeRefusesWhatIsNoText: tokenize takes the bytes of a text as they are.
func TestTokenizeRefusesWhatIsNoText(t *testing.T) {
	newHome(t)
	for _, k := range dataKinds() {
		stdin(t, k.content)
		_, stderr, code := slimlab(t, "tokenize", "pretrained:recsys-fm")
		binary := strings.Contains(k.refusal, "the form") || strings.Contains(k.refusal, "UTF-16") || strings.HasSuffix(k.name, ".gz") || strings.HasPrefix(k.name, "utf16")
		if binary != (code == exitUsage) || binary && !strings.Contains(stderr, "slimlab: standard input: found ") {
			t.Errorf("%s: exit %d, %s", k.name, code, stderr)
		}
	}
}
