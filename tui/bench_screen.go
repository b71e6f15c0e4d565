package tui

import (
	"fmt"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/internal/plural"
	"slimlab/tui/text"
)

func newBenchScreen(w *workbench) *benchScreen {
	return &benchScreen{workbench: w, cursor: "s:" + w.options.Scenario, figures: map[string]RunFigures{}}
}

func (b *benchScreen) Title() string { return "Bench" }

// Update takes over what was read.
func (b *benchScreen) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case moveMsg:
		b.move(msg.rows + msg.pages*max(1, b.seen-1))
	case libraryMsg:
		b.fail("scenarios", msg.err)
		return b.setLibrary(msg.library)
	case scenariosMsg:
		return b.setScenarios(msg.list)
	case runsMsg:
		b.fail("runs", msg.err)
		b.setRuns(msg.list)
		return tea.Batch(b.loadLibrary(), b.readFigures())
	case figuresMsg:
		return b.setFigures(msg)
	case lookMsg:
		if b.current == Screen(b) { // with the library, which holds scenarios of runs
			return b.loadRuns()
		}
	case enteredMsg: // what others did meanwhile is not seen first as it was
		return b.loadRuns()
	case goneMsg:
		b.dropRun(msg.session.id)
	case editedMsg:
		b.fail("editor", msg.err)
		return b.loadLibrary()
	case openedMsg:
		if msg.err != nil { // another program may have deleted it
			return b.loadRuns()
		}
	case candidatesMsg:
		b.fail("models", msg.err)
		b.chooseModel(msg.found)
	case writtenMsg:
		return b.written(msg)
	case deletedMsg:
		b.fail("delete", msg.err)
		if msg.err == nil {
			b.dropRun(msg.run)
			if s := b.session; s != nil && s.id == msg.run {
				s.deleted = true
			}
			b.say("%s is deleted; its models stay until slimlab clean", text.Clean(msg.run))
		}
		return b.loadRuns()
	}
	return nil
}

func (b *benchScreen) typeFilter() {
	b.push(&filterLine{workbench: b.workbench, screen: b, line: &b.filter, changed: b.setQuery, kept: b.setQuery, note: func() string {
		if b.wrong != nil {
			return "✗ " + text.Clean(b.wrong.Error())
		}
		return "words  state=done  model:x  auc>0.8  age<2d  not  or"
	}, wrong: func() bool { return b.wrong != nil }})
}

// View has the list beside the details, or above them where lines of runs would lose what they
// say.
func (b *benchScreen) View(width, height int) []string {
	const beside = 110
	if width < beside {
		return b.above(width, height)
	}
	left := min(max(width*62/100, 66), 120)
	right := width - left - 3
	list, details := b.list(left, height), b.detailsSeen(right, height)
	b.listTakesMouse(left+1, height)
	b.takesMouse(region{x: left + 1, width: width - left - 1, height: height, wheel: b.scrollDetails})
	lines := make([]string, height)
	for i := range lines {
		lines[i] = list[i] + b.theme.dim.On(" │ ") + details[i]
	}
	return lines
}

// above draws the list above the details.
func (b *benchScreen) above(width, height int) []string {
	top := max(4, height*3/5)
	lines := b.list(width, top)
	b.listTakesMouse(width, top)
	lines = append(lines, b.theme.dim.On(text.Repeat("─", width)))
	b.takesMouse(region{y: top, width: width, height: height - top, wheel: b.scrollDetails})
	for _, line := range b.detailsSeen(width-2, height-top-1) {
		lines = append(lines, " "+line)
	}
	return lines
}

func (b *benchScreen) scrollDetails(lines int) { b.scroll = max(0, b.scroll+lines) }

func (b *benchScreen) listTakesMouse(width, height int) {
	b.takesMouse(region{
		width: width, height: height,
		wheel: b.move, click: b.clickList, again: b.clickListAgain,
	})
}

// detailsSeen are the details, scrolled, in exactly height lines.
func (b *benchScreen) detailsSeen(width, height int) []string {
	details := b.details(width)
	if over := len(details) - height + 1; over > 1 {
		b.scroll = min(b.scroll, over)
		rest := over - b.scroll
		details = details[b.scroll:][:height-1]
		more := fmt.Sprintf("… %s below: J scrolls, K back", plural.Of(rest, "more line"))
		if rest == 0 {
			more = "… the end: K scrolls back"
		}
		details = append(details[:len(details):len(details)], b.theme.dim.On(text.Cut(more, width)))
	} else {
		b.scroll = 0
	}
	return append(details, make([]string, max(0, height-len(details)))...)
}
