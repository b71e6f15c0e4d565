package tui

import (
	"fmt"
	"strings"

	"slimlab/internal/plural"
	"slimlab/tui/text"
)

// textLines are prompt and answer, wrapped, with what is cut of them.
func (p *samplesPane) textLines(s *written, width int) []string {
	const label = 8
	var lines []string
	add := func(name, body string) {
		for _, part := range strings.Split(body, "\n") {
			for _, line := range folded(text.Clean(part), width-label) {
				lines = append(lines, p.theme.dim.On(text.Fit(name, label))+line)
				name = ""
			}
		}
	}
	prompt, answer := strings.TrimSpace(s.Prompt), s.Answer
	if s.PromptCut > 0 {
		prompt = fmt.Sprintf("(%s before) %s%s", plural.Of(s.PromptCut, "character"), text.Ellipsis, prompt)
	}
	if s.AnswerCut > 0 {
		answer = fmt.Sprintf("%s%s (%s more)", answer, text.Ellipsis, plural.Of(s.AnswerCut, "character"))
	}
	if s.Answer == "" {
		answer = "(nothing: it ends at once)"
	}
	add("prompt", prompt)
	add("answer", answer)
	return lines
}

// folded is a text in lines, after spaces where there are some, with all of its spaces.
func folded(s string, width int) []string {
	var lines []string
	for width > 0 && text.Width(s) > width {
		head, space := 0, 0
		for i, r := range s {
			end := i + len(string(r))
			if text.Width(s[:end]) > width {
				break
			}
			if head = end; r == ' ' {
				space = end
			}
		}
		if space > 0 {
			head = space
		}
		if head == 0 { // a character wider than a line
			break
		}
		lines, s = append(lines, s[:head]), s[head:]
	}
	return append(lines, s)
}

// scrolled is the part of the text that is seen.
func (p *samplesPane) scrolled(body []string, width, room int) []string {
	over := len(body) - room + 1
	if over <= 1 || room < 1 {
		p.scroll = 0
		over = 0
	}
	p.scroll = min(p.scroll, over)
	var lines []string
	for _, line := range body[p.scroll:][:min(room, len(body)-p.scroll)] {
		lines = append(lines, "  "+line)
	}
	if more := len(body) - p.scroll - len(lines); more > 0 && len(lines) > 0 {
		lines[len(lines)-1] = "  " + p.theme.dim.On(text.Cut(fmt.Sprintf("… %s: J, K scroll", plural.Of(more+1, "more line")), width-4))
	}
	return lines
}
