package convert

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
	"slimlab/lab/recipe"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/model/checkpoint/lora"
)

// merging is what adapters, one after another, make of a model. nil is none, which changes nothing.
type merging struct {
	adapters []*lora.Adapter
	folders  []string
	watches  []*recipe.Watch
	// for each adapter, whose change the embedding and the head take: a tied head's follows
	embedding, head []string
	config          model.Config // of the merged model
	resized         bool         // its vocabulary has another size
	notes           []string
}

// openAdapters opens o.Adapters for a model, and adds what they hold to the inputs of its recipe.
func (o *Options) openAdapters(ctx context.Context, name string, from *checkpoint.Checkpoint, inputs map[string]string) error {
	if len(o.Adapters) == 0 {
		return nil
	}
	m := &merging{config: from.Config(), folders: o.Adapters}
	shapes, err := modelShapes(from.Config())
	if err != nil {
		return err
	}
	for i, dir := range o.Adapters {
		watch := recipe.NewWatch(dir)
		a, err := lora.Open(dir, shapes)
		if err != nil {
			return errors.Join(err, m.close())
		}
		m.adapters, m.watches = append(m.adapters, a), append(m.watches, watch)
		inputs[fmt.Sprintf("adapter %d", i+1)], err = watch.Name(ctx, func(ctx context.Context) (string, error) { return recipe.Checkpoint(ctx, dir) })
		if err == nil {
			err = m.tie(a, shapes)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("adapter %s: %w", dir, err), m.close())
		}
		m.describe(a, dir, name)
		for tensor := range shapes {
			shapes[tensor] = a.Shape(tensor)
		}
	}
	m.config.Vocab = shapes[lora.Embedding][0]
	if err := m.tokenizerNotes(from); err != nil {
		return errors.Join(err, m.close())
	}
	if formats := packedFormats(from); formats != "" {
		m.notes = append(m.notes, fmt.Sprintf("the model's weights (%s) are dequantized before the merge", formats))
	}
	if from.Config().TiedHead && !m.config.TiedHead {
		m.notes = append(m.notes, "the head was the embedding and is now a tensor of its own, since an adapter changes one of them alone")
	}
	o.merging = m
	return nil
}

// modelShapes lists the tensors of a model by name, its head also where it is the embedding.
func modelShapes(c model.Config) (map[string][]int, error) {
	m, err := model.Skeleton(c)
	if err != nil {
		return nil, err
	}
	shapes := map[string][]int{}
	for _, t := range m.Tensors() {
		shapes[t.Name] = t.Shape
	}
	for _, l := range m.Linears() {
		shapes[l.Name+".weight"] = []int{l.Out, l.In}
	}
	shapes[lora.Embedding], shapes[lora.Head] = []int{c.Vocab, c.Hidden}, []int{c.Vocab, c.Hidden}
	return shapes, nil
}

// packedFormats names the formats of linear layers that are no floats.
func packedFormats(from *checkpoint.Checkpoint) string {
	var list []string
	for _, l := range from.Quantization() {
		if !slices.Contains(list, l.Format) && !slices.Contains([]string{"F64", "F32", "F16", "BF16"}, l.Format) {
			list = append(list, l.Format)
		}
	}
	return strings.Join(list, ", ")
}

// tie finds what becomes of a head that is the embedding: it follows where both are changed alike,
// where the adapter asks for it, and where the vocabulary has another size; else it is a tensor of
// its own from there on, as it was while the adapter was trained.
func (m *merging) tie(a *lora.Adapter, before map[string][]int) error {
	embedding, head := lora.Embedding, lora.Head
	if changed, headChanged := a.Changes(embedding), a.Changes(head); m.config.TiedHead && (changed || headChanged) {
		same, err := a.Same(embedding, head)
		if err != nil {
			return err
		}
		resized := a.Shape(embedding)[0] != before[embedding][0]
		switch follows := a.TiesHead() || resized; {
		case follows && !headChanged:
			head = embedding
		case follows && !changed:
			embedding = head
		case !same:
			m.config.TiedHead = false
		}
	}
	m.embedding, m.head = append(m.embedding, embedding), append(m.head, head)
	return nil
}

// describe notes what is to be known of an adapter that is merged into the model of a name.
func (m *merging) describe(a *lora.Adapter, dir, name string) {
	for _, note := range a.Notes() {
		m.notes = append(m.notes, fmt.Sprintf("adapter %s: %s", dir, note))
	}
	if base := a.Base(); base != "" && !strings.EqualFold(lastPart(base), lastPart(name)) {
		m.notes = append(m.notes, fmt.Sprintf("adapter %s was trained on %q; that %s is this model is not known", dir, base, name))
	}
}

