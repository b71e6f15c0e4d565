package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/checkpoint/safetensors"
)

// rest lists the tensors of m that belong to no layer.
func rest(m *model.Model) (list []Tensor) {
	for _, p := range m.Tensors() {
		if !strings.HasPrefix(p.Name, "model.layers.") {
			list = append(list, safetensors.NewTensor(p.Name, F32, p.Shape, func() any { return p.Data }))
		}
	}
	return list
}

// writerModels are models with layers of one shape and of two, dense and quantized.
func writerModels(t *testing.T) map[string]*model.Model {
	models := map[string]*model.Model{}
	for name, c := range shapes() {
		models[name] = random(t, c)
	}
	q := random(t, shapes()["tied"])
	quantize(q, func(name string) (bits, group int) {
		switch {
		case strings.HasSuffix(name, "down_proj"):
			return 4, 4
		case strings.HasSuffix(name, "o_proj"):
			return 0, 0
		}
		return 8, 0
	})
	models["quantized"] = q
	return models
}

// A folder that is written layer by layer holds what Save writes, also when a second Writer goes on
// where the first stopped.
func TestWriterWritesWhatSaveWrites(t *testing.T) {
	for name, m := range writerModels(t) {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			shape := m.Config
			// as it was before its layers were changed
			shape.Layers = model.Uniform(len(m.Layers), 4, 2, 24)
			begin := func() *Writer {
				w, err := NewWriter(context.Background(), dir, []byte("a recipe"), shape, F32)
				if err != nil {
					t.Fatal(err)
				}
				return w
			}
			w := begin()
			if w.Finished(0) {
				t.Error("a layer is finished at the start")
			}
			if err := w.Block(context.Background(), m, 0); err != nil {
				t.Fatal(err)
			}
			w = begin() // after an interruption
			if !w.Finished(0) || w.Finished(1) {
				t.Error("the second writer does not find the layer of the first")
			}
			if _, err := NewWriter(context.Background(), dir, []byte("another recipe"), shape, F32); err == nil || !strings.Contains(err.Error(), "another command") {
				t.Errorf("another recipe goes on with the layers of this one: %v", err)
			}
			frame, err := model.Skeleton(shape)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.LoadBlock(context.Background(), frame, 0); err != nil {
				t.Fatal(err)
			}
			if frame.Layers[0] != m.Layers[0] || frame.Blocks[0].Q.Weight.Format() != m.Blocks[0].Q.Weight.Format() {
				t.Errorf("layer 0 came back as %v in %s", frame.Layers[0], frame.Blocks[0].Q.Weight.Format())
			}
			for layer := 1; layer < len(m.Blocks); layer++ {
				if err := w.Block(context.Background(), m, layer); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Rest(context.Background(), rest(m)); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("the folder has its name before it is whole")
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			saved := filepath.Join(t.TempDir(), "saved")
			if err := Save(context.Background(), saved, m, nil, SaveOptions{}); err != nil {
				t.Fatal(err)
			}
			sameTensors(t, dir, saved)
			if _, err := NewWriter(context.Background(), dir, []byte("a recipe"), shape, F32); err == nil || !strings.Contains(err.Error(), "not empty") {
				t.Errorf("a finished folder is written again: %v", err)
			}
		})
	}
}

// sameTensors compares two folders tensor by tensor.
func sameTensors(t *testing.T, a, b string) {
	t.Helper()
	x, err := Open(a)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	y, err := Open(b)
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	if len(x.Tensors()) != len(y.Tensors()) || !slices.Equal(x.Quantization(), y.Quantization()) {
		t.Fatalf("%d tensors in %v, want %d in %v", len(x.Tensors()), x.Quantization(), len(y.Tensors()), y.Quantization())
	}
	for _, want := range y.Tensors() {
		got, err := x.Raw(want.Name)
		if err != nil {
			t.Fatal(err)
		}
		data, err := y.Raw(want.Name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, data) {
			t.Errorf("tensor %q differs", want.Name)
		}
	}
}

