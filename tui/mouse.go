package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"slimlab/tui/grid"
)

// wheelLines is how far a notch of the wheel scrolls.
const wheelLines = 3

// region is a part of the window that takes the mouse. What is drawn says where it is, so that the
// regions are always those of the last frame; the later one is above. Functions that are nil leave
// the mouse to the region below.
type region struct {
	x, y, width, height int // in the pane

	wheel    func(lines int)        // down
	sideways func(columns int)      // the wheel, to the right
	click    func(x, y int) tea.Cmd // in the region
	again    func(x, y int) tea.Cmd // a second click on the same line; nil: as the first
	// in the region, or out of it, with the button held since a click in it
	drag func(x, y int)
}

func (r *region) holds(x, y int) bool {
	return x >= r.x && x < r.x+r.width && y >= r.y && y < r.y+r.height
}

// takesMouse adds a region to the frame that is drawn.
func (w *workbench) takesMouse(r region) { w.regions = append(w.regions, r) }

// gridActions are what a table does for the mouse beside moving its own cursors; nil is nothing.
type gridActions struct {
	sort   func()         // by the column under the cursor
	chosen func()         // the row cursor has moved
	open   func() tea.Cmd // the row under the cursor
}

// gridTakesMouse makes a region of a table: the wheel scrolls it, a click takes a row and a column,
// one on a head sorts, a second one on a row opens it.
func (w *workbench) gridTakesMouse(g *grid.Grid, y, width, height int, do gridActions) {
	chosen := func() {
		if do.chosen != nil {
			do.chosen()
		}
	}
	put := func(x, y int) {
		row, column := g.Hit(x, y)
		if column >= 0 {
			g.Column = column
		}
		if row >= 0 {
			g.Row = row
			chosen()
		} else if y == 0 && column >= 0 && do.sort != nil {
			do.sort()
		}
	}
	click := func(x, y int) tea.Cmd { return act(func() { put(x, y) })() }
	w.takesMouse(region{
		y: y, width: width, height: height, sideways: g.MoveColumn, click: click,
		wheel: func(lines int) {
			g.Scroll(lines)
			chosen()
		},
		again: func(x, y int) tea.Cmd {
			if row, _ := g.Hit(x, y); row < 0 || row != g.Row || do.open == nil {
				return click(x, y)
			}
			return do.open()
		},
	})
}

// pressEnter is a command that ends as if the user had pressed enter.
func pressEnter() tea.Cmd {
	return func() tea.Msg { return tea.KeyMsg{Type: tea.KeyEnter} }
}

// lastClick is where the mouse was clicked before, since the last key.
type lastClick struct {
	y    int
	some bool
}

// point gives a message of the mouse to the region that takes it, and reports whether one did. A
// window that is moved over changes nothing.
func (m *model) point(msg tea.MouseMsg) (cmd tea.Cmd, taken bool) {
	switch {
	case msg.Action == tea.MouseActionMotion:
		if m.held == nil {
			return nil, false
		}
		m.held.drag(msg.X-m.held.x, msg.Y-m.held.y)
		return nil, true
	case msg.Action == tea.MouseActionRelease:
		m.held = nil
		return nil, false
	case tea.MouseEvent(msg).IsWheel():
		m.clicked = lastClick{}
		return nil, m.wheel(msg)
	case msg.Button == tea.MouseButtonLeft:
		m.message, m.failed = "", false
		return m.click(msg.X, msg.Y), true
	}
	return nil, false
}

func (m *model) wheel(msg tea.MouseMsg) bool {
	lines, columns := 0, 0
	switch msg.Button {
	case tea.MouseButtonWheelUp:
		lines = -wheelLines
	case tea.MouseButtonWheelDown:
		lines = wheelLines
	case tea.MouseButtonWheelLeft:
		columns = -1
	case tea.MouseButtonWheelRight:
		columns = 1
	}
	if msg.Shift { // the wheel of a mouse that has one
		lines, columns = 0, columns+lines/wheelLines
	}
	if columns != 0 {
		r := m.regionAt(msg.X, msg.Y, func(r *region) bool { return r.sideways != nil })
		if r != nil {
			r.sideways(columns)
		}
		return r != nil
	}
	r := m.regionAt(msg.X, msg.Y, func(r *region) bool { return r.wheel != nil })
	if r != nil {
		r.wheel(lines)
	}
	return r != nil
}

func (m *model) click(x, y int) tea.Cmd {
	before := m.clicked
	m.clicked, m.held = lastClick{}, nil
	if r := m.regionAt(x, y, func(r *region) bool { return r.drag != nil }); r != nil {
		m.held = r
	}
	r := m.regionAt(x, y, func(r *region) bool { return r.click != nil })
	if r == nil {
		return nil
	}
	second := before == lastClick{y, true}
	m.clicked = lastClick{y, true}
	if second && r.again != nil {
		return r.again(x-r.x, y-r.y)
	}
	return r.click(x-r.x, y-r.y)
}

// regionAt is a copy of the uppermost region at a place that can do something.
func (m *model) regionAt(x, y int, can func(r *region) bool) *region {
	for i := len(m.regions) - 1; i >= 0; i-- {
		if r := m.regions[i]; r.holds(x, y) && can(&r) {
			return &r
		}
	}
	return nil
}

// turnMouse takes the mouse, or leaves it to the terminal's own selection.
func (m *model) turnMouse() tea.Cmd {
	m.options.NoMouse = !m.options.NoMouse
	m.held = nil
	if m.options.NoMouse {
		m.say("mouse off: the terminal selects text as usual; f4 takes the mouse again")
		return tea.DisableMouse
	}
	m.say("mouse on: shift held down leaves it to the terminal in most of them; f4 turns it off")
	return tea.EnableMouseCellMotion
}
