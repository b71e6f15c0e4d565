package tui

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/aymanbagabas/go-osc52/v2"
	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

func turnTo(s screen) func(m *model) tea.Cmd {
	return func(m *model) tea.Cmd {
		m.screen = s
		return nil
	}
}

// moving moves the cursor of what is seen by rows or by pages.
func moving(rows, pages int) func(m *model) tea.Cmd {
	return func(m *model) tea.Cmd {
		switch {
		case m.screen == screenBench:
			m.shelf.move(rows + pages*max(1, m.height-6))
		case m.screen == screenCompare:
			m.compare.grid.Move(rows)
			m.compare.grid.Page(pages)
		case m.run.session == nil:
		case m.run.detail:
			m.run.metrics.Move(rows)
			m.run.metrics.Page(pages)
		default:
			m.run.grid.Move(rows)
			m.run.grid.Page(pages)
			m.run.keepRow()
		}
		return nil
	}
}

// out goes one level out.
func (m *model) out() tea.Cmd {
	switch {
	case m.screen == screenRun && m.run.detail:
		m.run.detail, m.run.inspect = false, -1
	case m.screen == screenRun && m.run.line.String() != "":
		m.run.line, m.run.filter = input{}, filter{}
	case m.screen == screenBench && m.shelf.filter.String() != "":
		m.shelf.filter = input{}
	default:
		m.screen = screenBench
	}
	return nil
}

// typing is the filter line that takes the keys; nil when none does.
func (m *model) typing() *input {
	switch {
	case m.screen == screenBench && m.shelf.isFiltered:
		return &m.shelf.filter
	case m.screen == screenRun && m.run.isTyped:
		return &m.run.line
	}
	return nil
}

// filterKey edits the filter line; rows follow with every key.
func (m *model) filterKey(line *input, k tea.KeyMsg) tea.Cmd {
	switch k.String() {
	case "esc":
		*line = input{}
		m.shelf.isFiltered, m.run.isTyped = false, false
	case "enter":
		m.shelf.isFiltered, m.run.isTyped = false, false
	case "up", "down":
		return moving(map[string]int{"up": -1, "down": 1}[k.String()], 0)(m)
	default:
		line.key(k)
	}
	if m.screen == screenRun {
		m.setFilter()
	}
	return nil
}

// setFilter takes over what was typed, when it is a filter.
func (m *model) setFilter() {
	r := &m.run
	var f filter
	r.session.read(func(v *lab.View) { f, r.wrong = parseFilter(r.line.String(), v.Axes()) })
	if r.wrong == nil {
		r.filter = f
	} else if !r.isTyped { // it was kept half typed
		m.fail("filter", r.wrong)
		r.line, r.filter, r.wrong = input{}, filter{}, nil
	}
}

func (m *model) hasRow() bool { return len(m.run.order) > 0 }

func (m *model) showsLive() bool { return m.run.session != nil && !m.run.session.over() }

func (m *model) exportable() bool {
	return m.run.session.over() && m.run.session.id != DemoRun
}

// openSelected opens the run under the cursor; the live one from memory.
func (m *model) openSelected() tea.Cmd {
	id := m.shelf.current().run.ID
	if m.live != nil && m.live.id == id && !m.live.over() {
		m.watch(m.live)
		return nil
	}
	return m.openRun(id, false)
}

func (m *model) sort() tea.Cmd {
	r := &m.run
	column := r.grid.Column + 1
	if r.grid.Column == len(r.grid.Columns)-1 && r.grid.Columns[r.grid.Column].Title == "loss curve" {
		m.say("curves have no order; move the column cursor with < and >")
		return nil
	}
	if r.sorted == column {
		r.descending = !r.descending
	} else {
		r.sorted, r.descending = column, false
	}
	return nil
}

func (m *model) onMetric() bool {
	_, ok := m.columnMetric()
	return ok
}

func (m *model) columnMetric() (metric lab.Metric, ok bool) {
	m.run.session.read(func(v *lab.View) {
		columns := v.Columns()
		if i := m.run.grid.Column - columnMetrics; i >= 0 && i < len(columns) {
			metric, ok = columns[i], true
		}
	})
	return metric, ok
}

// chartColumn charts the column's metric; again: back to the curves.
func (m *model) chartColumn() tea.Cmd {
	metric, _ := m.columnMetric()
	choice := chartChoice{chartMetric, metric.Key}
	if m.run.chart == choice {
		choice = chartChoice{}
	}
	m.run.chart = choice
	return nil
}

// chooseChart offers everything that the chart can show.
func (m *model) chooseChart() tea.Cmd {
	p := &picker{title: "The chart shows"}
	add := func(name, about string, c chartChoice) {
		p.entries = append(p.entries, entry{text.Clean(name), about, func(m *model) tea.Cmd { m.run.chart = c; return nil }})
	}
	add("training loss", "of the marked rows, else of the step that is being worked on, else of the row under the cursor", chartChoice{})
	m.run.session.read(func(v *lab.View) {
		t := m.table(v)
		quality := qualityOf(t)
		add(quality.Label+" against bytes", "what was lost against what was saved", chartChoice{kind: chartTrade})
		for _, metric := range t.metrics {
			add(metric.Label, metric.About, chartChoice{chartMetric, metric.Key})
		}
		for _, name := range seriesNames(v) {
			add(name, "curve over steps", chartChoice{chartSeries, name})
		}
	})
	m.overlay = p
	return nil
}

