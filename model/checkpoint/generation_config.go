package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"slimlab/internal/atomicfile"
	"slimlab/internal/jsonread"
	"slimlab/model"
)

const generationName = "generation_config.json"

// addGeneration reads the tokens that end a text from generation_config.json, where there is one.
// They come before those of config.json, as Hugging Face's generate takes them; all of them end a
// text.
func (c *description) addGeneration(fsys fs.FS, dir string, n *notes) error {
	data, err := jsonread.ReadFile(fsys, path.Join(dir, generationName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var k keys
	repeats, err := jsonread.DecodeNoting(data, &k.raw)
	if err != nil {
		return fmt.Errorf("%s: %w", generationName, err)
	}
	n.repeats(generationName, repeats)
	k.check(generationTable, n, generationName)
	c.settings = k.notGreedy()
	ends := inVocabulary(generationName, "eos_token_id", k.tokens("eos_token_id", nil), c.Vocab, n)
	bos := inVocabulary(generationName, "bos_token_id", k.tokens("bos_token_id", nil), c.Vocab, n)
	inVocabulary(generationName, "pad_token_id", k.tokens("pad_token_id", nil), c.Vocab, n)
	if k.err != nil {
		return fmt.Errorf("%s: %w", generationName, k.err)
	}
	switch {
	case len(bos) == 0 || bos[0] == c.BOS:
	case c.BOS < 0 || c.usualBOS:
		c.BOS = bos[0]
	default:
		n.add("%s: bos_token_id is %d, in config.json %d: that of config.json counts", generationName, bos[0], c.BOS)
	}
	if len(ends) == 0 {
		return nil
	}
	inConfig := c.Ends()
	if c.usualEOS {
		inConfig = nil
	}
	if !contains(ends, inConfig) && !contains(inConfig, ends) {
		n.add("%s: eos_token_id is %d, in config.json %d: all of them end a text", generationName, ends, inConfig)
	}
	c.EOS, c.MoreEOS = -1, nil
	addEnds(&c.Config, ends)
	addEnds(&c.Config, inConfig)
	return nil
}

// greedySettings change what Hugging Face's generate writes without sampling; the value, as JSON,
// is that with which they do not.
var greedySettings = []pair{
	{"repetition_penalty", []byte("1")}, {"encoder_repetition_penalty", []byte("1")}, {"no_repeat_ngram_size", []byte("0")}, {"num_beams", []byte("1")}, {"min_length", []byte("0")},
	{"min_new_tokens", []byte("0")}, {"penalty_alpha", []byte("0")}, {"guidance_scale", []byte("1")}, {"bad_words_ids", nil}, {"suppress_tokens", nil}, {"begin_suppress_tokens", nil},
	{"forced_bos_token_id", nil}, {"forced_eos_token_id", nil}, {"sequence_bias", nil}, {"stop_strings", nil},
}

// notGreedy lists the settings that are not applied by greedy generation here.
func (k *keys) notGreedy() []string {
	var list []string
	for _, s := range greedySettings {
		found := k.raw[s.key]
		var number float64
		isUsual := jsonread.Decode(found, &number) == nil && s.value != nil && strconv.FormatFloat(number, 'g', -1, 64) == string(s.value)
		if !absent(found) && !isUsual {
			list = append(list, s.key+" "+jsonread.Clip(found))
		}
	}
	return list
}

// contains reports whether all ids of part are in list.
func contains(list, part []int) bool {
	return !slices.ContainsFunc(part, func(id int) bool { return !slices.Contains(list, id) })
}

// writeGeneration writes the tokens that begin and end a text.
func writeGeneration(dir string, c model.Config) error {
	file := struct {
		BOS  *int  `json:"bos_token_id,omitempty"`
		Ends []int `json:"eos_token_id"`
	}{Ends: c.Ends()}
	if c.BOS >= 0 {
		file.BOS = &c.BOS
	}
	return atomicfile.WriteJSON(filepath.Join(dir, generationName), file)
}
