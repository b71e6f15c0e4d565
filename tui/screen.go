package tui

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"
)

// Screen is one of the workbench's screens. The model asks the current one for its keys and its
// view, and gives every message that is not a key to all of them.
type Screen interface {
	pane
	Update(msg tea.Msg) tea.Cmd
}

// pane is what fills the window between title and footer and takes the keys: a screen, or an
// overlay above one.
type pane interface {
	Title() string
	Keys() []keyGroup
	View(width, height int) []string
}

// footed is a pane with a footer of its own in place of its keys: a line that is typed.
type footed interface{ Footer(width int) string }

// moveMsg moves the cursor of the current screen.
type moveMsg struct{ rows, pages int }

// enteredMsg comes to a screen that has become the current one.
type enteredMsg struct{}

// settledMsg comes to the current screen after each message that was handled.
type settledMsg struct{}

// keyGroup is a key table with its heading in the help.
type keyGroup struct {
	title    string
	bindings []binding
}

// binding is one row of a key table. The tables are all there is: they dispatch keys, and footer,
// help and palette are made of them.
type binding struct {
	keys   []string // as bubbletea names them
	shown  string   // in the help; empty: the first key
	footer string   // in the footer, such as "< > column"; empty: not there
	help   string
	when   func() bool // nil: always
	// why says, where it does not work now, what stands against it; nil: nothing is said
	why func() string
	do  func() tea.Cmd
	// typed, in place of do, takes the keys that edit a line and reports whether k was one of them
	typed func(k tea.KeyMsg) bool
}

func (b binding) has(key string) bool { return slices.Contains(b.keys, key) }

func (b binding) works() bool { return b.when == nil || b.when() }

func (b binding) name() string {
	switch {
	case b.shown != "":
		return b.shown
	case b.keys[0] == " ":
		return "space"
	}
	return b.keys[0]
}

// act makes a binding's action of what has no command to return.
func act(f func()) func() tea.Cmd {
	return func() tea.Cmd {
		f()
		return nil
	}
}

// movingKeys are the keys that move a cursor, or scroll, by rows and pages.
func movingKeys(move func(rows, pages int)) []binding {
	by := func(rows, pages int) func() tea.Cmd { return act(func() { move(rows, pages) }) }
	return []binding{
		{keys: []string{"up", "k"}, shown: "↑ k", help: "up", do: by(-1, 0)},
		{keys: []string{"down", "j"}, shown: "↓ j", help: "down", do: by(1, 0)},
		{keys: []string{"pgup", "ctrl+b"}, help: "a page up", do: by(0, -1)},
		{keys: []string{"pgdown", "ctrl+f"}, shown: "pgdn", help: "a page down", do: by(0, 1)},
		{keys: []string{"home", "g"}, shown: "home g", help: "first", do: by(-1<<30, 0)},
		{keys: []string{"end", "G"}, shown: "end G", help: "last", do: by(1<<30, 0)},
	}
}
