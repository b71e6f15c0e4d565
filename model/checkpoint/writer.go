package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slimlab/internal/atomicfile"
	"slimlab/model"
	"slimlab/model/checkpoint/safetensors"
)

// Writer writes a Hugging Face folder part by part, for models that are never in memory as a whole:
// one file for each layer and one for the other tensors. Each file is read again and compared
// before it counts. The Writer works in a folder beside the one that it was asked for, whose name
// ends in ".partial", and Close renames it. A Writer with the same recipe continues the work of one
// that was interrupted. Two must not work on one folder at once: the caller sees to that (package
// filelock).
type Writer struct {
	dir, partial string
	config       model.Config // its widths become those of the layers that are written
	dtype        DType
	storages     []Storage // of the linear layers, in their order
	dropped      int       // finished layers that are made again

	// Packing is that of 4-bit weights, see SaveOptions. It is set before the first layer is
	// written.
	Packing Packing
}

// recipeFile says in a partial folder what its files were made of and how.
const recipeFile = "slimlab-recipe.json"

// NewWriter begins the folder dir, which must be absent or empty, or continues it. recipe names
// all that the layers' content depends on: their source, method and options. c is the shape before
// the layers change it; dtype is that of the float tensors. A folder that was begun with another
// recipe is an UnfinishedError.
func NewWriter(dir string, recipe []byte, c model.Config, dtype DType) (*Writer, error) {
	c.Layers = slices.Clone(c.Layers)
	w := &Writer{dir: filepath.Clean(dir), config: c, dtype: dtype, storages: make([]Storage, len(c.Layers)*linearsPerLayer)}
	w.partial = PartialFolder(dir)
	if err := w.begin(recipe); err != nil {
		return nil, fmt.Errorf("write checkpoint %s: %w", dir, err)
	}
	return w, nil
}

const linearsPerLayer = 7

// PartialFolder is where a Writer works.
func PartialFolder(dir string) string { return filepath.Clean(dir) + ".partial" }

// Unfinished reports whether a Writer has left finished layers of the folder dir.
func Unfinished(dir string) bool {
	_, err := os.Stat(filepath.Join(PartialFolder(dir), recipeFile))
	return err == nil
}