// chooseCurve offers the curves of the row that is taken apart.
func (m *model) chooseCurve() tea.Cmd {
	p := &picker{title: "The chart shows"}
	m.run.session.read(func(v *lab.View) {
		if m.run.row >= len(v.Rows) {
			return
		}
		for _, name := range rowSeries(v, &v.Rows[m.run.row]) {
			p.entries = append(p.entries, entry{text.Clean(name), "curve over steps", func(m *model) tea.Cmd {
				m.run.curve = chartChoice{chartSeries, name}
				return nil
			}})
		}
	})
	if len(p.entries) == 0 {
		m.say("this step has no curves: it did not train")
		return nil
	}
	m.overlay = p
	return nil
}

func (m *model) turnAxes() tea.Cmd {
	r := &m.run
	r.logX, r.logY = r.logX != r.logY, !r.logY // linear, log y, log x, log-log
	return nil
}

func (m *model) markRow() tea.Cmd {
	r := &m.run
	if r.marks[r.row] {
		delete(r.marks, r.row)
	} else {
		r.marks[r.row] = true
	}
	r.chart = chartChoice{}
	return moving(1, 0)(m)
}

func (m *model) nextRow(n int) tea.Cmd {
	m.run.grid.Move(n)
	m.run.keepRow()
	m.run.inspect = -1
	return nil
}

// freeze keeps what is seen as it is, or goes on.
func (m *model) freeze() tea.Cmd {
	s := m.run.session
	if s.frozen != nil {
		s.frozen = nil
	} else {
		s.frozen = s.board.Snapshot()
	}
	return nil
}

func (m *model) stop() tea.Cmd {
	m.overlay = &question{text: "Stop this run? What it has finished is kept: the next run of the scenario goes on from there.", yes: func(m *model) tea.Cmd {
		if m.live == nil || m.live.over() {
			return nil
		}
		m.say("stopping …")
		return m.cancelLive()
	}}
	return nil
}

func (m *model) pauseReplay() tea.Cmd {
	s := m.run.session
	r := s.replay
	if r.next == len(r.events) {
		s.board = r.rewind(0)
		r.playing = true
	} else {
		r.playing = !r.playing
	}
	r.last = m.now()
	return nil
}

func (m *model) replaySpeed(times float64) tea.Cmd {
	r := m.run.session.replay
	r.speed = min(max(r.speed*times, 1.0/64), 4096)
	return nil
}

func (m *model) rewind(n int) tea.Cmd {
	s := m.run.session
	s.board = s.replay.rewind(n)
	s.replay.playing = false
	return nil
}

// export asks for format and file, then writes.
func (m *model) export(run string) tea.Cmd {
	p := &picker{title: "Export " + text.Clean(run) + " as"}
	for _, format := range report.Formats() {
		p.entries = append(p.entries, entry{format, exportAbout[format], func(m *model) tea.Cmd { return m.exportTo(run, format) }})
	}
	m.overlay = p
	return nil
}

var exportAbout = map[string]string{
	"table": "plain text, as the command line prints it", "md": "a markdown table", "csv": "a line a value, base units",
	"json": "everything, one object", "junit": "expectations as test cases, for CI",
}

var exportExtension = map[string]string{"table": "txt", "junit": "xml"}

func (m *model) exportTo(run, format string) tea.Cmd {
	extension := format
	if e, ok := exportExtension[format]; ok {
		extension = e
	}
	m.overlay = &prompt{title: "Export as " + format + " to the file", about: "An existing file is replaced.", line: newInput(filepath.Base(run) + "." + extension), do: func(m *model, path string) tea.Cmd {
		if strings.TrimSpace(path) == "" {
			m.say("nothing was exported: no file was named")
			return nil
		}
		return func() tea.Msg {
			if err := m.bench.Export(m.ctx, run, format, path); err != nil {
				return saidMsg{err: fmt.Errorf("export: %w", err)}
			}
			return saidMsg{text: "written to " + path}
		}
	}}
	return nil
}

// clipboard returns a command that hands text to the terminal's clipboard, which works over ssh.
func clipboard(w io.Writer, tmux bool) func(string) tea.Cmd {
	return func(s string) tea.Cmd {
		sequence := osc52.New(s)
		if tmux {
			sequence = sequence.Tmux()
		}
		return func() tea.Msg {
			if _, err := sequence.WriteTo(w); err != nil {
				return saidMsg{err: fmt.Errorf("copy: %w", err)}
			}
			return saidMsg{text: "copied (where the terminal allows OSC 52)"}
		}
	}
}

func (m *model) copy(s string) tea.Cmd { return m.clipboard(s) }

// copyRow copies the row's label and its values in base units, with a line of keys.
func (m *model) copyRow() tea.Cmd {
	keys, values := []string{"step", "state"}, []string{}
	m.run.session.read(func(v *lab.View) {
		if m.run.row >= len(v.Rows) {
			return
		}
		row := &v.Rows[m.run.row]
		values = append(values, row.Label(), row.State.String())
		for _, metric := range v.Columns() {
			keys = append(keys, metric.Key)
			value := ""
			if s, ok := row.Metric(metric.Key); ok {
				value = strconv.FormatFloat(s.Value, 'g', -1, 64)
			}
			values = append(values, value)
		}
	})
	clean := func(cells []string) string {
		cells = slices.Clone(cells)
		for i := range cells {
			cells[i] = text.Clean(cells[i])
		}
		return strings.Join(cells, "\t")
	}
	return m.copy(clean(keys) + "\n" + clean(values) + "\n")
}
