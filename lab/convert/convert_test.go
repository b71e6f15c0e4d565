package convert

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/model"
	"slimlab/model/calibrate/calibratetest"
	"slimlab/model/checkpoint"
	"slimlab/model/tokenizer"
	"slimlab/quant"
)

// open is an Opener of folders and files.
func open(name string) (*checkpoint.Checkpoint, error) {
	return checkpoint.Open(name)
}

const poem = "the cat sat on the mat and the dog sat on the log; a cat and a dog and a log and a mat. "

// source writes a small model with a tokenizer and a text, and returns their names.
func source(t *testing.T, dtype checkpoint.DType) (folder, text string) {
	t.Helper()
	dir := t.TempDir()
	folder, text = filepath.Join(dir, "model"), filepath.Join(dir, "text.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat(poem, 60)), 0o644); err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Train(slices.Values([]string{poem}), 280, []string{"<s>", "</s>"})
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.SetSpecial("<s>", "</s>"); err != nil {
		t.Fatal(err)
	}
	m, err := model.New(model.Config{
		Architecture: "Qwen2ForCausalLM", Vocab: tok.Vocab(), Hidden: 32, HeadDim: 8, Layers: model.Uniform(3, 4, 2, 96),
		MaxPositions: 64, RopeTheta: 10000, NormEps: 1e-6, TiedHead: true, QKVBias: true, BOS: -1, EOS: int(tok.EOS()),
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(4, 2)))
	if err := checkpoint.Save(context.Background(), folder, m, tok, checkpoint.SaveOptions{DType: dtype}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "generation_config.json"), []byte(`{"temperature": 0.7}`), 0o644); err != nil {
		t.Fatal(err)
	}
	return folder, text
}

// files reads all files of a folder.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = data
	}
	return all
}

func sameFiles(t *testing.T, got, want map[string][]byte) {
	t.Helper()
	for name, data := range want {
		if !bytes.Equal(got[name], data) {
			t.Errorf("%s differs", name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s should not be there", name)
		}
	}
}

// sameTensors compares the tensors of two checkpoints to the byte.
func sameTensors(t *testing.T, got, want string) {
	t.Helper()
	a, err := open(got)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := open(want)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if len(a.Tensors()) != len(b.Tensors()) {
		t.Fatalf("found %d tensors, want %d", len(a.Tensors()), len(b.Tensors()))
	}
	for _, info := range b.Tensors() {
		x, err := a.Raw(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		y, err := b.Raw(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(x, y) {
			t.Errorf("tensor %q differs", info.Name)
		}
	}
}

// conversions are a method each, that writes a folder.
func conversions(t *testing.T) map[string]func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
	t.Helper()
	scheme := func(name string) quant.Scheme {
		s, err := quant.ParseScheme(name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	calibration := func(text string) Calibration { return Calibration{File: text, Samples: 8, Length: 32, Seed: 3} }
	quantize := func(name string, calibrated bool) func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
		return func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
			q := Quantization{Scheme: scheme(name)}
			if calibrated {
				q.Calibration = calibration(text)
			}
			return Quantize(ctx, from, to, q, o)
		}
	}
	return map[string]func(ctx context.Context, from, text, to string, o Options) (*Result, error){
		"w8a8":       quantize("w8a8", false),
		"w4a16-gptq": quantize("w4a16-gptq-g32", true),
		"w4a16-asym": quantize("w4a16-asym-gptq-g16", true),
		"w4a8":       quantize("w4a8-rtn-g16", true),
		"fp8":        quantize("fp8", false),
		"smooth": func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
			return Quantize(ctx, from, to, transformed(t, "w8a8", "auto", "none", text), o)
		},
		"awq, rotate": func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
			q := transformed(t, "w4a16-gptq-g32", "awq", "residual", text)
			q.Clip = true
			return Quantize(ctx, from, to, q, o)
		},
		"outliers": func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
			s := scheme("w3a16-quantease-g32")
			s.Rounder, s.Outliers = quant.QuantEase{Sweeps: 2}, quant.Outliers{Share: 0.02}
			return Quantize(ctx, from, to, Quantization{Scheme: s, Calibration: calibration(text)}, o)
		},
		"refined": func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
			q := Quantization{Scheme: scheme("w4a16-gptq-g32"), Calibration: calibration(text), Gathering: Gathering{Target: 0.5}, Refine: Refining{Steps: 8}}
			return Quantize(ctx, from, to, q, o)
		},
		"prune, refined": func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
			p := Pruning{Calibration: calibration(text), Gathering: Gathering{Target: 1}}
			p.Refine.Steps = 8
			if err := p.Set("osscar", Cuts{MLP: "25%"}); err != nil {
				t.Fatal(err)
			}
			return Prune(ctx, from, to, p, o)
		},
		"prune in parallel": func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
			p := Pruning{Calibration: calibration(text), Gathering: Gathering{Parallel: true, Folder: filepath.Join(filepath.Dir(to), "statistics")}}
			p.Refine.Steps = 8
			if err := p.Set("osscar", Cuts{MLP: "25%", Heads: "1"}); err != nil {
				t.Fatal(err)
			}
			return Prune(ctx, from, to, p, o)
		},
		"prune by a budget": func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
			p := Pruning{Calibration: calibration(text)}
			if err := p.Set("osscar", Cuts{Budget: "70%"}); err != nil {
				t.Fatal(err)
			}
			r, err := Prune(ctx, from, to, p, o)
			if err == nil {
				before, lines := 3*96*96, strings.Join(r.Lines(), "\n")
				if b := r.Pruning.Budget; b == nil || b.Kept > before*7/10 || b.Kept < before/2 || b.Error > b.Uniform || !strings.Contains(lines, "greedy removal with least squares from the model as it was, which the widths are chosen by, has ") {
					t.Errorf("budget %+v, lines %s", r.Pruning.Budget, lines)
				}
			}
			return r, err
		},
		"prune layers": func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
			p := Pruning{Calibration: calibration(text)}
			if err := p.Set("osscar", Cuts{Layers: "1"}); err != nil {
				t.Fatal(err)
			}
			return Prune(ctx, from, to, p, o)
		},
		"prune query heads": func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
			p := Pruning{Calibration: calibration(text)}
			if err := errors.Join(p.Set("osscar", Cuts{QueryHeads: "50%"}), p.SetStarts("greedy"), p.SetAlign("auto")); err != nil {
				t.Fatal(err)
			}
			return Prune(ctx, from, to, p, o)
		},
		"prune": func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
			p := Pruning{Calibration: calibration(text)}
			if err := p.Set("osscar", Cuts{MLP: "25%", Heads: "1"}); err != nil {
				t.Fatal(err)
			}
			return Prune(ctx, from, to, p, o)
		},
		"import": func(ctx context.Context, from, _, to string, o Options) (*Result, error) {
			return Import(ctx, from, to, o)
		},
	}
}

