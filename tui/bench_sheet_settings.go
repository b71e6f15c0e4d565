package tui

import (
	"regexp"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

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
