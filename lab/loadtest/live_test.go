package loadtest

import (
	"strings"
	"testing"
	"time"

	"slimlab/serve/load"
)

// TestLiveFits: the lines of the table are as wide as its head, and none is wider than the
// terminal; what has no room leaves column by column. Times go on where another plan begins.
func TestLiveFits(t *testing.T) {
	l := &Live{}
	l.begin(123456)
	l.sent(0, load.Record{})
	l.ended(0, load.Record{First: 1500 * time.Millisecond, End: 2 * time.Second, Tokens: 9, Prompt: 5})
	l.again()
	l.ended(0, load.Record{First: time.Second, End: 3 * time.Second, Tokens: 9, Prompt: 5})
	for width, gone := range map[int]string{0: "", 200: "", 88: "", 80: "tok/s", 72: "tok/s lag", 64: "tok/s lag TPOT", 50: "tok/s lag TPOT once", 10: "tok/s lag TPOT once"} {
		head, line := l.Head(width), l.Line(time.Now(), width)
		if len(head) != len([]rune(line)) || width >= 64 && len(head) > width {
			t.Errorf("width %d:\n%s\n%s", width, head, line)
		}
		for _, word := range []string{"time", "ended", "failed", "req/s", "TTFT", "tok/s", "lag", "TPOT", "once"} {
			if strings.Contains(head, word) == strings.Contains(gone, word) {
				t.Errorf("width %d: %q, expected it without %q", width, head, gone)
			}
		}
		if !strings.Contains(line, "5s") || !strings.Contains(line, "2/123456") {
			t.Errorf("width %d: %q, expected two requests until second 5", width, line)
		}
	}
}
