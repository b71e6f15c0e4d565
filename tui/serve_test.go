package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab/endpoint"
	"slimlab/tui/text"
)

// The Serve screen at the sizes that matter, as text.
func TestServeScreens(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {200, 60}, {60, 15}, {40, 10}} {
		name := fmt.Sprintf("serve-%dx%d", size[0], size[1])
		t.Run(name, func(t *testing.T) {
			goldenScreen(t, name, attached(t, size[0], size[1], Options{}).screen())
		})
	}
	for _, one := range []struct{ name, keys string }{
		{"serve-paused", "ps"},
		{"serve-tree", "tj"},
		{"serve-tree-40x10", "t"},
		{"serve-typed", "nmember 12 likes"},
		{"serve-answered", "nmember 12 likes<enter>"},
		{"serve-answers", "nmember 12 likes<enter>no<enter>o"},
		{"serve-choose", "a"},
		{"serve-help", "?"},
	} {
		t.Run(one.name, func(t *testing.T) {
			s := attached(t, 100, 30, Options{})
			if strings.HasSuffix(one.name, "40x10") {
				s.send(tea.WindowSizeMsg{Width: 40, Height: 10})
			}
			goldenScreen(t, one.name, s.keys(one.keys).screen())
		})
	}
	t.Run("serve-none", func(t *testing.T) {
		goldenScreen(t, "serve-none", newScript(t, 100, 30, Options{}).keys("4").screen())
	})
	t.Run("serve-ascii", func(t *testing.T) {
		goldenScreen(t, "serve-ascii", attached(t, 80, 24, Options{ASCII: true}).screen())
	})
}

// TestAttach: from the Bench, the screen itself or the command line; what cannot be attached to
// leaves what is watched.
func TestAttach(t *testing.T) {
	s := newScript(t, 140, 30, Options{})
	s.keys("S").expect("models/small", "pretrained:recsys-fm").keys("recsys<enter>").expect("[4 Serve]", "recsys-fm", "here")
	first := s.bench.engine
	s.keys("a/some/nowhere<enter>").expect("no such folder", "[4 Serve]")
	if first.closed {
		t.Error("an engine was left for one that is not there")
	}
	s.keys("ahttp://host:1<enter>").expect("at http://host:1")
	if !first.closed || s.bench.engine.closed {
		t.Error("the engine that is no longer watched is to be closed, and it alone")
	}
	if want := []string{"pretrained:recsys-fm", "/some/nowhere", "http://host:1"}; !slices.Equal(s.bench.attached, want) {
		t.Errorf("attached to %q", s.bench.attached)
	}
	s.m.close()
	if !s.bench.engine.closed {
		t.Error("the engine stays open at the end")
	}
	f := &fakeBench{live: 520}
	m := newModel(context.Background(), f, Options{Attach: "models/small"}, plainTheme(false), func() time.Time { return epoch })
	if m.current.Title() != "Serve" {
		t.Errorf("opens on %s", m.current.Title())
	}
	m.close() // nothing is attached yet
}

// TestPauseAndStep: the keys do what they say, and say why they do not.
func TestPauseAndStep(t *testing.T) {
	s := attached(t, 100, 30, Options{})
	s.keys("s").expect("p pauses it").keys("p").expect("■ paused", "p go on", "s step")
	s.keys("ss").expect("step 1236").keys("p").expectNot("■ paused")
	s.keys("F").expect("the prefix cache has only what requests hold")
	if want := []string{"pause", "step", "step", "resume", "flush"}; !slices.Equal(s.bench.engine.did, want) {
		t.Errorf("the engine did %q, expected %q", s.bench.engine.did, want)
	}
	s.bench.engine.err = errors.New("no power")
	s.keys("p").expect("✗ no power")
	s.looks().expect("✗ no answer", "recsys-fm", "no answer: no power")
	s.bench.engine.err = nil
	s.looks().expectNot("no answer")
}

// TestWhyThereIsNoAnswer: in any window, of an engine that has answered before and of one that has
// not.
func TestWhyThereIsNoAnswer(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {200, 60}, {60, 15}} {
		s := attached(t, size[0], size[1], Options{})
		for _, c := range []struct {
			err  error
			says string
		}{
			{errors.New("connect: connection refused, by http://host:1"), "no answer: connect: connection refused, by http://host:1"},
			{fmt.Errorf("%w, by http://host:1", context.DeadlineExceeded), "no answer within 30s: the engine is in a long step"},
		} {
			s.bench.engine.err = c.err
			checkSize(t, s.looks().expect(c.says))
			s.serveScreen().known = false
			checkSize(t, s.looks().expect("✗ "+c.says[:18]))
			s.bench.engine.err = nil
			s.looks().expectNot("no answer")
		}
	}
}