// written has the first layers of m written to dir.
func written(t *testing.T, dir string, m *model.Model, layers int) *Writer {
	t.Helper()
	w, err := NewWriter(t.Context(), dir, []byte("a recipe"), m.Config, F32)
	if err != nil {
		t.Fatal(err)
	}
	for layer := range layers {
		w.Note(layer, []byte{byte(layer)})
		if err := w.Block(t.Context(), m, layer); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// A folder of layers without a recipe is neither taken for this one's nor removed.
func TestWriterRefusesFilesWithoutRecipe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	m := random(t, shapes()["tied"])
	written(t, dir, m, 1)
	if err := os.Remove(filepath.Join(PartialFolder(dir), recipeFile)); err != nil {
		t.Fatal(err)
	}
	want := "out.partial, in which the new folder is made, holds model, which is not of this work"
	if _, err := NewWriter(t.Context(), dir, []byte("another recipe"), m.Config, F32); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a layer of an unknown recipe: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Join(PartialFolder(dir), modelFolder)); err != nil || len(entries) < 2 {
		t.Errorf("the refused folder has %d files left, %v", len(entries), err)
	}
}

// What is no regular file, and has the name of one of slimlab's, is refused and not read: a pipe
// would be waited for.
func TestWriterRefusesWhatIsNoFile(t *testing.T) {
	m := random(t, shapes()["tied"])
	for _, name := range []string{recipeFile, recordPrefix + "00000", anewFile, timesFile} {
		for what, put := range map[string]func(path string) error{
			"a folder":       func(path string) error { return os.Mkdir(path, 0o755) },
			"a link to none": func(path string) error { return os.Symlink("nowhere", path) },
		} {
			dir := filepath.Join(t.TempDir(), "out")
			w := written(t, dir, m, 1)
			path := w.partial.file(name)
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadDir(w.Folder())
			if err != nil {
				t.Fatal(err)
			}
			_, err = NewWriter(t.Context(), dir, []byte("a recipe"), m.Config, F32)
			for _, err := range []error{err, WriteWhole(dir, func(string) error { return nil })} {
				var unfinished *UnfinishedError
				if err == nil || !errors.As(err, &unfinished) && !strings.Contains(err.Error(), "which is not of this work") {
					t.Errorf("%s is %s: %v", name, what, err)
				}
			}
			if after, err := os.ReadDir(w.Folder()); err != nil || len(after) != len(before) {
				t.Errorf("%s is %s: %d files of the model are left of %d, %v", name, what, len(after), len(before), err)
			}
		}
	}
}

// A file in the place of the folder is named.
func TestWriterOfAFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(PartialFolder(dir), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := NewWriter(t.Context(), dir, []byte("a recipe"), random(t, shapes()["tied"]).Config, F32)
	for _, err := range []error{err, WriteWhole(dir, func(string) error { return nil })} {
		if err == nil || !strings.Contains(err.Error(), "out.partial, in which the new folder is to be made, is a file: move it away") {
			t.Errorf("found error %v", err)
		}
	}
}

