package tui

import (
	"errors"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/tui/text"
)

// The list says of a scenario that it cannot run, that it is being read, or how its last run ended;
// of one that ships, the last two before it is read.
func TestLastWordOfAScenario(t *testing.T) {
	b := newScript(t, 100, 30, Options{}).m.screens[0].(*benchScreen)
	for _, c := range []struct {
		scenario ScenarioInfo
		want     string
	}{
		{ScenarioInfo{Name: "figure1", Pending: true}, "✓ done"},
		{ScenarioInfo{Name: "figure1", Place: Own}, "✓ done"},
		{ScenarioInfo{Name: "figure1", Place: Own, Pending: true}, "· …"},
		{ScenarioInfo{Name: "another", Pending: true}, "○ new"},
		{ScenarioInfo{Name: "another", Place: Own}, "○ new"},
		{ScenarioInfo{Name: "smoke"}, "✗ failed"}, // the newer one cannot be read
		{ScenarioInfo{Name: "figure1", Err: errors.New("bad")}, "✗ bad"},
	} {
		if got, _ := b.lastWord(&c.scenario); strings.TrimSpace(got) != c.want {
			t.Errorf("%+v: %q, expected %q", c.scenario, got, c.want)
		}
	}
}

// TestLinesOfRunsSayAll: at every width that a list can have, each line has state, duration, day,
// the changed settings, and headline or progress; names and keys become shorter first, and the
// columns of all lines stand below each other.
func TestLinesOfRunsSayAll(t *testing.T) {
	headline := RunFigures{Headline: Headline{"0.7644", "±0.0040", "AUC exp.", "distilled"}}
	runs := []RunInfo{
		{ID: "a", Scenario: "a-scenario-with-a-long-name", State: lab.Done, Started: epoch, Duration: 723 * time.Second, Quick: true, Settings: []string{"distilled.steps=50"}},
		{ID: "b", Scenario: "b", State: lab.Running, Started: epoch.Add(-time.Hour), Settings: []string{"FM.lr=1", "batch=2"}, Progress: Progress{"3/24 cells", "at least 3m 10s left, from 3 earlier runs"}},
		{ID: "c", Scenario: "c", State: lab.Failed, Started: epoch, Duration: 40 * time.Hour},
		{ID: "20261124-1130-unreadable-a1", State: lab.Damaged, Err: errors.New("damaged")},
	}
	b := newBenchScreen(&workbench{now: func() time.Time { return epoch }, theme: plainTheme(false)})
	var items []item
	for i := range runs {
		b.figures[b.figuresKey(&runs[i])] = headline
		items = append(items, item{id: runs[i].ID, run: &runs[i]})
	}
	for width := minWidth; width <= 130; width++ {
		lines := b.itemLines(items, 0, width)
		for i, want := range [][]string{
			{"a-s", " (q", "steps=50", "0.7644", "11-24", "12m", "✓ " + lab.Done.String()},
			{"b", "lr=1", "3/24", "11-24", "1h", "● " + lab.Running.String()},
			{"c", "0.7644", "11-24", "✗ " + lab.Failed.String()},
			{"20261124-1130-unreadable-a1", "✗"},
		} {
			if text.Width(lines[i]) != width {
				t.Errorf("%d cells: %q has %d", width, lines[i], text.Width(lines[i]))
			}
			for _, part := range want {
				if !strings.Contains(lines[i], part) {
					t.Errorf("%d cells: %q lacks %q", width, lines[i], part)
				}
			}
			if i < 3 && text.Width(strings.Split(lines[i], "11-24")[0]) != text.Width(strings.Split(lines[0], "11-24")[0]) {
				t.Errorf("%d cells: the day of %q stands in another column than that of %q", width, lines[i], lines[0])
			}
		}
	}
	if wide := b.itemLines(items, 0, 130)[0]; !strings.Contains(wide, "a-scenario-with-a-long-name (quick)  steps=50      0.7644 ±0.0040 AUC exp. · distilled") {
		t.Errorf("130 cells: %q is not whole", wide)
	}
}

// TestShortSettings: a key loses what does not tell it from the others, and no value is changed.
func TestShortSettings(t *testing.T) {
	for _, c := range [][2]string{{"a.b=1.5", "b=1.5"}, {"a.b=1 c.b=2", "a.b=1 c.b=2"}, {"a.b=x.y=z c=2", "b=x.y=z c=2"}, {"word", "word"}} {
		if got := strings.Join(shortSettings(strings.Fields(c[0])), " "); got != c[1] {
			t.Errorf("%q became %q, expected %q", c[0], got, c[1])
		}
	}
	for width, want := range map[int]string{30: "steps=50 lr=1 batch=2", 16: "steps=50 lr=1 +1", 14: "steps=50 +2", 9: "steps… +2", 0: ""} {
		if got := fitSettings([]string{"steps=50", "lr=1", "batch=2"}, width); got != want {
			t.Errorf("%d cells: %q, expected %q", width, got, want)
		}
	}
}

