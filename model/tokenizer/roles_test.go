package tokenizer

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestChatTemplate: where a folder may have it.
func TestChatTemplate(t *testing.T) {
	dir := t.TempDir()
	if err := trained(t).Save(dir); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := load(t, dir).ChatTemplate(); got != "" {
		t.Errorf("found %q where there is none", got)
	}
	write("tokenizer_config.json", `{"chat_template":"{{ one }}","eos_token":"<|eos|>"}`)
	if got := load(t, dir).ChatTemplate(); got != "{{ one }}" {
		t.Errorf("found %q", got)
	}
	write("tokenizer_config.json", `{"chat_template":[{"name":"tool_use","template":"x"},{"name":"default","template":"{{ two }}"}]}`)
	if got := load(t, dir).ChatTemplate(); got != "{{ two }}" {
		t.Errorf("found %q", got)
	}
	write("chat_template.jinja", "{{ three }}")
	tok := load(t, dir)
	if got := tok.ChatTemplate(); got != "{{ three }}" {
		t.Errorf("found %q", got)
	}
	if got := saveAndLoad(t, tok).ChatTemplate(); got != "{{ three }}" {
		t.Errorf("found %q after saving", got)
	}
}

// TestRoles: what surrounds a text, and which tokens have a role, in each form.
func TestRoles(t *testing.T) {
	three := llama3(t)
	if ids := three.EncodeSpecial("<|eot_id|>"); !slices.Equal(ids, []int32{128000, 128009}) || three.BOS() != 128000 || three.EOS() != 128001 || three.Vocab() != 128256 {
		t.Errorf("Llama 3: %v, bos %d, eos %d, vocabulary %d", ids, three.BOS(), three.EOS(), three.Vocab())
	}
	two := llama2(t)
	if ids := two.EncodeSpecial("Hello"); !slices.Equal(ids, []int32{1, 15043}) || two.BOS() != 1 || two.EOS() != 2 || two.Padding() != -1 {
		t.Errorf("Llama 2: %v, bos %d, eos %d, padding %d", ids, two.BOS(), two.EOS(), two.Padding())
	}
	configured := load(t, folder(t, map[string][]string{"tokenizer.model": {"llama2", "tokenizer.model"},
		"tokenizer_config.json": {`{"add_bos_token":false,"add_eos_token":true,"eos_token":"</s>"}`}}))
	if ids := configured.EncodeSpecial("Hello"); !slices.Equal(ids, []int32{15043, 2}) {
		t.Errorf("Llama 2 with an EOS: %v", ids)
	}
	qwen := qwen2(t)
	if ids := qwen.EncodeSpecial("Hello<|im_end|>"); !slices.Equal(ids, []int32{9707, 151645}) || qwen.BOS() != -1 || qwen.EOS() != 151645 || qwen.Padding() != 151643 {
		t.Errorf("Qwen 2: %v, bos %d, eos %d, padding %d", ids, qwen.BOS(), qwen.EOS(), qwen.Padding())
	}
	if composed, apart := qwen.Encode("café"), qwen.Encode("cafe\u0301"); !slices.Equal(composed, apart) {
		t.Errorf("Qwen 2 does not compose: %v, %v", composed, apart)
	}
	if !qwen.Special(151645) || qwen.Special(151657) {
		t.Error("Qwen 2: <|im_end|> is special and <tool_call> is not")
	}
	two2, err := two.Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	two2.AddBOS, two2.AddEOS = pointer(false), pointer(true)
	again, err := FromVocabulary(two2)
	if err != nil {
		t.Fatal(err)
	}
	if ids := again.EncodeSpecial("Hello"); !slices.Equal(ids, []int32{15043, 2}) {
		t.Errorf("Llama 2 of GGUF with an EOS: %v", ids)
	}
}