// What was said of finished layers comes back, and what a killed process left of files that it was
// writing does not come into the finished folder.
func TestWriterGoesOn(t *testing.T) {
	m := random(t, shapes()["tied"])
	dir := filepath.Join(t.TempDir(), "out")
	w := written(t, dir, m, 1)
	for _, left := range []string{".config.json-0123abcd", w.shard(1) + makingEnd, w.shard(2) + makingEnd, w.shard(2), "tokenizer.json"} {
		if err := os.WriteFile(filepath.Join(w.Folder(), left), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w, err := NewWriter(t.Context(), dir, []byte("a recipe"), m.Config, F32)
	if err != nil {
		t.Fatal(err)
	}
	if w.Lost() != (Lost{}) || !bytes.Equal(w.Noted(0), []byte{0}) || w.Noted(1) != nil || w.Finished(1) {
		t.Errorf("lost %+v, noted %v and %v", w.Lost(), w.Noted(0), w.Noted(1))
	}
	var unfinished *UnfinishedError
	if err := WriteWhole(dir, func(string) error { return nil }); !errors.As(err, &unfinished) || string(unfinished.Recipe) != "a recipe" {
		t.Errorf("what begins anew over finished layers: %v", err)
	}
	whole(t, w, m, 1)
	var names []string
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	want := []string{"config.json", w.shard(0), w.shard(1), w.shard(2), safetensors.IndexName}
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("the finished folder has %q, expected %q, %v", names, want, err)
	}
}

// What has the name of a file of the model, and is none, is refused like any other.
func TestWriterRefusesFolders(t *testing.T) {
	m := random(t, shapes()["tied"])
	dir := filepath.Join(t.TempDir(), "out")
	w := written(t, dir, m, 1)
	for _, name := range []string{"tokenizer.json", w.shard(2)} {
		folder := filepath.Join(w.Folder(), name)
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := NewWriter(t.Context(), dir, []byte("a recipe"), m.Config, F32); err == nil || !strings.Contains(err.Error(), "holds "+name+", which is not of this work") {
			t.Errorf("a folder %s: %v", name, err)
		}
		if err := os.Remove(folder); err != nil {
			t.Fatal(err)
		}
	}
}

// whole writes what is left of m, and closes the folder.
func whole(t *testing.T, w *Writer, m *model.Model, from int) {
	t.Helper()
	for layer := from; layer < len(m.Layers); layer++ {
		if err := w.Block(t.Context(), m, layer); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Rest(t.Context(), rest(m)), w.Close()); err != nil {
		t.Fatal(err)
	}
}

// A process that is killed while the folder gets its name leaves what the same command ends with
// the same files, and what no other command takes for its own.
func TestWriterKilledAsItCloses(t *testing.T) {
	m := random(t, shapes()["tied"])
	for name, c := range map[string]struct {
		left     []string // of the partial folder, behind the rename
		change   string   // a file of the finished folder
		refused  bool
		whole    bool // and nothing is to be continued
		finished int
	}{
		"before the recipe goes": {left: []string{recipeFile, recordPrefix + "00000", recordPrefix + "00001"}, finished: 2},
		"records are gone":       {left: []string{recipeFile, recordPrefix + "00001"}, refused: true},
		"the recipe is gone":     {left: []string{recordPrefix + "00001"}, refused: true, whole: true},
		"the folder is changed":  {left: []string{recipeFile, recordPrefix + "00000", recordPrefix + "00001"}, change: "mine.txt", refused: true},
		"a layer is changed":     {left: []string{recipeFile, recordPrefix + "00000", recordPrefix + "00001"}, change: "model-00002-of-00003.safetensors", refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			w := written(t, dir, m, len(m.Layers))
			w0 := w.partial
			kept := map[string][]byte{}
			for _, name := range c.left {
				data, err := os.ReadFile(w.partial.file(name))
				if err != nil {
					t.Fatal(err)
				}
				kept[name] = data
			}
			whole(t, w, m, len(m.Layers))
			if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
				t.Fatalf("the finished work leaves %v, %v", left, err)
			}
			saved := filepath.Join(t.TempDir(), "saved")
			if err := os.CopyFS(saved, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(w.partial.path, 0o755); err != nil {
				t.Fatal(err)
			}
			for name, data := range kept {
				if err := os.WriteFile(w.partial.file(name), data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if c.change != "" {
				if err := os.WriteFile(filepath.Join(dir, c.change), []byte("mine"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			w, err := NewWriter(t.Context(), dir, []byte("a recipe"), m.Config, F32)
			if c.refused {
				want := "the folder is not empty, expected a new one"
				if c.whole {
					want = "the folder is not empty: it is whole, made by a command that was killed as it ended"
				}
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("found error %v", err)
				}
				if _, err := os.Stat(w0.path); c.whole == (err == nil) {
					t.Errorf("what was left beside: %v", err)
				}
				// as users do then
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
				if w, err = NewWriter(t.Context(), dir, []byte("a recipe"), m.Config, F32); err != nil {
					t.Fatal(err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if w.done != c.finished {
				t.Errorf("%d layers are finished, expected %d", w.done, c.finished)
			}
			whole(t, w, m, w.done)
			sameTensors(t, dir, saved)
			if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
				t.Errorf("the finished work leaves %v, %v", left, err)
			}
		})
	}
}
