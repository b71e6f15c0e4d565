package nearest

import (
	"fmt"
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	valid := []string{"osscar", "magnitude", "magnitude-ls", "random"}
	for _, c := range []struct{ name, want string }{
		{"oscar", "osscar"},
		{"magnitude_ls", "magnitude-ls"},
		{"randm", "random"},
		{"wanda", ""},
		{"magnitude", "magnitude"},
		{"radnom", "random"},
		{"mag", "magnitude"},
		{"random-rows", "random"},
		{"magnitude-l", "magnitude-ls"},
		{"ran", "random"},
		{"rxy", ""},
	} {
		if got := Name(c.name, valid); got != c.want {
			t.Errorf("Name(%q) = %q, want %q", c.name, got, c.want)
		}
	}
	if got := Name("x", nil); got != "" {
		t.Errorf("Name with nothing valid = %q", got)
	}
	if got := Suggest("oscar", valid); got != `, did you mean "osscar"?` {
		t.Errorf("Suggest(oscar) = %s", got)
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"kitten", "sitting", 3}, {"auc", "acu", 1}, {"abcd", "badc", 2}, {"", "ab", 2}, {"mlp", "help", 2}} {
		if d := distance(c.a, c.b); d != c.want {
			t.Errorf("distance(%s, %s) = %d, want %d", c.a, c.b, d, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	valid := []string{"table", "json"}
	if err := Check("--format", "json", valid); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{
		"jsn": `--format "jsn": expected one of table, json, did you mean "json"?`,
		"":    `--format "": expected one of table, json`,
	} {
		if err := Check("--format", name, valid); err == nil || err.Error() != want {
			t.Errorf("%q: found %v, expected %s", name, err, want)
		}
	}
	if got, want := Unknown("axis", "n", nil).Error(), `axis "n": there is none here`; got != want {
		t.Errorf("found %s, expected %s", got, want)
	}
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprint("name", i))
	}
	if got := Unknown("key", "nam39", many).Error(); !strings.Contains(got, ", name31, …, did you mean") || strings.Contains(got, "name32") {
		t.Errorf("a long list: found %s", got)
	}
}
