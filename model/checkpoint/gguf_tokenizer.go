package checkpoint

import (
	"fmt"

	"slimlab/internal/mapped"
	"slimlab/internal/wrongfile"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
)

// GGUFTokenizer reads the tokenizer of a GGUF file alone: of any architecture, and of a file that
// holds a vocabulary and no tensors. The error is fs.ErrNotExist where the file has none.
func GGUFTokenizer(name string) (*tokenizer.Tokenizer, error) {
	t, err := ggufTokenizerOf(name)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", name, err)
	}
	return t, nil
}

func ggufTokenizerOf(name string) (*tokenizer.Tokenizer, error) {
	f, err := wrongfile.Open(name)
	if err != nil {
		return nil, err
	}
	m, err := mapped.New(f)
	if err != nil {
		return nil, err
	}
	g := &ggufFile{mapped: m}
	defer g.Close()
	if g.file, err = gguf.Open(m, m.Size()); err != nil {
		return nil, err
	}
	return g.tokenizer()
}
