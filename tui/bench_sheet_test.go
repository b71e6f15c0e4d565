package tui

import (
	"errors"
	"strings"
	"testing"
)

// Seeds are whole numbers from 1.
func TestSeedsOfASheet(t *testing.T) {
	for _, field := range []string{"<down>", "<down><down>"} {
		for typed, starts := range map[string]bool{"1": true, " 12 ": true, "": true, "0": false, "-1": false, "1.5": false, "x": false} {
			s := newScript(t, 100, 30, Options{}).keys("r" + field + typed + "<enter>")
			if started := len(s.bench.requests) == 1; started != starts {
				t.Errorf("%q: the run begins: %v", typed, started)
			} else if !starts {
				s.expect("expected a whole number of at least 1", "Run figure1")
			}
		}
	}
}

// A preview that comes after a newer one was asked for is dropped.
func TestOldPreviewIsDropped(t *testing.T) {
	s := newScript(t, 100, 30, Options{}).keys("r")
	sheet := s.m.overlays[len(s.m.overlays)-1].(*sheet)
	for _, asked := range []int{sheet.asked - 1, sheet.asked} {
		s.send(previewMsg{sheet: sheet, asked: asked, preview: Preview{Name: "another", Cells: 77}})
		if seen := strings.Contains(s.screen(), "77 cells"); seen != (asked == sheet.asked) {
			t.Errorf("preview %d of %d is shown: %v", asked, sheet.asked, seen)
		}
	}
}

// However low the window is, the field that takes the keys is in sight.
func TestFieldOfASheetStaysInSight(t *testing.T) {
	for height := 15; height < 30; height++ {
		s := newScript(t, 100, height, Options{}).keys("r")
		for _, name := range []string{"settings", "seeds", "first seed", "quick", "retime", "fresh"} {
			s.expect("▌ "+name, "Run figure1").keys("<down>")
		}
	}
}

// TestWholeSheetInALowWindow: what has no room is said, and pgdn and pgup lead to all of it; a key
// that moves the field or types brings the field back.
func TestWholeSheetInALowWindow(t *testing.T) {
	s := newScript(t, 60, 15, Options{}).keys("r").expect("▌ settings", "4 more lines: pgdn, pgup scroll").expectNot("disk")
	s.keys("<pgdown><pgdown><pgdown>").expect("disk", "/home/me/.local/share/slimlab").expectNot("▌ settings", "more line")
	s.keys("<pgup>").expect("▌ settings").keys("<pgdown>d").expect("▌ settings", "d▏")
	s.keys("<pgdown><down>").expect("▌ seeds")
}

// TestEveryPopupIsWholeInTheSmallestWindow: each key of each screen leads to what fits, or scrolls.
func TestEveryPopupIsWholeInTheSmallestWindow(t *testing.T) {
	for _, first := range []string{"", "jjj", "jjjj", "r", "n", "n<enter>", "2", "2<enter>", "2<enter>Y", "2P", "2H", "2A", "2T", "2g<space><enter>", "2e", "1<home>jjjj<space><space>c", "3"} {
		for key := range namedAndTyped(t, first) {
			s := newScript(t, minWidth, minHeight, Options{}).openSweep().keys("1" + first + key)
			if strings.Contains(s.screen(), "a higher window") {
				t.Errorf("%q, %q:\n%s", first, key, s.screen())
			}
		}
	}
}

// namedAndTyped are the keys that work on a screen, as a script types them.
func namedAndTyped(t *testing.T, first string) map[string]bool {
	keys := map[string]bool{"": true}
	for _, group := range newScript(t, minWidth, minHeight, Options{}).openSweep().keys("1" + first).m.keyGroups() {
		for _, b := range group.bindings {
			for _, key := range b.keys {
				switch _, named := namedKeys[key]; {
				case !b.works():
				case named:
					keys["<"+key+">"] = true
				case len([]rune(key)) == 1:
					keys[key] = true
				}
			}
		}
	}
	return keys
}

// A run begins while the preview of a change is awaited, and not with an error that stands.
func TestSheetDoesNotWaitForAPreview(t *testing.T) {
	for _, waits := range []bool{true, false} {
		s := newScript(t, 100, 30, Options{}).keys("r")
		sheet := s.m.overlays[len(s.m.overlays)-1].(*sheet)
		sheet.err, sheet.answer = errors.New("of what was typed before"), sheet.asked
		if waits {
			sheet.answer--
		}
		if s.keys("<enter>"); (len(s.bench.requests) == 1) != waits {
			t.Errorf("a preview is awaited: %v; runs that began: %d", waits, len(s.bench.requests))
		}
	}
}

// The plan counts what is shared, and letters do nothing to a choice.
func TestPlanAndChoicesOfASheet(t *testing.T) {
	s := newScript(t, 100, 30, Options{}).keys("r").expectNot("shared")
	sheet := s.m.overlays[len(s.m.overlays)-1].(*sheet)
	s.send(previewMsg{sheet: sheet, asked: sheet.asked, preview: Preview{Name: "x", Cells: 2, Shared: 3}})
	s.expect("3 shared with an earlier cell")
	s.keys("<down><down><down>").expect("▌ quick")
	if s.keys("q2x"); s.quit || s.m.overlays[len(s.m.overlays)-1] != pane(sheet) || *sheet.fields[3].on {
		t.Error("a letter on a choice does something")
	}
	s.expect("▌ quick").keys("<space>").expect("[x]")
}
