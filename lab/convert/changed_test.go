package convert

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slimlab/model/checkpoint"
)

// TestNothingIsMixed: whatever verb is interrupted in its middle, and whatever byte of whatever
// file that it reads changes then, the same command either refuses, by the name of what has
// changed, and keeps the finished layers, or writes what it would have written of the changed files
// alone. A file that it does not read changes nothing.
func TestNothingIsMixed(t *testing.T) {
	verbs := everyVerb(t)
	delete(verbs, "export gguf") // which keeps nothing, and needs a model without a tokenizer
	verbs["distil taught"] = taught
	random := rand.New(rand.NewPCG(7, 1))
	for name, run := range verbs {
		// the text
		reads := map[string]bool{"w4a16-gptq": true, "w4a8": true, "prune": true, "distil": true, "distil taught": true}[name]
		for _, input := range []string{"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "text", "teacher/model.safetensors", "teacher/config.json"} {
			if strings.HasPrefix(input, "teacher") && name != "distil taught" {
				continue
			}
			t.Run(name+" "+input, func(t *testing.T) {
				from, text := source(t, checkpoint.BF16)
				if name == "distil taught" {
					teacherBeside(t, from)
				}
				to := filepath.Join(t.TempDir(), "out")
				begin(t, run, from, text, to)
				path := filepath.Join(from, input)
				switch {
				case input == "text":
					path = text
				case strings.HasPrefix(input, "teacher"):
					path = filepath.Join(filepath.Dir(from), input)
				}
				edit(t, path, func(content []byte) []byte { return changeByte(random, path, content) })
				alone := filepath.Join(t.TempDir(), "out")
				_, whole := run(t.Context(), from, text, alone, Options{Open: open})
				_, err := run(t.Context(), from, text, to, Options{Open: open})
				switch {
				case whole != nil:
					if err == nil {
						t.Fatalf("went on where one that begins fails: %v", whole)
					}
				case err != nil:
					role := map[bool]string{true: "calibration text", false: "model's " + input}[input == "text"]
					if !strings.Contains(err.Error(), "(the content of the "+role+" has changed: ") || strings.Count(err.Error(), "has changed") != 1 {
						t.Fatalf("refused without the name of the input: %v", err)
					}
					if shards, _ := filepath.Glob(filepath.Join(checkpoint.PartialFolder(to), "model", "*.safetensors")); len(shards) == 0 {
						t.Error("the finished layers were lost")
					}
					if input == "text" && !reads {
						t.Errorf("refused for a file that it does not read: %v", err)
					}
				default:
					sameFiles(t, files(t, to), files(t, alone))
				}
			})
		}
	}
}

// taught distils with the teacher in the folder beside the student.
func taught(ctx context.Context, from, text, to string, o Options) (*Result, error) {
	d := Distillation{Data: text, Steps: 2, Batch: 2, Length: 16, LearningRate: 1e-3, Validation: 1, Seed: 1}
	if err := d.Set("", "float32", true); err != nil {
		return nil, err
	}
	return Distil(ctx, from, filepath.Join(filepath.Dir(from), "teacher"), to, d, o)
}

// teacherBeside copies a student to the folder of its teacher.
func teacherBeside(t *testing.T, student string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(filepath.Dir(student), "teacher"), os.DirFS(student)); err != nil {
		t.Fatal(err)
	}
}

