package kernels

import (
	"fmt"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

const (
	// serialWork is the number of float32 multiply-adds below which work stays on its caller's
	// thread: some 20 µs.
	serialWork = 1 << 20
	// taskWork is about the number of multiply-adds of a task of a shared product.
	taskWork = 1 << 19
)

// Pending is a product with a packed weight that was begun: its operands are checked, the
// activations rounded or quantized, and nothing multiplied yet. Run completes it, once; until then
// y and x must stay as they are.
type Pending interface {
	work() int // the time that it takes, in float32 multiply-adds
	tasks() int
	run(task int)
	end()
}

// maxBatch is the number of products that Run takes: an input of a layer has up to three readers,
// its gradient four.
const maxBatch = 4

// Run computes up to four products as one parallel region: a thread that has done its share of one
// goes on with the next, where one region after another would have it wait for the slowest. The
// bits are those of each alone.
func Run(products ...Pending) {
	if len(products) > maxBatch {
		panic(fmt.Sprintf("kernels: Run of %d products, expected at most %d", len(products), maxBatch))
	}
	b := freeBatches.Get()
	work, tasks := 0, 0
	for i, p := range products {
		work += p.work()
		tasks += p.tasks()
		b.products[i], b.end[i] = p, tasks
	}
	if work < serialWork {
		for i := range tasks {
			b.task(i)
		}
	} else {
		parallel.For(tasks, b.task)
	}
	for i, p := range products {
		p.end()
		b.products[i] = nil
	}
	freeBatches.Put(b)
}

// batch is the products of one Run.
type batch struct {
	products [maxBatch]Pending
	end      [maxBatch]int // of each one's tasks among all
	task     func(i int)   // bound once: each method value allocates
}

var freeBatches = memory.NewFreeList(64, func() *batch {
	b := new(batch)
	b.task = b.run
	return b
})

func (b *batch) run(i int) {
	p, first := 0, 0
	for i >= b.end[p] {
		first = b.end[p]
		p++
	}
	b.products[p].run(i - first)
}

// empty is a product without rows or outputs, or one without inputs, whose zeros are written.
type empty struct{}

func (empty) work() int  { return 0 }
func (empty) tasks() int { return 0 }
func (empty) run(int)    {}
func (empty) end()       {}

// isEmpty reports whether a product multiplies nothing, and clears its result.
func isEmpty(y []float32, rows, out, in int) bool {
	if rows > 0 && out > 0 && in == 0 {
		clear(y[:rows*out])
	}
	return rows == 0 || out == 0 || in == 0
}

// eachRows calls f for rows lo…hi-1, on all threads where there are many elements.
func eachRows(rows, elements int, f func(lo, hi int)) {
	if elements < serialWork/16 {
		f(0, rows)
	} else {
		parallel.Range(rows, 16, f)
	}
}

func checkLen(what string, x []float32, want int) {
	if len(x) < want {
		panic(fmt.Sprintf("kernels: %s has %d elements, needs %d", what, len(x), want))
	}
}
