package tui

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
	"pgregory.net/rapid"

	"slimlab/tui/text"
)

func (s *script) expect(parts ...string) *script {
	s.t.Helper()
	for _, p := range parts {
		if !strings.Contains(s.screen(), p) {
			s.t.Fatalf("%q is not on the screen:\n%s", p, s.screen())
		}
	}
	return s
}

func (s *script) expectNot(parts ...string) *script {
	s.t.Helper()
	for _, p := range parts {
		if strings.Contains(s.screen(), p) {
			s.t.Fatalf("%q is on the screen:\n%s", p, s.screen())
		}
	}
	return s
}

func (s *script) runScreen() *runScreen { return s.m.screens[1].(*runScreen) }

// labels are the first words of the table's rows, in their order.
func (s *script) labels() string {
	var names []string
	for _, i := range s.runScreen().order {
		names = append(names, steps[i].name)
	}
	return strings.Join(names, " ")
}

func TestRunWatchSortFilterOpen(t *testing.T) {
	s := newScript(t, 120, 40, Options{})
	s.expect("▌ figure1", "[1 Bench]")
	s.keys("r<enter>").expect("[2 Run]", "● running 60%", "○ waiting", "heads-50%-kd.loss")
	s.keys("<right><right><right><right><right><right>").expect("▸AUC exp.")
	s.keys("s").expect("▸AUC exp.▲")
	if got, want := s.labels(), "heads-50% mlp-37% mlp-37%-kd distilled FM heads-50%-kd w8a8 w4a16"; got != want {
		t.Errorf("ascending %q, expected %q: what is not measured comes last", got, want)
	}
	s.keys("s").expect("▸AUC exp.▼")
	if got, want := s.labels(), "FM distilled mlp-37%-kd mlp-37% heads-50% heads-50%-kd w8a8 w4a16"; got != want {
		t.Errorf("descending %q, expected %q", got, want)
	}
	s.keys("z/-kd<enter>").expectNot("▌  FM")
	if got, want := s.labels(), "mlp-37%-kd heads-50%-kd"; got != want {
		t.Errorf("filtered %q, expected %q", got, want)
	}
	s.keys("<esc>").keys("<home>j<enter>").expect("row 2 of 8", "AUC exp.", "seed 1: done 6.5s")
	s.keys("<esc><esc>").expect("[1 Bench]")
}

// Keys that come in one message count one by one.
func TestKeysInABurst(t *testing.T) {
	s := newScript(t, 100, 30, Options{})
	s.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("jj/figure")})
	s.expect("/ figure▏", "▌ figure1").expectNot("own-data")
	s.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("1\n"), Paste: true})
	s.expect("/ figure1 ▏").keys("<enter>")
	s.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("Q"), Paste: true})
	s.expect("[1 Bench]")
}

// A run that is watched moves the screen by ticks alone, and only while it moves.
func TestTickFollowsTheBoard(t *testing.T) {
	s := newScript(t, 100, 30, Options{})
	if s.m.ticking {
		t.Error("ticks with nothing live")
	}
	s.keys("r<enter>")
	if !s.m.ticking {
		t.Fatal("no tick while a run is live")
	}
	before := s.screen()
	s.send(tickMsg(epoch))
	if s.m.dirty || s.screen() != before {
		t.Error("a tick without news drew anew")
	}
	rest := fakeLog("x", 3, 0)[s.bench.live:]
	for _, e := range rest[:60] {
		s.bench.board.Apply(e)
	}
	s.send(tickMsg(epoch))
	s.expect("◌ 2/3 seeds")
	close(s.bench.done)
	s.send(endedMsg{s.m.live})
	s.m.ticking = false
	s.send(tickMsg(epoch))
	if s.m.ticking {
		t.Error("ticks after the end of the run")
	}
}

func TestStopAsksAndCancels(t *testing.T) {
	s := newScript(t, 100, 30, Options{})
	s.keys("r<enter>x").expect("Stop this run?")
	s.keys("n").expectNot("Stop this run?")
	if s.m.live.over() {
		t.Fatal("no stopped the run")
	}
	s.keys("xy")
	s.send(endedMsg{s.m.live})
	s.expect("■ stopped", "goes on from there")
}

