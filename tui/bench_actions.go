package tui

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/tui/text"
)

// look shows the scenario under the cursor on the whole screen: its details, then its text.
func (b *benchScreen) look() tea.Cmd {
	id := b.selection().scenario.ID
	b.push(&pager{workbench: b.workbench, title: "Scenario", body: func(width int) []string {
		at := slices.IndexFunc(b.library.Scenarios, func(s ScenarioInfo) bool { return s.ID == id })
		if at < 0 {
			return []string{"The file is gone."}
		}
		c := &b.library.Scenarios[at]
		p := &page{width: width, theme: &b.theme, lines: b.scenarioDetails(c, width)}
		p.heading("text")
		for i, line := range strings.Split(strings.TrimRight(c.Text, "\n"), "\n") {
			line = fmt.Sprintf("%4d  %s", i+1, text.Clean(strings.TrimRight(line, "\r")))
			if i+1 == c.Line {
				line = b.theme.failed.On(text.Cut(line+"   ✗", width))
			}
			p.say(text.Cut(line, width))
		}
		return p.lines
	}})
	return nil
}

// repeat opens the sheet of a past run: its scenario, settings and seeds.
func (b *benchScreen) repeat() tea.Cmd {
	r := b.selection().run
	return b.openSheet(Request{Scenario: RunScenario(r.ID), Set: r.Settings, Seeds: r.Seeds, Seed: r.Seed, Quick: r.Quick})
}

// askDelete deletes the run under the cursor after a question.
func (b *benchScreen) askDelete() {
	run := b.selection().run.ID
	if b.running() && b.live.id == run {
		b.fail("delete", errors.New("the run is running here: stop it first (x on its screen)"))
		return
	}
	b.push(&question{workbench: b.workbench, text: "Delete the log of run " + text.Clean(run) + "? Its models stay on the disk until slimlab clean.", yes: func() tea.Cmd {
		return func() tea.Msg { return deletedMsg{run, b.bench.Delete(b.ctx, run)} }
	}})
}

// edit opens the file under the cursor in the user's editor.
func (b *benchScreen) edit() tea.Cmd {
	s := b.selection().scenario
	if strings.TrimSpace(b.options.Editor) == "" {
		b.say("no editor is known: set VISUAL or EDITOR, such as EDITOR=vi; the file is %s", text.Clean(s.File))
		return nil
	}
	return tea.ExecProcess(editorCommand(b.options.Editor, s.File, s.Line), func(err error) tea.Msg { return editedMsg{err} })
}

// editorCommand calls an editor, at a line where one is known and the editor is known to take it.
func editorCommand(editor, file string, line int) *exec.Cmd {
	words := strings.Fields(editor)
	if strings.HasPrefix(file, "-") {
		file = "./" + file
	}
	if line < 1 {
		return exec.Command(words[0], append(words[1:], file)...)
	}
	at := strconv.Itoa(line)
	switch filepath.Base(words[0]) {
	case "vi", "vim", "nvim", "nano", "pico", "emacs", "emacsclient", "micro", "kak", "joe", "mg", "ne", "jed", "view", "gvim":
		return exec.Command(words[0], append(words[1:], "+"+at, file)...)
	case "code", "codium", "cursor", "windsurf":
		return exec.Command(words[0], append(words[1:], "-g", file+":"+at)...)
	case "hx", "helix", "subl", "zed":
		return exec.Command(words[0], append(words[1:], file+":"+at)...)
	}
	return exec.Command(words[0], append(words[1:], file)...)
}
