package tokenizer

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"
)

// use does with a tokenizer that was read whatever it can do.
func use(t *testing.T, tok *Tokenizer) {
	for _, text := range []string{"", "a ab\xff b", "é<x> 12  ▁▁a'S\r\n"} {
		ids := tok.EncodeSpecial(text)
		for _, id := range ids {
			if id < 0 || int(id) >= tok.Vocab() {
				t.Fatalf("id %d outside the vocabulary of %d", id, tok.Vocab())
			}
		}
		d := tok.NewTextDecoder()
		for _, id := range ids {
			if s := d.Push(id); !utf8.ValidString(s) {
				t.Fatalf("streamed %q", s)
			}
		}
		d.Flush()
		tok.DecodeText(ids)
	}
	if v, err := tok.Vocabulary(); err == nil {
		if _, err := FromVocabulary(v); err != nil {
			t.Fatalf("what Vocabulary wrote is refused: %v", err)
		}
	}
}

func FuzzSentencePiece(f *testing.F) {
	f.Add(smallModel().numbers(2, 3, 2).data)
	f.Add(smallModel().numbers(2, 3, 2).numbers(3, 3, 0, 4, 1).data)
	f.Add((&model{}).piece("<0x41>", 0, 6).piece("aa", 1, 4).piece("▁", 0, 1).numbers(2, 3, 2, 40, 0).data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if tok, err := built(readSentencePiece(data, &settings{})); err == nil {
			use(t, tok)
		}
	})
}

func FuzzTiktoken(f *testing.F) {
	f.Add([]byte("YQ== 0\nYg== 1\n"))
	f.Add([]byte("YQ== 0\r\n\nYg== 01\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		isTiktoken(data)
		if tok, err := built(readTiktoken(data, &settings{})); err == nil {
			use(t, tok)
		}
	})
}

func FuzzVocabulary(f *testing.F) {
	f.Add([]byte(`{"Model":"llama","Tokens":["<unk>","a","▁","▁a","<0x41>"],"Scores":[0,-1,-2,-3,0],"Types":[2,1,1,1,6],"BOS":-1,"EOS":-1,"Padding":-1}`))
	f.Add([]byte(`{"Model":"gpt2","Pre":"llama-bpe","Tokens":["a","b","ab","<x>"],"Types":[1,1,1,3],"Merges":["a b"],"BOS":3,"EOS":3,"Unknown":-1,"Padding":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v Vocabulary
		if json.Unmarshal(data, &v) != nil {
			return
		}
		if tok, err := FromVocabulary(v); err == nil {
			use(t, tok)
		}
	})
}

func FuzzPairs(f *testing.F) {
	f.Add([]byte(`{"a":0,"b":1,"ab":2}`), []byte("#version\na b\n"), []byte(`{"tokenizer_class":"Qwen2Tokenizer","added_tokens_decoder":{"3":{"content":"<x>","special":true}}}`))
	f.Fuzz(func(t *testing.T, vocab, merges, config []byte) {
		folder := fstest.MapFS{"vocab.json": {Data: vocab}, "merges.txt": {Data: merges}, "tokenizer_config.json": {Data: config}}
		if tok, err := LoadFS(folder, "."); err == nil {
			use(t, tok)
		}
	})
}

// FuzzScanners holds the hand-written scanners to the expressions.
func FuzzScanners(f *testing.F) {
	type pair struct{ hand, expression splitter }
	var pairs []pair
	for _, pattern := range []string{gpt2Pattern, digitPattern, llama3Pattern, qwen2Pattern} {
		re, err := compile(pattern)
		if err != nil {
			f.Fatal(err)
		}
		hand, _ := scannerOf(pattern)
		pairs = append(pairs, pair{hand, &expressionSplitter{re: re}})
	}
	f.Add(story[:200])
	f.Add("it'S  \r\n\n x\t1234 ٣٤ '\u2003a")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "ſ") || len(text) > 256 {
			return // see TestLongS; long texts have no more to find, and the engine is slow
		}
		for i, p := range pairs {
			var got, want []string
			p.hand.split(text, func(piece string) { got = append(got, piece) })
			p.expression.split(text, func(piece string) { want = append(want, piece) })
			if !slices.Equal(got, want) {
				t.Fatalf("pattern %d, %q: scanner %q, expression %q", i, text, got, want)
			}
		}
	})
}
