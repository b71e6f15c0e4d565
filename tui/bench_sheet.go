package tui

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// sheet shows what a run would do before it begins, and takes what is to be different: settings,
// seeds, and how to run it. Each change is previewed at once.
type sheet struct {
	*workbench
	base   Request
	fields []sheetField
	at     int // the field that takes the keys
	down   int // lines that are scrolled below where the field asks for

	preview Preview
	known   bool   // a preview was made
	err     error  // why the run cannot begin
	asked   int    // previews that were asked for: an older answer is dropped
	answer  int    // the last one that was answered
	stop    func() // ends the preview that is being made
}

// sheetField is a line that is typed, or a choice.
type sheetField struct {
	name, about string
	line        *input
	on          *bool
}

type previewMsg struct {
	sheet   *sheet
	asked   int
	preview Preview
	err     error
}

// openSheet opens the sheet of a request.
func (w *workbench) openSheet(r Request) tea.Cmd {
	if w.starting || w.running() {
		w.say("one run at a time: stop the live one first (x on its screen), or wait for its end")
		return nil
	}
	s := &sheet{workbench: w, base: r, stop: func() {}}
	set, seeds, seed := newInput(strings.Join(cleanAll(r.Set), " ")), newInput(""), newInput("")
	if r.Seeds > 0 {
		seeds = newInput(strconv.Itoa(r.Seeds))
	}
	if r.Seed > 0 {
		seed = newInput(strconv.Itoa(r.Seed))
	}
	quick, retime, fresh := r.Quick, r.Retime, r.Fresh
	s.fields = []sheetField{
		{"settings", "key=value key=value …", &set, nil},
		{"seeds", "of each sweep point; empty: the scenario's", &seeds, nil},
		{"first seed", "empty: 1", &seed, nil},
		{"quick", "smaller and shorter, as the scenario says", nil, &quick},
		{"retime", "measure serving again; models stay", nil, &retime},
		{"fresh", "make every model again", nil, &fresh},
	}
	w.push(s)
	return s.ask()
}

func (s *sheet) Title() string { return "Run" }

func (s *sheet) Keys() []keyGroup {
	by := func(n int) func() tea.Cmd {
		return act(func() { s.at, s.down = (s.at+n+len(s.fields))%len(s.fields), 0 })
	}
	scroll := func(n int) func() tea.Cmd { return act(func() { s.down += n }) }
	onLine := func() bool { return s.fields[s.at].line != nil }
	return []keyGroup{{"The run that will begin", []binding{
		{keys: []string{"enter"}, footer: "enter start", help: "start the run", do: s.start},
		{keys: []string{"esc"}, footer: "esc leave", help: "leave without a run", do: act(s.leave)},
		{keys: []string{"up", "shift+tab"}, shown: "↑", footer: "↑↓ field", help: "the field above", do: by(-1)},
		{keys: []string{"down"}, shown: "↓", help: "the field below", do: by(1)},
		{keys: []string{"tab"}, footer: "tab complete", help: "complete the key, or go to the next field", do: s.complete},
		{keys: []string{"pgup"}, help: "scroll up, in a low window", do: scroll(-5)},
		{keys: []string{"pgdown"}, shown: "pgdn", help: "scroll down, in a low window", do: scroll(5)},
		{keys: []string{" "}, footer: "space choose", help: "choose or unchoose", when: func() bool { return !onLine() }, do: s.toggle},
		{keys: []string{"letters"}, help: "edit the line", typed: s.typed},
	}}}
}

// typed edits the line of the field, and previews what it says now.
func (s *sheet) typed(k tea.KeyMsg) bool {
	line := s.fields[s.at].line
	if line == nil {
		return k.Type == tea.KeyRunes // letters choose nothing
	}
	was := line.String()
	if !line.key(k) {
		return false
	}
	s.down = 0
	if line.String() != was {
		s.later = append(s.later, s.ask())
	}
	return true
}

func (s *sheet) toggle() tea.Cmd {
	on := s.fields[s.at].on
	*on = !*on
	return s.ask()
}

func (s *sheet) leave() {
	s.stop()
	s.pop(s)
}

// request is what the fields say.
func (s *sheet) request() (Request, error) {
	r := s.base
	r.Set = splitSettings(s.fields[0].line.String())
	for i, to := range []*int{&r.Seeds, &r.Seed} {
		f := s.fields[1+i]
		*to = 0
		text := strings.TrimSpace(f.line.String())
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return r, fmt.Errorf("%s: found %q, expected a whole number of at least 1", f.name, text)
		}
		*to = n
	}
	r.Quick, r.Retime, r.Fresh = *s.fields[3].on, *s.fields[4].on, *s.fields[5].on
	if r.Retime && r.Fresh {
		return r, fmt.Errorf("retime keeps the models that fresh makes again: choose one of the two")
	}
	return r, nil
}

// ask begins a preview of what the fields say.
func (s *sheet) ask() tea.Cmd {
	s.stop()
	s.asked++
	r, err := s.request()
	if err != nil {
		s.err, s.answer = err, s.asked
		return nil
	}
	ctx, stop := context.WithCancel(s.ctx)
	s.stop = stop
	asked := s.asked
	return func() tea.Msg {
		defer stop()
		p, err := s.bench.Preview(ctx, r)
		return previewMsg{s, asked, p, err}
	}
}

// take takes over a preview, unless a newer one was asked for.
func (s *sheet) take(msg previewMsg) {
	if msg.asked != s.asked {
		return
	}
	s.answer, s.err = msg.asked, msg.err
	if msg.err == nil {
		s.preview, s.known = msg.preview, true
	}
	if len(msg.preview.Keys) > 0 {
		s.preview.Keys = msg.preview.Keys
	}
}

func (s *sheet) start() tea.Cmd {
	r, err := s.request()
	if err != nil {
		s.err = err
		return nil
	}
	if s.err != nil && s.answer == s.asked {
		return nil // it stands on the sheet
	}
	s.leave()
	return s.startRun(r)
}
