package tui

import (
	"fmt"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"pgregory.net/rapid"

	"slimlab/lab"
	"slimlab/tui/text"
)

// TestSamplesScreens: the pane at the sizes that matter, without colour and in ASCII.
func TestSamplesScreens(t *testing.T) {
	half := until(onPolicyLog(1), "two", 60)
	for _, size := range [][2]int{{60, 15}, {80, 24}, {124, 40}, {200, 60}} {
		name := fmt.Sprintf("samples-%dx%d", size[0], size[1])
		t.Run(name, func(t *testing.T) {
			goldenScreen(t, name, newScript(t, size[0], size[1], Options{}).openOnPolicy(1, half).keys("Sj").screen())
		})
	}
	t.Run("ascii", func(t *testing.T) {
		s := newScript(t, 80, 24, Options{ASCII: true}).openOnPolicy(2, 0).keys("S")
		if i := strings.IndexFunc(s.screen(), func(r rune) bool { return r >= 0x80 }); i >= 0 {
			t.Errorf("%q in an ASCII screen", s.screen()[i:min(i+8, len(s.screen()))])
		}
		goldenScreen(t, "samples-ascii", s.screen())
	})
}

// TestSamplesCome: the newest sample is seen as it comes, unless the cursor has left it; one that
// is looked at stays under the cursor.
func TestSamplesCome(t *testing.T) {
	log := onPolicyLog(1)
	at := until(log, "two", 13)
	s := newScript(t, 124, 40, Options{}).openOnPolicy(1, at)
	s.keys("S").expect("samples of two", "8 samples, the newest first", "step 12, by the teacher, ended after 1 token", "(nothing: it ends at once)", "two at step 13 of 120:  ended 16.2% · length 36.8 tokens")
	come := func(to int) {
		for ; at < to; at++ {
			s.m.session.board.Apply(log[at])
		}
		s.send(tickMsg(epoch))
	}
	come(until(log, "two", 24))
	s.expect("12 samples, the newest first", "step 24, by the teacher")
	s.keys("jj").expect("step 24, by the student, no end within 40 tokens", "seven seven", "… (17 characters more)", "2 newer than the one below")
	come(until(log, "two", 36))
	s.expect("step 24, by the student, no end within 40 tokens", "16 samples, 6 newer than the one below")
	s.keys("g").expect("step 36, by the teacher", "the newest first").keys("G").expect("step 1, by the student, ended after 7 tokens", "1+0=1").keys("<pgup>").expect("step 36")
	s.keys("w").expect("8 samples by the student").expectNot("by the teacher").keys("w").expect("8 samples by the teacher").keys("w").expect("16 samples,")
	s.keys("jj<esc>").expect("▸step").keys("<enter>S").expect("samples of two").keys("<esc>").expect("row 1 of 3").keys("<esc>T").keys("S").expect("samples of").keys("S").expect("w smooth")
}

// TestSamplesOfTrainings: n goes through the trainings, and the pane begins with that of the row.
func TestSamplesOfTrainings(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openOnPolicy(2, 0)
	s.keys("S").expect("samples of all trainings", "88 samples", "two seed=2")
	s.keys("n").expect("samples of two of seed=1", "44 samples").keys("n").expect("samples of two of seed=2").keys("n").expect("all trainings").keys("N").expect("two of seed=2")
	s.keys("<esc>jjS").expect("samples of two of seed=1").keys("<esc>")
	copied := ""
	s.m.clipboard = func(text string) tea.Cmd {
		copied = text
		return nil
	}
	s.keys("SY").expect("copied: slimlab show 20261124-1130-on-policy-g7 --samples")
	if copied != "slimlab show 20261124-1130-on-policy-g7 --samples" {
		t.Errorf("copied %q", copied)
	}
	s.keys("<esc>:samples: answers<enter>").expect("samples of two of seed=1") // from the palette
	x, y := s.at(" 96  student      40")
	s.click(x, y).expect("two of seed=1, step 96, by the student, no end")
}