// A conversion that is interrupted after its first layer and then repeated writes the bytes of one
// that was not, in whatever precision the files are.
func TestInterruptedConversionsResume(t *testing.T) {
	for name, run := range conversions(t) {
		for _, dtype := range []checkpoint.DType{checkpoint.F32, checkpoint.BF16} {
			t.Run(name+" "+string(dtype), func(t *testing.T) {
				from, text := source(t, dtype)
				dir := t.TempDir()
				whole, parts := filepath.Join(dir, "whole"), filepath.Join(dir, "parts")
				result, err := run(context.Background(), from, text, whole, Options{Open: open})
				if err != nil {
					t.Fatal(err)
				}
				if name != "import" && result.Bytes.After >= result.Bytes.Before {
					t.Errorf("%d bytes became %d", result.Bytes.Before, result.Bytes.After)
				}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				shard := "model-00002-of-00004.safetensors"
				if name == "prune layers" {
					shard = "model-00002-of-00003.safetensors"
				}
				first := filepath.Join(checkpoint.PartialFolder(parts), "model", shard)
				interrupt := func(int, int, string) {
					if _, err := os.Stat(first); err == nil {
						cancel()
					}
				}
				if _, err := run(ctx, from, text, parts, Options{Open: open, Progress: interrupt}); !errors.Is(err, context.Canceled) {
					t.Fatalf("the interrupted conversion ends with %v", err)
				}
				if _, err := os.Stat(first); err != nil {
					t.Fatal("the finished layer was lost: ", err)
				}
				before, err := os.Stat(first)
				if err != nil {
					t.Fatal(err)
				}
				resumed, err := run(context.Background(), from, text, parts, Options{Open: open})
				if err != nil {
					t.Fatal(err)
				}
				sameReports(t, resumed, result)
				after, err := os.Stat(filepath.Join(parts, shard))
				if err != nil {
					t.Fatal(err)
				}
				if !after.ModTime().Equal(before.ModTime()) {
					t.Error("the finished layer was made again")
				}
				sameFiles(t, files(t, parts), files(t, whole))
				if _, err := os.Stat(parts + ".partial"); err == nil {
					t.Error("the partial folder is still there")
				}
			})
		}
	}
}

// sameReports compares what two conversions say of the same work.
func sameReports(t *testing.T, got, want *Result) {
	t.Helper()
	report := func(r *Result) string {
		r.Seconds, r.Peak = 0, 0
		// which inputs a command gathered is of that command
		r.Notes = slices.DeleteFunc(r.Notes, func(note string) bool { return strings.HasPrefix(note, "statistics of ") })
		data, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	g, w := strings.Split(report(got), "\n"), strings.Split(report(want), "\n")
	if len(g) != len(w) {
		t.Errorf("the report has %d lines, without an interruption %d", len(g), len(w))
	}
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("line %d of %d of the report is %q, of the report without an interruption, of %d, %q", i, len(g), g[i], len(w), w[i])
		}
	}
}