// A live run is stopped from every view whose x chooses no axis; the help of the others names no
// such key.
func TestStopFromEveryView(t *testing.T) {
	for keys, stops := range map[string]bool{"": true, "<enter>": true, "T": true, "L": true, "P": false, "H": false, "A": false} {
		s := newScript(t, 100, 30, Options{}).keys("r<enter>" + keys)
		named := false
		for _, group := range s.runScreen().Keys() {
			for _, b := range group.bindings {
				named = named || b.help == s.runScreen().stopKey().help
			}
		}
		s.keys("x")
		if asks := strings.Contains(s.screen(), "Stop this run?"); asks != stops || named != stops {
			t.Errorf("%q: the help names the key %t, x asks %t, expected %t", keys, named, asks, stops)
		}
	}
}

func TestQuitAsksWhileLive(t *testing.T) {
	s := newScript(t, 100, 30, Options{})
	s.keys("r<enter>q").expect("A run is live")
	if s.quit {
		t.Fatal("quit without asking")
	}
	s.keys("y")
	s.send(endedMsg{s.m.live})
	if !s.quit {
		t.Error("did not quit after the run had ended")
	}
	if s = newScript(t, 100, 30, Options{}).keys("q"); !s.quit {
		t.Error("asked with nothing live")
	}
}

func TestFreezeKeepsTheViewAndNotTheRun(t *testing.T) {
	s := newScript(t, 100, 30, Options{}).keys("r<enter>.").expect("frozen (.)")
	for _, e := range fakeLog("x", 3, 0)[s.bench.live:] {
		s.bench.board.Apply(e)
	}
	s.send(tickMsg(epoch))
	s.expect("● running 60%")
	s.keys(".").expectNot("● running 60%").expect("✓ done")
}

// A replay that has come to its end shows what opening the run shows.
func TestReplayEndsWhereTheRunDid(t *testing.T) {
	open := newScript(t, 100, 30, Options{}).keys("jjjj<enter>")
	s := newScript(t, 100, 30, Options{Replay: "20261124-1130-figure1-a1", Speed: 4})
	s.expect("▶ replay ×4")
	at := epoch
	for range 20 {
		at = at.Add(600 * time.Millisecond)
		s.send(tickMsg(at))
	}
	s.keys("ii").expect("▶ replay ended") // ii: the columns forget how wide they were on the way
	_, a, _ := strings.Cut(open.screen(), "step ")
	_, b, _ := strings.Cut(s.screen(), "step ")
	a, _, _ = strings.Cut(a, "enter detail")
	b, _, _ = strings.Cut(b, "enter detail")
	if a != b {
		t.Errorf("opened\n%s\nreplayed\n%s", open.screen(), s.screen())
	}
	s.keys("b").expect("▶ replay paused")
	s.keys("(").expect("at 0ms of")
	s.keys(")").expect("▶ replay ended")
}

// TestReplayStaysWithinItsLength: the clock goes on past the last event until the next tick; what
// is shown does not.
func TestReplayStaysWithinItsLength(t *testing.T) {
	s := newScript(t, 100, 30, Options{Replay: "20261124-1130-figure1-a1", Speed: 1000})
	s.send(tickMsg(epoch.Add(time.Hour)))
	_, shown, found := strings.Cut(s.screen(), "▶ replay ended at ")
	at, rest, _ := strings.Cut(shown, " of ")
	if !found || !strings.HasPrefix(rest, at+" ") {
		t.Errorf("found %q, expected the end of the run twice", shown[:min(40, len(shown))])
	}
}

func TestExport(t *testing.T) {
	s := newScript(t, 100, 30, Options{}).keys("jjjjecsv<enter>").expect("Export as csv", "figure1-a1.csv")
	s.keys("<ctrl+u>out.csv<enter>").expect("written to out.csv")
	if got := strings.Join(s.bench.exported, ";"); got != "20261124-1130-figure1-a1 csv out.csv" {
		t.Errorf("exported %q", got)
	}
	s.keys("emd<enter><ctrl+u>/full/x<enter>").expect("no space left on device")
	s.keys("!").expect("Errors and warnings", "no space left on device")
}

func TestCopyIsOSC52(t *testing.T) {
	var out bytes.Buffer
	s := newScript(t, 100, 30, Options{})
	s.m.clipboard = clipboard(&out, false)
	s.keys("jjjj<enter>y")
	if !strings.HasPrefix(out.String(), "\x1b]52;c;") {
		t.Errorf("wrote %q, expected an OSC 52 sequence", out.String())
	}
}

