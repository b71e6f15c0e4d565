package tokenizer

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
)

// llama3Ranks is how many tokens Llama 3's file has; the special tokens follow them.
const llama3Ranks = 128000

// llama3Special are the 256 special tokens of Llama 3.1 and later by their ids above llama3Ranks.
// Llama 3.0 had other names for a few that it reserved.
func llama3Special() []string {
	names := []string{"<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
		"<|finetune_right_pad_id|>", "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>",
		"<|eot_id|>", "<|python_tag|>"}
	for i := 3; len(names) < 256; i++ {
		names = append(names, fmt.Sprintf("<|reserved_special_token_%d|>", i))
	}
	return names
}

// readTiktoken reads lines of a token's bytes in base64 and its rank, which is its id. The format
// holds neither how a text is split into words nor special tokens: those are Llama 3's, and files
// that are not Llama 3's are refused. build is to follow.
func readTiktoken(data []byte, s *settings) (*Tokenizer, error) {
	t := newTokenizer()
	f := &t.file
	f.Model = modelFile{Type: "BPE", Vocab: vocabulary{}}
	var tokens []rankedToken
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		coded, rank, ok := bytes.Cut(line, []byte(" "))
		if !ok {
			return nil, fmt.Errorf("line %d: expected a token in base64, a space and a rank", number)
		}
		raw, err := base64.StdEncoding.AppendDecode(nil, coded)
		if err != nil || len(raw) == 0 {
			return nil, fmt.Errorf("line %d: the token is not base64 of at least a byte", number)
		}
		id, err := strconv.Atoi(string(rank))
		if err != nil || id != len(tokens) {
			return nil, fmt.Errorf("line %d: found rank %q, expected %d", number, rank, len(tokens))
		}
		token := spellBytes(string(raw))
		if other, ok := f.Model.Vocab[token]; ok {
			return nil, fmt.Errorf("line %d: token %q also has rank %d", number, token, other)
		}
		f.Model.Vocab[token] = int32(id)
		tokens = append(tokens, rankedToken{token, int32(id), int32(id)})
	}
	if len(tokens) != llama3Ranks {
		return nil, fmt.Errorf("found %d tokens, expected the %d of Llama 3: other tiktoken files do not say how a text is split", len(tokens), llama3Ranks)
	}
	if err := f.Model.mergeTo(tokens); err != nil {
		return nil, err
	}
	for i, name := range llama3Special() {
		f.AddedTokens = append(f.AddedTokens, addedToken{ID: int32(llama3Ranks + i), Content: name, Special: true})
	}
	split, _ := splitNamed("llama3")
	f.byteLevel(split)
	begin := f.AddedTokens[0]
	f.PostProcessor = templateOf(map[string]int32{begin.Content: begin.ID}, begin.Content, "")
	t.bos, t.eos = llama3Ranks, llama3Ranks+1
	if len(s.added) == 0 {
		t.note("tokenizer.model says neither which special tokens there are nor how a text is split: both are Llama 3.1's, which was guessed by its %d tokens", llama3Ranks)
	}
	return t, nil
}

// isTiktoken reports whether a tokenizer.model is tiktoken's, which is lines of text, and not
// SentencePiece's, which is a protocol buffer.
func isTiktoken(data []byte) bool {
	line, _, _ := bytes.Cut(data[:min(len(data), 4096)], []byte("\n"))
	coded, rank, ok := bytes.Cut(bytes.TrimRight(line, "\r"), []byte(" "))
	_, err := base64.StdEncoding.DecodeString(string(coded))
	_, errRank := strconv.Atoi(string(rank))
	return ok && errors.Join(err, errRank) == nil
}
