package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"slimlab/model"
	"slimlab/model/tokenizer"
)

// LoadOptions says how to make the weights of quantized checkpoints. Without a constructor such a checkpoint is refused.
type LoadOptions struct {
	// Int8 makes a weight of codes q [out, in] and scale [out].
	Int8 func(q []int8, scale []float32, out, in int) (model.Weight, error)
	// Int4 makes a weight of codes q [out, in], each −8…7, and scale [out, in/group], W4A8 where int8Activations, else W4A16.
	Int4 func(q []int8, scale []float32, out, in, group int, int8Activations bool) (model.Weight, error)
}

// Load reads a model and its tokenizer, nil where the folder has none, from a Hugging Face folder.
func Load(dir string, o LoadOptions) (*model.Model, *tokenizer.Tokenizer, error) {
	m, t, err := LoadFS(os.DirFS(dir), ".", o)
	if err != nil {
		return nil, nil, fmt.Errorf("checkpoint %s: %w", dir, err)
	}
	return m, t, nil
}

// LoadFS is Load from a file system, such as an embedded one. Its files must be readable at any offset.
func LoadFS(fsys fs.FS, dir string, o LoadOptions) (*model.Model, *tokenizer.Tokenizer, error) {
	m, err := LoadModel(fsys, dir, o)
	if err != nil {
		return nil, nil, err
	}
	t, err := tokenizer.LoadFS(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil, nil
	}
	if err == nil {
		err = checkTokenizer(t, m.Vocab)
	}
	if err != nil {
		return nil, nil, err
	}
	return m, t, nil
}

// checkTokenizer reports a tokenizer whose ids have no embedding.
func checkTokenizer(t *tokenizer.Tokenizer, vocab int) error {
	if last := t.Vocab() - 1; last >= vocab {
		return fmt.Errorf("tokenizer does not fit the model: its ids go to %d (%q), expected at most %d: the embedding has %d rows",
			last, t.Token(int32(last)), vocab-1, vocab)
	}
	return nil
}

// LoadModel reads the model alone.
func LoadModel(fsys fs.FS, dir string, o LoadOptions) (*model.Model, error) {
	c, q, err := readConfig(fsys, dir)
	if err != nil {
		return nil, err
	}
	s, err := openShards(fsys, dir)
	if err != nil {
		return nil, err
	}
	defer s.close()
	l := loader{c, q, s, o}
	want, err := l.expected()
	if err != nil {
		return nil, err
	}
	if err := l.check(want); err != nil {
		return nil, err
	}
	return l.load()
}

// StoredBytes is what the tensors of a checkpoint take in its files, headers left out.
func StoredBytes(fsys fs.FS, dir string) (int64, error) {
	s, err := openShards(fsys, dir)
	if err != nil {
		return 0, err
	}
	defer s.close()
	var n int64
	for _, name := range s.names() {
		t, _ := s.tensor(name)
		n += t.Bytes()
	}
	return n, nil
}

// shards are the safetensors files of a folder as one.
type shards struct {
	files []*Safetensors
	in    map[string]*Safetensors // by tensor name
	close func()
}

func (s *shards) tensor(name string) (TensorInfo, bool) {
	f := s.in[name]
	if f == nil {
		return TensorInfo{}, false
	}
	return f.Tensor(name)
}

