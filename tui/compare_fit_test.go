package tui

import (
	"strings"
	"testing"
)

// TestThreeSidesFit: three runs stand side by side at every size from the least window, whatever
// their settings and rows are called; what gives way are the changes beside the values, then the
// names.
func TestThreeSidesFit(t *testing.T) {
	for _, size := range [][2]int{{60, 15}, {80, 24}, {100, 30}, {124, 40}, {200, 60}} {
		s := newScript(t, size[0], size[1], Options{}).keys("jjjj<space><space><space>c")
		head := ""
		for line := range strings.Lines(s.screen()) {
			if strings.Contains(line, "▸step") {
				head = line
			}
		}
		for _, want := range []string{"#1 base", "#2", "#3"} {
			if !strings.Contains(head, want) {
				t.Errorf("%d×%d: the head %q lacks %s\n%s", size[0], size[1], head, want, s.screen())
			}
		}
	}
}

// TestRowWords: a row is its step and its values; text that only looks like an axis stays.
func TestRowWords(t *testing.T) {
	for label, want := range map[string]string{
		"quantized ratio=0.2 scheme=w4a16": "quantized 0.2 w4a16", "FM": "FM", "a=b x=": "a=b x=", "kd loss=a=b": "kd a=b",
	} {
		if got := rowWords(label); got != want {
			t.Errorf("%q is %q, expected %q", label, got, want)
		}
	}
}
