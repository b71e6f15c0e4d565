package tui

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab/report"
	"slimlab/tui/text"
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

// settingStart finds where a setting begins in a line of them.
var settingStart = regexp.MustCompile(`(?:^|\s)[A-Za-z0-9_][A-Za-z0-9_.+%-]*=`)

// splitSettings cuts a line into its settings: one goes on to the next word that has a key and a =.
func splitSettings(line string) []string {
	var settings []string
	starts := settingStart.FindAllStringIndex(line, -1)
	if first := strings.TrimSpace(line); len(starts) == 0 && first != "" {
		return []string{first}
	}
	if len(starts) > 0 {
		if before := strings.TrimSpace(line[:starts[0][0]]); before != "" {
			settings = append(settings, before)
		}
	}
	for i, at := range starts {
		end := len(line)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		settings = append(settings, strings.TrimSpace(line[at[0]:end]))
	}
	return settings
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

// word is the beginning of a key that is being typed.
func (s *sheet) word() string {
	if s.at != 0 {
		return ""
	}
	line := s.fields[0].line.String()
	word := line[strings.LastIndexAny(line, " \t")+1:]
	if strings.Contains(word, "=") {
		return ""
	}
	return word
}

// candidates are the keys that can be set and begin with the word that is typed.
func (s *sheet) candidates() []string {
	word := s.word()
	var keys []string
	for _, k := range s.preview.Keys {
		if strings.HasPrefix(k, word) {
			keys = append(keys, k)
		}
	}
	return keys
}

// complete types what all candidates begin with; else it goes to the next field.
func (s *sheet) complete() tea.Cmd {
	word, keys := s.word(), s.candidates()
	if s.at != 0 || word == "" || len(keys) == 0 {
		s.at = (s.at + 1) % len(s.fields)
		return nil
	}
	common := keys[0]
	for _, k := range keys {
		for !strings.HasPrefix(k, common) {
			common = common[:len(common)-1]
		}
	}
	if len(keys) == 1 {
		common += "="
	}
	line := s.fields[0].line
	*line = newInput(strings.TrimSuffix(line.String(), word) + common)
	return s.ask()
}

func (s *sheet) View(width, height int) []string {
	p := &page{width: width - 2, theme: &s.theme}
	bad, cursor := s.badField(), 0
	for i, f := range s.fields {
		if i == s.at {
			cursor = len(p.lines)
		}
		p.say(s.fieldLine(i, f, p.width))
		switch {
		case i == bad:
			s.sayError(p, "    ")
		case i == 0 && s.at == 0:
			p.say(s.keyHint(p.width))
		}
	}
	if s.err != nil && bad < 0 {
		p.say("")
		s.sayError(p, "")
	}
	if s.err == nil {
		s.plan(p)
	}
	name := s.preview.Name
	if name == "" {
		name = s.base.Scenario
	}
	lines := []string{" " + s.theme.head.On(text.Cut("Run "+text.Clean(name), width-2))}
	if height >= len(p.lines)+2 {
		lines = append(lines, "")
	}
	for _, line := range s.inSight(p.lines, cursor, height-len(lines)) {
		lines = append(lines, " "+line)
	}
	return lines
}

// inSight is what a window that may be too low shows: the field that is typed with what is below
// it, or where the user scrolled to.
func (s *sheet) inSight(lines []string, cursor, room int) []string {
	over := len(lines) - room
	if over <= 0 || room < 2 {
		s.down = 0
		return lines
	}
	field := min(cursor, over)
	s.down = max(-field, min(s.down, over-field))
	from := field + s.down
	if from == over {
		return lines[from:]
	}
	last := from + room - 1
	more := report.Plural(len(lines)-last, "more line") + ": pgdn, pgup scroll"
	return append(slices.Clone(lines[from:last]), s.theme.dim.On("… "+more))
}

// badField is the field that the error is about; -1 where it is about another thing.
func (s *sheet) badField() int {
	if s.err == nil {
		return -1
	}
	message := s.err.Error()
	for i, f := range s.fields {
		if strings.HasPrefix(message, f.name+":") || i == 0 && strings.HasPrefix(message, "--set ") {
			return i
		}
	}
	return -1
}

func (s *sheet) sayError(p *page, indent string) {
	for i, line := range text.Wrap(text.Clean(s.err.Error()), p.width-2-len(indent)) {
		p.say(indent + s.theme.failed.On([]string{"✗ ", "  "}[min(i, 1)]+line))
	}
}

func (s *sheet) fieldLine(i int, f sheetField, width int) string {
	cursor, value := "  ", ""
	switch {
	case f.on != nil && *f.on:
		value = "[x]"
	case f.on != nil:
		value = "[ ]"
	case i == s.at:
		value = f.line.view(width - 14)
	default:
		value = text.Cut(f.line.String(), width-14)
	}
	if i == s.at {
		cursor = "▌ "
	}
	line := cursor + text.Fit(f.name, 11) + value
	if f.on != nil || f.line.String() == "" {
		line += s.theme.dim.On(text.Cut("  "+f.about, width-text.Width(line)))
	}
	return text.Cut(line, width)
}

// keyHint lists the keys that can be set.
func (s *sheet) keyHint(width int) string {
	keys := s.candidates()
	switch {
	case len(s.preview.Keys) == 0:
		return ""
	case len(keys) == 0:
		return s.theme.warning.On(text.Cut("             no key begins with "+strconv.Quote(s.word()), width))
	case s.word() == "" && strings.HasSuffix(s.fields[0].line.String(), "=") || strings.Contains(lastWord(s.fields[0].line.String()), "="):
		return ""
	}
	return s.theme.dim.On(text.Cut("             "+strings.Join(cleanAll(keys), " "), width))
}

func lastWord(line string) string { return line[strings.LastIndexAny(line, " \t")+1:] }

// plan says what will be done, as far as it is known.
func (s *sheet) plan(p *page) {
	v := &s.preview
	p.heading("what will be done")
	if !s.known {
		p.say("  checking …")
		return
	}
	if s.answer != s.asked {
		p.say("  checking … (below: before the change)")
	}
	work := report.Plural(v.Cells, "cell")
	if v.Points > 1 {
		work += fmt.Sprintf(": %s × %s", report.Plural(v.Points, "sweep point"), report.Plural(v.Seeds, "seed"))
	}
	row := func(name, value string) {
		p.list(func(int) string { return "  " + text.Fit(name, 9) }, []string{text.Clean(value)})
	}
	row("cells", work)
	steps := fmt.Sprintf("%d to build, %d cached", v.Build, v.Cached)
	if v.Shared > 0 {
		steps += fmt.Sprintf(", %d shared with an earlier cell", v.Shared)
	}
	if v.Loaded > 0 {
		steps += fmt.Sprintf(", %d measured as loaded", v.Loaded)
	}
	row("steps", steps)
	if v.Duration != "" {
		row("time", v.Duration)
	} else {
		row("time", "not known: no run of it has ended here")
	}
	disk := "nothing new"
	if v.Bytes > 0 {
		disk = "at most " + report.Bytes(v.Bytes)
	}
	if v.Free >= 0 {
		disk += ", " + report.Bytes(v.Free) + " free"
	}
	row("disk", disk+", in "+v.Folder)
	if v.Free >= 0 && v.Bytes > v.Free {
		p.say(s.theme.failed.On("  ✗ the models may not fit on the disk"))
	}
	for _, note := range v.Notes {
		p.list(func(int) string { return "  note     " }, []string{text.Clean(note)})
	}
}
