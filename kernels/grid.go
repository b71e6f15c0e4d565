package kernels

import "slimlab/kernels/parallel"

// grid divides a product of rows by panels into tasks. Weights are read once by each row task, so
// columns are divided first.
type grid struct{ size, rows, panels, rowTasks, columnTasks int }

func newGrid(rows, out, work int) grid {
	if work < serialWork {
		return grid{work, rows, panelsOf(out), 1, 1}
	}
	tasks := min(8*parallel.Threads(), 2*parallel.Threads()+work/(4*taskWork))
	columnTasks := min(tasks, (panelsOf(out)+7)/8)
	return grid{work, rows, panelsOf(out), min((tasks+columnTasks-1)/columnTasks, (rows+15)/16), columnTasks}
}

func (g grid) work() int  { return g.size }
func (g grid) tasks() int { return g.rowTasks * g.columnTasks }

// strips calls f for each strip of at most height rows (row0, m) of a task and each run of panels
// (panel0, n) of at most panelBytes·n ≈ blockBytes, the strips inside the runs.
func (g grid) strips(task, height, panelBytes int, f func(row0, m, panel0, n int)) {
	row0, row1 := task/g.columnTasks*g.rows/g.rowTasks, (task/g.columnTasks+1)*g.rows/g.rowTasks
	// most kernels take two panels at once, and a single one slowly
	column, pairs := task%g.columnTasks, (g.panels+1)/2
	first, last := 2*(column*pairs/g.columnTasks), min(2*((column+1)*pairs/g.columnTasks), g.panels)
	const blockBytes = 1 << 18 // what the second cache holds easily beside the activations
	run := max(8, blockBytes/panelBytes/8*8)
	rows := row1 - row0
	strips := (rows + height - 1) / height
	if strips == 1 {
		run = last - first
	}
	for panel0 := first; panel0 < last; panel0 += run {
		for s := range strips {
			lo, hi := s*rows/strips, (s+1)*rows/strips
			f(row0+lo, hi-lo, panel0, min(run, last-panel0))
		}
	}
}