// TestDistilNoticesWhatChanges: an input that is written while distil reads it is an error, and
// none is of use afterwards: one that is written while the student learns is a warning that names
// it, and the student is what it would have been. The same bytes written again are no change.
func TestDistilNoticesWhatChanges(t *testing.T) {
	for _, input := range []string{"model/config.json", "model/tokenizer.json", "model/model.safetensors", "teacher/model.safetensors", "teacher/tokenizer.json", "text.txt", "the same"} {
		t.Run(input, func(t *testing.T) {
			from, text := source(t, checkpoint.BF16)
			teacherBeside(t, from)
			change := func() {
				path := filepath.Join(filepath.Dir(from), input)
				if input == "the same" {
					path = filepath.Join(from, "config.json")
				} else {
					edit(t, path, func(content []byte) []byte { return changeByte(rand.New(rand.NewPCG(1, 1)), path, content) })
				}
				later := time.Now().Add(time.Hour)
				if err := os.Chtimes(path, later, later); err != nil {
					t.Error(err)
				}
			}
			alone := filepath.Join(t.TempDir(), "out")
			if _, err := taught(t.Context(), from, text, alone, Options{Open: open}); err != nil {
				t.Fatal(err)
			}
			to := filepath.Join(t.TempDir(), "out")
			r, err := taught(t.Context(), from, text, to, Options{Open: open, Progress: func(done, _ int, _ string) {
				if done == 1 {
					change()
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			said := slices.ContainsFunc(r.Warnings, func(w string) bool {
				return strings.Contains(w, filepath.Base(input)+" changed after it was read: the student learned from what it held before")
			})
			if said != (input != "the same") {
				t.Errorf("warnings %q", r.Warnings)
			}
			sameFiles(t, files(t, to), files(t, alone))

			o := Options{Open: open}
			source, _, err := o.begin(from)
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			inputs, err := Distillation{Data: text}.watch(t.Context(), from, filepath.Join(filepath.Dir(from), "teacher"), o)
			if err != nil {
				t.Fatal(err)
			}
			if input != "the same" {
				edit(t, filepath.Join(filepath.Dir(from), input), func(content []byte) []byte { return append(content, ' ') })
			}
			if err := inputs.check(t.Context()); (err != nil) != (input != "the same") || err != nil && !strings.Contains(err.Error(), "changed while it was read") {
				t.Errorf("an input that changes while it is read: %v", err)
			}
		})
	}
}

// begin runs a verb until something of it is finished.
func begin(t *testing.T, run func(ctx context.Context, from, text, to string, o Options) (*Result, error), from, text, to string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := func(done, _ int, _ string) {
		if shards, _ := filepath.Glob(filepath.Join(checkpoint.PartialFolder(to), "model", "*.safetensors")); len(shards) > 0 || done > 0 {
			cancel()
		}
	}
	if _, err := run(ctx, from, text, to, Options{Open: open, Progress: stop}); !errors.Is(err, context.Canceled) {
		t.Fatalf("the interrupted verb ends with %v", err)
	}
	if _, err := os.Stat(to); err == nil {
		t.Fatal("the folder has its name before it is whole")
	}
}

// changeByte changes a byte of a file's content: a weight's, a letter, or, where a letter more
// would do harm, the white space of JSON.
func changeByte(random *rand.Rand, path string, content []byte) []byte {
	switch filepath.Ext(path) {
	case ".json":
		return append(content, ' ')
	case ".safetensors":
		at := len(content) - 2*(1+random.IntN(1000)) // the low byte of one of the last weights
		content[at] ^= 1 << random.IntN(7)
		return content
	}
	at := random.IntN(len(content))
	content[at] = 'a' + (content[at]+1)%26
	return content
}

// TestFilesThatChangeWhileTheyAreRead: no layer is finished of a model, or by a calibration text,
// that was written since the command began; the same bytes written again are no change.
func TestFilesThatChangeWhileTheyAreRead(t *testing.T) {
	for name, run := range conversions(t) {
		for _, input := range []string{"config.json", "model.safetensors", "the same"} {
			t.Run(name+" "+input, func(t *testing.T) {
				from, text := source(t, checkpoint.BF16)
				to := filepath.Join(t.TempDir(), "out")
				layers := 0
				write := func(int, int, string) {
					shards, _ := filepath.Glob(filepath.Join(checkpoint.PartialFolder(to), "model", "*.safetensors"))
					if layers != 0 || len(shards) == 0 {
						return
					}
					layers = len(shards)
					later := time.Now().Add(time.Hour)
					path := filepath.Join(from, input)
					if input == "the same" {
						path = filepath.Join(from, "model.safetensors")
					} else {
						edit(t, path, func(content []byte) []byte { return changeByte(rand.New(rand.NewPCG(1, 1)), path, content) })
					}
					if err := os.Chtimes(path, later, later); err != nil {
						t.Error(err)
					}
				}
				_, err := run(t.Context(), from, text, to, Options{Open: open, Progress: write})
				if input == "the same" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), input+" changed while it was read") {
					t.Fatalf("got %v", err)
				}
				shards, _ := filepath.Glob(filepath.Join(checkpoint.PartialFolder(to), "model", "*.safetensors"))
				// the next layer had been read
				if _, whole := os.Stat(to); whole == nil || len(shards) > layers+1 {
					t.Errorf("%d layers are finished, %d were when the file changed; the folder is there: %t", len(shards), layers, whole == nil)
				}
			})
		}
	}
}
