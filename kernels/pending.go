package kernels

import (
	"fmt"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// Pending is a product with a packed weight that was begun: its operands are checked, the
// activations rounded or quantized, and nothing multiplied yet. It is for Run, once; until then y
// and x must stay as they are.
type Pending interface {
	work() int // the time that it takes, in float32 multiply-adds
	tasks() int
	run(task int)
	end()
}

// mostTogether is how many products Run takes: an input of a layer has up to three readers, its
// gradient four.
const mostTogether = 4

// Run computes up to four products as one parallel region: a thread that has done its share of one
// goes on with the next, where one region after another would have it wait for the slowest. The
// bits are those of each alone.
func Run(products ...Pending) {
	if len(products) > mostTogether {
		panic(fmt.Sprintf("kernels: Run of %d products, expected at most %d", len(products), mostTogether))
	}
	t := freeTogether.Get()
	work, tasks := 0, 0
	for i, p := range products {
		work += p.work()
		tasks += p.tasks()
		t.products[i], t.end[i] = p, tasks
	}
	if work < serialWork {
		for i := range tasks {
			t.task(i)
		}
	} else {
		parallel.For(tasks, t.task)
	}
	for i, p := range products {
		p.end()
		t.products[i] = nil
	}
	freeTogether.Put(t)
}

// together is products on their way.
type together struct {
	products [mostTogether]Pending
	end      [mostTogether]int // of each one's tasks among all
	task     func(i int)       // bound once: a method value would be allocated in each call
}

var freeTogether = memory.NewFreeList(64, func() *together {
	t := new(together)
	t.task = t.run
	return t
})

func (t *together) run(i int) {
	p, first := 0, 0
	for i >= t.end[p] {
		first = t.end[p]
		p++
	}
	t.products[p].run(i - first)
}

// nothing is a product without rows or outputs, or one without inputs, whose zeros are written.
type nothing struct{}

func (nothing) work() int  { return 0 }
func (nothing) tasks() int { return 0 }
func (nothing) run(int)    {}
func (nothing) end()       {}

// trivial reports whether a product is done without multiplying, and does it.
func trivial(y []float32, rows, out, in int) bool {
	if rows > 0 && out > 0 && in == 0 {
		clear(y[:rows*out])
	}
	return rows == 0 || out == 0 || in == 0
}
