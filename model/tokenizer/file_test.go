package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestOtherModelsAreRefusedByType: a model that is no BPE is named, not what differs in its form.
func TestOtherModelsAreRefusedByType(t *testing.T) {
	for _, c := range []struct{ model, want string }{
		{`{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0],["a",-1.5]],"byte_fallback":false}`, "Unigram"},
		{`{"unk_id":0,"vocab":[["<unk>",0.0],["a",-1.5]]}`, "Unigram"},
		{`{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"[UNK]":0,"a":1}}`, "WordPiece"},
		{`{"unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"[UNK]":0,"a":1}}`, "WordPiece"},
		{`{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}`, "WordLevel"},
		{`{"type":"unigram2","vocab":7}`, "unigram2"},
	} {
		file := `{"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"Whitespace"},"decoder":null,"model":` + c.model + `}`
		want := `model: type "` + c.want + `" is not supported, expected BPE`
		if _, err := Parse([]byte(file)); err == nil || err.Error() != want {
			t.Errorf("%s\nfound    %v\nexpected %s", c.model, err, want)
		}
	}
	for file, want := range map[string]string{
		tiny(`{"a":0,"b":1,"ab":2}`, `[["a",1]]`):                   `model.vocab: found a list, expected an object`,
		tiny(`"vocab"`, `"fuse_unk":"yes","vocab"`):                 `model.fuse_unk: found a string, expected true or false`,
		tiny(`["a b"]`, `[7]`):                                      `model.merges[0]: found a number, expected a string`,
		tiny(`{"type":"ByteLevel","add_prefix_space":false}`, `[]`): `pre_tokenizer: found a list, expected an object`,
		tiny(`"added_tokens":[]`, `"added_tokens":[{"id":"x"}]`):    `added_tokens[0].id: found a string, expected a whole number`,
		tiny(`"normalizer":null`, `"normalizer":{"type":"NFC"},,`):  `not JSON`,
		`[]`: `found a list, expected an object`,
	} {
		if _, err := Parse([]byte(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nfound    %v\nexpected %s", file, err, want)
		}
	}
}

// TestKeysThatStandTwice: equal values are a note, two values an error, in every file.
func TestKeysThatStandTwice(t *testing.T) {
	for _, c := range []struct{ file, note, err string }{
		{tiny(`{"a":0,`, `{"a":0,"a":0,`), "tokenizer.json: model.vocab.a stands twice, with equal values", ""},
		{tiny(`{"a":0,`, `{"a":0,"a":5,`), "", "model.vocab.a stands twice, with the values 0 and 5, expected it once: remove one of them"},
		{tiny(`{"a":0,`, `{"a":0,"\u0061":5,`), "", `model.vocab["\u0061"] stands twice, with the values 0 and 5`},
		{tiny(`"normalizer":null`, `"normalizer":null,"normalizer":{"type":"NFC"}`), "", `normalizer stands twice, with the values null and {"type":"NFC"}`},
		{tiny(`"added_tokens":[]`, `"added_tokens":[{"id":3,"content":"<s>","special":true,"special":true}]`), "tokenizer.json: added_tokens[0].special stands twice, with equal values", ""},
	} {
		tok, err := Parse([]byte(c.file))
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s\nfound    %v\nexpected %s", c.file, err, c.err)
		}
		if c.note != "" && (err != nil || !slices.Contains(tok.Notes(), c.note)) {
			t.Errorf("%s\nexpected %s", c.file, c.note)
		}
	}
	for name, text := range map[string]string{configName: `{"add_bos_token":true,"add_bos_token":true}`, addedName: `{"<s>":3,"<s>":3}`, rolesName: `{"bos_token":"a","bos_token":"a"}`} {
		files := fstest.MapFS{"tokenizer.json": {Data: []byte(tiny())}, name: {Data: []byte(text)}}
		tok, err := LoadFS(files, ".")
		if err != nil || !strings.Contains(strings.Join(tok.Notes(), "\n"), name+": ") || !strings.Contains(strings.Join(tok.Notes(), "\n"), "stands twice") {
			t.Errorf("%s: %v", name, err)
		}
		files[name] = &fstest.MapFile{Data: []byte(strings.NewReplacer(":true}", ":false}", ":3}", ":4}", `"a"}`, `"b"}`).Replace(text))}
		if _, err := LoadFS(files, "."); err == nil || !strings.Contains(err.Error(), name+": line 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKeysThatAreNotKnown: each is in a note with its place, in every part of the file.
func TestKeysThatAreNotKnown(t *testing.T) {
	split := `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"String":"-"},"behavior":"Isolated","invert":false,"lookahead":3},{"type":"ByteLevel","add_prefix_space":false}]}`
	for _, c := range []struct{ file, want string }{
		{tiny(), ""},
		{tiny(`"normalizer":null`, `"normalizer":null,"revision":3`), `tokenizer.json: ignored keys that are not known: ["revision"]`},
		{tiny(`"merges"`, `"max_length":3,"alpha":0.1,"merges"`), `tokenizer.json: model: ignored keys that are not known: ["alpha", "max_length"]`},
		{tiny(`{"type":"ByteLevel","add_prefix_space":false}`, split), `tokenizer.json: pre_tokenizer.pretokenizers[0]: ignored keys that are not known: ["lookahead"]`},
		{tiny(`"added_tokens":[]`, `"added_tokens":[{"id":3,"content":"x","strip":true}]`), `tokenizer.json: added_tokens[0]: ignored keys that are not known: ["strip"]`},
		{tiny(`"decoder":{"type":"ByteLevel"}`, `"decoder":{"type":"ByteLevel","errors":"strict"}`), `tokenizer.json: decoder: ignored keys that are not known: ["errors"]`},
		{tiny(`"normalizer":null`, `"normalizer":null,"truncation":{"max_length":5}`), `tokenizer.json: truncation is ignored: no text is cut or filled up`},
	} {
		tok, err := Parse([]byte(c.file))
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		if got := strings.Join(tok.Notes(), "\n"); got != c.want {
			t.Errorf("%s\nfound    %s\nexpected %s", c.file, got, c.want)
		}
	}
}
