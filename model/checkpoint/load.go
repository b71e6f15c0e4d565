package checkpoint

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/model"
	"slimlab/model/weight"
)

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
			made[l.name+".weight"] = !c.storage(l.name).Dense()
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
	s := c.zeroVersion(name, c.storage(name))
	if s.Dense() {
		return weight.NewDense(make([]float32, out*in), out, in), nil
	}
	e, codes, err := s.decode(c.files, name, out, in)
	var w weight.Weight
	if err == nil {
		w, err = weight.New(e, codes)
	}
	if err == nil && s.Outliers != "" {
		w, err = s.Outliers.decode(c.files, name, w)
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
