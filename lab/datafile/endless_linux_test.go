package datafile

import (
	"os"
	"strings"
	"testing"
)

// TestEndlessStreamsEnd: a pipe that never ends is an error once it has given more than the bound,
// for text, lines and arrays, and for what only sums it up; a file is read whole whatever its size.
func TestEndlessStreamsEnd(t *testing.T) {
	for name, line := range map[string]string{"text": "a line of text\n", "lines": `{"prompt":"a","response":"b"}` + "\n", "array": `[{"prompt":"a"},{"prompt":"b"},` + "\n"} {
		t.Run(name, func(t *testing.T) {
			out, in, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			go func() {
				defer in.Close()
				for chunk := []byte(line); ; {
					if _, err := in.Write(chunk); err != nil {
						return
					}
					if name == "array" {
						chunk = []byte(strings.Repeat(`{"prompt":"c"},`+"\n", 1000))
					} else {
						chunk = []byte(strings.Repeat(line, 1000))
					}
				}
			}()
			f, err := New(t.Context(), "pipe", out)
			if err != nil {
				t.Fatal(err)
			}
			if f.raw.most != mostOfStream {
				t.Fatalf("a pipe may give %d bytes", f.raw.most)
			}
			f.raw.most = 1 << 20
			if f.Form() == Text {
				_, err = f.Text(0)
			} else {
				for _, e := range f.Records() {
					if err = e; err != nil {
						break
					}
				}
			}
			if err == nil || !strings.HasPrefix(err.Error(), "pipe") || !strings.Contains(err.Error(), "a pipe or device has given 1 MB and does not end") {
				t.Errorf("found %v", err)
			}
			if _, err := f.Sum(); err == nil {
				t.Error("summed up")
			}
		})
	}
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if most := sizeBound(file); most <= mostOfStream {
		t.Errorf("a file may have %d bytes", most)
	}
}
