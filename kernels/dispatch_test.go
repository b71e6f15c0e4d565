package kernels

import (
	"slices"
	"strings"
	"testing"
)

func TestUse(t *testing.T) {
	names := Implementations()
	if names[0] != "ref" {
		t.Fatalf("implementations are %v, want ref first", names)
	}
	before := Implementation()
	for _, name := range append([]string{"", "auto"}, names...) {
		restore, err := Use(name)
		if err != nil {
			t.Fatal(err)
		}
		want := name
		if name == "" || name == "auto" {
			want = names[len(names)-1]
		}
		if Implementation() != want {
			t.Errorf("Use(%q) selects %s, want %s", name, Implementation(), want)
		}
		restore()
		if Implementation() != before {
			t.Errorf("restoring leaves %s, want %s", Implementation(), before)
		}
	}
	restore, err := Use("sse9")
	if err == nil || restore != nil || !strings.Contains(err.Error(), `"sse9"`) || !strings.Contains(err.Error(), names[len(names)-1]) {
		t.Errorf("Use of an unknown name returns %v", err)
	}
}

// TestEnvironment: the variable is read, and an unknown name in it counts as auto.
func TestEnvironment(t *testing.T) {
	for name, want := range map[string]string{"ref": "ref", "": "auto", "auto": "auto", "sse9": "auto"} {
		t.Setenv("SLIMLAB_KERNELS", name)
		if want == "auto" {
			want = Implementations()[len(available)-1]
		}
		if got := firstActive().Load().name; got != want {
			t.Errorf("SLIMLAB_KERNELS=%q starts %s, want %s", name, got, want)
		}
	}
	if !slices.Contains(Implementations(), Implementation()) {
		t.Errorf("%s is in use, not one of %v", Implementation(), Implementations())
	}
}
