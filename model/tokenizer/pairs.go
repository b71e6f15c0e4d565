package tokenizer

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/internal/wrongfile"
)

// readPairs reads the folder form of GPT-2, vocab.json and merges.txt; build is to follow. The
// class of the tokenizer says how a text is split; without one it is GPT-2's.
func readPairs(fsys fs.FS, dir string, vocab []byte, s *settings) (*Tokenizer, error) {
	t := newTokenizer()
	f := &t.file
	f.Model = modelFile{Type: "BPE"}
	repeats, err := jsonread.DecodeNoting(vocab, &f.Model.Vocab)
	if err != nil {
		return nil, err
	}
	for _, repeat := range repeats {
		t.note("vocab.json: %s", repeat)
	}
	c, _ := splitNamed("gpt-2")
	switch class := s.class; class {
	case "GPT2Tokenizer", "":
	case "Qwen2Tokenizer":
		c, _ = splitNamed("qwen2")
	default:
		return nil, fmt.Errorf("tokenizer_class %q of tokenizer_config.json is not supported with vocab.json, expected GPT2Tokenizer or Qwen2Tokenizer", s.class)
	}
	f.byteLevel(c)
	lines, err := fs.ReadFile(fsys, path.Join(dir, "merges.txt"))
	if err != nil {
		return nil, err
	}
	if other := wrongfile.Name(lines); other != "" {
		return nil, fmt.Errorf("merges.txt: found %s", other)
	}
	number := 0
	for line := range bytes.Lines(lines) {
		number++
		text := string(bytes.TrimRight(line, "\r\n"))
		if number == 1 && strings.HasPrefix(text, "#version") || text == "" {
			continue
		}
		a, b, ok := strings.Cut(text, " ")
		if !ok || a == "" || b == "" || strings.Contains(b, " ") {
			return nil, fmt.Errorf("merges.txt line %d: found %q, expected two parts with a space between", number, text)
		}
		f.Model.Merges = append(f.Model.Merges, [2]string{a, b})
	}
	if len(f.Model.Merges) == 0 {
		return nil, fmt.Errorf("merges.txt: found no merges, expected lines of two parts with a space between")
	}
	// GPT-2's only special token is in its vocabulary.
	if id, ok := f.Model.Vocab[endOfText]; ok && len(s.added) == 0 {
		f.AddedTokens = append(f.AddedTokens, addedToken{ID: id, Content: endOfText, Special: true})
		t.bos, t.eos = id, id
	}
	return t, nil
}

// endOfText is the special token of GPT-2 and of what followed it.
const endOfText = "<|endoftext|>"