// TestLostLayersAreMadeAgain: where a finished layer, its record or config.json is damaged or gone,
// the layer and those behind it are made again, and said so; nothing else differs.
func TestLostLayersAreMadeAgain(t *testing.T) {
	const shard, record = "model/model-00002-of-00004.safetensors", "slimlab-layer-00000"
	flip := func(data []byte) []byte {
		data[len(data)-3] ^= 4
		return data
	}
	again := ": layer 0 and 1 finished layer behind it are made again"
	for name, run := range conversions(t) {
		for _, c := range []struct {
			what, file string
			change     func([]byte) []byte // nil removes the file
			note       string
		}{
			{"a layer is gone", shard, nil, "model-00002-of-00004.safetensors of the unfinished work is gone" + again},
			{"a layer is damaged", shard, flip, "model-00002-of-00004.safetensors of the unfinished work is damaged" + again},
			{"a layer is cut", shard, func(data []byte) []byte { return data[:len(data)/2] }, "model-00002-of-00004.safetensors of the unfinished work is damaged" + again},
			{"a record is gone", record, nil, record + " of the unfinished work is gone" + again},
			{"a record is damaged", record, flip, "model-00002-of-00004.safetensors of the unfinished work has a damaged record, " + record + again},
			{"a record is empty", record, func([]byte) []byte { return nil }, "model-00002-of-00004.safetensors of the unfinished work has a damaged record, " + record + again},
			{"the config is gone", "model/config.json", nil, ""},
			{"the config is damaged", "model/config.json", func([]byte) []byte { return []byte("{") }, ""},
		} {
			if every := name == "prune" || name == "w4a16-gptq"; !every && c.what != "a layer is damaged" {
				continue
			}
			t.Run(name+", "+c.what, func(t *testing.T) {
				from, text := source(t, checkpoint.BF16)
				dir := t.TempDir()
				whole, parts := filepath.Join(dir, "whole"), filepath.Join(dir, "parts")
				result, err := run(context.Background(), from, text, whole, Options{Open: open})
				if err != nil {
					t.Fatal(err)
				}
				of := "of-00004"
				if name == "prune layers" { // which leaves two of three
					of = "of-00003"
				}
				named := func(text string) string { return strings.Replace(text, "of-00004", of, 1) }
				partial := checkpoint.PartialFolder(parts)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				interrupt := func(int, int, string) {
					if _, err := os.Stat(filepath.Join(partial, "slimlab-layer-00001")); err == nil {
						cancel()
					}
				}
				if _, err := run(ctx, from, text, parts, Options{Open: open, Progress: interrupt}); !errors.Is(err, context.Canceled) {
					t.Fatalf("the interrupted conversion ends with %v", err)
				}
				file := filepath.Join(partial, named(c.file))
				if c.change != nil {
					edit(t, file, c.change)
				} else if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
				again, err := run(context.Background(), from, text, parts, Options{Open: open})
				if err != nil {
					t.Fatal(err)
				}
				sameFiles(t, files(t, parts), files(t, whole))
				if c.note != "" {
					at := slices.Index(again.Notes, named(c.note))
					if at < 0 {
						t.Fatalf("the notes are %q, expected %q", again.Notes, named(c.note))
					}
					again.Notes = slices.Delete(again.Notes, at, at+1)
				}
				sameReports(t, again, result)
			})
		}
	}
}

