package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stdin gives the command line a text to read.
func stdin(t *testing.T, text string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "stdin")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stdin
	os.Stdin = file
	t.Cleanup(func() {
		os.Stdin = before
		file.Close()
	})
}

// characters is a tokenizer.json of a few characters with byte fallback and a token that begins a
// text.
const characters = `{"added_tokens":[{"id":0,"content":"<s>","special":true}],"normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},
"pre_tokenizer":null,"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],"special_tokens":{"<s>":{"ids":[0]}}},
"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"}]},
"model":{"type":"BPE","byte_fallback":true,"vocab":{"<s>":0,"▁":1,"a":2,"b":3,"ab":4,"<0xC3>":5,"<0xA9>":6,"<":7},"merges":["a b"]}}`

func TestTokenize(t *testing.T) {
	newHome(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "tokenizer.json")
	if err := os.WriteFile(file, []byte(characters), 0o644); err != nil {
		t.Fatal(err)
	}
	talks := t.TempDir()
	for name, content := range map[string]string{
		"tokenizer.json":        characters,
		"tokenizer_config.json": `{"bos_token": "<s>"}`,
		"chat_template.jinja": "{{ bos_token }}{% for m in messages %}{% if m.role == 'nobody' %}{{ raise_exception('who?') }}{% endif %}{{ m.content }}{% endfor %}" +
			"{% if add_generation_prompt %}<{% endif %}",
	} {
		if err := os.WriteFile(filepath.Join(talks, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		in   string
		want string
		code int
	}{
		{[]string{file}, "ab a", "[0,4,1,2]\n", exitHeld},
		{[]string{dir}, "é", "[0,5,6]\n", exitHeld},
		{[]string{dir}, "", "[0]\n", exitHeld},
		{[]string{dir, "--no-special"}, "", "[]\n", exitHeld},
		{[]string{dir, "--no-special", "--pieces"}, "a é<s>", `[{"id":2,"piece":"a"},{"id":1,"piece":" "},{"id":5,"piece":[195]},{"id":6,"piece":[169]},{"id":0,"piece":"<s>"}]` + "\n", exitHeld},
		{[]string{dir, "--decode"}, "[0, 4,1,\n5,6]\n", "<s>ab é", exitHeld},
		{[]string{dir, "--decode", "--no-special"}, "0 4 1 5 6", "ab é", exitHeld},
		{[]string{dir, "--decode"}, "[]", "", exitHeld},
		{[]string{dir, "--decode"}, "8", "standard input: ids[0]: found 8, expected an id below 8", exitUsage},
		{[]string{dir, "--decode"}, "[1, x]", `standard input: ids[1]: found "x", expected a number`, exitUsage},
		{[]string{dir, "--decode"}, "[1,,2]", "standard input: ids[1]: found nothing between commas, expected a number", exitUsage},
		{[]string{dir, "--decode"}, "[1", "standard input: ids: the array does not end, expected ]", exitUsage},
		{[]string{dir, "--decode", "--pieces"}, "", "cannot be given together", exitUsage},
		{[]string{dir, "--chat"}, `[]`, "has no chat template", exitUsage},
		{[]string{talks, "--chat"}, `[{"role": "user", "content": "ab a"}]`, "[0,4,1,2,7]\n", exitHeld},
		{[]string{talks, "--chat", "--text"}, `{"messages": [{"role": "user", "content": "ab a"}, {"role": "assistant", "content": "b"}]}`, "<s>ab ab", exitHeld},
		{[]string{talks, "--chat"}, `[{"role": "nobody"}]`, "line 1: the template refuses: who?", exitUsage},
		{[]string{talks, "--chat"}, `{"messages": 1}`, "standard input: conversation: messages", exitUsage},
		{[]string{talks, "--chat"}, "hello", "standard input: conversation", exitUsage},
		{[]string{talks, "--text"}, "", "--text needs --chat", exitUsage},
		{[]string{t.TempDir()}, "", "found no tokenizer", exitUsage},
		{[]string{filepath.Join(dir, "nowhere")}, "", "no such folder", exitUsage},
		{[]string{}, "", "expected tokenize MODEL", exitUsage},
	} {
		stdin(t, c.in)
		out, errs, code := slimlab(t, append([]string{"tokenize"}, c.args...)...)
		if code != c.code || code == exitHeld && out != c.want || code != exitHeld && (out != "" || !strings.Contains(errs, c.want)) {
			t.Errorf("tokenize %q < %q: exit %d\n%s%s\nexpected exit %d, %s", c.args, c.in, code, out, errs, c.code, c.want)
		}
	}
	if err := os.WriteFile(filepath.Join(talks, "tokenizer_config.json"), []byte(`{"pad_token": "[PAD]"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	stdin(t, "ab")
	note := "note: tokenizer_config.json: pad_token: \"[PAD]\" is not a token of the vocabulary and is ignored\n"
	if out, errs, code := slimlab(t, "tokenize", talks); code != exitHeld || out != "[0,4]\n" || errs != note {
		t.Errorf("exit %d, %s%s, expected exit 0 and %s", code, out, errs, note)
	}
	stdin(t, "liked the lamp 42\n")
	ids, errs, code := slimlab(t, "tokenize", "pretrained:recsys-fm")
	if code != exitHeld {
		t.Fatalf("exit %d: %s", code, errs)
	}
	stdin(t, ids)
	if text, _, _ := slimlab(t, "tokenize", "pretrained:recsys-fm", "--decode", "--no-special"); text != "liked the lamp 42\n" {
		t.Errorf("there and back: %q", text)
	}
}
