package kernels

import (
	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// groupedProduct is a running product with a PackedGrouped.
type groupedProduct struct {
	products *productKernels
	kernels  *floatKernels
	w        *PackedGrouped
	y, x     []float32
	rows     int

	left     Operand
	room     int       // elements of a group in the left side
	moved    []float32 // x, rounded to FP8, or with groups filled up to their room
	rowScale []float32 // [rows, groups] where activations are rounded

	size, strips, rowTasks, columnTasks int

	move func(lo, hi int) // bound once: each method value allocates
}

var freeGrouped = memory.NewFreeList(64, func() *groupedProduct {
	c := new(groupedProduct)
	c.move = c.moveRows
	return c
})

// begin rounds the activations and packs them.
func (c *groupedProduct) begin(w *PackedGrouped, y, x []float32, rows int) {
	g := &active.Load().products
	if g.width != w.width {
		g = w.packed
	}
	c.products, c.kernels, c.w, c.y, c.x, c.rows = g, &g.bfloat16, w, y, x, rows
	src, columns := x, w.In
	c.room = c.kernels.room(w.Group)
	if groups := w.groups(); w.rounds || groups > 1 && c.room != w.Group {
		columns = groups * c.room
		c.moved, c.rowScale = memory.Grown(c.moved, rows*columns), memory.Grown(c.rowScale, rows*groups)
		eachRows(rows, rows*columns, c.move)
		src = c.moved
	}
	c.left.pack(g, src, rows, columns, BFloat16, Rows, 2)
	c.size = (rows + 8) * w.Out * ((w.In + 1) / 2)
	c.divide()
}

// room returns the elements that a group takes in a left side: whole pairs, and whole lines where
// rows lie side by side.
func (f *floatKernels) room(group int) int {
	unit := 2
	if f.leftAlong.places > 1 {
		unit = max(unit, f.leftAlong.line*f.elements)
	}
	return (group + unit - 1) / unit * unit
}

// moveRows fills some rows of moved.
func (c *groupedProduct) moveRows(lo, hi int) {
	w, groups := c.w, c.w.groups()
	for r := lo; r < hi; r++ {
		x, row := c.x[r*w.In:(r+1)*w.In], c.moved[r*groups*c.room:(r+1)*groups*c.room]
		for g := range groups {
			first, last := w.bounds(g)
			part, dst := x[first:last], row[g*c.room:(g+1)*c.room]
			clear(dst[copy(dst, part):])
			if !w.rounds {
				continue
			}
			s := w.form.small().scaleOfRow(part)
			if c.rowScale[r*groups+g] = s; s == 0 {
				clear(dst)
			} else {
				w.form.small().roundRow(dst[:len(part)], part, s)
			}
		}
	}
}

// divide sets the number of tasks: columns are divided first, since each row task reads the weight
// anew.
func (c *groupedProduct) divide() {
	tiles := c.left.along.tiles(c.rows)
	height := c.kernels.height / c.left.along.rows
	c.strips = (tiles + height - 1) / height
	c.rowTasks, c.columnTasks = 1, 1
	if c.size < serialWork || parallel.Threads() == 1 {
		return
	}
	tasks := min(32*parallel.Threads(), 1+c.size/taskWork)
	c.columnTasks = min(tasks, c.w.bundles())
	c.rowTasks = min((tasks+c.columnTasks-1)/c.columnTasks, c.strips)
}

func (c *groupedProduct) work() int  { return c.size }
func (c *groupedProduct) tasks() int { return c.rowTasks * c.columnTasks }

func (c *groupedProduct) end() {
	c.w, c.y, c.x = nil, nil, nil
	c.left.x, c.left.along.data = nil, nil
	freeGrouped.Put(c)
}

// decodedWords is how many words of a weight are decoded at once where they are read once or few
// times: half of the first cache.
const decodedWords = 1 << 13

// run computes one task: for each bundle and group some panels are decoded, a block of the group's
// chain at a time, and the strips pass.
func (c *groupedProduct) run(task int) {
	w := c.w
	column, row := task%c.columnTasks, task/c.columnTasks
	t := groupedTask{groupedProduct: c, strip0: row * c.strips / c.rowTasks, strip1: (row + 1) * c.strips / c.rowTasks}
	longest, _ := w.pairs(0)
	longest = 2 * longest / c.kernels.elements
	t.depth = c.kernels.blockDepth(longest)
	t.depth += t.depth * c.kernels.elements % 2 // whole pairs
	t.panels = bundlePanels
	t.few = w.form == GroupedInt8 && c.rows <= fewRows && c.products.fewInt8 != nil
	if t.strip1-t.strip0 == 1 && !t.few {
		t.panels = min(t.panels, max(1, decodedWords/(t.depth*w.width)))
	}
	t.lo, _ = t.rowsOf(t.strip0)
	_, t.hi = t.rowsOf(t.strip1 - 1)
	height := c.kernels.height
	if longest > t.depth { // the sums of all strips wait for the next block
		height = t.hi - t.lo
	}
	decoded, sums := t.panels*t.depth*w.width, height*t.panels*w.width
	if t.few {
		decoded = 0
	}
	scratch := memory.NewScratch(decoded + sums)
	defer scratch.Free()
	t.decoded, t.sums = scratch.Take(decoded), scratch.Take(sums)
	for b := column * w.bundles() / c.columnTasks; b < (column+1)*w.bundles()/c.columnTasks; b++ {
		t.bundle = b
		first := b * w.bundleOutputs()
		t.outputs = min(w.bundleOutputs(), w.Out-first)
		for i := t.lo; i < t.hi; i++ {
			clear(c.y[i*w.Out+first : i*w.Out+first+t.outputs])
		}
		for g := range w.groups() {
			for panel := 0; panel*w.width < t.outputs; panel += t.panels {
				t.group(g, panel, min(t.panels*w.width, t.outputs-panel*w.width))
			}
		}
	}
}

// groupedTask is one task of a groupedProduct with its memory.
type groupedTask struct {
	*groupedProduct
	strip0, strip1  int
	lo, hi          int // rows
	depth           int // words of a block of a chain
	panels          int // that are decoded at once
	few             bool
	bundle, outputs int // at work, and how many outputs it has
	decoded, sums   []float32
}

// rowsOf returns the rows of a strip: strips are of equal height, to within a tile.
func (t *groupedTask) rowsOf(s int) (lo, hi int) {
	first, last := t.tilesOf(s)
	return t.left.along.span(first, last)
}

func (t *groupedTask) tilesOf(s int) (first, last int) {
	tiles := t.left.along.tiles(t.rows)
	return s * tiles / t.strips, (s + 1) * tiles / t.strips
}

// group adds the products of a group with n outputs, from a panel of the bundle on.
func (t *groupedTask) group(g, panel, n int) {
	w, a := t.w, &t.left.along
	pairs, _ := w.pairs(g)
	words := 2 * pairs / t.kernels.elements
	row, element := a.strides()
	if t.few {
		panelBytes := 2 * pairs * w.width
		ahead := bundlePanels * panelBytes // the next group
		if panelBytes > 4096 {
			ahead = 1024
		}
		at := 2 * w.pairAt(t.bundle*w.bundleOutputs(), g, 0)
		for word := 0; word < words; word += t.depth {
			q := w.bytes[at+word*t.kernels.elements*w.width:]
			t.products.fewInt8(t.sums, w.bundleOutputs(), a.from(0, g*t.room/t.kernels.elements+word), row, q, panelBytes, ahead, t.rows, min(t.depth, words-word), word > 0)
		}
		t.add(g, panel, n, 0, t.rows, t.sums)
		return
	}
	for word := 0; word < words; word += t.depth {
		k := min(t.depth, words-word)
		b, stride := t.decode(g, panel, panelsOf(n, w.width), word, k)
		for s := t.strip0; s < t.strip1; s++ {
			lo, hi := t.rowsOf(s)
			sums := t.sums
			if words > t.depth {
				sums = sums[(lo-t.lo)*t.panels*w.width:]
			}
			tile, _ := t.tilesOf(s)
			t.kernels.strip(sums, t.panels*w.width, a.from(tile, g*t.room/t.kernels.elements+word), row, element, b, w.width, stride, hi-lo, n, k, word > 0)
			if word+k == words {
				t.add(g, panel, n, lo, hi, sums)
			}
		}
	}
}

// decode returns k words of the chain of some panels, from word on, and the stride of the panels.
func (t *groupedTask) decode(g, panel, panels, word, k int) (b []float32, stride int) {
	w := t.w
	pairs, _ := w.pairs(g)
	first := w.pairAt((t.bundle*bundlePanels+panel)*w.width, g, 0)
	if w.form != GroupedInt8 && t.kernels.elements == 2 {
		return w.words[first+word*w.width:], pairs * w.width
	}
	stride = k * w.width
	n := k * t.kernels.elements / 2 // pairs
	for j := range panels {
		at, dst := first+(j*pairs+word*t.kernels.elements/2)*w.width, t.decoded[j*stride:(j+1)*stride]
		if w.form == GroupedInt8 {
			t.products.widenInt8(dst, w.bytes[2*at:2*(at+n*w.width)], n)
		} else {
			t.products.widen(dst, w.words[at:at+n*w.width], n)
		}
	}
	return t.decoded, stride
}

// add scales sums of rows lo to hi-1 and adds them to y.
func (t *groupedTask) add(g, panel, n, lo, hi int, sums []float32) {
	w := t.w
	o := (t.bundle*bundlePanels + panel) * w.width
	scale := w.scale[w.scaleAt(o, g):][:n]
	for i := lo; i < hi; i++ {
		factor := float32(1)
		if w.rounds {
			factor = t.rowScale[i*w.groups()+g]
		}
		at := (i - lo) * t.panels * w.width
		t.products.addScaled(t.y[i*w.Out+o:i*w.Out+o+n], sums[at:at+n], scale, factor)
	}
}