func (s *shards) names() []string {
	list := make([]string, 0, len(s.in))
	for name := range s.in {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// openShards opens model.safetensors, or the files that model.safetensors.index.json names.
func openShards(fsys fs.FS, dir string) (*shards, error) {
	names := []string{"model.safetensors"}
	if _, err := fs.Stat(fsys, path.Join(dir, names[0])); errors.Is(err, fs.ErrNotExist) {
		const index = "model.safetensors.index.json"
		data, err := fs.ReadFile(fsys, path.Join(dir, index))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("found neither %s nor %s: %w", names[0], index, err)
		}
		if err != nil {
			return nil, err
		}
		if names, err = indexed(data); err != nil {
			return nil, fmt.Errorf("%s: %w", index, err)
		}
	}
	s := &shards{in: map[string]*Safetensors{}}
	var open []fs.File
	s.close = func() {
		for _, f := range open {
			f.Close() // read only: nothing to lose
		}
	}
	for _, name := range names {
		f, err := fsys.Open(path.Join(dir, name))
		if err != nil {
			s.close()
			return nil, err
		}
		open = append(open, f)
		if err := s.add(f); err != nil {
			s.close()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return s, nil
}

// indexed returns the file names of an index, sorted.
func indexed(data []byte) ([]string, error) {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, err
	}
	var names []string
	for tensor, name := range index.WeightMap {
		if name != path.Base(name) || !fs.ValidPath(name) {
			return nil, fmt.Errorf("weight_map %q: %q is not the name of a file beside the index", tensor, name)
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, errors.New("weight_map names no files")
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (s *shards) add(f fs.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r, ok := f.(io.ReaderAt)
	if !ok {
		return fmt.Errorf("the file system gives %T, which cannot be read at an offset", f)
	}
	file, err := OpenSafetensors(r, info.Size())
	if err != nil {
		return err
	}
	s.files = append(s.files, file)
	for _, t := range file.Tensors {
		if s.in[t.Name] != nil {
			return fmt.Errorf("tensor %q is also in another file", t.Name)
		}
		s.in[t.Name] = file
	}
	return nil
}

// loader joins a config and the files.
type loader struct {
	model.Config
	quantization *quantization
	files        *shards
	options      LoadOptions
}

const (
	embeddingName = "model.embed_tokens.weight"
	headName      = "lm_head.weight"
)

// expectation is a tensor that the config asks for.
type expectation struct {
	name  string
	shape []int
}

// expected lists the tensors that the config asks for. It takes no memory for weights.
func (l *loader) expected() ([]expectation, error) {
	var list []expectation
	add := func(name string, shape ...int) { list = append(list, expectation{name, shape}) }
	add(l.stored(embeddingName), l.Vocab, l.Hidden)
	add("model.norm.weight", l.Hidden)
	linear := func(name string, out, in int) error {
		s := l.quantization.of(name)
		switch s.bits {
		case 8:
			add(name+".weight", out, in)
			add(name+".weight_scale", out, 1)
		case 4:
			if s.group == 0 {
				s.group = in
			}
			if in%s.group != 0 {
				return fmt.Errorf("%s: group size %d does not divide its %d inputs", name, s.group, in)
			}
			add(name+".weight_packed", out, packedWords(in))
			add(name+".weight_scale", out, in/s.group)
			add(name+".weight_shape", 2)
		default:
			add(name+".weight", out, in)
		}
		return nil
	}
	for i, c := range l.Layers {
		prefix := fmt.Sprintf("model.layers.%d.", i)
		add(prefix+"input_layernorm.weight", l.Hidden)
		add(prefix+"post_attention_layernorm.weight", l.Hidden)
		q, kv := c.Heads*l.HeadDim, c.KVHeads*l.HeadDim
		for _, w := range []struct {
			name    string
			out, in int
			bias    bool
		}{
			{"self_attn.q_proj", q, l.Hidden, l.QKVBias}, {"self_attn.k_proj", kv, l.Hidden, l.QKVBias}, {"self_attn.v_proj", kv, l.Hidden, l.QKVBias},
			{"self_attn.o_proj", l.Hidden, q, false},
			{"mlp.gate_proj", c.MLP, l.Hidden, false}, {"mlp.up_proj", c.MLP, l.Hidden, false}, {"mlp.down_proj", l.Hidden, c.MLP, false},
		} {
			if err := linear(prefix+w.name, w.out, w.in); err != nil {
				return nil, err
			}
			if w.bias {
				add(prefix+w.name+".bias", w.out)
			}
		}
	}
	if !l.TiedHead {
		if err := linear("lm_head", l.Vocab, l.Hidden); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// stored returns the name under which a tensor lies in the file: a tied embedding may have been stored as the head.
func (l *loader) stored(name string) string {
	if _, ok := l.files.tensor(embeddingName); name == embeddingName && !ok && l.TiedHead {
		if _, ok := l.files.tensor(headName); ok {
			return headName
		}
	}
	return name
}

// check compares what the config asks for with what the files hold, before any weight is read.
func (l *loader) check(want []expectation) error {
	known := map[string]bool{}
	for _, e := range want {
		known[e.name] = true
		t, ok := l.files.tensor(e.name)
		if !ok {
			return fmt.Errorf("tensor %q is missing, expected shape %d", e.name, e.shape)
		}
		if !slices.Equal(t.Shape, e.shape) {
			return fmt.Errorf("tensor %q: shape is %d, expected %d by config.json", e.name, t.Shape, e.shape)
		}
	}
	for _, name := range l.files.names() {
		switch {
		case known[name]:
		case strings.HasSuffix(name, ".rotary_emb.inv_freq"): // early Llama files store what follows from rope_theta
		case name == headName && l.TiedHead:
			if err := l.checkTied(); err != nil {
				return err
			}
		default:
			t, _ := l.files.tensor(name)
			return fmt.Errorf("tensor %q, shape %d, has no place in the model that config.json says", name, t.Shape)
		}
	}
	return nil
}

// checkTied lets a tied head be stored beside the embedding when it is the same.
func (l *loader) checkTied() error {
	t, _ := l.files.tensor(headName)
	if want := []int{l.Vocab, l.Hidden}; !slices.Equal(t.Shape, want) {
		return fmt.Errorf("tensor %q: shape is %d, expected %d by config.json", headName, t.Shape, want)
	}
	head, embedding := make([]float32, l.Vocab*l.Hidden), make([]float32, l.Vocab*l.Hidden)
	if err := l.read(head, headName); err != nil {
		return err
	}
	if err := l.read(embedding, embeddingName); err != nil {
		return err
	}
	if !slices.Equal(head, embedding) {
		return fmt.Errorf("tensor %q differs from %q, but config.json has tie_word_embeddings true", headName, embeddingName)
	}
	return nil
}

func (l *loader) load() (*model.Model, error) {
	shape := model.New // dense throughout: all parameters in one arena from the start
	if l.quantization != nil {
		shape = model.Skeleton
	}
	m, err := shape(l.Config)
	if err != nil {
		return nil, err
	}
	for _, linear := range m.Linears() {
		if linear.Weight, err = l.weight(linear.Name, linear.Weight, linear.Out, linear.In); err != nil {
			return nil, err
		}
	}
	if !l.TiedHead {
		if m.Head, err = l.weight("lm_head", m.Head, l.Vocab, l.Hidden); err != nil {
			return nil, err
		}
	}
	for _, p := range m.Tensors() {
		if err := l.read(p.Data, l.stored(p.Name)); err != nil {
			return nil, err
		}
	}
	m.Changed()
	return m, m.Check()
}

// read reads a float tensor.
func (l *loader) read(dst []float32, name string) error {
	return l.files.in[name].ReadFloat32(dst, name)
}

// weight makes a linear layer's weight by its scheme; a dense one is made if it is not there yet, and read later.
func (l *loader) weight(name string, dense model.Weight, out, in int) (w model.Weight, err error) {
	switch s := l.quantization.of(name); s.bits {
	case 8:
		w, err = l.int8(name, out, in)
	case 4:
		w, err = l.int4(name, out, in, s)
	default:
		if dense == nil {
			dense = model.NewDense(make([]float32, out*in), out, in)
		}
		return dense, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", name+".weight", err)
	}
	return w, nil
}

func (l *loader) int8(name string, out, in int) (model.Weight, error) {
	if l.options.Int8 == nil {
		return nil, errors.New("is quantized to 8 bits, expected float weights here")
	}
	q, err := l.files.in[name+".weight"].Int8(name + ".weight")
	if err != nil {
		return nil, err
	}
	scale := make([]float32, out)
	if err := l.read(scale, name+".weight_scale"); err != nil {
		return nil, err
	}
	return l.options.Int8(q, scale, out, in)
}

func (l *loader) int4(name string, out, in int, s scheme) (model.Weight, error) {
	if l.options.Int4 == nil {
		return nil, errors.New("is quantized to 4 bits, expected float weights here")
	}
	group := s.group
	if group == 0 {
		group = in
	}
	shape, err := l.files.in[name+".weight_shape"].Int64(name + ".weight_shape")
	if err != nil {
		return nil, err
	}
	if want := []int64{int64(out), int64(in)}; !slices.Equal(shape, want) {
		return nil, fmt.Errorf("weight_shape holds %d, expected %d by config.json", shape, want)
	}
	words, err := l.files.in[name+".weight_packed"].Int32(name + ".weight_packed")
	if err != nil {
		return nil, err
	}
	scale := make([]float32, out*in/group)
	if err := l.read(scale, name+".weight_scale"); err != nil {
		return nil, err
	}
	return l.options.Int4(unpackInt4(words, out, in), scale, out, in, group, s.int8Activations)
}
