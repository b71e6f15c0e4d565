package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slimlab/internal/wrongfile"
	"slimlab/model"
	"slimlab/model/checkpoint/safetensors"
)

// Writer writes a Hugging Face folder part by part, for models that are never in memory as a whole:
// one file for each layer and one for the other tensors. Each file is read again and compared
// before it counts. The Writer works in a folder beside the one that it was asked for, whose name
// ends in ".partial", and Close gives the new folder its name by one rename. A Writer with the same
// recipe continues the work of one that was interrupted: layers whose files are no longer what was
// written, and those behind them, are made again (Lost). Files that no Writer makes are refused by
// name, and stay. Two must not work on one folder at once: the caller sees to that (package
// filelock).
type Writer struct {
	partial  partial
	config   model.Config // its widths become those of the layers that are written
	dtype    DType
	storages []Storage // of the linear layers, in their order
	accounts [][]byte  // of each layer
	done     int       // the first layers, which an earlier Writer has finished
	lost     Lost

	// Packing is that of 4-bit weights, see SaveOptions. It is set before the first layer is
	// written.
	Packing Packing
}

// NewWriter begins the folder dir, which must be absent or empty, or continues it. recipe names
// all that the layers' content depends on: their source, method and options. c is the shape before
// the layers change it; dtype is that of the float tensors. A folder that was begun with another
// recipe is an UnfinishedError.
func NewWriter(ctx context.Context, dir string, recipe []byte, c model.Config, dtype DType) (*Writer, error) {
	c.Layers = slices.Clone(c.Layers)
	w := &Writer{partial: partialOf(dir), config: c, dtype: dtype, storages: make([]Storage, len(c.Layers)*linearsPerLayer), accounts: make([][]byte, len(c.Layers))}
	if err := w.begin(ctx, recipe); err != nil {
		return nil, fmt.Errorf("write checkpoint %s: %w", dir, err)
	}
	return w, nil
}

const linearsPerLayer = 7

