package lab

// end ends a cell with its run.
func (c *CellView) end(e Event) {
	waited, cut := NotRun, Stopped // what the states become in which the run left it
	switch e.State {
	case Crashed:
		cut = Crashed
	case Damaged, Deleted:
		waited, cut = Unknown, Unknown
	}
	switch c.State {
	case Waiting:
		c.State = waited
	case Running:
		c.State, c.Ended = cut, e.Time
		if last := len(c.Stages) - 1; last >= 0 && c.Stages[last].State == Running {
			c.Stages[last].State, c.Stages[last].Ended = cut, e.Time
		}
	}
}

// rowStates sets the state of the rows of one sweep point: done when every seed has reported,
// otherwise the most severe state among its unfinished cells.
func (b *Board) rowStates(group int) {
	for _, r := range b.index.groups[group] {
		row := &b.view.Rows[r]
		if state := b.rowState(row); state != row.State {
			row.State = state
			b.rowChanged(r)
		}
	}
}

func (b *Board) rowChanged(row int) {
	b.view.RowsChanged++
	b.view.Rows[row].Changed = b.view.RowsChanged
}

// severity orders the states of a row's unfinished cells: the most severe one is the row's.
var severity = [...]int{Done: 0, NotRun: 1, Waiting: 2, Running: 3, Unknown: 4, Stopped: 5, Crashed: 6, Failed: 7}

func (b *Board) rowState(row *TableRow) State {
	if row.Done == row.Of {
		return Done
	}
	state := Done
	for _, id := range row.Cells {
		c := &b.view.Cells[b.index.cells[id]]
		if row.reported(&c.Cell) {
			continue
		}
		if s := b.stateIn(c, row); severity[s] > severity[state] {
			state = s
		}
	}
	switch {
	case row.Done == 0:
	case state == Waiting:
		return Running
	case state == NotRun && (b.view.State == Stopped || b.view.State == Crashed):
		return b.view.State
	case state == NotRun:
		return Failed // a cell did, before it came to the row
	}
	return state
}

// stateIn is how far a row is in a cell that has not reported it.
func (b *Board) stateIn(c *CellView, row *TableRow) State {
	switch c.State {
	case Waiting, NotRun, Unknown:
		return c.State
	case Running:
		if c.Stage == row.Name {
			return Running
		}
		return Waiting
	case Failed, Stopped, Crashed:
		if b.lastRow(c, row.Point) == row.Name {
			return c.State
		}
	}
	return NotRun
}

// lastRow is the row of a sweep point at which a cell ended: that of its last stage, else the first
// that it has not reported.
func (b *Board) lastRow(c *CellView, group int) string {
	first := ""
	for _, r := range b.index.groups[group] {
		row := &b.view.Rows[r]
		switch {
		case row.reported(&c.Cell):
		case row.Name == c.Stage:
			return row.Name
		case first == "":
			first = row.Name
		}
	}
	return first
}