// TestWhyNoEngineIsWatched: the whole of a long reason stands where the screen is empty.
func TestWhyNoEngineIsWatched(t *testing.T) {
	const reason = "http://127.0.0.1:8000/debug/engine: found no API key, expected a header Authorization: Bearer with one"
	s := newScript(t, 80, 24, Options{}).keys("4")
	s.send(attachedMsg{"http://127.0.0.1:8000", nil, errors.New(reason)})
	checkSize(t, s.expect("found no API key, expected a header", "Bearer with one", "SLIMLAB_API_KEY"))
	checkSize(t, s.openEngine("models/small").expectNot("Bearer with one"))
}

// TestIdleEngine: the last step's batch is none of an engine that does nothing, and which engine it
// is, and how it chooses, stands in a window of 80×24 too.
func TestIdleEngine(t *testing.T) {
	s := newScript(t, 80, 24, Options{}).openEngine("http://host:1")
	s.expect("● running  at http://host:1 · aged-lpm", "2 running · 3 waiting, 1 for a prefix · step 1234 · batch of 2: 513 tokens")
	e := s.bench.engine
	e.state.Running, e.state.Waiting, e.state.Following, e.state.Requests, e.state.Batch = 0, 0, 0, nil, 1
	s.looks().expect("○ idle", "at http://host:1 · aged-lpm").expectNot("batch of")
}

// TestEngineIsAskedWhileItIsSeen: once at a time, less often where it does not answer, and not on
// other screens.
func TestEngineIsAskedWhileItIsSeen(t *testing.T) {
	s := newScript(t, 100, 30, Options{})
	var waits []time.Duration
	s.serveScreen().later = func(_ Engine, after time.Duration) tea.Cmd {
		waits = append(waits, after)
		return nil
	}
	s.run(s.m.attach("models/small"))
	s.looks()
	s.bench.engine.err = errors.New("no power")
	s.looks().keys("p")
	if want := []time.Duration{engineInterval, engineInterval, silentInterval}; !slices.Equal(waits, want) {
		t.Errorf("waited %v, expected %v", waits, want)
	}
	s.keys("4") // it is the current one already
	if len(waits) != 3 {
		t.Errorf("asked twice at a time: %v", waits)
	}
	s.bench.engine.err = nil
	s.keys("1").looks()
	if len(waits) != 3 {
		t.Errorf("asked where it is not seen: %v", waits)
	}
	s.keys("4")
	if len(waits) != 4 {
		t.Errorf("not asked when it is seen again: %v", waits)
	}
	s.send(lookAtEngineMsg{&fakeEngine{}})
	s.send(engineMsg{engine: &fakeEngine{}, state: endpoint.State{Model: "an old one"}, looked: true})
	if s.expectNot("an old one"); len(waits) != 4 {
		t.Errorf("what an engine of before says counts: %v", waits)
	}
}

// TestRequestsOfTheScreen: a prompt is sent, answered, cancelled, and refused.
func TestRequestsOfTheScreen(t *testing.T) {
	s := attached(t, 100, 30, Options{})
	s.keys("o").expect("n sends one").keys("x").expect("no request of this screen is in flight")
	s.keys("n<enter>").keys("nq<esc>")
	if len(s.bench.engine.did) != 0 {
		t.Errorf("sent %q", s.bench.engine.did)
	}
	s.keys("nlikes q<enter>").expect("likes q → item 17 and item 4 ✓")
	if want := []string{"complete 64 likes q"}; !slices.Equal(s.bench.engine.did, want) {
		t.Errorf("the engine did %q, expected %q", s.bench.engine.did, want)
	}
	s.bench.engine.err = errors.New("no pages")
	s.keys("nb<enter>").expect("b → item 17 and item 4 ✗ no pages").keys("o").expect("likes q", "no pages")
	s.keys("<esc>")
	screen := s.serveScreen()
	ctx, cancel := context.WithCancel(t.Context())
	open := &sent{prompt: "c", cancel: cancel}
	screen.sent = append(screen.sent, open)
	s.looks().expect("c →  …").keys("x")
	if ctx.Err() == nil {
		t.Fatal("the request was not cancelled")
	}
	s.send(sentMsg{open, ctx.Err()})
	s.expect("■ cancelled")
	for range mostSent + 5 {
		s.keys("nd<enter>")
	}
	if len(screen.sent) != mostSent {
		t.Errorf("%d requests are kept, expected %d", len(screen.sent), mostSent)
	}
	ctx, cancel = context.WithCancel(t.Context())
	screen.sent[0].cancel = cancel
	s.openEngine("models/small")
	if ctx.Err() == nil || s.serveScreen().hasSent() {
		t.Error("a request of an engine that was left goes on")
	}
}