// TestNoSamples: a run without samples says why.
func TestNoSamples(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openOne()
	s.expectNot("S samples").keys("S").expect("no sample: none of its steps learns from sampled answers", "▸step")
	log := onPolicyLog(1)
	var without []lab.Event
	for _, e := range log {
		if e.Kind != lab.KindSample {
			without = append(without, e)
		}
	}
	s.send(watchMsg{&session{id: "old", board: lab.Fold(without)}})
	s.keys("S").expect("no sample: an earlier version trained its models")
	s.openOnPolicy(1, until(log, "one", 10)).keys("S").expect("no sample: none is written yet")
	s.openOnPolicy(1, 0).expect("S samples").keys("S").m.session.board = lab.Fold(log[:50])
	s.keys("wwjG").expect("No sample: none is written yet").keys("<esc>").expect("▸step")
}

// TestSamplesOfForeignText: no sample leaves its place, whatever is written, at any size.
func TestSamplesOfForeignText(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		log := onPolicyLog(1)
		words := rapid.StringOf(rapid.SampledFrom([]rune("a \n\t\x1b\x07\x7f\u202e日e\u0301👩‍💻\ufe0f")))
		for i := range log {
			if log[i].Sample != nil {
				log[i].Sample.Prompt, log[i].Sample.Answer = words.Draw(rt, "prompt"), words.Draw(rt, "answer")
				break
			}
		}
		s := newScript(t, rapid.IntRange(60, 130).Draw(rt, "width"), rapid.IntRange(15, 40).Draw(rt, "height"), Options{})
		s.send(watchMsg{&session{id: "x", board: lab.Fold(log)}})
		for _, keys := range []string{"S", "G", "J", "K", "w", "w"} {
			s.keys(keys)
			if bad := strings.IndexAny(s.screen(), "\x1b\x07\t\x7f\u202e"); bad >= 0 {
				rt.Fatalf("control character in\n%q", s.screen())
			}
			checkSize(t, s)
		}
	})
}

// TestFolded: lines are no wider than they may be and hold all of the text.
func TestFolded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, width := text.Clean(rapid.StringOf(rapid.SampledFrom([]rune("ab  日e\u0301"))).Draw(t, "text")), rapid.IntRange(2, 20).Draw(t, "width")
		lines := folded(s, width)
		for _, line := range lines {
			if text.Width(line) > width {
				t.Fatalf("%q is %d wide, expected %d", line, text.Width(line), width)
			}
		}
		if strings.Join(lines, "") != s {
			t.Fatalf("%q became %q", s, lines)
		}
	})
}

// TestDoubtIsSeen: while a step runs, the newest note about it is seen on all views of the run
// where it is a warning, and goes when the doubt is over, or the step.
func TestDoubtIsSeen(t *testing.T) {
	const doubt = "⚠ two: step 40: none of the last 64 samples ended"
	log := onPolicyLog(1)
	for _, size := range [][2]int{{60, 15}, {124, 40}} {
		s := newScript(t, size[0], size[1], Options{}).openOnPolicy(1, until(log, "two", 41))
		for _, keys := range []string{"", "<enter>", "<esc>T", "s", "<esc>g<space><enter>", "<esc>S"} {
			s.keys(keys).expect(doubt)
			checkSize(t, s)
		}
		s.openOnPolicy(1, until(log, "two", 39)).keys("<esc>").expectNot("⚠")
		s.openOnPolicy(1, until(log, "two", 81)).expectNot("⚠ two: step 40")
		s.openOnPolicy(1, 0).expectNot("⚠ two: step 40")
	}
	s := newScript(t, 124, 40, Options{}).openOnPolicy(1, until(log, "two", 41))
	s.expect("two 41/120, 51% of answers end, 30 tokens").clickOn("one      ✓").expect("▌  one")
}