// The detail of a row says how its model is made, where it lies and how one goes on with it; what
// was asked for another row is not shown.
func TestDetailKnowsTheModel(t *testing.T) {
	var out bytes.Buffer
	s := newScript(t, 200, 60, Options{})
	s.m.clipboard = clipboard(&out, false)
	s.keys("jjjj<enter>j<enter>").expect("teacher=FM", "by default: loss=fkl", "/artifacts/0123456789abcdef", "1.43MB on disk", "llama.cpp does not load", "slimlab eval /home/me", "n=3 seeds (AUC, AUC exp.)")
	s.keys("Yeval<enter>").expect("copied")
	const want = "slimlab eval /home/me/slimlab/artifacts/0123456789abcdef --generate 'Once upon a time'"
	if !strings.Contains(out.String(), base64.StdEncoding.EncodeToString([]byte(want))) {
		t.Errorf("copied %q, expected %q", out.String(), want)
	}
	s.keys("N").expect("FM  ✓ done", "its model is not in this home").expectNot("teacher=FM", "Y command")
	s.send(modelMsg{of: "another row", info: ModelInfo{Does: "evil"}})
	s.expectNot("evil")
	small := newScript(t, 80, 24, Options{}).keys("jjjj<enter>j<enter>").expect("teacher=FM", "J, K scroll")
	// all of it fits
	newScript(t, 80, 24, Options{}).keys("QG<enter>").expect("nothing measured yet", "slimlab export")
	small.keys("JJJJJJJJJJ").expect("slimlab export").keys("KKKKKKKKKK").expect("teacher=FM")
}

// Whatever is in footer, help and palette is bound, and nothing is bound twice where both would
// work: of screens and of overlays.
func TestKeyTables(t *testing.T) {
	for _, keys := range []string{
		"", "jjjj", "r", "r<down><down><down>", "jjjR", "D", "jjjjD", "n", "n<enter>", "n<enter><enter>", "Q", "jjjj<enter>", "jjjj<enter><enter>", "jjjjp", "jjjjp<enter>", "jjjj<space><space>c", "2", "3",
		"?", ":", "!", "/", "/xyz", "jjjje", "jjjjecsv<enter>", "jjjj<enter>v", "jjjj<enter>m", "r<enter>x", "r<enter>q",
	} {
		s := newScript(t, 100, 30, Options{}).keys(keys)
		seen := map[string]string{}
		for i, group := range s.m.keyGroups() {
			own := i == 0 && len(s.m.overlays) > 0 // an overlay's own keys win over the global ones
			for _, b := range group.bindings {
				if (b.do == nil) == (b.typed == nil) || b.help == "" || len(b.keys) == 0 {
					t.Errorf("after %q: binding %v has no key, help or action", keys, b.keys)
				}
				if !b.works() {
					continue
				}
				for _, key := range b.keys {
					if other, twice := seen[key]; twice && !(key == "esc" || key == "enter") {
						t.Errorf("after %q: key %q is both %q and %q", keys, key, other, b.help)
					}
					if !own {
						seen[key] = b.help
					}
				}
			}
		}
	}
}

// Help and palette are made of the tables of overlays too, also where letters are typed.
func TestHelpAndPaletteOfOverlays(t *testing.T) {
	s := newScript(t, 100, 30, Options{})
	s.keys("!:page down").expect("Actions", "a page down", "key f")
	s.keys("<esc>").expect("Errors and warnings")
	s.keys("<esc>jjjje<f1>").expect("Keys", "narrow the list", "take the entry under the cursor")
	s.keys("<esc>csv<f2>close").expect("Actions", "key esc")
	s.keys("<enter>").expect("[1 Bench]", "enter open").expectNot("Export")
	s.keys("<home>/own<f2>clear<enter>").expect("figure1", "own-data").expectNot("/ own")
}

// A run that another run replaces on the screen goes on, and can be found again.
func TestLiveRunIsFoundAgain(t *testing.T) {
	s := newScript(t, 120, 30, Options{}).keys("r<enter>1jjjj<enter>").expect("● figure1 0/3 cells, perhaps 27s left", "✓ done")
	if s.m.live.over() {
		t.Fatal("the live run has ended")
	}
	s.keys("1<home>r").expect("one run at a time")
}