// TestRates: of the last seconds by the engine's clock; another engine in its place begins anew.
func TestRates(t *testing.T) {
	var m meter
	at := func(now float64, steps, computed, generated int) (float64, float64) {
		s := endpoint.State{Now: now, Tree: make([]endpoint.NodeState, 9)}
		s.Counts.Steps, s.Counts.Computed, s.Counts.Generated = steps, computed, generated
		m.add(s)
		return m.rates()
	}
	for _, c := range []struct {
		now                        float64
		steps, computed, generated int
		want                       [2]float64
	}{
		{10, 1, 100, 0, [2]float64{}},
		{10, 1, 100, 0, [2]float64{}}, // its clock stands
		{11, 2, 300, 10, [2]float64{200, 10}},
		{13, 3, 400, 40, [2]float64{100, 40.0 / 3}},
		{16, 4, 400, 40, [2]float64{}},
		{17, 5, 440, 44, [2]float64{10, 1}},
		{18, 2, 10, 1, [2]float64{}}, // it was started again
		{19, 3, 40, 2, [2]float64{30, 1}},
		{5, 4, 70, 4, [2]float64{}}, // and again, on another machine
	} {
		if a, b := at(c.now, c.steps, c.computed, c.generated); [2]float64{a, b} != c.want {
			t.Errorf("at %v: %v and %v, expected %v", c.now, a, b, c.want)
		}
	}
	if len(m) != 1 || m[0].Tree != nil {
		t.Errorf("%d states are kept, with their trees: %v", len(m), m[0].Tree)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values       []float64
		median, most float64
		n            int
	}{
		{nil, 0, 0, 0}, {[]float64{0, 0}, 0, 0, 0}, {[]float64{3, 0, 1}, 2, 3, 2}, {[]float64{5, 1, 2}, 2, 5, 3},
	} {
		if median, most, n := spread(slices.Clone(c.values)); median != c.median || most != c.most || n != c.n {
			t.Errorf("%v: %v, %v, %d", c.values, median, most, n)
		}
	}
}

// TestMouseOnServe: a click takes the row of the table that it is in, beside each other too.
func TestMouseOnServe(t *testing.T) {
	for _, size := range [][2]int{{200, 60}, {100, 40}} {
		s := attached(t, size[0], size[1], Options{})
		lines := strings.Split(s.screen(), "\n")
		y := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "skips item 31") })
		x := len([]rune(lines[y][:strings.Index(lines[y], "skips item 31")]))
		s.send(tea.MouseMsg{X: x, Y: y, Button: tea.MouseButtonLeft, Action: tea.MouseActionPress})
		if screen := s.serveScreen(); !screen.inTree || screen.tree.Row != 2 {
			t.Errorf("%v: in the tree: %v, row %d", size, screen.inTree, screen.tree.Row)
		}
		s.expect("64 tokens in 4 pages, held by 1 request")
		y = slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "■ retracted") })
		s.send(tea.MouseMsg{X: 3, Y: y, Button: tea.MouseButtonLeft, Action: tea.MouseActionPress})
		s.expect("request 9: 0 of 48 tokens computed")
	}
}

// TestForeignTextOnServe: whatever a server says, frames are exact and text is no more than text.
func TestForeignTextOnServe(t *testing.T) {
	for _, scare := range []string{"\x1b[31m\t日本語\r\n", "עברית\u200f \u202e", strings.Repeat("long name ", 40)} {
		for _, size := range [][2]int{{40, 10}, {80, 24}, {200, 60}} {
			s := openScript(t, &fakeBench{scare: scare}, size[0], size[1], Options{}).openEngine("http://host:1/" + scare)
			for _, keys := range []string{"", "t", "jjj", "tjjjj", "nx" + "<enter>", "o<esc>", "a"} {
				checkSize(t, s.keys(keys))
				if strings.ContainsAny(s.screen(), "\x1b\t\r\u202e") {
					t.Fatalf("%v, after %q:\n%q", size, keys, s.screen())
				}
			}
		}
	}
}

// TestServeKeys: each has one meaning, whatever the screen shows.
func TestServeKeys(t *testing.T) {
	s := attached(t, 100, 30, Options{})
	for _, keys := range []string{"", "p", "t", "nx<enter>"} {
		seen := map[string]string{}
		for _, b := range s.keys(keys).serveScreen().Keys()[0].bindings {
			for _, key := range b.keys {
				if b.works() && seen[key] != "" {
					t.Errorf("after %q: %s is %q and %q", keys, key, seen[key], b.help)
				}
				if b.works() {
					seen[key] = b.help
				}
			}
		}
	}
}

// Prefixes that begin alike are told apart by their ends, and parts of a line that does not fit are
// left out whole.
func TestLinesThatDoNotFit(t *testing.T) {
	const same = "You are a helpful assistant of the shop. "
	a, b := middleCut(same+"Who is one?", mostPrefix), middleCut(same+"Who is two?", mostPrefix)
	if a == b || text.Width(a) > mostPrefix || !strings.HasPrefix(a, "You are a helpf") || !strings.HasSuffix(a, "Who is one?") {
		t.Errorf("%q and %q", a, b)
	}
	if short := middleCut("short", 5); short != "short" {
		t.Errorf("%q", short)
	}
	for width, want := range map[int]string{30: " a one · two · three", 16: " a one · two", 10: " a one", 5: text.Cut(" a one", 5)} {
		if got := fitting(" a ", []string{"one", "two", "three"}, width); got != want {
			t.Errorf("in %d: %q, expected %q", width, got, want)
		}
	}
}
