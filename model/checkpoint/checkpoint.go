package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"slimlab/model"
	"slimlab/model/checkpoint/safetensors"
	"slimlab/model/tokenizer"
	"slimlab/model/weight"
)

// Checkpoint is a model on disk, opened: its shape, and its tensors one at a time. Files are
// mapped, where they lie in the system's own file system, and must not be shortened while it is
// open. It is safe for concurrent use.
type Checkpoint struct {
	config       model.Config
	quantization *quantization
	files        source
	// an error that is fs.ErrNotExist where there is none
	vocabulary func() (*tokenizer.Tokenizer, error)
	beside     func(name string) ([]byte, error) // a file of the folder
}

// Open opens a Hugging Face folder or a file whose name ends in .gguf, and checks that it holds the
// tensors that its config asks for. No weight is read yet.
func Open(name string) (c *Checkpoint, err error) {
	if strings.EqualFold(filepath.Ext(name), ".gguf") {
		c, err = openGGUF(name)
	} else {
		c, err = OpenFS(os.DirFS(name), ".")
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", name, err)
	}
	return c, nil
}

// OpenFS is Open of a folder of a file system, such as an embedded one. Its files must be readable
// at any offset.
func OpenFS(fsys fs.FS, dir string) (*Checkpoint, error) {
	config, q, err := readConfig(fsys, dir)
	if err != nil {
		return nil, err
	}
	files, err := safetensors.OpenFolder(fsys, dir)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{
		config: config, quantization: q, files: newFolder(files),
		vocabulary: func() (*tokenizer.Tokenizer, error) { return tokenizer.LoadFS(fsys, dir) },
		beside:     func(name string) ([]byte, error) { return fs.ReadFile(fsys, path.Join(dir, name)) },
	}
	if err := c.check(); err != nil {
		files.Close()
		return nil, err
	}
	return c, nil
}

// Close lets the files go: what Raw returned is no longer valid. Models stay.
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

// companions are the files of a Hugging Face folder beside its tensors and config.json.
var companions = []string{"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
	"merges.txt", "chat_template.jinja", "chat_template.json", "generation_config.json"}

