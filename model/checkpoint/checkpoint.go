package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"slimlab/internal/wrongfile"
	"slimlab/model"
	"slimlab/model/checkpoint/safetensors"
	"slimlab/model/tokenizer"
)

// Checkpoint is a model on disk, opened: its shape, and its tensors one at a time. Files are
// mapped, where they are in the system's own file system, and must not be shortened while it is
// open. It is safe for concurrent use.
type Checkpoint struct {
	config       model.Config
	quantization *quantization
	files        source
	notes        notes    // of its files, but for the tokenizer's
	settings     []string // see GenerationSettings
	// reads the tokenizer once; an error that is fs.ErrNotExist where there is none
	vocabulary func() (*tokenizer.Tokenizer, error)
	beside     func(name string) ([]byte, error) // a file of the folder
}

// Open opens a Hugging Face folder or a GGUF file, and checks that it holds the tensors that its
// config asks for. No weight is read yet.
func Open(name string) (c *Checkpoint, err error) {
	if IsGGUF(name) {
		c, err = openGGUF(name)
	} else {
		c, err = OpenFS(wrongfile.Folder(name), ".")
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", name, err)
	}
	c.Name("checkpoint " + name)
	return c, nil
}

// Name says what errors of the tokenizer, which is read later, call the checkpoint.
func (c *Checkpoint) Name(name string) {
	read := c.vocabulary
	c.vocabulary = func() (*tokenizer.Tokenizer, error) {
		t, err := read()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return t, nil
	}
}

// OpenFS is Open of a folder of a file system, such as an embedded one. Its files must be readable
// at any offset.
func OpenFS(fsys fs.FS, dir string) (*Checkpoint, error) {
	c := new(Checkpoint)
	d, err := readConfig(fsys, dir, &c.notes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withoutConfig(fsys, dir, err)
	}
	if err != nil {
		return nil, err
	}
	files, err := safetensors.OpenFolder(fsys, dir)
	if err != nil {
		return nil, err
	}
	c.notes = append(c.notes, files.Notes...)
	if name, ok := adapterIn(fsys, dir); ok {
		c.notes.add("%s lies beside the weights: the LoRA adapter is not applied", name)
	}
	c.setFiles(d, newFolder(files))
	c.vocabulary = sync.OnceValues(func() (*tokenizer.Tokenizer, error) { return tokenizer.LoadFS(fsys, dir) })
	c.beside = func(name string) ([]byte, error) { return fs.ReadFile(fsys, path.Join(dir, name)) }
	err = c.checkUnread(d.unread)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		files.Close()
		return nil, err
	}
	return c, nil
}

// setFiles brings together what the config says and the files.
func (c *Checkpoint) setFiles(d description, files source) {
	c.config, c.quantization, c.settings, c.files = d.Config, d.quantization, d.settings, withoutPrefix(files, &c.notes)
	if p, ok := c.files.(*prefixed); ok && c.quantization != nil {
		c.quantization.stored = p.stored
	}
}

// Notes says what of the files, the tokenizer's included, was dropped, guessed, or found in another
// place than the usual one.
func (c *Checkpoint) Notes() []string {
	n := slices.Clone(c.notes)
	switch t, err := c.Tokenizer(); {
	case err != nil:
		n.add("the tokenizer cannot be read: %v", err)
	case t != nil:
		if last := t.Vocab() - 1; last >= c.config.Vocab {
			n.add("the tokenizer has ids to %d (%q), the embedding has %d rows: a text with one of the ids from %d on is refused", last, t.Token(int32(last)), c.config.Vocab, c.config.Vocab)
		}
		for _, note := range t.Notes() {
			n.add("%s", note)
		}
	}
	return n
}

// Close closes the files: what Raw returned is no longer valid. Models that were read stay valid.
func (c *Checkpoint) Close() error { return c.files.Close() }

// Config is the model's shape.
func (c *Checkpoint) Config() model.Config {
	config := c.config
	config.Layers, config.MoreEOS = slices.Clone(config.Layers), slices.Clone(config.MoreEOS)
	return config
}

// Tensors lists what the files hold, in their order.
func (c *Checkpoint) Tensors() []TensorInfo { return slices.Clone(c.files.tensors()) }

// Bytes is what all tensors take as they are stored, headers left out.
func (c *Checkpoint) Bytes() (n int64) {
	for _, t := range c.files.tensors() {
		n += t.Bytes()
	}
	return n
}

// Raw returns a tensor's bytes as they are stored, perhaps a view of the mapped file: it is valid
// until Close and must not be written to.
func (c *Checkpoint) Raw(name string) ([]byte, error) { return c.files.Raw(name) }

// otherFiles are the files of a Hugging Face folder beside its tensors and config.json.
var otherFiles = []string{"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
	"merges.txt", "tekken.json", "chat_template.jinja", "chat_template.json", "generation_config.json"}

// OtherFile reads a file of the folder; the error is fs.ErrNotExist where there is none, or no
// folder.
func (c *Checkpoint) OtherFile(name string) ([]byte, error) {
	if c.beside == nil {
		return nil, fs.ErrNotExist
	}
	return c.beside(name)
}

// CopyOtherFiles copies the files beside the tensors into a folder: the tokenizer's files as they
// are and the generation config. Where the checkpoint is one file, the tokenizer that it holds is
// written, and a generation config where several tokens end a text.
func (c *Checkpoint) CopyOtherFiles(dir string) error {
	if c.beside == nil {
		t, err := c.Tokenizer()
		if err == nil && t != nil {
			err = t.Save(dir)
		}
		if err == nil && len(c.config.MoreEOS) > 0 {
			err = writeGeneration(dir, c.config)
		}
		return err
	}
	for _, name := range otherFiles {
		data, err := c.beside(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// OtherBytes is what CopyOtherFiles writes at least.
func (c *Checkpoint) OtherBytes() (bytes int64) {
	if c.beside == nil {
		return 0
	}
	for _, name := range otherFiles {
		data, err := c.beside(name)
		if err == nil {
			bytes += int64(len(data))
		}
	}
	return bytes
}

// LayerFormat is how a linear layer is stored.
type LayerFormat struct {
	Layer string // "model.layers.0.self_attn.q_proj"
	// "w8a8", "w4a16-g128", or the element type of a weight that is one tensor: "BF16"
	Format  string
	Storage Storage
}

// Quantization lists the formats of the linear layers in the order of Model.Linears, an untied head
// last.
func (c *Checkpoint) Quantization() []LayerFormat {
	var list []LayerFormat
	for _, l := range c.linears() {
		f := LayerFormat{Layer: l.name, Storage: c.storage(l.name)}
		t, ok := c.files.tensor(l.name + ".weight")
		if _, isGGUF := c.files.(*ggufFile); isGGUF {
			f.Storage = ggufStorage(t.DType)
		}
		if f.Format = f.Storage.String(); ok && (f.Storage.Dense() || f.Storage.Packing == GGUF) {
			f.Format = string(t.DType)
		}
		list = append(list, f)
	}
	return list
}

// GenerationSettings lists the settings of generation_config.json, with their values, that change
// what transformers generates without sampling. Nothing here applies them.
func (c *Checkpoint) GenerationSettings() []string { return slices.Clone(c.settings) }

// Tokenizer reads the tokenizer, nil where there is none. It may have more tokens than the model:
// see Tokenizer.CheckIDs.
func (c *Checkpoint) Tokenizer() (*tokenizer.Tokenizer, error) {
	t, err := c.vocabulary()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}
