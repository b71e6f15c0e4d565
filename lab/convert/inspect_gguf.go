package convert

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"time"

	"slimlab/internal/mapped"
	"slimlab/internal/plural"
	"slimlab/internal/wrongfile"
	"slimlab/model/checkpoint"
	"slimlab/model/checkpoint/gguf"
)

// GGUFContents is what the header of a GGUF file lists. Any type and architecture can be listed:
// no tensor is decoded.
type GGUFContents struct {
	Version      int           `json:"version"`
	Architecture string        `json:"architecture"` // "" where the file does not say
	Metadata     []GGUFKey     `json:"metadata"`
	Types        []GGUFTypeUse `json:"types"`
	Tensors      []GGUFTensor  `json:"tensors"`
}

// GGUFKey is a metadata key and its value as a text; of a long array the length alone.
type GGUFKey struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// GGUFTypeUse is a number format of tensors, and what has it.
type GGUFTypeUse struct {
	Type     string `json:"type"`
	Tensors  int    `json:"tensors"`
	Elements int    `json:"elements"`
	Bytes    int64  `json:"bytes"`
	// what reading a tensor of the type takes, or why it cannot be read
	Use string `json:"use"`
}

// GGUFTensor is an entry of the header. The size of an unknown type is the room up to the next
// tensor.
type GGUFTensor struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Shape     []int  `json:"shape"` // [rows, in]
	Bytes     int64  `json:"bytes"`
	SizeKnown bool   `json:"size_known"`
}

// ggufReaders are the verbs that read a GGUF file whose tensors can be decoded: all that take a
// MODEL, and those that a scenario or a flag names one for.
var ggufReaders = []string{"inspect", "tokenize", "eval", "chat", "serve", "import", "export", "prune", "quantize", "distil", "optimize", "init", "run"}

// inspectGGUF describes a GGUF file that is no model that can be read, for the given reason.
func inspectGGUF(name string, reason error) (*Inspection, error) {
	start := time.Now()
	file, err := openContainer(name)
	if err != nil {
		return nil, reason // the file itself is damaged, which it says
	}
	defer file.close()
	contents := file.contents()
	in := &Inspection{
		Name: name, Family: cmp.Or(contents.Architecture, "unknown"), Widths: []Widths{}, Parts: []ParameterShare{}, Formats: []StoredFormat{},
		GGUF: contents, Verbs: []string{"inspect"}, Verdicts: []Compatibility{}, Seconds: time.Since(start).Seconds(),
	}
	for _, t := range contents.Types {
		in.Parameters, in.Bytes = in.Parameters+t.Elements, in.Bytes+t.Bytes
	}
	for key, size := range map[string]*int{"embedding_length": &in.Hidden, "block_count": &in.Layers, "attention.key_length": &in.HeadDim, "vocab_size": &in.Vocabulary, "context_length": &in.Positions} {
		// 0 where it is no number
		*size, _, _ = file.Metadata.Int(contents.Architecture + "." + key)
	}
	in.Problems = []string{strings.TrimPrefix(reason.Error(), "checkpoint "+name+": ")}
	for _, t := range file.Tensors {
		if p := t.Type.Problem(); p != "" && !slices.ContainsFunc(in.Problems, func(q string) bool { return strings.HasSuffix(q, p) }) {
			in.Problems = append(in.Problems, fmt.Sprintf("tensor %q: %s", t.Name, p))
		}
	}
	t, err := checkpoint.GGUFTokenizer(name)
	switch {
	case err == nil:
		in.Tokenizer, in.Vocabulary = plural.Of(t.Vocab(), "token"), cmp.Or(in.Vocabulary, t.Vocab())
		in.Verbs = append(in.Verbs, "tokenize")
	case !errors.Is(err, fs.ErrNotExist):
		in.Problems = append(in.Problems, strings.TrimPrefix(err.Error(), "checkpoint "+name+": "))
	}
	return in, nil
}

// describeGGUF adds what a GGUF file lists whose model can be read.
func (in *Inspection) describeGGUF(name string) error {
	if !checkpoint.IsGGUF(name) {
		return nil
	}
	file, err := openContainer(name)
	if err != nil {
		return err
	}
	defer file.close()
	in.GGUF, in.Verbs = file.contents(), slices.Clone(ggufReaders)
	return nil
}

// container is a GGUF file, mapped.
type container struct {
	*gguf.File
	close func() error
}

func openContainer(name string) (*container, error) {
	f, err := wrongfile.Open(name)
	if err != nil {
		return nil, err
	}
	m, err := mapped.New(f)
	if err != nil {
		return nil, err
	}
	file, err := gguf.Open(m, m.Size())
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return &container{file, m.Close}, nil
}

// contents lists all that the header holds.
func (c *container) contents() *GGUFContents {
	list := &GGUFContents{Version: c.Version, Metadata: []GGUFKey{}, Types: []GGUFTypeUse{}, Tensors: []GGUFTensor{}}
	list.Architecture, _, _ = c.Metadata.String("general.architecture") // "" where it is no text
	for _, p := range c.Metadata {
		list.Metadata = append(list.Metadata, GGUFKey{p.Key, metadataText(p.Value)})
	}
	var order []gguf.Type
	for _, t := range c.Tensors {
		i := slices.Index(order, t.Type)
		if i < 0 {
			i, order = len(order), append(order, t.Type)
			list.Types = append(list.Types, GGUFTypeUse{Type: typeName(t.Type), Use: typeUse(t.Type)})
		}
		list.Types[i].Tensors++
		list.Types[i].Elements += t.Elements()
		list.Types[i].Bytes += t.Bytes()
		list.Tensors = append(list.Tensors, GGUFTensor{t.Name, typeName(t.Type), append([]int{}, t.Shape...), t.Bytes(), t.Type.Known()})
	}
	return list
}

// typeName is a type's name, or "type 57, unknown".
func typeName(t gguf.Type) string {
	if t.Known() {
		return t.String()
	}
	return "type " + t.String() + ", unknown"
}

// typeUse says what reading a tensor of a type takes.
func typeUse(t gguf.Type) string {
	switch problem := t.Problem(); {
	case problem != "":
		return "not read: " + problem
	case t.Block() > 1:
		return fmt.Sprintf("%.4g bits an element, decoded to float32 when it is read", float64(8*t.BlockBytes())/float64(t.Block()))
	}
	return "read as it is"
}

// metadataText writes a value for people: texts quoted, long ones cut, and of a long array the
// number of its elements.
func metadataText(value any) string {
	const longest, most = 80, 8
	switch v := value.(type) {
	case string:
		if r := []rune(v); len(r) > longest {
			return fmt.Sprintf("%q… (%d characters)", string(r[:longest]), len(r))
		}
		return fmt.Sprintf("%q", v)
	case []string, []any:
		return fmt.Sprintf("a list of %d", reflect.ValueOf(v).Len())
	}
	if v := reflect.ValueOf(value); v.Kind() == reflect.Slice && v.Len() > most {
		return fmt.Sprintf("a list of %d numbers", v.Len())
	}
	return fmt.Sprint(value)
}
