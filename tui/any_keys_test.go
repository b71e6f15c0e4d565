package tui

import (
	"slices"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"pgregory.net/rapid"

	"slimlab/lab"
)

// anyKeys are all keys that a table of keys knows, and what leads to screens with much in them.
var anyKeys = append(strings.Split("a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F G H I J K L M N O P Q R S T U V W X Y Z 0 1 2 3 4 / ? : ! . [ ] < > ( ) { } = , -", " "),
	"<enter>", "<enter>", "<enter>", "<esc>", "<esc>", "<tab>", "<shift+tab>", "<up>", "<down>", "<left>", "<right>", "<space>", "<space>", "<pgup>", "<pgdown>", "<home>", "<end>", "<backspace>", "<ctrl+u>", "<f3>",
	"2/ratio<0.3<enter>", "2g<space><enter>", "2g<down><space><down><space><enter>", "2C<space><enter>", "2t", "2P", "2H", "2A", "2T", "2Ts", "2S", "2L", "2Ls", "2Lww<enter>", "2<enter>", "1r", "1n", "1<home>jjjj<space><space>c", "1G<enter>", ":chart<enter>", "e<enter>")

// TestAnyKeysOnEveryScreen: whatever keys, at whatever size, over runs with a sweep, damage,
// foreign text and names of 200 characters: no panic, exact frames, and a pane or popup that is
// higher than the room it is given says so.
func TestAnyKeysOnEveryScreen(t *testing.T) {
	scares := []string{"", "", strings.Repeat("long name ", 20), "עברית\u200f \u202e", "\x1b[31m\t日本語"}
	rapid.Check(t, func(rt *rapid.T) {
		f := &fakeBench{live: 520, scare: rapid.SampledFrom(scares).Draw(rt, "text")}
		s := openScript(t, f, 60, 15, Options{Scenario: "figure1", ASCII: rapid.IntRange(0, 3).Draw(rt, "ascii") == 0})
		switch rapid.IntRange(0, 4).Draw(rt, "open") {
		case 1:
			s.openSweep()
		case 2: // of a run that is not finished
			s.send(watchMsg{&session{id: sweepRun, board: lab.Fold(frighten(sweepLog(2, 3, 2)[:20], f.scare))}})
		case 3: // of one that samples
			log := frighten(onPolicyLog(2), f.scare)
			s.send(watchMsg{&session{id: "on-policy", board: lab.Fold(log[:rapid.IntRange(1, len(log)).Draw(rt, "events")])}})
		case 4: // of one that measures its layers
			log := frighten(layersLog(2, 30, manyChoices(rapid.IntRange(1, 20).Draw(rt, "choices"))...), f.scare)
			s.send(watchMsg{&session{id: "layers", board: lab.Fold(log[:rapid.IntRange(1, len(log)).Draw(rt, "events")])}})
		}
		for range 40 {
			switch rapid.IntRange(0, 9).Draw(rt, "resize") {
			case 0:
				s.send(tea.WindowSizeMsg{Width: rapid.IntRange(1, 250).Draw(rt, "width"), Height: rapid.IntRange(1, 80).Draw(rt, "height")})
			case 1:
				s.send(tea.WindowSizeMsg{Width: minWidth, Height: minHeight})
			}
			key := rapid.SampledFrom(anyKeys).Draw(rt, "key")
			if s.keys(key); s.quit {
				return
			}
			checkSize(t, s)
			if width, height := s.m.least(); s.m.width < width || s.m.height < height {
				continue
			}
			room := s.m.height - 2
			if s.m.height >= 30 {
				room--
			}
			regions := slices.Clone(s.m.regions)
			if lines := s.m.top().View(s.m.width, room); len(lines) > room && !strings.Contains(s.screen(), "a higher window shows them") {
				rt.Fatalf("after %q: %d lines in a room of %d at %d×%d, the last %q", key, len(lines), room, s.m.width, s.m.height, lines[len(lines)-1])
			}
			s.m.regions = regions
		}
	})
}

// FuzzSplitSettings: what is typed into a run sheet is cut at spaces alone, nothing of it is lost,
// and each setting but a first word has a key.
func FuzzSplitSettings(f *testing.F) {
	for _, line := range []string{"", "a=1 b.c=2", "ratio=[0.1, 0.2] steps=5", "word a=1", "a= =b", "a=1\tb=2\n", "ü=1 a=ü", "=", "a=b=c"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		settings := splitSettings(line)
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
		if got, want := squeeze(strings.Join(settings, " ")), squeeze(line); got != want {
			t.Errorf("%q became %q", want, settings)
		}
		for i, one := range settings {
			if one == "" || strings.TrimSpace(one) != one {
				t.Errorf("%q: setting %d is %q", line, i, one)
			}
			if i > 0 && strings.IndexByte(one, '=') < 1 {
				t.Errorf("%q: setting %q has no key", line, one)
			}
			if again := splitSettings(one); len(again) != 1 || again[0] != one {
				t.Errorf("%q: setting %q is cut again into %q", line, one, again)
			}
		}
	})
}
