package kernels

import "slimlab/kernels/parallel"

// grid divides a product of rows by panels into tasks. Weights are read once by each row task, so
// columns are divided first.
type grid struct {
	size, tiles, panels   int
	rowTasks, columnTasks int
	group                 int // panels that tasks share multiples of
}

// newGrid divides rows in tiles of so many by panels; work counts float32 multiply-adds.
func newGrid(tiles, rowsOfTile, panels, group, work int) grid {
	g := grid{work, tiles, panels, 1, 1, group}
	if work < serialWork {
		return g
	}
	tasks := min(32*parallel.Threads(), 2*parallel.Threads()+work/(4*taskWork))
	g.columnTasks = min(tasks, (panels+7)/8)
	g.rowTasks = min((tasks+g.columnTasks-1)/g.columnTasks, (tiles*rowsOfTile+15)/16, tiles)
	return g
}

func (g grid) work() int  { return g.size }
func (g grid) tasks() int { return g.rowTasks * g.columnTasks }

// strips calls f for each strip of at most height tiles (tile, tiles) of a task and each run of
// panels (panel, n) of at most panelBytes·n ≈ runBytes, the strips inside the runs.
func (g grid) strips(task, height, panelBytes int, f func(tile, tiles, panel, n int)) {
	tile0, tile1 := task/g.columnTasks*g.tiles/g.rowTasks, (task/g.columnTasks+1)*g.tiles/g.rowTasks
	column, groups := task%g.columnTasks, (g.panels+g.group-1)/g.group
	first, last := g.group*(column*groups/g.columnTasks), min(g.group*((column+1)*groups/g.columnTasks), g.panels)
	const runBytes = 1 << 18 // what the second cache holds easily beside the activations
	run := max(8, runBytes/panelBytes/8*8)
	tiles := tile1 - tile0
	strips := (tiles + height - 1) / height
	if strips == 1 {
		run = last - first
	}
	for panel := first; panel < last; panel += run {
		for s := range strips {
			lo, hi := s*tiles/strips, (s+1)*tiles/strips
			f(tile0+lo, hi-lo, panel, min(run, last-panel))
		}
	}
}