// TestQuickRunIsNotDone: what ran only in part is not called done; a run in full counts before a
// newer quick one, and one that is running before all.
func TestQuickRunIsNotDone(t *testing.T) {
	b := newScript(t, 100, 30, Options{}).m.screens[0].(*benchScreen)
	quick, changed, full := RunInfo{Quick: true, State: lab.Done}, RunInfo{Settings: []string{"a=1"}, State: lab.Done}, RunInfo{State: lab.Done}
	failed, running := RunInfo{Quick: true, State: lab.Failed}, RunInfo{Quick: true, State: lab.Running}
	for _, c := range []struct {
		runs []RunInfo // the newest first
		want string
	}{
		{[]RunInfo{quick}, "○ quick"}, {[]RunInfo{changed}, "○ changed"}, {[]RunInfo{quick, changed}, "○ changed"}, {[]RunInfo{quick, full}, "✓ " + lab.Done.String()},
		{[]RunInfo{failed}, "✗ " + lab.Failed.String() + " quick"}, {[]RunInfo{quick, failed}, "○ quick"}, {[]RunInfo{failed, full}, "✓ " + lab.Done.String()}, {[]RunInfo{full, running}, "● " + lab.Running.String() + " quick"}, {nil, "○ new"},
	} {
		b.runs = c.runs
		if got, _ := b.lastWord(&ScenarioInfo{}); got != c.want {
			t.Errorf("%+v: %q, expected %q", c.runs, got, c.want)
		}
	}
}

// The wheel moves what is under it: up to the divider the list, behind it the details.
func TestWheelOnEveryColumnOfTheBench(t *testing.T) {
	for _, width := range []int{110, 120} {
		s := newScript(t, width, 15, Options{})
		b := s.m.screens[0].(*benchScreen)
		divider, y := s.at(" │ ")
		for x := range width {
			s.keys("<home>")
			first := b.cursor
			b.scroll = 0
			s.wheel(x, y, tea.MouseButtonWheelDown)
			if moved, scrolled := b.cursor != first, b.scroll > 0; moved != (x <= divider) || scrolled == moved {
				t.Errorf("%d wide, the divider at %d, the wheel at %d: the list moved %v, the details %v", width, divider, x, moved, scrolled)
			}
		}
	}
}

// TestWheelAboveAndBelow: in a narrow terminal the list stands above the details, and the wheel
// moves what is under it.
func TestWheelAboveAndBelow(t *testing.T) {
	for _, size := range [][2]int{{60, 15}, {80, 24}, {109, 40}} {
		s := newScript(t, size[0], size[1], Options{})
		b := s.m.screens[0].(*benchScreen)
		_, divider := s.at("────")
		for y := 2; y < size[1]-1; y++ {
			s.keys("<home>")
			first := b.cursor
			b.scroll = 0
			s.wheel(5, y, tea.MouseButtonWheelDown)
			if moved := b.cursor != first; moved != (y < divider) {
				t.Errorf("%v, the divider at %d, the wheel at %d: the list moved %v", size, divider, y, moved)
			}
			if scrolled := b.scroll > 0; scrolled && y < divider {
				t.Errorf("%v, the divider at %d, the wheel at %d: the details scrolled", size, divider, y)
			}
		}
		if details := b.detailsSeen(size[0]-2, 4); len(details) != 4 || !strings.Contains(details[3], "more lines below") {
			t.Errorf("%v: %q", size, details)
		}
	}
}

// A typed line and its cursor are shown whole where they fit; else the cursor and as much as fits
// before it, and what is cut behind it.
func TestLineThatIsTyped(t *testing.T) {
	for _, value := range []string{"", "a", "abcdef", "日本語x"} {
		runes := []rune(value)
		for at := range len(runes) + 1 {
			typed, whole := string(runes[:at]), string(runes[:at])+"▏"+string(runes[at:])
			behind := min(1, len(runes)-at) // … of what is cut
			for width := 2; width < 12; width++ {
				got := (&input{value, at}).view(width)
				before, _, cursor := strings.Cut(got, "▏")
				if !cursor || text.Width(got) > width || !strings.HasSuffix(typed, before) {
					t.Errorf("%q in %d cells is %q", whole, width, got)
				}
				if text.Width(whole) <= width && got != whole || text.Width(typed)+1+behind <= width && before != typed {
					t.Errorf("%q in %d cells is %q: more fits", whole, width, got)
				}
			}
		}
	}
}
