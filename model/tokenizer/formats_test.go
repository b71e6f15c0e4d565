package tokenizer

import (
	"encoding/base64"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// model builds a SentencePiece file.
type model struct{ data []byte }

func (m *model) piece(token string, score float32, kind uint64) *model {
	var p []byte
	p = protowire.AppendTag(p, 1, protowire.BytesType)
	p = protowire.AppendString(p, token)
	p = protowire.AppendTag(p, 2, protowire.Fixed32Type)
	p = protowire.AppendFixed32(p, math.Float32bits(score))
	p = protowire.AppendTag(p, 3, protowire.VarintType)
	p = protowire.AppendVarint(p, kind)
	return m.message(1, p)
}

func (m *model) message(number protowire.Number, data []byte) *model {
	m.data = protowire.AppendTag(m.data, number, protowire.BytesType)
	m.data = protowire.AppendBytes(m.data, data)
	return m
}

// numbers appends a message of varints.
func (m *model) numbers(number protowire.Number, pairs ...uint64) *model {
	var p []byte
	for i := 0; i < len(pairs); i += 2 {
		p = protowire.AppendTag(p, protowire.Number(pairs[i]), protowire.VarintType)
		p = protowire.AppendVarint(p, pairs[i+1])
	}
	return m.message(number, p)
}

// built builds what a reader has read.
func built(tok *Tokenizer, err error) (*Tokenizer, error) {
	if err == nil {
		err = tok.build()
	}
	return tok, err
}

func smallModel() *model {
	m := (&model{}).piece("<unk>", 0, 2).piece("<s>", 0, 3).piece("</s>", 0, 3)
	for i, token := range []string{"▁a", "a", "▁", "b"} {
		m.piece(token, float32(-i), 1)
	}
	return m
}

func TestSentencePieceFiles(t *testing.T) {
	parse := func(m *model) (*Tokenizer, error) { return built(readSentencePiece(m.data, &settings{})) }
	tok, err := parse(smallModel().numbers(2, 3, 2).numbers(3, 4, 1))
	if err != nil {
		t.Fatal(err)
	}
	// Superfluous spaces go, and what is unknown is one token, for there are no bytes.
	if got, want := tok.Encode("  a   b漢字 "), []int32{3, 5, 6, 0}; !slices.Equal(got, want) {
		t.Errorf("Encode = %v, expected %v", got, want)
	}
	for _, c := range []struct {
		m    *model
		want string
	}{
		{smallModel(), "trainer_spec.model_type unigram is not supported, expected bpe"},
		{smallModel().numbers(2, 3, 4), "trainer_spec.model_type char is not supported, expected bpe"},
		{smallModel().numbers(2, 3, 2, 24, 1), "trainer_spec.treat_whitespace_as_suffix is not supported, expected false"},
		{smallModel().numbers(2, 3, 2, 41, 77), "bos token: found id 77, expected -1 or an id below 7"},
		{smallModel().numbers(2, 3, 2).numbers(3, 5, 0), "normalizer_spec.escape_whitespaces false is not supported, expected true"},
		{smallModel().numbers(2, 3, 2).message(3, []byte{0x12, 3, 1, 2, 3}), "normalizer_spec.precompiled_charsmap of 3 bytes is not supported, expected the identity"},
		{&model{[]byte{0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F}}, "byte 1 of the message, field 1: "},
		{&model{[]byte{0x0A, 2, 0x0A, 9}}, "pieces[0]: byte 1 of the message, field 1: "},
		{(&model{}).numbers(2, 3, 2), "tokens: found none"},
	} {
		_, err := parse(c.m)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("found    %v\nexpected %s", err, c.want)
		}
	}
}

func TestTiktokenFiles(t *testing.T) {
	line := func(token string, rank int) string {
		return base64.StdEncoding.EncodeToString([]byte(token)) + fmt.Sprintf(" %d\n", rank)
	}
	for _, c := range []struct{ file, want string }{
		{line("a", 0) + "x", "line 2: expected a token in base64, a space and a rank"},
		{line("a", 0) + "!! 1", "line 2: the token is not base64 of at least a byte"},
		{line("a", 0) + " 1", "line 2: the token is not base64 of at least a byte"},
		{line("a", 0) + line("b", 2), `line 2: found rank "2", expected 1`},
		{line("a", 0) + line("a", 1), `line 2: token "a" also has rank 0`},
		{line("a", 0) + line("b", 1), "found 2 tokens, expected the 128000 of Llama 3: other tiktoken files do not say how a text is split"},
	} {
		if !isTiktoken([]byte(c.file)) {
			t.Errorf("%q is not taken for a tiktoken file", c.file)
		}
		if _, err := built(readTiktoken([]byte(c.file), &settings{})); err == nil || err.Error() != c.want {
			t.Errorf("found    %v\nexpected %s", err, c.want)
		}
	}
	if isTiktoken(smallModel().data) || isTiktoken([]byte(tiny())) || isTiktoken(nil) {
		t.Error("other files are taken for tiktoken files")
	}
}

func TestPairFiles(t *testing.T) {
	for _, c := range []struct{ vocab, merges, config, want string }{
		{`{"a":0,"b":1,"ab":2}`, "#version: 0.2\na b\n", `{}`, ""},
		{`{"a":0,"b":1,"ab":2}`, "a b\n", `{"tokenizer_class":"Qwen2TokenizerFast"}`, ""},
		{`{"a":0,"b":1,"ab":2}`, "a b c\n", `{}`, `vocab.json: merges.txt line 1: found "a b c", expected two parts with a space between`},
		{`{"a":0,"b":1}`, "a b\n", `{}`, `vocab.json: model.merges[0] ["a" "b"]: "ab" is not in the vocabulary`},
		{`{"a":0}`, "", `{"tokenizer_class":"CLIPTokenizer"}`, `vocab.json: tokenizer_class "CLIPTokenizer" of tokenizer_config.json is not supported with vocab.json, expected GPT2Tokenizer or Qwen2Tokenizer`},
		{`{"a":0}`, "", `{"added_tokens_decoder":{"x":{"content":"<x>"}}}`, `tokenizer_config.json: added_tokens_decoder: found id "x" of "<x>", expected a number`},
		{`{"a":0,"b":1,"ab":2}`, "a b\n", `{"added_tokens_decoder":{"2000000000":{"content":"<x>"}}}`, `vocab.json: token "<x>": found id 2000000000, expected an id below 65540 in a vocabulary of 4 tokens`},
		{`{"a":0,"b":1,"ab":2}`, "#version: 0.2\n", `{}`, `vocab.json: merges.txt: found no merges, expected lines of two parts with a space between`},
		{`[]`, "", `{}`, `vocab.json: found a list, expected an object`},
	} {
		dir := t.TempDir()
		for name, content := range map[string]string{"vocab.json": c.vocab, "merges.txt": c.merges, "tokenizer_config.json": c.config} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want := ""
		if c.want != "" {
			want = "folder " + dir + ": " + c.want
		}
		if _, err := Load(dir); fmt.Sprint(err) != want && (err != nil || want != "") {
			t.Errorf("found    %v\nexpected %s", err, want)
		}
		byFile := strings.Replace(want, "folder "+dir, "file "+filepath.Join(dir, "vocab.json"), 1)
		if _, err := Load(filepath.Join(dir, "vocab.json")); fmt.Sprint(err) != byFile && (err != nil || want != "") {
			t.Errorf("found    %v\nexpected %s", err, byFile)
		}
	}
}
