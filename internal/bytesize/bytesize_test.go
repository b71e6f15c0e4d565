package bytesize

import (
	"strings"
	"testing"
)

// TestParse: each unit is read in letters of either case, with and without a space; what is no size
// is an error.
func TestParse(t *testing.T) {
	for _, u := range Units() {
		for _, name := range []string{u.Name, strings.ToLower(u.Name), strings.ToUpper(u.Name), " " + u.Name} {
			if got, unit, err := Parse("1.5" + name); err != nil || got != 1.5*u.Bytes || unit != u.Name {
				t.Errorf("1.5%s is %v in %q, %v, expected %v", name, got, unit, err, 1.5*u.Bytes)
			}
		}
		if !strings.Contains(Names, u.Name) {
			t.Errorf("%s is not among the names, %s", u.Name, Names)
		}
	}
	for _, text := range []string{"", "MB", "5", "-1MB", "0kB", "nanMB", "infGB", "0x1GB", "1e308TB", "1_0MB", "5 M", "5M B", "5MBB", "5Mo"} {
		if got, _, err := Parse(text); err == nil {
			t.Errorf("%q is no error: %v", text, got)
		}
	}
}
