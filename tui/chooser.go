package tui

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/tui/text"
)

// chooser chooses several of a list, and their order.
type chooser struct {
	*workbench
	title, about string
	choices      []choice
	initial      func() []choice // what reset goes back to; nil: there is no reset
	take         func([]choice)
	cursor       int
}

type choice struct {
	id          columnID
	name, about string
	on          bool
}

func (c *chooser) Title() string { return c.title }

func (c *chooser) Keys() []keyGroup {
	shift := func(n int) func() []choice { return func() []choice { return c.shifted(n) } }
	change := func(f func() []choice) func() { return func() { c.choices = f() } }
	keys := []binding{
		{keys: []string{" "}, footer: "space on/off", help: "take the entry, or leave it out", do: act(c.toggle)},
		{keys: []string{"<", "shift+up", "K"}, shown: "<", footer: "< > move", help: "move the entry up: earlier (also shift+↑)", do: act(change(shift(-1)))},
		{keys: []string{">", "shift+down", "J"}, shown: ">", help: "move the entry down: later (also shift+↓)", do: act(change(shift(1)))},
	}
	if c.initial != nil {
		keys = append(keys, binding{keys: []string{"r"}, footer: "r reset", help: "back to how it is without choices", do: act(change(c.initial))})
	}
	keys = append(keys,
		binding{keys: []string{"enter"}, footer: "enter take", help: "take what is chosen", do: act(func() {
			c.pop(c)
			c.take(c.choices)
		})},
		binding{keys: []string{"esc", "q"}, footer: "esc cancel", help: "leave all as it was", do: act(func() { c.pop(c) })},
	)
	return []keyGroup{{c.title, keys}, {"Moving", movingKeys(func(rows, pages int) {
		c.cursor = max(0, min(c.cursor+rows+10*pages, len(c.choices)-1))
	})}}
}

func (c *chooser) toggle() {
	if c.cursor < len(c.choices) {
		c.choices[c.cursor].on = !c.choices[c.cursor].on
	}
}

// shifted moves the entry under the cursor, and the cursor with it.
func (c *chooser) shifted(n int) []choice {
	to := c.cursor + n
	if to >= 0 && to < len(c.choices) {
		c.choices = slices.Clone(c.choices)
		c.choices[c.cursor], c.choices[to] = c.choices[to], c.choices[c.cursor]
		c.cursor = to
	}
	return c.choices
}

func (c *chooser) View(width, height int) []string {
	c.cursor = max(0, min(c.cursor, len(c.choices)-1))
	lines := []string{" " + c.theme.head.On(c.title), " " + c.theme.dim.On(text.Cut(c.about, width-1)), ""}
	room := max(1, height-len(lines))
	names := 0
	for _, one := range c.choices {
		names = max(names, text.Width(one.name))
	}
	names = min(names, width/2)
	from := max(0, c.cursor-room+1)
	c.takesMouse(region{
		y: len(lines), width: width, height: room,
		wheel: func(n int) { c.cursor = max(0, min(c.cursor+n, len(c.choices)-1)) },
		click: func(_, y int) tea.Cmd {
			if from+y < len(c.choices) {
				c.cursor = from + y
				c.toggle()
			}
			return nil
		},
	})
	for i := from; i < min(len(c.choices), from+room); i++ {
		one := c.choices[i]
		box := "[ ] "
		if one.on {
			box = "[x] "
		}
		if i == c.cursor {
			lines = append(lines, c.theme.selected.On(text.Fit("▌"+box+text.Fit(one.name, names)+"  "+one.about, width)))
		} else {
			lines = append(lines, " "+box+text.Fit(one.name, names)+"  "+c.theme.dim.On(text.Cut(one.about, max(0, width-names-7))))
		}
	}
	return lines
}