// SaveCompanions copies what lies beside the tensors into a folder: the tokenizer's files as they
// are and the generation config. Where the checkpoint is one file, the tokenizer that it holds is
// written.
func (c *Checkpoint) SaveCompanions(dir string) error {
	if c.beside == nil {
		t, err := c.Tokenizer()
		if err != nil || t == nil {
			return err
		}
		return t.Save(dir)
	}
	for _, name := range companions {
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

// LayerFormat is how a linear layer is stored.
type LayerFormat struct {
	Layer string // "model.layers.0.self_attn.q_proj"
	// "w8a8", "w4a16-g128", or the element type of a weight that is one tensor: "BF16"
	Format string
}

// Quantization lists the formats of the linear layers in the order of Model.Linears, an untied head
// last.
func (c *Checkpoint) Quantization() []LayerFormat {
	var list []LayerFormat
	for _, l := range c.linears() {
		format := c.quantization.of(l.name).String()
		if t, ok := c.files.tensor(l.name + ".weight"); ok && format == "" {
			format = string(t.DType)
		}
		list = append(list, LayerFormat{l.name, format})
	}
	return list
}

// Tokenizer reads the tokenizer, nil where there is none.
func (c *Checkpoint) Tokenizer() (*tokenizer.Tokenizer, error) {
	t, err := c.vocabulary()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = checkTokenizer(t, c.config.Vocab)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Model reads the whole model into memory, unless ctx ends before.
func (c *Checkpoint) Model(ctx context.Context) (*model.Model, error) {
	if err := c.checkTied(); err != nil {
		return nil, err
	}
	if c.quantization != nil {
		return c.quantizedModel(ctx)
	}
	m, err := model.New(c.config) // all parameters in one arena from the start
	if err != nil {
		return nil, err
	}
	if err := c.read(ctx, m.Tensors()); err != nil {
		return nil, err
	}
	m.Changed()
	return m, m.Check()
}

// quantizedModel reads a model whose layers have other formats than float32.
func (c *Checkpoint) quantizedModel(ctx context.Context) (*model.Model, error) {
	m, err := model.Skeleton(c.config)
	if err != nil {
		return nil, err
	}
	m.Embedding = make([]float32, m.Vocab*m.Hidden)
	if c.config.TiedHead {
		m.Head = weight.NewDense(m.Embedding, m.Vocab, m.Hidden)
	} else if m.Head, err = c.weight("lm_head", m.Vocab, m.Hidden); err != nil {
		return nil, err
	}
	for i := range m.Blocks {
		if err := c.LoadBlock(ctx, m, i); err != nil {
			return nil, err
		}
	}
	rest := slices.DeleteFunc(m.Tensors(), func(p model.Parameter) bool { return strings.HasPrefix(p.Name, "model.layers.") })
	if err := c.read(ctx, rest); err != nil {
		return nil, err
	}
	return m, m.Check()
}

// Skeleton returns a model.Skeleton with the checkpoint's final norm. LoadBlock brings the layers.
func (c *Checkpoint) Skeleton() (*model.Model, error) {
	if err := c.checkTied(); err != nil {
		return nil, err
	}
	m, err := model.Skeleton(c.config)
	if err != nil {
		return nil, err
	}
	return m, c.files.ReadFloat32(m.FinalNorm, finalNormName)
}

// LoadBlock reads a layer's weights, norms and biases into m.Blocks[layer], in memory of their own,
// and sets its widths. m is of this checkpoint's shape but for widths of layers.
func (c *Checkpoint) LoadBlock(ctx context.Context, m *model.Model, layer int) error {
	if layer < 0 || layer >= len(c.config.Layers) || len(m.Blocks) != len(c.config.Layers) {
		return fmt.Errorf("layer %d of a model of %d: the checkpoint has %d", layer, len(m.Blocks), len(c.config.Layers))
	}
	m.Layers[layer] = c.config.Layers[layer]
	m.Place(layer)
	var err error
	for _, l := range m.BlockLinears(layer) {
		if l.Weight, err = c.weight(l.Name, l.Out, l.In); err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	return c.read(ctx, m.BlockTensors(layer))
}

// Embed reads the embeddings of tokens into x [tokens, hidden], row by row from the file.
func (c *Checkpoint) Embed(x []float32, tokens []int32) error {
	name, hidden := c.stored(embeddingName), c.config.Hidden
	if len(x) != len(tokens)*hidden {
		return fmt.Errorf("embeddings of %d tokens of %d into %d elements", len(tokens), hidden, len(x))
	}
	for i, t := range tokens {
		if t < 0 || int(t) >= c.config.Vocab {
			return fmt.Errorf("token %d is %d, expected 0 to %d", i, t, c.config.Vocab-1)
		}
		if err := c.files.ReadRows(x[i*hidden:(i+1)*hidden], name, int(t), 1); err != nil {
			return err
		}
	}
	return nil
}

// read fills float tensors until ctx ends. Those that are float32 in memory alone, made of codes,
// are left as they are.
func (c *Checkpoint) read(ctx context.Context, list []model.Parameter) error {
	made := map[string]bool{}
	if c.quantization != nil {
		for _, l := range c.linears() {
			made[l.name+".weight"] = !c.quantization.of(l.name).Dense()
		}
	}
	for _, p := range list {
		if made[p.Name] {
			continue
		}
		if err := c.readTensor(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// pieceElements of a tensor are read or written between two looks at a context.
const pieceElements = 1 << 22

// readTensor reads a matrix some rows at a time, other tensors as a whole.
func (c *Checkpoint) readTensor(ctx context.Context, p model.Parameter) error {
	name := c.stored(p.Name)
	if t, ok := c.files.tensor(name); !ok || len(t.Shape) != 2 || len(p.Shape) != 2 || len(p.Data) != t.Elements() {
		return c.files.ReadFloat32(p.Data, name)
	}
	rows, width := p.Shape[0], p.Shape[1]
	for first, step := 0, max(1, pieceElements/width); first < rows; first += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		last := min(rows, first+step)
		if err := c.files.ReadRows(p.Data[first*width:last*width], name, first, last-first); err != nil {
			return err
		}
	}
	return nil
}

// weight makes a linear layer's weight of what its storage holds; the data of a dense one is read
// later.
func (c *Checkpoint) weight(name string, out, in int) (weight.Weight, error) {
	s := c.quantization.of(name)
	if s.Dense() {
		return weight.NewDense(make([]float32, out*in), out, in), nil
	}
	e, codes, err := s.decode(c.files, name, out, in)
	var w weight.Weight
	if err == nil {
		w, err = weight.New(e, codes)
	}
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", name+".weight", err)
	}
	return w, nil
}

// checkTied lets a tied head be stored beside the embedding when it is the same, which it reads
// some rows at a time.
func (c *Checkpoint) checkTied() error {
	_, both := c.files.tensor(headName)
	if !c.config.TiedHead || !both || c.stored(embeddingName) == headName {
		return nil
	}
	vocab, hidden := c.config.Vocab, c.config.Hidden
	most := max(1, (1<<20)/hidden)
	a, b := make([]float32, min(most, vocab)*hidden), make([]float32, min(most, vocab)*hidden)
	for first := 0; first < vocab; first += most {
		n := min(most, vocab-first)
		a, b = a[:n*hidden], b[:n*hidden]
		if err := c.files.ReadRows(a, headName, first, n); err != nil {
			return err
		}
		if err := c.files.ReadRows(b, embeddingName, first, n); err != nil {
			return err
		}
		if !slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }) {
			return fmt.Errorf("tensor %q differs from %q, but config.json has tie_word_embeddings true", headName, embeddingName)
		}
	}
	return nil
}

// Floats is a float tensor for a Writer, with its elements converted some rows at a time.
func (c *Checkpoint) Floats(t TensorInfo, dtype DType) Tensor {
	if t.DType == dtype {
		return safetensors.NewTensor(t.Name, dtype, t.Shape, func() any {
			data, err := c.Raw(t.Name)
			if err != nil {
				return err
			}
			return data
		})
	}
	rows, width := 1, t.Elements()
	if len(t.Shape) == 2 {
		rows, width = t.Shape[0], t.Shape[1]
	}
	return safetensors.NewTensor(t.Name, dtype, t.Shape, func() any {
		return func(w io.Writer) error {
			step := max(1, pieceElements/max(1, width))
			for first := 0; first < rows; first += step {
				n := min(step, rows-first)
				part := make([]float32, n*width)
				if err := c.readRows(part, t.Name, first, n); err != nil {
					return err
				}
				if err := safetensors.NewTensor(t.Name, dtype, []int{n, width}, func() any { return part }).Encode(w); err != nil {
					return fmt.Errorf("rows %d to %d: %w", first, first+n-1, err)
				}
			}
			return nil
		}
	})
}
