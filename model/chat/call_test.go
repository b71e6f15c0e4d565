package chat

import (
	"os"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
)

// TestCallForms: of four families, and of templates that write calls otherwise or not at all.
func TestCallForms(t *testing.T) {
	hermes := CallForm{Before: "<tool_call>\n{\"name\": \"", Between: "\", \"arguments\": ", After: "}\n</tool_call>", Separator: "\n", Several: true}
	llama := CallForm{Before: "{\"name\": \"", Between: "\", \"parameters\": ", After: "}"}
	for family, want := range map[string]CallForm{
		"Qwen-Qwen2.5-7B-Instruct": hermes, "Qwen-Qwen3-0.6B": hermes,
		"meta-llama-Llama-3.1-8B-Instruct": llama, "meta-llama-Llama-3.2-3B-Instruct": llama,
	} {
		source, err := os.ReadFile(shareddata.Path(t, "tokenizers", "templates", family+".jinja"))
		if err != nil {
			t.Fatal(err)
		}
		template, err := Parse(string(source), "<|begin_of_text|>", "<|eot_id|>")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := template.CallForm(); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", family, got, err, want)
		}
	}
}

func TestCallFormsOfOtherTemplates(t *testing.T) {
	const say = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% if m.tool_calls %}CALLS{% endif %}<end>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
	for _, c := range []struct {
		calls string
		want  CallForm
		err   string
	}{
		{"{% for c in m.tool_calls %}{% if not loop.first %}; {% endif %}[{{ c.function.name }}|{{ c.function.arguments | tojson }}]{% endfor %}", CallForm{"[", "|", "]", "; ", true}, ""},
		{"{% if m.tool_calls|length > 1 %}{{ raise_exception('one only') }}{% endif %}!{{ m.tool_calls[0].function.name }} {{ m.tool_calls[0].function.arguments | tojson }}", CallForm{"!", " ", "", "", false}, ""},
		{"", CallForm{}, "it does not write calls"},
		{"{% for c in m.tool_calls %}{{ c.function.name }}{% for k, v in c.function.arguments.items() %} {{ k }}={{ v }}{% endfor %}{% endfor %}", CallForm{}, "expected its name and then its arguments as JSON"},
		{"{% for c in m.tool_calls %}{{ c.function.arguments | tojson }} to {{ c.function.name }}{% endfor %}", CallForm{}, "expected its name and then"},
		{"{{ raise_exception('no tools') }}", CallForm{}, "no tools"},
	} {
		template, err := Parse(strings.Replace(say, "CALLS", c.calls, 1), "", "")
		if err != nil {
			t.Fatal(err)
		}
		got, err := template.CallForm()
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %+v, %v, want %+v, %q", c.calls, got, err, c.want, c.err)
		}
	}
	template, err := Parse("{{ messages|length }}", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := template.CallForm(); err == nil || !strings.Contains(err.Error(), "does not write the assistant's answer") {
		t.Errorf("a template without answers: %v", err)
	}
}