func (w *Writer) begin(ctx context.Context, recipe []byte) error {
	p := w.partial
	found, err := UnfinishedRecipe(p.dir)
	if err != nil {
		return err
	}
	begun := found != nil
	if entries, err := os.ReadDir(p.dir); err == nil && len(entries) > 0 {
		if !begun || !bytes.Equal(found, recipe) || !w.takeBack(ctx) {
			return p.notEmpty()
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := wrongfile.Replaceable(p.dir); err != nil {
		return err
	}
	if begun && !bytes.Equal(found, recipe) {
		return &UnfinishedError{p.path, found}
	}
	if !begun {
		if err := p.check(made); err != nil {
			return err
		}
		return p.begin(recipeFile, recipe)
	}
	return w.goOn(ctx)
}

// goOn takes up the layers that are finished.
func (w *Writer) goOn(ctx context.Context) error {
	if err := w.partial.check(w.mayMake); err != nil {
		return err
	}
	if err := os.MkdirAll(w.Folder(), 0o755); err != nil {
		return err
	}
	if err := w.look(ctx, w.Folder()); err != nil {
		return err
	}
	if err := w.dropUnfinished(); err != nil {
		return err
	}
	return w.saveConfig(false)
}

// takeBack undoes the rename of a Writer that was killed behind it and before its recipe had gone,
// so that the same command ends as that one would have: only where the folder is just what that
// Writer made.
func (w *Writer) takeBack(ctx context.Context) bool {
	p := w.partial
	if _, err := os.Lstat(p.model()); err == nil {
		return false
	}
	if w.look(ctx, p.dir) != nil || w.done < len(w.config.Layers) || refuseForeign(p.dir, w.has) != nil {
		return false
	}
	return os.Rename(p.dir, p.model()) == nil
}

// Note keeps what is said of a layer that is about to be written.
func (w *Writer) Note(layer int, account []byte) { w.accounts[layer] = account }

// Noted returns what was said of a layer.
func (w *Writer) Noted(layer int) []byte { return w.accounts[layer] }

// makingEnd ends the name of a file that is written and not yet compared.
const makingEnd = ".making"

// Folder is where files that belong to the checkpoint, such as a tokenizer's, may be put before
// Close.
func (w *Writer) Folder() string { return w.partial.model() }

// TimesFile is the name of a file that is kept with the unfinished work and goes with it: for times
// that the layers depend on and that cannot be measured again.
func (w *Writer) TimesFile() string { return w.partial.file(timesFile) }

// shard is the name of file n: 0 is what surrounds the layers, n+1 is layer n.
func (w *Writer) shard(n int) string {
	return safetensors.ShardName(n, len(w.config.Layers)+1)
}

// has reports a name that a file of the finished checkpoint may have.
func (w *Writer) has(name string) bool {
	if name == gptqConfigName {
		return w.inGPTQ()
	}
	if name == "config.json" || name == safetensors.IndexName || slices.Contains(otherFiles, name) {
		return true
	}
	for n := range len(w.config.Layers) + 1 {
		if name == w.shard(n) {
			return true
		}
	}
	return false
}

// mayMake reports a name that a file may have while the checkpoint is made.
func (w *Writer) mayMake(name string) bool {
	return name == gptqConfigName || w.has(strings.TrimSuffix(name, makingEnd))
}

// Abandon removes what a Writer that finished no layer has made, so that another command may begin;
// else it does nothing.
func (w *Writer) Abandon() error {
	for layer := range w.config.Layers {
		if w.Finished(layer) {
			return nil
		}
	}
	return w.partial.remove()
}

// Finished reports whether a layer was written, by this Writer or one before.
func (w *Writer) Finished(layer int) bool {
	_, err := os.Stat(w.partial.file(w.finishedFile(layer)))
	return err == nil
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
	if err := w.saveConfig(false); err != nil { // LoadBlock reads it
		return fmt.Errorf("write checkpoint %s: %w", w.partial.dir, err)
	}
	sum, err := w.write(ctx, layer+1, tensors)
	if err != nil {
		return err
	}
	err = w.record(layer, finished{sum, w.config.Layers[layer], w.storages[layer*linearsPerLayer : (layer+1)*linearsPerLayer], w.accounts[layer]})
	if err != nil {
		return fmt.Errorf("write checkpoint %s: %w", w.partial.dir, err)
	}
	return nil
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
	gptq := w.inGPTQ()
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
	return writeConfig(w.Folder(), config, layers)
}

// inGPTQ reports a layer in GPTQ's packing.
func (w *Writer) inGPTQ() bool {
	return slices.ContainsFunc(w.storages, func(s Storage) bool { return s.Packing == GPTQ })
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
func (w *Writer) Rest(ctx context.Context, tensors []Tensor) error {
	_, err := w.write(ctx, 0, tensors)
	return err
}

// write writes file n and compares it before it gets its name.
func (w *Writer) write(ctx context.Context, n int, tensors []Tensor) (sum uint32, err error) {
	name := filepath.Join(w.Folder(), w.shard(n))
	making := name + makingEnd
	if err := safetensors.Write(ctx, making, tensors); err != nil {
		return 0, fmt.Errorf("write checkpoint %s: %w", w.partial.dir, err)
	}
	if err := safetensors.Verify(ctx, making, tensors); err != nil {
		err = errors.Join(err, os.Remove(making))
		if ctx.Err() != nil {
			return 0, err
		}
		return 0, fmt.Errorf("write checkpoint %s: %s does not hold what was written: %w", w.partial.dir, filepath.Base(name), err)
	}
	if sum, err = checksum(making); err == nil {
		err = os.Rename(making, name)
	}
	if err != nil {
		return 0, fmt.Errorf("write checkpoint %s: %w", w.partial.dir, err)
	}
	return sum, nil
}

// Close writes the index and config.json and gives the folder its name. All layers and the rest
// must have been written.
func (w *Writer) Close() error {
	if err := w.close(); err != nil {
		return fmt.Errorf("write checkpoint %s: %w", w.partial.dir, err)
	}
	return nil
}

func (w *Writer) close() error {
	names := make([]string, len(w.config.Layers)+1)
	for n := range names {
		names[n] = w.shard(n)
	}
	if err := safetensors.WriteIndex(w.Folder(), names); err != nil {
		return err
	}
	if err := w.saveConfig(true); err != nil {
		return err
	}
	return w.partial.finish(recipeFile, w.has)
}

// LoadBlock brings a finished layer into m as it was written, widths and formats included.
func (w *Writer) LoadBlock(ctx context.Context, m *model.Model, layer int) error {
	if err := w.loadBlock(ctx, m, layer); err != nil {
		return fmt.Errorf("checkpoint %s: layer %d: %w", w.Folder(), layer, err)
	}
	return nil
}

func (w *Writer) loadBlock(ctx context.Context, m *model.Model, layer int) error {
	folder := os.DirFS(w.Folder())
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
	return c.LoadBlock(ctx, m, layer)
}
