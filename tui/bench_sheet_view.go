package tui

import (
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/plural"
	"slimlab/tui/text"
)

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
	more := plural.Of(len(lines)-last, "more line") + ": pgdn, pgup scroll"
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
