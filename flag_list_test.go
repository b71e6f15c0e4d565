package main

import (
	"strings"
	"testing"
)

// TestListFlags: an empty place of a flag's list is refused with the flag and the place; what is
// given replaces the default, and a second use adds to it.
func TestListFlags(t *testing.T) {
	for _, args := range []string{"optimize m --mlp 20%,,30%", "optimize m --kv bfloat16,,int4", "optimize m --schemes w4a16,,w8a8", "init --ratios 0,,0.2", "init --schemes w8a8,,fp8"} {
		words := strings.Fields(args)
		_, stderr, code := slimlab(t, words...)
		if code != 2 || !strings.Contains(stderr, words[len(words)-2]) || !strings.Contains(stderr, "has nothing at place 2") {
			t.Errorf("%s: exit %d, %s", args, code, stderr)
		}
	}
	list := []string{"a"}
	f := listFlag{list: &list}
	for _, text := range []string{"b, c", "d"} {
		if err := f.Set(text); err != nil {
			t.Fatal(err)
		}
	}
	if f.String() != "[b,c,d]" {
		t.Errorf("the list is %s", &f)
	}
}