func (w *Writer) begin(recipe []byte) error {
	if entries, err := os.ReadDir(w.dir); err == nil && len(entries) > 0 {
		return errors.New("the folder is not empty, expected a new one")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	found, err := os.ReadFile(filepath.Join(w.partial, recipeFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(w.partial, 0o755); err != nil {
			return err
		}
		if err := w.refuseForeign(); err != nil {
			return err
		}
		return atomicfile.Write(filepath.Join(w.partial, recipeFile), func(f io.Writer) error {
			_, err := f.Write(recipe)
			return err
		})
	case err != nil:
		return err
	case !bytes.Equal(found, recipe):
		return &UnfinishedError{w.partial, found}
	}
	if err := w.dropLater(); err != nil {
		return err
	}
	return atomicfile.RemoveAllAbandoned(w.partial)
}

// refuseForeign refuses a partial folder without a recipe that holds more than what a killed
// process leaves of writing one.
func (w *Writer) refuseForeign() error {
	if err := atomicfile.RemoveAllAbandoned(w.partial); err != nil {
		return err
	}
	entries, err := os.ReadDir(w.partial)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s, in which the new folder is made, holds %s and no %s: move away what is yours, or remove the folder", w.partial, entries[0].Name(), recipeFile)
	}
	return err
}

// dropLater removes what there is of the layers behind the first that is not finished: each is made
// of what the ones before it became.
func (w *Writer) dropLater() error {
	first := 0
	for first < len(w.config.Layers) && w.Finished(first) {
		first++
	}
	for layer := first; layer < len(w.config.Layers); layer++ {
		if layer > first && w.Finished(layer) {
			w.dropped++
		}
		name := filepath.Join(w.partial, w.shard(layer+1))
		for _, file := range []string{name + sumEnd, name + accountEnd, name} {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// Dropped counts the finished layers that are made again, since one before them is no longer there.
func (w *Writer) Dropped() int { return w.dropped }

// sumEnd ends the name of the file with a layer's checksum, which is there until Close.
const sumEnd = ".crc32"

// accountEnd ends the name of the file with what was said of a layer, which is there until Close.
const accountEnd = ".account"

// Note keeps what is said of a layer that is about to be written.
func (w *Writer) Note(layer int, account []byte) error {
	err := atomicfile.Write(w.accountOf(layer), func(f io.Writer) error {
		_, err := f.Write(account)
		return err
	})
	if err != nil {
		return fmt.Errorf("write checkpoint %s: %w", w.dir, err)
	}
	return nil
}

// Noted returns what was said of a finished layer, nil where it is not kept.
func (w *Writer) Noted(layer int) ([]byte, error) {
	data, err := os.ReadFile(w.accountOf(layer))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

func (w *Writer) accountOf(layer int) string {
	return filepath.Join(w.partial, w.shard(layer+1)+accountEnd)
}

// makingEnd ends the name of a layer's file that is written, until its checksum is there.
const makingEnd = ".making"

// checksum is that of a file's content.
func checksum(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := crc32.NewIEEE()
	_, err = io.Copy(sum, f)
	return fmt.Sprintf("%08x", sum.Sum32()), err
}

// checkSum reports a finished layer's file that is no longer what was written.
func (w *Writer) checkSum(layer int) error {
	name := filepath.Join(w.partial, w.shard(layer+1))
	want, err := os.ReadFile(name + sumEnd)
	if err != nil {
		return err
	}
	found, err := checksum(name)
	if err == nil && found != string(want) {
		err = fmt.Errorf("%s is damaged: its checksum is %s, expected %s: remove this file, and the same command makes the layer again", name, found, want)
	}
	return err
}

// UnfinishedError is the error of a folder that was begun with another recipe.
type UnfinishedError struct {
	Folder string // with the finished layers
	Recipe []byte // that it was begun with
}

// File is what holds the recipe.
func (e *UnfinishedError) File() string { return filepath.Join(e.Folder, recipeFile) }

func (e *UnfinishedError) Error() string {
	return e.Folder + " holds the unfinished work of another command; finish that, or remove the folder"
}

// Folder is where files that belong to the checkpoint, such as a tokenizer's, may be put before
// Close.
func (w *Writer) Folder() string { return w.partial }

// shard is the name of file n: 0 is what surrounds the layers, n+1 is layer n.
func (w *Writer) shard(n int) string {
	return safetensors.ShardName(n, len(w.config.Layers)+1)
}

// Abandon removes the folder of a Writer that finished no layer, so that another command may begin;
// else it does nothing.
func (w *Writer) Abandon() error {
	for layer := range w.config.Layers {
		if w.Finished(layer) {
			return nil
		}
	}
	return os.RemoveAll(w.partial)
}

// Finished reports whether a layer was written, by this Writer or one before.
func (w *Writer) Finished(layer int) bool {
	name := filepath.Join(w.partial, w.shard(layer+1))
	for _, file := range []string{name, name + sumEnd} {
		if _, err := os.Stat(file); err != nil {
			return false
		}
	}
	return true
}

// Block writes a layer of m.
func (w *Writer) Block(ctx context.Context, m *model.Model, layer int) error {
	prefix := fmt.Sprintf("model.layers.%d.", layer)
	var tensors []Tensor
	for _, p := range m.Tensors() {
		if strings.HasPrefix(p.Name, prefix) {
			tensors = append(tensors, safetensors.NewTensor(p.Name, w.dtype, p.Shape, func() any { return p.Data }))
		}
	}
	for i, l := range m.Linears() {
		if l.Layer != layer {
			continue
		}
		if err := checkShape(l); err != nil {
			return err
		}
		packed, s, err := encode(l.Name, l.Weight, SaveOptions{DType: w.dtype, Packing: w.Packing})
		if err != nil {
			return err
		}
		w.storages[i] = s
		tensors = append(tensors, packed...)
	}
	w.config.Layers[layer] = m.Layers[layer]
	if err := w.saveConfig(false); err != nil { // first: a file that is there is finished
		return fmt.Errorf("write checkpoint %s: %w", w.dir, err)
	}
	return w.write(ctx, layer+1, tensors)
}

// saveConfig writes config.json, or before that is final as much as is known: layers to come look
// as they were, and dense.
func (w *Writer) saveConfig(final bool) error {
	config, err := newConfigFile(w.config, w.dtype)
	if err != nil {
		return err
	}
	// Only the names of the linear layers are needed, which follow from the shape.
	skeleton := model.Model{Config: w.config, Blocks: make([]model.Block, len(w.config.Layers))}
	layers := make([]layer, 0, len(w.storages)+1)
	gptq := slices.ContainsFunc(w.storages, func(s Storage) bool { return s.Packing == GPTQ })
	for i, l := range skeleton.Linears() {
		// GPTQ's config has no place for dense layers
		if final || !w.storages[i].Dense() || !gptq {
			layers = append(layers, layer{l.Name, w.storages[i]})
		}
	}
	layers = append(layers, layer{"lm_head", Storage{}})
	if config.Quantization, err = newQuantizationConfig(layers); err != nil {
		return err
	}
	return writeConfig(w.partial, config, layers)
}

func checkShape(l model.LinearLayer) error {
	if l.Weight == nil {
		return fmt.Errorf("%s is not set, expected a weight [%d, %d]", l.Name, l.Out, l.In)
	}
	if out, in := l.Weight.Shape(); out != l.Out || in != l.In {
		return fmt.Errorf("%s is [%d, %d], expected [%d, %d]", l.Name, out, in, l.Out, l.In)
	}
	return nil
}

// Rest writes what surrounds the layers: embedding, final norm, and an untied head.
func (w *Writer) Rest(ctx context.Context, tensors []Tensor) error { return w.write(ctx, 0, tensors) }

func (w *Writer) write(ctx context.Context, n int, tensors []Tensor) error {
	name := filepath.Join(w.partial, w.shard(n))
	making := name
	if n > 0 { // a layer has its name when its checksum is there
		making += makingEnd
	}
	if err := safetensors.Write(ctx, making, tensors); err != nil {
		return fmt.Errorf("write checkpoint %s: %w", w.dir, err)
	}
	if err := safetensors.Verify(ctx, making, tensors); err != nil {
		err = errors.Join(err, os.Remove(making))
		if ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("write checkpoint %s: %s does not hold what was written: %w", w.dir, filepath.Base(name), err)
	}
	if n == 0 {
		return nil
	}
	sum, err := checksum(making)
	if err == nil {
		err = atomicfile.Write(name+sumEnd, func(f io.Writer) error {
			_, err := io.WriteString(f, sum)
			return err
		})
	}
	if err == nil {
		err = os.Rename(making, name)
	}
	if err != nil {
		return fmt.Errorf("write checkpoint %s: %w", w.dir, err)
	}
	return nil
}

// Close writes the index and config.json and gives the folder its name. All layers and the rest
// must have been written.
func (w *Writer) Close() error {
	if err := w.close(); err != nil {
		return fmt.Errorf("write checkpoint %s: %w", w.dir, err)
	}
	return nil
}

func (w *Writer) close() error {
	names := make([]string, len(w.config.Layers)+1)
	for n := range names {
		names[n] = w.shard(n)
	}
	if err := safetensors.WriteIndex(w.partial, names); err != nil {
		return err
	}
	if err := w.saveConfig(true); err != nil {
		return err
	}
	for _, name := range names[1:] {
		for _, end := range []string{sumEnd, accountEnd} {
			if err := os.Remove(filepath.Join(w.partial, name+end)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if err := atomicfile.RemoveAllAbandoned(w.partial); err != nil {
		return err
	}
	// an empty folder is replaced
	if err := os.Remove(w.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(w.partial, w.dir); err != nil {
		return err
	}
	// last: files without their recipe could be taken for another's
	return os.Remove(filepath.Join(w.dir, recipeFile))
}

// LoadBlock brings a finished layer into m as it was written, widths and formats included.
func (w *Writer) LoadBlock(ctx context.Context, m *model.Model, layer int) error {
	if err := w.loadBlock(ctx, m, layer); err != nil {
		return fmt.Errorf("checkpoint %s: layer %d: %w", w.partial, layer, err)
	}
	return nil
}

func (w *Writer) loadBlock(ctx context.Context, m *model.Model, layer int) error {
	if err := w.checkSum(layer); err != nil {
		return err
	}
	folder := os.DirFS(w.partial)
	d, err := readConfig(folder, ".", nil)
	if err != nil {
		return err
	}
	files, err := safetensors.OpenFiles(folder, w.shard(layer+1))
	if err != nil {
		return err
	}
	defer files.Close()
	c := new(Checkpoint)
	c.setFiles(d, newFolder(files))
	if err := c.LoadBlock(ctx, m, layer); err != nil {
		return err
	}
	w.config.Layers[layer] = m.Layers[layer]
	for i, l := range m.Linears() {
		if l.Layer == layer {
			w.storages[i] = d.quantization.of(l.Name)
		}
	}
	return nil
}