// TestFilesOfOthers: what a verb has not made in the folder in which it works is named and stays,
// and the command ends as usual when it was moved away.
func TestFilesOfOthers(t *testing.T) {
	for name, run := range everyVerb(t) {
		if name == "export gguf" {
			continue // which writes a file
		}
		for _, mine := range []string{"mine.txt", "config.json", "slimlab-notes.txt", "slimlab-dir/a", "model/model.safetensors", "model/mine/a"} {
			if every := name == "import" || name == "distil"; !every && mine != "mine.txt" {
				continue
			}
			t.Run(name+", "+mine, func(t *testing.T) {
				from, text := source(t, checkpoint.BF16)
				to := filepath.Join(t.TempDir(), "out")
				file := filepath.Join(checkpoint.PartialFolder(to), mine)
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("mine"), 0o644)); err != nil {
					t.Fatal(err)
				}
				_, err := run(t.Context(), from, text, to, Options{Open: open})
				first, _, _ := strings.Cut(mine, "/")
				if want := "out.partial, in which the new folder is made, holds " + first + ", which is not of this work: move it away"; err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("error %v, expected %q", err, want)
				}
				if left, err := os.ReadFile(file); err != nil || string(left) != "mine" {
					t.Fatalf("the file is %q, %v", left, err)
				}
				if err := os.RemoveAll(filepath.Join(checkpoint.PartialFolder(to), first)); err != nil {
					t.Fatal(err)
				}
				if _, err := run(t.Context(), from, text, to, Options{Open: open}); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// TestFilesOfOthersInWorkThatBeginsAnew: what is put into the folder of a verb that was killed and
// begins anew, or while it works, is refused and stays.
func TestFilesOfOthersInWorkThatBeginsAnew(t *testing.T) {
	run := everyVerb(t)["distil"]
	for _, mine := range []string{"mine.txt", "model/mine.txt", "model/tokenizer/a", "slimlab-notes.txt"} {
		from, text := source(t, checkpoint.BF16)
		to := filepath.Join(t.TempDir(), "out")
		partial := checkpoint.PartialFolder(to)
		file := filepath.Join(partial, mine)
		put := func() {
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("mine"), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		refused := func(o Options) {
			t.Helper()
			o.Open = open
			if _, err := run(t.Context(), from, text, to, o); err == nil || !strings.Contains(err.Error(), "which is not of this work: move it away") {
				t.Errorf("%s: error %v", mine, err)
			}
			if left, err := os.ReadFile(file); err != nil || string(left) != "mine" {
				t.Errorf("%s: the file is %q, %v", mine, left, err)
			}
			if _, err := os.Stat(to); err == nil {
				t.Errorf("%s: the folder has its name", mine)
			}
		}
		if err := errors.Join(os.MkdirAll(filepath.Join(partial, "model"), 0o755), os.WriteFile(filepath.Join(partial, "slimlab-anew"), nil, 0o644),
			os.WriteFile(filepath.Join(partial, "model", "model.safetensors"), []byte("half"), 0o644)); err != nil {
			t.Fatal(err)
		}
		put()
		refused(Options{})
		if err := os.RemoveAll(partial); err != nil {
			t.Fatal(err)
		}
		refused(Options{Progress: func(int, int, string) { put() }})
		if err := os.RemoveAll(partial); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t.Context(), from, text, to, Options{Open: open}); err != nil {
			t.Errorf("%s: %v", mine, err)
		}
	}
}

// TestFolderThatGivesWay: an empty folder leaves the new one its mode; one that cannot give way is
// refused before the work.
func TestFolderThatGivesWay(t *testing.T) {
	for name, run := range map[string]func(context.Context, string, string, string, Options) (*Result, error){"import": everyVerb(t)["import"], "distil": everyVerb(t)["distil"]} {
		from, text := source(t, checkpoint.BF16)
		to := filepath.Join(t.TempDir(), "out")
		if err := errors.Join(os.Mkdir(to, 0o755), os.Chmod(to, 0o2710|os.ModeSetgid)); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t.Context(), from, text, to, Options{Open: open}); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(to); err != nil || info.Mode() != os.ModeDir|os.ModeSetgid|0o710 {
			t.Errorf("%s: the mode is %v, %v", name, info.Mode(), err)
		}
		here := t.TempDir()
		t.Chdir(here)
		worked := false
		if _, err := run(t.Context(), from, text, here, Options{Open: open, Progress: func(int, int, string) { worked = true }}); err == nil || worked || !strings.Contains(err.Error(), "is the working directory, expected a folder that the new one can take the place of") {
			t.Errorf("%s into the working directory: %v", name, err)
		}
	}
}

// TestFilesOfOthersBesideLayers: the same within work that goes on, and while it goes on.
func TestFilesOfOthersBesideLayers(t *testing.T) {
	for _, name := range []string{"prune", "prune layers", "w4a16-gptq", "import"} {
		run := conversions(t)[name]
		t.Run(name, func(t *testing.T) {
			from, text := source(t, checkpoint.BF16)
			to := filepath.Join(t.TempDir(), "out")
			interrupted(t, run, from, text, to)
			file := filepath.Join(checkpoint.PartialFolder(to), "model", "mine.json")
			mine := func() {
				if err := os.WriteFile(file, []byte("{}"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			refused := func(o Options) {
				t.Helper()
				o.Open = open
				if _, err := run(t.Context(), from, text, to, o); err == nil || !strings.Contains(err.Error(), "out.partial/model, in which the new folder is made, holds mine.json, ") {
					t.Fatalf("error %v", err)
				}
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
			mine()
			refused(Options{})
			refused(Options{Progress: func(int, int, string) { mine() }})
			beside := filepath.Join(checkpoint.PartialFolder(to), "slimlab-notes")
			if err := os.Mkdir(beside, 0o755); err != nil {
				t.Fatal(err)
			}
			if _, err := run(t.Context(), from, text, to, Options{Open: open}); err == nil || !strings.Contains(err.Error(), "out.partial, in which the new folder is made, holds slimlab-notes, ") {
				t.Errorf("beside the model: %v", err)
			}
			if err := os.Remove(beside); err != nil {
				t.Fatal(err)
			}
			if _, err := run(t.Context(), from, text, to, Options{Open: open}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// everyVerb adds the verbs that write no folder layer by layer to conversions.
func everyVerb(t *testing.T) map[string]func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
	t.Helper()
	verbs := conversions(t)
	verbs["export"] = func(ctx context.Context, from, _, to string, o Options) (*Result, error) {
		return Export(ctx, from, to, "hf", o)
	}
	verbs["export gguf"] = func(ctx context.Context, from, _, to string, o Options) (*Result, error) {
		// a tokenizer that slimlab trained has no name in GGUF
		for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
			if err := os.Remove(filepath.Join(from, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		return Export(ctx, from, to+".gguf", "gguf-q8_0", o)
	}
	verbs["distil"] = func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
		d := Distillation{Data: text, Steps: 2, Batch: 2, Length: 16, LearningRate: 1e-3, Validation: 1, Seed: 1}
		if err := d.Set("", "float32", false); err != nil {
			return nil, err
		}
		return Distil(ctx, from, "", to, d, o)
	}
	return verbs
}

// Wherever a verb is interrupted, within a layer or a tensor too, it says so, and the same command
// then writes the bytes of one that was not.
func TestVerbsHearTheirContext(t *testing.T) {
	for name, run := range everyVerb(t) {
		t.Run(name, func(t *testing.T) {
			from, text := source(t, checkpoint.BF16)
			dir := t.TempDir()
			all := calibratetest.Counted(1 << 30)
			whole := filepath.Join(dir, "whole", "to")
			if err := os.Mkdir(filepath.Dir(whole), 0o755); err != nil {
				t.Fatal(err)
			}
			if _, err := run(all, from, text, whole, Options{Open: open}); err != nil {
				t.Fatal(err)
			}
			want := tree(t, filepath.Dir(whole))
			looks := 1<<30 - all.Left()
			rng := rand.New(rand.NewPCG(9, uint64(looks)))
			for trial := range 8 {
				to := filepath.Join(dir, fmt.Sprint(trial), "to")
				if err := os.Mkdir(filepath.Dir(to), 0o755); err != nil {
					t.Fatal(err)
				}
				at := rng.IntN(looks)
				_, err := run(calibratetest.Counted(at), from, text, to, Options{Open: open})
				if kept := len(layersIn(t, to)); Unfinished(to) != (kept > 0) {
					t.Errorf("after look %d of %d %d layers are kept, and Unfinished says %t", at, looks, kept, Unfinished(to))
				}
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("interrupted at look %d of %d the error is %v", at, looks, err)
				}
				if _, err := run(context.Background(), from, text, to, Options{Open: open}); err != nil {
					t.Fatalf("again after look %d of %d: %v", at, looks, err)
				}
				sameFiles(t, tree(t, filepath.Dir(to)), want)
			}
			t.Logf("the context was looked at %d times", looks)
		})
	}
}

// layersIn lists the finished layers in a folder that need not exist.
func layersIn(t *testing.T, to string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(checkpoint.PartialFolder(to), "model", "model-*.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(name string) bool { return strings.Contains(name, "model-00001-") })
}

// tree reads all files under a folder.
func tree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir)] = data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A folder that goes through slimlab has the same tensors to the byte, and the files beside them.
func TestRoundTrips(t *testing.T) {
	for _, dtype := range []checkpoint.DType{checkpoint.F32, checkpoint.F16, checkpoint.BF16} {
		from, text := source(t, dtype)
		for name, run := range conversions(t) {
			dir := t.TempDir()
			made := from
			if name != "import" {
				made = filepath.Join(dir, "made")
				if _, err := run(context.Background(), from, text, made, Options{Open: open}); err != nil {
					t.Fatalf("%s %s: %v", name, dtype, err)
				}
			}
			to := filepath.Join(dir, "again")
			if _, err := Export(context.Background(), made, to, "hf", Options{Open: open}); err != nil {
				t.Fatalf("%s %s: %v", name, dtype, err)
			}
			sameTensors(t, to, made)
			original, copied := files(t, from), files(t, to)
			for _, beside := range []string{"tokenizer.json", "tokenizer_config.json", "generation_config.json"} {
				if !bytes.Equal(original[beside], copied[beside]) {
					t.Errorf("%s %s: %s differs", name, dtype, beside)
				}
			}
		}
	}
}

// A model that was written as GGUF computes what it did before, to within the rounding of the type.
func TestExportGGUF(t *testing.T) {
	from, _ := source(t, checkpoint.F32)
	// one that slimlab trained has no name in GGUF
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		if err := os.Remove(filepath.Join(from, name)); err != nil {
			t.Fatal(err)
		}
	}
	want := logits(t, from)
	for target, bound := range map[string]float64{"gguf-f32": 1e-6, "gguf-bf16": 0.02, "gguf-q8_0": 0.02, "gguf-q4_0": 0.2, "gguf-q4_1": 0.2} {
		to := filepath.Join(t.TempDir(), "model.gguf")
		if _, err := Export(context.Background(), from, to, target, Options{Open: open}); err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		if d := difference(logits(t, to), want); !(d <= bound) {
			t.Errorf("%s: logits differ by %g of their size, at most %g is rounding", target, d, bound)
		}
	}
}

// difference is ‖got − want‖/‖want‖.
func difference(got, want []float32) float64 {
	square, total := 0.0, 0.0
	for i, v := range got {
		square += float64(v-want[i]) * float64(v-want[i])
		total += float64(want[i]) * float64(want[i])
	}
	return math.Sqrt(square / total)
}

// A model with zero points is exported in GPTQ's version 2 as it is; as GGUF it is rounded again,
// which the result says: Q4_1, which has a minimum for each block, keeps nearly all of it, Q4_0
// does not.
func TestExportOfZeroPoints(t *testing.T) {
	from, _ := source(t, checkpoint.BF16)
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} { // see TestExportGGUF
		if err := os.Remove(filepath.Join(from, name)); err != nil {
			t.Fatal(err)
		}
	}
	scheme, err := quant.ParseScheme("w4a16-asym-rtn-g32")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	quantized := filepath.Join(dir, "quantized")
	if _, err := Quantize(context.Background(), from, quantized, Quantization{Scheme: scheme}, Options{Open: open}); err != nil {
		t.Fatal(err)
	}
	want := logits(t, quantized)
	gptq := filepath.Join(dir, "gptq")
	if _, err := Export(context.Background(), quantized, gptq, "hf-gptq", Options{Open: open}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(logits(t, gptq), want) {
		t.Error("hf-gptq: other logits")
	}
	for target, bounds := range map[string][2]float64{"gguf-q4_1": {0, 0.02}, "gguf-q4_0": {0.04, 0.2}, "gguf-q8_0": {0, 0.01}} {
		to := filepath.Join(dir, target+".gguf")
		r, err := Export(context.Background(), quantized, to, target, Options{Open: open})
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		if d := difference(linears(t, to), linears(t, quantized)); d < bounds[0] || d > bounds[1] {
			t.Errorf("%s: weights differ by %g of their size, expected %g to %g", target, d, bounds[0], bounds[1])
		}
		if note := "the codes of w4a16-g32-zero weights are not kept"; !strings.Contains(strings.Join(r.Notes, "\n"), note) {
			t.Errorf("%s: notes %q, expected %q", target, r.Notes, note)
		}
	}
}

// loaded is the model of a folder or file.
func loaded(t *testing.T, name string) *model.Model {
	t.Helper()
	c, err := open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := c.Model(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// linears are the weights of all linear layers.
func linears(t *testing.T, name string) (all []float32) {
	t.Helper()
	for _, l := range loaded(t, name).Linears() {
		all = append(all, l.Weight.Float32()...)
	}
	return all
}

func logits(t *testing.T, name string) []float32 {
	t.Helper()
	m := loaded(t, name)
	var ids []int32
	for i := range 40 {
		ids = append(ids, int32(i*7%m.Vocab))
	}
	b := model.Batch{Tokens: ids, Starts: []int{0, len(ids)}}
	x := make([]float32, 40*m.Vocab)
	m.Logits(x, m.Forward(b, nil), 40)
	return x
}

func TestDistil(t *testing.T) {
	teacher, text := source(t, checkpoint.F32)
	dir := t.TempDir()
	p := Pruning{Calibration: Calibration{File: text, Samples: 8, Length: 32}}
	if err := p.Set("magnitude", Cuts{MLP: "0.5"}); err != nil {
		t.Fatal(err)
	}
	student := filepath.Join(dir, "student")
	if _, err := Prune(context.Background(), teacher, student, p, Options{Open: open}); err != nil {
		t.Fatal(err)
	}
	d := Distillation{Data: text, Steps: 30, Batch: 4, Length: 32, LearningRate: 1e-3, Validation: 4, Seed: 1}
	if err := d.Set("", "float32", true); err != nil {
		t.Fatal(err)
	}
	// the text is not what a random teacher knows
	d.Objective = kd.Objective{Divergence: kd.ForwardKL}
	steps := 0
	r, err := Distil(context.Background(), student, teacher, filepath.Join(dir, "distilled"), d, Options{Open: open, Progress: func(done, total int, _ string) { steps = done }})
	if err != nil {
		t.Fatal(err)
	}
	if steps != 30 || len(r.Lines()) != 3 || r.Parameters.After != r.Parameters.Before {
		t.Errorf("%d steps, %+v", steps, r)
	}
	a, b := logits(t, student), logits(t, filepath.Join(dir, "distilled"))
	want := logits(t, teacher)
	if before, after := distance(a, want), distance(b, want); !(after < before) {
		t.Errorf("distilling took the logits from %g to %g away from the teacher's", before, after)
	}
}

// TestTextsThatBreakOff: a text that cannot be read to its end is an error of each verb that reads
// one, with the file's name, and nothing is written.
func TestTextsThatBreakOff(t *testing.T) {
	folder, _ := source(t, checkpoint.F32)
	dir := t.TempDir()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 { // more than is looked at to find the form
		fmt.Fprintf(w, "%s%d. ", poem, rng.Uint64())
	}
	w.Close()
	long := strings.Repeat(poem, 5000)
	for name, c := range map[string]struct{ content, want string }{
		"cut.txt.gz": {b.String()[:b.Len()/2], "the file ends within the stream"}, "blank.txt": {" \n\t\n", "found no text, only white space"}, "latin1.txt": {long + "caf\xe9" + long, "not valid UTF-8"},
	} {
		text := filepath.Join(dir, name)
		if err := os.WriteFile(text, []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		d := Distillation{Data: text, Steps: 2, Batch: 1, Length: 16, LearningRate: 1e-3}
		if err := d.Set("", "float32", true); err != nil {
			t.Fatal(err)
		}
		d.Objective = kd.Objective{Divergence: kd.ForwardKL}
		p := Pruning{Calibration: Calibration{File: text, Samples: 8, Length: 32}}
		if err := p.Set("magnitude", Cuts{MLP: "0.5"}); err != nil {
			t.Fatal(err)
		}
		for verb, run := range map[string]func(to string) error{
			"distil": func(to string) error {
				_, err := Distil(context.Background(), folder, folder, to, d, Options{Open: open})
				return err
			},
			"prune": func(to string) error {
				_, err := Prune(context.Background(), folder, to, p, Options{Open: open})
				return err
			},
		} {
			to := filepath.Join(dir, verb+"-out")
			if err := run(to); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s of %s: %v, expected %q", verb, name, err, c.want)
			}
			if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s of %s wrote a model", verb, name)
			}
		}
	}
}

func distance(a, b []float32) (sum float64) {
	for i, v := range a {
		sum += float64(v-b[i]) * float64(v-b[i])
	}
	return sum
}

func TestInspect(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	to := filepath.Join(t.TempDir(), "quantized")
	if _, err := conversions(t)["w4a16-gptq"](context.Background(), from, text, to, Options{Open: open}); err != nil {
		t.Fatal(err)
	}
	in, err := Inspect(to, open)
	if err != nil {
		t.Fatal(err)
	}
	parameters, bytes := 0, int64(0)
	for _, p := range in.Parts {
		parameters, bytes = parameters+p.Parameters, bytes+p.Bytes
	}
	if parameters != in.Parameters || bytes != in.Bytes {
		t.Errorf("the parts have %d parameters in %d bytes, the whole %d in %d", parameters, bytes, in.Parameters, in.Bytes)
	}
	if len(in.Formats) != 1 || in.Formats[0] != (StoredFormat{"w4a16-g32", 21}) {
		t.Errorf("the formats are %v", in.Formats)
	}
	if w := in.Widths; len(w) != 1 || w[0].Name(in.Layers) != "layers" || w[0].Heads != 4 || w[0].KVHeads != 2 || w[0].MLP != 96 {
		t.Errorf("the widths are %v", w)
	}
}

func TestConversionErrors(t *testing.T) {
	from, text := source(t, checkpoint.F32)
	dir := t.TempDir()
	full := filepath.Join(dir, "full")
	if err := os.MkdirAll(filepath.Join(full, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, o := context.Background(), Options{Open: open}
	w8a8, err := quant.ParseScheme("w8a8")
	if err != nil {
		t.Fatal(err)
	}
	gptq, err := quant.ParseScheme("w4a16")
	if err != nil {
		t.Fatal(err)
	}
	cut := func(mlp, heads string, align int, c Calibration) error {
		p := Pruning{Calibration: c}
		p.Align = align
		if err := p.Set("osscar", Cuts{MLP: mlp, Heads: heads}); err != nil {
			return err
		}
		_, err := Prune(ctx, from, filepath.Join(dir, "out"), p, o)
		return err
	}
	calibration := Calibration{File: text, Samples: 4, Length: 32}
	for name, c := range map[string]struct {
		run  func() error
		want string
	}{
		"not empty": {func() error {
			_, err := Quantize(ctx, from, full, Quantization{Scheme: w8a8}, o)
			return err
		}, "not empty"},
		"no calibration": {func() error {
			_, err := Quantize(ctx, from, filepath.Join(dir, "out"), Quantization{Scheme: gptq}, o)
			return err
		}, "expected --calibration FILE, or --random-calibration"},
		"no source": {func() error {
			_, err := Import(ctx, filepath.Join(dir, "none"), filepath.Join(dir, "out"), o)
			return err
		}, "none"},
		"dtype": {func() error {
			_, err := Import(ctx, from, filepath.Join(dir, "out"), Options{Open: open, DType: "I8"})
			return err
		}, "I8"},
		"aligned":  {func() error { return cut("10%", "", 96, calibration) }, "--align: the cut leaves 86 neurons of layer 0, which rounds up to all 96, expected a number such as 1, 2, 4, 8"},
		"nothing":  {func() error { return cut("", "", 0, calibration) }, "nothing is to be removed"},
		"all":      {func() error { return cut("96", "", 8, calibration) }, "at least one stays"},
		"share":    {func() error { return cut("120%", "", 0, calibration) }, "120%"},
		"method":   {func() error { return new(Pruning).Set("oscar", Cuts{MLP: "1"}) }, "osscar"},
		"too long": {func() error { return cut("10%", "", 0, Calibration{File: text, Samples: 4, Length: 65}) }, "1 to 64"},
		"no text": {func() error {
			return cut("10%", "", 0, Calibration{File: filepath.Join(dir, "none"), Samples: 4, Length: 32})
		}, "no such file"},
		"target":    {func() error { _, err := Export(ctx, from, filepath.Join(dir, "x"), "onnx", o); return err }, "gguf-q8_0"},
		"no gguf":   {func() error { _, err := Export(ctx, from, filepath.Join(dir, "x"), "gguf-f16", o); return err }, ".gguf"},
		"shape":     {func() error { _, err := Import(ctx, "random:gpt9", filepath.Join(dir, "out"), o); return err }, "qwen2.5-0.5b"},
		"loss":      {func() error { return new(Distillation).Set("fkl", "float32", false) }, "--loss fkl: found no --teacher, expected --teacher MODEL"},
		"precision": {func() error { return new(Distillation).Set("sft", "float16", false) }, "bfloat16"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.run()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want one with %q", err, c.want)
			}
			for _, left := range []string{"out", "out.partial"} {
				if _, err := os.Stat(filepath.Join(dir, left)); err == nil {
					t.Errorf("%s was left behind", left)
				}
			}
		})
	}
}

// A command does not use a finished layer of another command.
func TestOtherCommandsWorkIsNotTaken(t *testing.T) {
	from, text := source(t, checkpoint.F32)
	to := filepath.Join(t.TempDir(), "out")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	run := conversions(t)
	stop := func(done, _ int, _ string) {
		if done > 7 {
			cancel()
		}
	}
	if _, err := run["w4a16-gptq"](ctx, from, text, to, Options{Open: open, Progress: stop}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := run["w4a8"](context.Background(), from, text, to, Options{Open: open}); err == nil || !strings.Contains(err.Error(), "another command") {
		t.Errorf("the layers of one scheme were taken for another's: %v", err)
	}
}

// The estimate follows from the shape: it is what the arrays are, by hand.
func TestEstimate(t *testing.T) {
	c, err := model.Shape("qwen2.5-0.5b")
	if err != nil {
		t.Fatal(err)
	}
	e := estimate(c, Calibration{Random: true, Samples: 16, Length: 512}, []pass{{reads: everywhere}})
	layer := int64(2*4)*(2*896*(14+2)*64+3*896*4864) + 4*512*(2*896+2*14*64+2*2*64+3*4864) + 2<<20
	block := int64(4 * 1024 * 4864)
	if want := (MemoryEstimate{Layer: layer, Statistics: 5*8*4864*4864 + block, Stream: 4 * (16 + 4) * 512 * 896, Inputs: 4 * 16 * 512 * 4864}); e != want || e.Total() != want.Layer+want.Statistics+want.Stream+want.Inputs {
		t.Errorf("the estimate is %+v, want %+v", e, want)
	}
	if e := estimate(c, Calibration{}, nil); e.Statistics != 0 || e.Stream != 0 {
		t.Errorf("without calibration the estimate is %+v", e)
	}
	c.Layers = slices.Clone(c.Layers)
	for i := range c.Layers {
		c.Layers[i].MLP = 900 // the heads, of 896 channels, then take more
	}
	if e := estimate(c, Calibration{Random: true, Samples: 16, Length: 512}, []pass{{reads: everywhere}}); e.Statistics != 6*8*896*896+4*1024*896 {
		t.Errorf("with a narrow MLP the statistics take %d bytes, want %d", e.Statistics, 6*8*896*896+4*1024*896)
	}
}

// A model with random weights that was not finished leaves nothing that stops the same command: the
// folder has its name when it is whole.
func TestRandomModelsAreWhole(t *testing.T) {
	to := filepath.Join(t.TempDir(), "model")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Import(ctx, "random:stories15m", to, Options{Open: open}); !errors.Is(err, context.Canceled) {
		t.Fatalf("an interrupted import ends with %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) > 0 {
		t.Errorf("an interrupted import leaves %v, %v", left, err)
	}
	partial := checkpoint.PartialFolder(to) // as a killed process leaves it
	if err := os.MkdirAll(filepath.Join(partial, "model"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"slimlab-anew", "model/model.safetensors"} {
		if err := os.WriteFile(filepath.Join(partial, name), []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Import(t.Context(), "random:stories15m", to, Options{Open: open}); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) != 1 {
		t.Errorf("an import leaves %v, %v", left, err)
	}
	if _, err := Import(t.Context(), "random:stories15m", to, Options{Open: open}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a folder with a model is written again: %v", err)
	}
}
