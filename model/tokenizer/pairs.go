package tokenizer

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/internal/wrongfile"
)

// readPairs reads the folder form of GPT-2, vocab.json and merges.txt; build is to follow. The
// class of the tokenizer says how a text is split.
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
	class, err := t.pairsClass(fsys, dir, s)
	if err != nil {
		return nil, err
	}
	name := "gpt-2"
	if class == qwen2Class {
		name = "qwen2"
	}
	c, _ := splitNamed(name)
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
	// GPT-2's only special token is in its vocabulary. Qwen's texts have no beginning.
	if id, ok := f.Model.Vocab[endOfText]; ok && len(s.added) == 0 {
		f.AddedTokens = append(f.AddedTokens, addedToken{ID: id, Content: endOfText, Special: true})
		t.eos = id
		if class == qwen2Class {
			t.padding = id
		} else {
			t.bos = id
		}
	}
	return t, nil
}

// The classes of transformers that read vocab.json and merges.txt, and whose split is known.
const (
	gpt2Class  = "GPT2Tokenizer"
	qwen2Class = "Qwen2Tokenizer"
)

// pairsClasses are the classes that transformers takes by a model_type of config.json, where no
// file names one. "" stands for those that do not read vocab.json and merges.txt.
var pairsClasses = map[string][]string{
	gpt2Class: {"gpt2", "gpt_bigcode", "gpt_neo", "gptj", "opt", "granite", "granitemoe"},
	qwen2Class: {"qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "qwen2_audio", "qwen2_5_omni", "qwen3", "qwen3_moe", "qwen3_next", "qwen3_vl", "qwen3_vl_moe",
		"qwen3_omni_moe"},
	"": {"llama", "mistral", "mixtral", "gemma", "gemma2"},
}

// pairsClass is the class of a vocab.json: that which tokenizer_config.json names, else, as in
// transformers, that of config.json. A note says what the latter, or a guess, has come to.
func (t *Tokenizer) pairsClass(fsys fs.FS, dir string, s *settings) (string, error) {
	if s.class != "" {
		return s.class, checkPairsClass(s.class, configName)
	}
	why := configName + " names no tokenizer_class"
	if s.config == nil {
		why = configName + " is absent"
	}
	const file = "config.json"
	data, err := optional(fsys, path.Join(dir, file))
	if err != nil {
		return "", err
	}
	var c struct {
		Class string `json:"tokenizer_class"`
		Type  string `json:"model_type"`
	}
	if data != nil {
		if err := jsonread.Decode(data, &c); err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
	}
	if class := strings.TrimSuffix(c.Class, "Fast"); class != "" {
		t.note("%s: texts are split as by %s, the tokenizer_class of %s", why, class, file)
		return class, checkPairsClass(class, file)
	}
	for _, class := range []string{gpt2Class, qwen2Class} {
		if slices.Contains(pairsClasses[class], c.Type) {
			t.note("%s: texts are split as by %s, by model_type %q of %s", why, class, c.Type, file)
			return class, nil
		}
	}
	reason := fmt.Sprintf("model_type %q of %s is not known", c.Type, file)
	switch {
	case data == nil:
		reason = "there is no " + file
	case c.Type == "":
		reason = file + " names no model_type"
	case slices.Contains(pairsClasses[""], c.Type):
		reason = fmt.Sprintf("transformers has no tokenizer of vocab.json and merges.txt for model_type %q of %s", c.Type, file)
	}
	t.note("%s: texts are split as by %s, which was guessed: %s; a %s with tokenizer_class would say it", why, gpt2Class, reason, configName)
	return gpt2Class, nil
}

func checkPairsClass(class, file string) error {
	if class == gpt2Class || class == qwen2Class {
		return nil
	}
	return fmt.Errorf("tokenizer_class %q of %s is not supported with vocab.json, expected %s or %s", class, file, gpt2Class, qwen2Class)
}

// endOfText is the special token of GPT-2 and of what followed it.
const endOfText = "<|endoftext|>"
