package nearest

import "testing"

func TestName(t *testing.T) {
	valid := []string{"osscar", "magnitude", "magnitude-ls", "random"}
	for _, c := range []struct{ name, want string }{
		{"oscar", "osscar"},
		{"magnitude_ls", "magnitude-ls"},
		{"randm", "random"},
		{"wanda", ""},
		{"magnitude", "magnitude"},
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
	if d := distance("kitten", "sitting"); d != 3 {
		t.Errorf("distance(kitten, sitting) = %d, want 3", d)
	}
}