func TestForeignTextCannotLeaveItsPlace(t *testing.T) {
	scare := "\x1b[31m\x1b]0;x\x07\nevil\t\x7f\u202e日本"
	s := openScript(t, &fakeBench{live: 520, scare: scare}, 100, 30, Options{Scenario: "figure1"})
	for _, keys := range []string{"", "jjj", "jjjj<enter>", "<right>", "i", "m", "<esc>", "v", "<esc>", "!", "<esc>", "j<enter>", "<esc>", "M", "1jjjj<space><space>c", "?"} {
		s.keys(keys)
		if bad := strings.IndexAny(s.screen(), "\x1b\x07\t\x7f\u202e"); bad >= 0 {
			t.Fatalf("after %q: control character in\n%q", keys, s.screen())
		}
		checkSize(t, s)
	}
}

func checkSize(t testing.TB, s *script) {
	t.Helper()
	lines := strings.Split(s.screen(), "\n")
	if len(lines) != s.m.height {
		t.Fatalf("%d lines at %d×%d:\n%s", len(lines), s.m.width, s.m.height, s.screen())
	}
	for _, line := range lines {
		if w := text.Width(line); w > s.m.width {
			t.Fatalf("line %q is %d wide at %d×%d", line, w, s.m.width, s.m.height)
		}
	}
}

// Any keys at any sizes: exact frames, no panic.
func TestAnyKeysAnySize(t *testing.T) {
	keys := append(strings.Split("q r R D E n J K Q p c e y d / u 1 2 3 ? : ! s z m M l i [ ] v . x j k g G n N f b ( ) { } o a = 0 < > P H A T t B x Y w", " "),
		"<enter>", "<esc>", "<tab>", "<shift+tab>", "<up>", "<down>", "<left>", "<right>", "<space>", "<pgup>", "<pgdown>", "<home>", "<end>", "<backspace>", "<delete>", "<ctrl+u>", "<ctrl+w>", "jjjj<enter>")
	rapid.Check(t, func(rt *rapid.T) {
		s := newScript(t, 100, 30, Options{ASCII: rapid.Bool().Draw(rt, "ascii")})
		if rapid.Bool().Draw(rt, "sweep") {
			s.openSweep()
		}
		for range 40 {
			if rapid.IntRange(0, 5).Draw(rt, "resize") == 0 {
				s.send(tea.WindowSizeMsg{Width: rapid.IntRange(1, 250).Draw(rt, "width"), Height: rapid.IntRange(1, 80).Draw(rt, "height")})
			}
			s.keys(rapid.SampledFrom(keys).Draw(rt, "key"))
			checkSize(t, s)
		}
	})
}

// Colours come as styles and leave the text alone.
func TestColoursAddOnlyStyles(t *testing.T) {
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.TrueColor)
	plain, coloured := newScript(t, 120, 40, Options{}), newScript(t, 120, 40, Options{})
	coloured.m.theme = themeNamed(r, "dark", "", false)
	for _, keys := range []string{"j", "k", "r<enter>", "jj<right><right><right>s", "<enter>", "<esc>M", "?"} {
		plain.keys(keys)
		coloured.keys(keys)
		a, b := plain.screen(), coloured.screen()
		if a == b {
			t.Fatalf("after %q: no style on the screen", keys)
		}
		if stripped := stripStyles(b); stripped != a {
			t.Fatalf("after %q: text differs:\n%s\nwithout styles\n%s", keys, a, stripped)
		}
	}
}

// Text is the same in every palette, and the cells of a heat scale have a style in each.
func TestPalettesTurn(t *testing.T) {
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.ANSI256)
	s := newScript(t, 120, 40, Options{})
	s.m.theme = themeNamed(r, "", "0;15", false)
	if name := s.m.theme.palette.Name; name != "light" {
		t.Errorf("opens with %s where COLORFGBG says light", name)
	}
	frames := map[string]bool{}
	for range Palettes() {
		s.keys("<f3>j")
		frames[s.screen()] = true
		if s.m.theme.heat(0) == s.m.theme.heat(1) || s.m.theme.heat(0).Open == "" {
			t.Errorf("%s: the heat scale has no steps", s.m.theme.palette.Name)
		}
	}
	if len(frames) != len(Palettes()) {
		t.Errorf("%d different frames of %d palettes", len(frames), len(Palettes()))
	}
	newScript(t, 120, 40, Options{}).keys("<f3>").expect("colours are off: NO_COLOR is set")
}

func stripStyles(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, s, _ = strings.Cut(after, "m")
	}
}
