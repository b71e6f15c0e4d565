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

// TestCount: numbers of bytes are read in each unit and without one, 0 in each of them too, and
// what is none says what is expected.
func TestCount(t *testing.T) {
	for _, u := range append(Units(), Unit{"", 1}) {
		for _, number := range []string{"0", "00", "0.0", "2"} {
			want := int64(0)
			if number == "2" {
				want = int64(2 * u.Bytes)
			}
			for _, name := range []string{u.Name, strings.ToLower(u.Name), strings.ToUpper(u.Name)} {
				if got, err := Count(number + name); err != nil || got != want {
					t.Errorf("%s%s: %d, %v, expected %d", number, name, got, err, want)
				}
			}
		}
	}
	for text, want := range map[string]int64{"1000": 1000, "2 kB": 2000, "1.5MiB": 3 << 19, "0.0005MB": 500, "1e6": 1e6, "1024TiB": MostCount} {
		if got, err := Count(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, expected %d", text, got, err, want)
		}
	}
	for text, says := range map[string]string{
		"": "expected a number", "GB": "expected a number", "-1": "expected a number", "-0": "expected a number", "3 pages": "expected a number",
		"nan": "expected a number", "inf": "expected a number", "1_0MB": "expected a number", "0x1": "expected a number",
		"0.5": "a byte at least", "0.0001kB": "a byte at least", "1e99": "1024TiB at most", "1025TiB": "1024TiB at most",
	} {
		if got, err := Count(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %d, %v, expected an error with %q", text, got, err, says)
		}
	}
}
