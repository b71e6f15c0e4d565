package tui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"pgregory.net/rapid"

	"slimlab/lab"
	"slimlab/tui/text"
)

// foreign are texts that a scenario, a log or a file name can bring along.
var foreign = map[string]string{
	"controls":       "\x1b[31m\x1b]0;x\x07\nevil\t\x7f\x9b2J\r\b",
	"no UTF-8":       "\xff\xfe\xc3",
	"long":           strings.Repeat("a-very-long-name/", 12),
	"wide":           strings.Repeat("日本語", 70),
	"right-to-left":  " שלום-العربية 0.25",
	"directions":     "\u202eevil\u202c \u2066x\u2069 \u200f\u061c",
	"zero width":     "a\u200bb\u2060c\ufeffd\u00ade",
	"marks":          "Z" + strings.Repeat("\u0301\u0330", 40),
	"emoji":          "❤\ufe0f👩\u200d👩\u200d👧🏽🇩🇪1\ufe0f\u20e3",
	"private, blank": "\ue000\u3164\u2800\u2028\u2029",
}

// everywhere are the keys that lead over all screens and overlays.
var everywhere = []string{
	"", "jjj", "<enter>", "<esc>", "r", "x=", "<esc><esc>", "n", "<enter>", "<esc><esc>", "/zz", "<esc>", "G", "D", "n", "?", "<esc>", ":", "<esc>", "!", "<esc>",
	"<home>jjjj<enter>", "<right>", "i", "m", "<esc>", "v", "<esc>", "M", "l", "jt", "<right>j", "<esc>", "j<enter>", "JJ", "Y", "<esc>", "m", "<esc>", "<esc>", "e", "<esc>", "P", "<esc>", "H", "<esc>", "A", "<esc>", "T", "<esc>", "/x", "<esc>",
	"1<home>jjjj<space><space>c", "d", "jj", "2", "x", "<esc>", "q",
}

// Whatever text comes in, at any size: frames are exact and hold no character that a terminal acts
// on, and no screen or overlay panics.
func TestAnyTextAnySize(t *testing.T) {
	bad := func(r rune) bool {
		return r < 0x20 && r != '\n' || r >= 0x7f && r <= 0x9f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 ||
			r == 0x200b || r == 0x200d || r == 0x2028 || r == 0x2029 || r == 0x200f || r == 0x61c || r == 0xfeff
	}
	for name, scare := range foreign {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				s := openScript(t, &fakeBench{live: 520, scare: scare}, 100, 30, Options{Scenario: "figure1", Replay: []string{"", "20261124-1130-figure1-a1"}[rapid.IntRange(0, 1).Draw(rt, "open")], ASCII: rapid.IntRange(0, 3).Draw(rt, "ascii") == 0})
				from := rapid.IntRange(0, len(everywhere)-1).Draw(rt, "from")
				for _, keys := range everywhere[from:min(len(everywhere), from+12)] {
					if rapid.Bool().Draw(rt, "resize") {
						s.send(tea.WindowSizeMsg{Width: rapid.IntRange(1, 250).Draw(rt, "width"), Height: rapid.IntRange(1, 80).Draw(rt, "height")})
					}
					s.keys(keys)
					checkSize(t, s)
					if at := strings.IndexFunc(s.screen(), bad); at >= 0 {
						rt.Fatalf("after %q: %q in the frame\n%q", keys, s.screen()[at:min(len(s.screen()), at+8)], s.screen())
					}
				}
			})
		})
	}
}

// A window that shrinks in mid-run says how the run is, and shows all of it when it grows again.
func TestWindowShrinksAndGrowsInMidRun(t *testing.T) {
	s := newScript(t, 250, 70, Options{}).keys("Q")
	before := s.screen()
	for _, size := range [][2]int{{20, 5}, {1, 1}, {60, 15}, {20, 1}, {59, 80}, {250, 14}, {250, 70}} {
		s.send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		checkSize(t, s)
		if size == [2]int{20, 5} {
			s.expect("figur… ● running 0/3")
			s.m.live.board.Apply(lab.Event{Kind: lab.KindNote, Level: lab.Info, Text: "while it is small"})
		}
	}
	if s.screen() != before {
		t.Errorf("after growing again:\n%s\nexpected\n%s", s.screen(), before)
	}
	done := newScript(t, 20, 5, Options{}).keys("jjjj<enter>")
	done.expect("figure1 ✓ done")
}

// Columns stand where they stand beside plain text.
func TestRightToLeftTextIsIsolated(t *testing.T) {
	for _, s := range []string{"שלום", "mlp-العربية-37%", "0.25 שלום"} {
		for _, got := range []string{text.Fit(s, 30), text.Right(s, 30)} {
			trimmed := strings.Trim(got, " ")
			if !strings.HasPrefix(trimmed, "\u200e") || !strings.HasSuffix(trimmed, "\u200e") || text.Width(got) != 30 {
				t.Errorf("%q is not between marks, in 30 cells: %q", s, got)
			}
		}
	}
	if got := text.Fit("é μ 日本", 12); strings.Contains(got, "\u200e") {
		t.Errorf("%q has a mark that it does not need", got)
	}
}
