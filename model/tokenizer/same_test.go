package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSameTokensIsOfIDsAlone: what is around a text and how it is split does not count; another
// token, a missing one, another special token or another end of a text does.
func TestSameTokensIsOfIDsAlone(t *testing.T) {
	const file = `{"added_tokens":[{"id":0,"content":"<s>","special":true},{"id":1,"content":"</s>","special":true}],"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},
"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],"special_tokens":{"<s>":{"ids":[0]}}},
"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"<s>":0,"</s>":1,"a":2,"b":3,"ab":4},"merges":["a b"]}}`
	load := func(text, eos string) *Tokenizer {
		t.Helper()
		dir := t.TempDir()
		for name, content := range map[string]string{"tokenizer.json": text, "tokenizer_config.json": `{"eos_token":"` + eos + `"}`} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		tok, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	first := load(file, "</s>")
	begin, end := strings.Index(file, `"post_processor":`), strings.Index(file, `"decoder":`)
	for _, c := range []struct{ name, text, eos, want string }{
		{"the same", file, "</s>", ""},
		{"no post-processor", file[:begin] + file[end:], "</s>", ""},
		{"no merges", strings.Replace(file, `"a b"`, "", 1), "</s>", ""},
		{"another split", strings.Replace(file, `"use_regex":true`, `"use_regex":false`, 1), "</s>", ""},
		{"two exchanged", strings.Replace(file, `"a":2,"b":3`, `"b":2,"a":3`, 1), "</s>", `id 2 is "a" in the first and "b" in the second`},
		{"one more", strings.Replace(file, `"ab":4`, `"ab":4,"c":5`, 1), "</s>", `id 5 is "c" in the second and none in the first`},
		{"one less", strings.Replace(strings.Replace(file, `,"ab":4`, "", 1), `"a b"`, "", 1), "</s>", `id 4 is "ab" in the first and none in the second`},
		{"not special", strings.Replace(file, `"<s>","special":true`, `"<s>","special":false`, 1), "</s>", `id 0, "<s>", is special in one alone`},
		{"another end", file, "<s>", `the first ends a text with "</s>", the second with "<s>"`},
	} {
		err := first.SameTokens(load(c.text, c.eos))
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%s: error %v, expected %q", c.name, err, c.want)
		}
	}
}