// lastPart is the last part of a path or of a name such as "meta-llama/Llama-3.2-1B".
func lastPart(name string) string {
	return name[strings.LastIndexAny(strings.TrimRight(name, `/\`), `/\`)+1:]
}

// remarks returns the notes.
func (m *merging) remarks() []string {
	if m == nil {
		return nil
	}
	return m.notes
}

func (m *merging) close() error {
	if m == nil {
		return nil
	}
	var list []error
	for _, a := range m.adapters {
		list = append(list, a.Close())
	}
	return errors.Join(list...)
}

// apply changes rows of a tensor, from row first on.
func (m *merging) apply(dst []float32, name string, first int) error {
	if m == nil {
		return nil
	}
	for i, a := range m.adapters {
		change := name
		switch name {
		case lora.Embedding:
			change = m.embedding[i]
		case lora.Head:
			change = m.head[i]
		}
		part, shape := dst, a.Shape(change)
		if len(shape) == 2 { // a later adapter may have more rows
			part = dst[:max(0, min(len(dst), (shape[0]-first)*shape[1]))]
		}
		if err := a.Apply(part, change, first); err != nil {
			return fmt.Errorf("adapter %s: %w", m.folders[i], err)
		}
	}
	return nil
}

// check reports an adapter whose files were written while they were read.
func (m *merging) check(ctx context.Context) error {
	if m == nil {
		return nil
	}
	for i, w := range m.watches {
		if err := w.Check(ctx); err != nil {
			return fmt.Errorf("adapter %s: %w", m.folders[i], err)
		}
	}
	return nil
}

// rest lists what surrounds the layers.
func (m *merging) rest(from *checkpoint.Checkpoint, dtype checkpoint.DType) []checkpoint.Tensor {
	if m == nil {
		return nil
	}
	config := from.Config()
	made := func(name, stored string, shape ...int) checkpoint.Tensor {
		return checkpoint.MadeFloats(name, dtype, shape, func(dst []float32, first, n int) error {
			if len(shape) == 2 {
				n = max(0, min(n, config.Vocab-first)) // what is beyond them is the adapter's
			}
			if n > 0 {
				if err := from.ReadRows(dst[:n*config.Hidden], stored, first, n); err != nil {
					return err
				}
			}
			return m.apply(dst, name, first)
		})
	}
	list := []checkpoint.Tensor{made(lora.Embedding, lora.Embedding, m.config.Vocab, config.Hidden), made("model.norm.weight", "model.norm.weight", config.Hidden)}
	if !m.config.TiedHead {
		stored := lora.Head
		if config.TiedHead {
			stored = lora.Embedding
		}
		list = append(list, made(lora.Head, stored, m.config.Vocab, config.Hidden))
	}
	return list
}

// tokenizerFiles are those of a tokenizer that an adapter's folder may hold.
var tokenizerFiles = []string{"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja"}

// tokenizerNotes says whose tokenizer the merged model has where an adapter brings one.
func (m *merging) tokenizerNotes(from *checkpoint.Checkpoint) error {
	m.resized = m.config.Vocab != from.Config().Vocab
	for _, dir := range m.folders {
		var differ []string
		for _, name := range tokenizerFiles {
			data, err := fs.ReadFile(wrongfile.Folder(dir), name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if own, err := from.OtherFile(name); err != nil || !bytes.Equal(own, data) {
				differ = append(differ, name)
			}
		}
		switch {
		case len(differ) > 0 && m.resized:
			m.notes = append(m.notes, fmt.Sprintf("the vocabulary has %d tokens, before %d: %s come from %s", m.config.Vocab, from.Config().Vocab, strings.Join(differ, ", "), dir))
		case len(differ) > 0:
			m.notes = append(m.notes, fmt.Sprintf("%s of %s differ from the model's, whose own are kept", strings.Join(differ, ", "), dir))
		}
	}
	return nil
}

// copyTokenizer copies the tokenizer's files of the adapters into a folder, where the vocabulary
// has become another.
func (m *merging) copyTokenizer(to string) error {
	if m == nil || !m.resized {
		return nil
	}
	for _, dir := range m.folders {
		for _, name := range tokenizerFiles {
			data, err := fs.ReadFile(wrongfile.Folder(dir), name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(to, name), data, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
