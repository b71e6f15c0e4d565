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
				w, err := NewWriter(dir, []byte("a recipe"), shape, F32)
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
			if _, err := NewWriter(dir, []byte("another recipe"), shape, F32); err == nil || !strings.Contains(err.Error(), "another command") {
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
			if _, err := NewWriter(dir, []byte("a recipe"), shape, F32); err == nil || !strings.Contains(err.Error(), "not empty") {
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

// Files in a partial folder without a recipe are neither taken for this one's nor removed.
func TestWriterRefusesFilesWithoutRecipe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	m := random(t, shapes()["tied"])
	w, err := NewWriter(dir, []byte("a recipe"), m.Config, F32)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Block(context.Background(), m, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir+".partial", recipeFile)); err != nil {
		t.Fatal(err)
	}
	if _, err = NewWriter(dir, []byte("another recipe"), m.Config, F32); err == nil || !strings.Contains(err.Error(), "out.partial, in which the new folder is made, holds config.json and no "+recipeFile) {
		t.Errorf("a layer of an unknown recipe: %v", err)
	}
	if entries, err := os.ReadDir(dir + ".partial"); err != nil || len(entries) < 2 {
		t.Errorf("the refused folder has %d files left, %v", len(entries), err)
	}
}

// A finished layer that was damaged before the work goes on is refused with what to do, and what a
// killed process left of files that it was writing does not come into the finished folder.
func TestWriterOfADamagedLayer(t *testing.T) {
	ctx := context.Background()
	m := random(t, shapes()["tied"])
	dir := filepath.Join(t.TempDir(), "out")
	begin := func() *Writer {
		w, err := NewWriter(dir, []byte("recipe"), m.Config, F32)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := begin()
	if err := w.Block(ctx, m, 0); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(w.Folder(), w.shard(1))
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-3] ^= 4
	if err := os.WriteFile(name, damaged, 0o644); err != nil {
		t.Fatal(err)
	}
	frame, err := model.Skeleton(m.Config)
	if err != nil {
		t.Fatal(err)
	}
	w = begin()
	if err := w.LoadBlock(ctx, frame, 0); !w.Finished(0) || err == nil || !strings.Contains(err.Error(), name+" is damaged") || !strings.Contains(err.Error(), "remove this file") {
		t.Errorf("a damaged layer: %v", err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if w = begin(); w.Finished(0) {
		t.Error("a layer without its file is finished")
	}
	left := filepath.Join(w.Folder(), ".config.json-0123abcd")
	if err := os.WriteFile(left, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w = begin()
	for layer := range m.Layers {
		if err := w.Block(ctx, m, layer); err != nil {
			t.Fatal(err)
		}
	}
	var rest []Tensor
	for _, p := range m.Tensors() {
		if !strings.HasPrefix(p.Name, "model.layers.") {
			rest = append(rest, safetensors.NewTensor(p.Name, F32, p.Shape, func() any { return p.Data }))
		}
	}
	if err := errors.Join(w.Rest(ctx, rest), w.Close()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || strings.HasSuffix(e.Name(), sumEnd) {
			t.Errorf("%s is in the finished folder", e.Name())
		}
	}
}
