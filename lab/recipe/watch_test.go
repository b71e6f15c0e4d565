package recipe

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWatch: a file of a checkpoint that is written while it is read is named, unless the same
// bytes were written or the file is none of the model's.
func TestWatch(t *testing.T) {
	write := func(name, text string, when int64) error {
		return errors.Join(os.WriteFile(name, []byte(text), 0o644), os.Chtimes(name, time.Unix(when, 0), time.Unix(when, 0)))
	}
	for _, c := range []struct {
		name   string
		change func(dir string) error
		want   string // in the error; "" is none
	}{
		{"nothing", func(string) error { return nil }, ""},
		{"the same bytes", func(dir string) error { return write(filepath.Join(dir, "config.json"), "{}", 5) }, ""},
		{"another size", func(dir string) error { return write(filepath.Join(dir, "config.json"), "{ }", 1) }, "config.json changed while it was read"},
		{"another time and byte", func(dir string) error { return write(filepath.Join(dir, "config.json"), "[]", 5) }, "config.json changed"},
		{"weights cut", func(dir string) error { return os.Truncate(filepath.Join(dir, "model.safetensors"), 1) }, "model.safetensors changed"},
		{"a file gone", func(dir string) error { return os.Remove(filepath.Join(dir, "model.safetensors")) }, "model.safetensors changed"},
		{"a file more", func(dir string) error { return write(filepath.Join(dir, "tokenizer.json"), "{}", 1) }, "tokenizer.json changed"},
		{"two files", func(dir string) error {
			return errors.Join(write(filepath.Join(dir, "config.json"), "[1]", 5), write(filepath.Join(dir, "a.json"), "", 5))
		}, "a.json, config.json changed"},
		{"a file of no model", func(dir string) error { return write(filepath.Join(dir, "README.md"), "x", 5) }, ""},
	} {
		dir := t.TempDir()
		if err := errors.Join(write(filepath.Join(dir, "config.json"), "{}", 1), write(filepath.Join(dir, "model.safetensors"), "weights", 1)); err != nil {
			t.Fatal(err)
		}
		w := NewWatch(dir)
		content, err := w.Name(t.Context(), func(ctx context.Context) (string, error) { return Checkpoint(ctx, dir) })
		if want, _ := Checkpoint(t.Context(), dir); err != nil || content != want {
			t.Errorf("the content is %s, %v, expected %s", content, err, want)
		}
		if err := c.change(dir); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.Check(t.Context()); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), dir+": "+c.want) {
				t.Errorf("%s: %v, expected %q", c.name, err, c.want)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "model.gguf")
	if err := write(file, "GGUF", 1); err != nil {
		t.Fatal(err)
	}
	w := NewWatch(file)
	if err := w.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := write(file, "GGUF2", 2); err != nil {
		t.Fatal(err)
	}
	if err := w.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "model.gguf changed") {
		t.Errorf("a file: %v", err)
	}
	if err := NewWatch("pretrained:x").Check(t.Context()); err != nil {
		t.Errorf("a name of no file: %v", err)
	}
}
