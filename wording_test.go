package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"slimlab/internal/jsonmutant"
	"slimlab/lab/task"
	"slimlab/model/chat"
	"slimlab/model/tokenizer"
)

// bytesOf are 256 tokens of a byte each, as GPT-2 spells them, and one merged of two.
func bytesOf(t *testing.T) (vocab string) {
	t.Helper()
	ids := map[string]int{}
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if !(b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae) {
			r, next = next, next+1
		}
		ids[string(r)] = b
	}
	ids["ab"] = 256
	data, err := json.Marshal(ids)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A reader accepts a JSON file, whatever one value of it is and wherever it is broken, or refuses
// it in the words of the file. The files of a model's folder have a test of their own beside their
// reader.
func TestErrorsOfReadersNameTheFile(t *testing.T) {
	dir := t.TempDir()
	inFile := func(read func(name string) error) func(text string) error {
		return func(text string) error {
			name := filepath.Join(dir, "data.jsonl")
			if err := os.WriteFile(name, []byte(text+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			return read(name)
		}
	}
	folder := func(name string) func(text string) error {
		return func(text string) error {
			files := fstest.MapFS{
				"vocab.json": {Data: []byte(bytesOf(t))}, "merges.txt": {Data: []byte("a b\n")},
				"tokenizer_config.json": {Data: []byte(`{"tokenizer_class":"GPT2Tokenizer"}`)},
			}
			files[name] = &fstest.MapFile{Data: []byte(text)}
			_, err := tokenizer.LoadFS(files, ".")
			return err
		}
	}
	token := `{"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}`
	readers := map[string]struct {
		text string
		read func(text string) error
	}{
		"records": {`{"prompt":"a","response":"b"}`, inFile(func(name string) error {
			_, err := task.ReadJSONL(t.Context(), task.DefaultJSONL(name))
			return err
		})},
		"records over lines": {"{\n  \"prompt\": \"a\",\n  \"response\": \"b\"\n}\n{\n  \"prompt\": \"c\",\n  \"response\": \"d\"\n}", inFile(func(name string) error {
			_, err := task.ReadJSONL(t.Context(), task.DefaultJSONL(name))
			return err
		})},
		"array": {`[{"prompt":"a","response":"b"},{"prompt":"c","response":"d"}]`, inFile(func(name string) error {
			_, err := task.ReadJSONL(t.Context(), task.DefaultJSONL(name))
			return err
		})},
		"messages": {`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`, inFile(func(name string) error {
			_, err := task.ReadJSONL(t.Context(), task.DefaultJSONL(name))
			return err
		})},
		"choices": {`{"query":"a","choices":["b","c"],"gold":0}`, inFile(func(name string) error {
			_, err := task.ReadChoice(t.Context(), task.ChoiceConfig{Path: name})
			return err
		})},
		"conversation": {`{"messages":[{"role":"user","content":"a"}],"tools":[]}`, func(text string) error {
			_, err := chat.ParseConversation([]byte(text))
			return err
		}},
		"tokenizer_config.json": {`{"tokenizer_class":"GPT2Tokenizer","add_bos_token":true,"bos_token":` + token + `,"eos_token":"<s>","added_tokens_decoder":{"257":` + token + `},"chat_template":"x"}`,
			folder("tokenizer_config.json")},
		"special_tokens_map.json": {`{"bos_token":` + token + `,"additional_special_tokens":["<s>"]}`, folder("special_tokens_map.json")},
		"added_tokens.json":       {`{"<s>":257}`, folder("added_tokens.json")},
		"tokenizer.json": {`{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":257,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
			"normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\p{L}+"},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]},
			"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{"<s>":{"id":"<s>","ids":[257],"tokens":["<s>"]}}},
			"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","dropout":null,"unk_token":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}}`, folder("tokenizer.json")},
	}
	for name, r := range readers {
		refused := 0
		jsonmutant.Each(t, strings.Split(r.text, "\n{")[0], func(path, variant string) {
			err := r.read(variant)
			if err == nil {
				return
			}
			refused++
			if jsonmutant.SpeaksOfTheProgram(err) {
				t.Errorf("%s%s: %v", name, path, err)
			}
		})
		if refused == 0 {
			t.Errorf("%s: no variant was refused", name)
		}
		jsonmutant.Break(r.text, func(variant string) {
			if err := r.read(variant); jsonmutant.SpeaksOfTheProgram(err) {
				t.Errorf("%s: %q: %v", name, variant, err)
			}
		})
	}
}
