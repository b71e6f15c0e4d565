package tokenizer

import (
	"strings"
	"testing"
)

// A chat_template that is none says what it is, in a note; the tokenizer is read all the same.
func TestChatTemplatesThatAreNone(t *testing.T) {
	in := func(template string) map[string]string {
		return map[string]string{"tokenizer.json": small(), configName: `{"chat_template":` + template + `}`}
	}
	beside := func(name, content string) map[string]string {
		return map[string]string{"tokenizer.json": small(), name: content}
	}
	const list = `[{"name":"tool_use","template":"{{ tools }}"},{"name":"rag","template":"{{ rag }}"}]`
	for _, c := range []struct {
		files          map[string]string
		template, note string
	}{
		{in(`"{{ x }}"`), "{{ x }}", ""},
		{in(`null`), "", ""},
		{in(`""`), "", "chat_template is an empty text"},
		{in(`" \n"`), "", "chat_template is an empty text"},
		{in(`5`), "", "chat_template: found 5, expected a Jinja template, or a list of objects"},
		{in(`{"default":"{{ x }}"}`), "", `found {"default":"{{ x }}"}, expected a Jinja template`},
		{in(`["{{ x }}"]`), "", `found ["{{ x }}"], expected a Jinja template`},
		{in(`[]`), "", `templates of the names (none), expected one that is named "default"`},
		{in(list), "", `templates of the names "tool_use", "rag", expected one that is named "default" and not empty`},
		{in(strings.Replace(list, "rag", "default", 1)), "{{ rag }}", ""},
		{in(`[{"name":"default","template":""}]`), "", `expected one that is named "default" and not empty`},
		{beside("chat_template.jinja", "{{ y }}"), "{{ y }}", ""},
		{beside("chat_template.jinja", "\ufeff{{ y }}"), "{{ y }}", ""},
		{beside("chat_template.jinja", " \n"), "", "chat_template.jinja: found an empty text, expected a Jinja template: the file is not used"},
		{beside("chat_template.json", `{"chat_template":"{{ z }}"}`), "{{ z }}", ""},
		{beside("chat_template.json", `{"chat_template":7}`), "", "chat_template.json: chat_template: found 7, expected a Jinja template"},
		{beside("chat_template.json", `{}`), "", "chat_template.json: chat_template: found null, expected a Jinja template"},
	} {
		tok, err := Load(files(t, c.files))
		if err != nil {
			t.Errorf("%v: %v", c.files, err)
			continue
		}
		if got := tok.ChatTemplate(); got != c.template {
			t.Errorf("%v: template %q, expected %q", c.files, got, c.template)
		}
		said := strings.Join(tok.Notes(), "\n")
		if c.note == "" && said != "" || !strings.Contains(said, c.note) {
			t.Errorf("%v: notes %q, expected %q", c.files, said, c.note)
		}
	}
	if _, err := Load(files(t, beside("chat_template.jinja", "a\xff"))); err == nil || !strings.Contains(err.Error(), "chat_template.jinja: found bytes that are no UTF-8") {
		t.Errorf("a template that is no UTF-8: %v", err)
	}
}
